"""The levels protocol on robots that pass known levels, and the walk that it asks for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.evaluation import levels as protocol
from rl_sim_env.evaluation.arena import Arena, EvaluationCfg, Scenario, arena_env_cfg
from rl_sim_env.evaluation.evaluator import EvaluationStep
from rl_sim_env.evaluation.levels import FRICTIONS, levels
from rl_sim_env.evaluation.report import Section
from small_policy import small_policy

ROBOTS = 100
"""One for each level, feature and load."""

CFG = EvaluationCfg(seeds=(0, 1), robots=ROBOTS)


class PassesKnownLevels(Arena):
    """Robots that arrive up to a level, and once more at the highest.

    It is 6 unladen and 3 with a load; one more in seed 1, and none at all on the least friction.
    """

    def rollout(
        self, scenario: Scenario, *, seconds: float, seed: int, p_boot: float | None = None
    ) -> Iterator[EvaluationStep]:
        highest = torch.where(scenario.load > 0.0, 3, 6) + seed
        arrives = ((scenario.row <= highest) | (scenario.row == 9)) & (scenario.friction > 0.3)
        for number, step in enumerate(
            super().rollout(scenario, seconds=2 * self.step_dt, seed=seed, p_boot=p_boot)
        ):
            # What robots do once they have begun anew is of no account.
            arrived = arrives if number == 0 else torch.ones_like(arrives)
            yield replace(step, dones=torch.ones_like(arrived), time_outs=arrived)


@pytest.fixture(scope="module")
def rough(make_env) -> AmpVaeVecEnv:
    return AmpVaeVecEnv(make_env(ROBOTS, terrain="rough", edit=arena_env_cfg))


def rows(section: Section) -> dict[str, list[float | None]]:
    return {
        row.label: [cell and cell.mean for cell in row.cells]
        for table in section.tables
        for row in table.rows
    }


def test_the_highest_level_is_that_which_all_seeds_pass_with_all_below(rough):
    section = levels(PassesKnownLevels(rough, small_policy(rough)), CFG)
    found = rows(section)
    # Steps of 5 to 25 cm, blocks of 5 to 20 cm, slopes of 0 to 0.6 in ten levels from 0.
    share = {"0 kg": 6 / 9, "6 kg": 3 / 9}
    for load, of in share.items():
        for feature, size in (
            ("steps up", 5.0 + 20.0 * of),
            ("steps down", 5.0 + 20.0 * of),
            ("blocks up and down", 5.0 + 15.0 * of),
            ("slope up", math.degrees(math.atan(0.6 * of))),
            ("slope down", math.degrees(math.atan(0.6 * of))),
        ):
            assert found.pop(f"{feature}, {load}") == [0.0, *[pytest.approx(size)] * 4]
    assert not found
    assert section.tables[0].columns[0].title == "friction 0.2"
    (plot,) = section.plots
    arrived = dict(zip(plot.series[0].x, plot.series[0].y, strict=True))
    assert (arrived[3.0], arrived[4.0], arrived[5.0], arrived[9.0]) == (100.0, 50.0, 0.0, 100.0)


def test_what_nobody_has_tried_is_not_told(rough, monkeypatch):
    monkeypatch.setattr(protocol, "spread_evenly", lambda num, axes, device: at_level_zero(axes))
    section = levels(PassesKnownLevels(rough, small_policy(rough)), CFG)
    assert all(cells == [None] * len(FRICTIONS) for cells in rows(section).values())


def at_level_zero(axes) -> dict[str, torch.Tensor]:
    return {name: torch.zeros(ROBOTS, dtype=torch.long) for name in axes}


def test_robots_walk_straight_over_all_sides_on_the_friction_that_is_told(rough, monkeypatch):
    arena = Arena(rough, small_policy(rough))
    monkeypatch.setattr(protocol, "WALK_TIME", arena.step_dt)
    monkeypatch.setattr(protocol, "FRICTIONS", (0.3,))
    headings, frictions = [], []
    rollout = arena.rollout

    def watched(scenario, **options):
        for step in rollout(scenario, **options):
            feet = arena.env.index.foot_geoms_global
            headings.append(arena.env.robot_heading())
            frictions.append(arena.env.sim.model.geom_friction[:, feet, 0].clone())
            assert torch.equal(step.command[:, 0], torch.full((ROBOTS,), protocol.WALK_SPEED))
            yield step

    monkeypatch.setattr(arena, "rollout", watched)
    levels(arena, replace(CFG, seeds=(0,)))
    quarters = headings[0] / (math.pi / 2)
    assert (quarters - quarters.round()).abs().max() < 0.1
    assert quarters.round().long().remainder(4).unique().tolist() == [0, 1, 2, 3]
    assert torch.allclose(frictions[0], torch.tensor(0.3))


def test_robots_are_steered_back_to_their_heading(make_env):
    vec_env = AmpVaeVecEnv(make_env(2, edit=arena_env_cfg))
    arena = Arena(vec_env, small_policy(vec_env))
    heading = torch.tensor([0.5, torch.nan])
    told = torch.tensor([[0.5, 0.0, 0.0], [0.5, 0.0, 0.2]])
    scenario = Scenario(heading=heading, command=told)
    previous = None
    for step in arena.rollout(scenario, seconds=0.3, seed=0):
        if previous is not None:
            assert float(step.command[0, 2]) == pytest.approx(0.5 - previous, abs=1e-5)
        assert torch.equal(step.command[1], told[1])
        previous = float(arena.env.robot_heading()[0])
    assert previous != 0.5


def test_a_task_without_features_says_so(make_env):
    vec_env = AmpVaeVecEnv(make_env(1, edit=arena_env_cfg))
    section = levels(Arena(vec_env, small_policy(vec_env)), CFG)
    assert section.tables == () and "neither steps" in section.method
