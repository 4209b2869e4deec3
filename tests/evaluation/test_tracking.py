"""The tracking protocol."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.errors import UserError
from rl_sim_env.evaluation.arena import Arena, EvaluationCfg, Scenario, arena_env_cfg
from rl_sim_env.evaluation.evaluator import EvaluationStep
from rl_sim_env.evaluation.protocols import PROTOCOLS
from rl_sim_env.evaluation.report import Section, Table
from rl_sim_env.evaluation.tracking import HIM, SETTLING_TIME, tracking
from small_policy import small_policy

ROBOTS = 12
CFG = EvaluationCfg(seeds=(0, 1), robots=ROBOTS, seconds=0.1)


class KnownErrors(Arena):
    """Robots that miss their commands by known amounts, half as much when fed the truth."""

    def rollout(
        self, scenario: Scenario, *, seconds: float, seed: int, p_boot: float | None = None
    ) -> Iterator[EvaluationStep]:
        factor = 0.5 if p_boot == 0.0 else 1.0
        kilograms = scenario.load
        rollout = super().rollout(scenario, seconds=seconds, seed=seed, p_boot=p_boot)
        for number, step in enumerate(rollout):
            miss = torch.tensor([0.3, -0.4]).expand(self.num_robots, 2)
            miss = factor * (1.0 + kilograms[:, None]) * miss
            yield replace(
                step,
                velocity=step.command[:, :2] + miss,
                yaw_rate=step.command[:, 2] - 0.1 * factor,
                dones=torch.full_like(step.dones, number == 2),
                time_outs=torch.zeros_like(step.time_outs),
            )


@pytest.fixture(scope="module")
def vec_env(make_env) -> AmpVaeVecEnv:
    return AmpVaeVecEnv(make_env(ROBOTS, edit=arena_env_cfg))


@pytest.fixture(scope="module")
def rough(make_env) -> AmpVaeVecEnv:
    return AmpVaeVecEnv(make_env(84, terrain="rough", edit=arena_env_cfg))


def table(section: Section, title: str) -> Table:
    return next(table for table in section.tables if table.title.startswith(title))


def means(table: Table) -> list[float]:
    """Figures of a table's only row, those left out that too short a walk does not have."""
    (row,) = table.rows
    return [cell.mean for cell in row.cells if cell is not None]


def test_errors_are_distances_to_the_command(vec_env):
    section = tracking(KnownErrors(vec_env, small_policy(vec_env)), CFG)
    # 0.5 m/s times one plus the load, of which the mean is 3 kg; a fall in each walk of 0.1 s.
    found = means(table(section, "Tracking"))
    assert found == pytest.approx([2.0, 0.1, 2.0, 0.1, 1000.0 / 0.1], rel=1e-4)
    by_load = means(table(section, "Velocity error"))
    assert by_load == pytest.approx([0.5, 1.5, 2.5, 3.5], rel=1e-4)
    assert means(table(section, "Yaw rate error")) == pytest.approx([0.1] * 4, rel=1e-4)


def test_robots_without_load_stand_beside_published_figures(rough):
    section = tracking(KnownErrors(rough, small_policy(rough)), CFG)
    beside = table(section, "Without load")
    assert [column.title for column in beside.columns] == list(HIM)
    for number, known in enumerate((0.5, 0.1, 0.5, 0.1)):
        ours, theirs = (row.cells for row in beside.rows[2 * number : 2 * number + 2])
        assert [cell.mean for cell in ours] == pytest.approx([known] * 4, rel=1e-4)
        assert [cell.mean for cell in theirs] == [of[number] for of in HIM.values()]


class MissByTheirLevel(Arena):
    """Robots that miss their commands by 0.1 rad/s times the level of their terrain."""

    def rollout(self, scenario: Scenario, **of) -> Iterator[EvaluationStep]:
        for step in super().rollout(scenario, **of):
            yield replace(step, yaw_rate=step.command[:, 2] - 0.1 * scenario.row)


def test_levels_of_the_terrain_are_told_apart(rough):
    arena = MissByTheirLevel(rough, small_policy(rough))
    levels = tuple(range(10))
    section = tracking(arena, replace(CFG, levels=levels, seeds=(0,)))
    rows = table(section, "Tracking by level").rows
    assert [row.label for row in rows] == [f"level {level}" for level in levels]
    errors = [row.cells[4].mean for row in rows]
    assert errors == pytest.approx([0.1 * level for level in levels], abs=1e-5)
    assert all(of.levels == levels for of in section.tables)


class MissByTheirPlace(Arena):
    """Robots that fall on stairs down alone, and miss commands by 0.1 m/s times the level there."""

    def rollout(self, scenario: Scenario, **of) -> Iterator[EvaluationStep]:
        is_there = scenario.family == self.env.terrain_types.names.index("pyramid_stairs")
        for step in super().rollout(scenario, **of):
            miss = 0.1 * scenario.row * is_there
            velocity = step.command[:, :2] + torch.stack((miss, torch.zeros_like(miss)), dim=-1)
            yield replace(step, velocity=velocity, dones=is_there, time_outs=~is_there)


