"""Levels follow what the robots can do."""

from __future__ import annotations

import pytest
import torch

from rl_sim_env.envs.training_state import load_training_state, training_state

STEPS = 500


@pytest.fixture(scope="module")
def flat(make_env):
    def edit(cfg):
        cfg.curriculum["command_level"].params["step"] = 0.1

    return make_env(4, edit=edit)


@pytest.fixture(scope="module")
def rough(make_env):
    env = make_env(7, terrain="rough")
    assert sorted(env.velocity_command.family.tolist()) == list(range(7))
    return env


def end_episodes(
    env, *, tracking: float = 0.0, progress: float = 0.0, commanded: float = 5.0, steps: int = STEPS
) -> None:
    """Give all robots an episode's statistics and reset them."""
    command = env.velocity_command
    command.steps[:] = steps
    command.tracking[:] = tracking * steps
    command.commanded_distance[:] = commanded
    command.progress[:] = progress * commanded
    env.reset()


def fall(env) -> None:
    env.termination_manager.terminated[:] = True


@pytest.fixture(autouse=True)
def nobody_has_fallen(flat, rough):
    for env in (flat, rough):
        env.termination_manager.terminated[:] = False


@pytest.mark.parametrize(
    ("tracking", "steps", "change"),
    ((0.9, STEPS, 0.1), (0.5, STEPS, 0.0), (0.2, STEPS, -0.1), (0.9, 20, 0.0), (0.2, 20, 0.0)),
)
def test_command_level_follows_tracking(flat, tracking, steps, change):
    flat.velocity_command.level[:] = 0.5
    end_episodes(flat, tracking=tracking, steps=steps)
    assert flat.velocity_command.level.item() == pytest.approx(0.5 + change)


def test_command_level_falls_with_falls_however_short_and_stays_in_its_range(flat):
    flat.velocity_command.level[:] = 0.05
    fall(flat)
    end_episodes(flat, tracking=0.9, steps=20)
    assert flat.velocity_command.level.item() == 0.0
    flat.velocity_command.level[:] = 0.95
    flat.termination_manager.terminated[:] = False
    end_episodes(flat, tracking=0.9)
    assert flat.velocity_command.level.item() == 1.0


def test_command_level_moves_in_proportion_to_the_robots_that_report(flat):
    flat.velocity_command.level[:] = 0.5
    flat.velocity_command.steps[:] = STEPS
    flat.velocity_command.tracking[:] = 0.9 * STEPS
    flat.reset(env_ids=torch.tensor([2]))
    assert flat.velocity_command.level.item() == pytest.approx(0.5 + 0.1 / 4)


def test_only_the_family_that_tracks_gets_wider_commands(rough):
    command = rough.velocity_command
    command.level[:] = 0.5
    good = command.family == 3
    command.steps[:] = STEPS
    command.tracking[:] = torch.where(good, 0.9, 0.5) * STEPS
    rough.reset()
    expected = torch.full((7,), 0.5)
    expected[3] = 0.6
    torch.testing.assert_close(command.level, expected)


@pytest.mark.parametrize(
    ("progress", "commanded", "change"),
    ((0.95, 5.0, 1), (0.6, 5.0, 0), (0.3, 5.0, -1), (-0.5, 5.0, -1), (0.95, 0.5, 0), (0.0, 0.5, 0)),
)
def test_terrain_level_follows_progress(rough, progress, commanded, change):
    terrain = rough.scene.terrain
    terrain.terrain_levels[:] = 4
    end_episodes(rough, progress=progress, commanded=commanded)
    assert (terrain.terrain_levels == 4 + change).all()
    origins = terrain.terrain_origins[terrain.terrain_levels, terrain.terrain_types]
    assert torch.equal(terrain.env_origins, origins)
    offset = rough.robot.data.root_link_pos_w[:, :2] - origins[:, :2]
    assert (offset.abs() <= 0.5 + 1e-5).all(), "robots start on the new tile"


@pytest.mark.parametrize("commanded", (0.0, 5.0))
def test_terrain_level_falls_after_a_fall(rough, commanded):
    rough.scene.terrain.terrain_levels[:] = 4
    fall(rough)
    end_episodes(rough, progress=1.0, commanded=commanded)
    assert (rough.scene.terrain.terrain_levels == 3).all()


def test_a_reset_without_an_episode_changes_no_level(rough):
    rough.scene.terrain.terrain_levels[:] = 4
    rough.velocity_command.level[:] = 0.5
    rough.reset()
    fall(rough)
    rough.reset()
    assert (rough.scene.terrain.terrain_levels == 4).all()
    assert (rough.velocity_command.level == 0.5).all()


def test_levels_survive_in_the_training_state(rough, make_env):
    rough.velocity_command.level[:] = torch.linspace(0.1, 0.7, 7)
    levels = torch.arange(7)
    rough.scene.terrain.terrain_levels[:] = levels
    rough.common_step_counter = 1234
    state = training_state(rough, episodes=False)

    resumed = make_env(7, terrain="rough")
    # Episodes that ran before the state was loaded have no say.
    resumed.velocity_command.steps[:] = STEPS
    load_training_state(resumed, state)
    torch.testing.assert_close(resumed.velocity_command.level, rough.velocity_command.level)
    assert torch.equal(resumed.scene.terrain.terrain_levels, levels)
    assert resumed.common_step_counter == 1234
    terrain = resumed.scene.terrain
    offset = resumed.robot.data.root_link_pos_w - terrain.terrain_origins[levels, torch.arange(7)]
    assert (offset[:, :2].abs() <= 0.5 + 1e-5).all()

    plane = make_env(2)
    load_training_state(plane, state)
    family = rough.velocity_command.family_names.index("plane_run")
    assert plane.velocity_command.level.item() == pytest.approx(
        rough.velocity_command.level[family].item()
    )
