"""Velocity commands: ranges by terrain family and level, and the three special kinds."""

from __future__ import annotations

import math

import pytest
import torch

from rl_sim_env.errors import UserError

# Family: vx at level 0, greatest vx at level 1, greatest yaw rate at level 0 and at level 1.
RANGES = {
    "pyramid_stairs": ((-0.5, 0.5), 1.0, 0.15, 1.0),
    "pyramid_stairs_inv": ((0.0, 0.5), 1.0, 0.25, 1.0),
    "boxes": ((0.0, 0.5), 1.0, 0.25, 1.0),
    "random_rough": ((-0.5, 0.5), 1.0, 0.25, 1.0),
    "hf_pyramid_slope": ((-0.5, 0.5), 1.0, 0.25, 1.0),
    "hf_pyramid_slope_inv": ((-0.5, 0.5), 1.0, 0.25, 1.0),
    "plane_run": ((-0.5, 0.5), 1.2, 0.25, 1.5),
}
DRAWS = 300


def rough(cfg):
    cfg.scene.terrain.terrain_generator.num_rows = 2


def kinds(heading: float = 0.0, yaw_only: float = 0.0, standing: float = 0.0):
    def edit(cfg):
        command = cfg.commands["velocity"]
        command.heading_prob = heading
        command.yaw_only_prob = yaw_only
        command.standing_prob = standing

    return edit


def draw(env, times: int = DRAWS) -> torch.Tensor:
    """Commands of many draws. Shape (times, num_envs, 3)."""
    command, ids = env.velocity_command, torch.arange(env.num_envs)
    drawn = []
    for _ in range(times):
        command.reset(ids)
        drawn.append(command.command.clone())
    return torch.stack(drawn)


def set_level(env, level: float) -> None:
    command = env.velocity_command
    command.load_training_state({"level": dict.fromkeys(command.family_names, level)})


@pytest.mark.parametrize("num_envs", (1, 7))
def test_each_family_keeps_its_ranges_at_both_ends_of_the_curriculum(make_env, num_envs):
    env = make_env(num_envs, terrain="rough", edit=rough)
    names = env.terrain_types.names
    assert set(names) == set(RANGES)
    assert torch.equal(env.velocity_command.family, env.scene.terrain.terrain_types)
    families = [names[i] for i in env.scene.terrain.terrain_types]
    assert len(set(families)) == num_envs
    for level in (0, 1):
        set_level(env, level)
        drawn = draw(env)
        for i, family in enumerate(families):
            start, fastest, *turns = RANGES[family]
            low, high = start if level == 0 else (-fastest, fastest)
            sideways, yaw = (0.5, 1.0)[level], turns[level]
            vx, vy, wz = drawn[:, i].unbind(dim=-1)
            # None outside, and the range is used up to its ends (0 is a command of its own).
            assert low <= vx.min() <= low + 0.1 and high - 0.1 <= vx.max() <= high
            assert -sideways <= vy.min() <= 0.1 - sideways
            assert sideways - 0.1 <= vy.max() <= sideways
            assert -yaw <= wz.min() <= -0.8 * yaw and 0.8 * yaw <= wz.max() <= yaw


def test_missing_ranges_for_a_family_are_an_error(make_env):
    def edit(cfg):
        del cfg.commands["velocity"].terrains["plane_run"]

    with pytest.raises(UserError, match="plane_run"):
        make_env(1, edit=edit)


def test_heading_command_turns_towards_the_target_and_stops_there(make_env, place):
    env = make_env(8, edit=kinds(heading=1.0))
    command = env.velocity_command
    set_level(env, 1.0)  # Wide enough for the largest heading error.
    place(env, yaw=3.0)
    draw(env, 1)
    command.command[:, 0] = 0.5
    command.compute(dt=0.0)
    first = command.command[:, 2].clone()
    assert first.abs().max() <= 0.5 * math.pi / 2
    place(env, yaw=3.0 + 0.4)  # Past the point where angles wrap.
    command.compute(dt=0.0)
    torch.testing.assert_close(command.command[:, 2], first - 0.5 * 0.4, atol=1e-5, rtol=0.0)

    set_level(env, 0.0)
    command.compute(dt=0.0)
    limit = env.cfg.commands["velocity"].terrains["plane_run"].ang_vel_z_start[1]
    assert (first - 0.2).abs().max() > limit, "the limit matters"
    torch.testing.assert_close(
        command.command[:, 2], (first - 0.2).clamp(-limit, limit), atol=1e-5, rtol=0.0
    )


def test_robots_that_obey_the_full_task_are_told_to_turn_fast_for_much_of_their_time(make_env):
    env = make_env(70, terrain="rough", edit=rough)
    set_level(env, 1.0)
    env.velocity_command.reset(torch.arange(70))
    yaw, fast = torch.zeros(70), []
    for _ in range(500):
        env.sim.data.qpos[:, 3], env.sim.data.qpos[:, 6] = (0.5 * yaw).cos(), (0.5 * yaw).sin()
        env.sim.data.qpos[:, 4:6] = 0.0
        env.velocity_command.compute(env.step_dt)
        rate = env.velocity_command.command[:, 2]
        yaw += rate * env.step_dt
        fast.append(rate.abs() > 0.5)
    # Headings decay: with nine of ten of them it is 0.08.
    assert 0.35 < torch.stack(fast).float().mean() < 0.5