def test_errors_and_falls_are_told_by_terrain_and_level(make_env):
    vec_env = AmpVaeVecEnv(make_env(84, terrain="rough", edit=arena_env_cfg))
    cfg = replace(CFG, levels=(2, 5), seeds=(0,), seconds=0.04)
    section = tracking(MissByTheirPlace(vec_env, small_policy(vec_env)), cfg)
    error, falls = (
        {row.label: row.cells for row in table(section, f"{title} by terrain and level").rows}
        for title in ("Velocity error", "Falls")
    )
    assert [cell.mean for cell in error["stairs down"]] == pytest.approx([0.2, 0.5], abs=1e-5)
    assert [cell.mean for cell in error["stairs up"]] == pytest.approx([0.0, 0.0], abs=1e-5)
    for label, expected in (("stairs down", 1000.0 / vec_env.step_dt), ("slopes", 0.0)):
        assert [cell.mean for cell in falls[label]] == pytest.approx([expected] * 2)
    # A third of the robots is told velocities alone.
    assert sum(cell.robots for cell in falls["all"]) == 3 * sum(
        cell.robots for cell in error["all"]
    )


class MissByTheirSensors(Arena):
    """Robots that miss their commands by 0.1 rad/s, three times as much on hardware."""

    def rollout(self, scenario: Scenario, **of) -> Iterator[EvaluationStep]:
        for step in super().rollout(scenario, **of):
            active = self.env.scene["proprioception"].hardware.active
            yield replace(step, yaw_rate=step.command[:, 2] - 0.1 * (1.0 + 2.0 * active))


def test_other_sensors_have_rows_of_their_own(make_env):
    def edit(cfg):
        arena_env_cfg(cfg)
        cfg.sensors = "hardware"

    vec_env = AmpVaeVecEnv(make_env(ROBOTS, edit=edit))
    arena = MissByTheirSensors(vec_env, small_policy(vec_env), sensors="ideal")
    section = PROTOCOLS["tracking"].measure(arena, replace(CFG, sensors=("ideal", "hardware")))
    assert arena.sensors == "ideal"
    rows = table(section, "Yaw rate error").rows
    assert [row.label for row in rows] == ["flat", "flat, hardware sensors"]
    for row, known in zip(rows, (0.1, 0.3), strict=True):
        assert [cell.mean for cell in row.cells] == pytest.approx([known] * 4, rel=1e-4)
    bound = [row.cells[2].mean for row in table(section, "Upper bound").rows]
    assert bound == pytest.approx([0.1, 0.3], rel=1e-4)


def test_sensors_as_on_hardware_need_an_environment_that_has_them(vec_env):
    arena = Arena(vec_env, small_policy(vec_env), sensors="hardware")
    with pytest.raises(UserError, match=r"env\.sensors=hardware"):
        tracking(arena, CFG)


class SlowToObey(Arena):
    """Robots that stand still until a second and a step after each change of the command."""

    def rollout(
        self, scenario: Scenario, *, seconds: float, seed: int, p_boot: float | None = None
    ) -> Iterator[EvaluationStep]:
        for number, step in enumerate(
            super().rollout(scenario, seconds=seconds, seed=seed, p_boot=p_boot)
        ):
            obeys = number > round(SETTLING_TIME / self.step_dt)
            yield replace(step, velocity=step.command[:, :2] * obeys)


def test_a_held_command_is_judged_once_robots_had_time_to_settle(vec_env):
    cfg = replace(CFG, seconds=SETTLING_TIME + 0.1)
    section = tracking(SlowToObey(vec_env, small_policy(vec_env)), cfg)
    (row,) = table(section, "Tracking").rows
    error, held = row.cells[:2]
    assert error.mean > 0.1
    assert held.mean == pytest.approx(0.0, abs=1e-6)


def test_the_upper_bound_is_on_the_truth_and_the_gap_is_what_estimates_cost(vec_env):
    section = tracking(KnownErrors(vec_env, small_policy(vec_env)), CFG)
    assert means(table(section, "Upper bound"))[:2] == pytest.approx([1.0, 0.05], rel=1e-4)
    assert means(table(section, "Gap"))[:2] == pytest.approx([1.0, 0.05], rel=1e-4)


def test_figures_tell_seeds_and_robots(vec_env):
    section = tracking(KnownErrors(vec_env, small_policy(vec_env)), CFG)
    velocity, *_, falls = table(section, "Tracking").rows[0].cells
    assert (velocity.seeds, velocity.robots) == (2, ROBOTS // 3)
    assert falls.robots == ROBOTS
    assert table(section, "Velocity error").rows[0].cells[0].robots == ROBOTS // 12


def test_the_same_seeds_give_the_same_figures(vec_env):
    arena = Arena(vec_env, small_policy(vec_env))
    assert tracking(arena, CFG) == tracking(arena, CFG)
