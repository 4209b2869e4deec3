"""The benchmarks at tiny sizes: their records are complete and add up. Nothing about speed."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from pages import PAGES, benchmark_commands
from rl_sim_env.cli.options import POLICIES
from rl_sim_env.cli.program import parse_options
from rl_sim_env.errors import UserError
from soak import only_in_a_soak

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
FLAT = "Rl-Sim-Env-AmpVae-Grq20-V2d3-Flat-v0"
TINY = ("--task", FLAT, "--num_envs", "2", "--device", "cpu")
LITTLE_LEARNING = (
    *("agent.num_steps_per_env=2", "agent.algorithm.num_learning_epochs=1"),
    *("agent.amp.batch_size=32", "agent.amp.replay_size=1000"),
)


@pytest.fixture
def load(monkeypatch):
    """Imports a module of the benchmarks, which are programs and no package."""
    monkeypatch.syspath_prepend(BENCHMARKS)

    def module(name: str) -> ModuleType:
        return importlib.import_module(name)

    return module


@pytest.fixture
def run(load, tmp_path, capsys):
    """Runs a benchmark and returns its record."""

    def here(name: str, *options: str) -> dict[str, Any]:
        output = tmp_path / f"{name}.json"
        load(name).main((*TINY, "--output", str(output), *options))
        assert FLAT in capsys.readouterr().out
        return json.loads(output.read_text())

    return here


def run_as_users_do(name: str, output: Path, *options: str) -> dict[str, Any]:
    """Run a benchmark as a program, whose imports take seconds, and return its record."""
    program = (sys.executable, str(BENCHMARKS / f"{name}.py"))
    command = (*program, *TINY, "--output", str(output), *options)
    done = subprocess.run(command, cwd=output.parent, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    assert FLAT in done.stdout
    return json.loads(output.read_text())


def assert_tells_where_it_was_measured(record: dict[str, Any]) -> None:
    assert record["packages"].keys() >= {"python", "torch", "mjlab", "mujoco-warp", "warp-lang"}
    assert record["hardware"].keys() >= {"device", "cpu", "cores"}
    assert record["date"].endswith("UTC")
    assert record["commit"]
    assert record["options"]["num_envs"] == 2


def test_record_of_physics_shows_what_each_variant_costs_and_changes(run):
    variants = ("as it is", "elliptic cone")
    record = run("physics_cost", "--seconds", "0.2", "--variants", *variants)
    assert_tells_where_it_was_measured(record)
    assert tuple(record["subjects"]) == variants
    figures = record["subjects"].values()
    assert all(of["physics_ms"] > 0.0 and 0.0 < of["velocity_error"] < 2.0 for of in figures)
    one, other = (of["depth_mm"] for of in figures)
    assert one != other, "the setting has not reached physics"


def test_record_of_an_actors_inputs_tells_how_far_actions_move_without_each(run):
    record = run("actor_inputs", "--seconds", "0.4")
    assert_tells_where_it_was_measured(record)
    figures = record["subjects"]
    held = ("latent", "velocity", "mass", "com", "latent and all estimates")
    assert tuple(figures) == ("as it is", *held, "truth for all estimates")
    changes = {name: figures[name]["action_change"] for name in held}
    assert all(change > 0.0 for change in changes.values())
    assert changes["latent and all estimates"] > changes["mass"]


@only_in_a_soak
def test_record_of_a_seeing_actors_inputs_has_its_map_replaced_in_four_ways(load, tmp_path):
    output = tmp_path / "seeing.json"
    policy = ("--task", "Rl-Sim-Env-AmpVaeVit-Grq20-V2d3-v0", "--checkpoint")
    walk = ("--num_envs", "9", "--seconds", "0.4", "--levels", "4", "--device", "cpu")
    shipped = str(POLICIES / "grq20_v2d3_vit")
    load("actor_inputs").main((*policy, shipped, *walk, "--output", str(output)))
    figures = json.loads(output.read_text())["subjects"]
    replaced = [name for name in figures if name.startswith("terrain_estimate")]
    kinds = ("", ": level", ": of another robot", ": truth")
    assert replaced == [f"terrain_estimate{kind}" for kind in kinds]
    assert all(figures[name]["action_change"] > 0.0 for name in replaced)
    assert figures["as it is"]["all"]["velocity_error"] == figures["as it is"]["velocity_error"]
    assert "action_change" not in figures["truth for all estimates"]


@only_in_a_soak
def test_record_of_map_reading_judges_every_reader_by_every_map(load, tmp_path):
    output = tmp_path / "reading.json"
    policy = ("--task", "Rl-Sim-Env-AmpVaeVit-Grq20-V2d3-v0", "--checkpoint")
    walk = ("--num_envs", "20", "--seconds", "4", "--fit_seconds", "1", "--device", "cpu")
    shipped = str(POLICIES / "grq20_v2d3_vit")
    load("map_reading").main((*policy, shipped, *walk, "--output", str(output)))
    figures = json.loads(output.read_text())["subjects"]
    readers = ("steps around", "side by side", "convolutions", "around the place")
    sources = ("reconstruction", "map", "truth")
    assert list(figures) == [f"{source}: {reader}" for source in sources for reader in readers]
    assert all(0.0 < each["at an edge"] < 0.5 for each in figures.values())
    assert figures["truth: steps around"]["all"] > 0.8


def test_area_under_the_curve_is_the_share_of_pairs_in_order(load):
    area_under = load("map_reading").area_under
    labels = torch.tensor([False, True, False, True])
    assert area_under(torch.tensor([0.1, 0.2, 0.3, 0.4]), labels) == 0.75
    assert area_under(torch.tensor([4.0, 1.0, 3.0, 2.0]), labels) == 0.0


def test_record_of_the_step_has_every_part_and_they_add_up(run):
    record = run("env_step", "--steps", "2", "--repeats", "2")
    assert_tells_where_it_was_measured(record)
    figures = record["subjects"][FLAT]
    assert figures["parts_ms"].keys() == {
        "Simulation.step",
        "Simulation.forward",
        "Simulation.sense",
        "Scene.update",
        "actions, write_data_to_sim",
        "TerminationManager.compute",
        "RewardManager.compute",
        "EventManager.apply",
        "_reset_idx",
        "CommandManager.compute",
        "ObservationManager.compute",
        "all else",
    }
    assert sum(figures["parts_ms"].values()) == pytest.approx(figures["instrumented_step_ms"])
    assert figures["parts_ms"]["Simulation.step"] > 0.0
    assert figures["env_steps_per_s"] == pytest.approx(2 / figures["step_ms"] * 1000)
    assert 0.0 < figures["physics_ms"] < figures["physics_and_forward_ms"]
    assert figures["physics_per_step"] == pytest.approx(figures["physics_ms"] / figures["step_ms"])
    # The repeat that warms up does not count.
    assert len(figures["repeats"]) == 2
    # A CPU has neither, which is not the same as none.
    assert figures["memory_gib"] is None
    assert figures["host_syncs"] is None


def test_record_of_the_iteration_is_complete(tmp_path):
    record = run_as_users_do(
        "train_iteration",
        tmp_path / "iteration.json",
        *("--iterations", "2", "--warm_up", "1", *LITTLE_LEARNING),
    )
    assert_tells_where_it_was_measured(record)
    figures = record["subjects"][FLAT]
    assert figures["num_envs"] * figures["num_steps_per_env"] == 4
    assert len(figures["iterations"]) == 2
    totals = [sum(iteration.values()) for iteration in figures["iterations"]]
    assert figures["iteration_s"] == pytest.approx(sum(totals) / 2)
    assert figures["transitions_per_s"] == pytest.approx(4 / figures["iteration_s"])
    assert figures["startup_s"] > figures["build_s"] > 0.0
    assert figures["first_iteration_s"] > 0.0


def test_record_of_memory_has_what_was_read_after_the_warm_up(run):
    record = run(
        "memory",
        *("--iterations", "5", "--every", "1", "--warm_up", "2", *LITTLE_LEARNING),
    )
    assert_tells_where_it_was_measured(record)
    figures = record["subjects"][FLAT]
    read = dict(figures["resident_mib"])
    assert [*read] == [0, 1, 2, 3, 4]
    assert (figures["after_warm_up_mib"], figures["at_the_end_mib"]) == (read[2], read[4])
    slope = 1000 * (read[4] - read[2]) / 2
    assert figures["growth_mib_per_1000_iterations"] == pytest.approx(slope, abs=1e-6)


@only_in_a_soak
def test_record_of_scaling_compares_processes_that_trained_together(tmp_path):
    record = run_as_users_do(
        "scaling",
        tmp_path / "scaling.json",
        *("--processes", "1", "2", "--kinds", "weak"),
        *("--iterations", "2", "--warm_up", "1", *LITTLE_LEARNING),
    )
    assert_tells_where_it_was_measured(record)
    one, two = record["subjects"]["1 x 2"], record["subjects"]["2 x 2"]
    assert (one["transitions_per_iteration"], two["transitions_per_iteration"]) == (4, 8)
    assert len(two["iterations_s"]) == 2
    assert two["transitions_per_s"] == pytest.approx(8 / two["iteration_s"])
    assert two["iteration_s"] > max(two["collection_s"], two["learning_s"])
    assert (one["speedup"], one["efficiency"]) == (1.0, 1.0)
    assert two["speedup"] == pytest.approx(two["transitions_per_s"] / one["transitions_per_s"])
    assert two["efficiency"] == pytest.approx(two["speedup"] / 2)


def test_strong_scaling_deals_out_the_robots_of_the_first_run(load):
    scaling = load("scaling")
    options = scaling.ScalingOptions(num_envs=12, processes=(1, 2, 4))
    names = [case.name for case in scaling.cases_of(options)]
    assert names == ["1 x 12", "2 x 12", "4 x 12", "2 x 6", "4 x 3"]
    options.processes = (1, 5)
    with pytest.raises(UserError, match="12 robots in all are not a multiple of 5 processes"):
        scaling.cases_of(options)
    options.kinds = ("weak",)
    assert len(scaling.cases_of(options)) == 2


@pytest.mark.parametrize("fixed_shapes", [False, True])
def test_timing_physics_leaves_the_state_as_it_was(load, make_env, fixed_shapes):
    def edit(cfg):
        cfg.fixed_shapes = fixed_shapes

    env = make_env(2, edit=edit)
    for _ in range(3):
        env.step(0.5 * torch.randn(2, 12))
    names = ("qpos", "qvel", "ctrl", "xpos", "sensordata")
    before = {name: getattr(env.sim.data, name).clone() for name in names}
    physics_s, with_forward_s = load("env_step").time_physics(env)
    assert 0.0 < physics_s < with_forward_s
    for name, value in before.items():
        torch.testing.assert_close(getattr(env.sim.data, name), value, msg=name)


class Nested:
    """A whole that works for 2 s and calls a part of 1 s twice, by a clock of its own."""

    now = 0.0

    def whole(self) -> None:
        self.now += 2.0
        self.part()
        self.part()

    def part(self) -> None:
        self.now += 1.0


def test_a_part_is_charged_for_its_own_time_only(load, monkeypatch):
    profilers, nested = load("profilers"), Nested()
    monkeypatch.setattr(time, "perf_counter", lambda: nested.now)
    parts = (profilers.Part("whole", nested, "whole"), profilers.Part("part", nested, "part"))
    timer = profilers.PartTimer(parts, "cpu")
    for _ in range(2):
        with timer:
            nested.now += 0.5
            nested.whole()
        nested.whole()
    assert timer.seconds == {"whole": 4.0, "part": 4.0, "all else": 1.0}


@pytest.mark.parametrize(
    ("device", "task", "stock"),
    [
        ("cuda:0", FLAT, "Mjlab-Velocity-Flat-Unitree-Go1"),
        ("cuda:0", FLAT.replace("-Flat", ""), "Mjlab-Velocity-Rough-Unitree-Go1"),
        ("cpu", FLAT, None),
    ],
)
def test_stock_task_walks_on_the_same_ground(load, device, task, stock):
    cases = load("cases")
    options = cases.CaseOptions(task=task)
    setup, _ = cases.our_setup(options, device)
    assert setup.cfg.fixed_shapes == (device != "cpu")
    assert cases.stock_task(options, setup.cfg, device) == stock


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--stock", "Mjlab-Velocity-Flat-Unitree-G"), "Mjlab-Velocity-Flat-Unitree-G1"),
        (("--steps", "0"), "--steps 0"),
        (("--output", "/dev/null/record.json"), "--output /dev/null/record.json"),
        (("--device", "cuda:99"), "--device"),
    ],
)
def test_mistakes_are_told_in_one_line_before_anything_is_built(
    load, capsys, tmp_path, monkeypatch, options, complaint
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        load("env_step").main((*TINY, *options))
    assert end.value.code == 2
    output = capsys.readouterr()
    assert output.err.startswith("error: ")
    assert complaint in output.err
    assert "building" not in output.out


def test_commands_have_the_options_that_pages_give_them(load, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # As in the checkout once the page without installation is made.
    (tmp_path / "policies").symlink_to(POLICIES)
    index = Path("build", "web", "index.html")
    index.parent.mkdir(parents=True)
    index.touch()
    shown = [command for page in PAGES for command in benchmark_commands(page)]
    assert shown
    for program, *arguments in shown:
        module = load(program.removesuffix(".py"))
        words = program.removesuffix(".py").split("_")
        options = getattr(module, f"{''.join(map(str.title, words))}Options", None)
        if options is None:  # deploy_step.py is given a file and nothing else
            assert len(arguments) == 1
        else:
            parse_options(options, ["cpu" if word == "cuda" else word for word in arguments])
