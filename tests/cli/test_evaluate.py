"""Evaluation from the command line."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import torch

from rl_sim_env.cli import evaluate, evaluate_options
from rl_sim_env.cli.program import parse_options
from rl_sim_env.deploy.onnx_export import NETWORK_FILE
from rl_sim_env.evaluation.arena import Arena, EvaluationCfg, Scenario
from rl_sim_env.evaluation.protocols import OUTSIDE, PROTOCOLS, Protocol
from rl_sim_env.evaluation.report import Column, Figure, Plot, Report, Row, Section, Series, Table
from small_policy import TASK, save, small_checkpoint

SMALL = ("--task", TASK, "--quick", "--robots", "2", "--device", "cpu")


@pytest.fixture
def refuse(capsys, monkeypatch):
    """Runs the program, which must end with one line before any robot walks; returns the line."""

    def rollout(self, *args, **kwargs):
        raise AssertionError("a robot walked")

    def run(*argv: str) -> str:
        monkeypatch.setattr(Arena, "rollout", rollout)
        with pytest.raises(SystemExit) as end:
            evaluate.main(argv)
        assert end.value.code == 2
        line = capsys.readouterr().err.strip().splitlines()[-1]
        assert line.startswith("error: ")
        return line

    return run


def height(arena: Arena, cfg: EvaluationCfg) -> Section:
    """How high the base is after two steps."""
    heights = []
    for seed in cfg.seeds:
        for _ in arena.rollout(Scenario(), seconds=2 * arena.step_dt, seed=seed):
            pass
        heights.append(float(arena.env.robot.data.root_link_pos_w[:, 2].mean()))
    figure = Figure.over_seeds(heights, robots=arena.num_robots)
    table = Table(
        title="Height",
        rows_title="robots",
        columns=(Column(title="height", unit="m"), Column(title="depth", unit="m")),
        rows=(Row(label="all", cells=(figure, None)),),
    )
    x = tuple(map(float, cfg.seeds))
    line = Series(label="height", x=x, y=tuple(heights))
    plot = Plot(name="height", title="Height", x_label="seed", y_label="m", series=(line,))
    return Section(
        name="height", title="Height of the base", method="Look.", tables=(table,), plots=(plot,)
    )


@pytest.fixture
def only_height(monkeypatch):
    monkeypatch.setattr(evaluate_options, "PROTOCOL_NAMES", ("height", "other"))
    monkeypatch.setattr(
        evaluate, "PROTOCOLS", {"height": Protocol(run=height, seconds=lambda cfg: 0.04)}
    )


def test_the_names_that_options_and_help_know_are_those_of_the_protocols():
    assert (*PROTOCOLS, OUTSIDE) == evaluate_options.PROTOCOL_NAMES


@pytest.mark.usefixtures("only_height")
def test_newest_run_is_evaluated_and_the_report_put_beside_it(run_folder, capsys):
    evaluate.main([*SMALL, "--seeds", "3", "5", "--protocols", "height"])
    folder = run_folder / "report"
    names = {"report.json", "report.md", "report.html", "height.png"}
    # Without an OpenGL there is no picture of the robot.
    assert {path.name for path in folder.iterdir()} - {"walking.jpg"} == names
    report = Report.from_json((folder / "report.json").read_text())
    facts = report.facts
    assert facts["Policy"] == "model_3.pt"
    assert facts["Trained on"] == facts["Evaluated on"] == TASK
    assert facts["Seeds"] == "3, 5"
    assert facts["Robots"] == "2 in each walk"
    assert facts["Robot"] == "grq20_v2d3"
    command = shlex.split(facts["Command"])
    assert command[:2] == ["rl-sim-env", "evaluate"]
    again = parse_options(evaluate_options.EvaluateOptions, command[2:])
    assert (again.task, again.seeds, again.robots) == (TASK, (3, 5), 2)
    assert again.protocols == ("height",) and again.levels == (1, 2, 3, 4)
    assert again.checkpoint and Path(again.checkpoint).name == "model_3.pt"
    assert facts["Trained at commit"] == "not recorded"
    assert "torch" in facts["Packages"]
    assert "(cpu)" in facts["Hardware"]
    cell = report.sections[0].tables[0].rows[0].cells[0]
    assert cell is not None
    assert (cell.seeds, cell.robots) == (2, 2)
    assert 0.2 < cell.mean < 0.6
    out = capsys.readouterr().out
    assert "height (1 of 1)" in out
    assert "height: done in 0:00:0" in out
    assert f"height {cell.mean:.2f} ± {cell.spread:.2f} m" in out
    assert "depth" not in out, "nothing was found of it"
    assert str(folder / "report.html") in out


def test_what_was_measured_outlives_an_end_before_the_last_protocol(run_folder, monkeypatch):
    def interrupted(arena: Arena, cfg: EvaluationCfg) -> Section:
        raise KeyboardInterrupt

    protocols = {
        "height": Protocol(run=height, seconds=lambda cfg: 0.04),
        "other": Protocol(run=interrupted, seconds=lambda cfg: 0.04),
    }
    monkeypatch.setattr(evaluate, "PROTOCOLS", protocols)
    monkeypatch.setattr(evaluate_options, "PROTOCOL_NAMES", tuple(protocols))
    evaluate.main([*SMALL, "--seeds", "0", "--protocols", "height"])
    earlier = (run_folder / "report" / "report.json").read_text()
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        evaluate.main([*SMALL, "--seeds", "1", "--protocols", "height", "other"])
    unfinished = run_folder / "report.unfinished"
    found = Report.from_json((unfinished / "report.json").read_text())
    assert [section.name for section in found.sections] == ["height"]
    assert found.facts["Seeds"] == "1"
    assert (run_folder / "report" / "report.json").read_text() == earlier
    evaluate.main(["env.max_velocity=500", *SMALL, "--seeds", "2", "--protocols", "height"])
    assert not unfinished.exists()
    found = Report.from_json((run_folder / "report" / "report.json").read_text())
    assert found.facts["Seeds"] == "2"
    assert found.facts["Settings"] == "env.max_velocity=500"


def test_a_quick_try_leaves_out_what_takes_longest_and_says_so(run_folder, monkeypatch, capsys):
    walk = Protocol(run=height, seconds=lambda cfg: 0.04)
    monkeypatch.setattr(evaluate, "PROTOCOLS", {"height": walk, "load_limits": walk})
    evaluate.main(SMALL)
    report = Report.from_json((run_folder / "report" / "report.json").read_text())
    assert [section.name for section in report.sections] == ["height"]
    said = "2 robots in walks of 2 s, seeds 0, without load_limits, sim_to_sim"
    assert report.facts["Quick try"].startswith(said)
    printed = capsys.readouterr().out
    told = ("evaluating ", f"quick: {said}", "building the ground and 2 robots", "height: done")
    assert sorted(map(printed.index, told)) == [printed.index(each) for each in told]


def test_a_policy_that_is_fed_the_truth_walks_as_the_upper_bound_does(run_folder):
    evaluate.main([*SMALL, "--protocols", "tracking", "--p_boot_mean", "0", "--seconds", "0.5"])
    report = Report.from_json((run_folder / "report" / "report.json").read_text())
    assert report.facts["Fed"] == "estimates by 0, else the truth"
    (gap,) = (table for table in report.sections[0].tables if table.title.startswith("Gap"))
    gaps = [cell.mean for row in gap.rows for cell in row.cells if cell is not None]
    assert gaps and not any(gaps)


@pytest.mark.usefixtures("run_folder")
def test_foreign_files_where_unfinished_reports_go_are_refused(refuse, tmp_path):
    foreign = tmp_path / "report.unfinished" / "notes.txt"
    foreign.parent.mkdir()
    foreign.touch()
    assert "notes.txt" in refuse(*SMALL, "--output", str(tmp_path / "report"))
    assert foreign.exists()


@pytest.mark.usefixtures("only_height")
def test_report_takes_the_place_of_an_empty_working_directory(run_folder, tmp_path, monkeypatch):
    named = ("--checkpoint", str((run_folder / "model_3.pt").resolve()), "--output", ".")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    evaluate.main([*SMALL, "--seeds", "0", "--protocols", "height", *named])
    assert (tmp_path / "here" / "report.json").exists()


@pytest.mark.usefixtures("only_height")
def test_exported_policy_is_evaluated_as_its_checkpoint_is(run_folder, exported, tmp_path):
    sections = []
    for policy in (run_folder / "model_3.pt", exported / NETWORK_FILE):
        output = tmp_path / policy.suffix
        named = ("--checkpoint", str(policy), "--output", str(output))
        evaluate.main([*SMALL, *named, "--protocols", "height"])
        sections.append(Report.from_json((output / "report.json").read_text()).sections)
    (of_checkpoint, of_network) = (section[0].tables[0].rows[0].cells[0] for section in sections)
    assert of_network.mean == pytest.approx(of_checkpoint.mean, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", (*PROTOCOLS, OUTSIDE))
@pytest.mark.usefixtures("run_folder")
def test_protocol_fills_its_section_in_about_the_time_it_tells(name, tmp_path, monkeypatch):
    walked = []
    original = Arena.rollout

    def watched(self, scenario, *, seconds, seed, p_boot=1.0):
        walked.append(seconds)
        return original(self, scenario, seconds=seconds, seed=seed, p_boot=p_boot)

    monkeypatch.setattr(Arena, "rollout", watched)
    output = tmp_path / "report"
    evaluate.main(
        [*SMALL, "--robots", "8", "--seeds", "0", "--protocols", name, "--output", str(output)]
    )
    (section,) = Report.from_json((output / "report.json").read_text()).sections
    assert section.name == name
    if name in PROTOCOLS and section.tables:
        told = PROTOCOLS[name].seconds(EvaluationCfg.quick())
        assert sum(walked) / 2.0 <= told <= 2.0 * sum(walked)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--robots", "0"], ["--robots 0", "at least 1"]),
        (["--seeds", "1", "1"], ["--seeds 1 1", "different"]),
        (["--seeds", "-1"], ["--seeds -1"]),
        (["--survival_seconds", "0"], ["--survival_seconds 0", "above 0"]),
        (["--protocols", "trackin"], ["'trackin'", "tracking"]),
        (["--p_boot_mean", "1.5"], ["--p_boot_mean 1.5", "from 0 (truth) to 1"]),
        (["--p_boot_mean", "0", "--protocols", OUTSIDE], ["unknown protocol", OUTSIDE]),
        (["--protocols", "xyz"], ["'xyz'", *PROTOCOLS, OUTSIDE]),
        (["--task", TASK.replace("Flat", "Fladd")], ["unknown task", TASK]),
    ],
)
@pytest.mark.usefixtures("run_folder")
def test_mistake_is_told_in_one_line(refuse, argv, words):
    line = refuse(*SMALL, *argv)
    assert all(word in line for word in words), line


@pytest.mark.usefixtures("run_folder")
def test_place_that_cannot_be_written_is_refused_before_anything_is_built(
    refuse, tmp_path, monkeypatch
):
    (tmp_path / "file").touch()
    monkeypatch.setattr(evaluate, "build_vec_env", None)
    assert "cannot be written there" in refuse(*SMALL, "--output", str(tmp_path / "file" / "x"))


def test_how_well_touchdowns_were_foretold_is_a_fact_of_the_report(vec_env, tmp_path, only_height):
    checkpoint = small_checkpoint(vec_env)
    quality = torch.tensor([0.05**2, 0.385, 0.855])
    checkpoint.algorithm["learners"] = {"footholds": {"quality": quality}}
    path = save(checkpoint, tmp_path)
    evaluate.main([*SMALL, "--checkpoint", str(path), "--output", str(tmp_path / "report")])
    report = Report.from_json((tmp_path / "report" / "report.json").read_text())
    fact = report.facts["Touchdowns foretold"]
    assert fact.startswith("5.0 cm off (RMS) in training, 38 % and 86 % within")


def test_a_foretelling_of_another_form_is_refused(refuse, vec_env, tmp_path):
    checkpoint = small_checkpoint(vec_env)
    checkpoint.algorithm["learners"] = {"footholds": {"quality": torch.zeros(2)}}
    path = save(checkpoint, tmp_path)
    line = refuse(*SMALL, "--checkpoint", str(path), "--output", str(tmp_path / "report"))
    assert f"{path}: algorithm.learners.footholds.quality" in line


def test_policy_of_another_family_is_refused(refuse, vec_env, tmp_path):
    path = save(small_checkpoint(vec_env, task="Other-Robot-v0"), tmp_path)
    assert "trained on task Other-Robot-v0" in refuse(*SMALL, "--checkpoint", str(path))
    assert not (tmp_path / "report").exists()


def test_file_that_is_no_exported_policy_is_refused(refuse, tmp_path):
    (tmp_path / "policy.onnx").write_bytes(b"not a model")
    line = refuse(*SMALL, "--checkpoint", str(tmp_path / "policy.onnx"))
    assert "policy.onnx" in line
