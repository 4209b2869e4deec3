from __future__ import annotations

import io
import re
import sys
from dataclasses import replace

import pytest
from rich.cells import cached_cell_len, cell_len
from rich.console import Console

from rl_sim_env.learning.algorithm import learner_figures
from rl_sim_env.learning.config import AmpVaeRunnerCfg
from rl_sim_env.learning.console import (
    FIGURES as COMMON_FIGURES,
)
from rl_sim_env.learning.console import (
    IterationSummary,
    TrainingConsole,
    format_block,
    pace,
    render_panel,
)

FIGURES = (*COMMON_FIGURES, *learner_figures(AmpVaeRunnerCfg()))
SCALARS = {
    "Perf/total_fps": 123456.7,
    "Perf/collection_time": 1.25,
    "Perf/learning_time": 0.75,
    "Loss/learning_rate": 3e-4,
    "Train/mean_reward": 21.5,
    "Train/mean_episode_length": 987.6,
    "Train/style_reward": 0.5,
    "Metrics/velocity/error_vel_xy": 0.123,
    "Metrics/velocity/error_vel_yaw": 0.456,
    "Curriculum/terrain_level/mean": 4.5,
    "Adaboot/adaboot_p": 0.75,
    "Estimation/velocity_rmse": 0.08,
    "Estimation/mass_rmse": 0.31,
    "Estimation/com_rmse": 0.0123,
}


def summary(iteration: int = 7, total: int = 1500, **changes: float) -> IterationSummary:
    return IterationSummary(
        iteration=iteration,
        total_iterations=total,
        progress=iteration / total,
        elapsed_s=65.0,
        remaining_s=3661.0,
        scalars={**SCALARS, **changes},
    )


def render(title: str, shown: IterationSummary, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(render_panel(title, shown, FIGURES))
    return console.file.getvalue()  # type: ignore[attr-defined]


def forms(title: str, shown: IterationSummary) -> list[str]:
    return [render(title, shown, width=200), format_block(title, shown, FIGURES)]


def test_every_figure_that_matters_is_shown_in_its_unit() -> None:
    for text in forms("run", summary()):
        for expected in (
            "7/1500",
            "0:01:05",
            "1:01:01",
            "123,457 steps/s",
            "1.25 s",
            "0.75 s",
            "3.0e-04",
            "21.50",
            "0.123 m/s",
            "0.456 rad/s",
            "0.080 m/s",
            "0.31 kg",
            "1.23 cm",
            "0.750",
            "4.50",
            "988 steps",
        ):
            assert expected in text, expected


@pytest.mark.parametrize("title", ["run", "logs/rsl_rl/" + "a_long_run_name_" * 9, "带载行走" * 30])
def test_no_line_is_wider_than_80_columns(title: str) -> None:
    extreme = summary(
        10**7, 10**7, **{name: -123456789.123 for name in SCALARS if name != "Loss/learning_rate"}
    )
    for shown in (summary(), extreme):
        for text in forms(title, shown):
            for line in text.splitlines():
                assert cell_len(line) <= 80, line


def test_lines_of_a_long_run_leave_nothing_behind() -> None:
    before = cached_cell_len.cache_info().currsize
    for iteration in range(100):
        format_block("run", summary(iteration + 10**6, total=10**7), FIGURES)
    assert cached_cell_len.cache_info().currsize == before


def test_the_panel_survives_a_narrower_terminal() -> None:
    lines = render("run", summary(), width=60).splitlines()
    assert all(len(line) <= 60 for line in lines)


def test_a_figure_the_run_does_not_measure_is_a_dash() -> None:
    shown = IterationSummary(
        iteration=1, total_iterations=2, progress=0.5, elapsed_s=1.0, remaining_s=1.0
    )
    assert len(re.findall(r" - *$| -  ", format_block("run", shown, FIGURES), re.MULTILINE)) == len(
        FIGURES
    )


def test_plain_output_has_no_control_codes_and_appears_at_intervals_and_at_the_end() -> None:
    stream = io.StringIO()
    console = TrainingConsole("run", stream=stream)
    console.start()
    for iteration in range(1, 26):
        console.show(summary(iteration, 25))
    console.say("[done] 100%")
    console.stop()
    text = stream.getvalue()
    assert re.findall(r"iteration (\d+)/25", text) == ["1", "11", "21", "25"]
    assert text.endswith("[done] 100%\n")
    assert all(character.isprintable() or character == "\n" for character in text)


def test_a_resumed_run_shows_its_first_iteration() -> None:
    stream = io.StringIO()
    console = TrainingConsole("run", stream=stream)
    for iteration in range(14, 23):
        console.show(summary(iteration, 25))
    assert re.findall(r"iteration (\d+)/25", stream.getvalue()) == ["14", "21"]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Terminal()


def test_a_terminal_gets_a_panel_that_stays(terminal: io.StringIO) -> None:
    console = TrainingConsole("run", stream=terminal)
    console.start()
    console.show(summary(3))
    console.show(summary(4))
    console.say("SIGTERM: training ends")
    console.stop()
    text = terminal.getvalue()
    assert "\x1b[" in text
    assert text.count("iteration 4/1500") >= 1
    assert "SIGTERM: training ends" in text


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_what_others_print_stands_above_the_panel_as_what_the_console_says(
    terminal: io.StringIO, stream: str
) -> None:
    console, written = TrainingConsole("run", stream=terminal), []
    console.start()
    console.show(summary(3))
    line = "viewer: http://127.0.0.1:8080"
    # As the page of a training does, and an export that fails.
    for tell in (console.say, lambda line: print(line, file=getattr(sys, stream), flush=True)):
        before = len(terminal.getvalue())
        tell(line)
        written.append(terminal.getvalue()[before:])
    console.stop()
    assert written[0] == written[1]
    assert re.search(r"viewer: http://127\.0\.0\.1:8080\n╭.* run ", written[0])


def test_the_pace_says_what_an_iteration_means_for_the_whole():
    shown = summary(iteration=3, total=103)
    assert pace(shown) == "an iteration takes 2 s here; to the end: 100 iterations, 0:03:20"
    assert pace(replace(shown, limit_s=105.0)).endswith("0:00:40, enough for 20 iterations")
    assert "fewer robots (--num_envs)" in pace(summary(iteration=3, total=100_003))


def test_the_pace_is_told_once_after_the_first_iterations():
    stream = io.StringIO()
    console = TrainingConsole("run", stream=stream)
    for iteration in range(1, 6):
        console.show(summary(iteration=iteration))
        assert ("an iteration takes" in stream.getvalue()) == (iteration >= 3)
    assert stream.getvalue().count("an iteration takes") == 1