def test_yaw_only_commands_turn_on_the_spot(make_env):
    env = make_env(4, edit=kinds(heading=1.0, yaw_only=1.0))
    drawn = draw(env, 50)
    env.velocity_command.compute(dt=0.0)
    assert (drawn[..., :2] == 0.0).all()
    assert drawn[..., 2].abs().max() > 0.2
    # The yaw rate that was drawn stands, no heading overrides it.
    moving = env.velocity_command.is_moving
    assert torch.equal(env.velocity_command.command[moving], drawn[-1][moving])


def test_standing_commands_are_zero_and_not_moving(make_env):
    env = make_env(4, edit=kinds(heading=1.0, standing=1.0))
    env.velocity_command.compute(dt=0.0)
    assert (env.velocity_command.command == 0.0).all()
    assert not env.velocity_command.is_moving.any()


def test_small_commands_become_zero(make_env):
    env = make_env(4, edit=kinds())
    command = env.velocity_command
    for given, expected in (
        ((0.05, 0.05, 0.2), (0.0, 0.0, 0.2)),
        ((0.05, 0.05, 0.05), (0.0, 0.0, 0.0)),
        ((0.09, 0.09, 0.05), (0.09, 0.09, 0.05)),
    ):
        command._start = command._final = torch.tensor(given).view(1, 3, 1).expand(1, 3, 2)
        draw(env, 1)
        command.compute(dt=0.0)
        torch.testing.assert_close(command.command, torch.tensor(expected).expand(4, 3))


def test_commands_are_drawn_anew_after_their_time_and_at_resets(make_env):
    env = make_env(4, edit=kinds())
    command = env.velocity_command
    shortest, longest = command.cfg.resampling_time_range
    before = command.command.clone()
    command.compute(dt=shortest - 0.1)
    assert torch.equal(command.command, before)
    command.compute(dt=longest - shortest + 0.2)
    assert (command.command != before).any(dim=-1).all()
    before = command.command.clone()
    env.reset(env_ids=torch.tensor([1]))
    changed = (command.command != before).any(dim=-1)
    assert changed.tolist() == [False, True, False, False]


def test_set_constant_holds_until_the_next_reset(make_env):
    env = make_env(2, edit=kinds(heading=1.0))
    env.velocity_command.set_constant((0.4, 0.0, -0.3))
    for _ in range(3):
        env.step(torch.zeros(2, 12))
    expected = torch.tensor((0.4, 0.0, -0.3)).expand(2, 3)
    torch.testing.assert_close(env.velocity_command.command, expected)
    env.reset()
    assert not torch.isclose(env.velocity_command.command, expected).all()


@pytest.mark.parametrize("speed", (0.5, 1.0, 0.1))
def test_progress_counts_speed_along_the_command_up_to_what_was_asked(make_env, place, speed):
    env = make_env(1)
    command = env.velocity_command
    env.episode_length_buf[:] = 1
    command.load_training_state(command.training_state())  # Forget the statistics so far.
    steps = 10
    # Half the time forwards, half the time backwards: the net displacement is zero.
    for direction in (1.0, -1.0):
        command.set_constant((0.5 * direction, 0.0, 0.0))
        place(env, yaw=1.0, lin_vel=rotated(speed * direction, 1.0))
        for _ in range(steps):
            command.compute(dt=env.step_dt)
    seconds = 2 * steps * env.step_dt
    error = abs(speed - 0.5)
    assert command.commanded_distance[0] == pytest.approx(0.5 * seconds, rel=1e-4)
    assert command.progress[0] == pytest.approx(min(speed, 0.5) * seconds, rel=1e-4)
    tracking = command.tracking[0] / command.steps[0]
    assert tracking == pytest.approx(math.exp(-(error**2) / 0.25), rel=1e-4)


def rotated(speed: float, yaw: float) -> tuple[float, float, float]:
    return speed * math.cos(yaw), speed * math.sin(yaw), 0.0


def test_episode_metrics_are_means_over_the_judged_steps(make_env, place):
    env = make_env(2)
    command = env.velocity_command
    env.reset()
    env.episode_length_buf[:] = 1
    command.set_constant((0.5, 0.0, 0.4))
    place(env, lin_vel=(0.2, 0.4, 0.0), ang_vel=(0.0, 0.0, 0.1))
    for _ in range(5):
        command.compute(dt=env.step_dt)
    metrics = {name: (total / command.steps).mean() for name, total in command.metrics.items()}
    assert metrics["error_vel_xy"] == pytest.approx(0.5, rel=1e-4)
    assert metrics["error_vel_yaw"] == pytest.approx(0.3, rel=1e-4)


def test_arrows_point_where_robots_are_told_to_go_and_where_they_go(make_env):
    env = make_env(2)
    command, drawn = env.velocity_command, []

    class Paper:
        def get_env_indices(self, num_envs: int) -> range:
            return range(num_envs)

        def add_arrow(self, start, end, color, width) -> None:
            drawn.append(torch.tensor(end - start))

    quarter = torch.tensor((math.cos(math.pi / 4), 0.0, 0.0, math.sin(math.pi / 4)))
    env.sim.data.qpos[:, env.robot.indexing.free_joint_q_adr[3:]] = quarter
    env.sim.data.qvel[:, env.robot.indexing.free_joint_v_adr[:3]] = torch.tensor((0.0, 0.5, 0.0))
    env.sim.refresh()
    command.command[:] = torch.tensor((0.0, 1.0, 0.3))
    command.debug_vis(Paper())
    # They look to the left: what is left of them is behind, and what is to the left, ahead.
    told, gone = torch.tensor((-1.0, 0.0, 0.0)), torch.tensor((0.0, 0.5, 0.0))
    torch.testing.assert_close(
        torch.stack(drawn[:4]).float(), torch.stack((told, gone) * 2), atol=1e-5, rtol=0.0
    )
