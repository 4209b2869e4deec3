"""One control step: the true next state, resets, and states that physics has broken."""

from __future__ import annotations

import math

import pytest
import torch

from rl_sim_env.configuration import apply_settings
from rl_sim_env.errors import UserError
from rl_sim_env.learning.training_env import Breakdowns

NO_ACTION = torch.zeros(3, 12)


def calm(cfg) -> None:
    """Nothing changes by chance within an episode."""
    cfg.events.pop("push")
    cfg.commands["velocity"].heading_prob = 0.0


@pytest.fixture(scope="module")
def env(make_env):
    return make_env(3, edit=calm)


def lay_on_side(env, env_id: int) -> None:
    quat = torch.tensor((math.cos(math.pi / 4), math.sin(math.pi / 4), 0.0, 0.0))
    env.sim.data.qpos[env_id, env.robot.indexing.free_joint_q_adr[3:7]] = quat


def term(env, obs, group: str, name: str) -> torch.Tensor:
    return obs[group][:, env.observation_layout.slice(group, name)]


def test_terminal_observation_is_the_state_before_the_reset(env):
    env.reset()
    env.step(NO_ACTION)
    lay_on_side(env, 1)
    obs, _, terminated, _, extras = env.step(NO_ACTION)
    assert terminated.tolist() == [False, True, False]
    last = term(env, extras["terminal_obs"], "critic_obs", "projected_gravity")[1]
    assert abs(last[2]) < 0.1 and abs(last[1]) > 0.9
    fresh = term(env, obs, "critic_obs", "projected_gravity")[1]
    assert fresh[2] < -0.99


def test_terminal_observation_of_running_episodes_is_the_next_observation(env):
    env.reset()
    for _ in range(3):
        obs, *_, extras = env.step(0.5 * torch.randn(3, 12))
        for group in ("critic_obs", "amp_obs"):
            assert torch.equal(extras["terminal_obs"][group], obs[group])


def test_terminal_observation_after_a_time_out(env):
    env.reset()
    env.velocity_command.set_constant((0.4, 0.0, 0.0))
    env.episode_length_buf[0] = env.max_episode_length - 1
    height = env.robot.data.root_link_pos_w[:, 2]
    obs, _, terminated, time_outs, extras = env.step(NO_ACTION)
    assert time_outs.tolist() == [True, False, False] and not terminated.any()
    command = term(env, extras["terminal_obs"], "critic_obs", "velocity_commands")
    assert torch.allclose(command, torch.tensor((0.8, 0.0, 0.0)).expand(3, 3))
    assert not torch.equal(extras["terminal_obs"]["amp_obs"][0], obs["amp_obs"][0])
    assert env.episode_length_buf.tolist() == [0, 1, 1]
    assert height.isfinite().all()


def test_rewards_judge_the_state_that_the_action_led_to(env):
    env.reset()
    env.velocity_command.set_constant((0.5, 0.0, 0.0))
    *_, extras = env.step(NO_ACTION)
    velocity = term(env, extras["terminal_obs"], "amp_obs", "base_lin_vel_xy")
    error = velocity - torch.tensor((0.5, 0.0))
    tracking = torch.exp(-error.square().sum(dim=-1) / 0.25)
    column = env.reward_manager.active_terms.index("track_lin_vel_xy_exp")
    torch.testing.assert_close(env.reward_manager._step_reward[:, column], 1.5 * tracking)


def test_style_counts_only_while_moving_and_by_terrain(make_env):
    env = make_env(7, terrain="rough", edit=calm)
    scale = env.cfg.style.terrain_scale
    expected = [scale.get(env.terrain_types.names[i], 1.0) for i in env.terrain_types.ids]
    assert min(expected) < 1.0
    env.velocity_command.set_constant((0.5, 0.0, 0.0))
    *_, extras = env.step(torch.zeros(7, 12))
    torch.testing.assert_close(extras["style_scale"], torch.tensor(expected))
    env.velocity_command.set_constant((0.0, 0.0, 0.0))
    *_, extras = env.step(torch.zeros(7, 12))
    assert (extras["style_scale"] == 0.0).all()


@pytest.mark.parametrize(
    ("field", "value"), (("qpos", math.nan), ("qpos", math.inf), ("qvel", math.nan), ("qvel", 1e8))
)
def test_a_broken_robot_starts_anew_is_counted_and_disturbs_nobody(make_env, env, field, value):
    undisturbed = make_env(3, edit=calm)
    for each in (env, undisturbed):
        each.reset(seed=5)
        each.step(NO_ACTION)
    env.check_health()
    fall = env.cfg.rewards["is_terminated"]
    getattr(env.sim.data, field)[1, 9] = value
    obs, reward, terminated, time_outs, extras = env.step(NO_ACTION)
    expected = undisturbed.step(NO_ACTION)

    assert terminated.tolist() == [False, True, False] and not time_outs.any()
    for tensor in (*obs.values(), *extras["terminal_obs"].values(), reward, extras["style_scale"]):
        assert tensor.isfinite().all()
    # It is paid for its fall, and for nothing else.
    assert reward[1] == pytest.approx(fall.weight * fall.params["initial_share"] * env.step_dt)
    assert extras["state_is_valid"].tolist() == [True, False, True]
    assert all((group[1] == 0.0).all() for group in extras["terminal_obs"].values())
    others = torch.tensor((0, 2))
    for group in ("actor_obs", "critic_obs", "amp_obs"):
        torch.testing.assert_close(obs[group][others], expected[0][group][others])
    torch.testing.assert_close(reward[others], expected[1][others])
    assert env.check_health() == Breakdowns(robots=1, resets=1)
    assert env.check_health() == Breakdowns()
    for _ in range(3):
        obs, reward, *_ = env.step(NO_ACTION)
        assert all(group.isfinite().all() for group in obs.values()) and reward.isfinite().all()
    for robot in (0, 0, 2):
        getattr(env.sim.data, field)[robot, 9] = value
        env.step(NO_ACTION)
    assert env.check_health() == Breakdowns(robots=2, resets=3)


def test_reward_terms_at_fault_are_logged_but_not_for_broken_robots(make_env):
    def edit(cfg):
        calm(cfg)
        cfg.rewards["stand_still"].func = lambda env: torch.tensor((math.nan, 0.0, math.nan))

    env = make_env(3, edit=edit)
    env.step(NO_ACTION)
    env.sim.data.qvel[0, 9] = math.nan
    _, reward, *_ = env.step(NO_ACTION)
    assert reward.isfinite().all()
    log = env.read_log()
    assert log["Reward_Faults/stand_still"] == (3, 5)
    assert log["Reward_Faults/joint_power"] == (0, 5)
    assert not any(name.startswith("Reward_Faults") for name in env.read_log())


@pytest.mark.parametrize("largest", (0.0, math.inf, math.nan))
def test_a_largest_reward_that_lets_nothing_or_anything_pass_is_refused(make_env, largest):
    with pytest.raises(UserError, match="largest_reward is"):
        make_env(1, edit=lambda cfg: setattr(cfg, "largest_reward", largest))


def test_the_state_dump_reproduces_the_next_step(make_env, env, tmp_path):
    env.reset()
    env.step(NO_ACTION)
    env.dump_state(tmp_path / "dump.pt")
    dump = torch.load(tmp_path / "dump.pt", weights_only=True)
    other = make_env(3, edit=calm)
    for name, values in dump["present"].items():
        source = other.sim.data if name in ("qpos", "qvel", "ctrl") else other.sim.model
        if hasattr(source, name):
            getattr(source, name)[:] = values
    for each in (env, other):
        each.sim.step()
    torch.testing.assert_close(other.sim.data.qpos, env.sim.data.qpos, atol=1e-5, rtol=0.0)


def test_the_state_dump_keeps_what_the_last_broken_robot_was_before_it_broke(env, tmp_path):
    env.reset()
    before = env.sim.data.qpos[1].clone()
    mass = env.sim.model.body_mass[1].clone()
    env.sim.data.qvel[1, 9] = 1e8
    env.step(NO_ACTION)
    env.step(NO_ACTION)
    env.dump_state(tmp_path / "dump.pt")
    broken = torch.load(tmp_path / "dump.pt", weights_only=True)["broken"]
    assert broken["env_ids"].tolist() == [1]
    torch.testing.assert_close(broken["qpos"][0], before)
    torch.testing.assert_close(broken["body_mass"][0], mass)
    assert broken["qvel"][0, 9] == 1e8


@pytest.mark.parametrize("num_envs", (0, -3))
def test_a_number_of_robots_below_one_is_refused(make_env, num_envs):
    with pytest.raises(UserError, match=f"num_envs is {num_envs}"):
        make_env(num_envs)


def test_a_robot_whose_legs_no_drive_moves_is_refused(make_env):
    def edit(cfg):
        robot = cfg.scene.entities["robot"]
        legs, *boom = robot.articulation.actuators
        legs.target_names_expr = legs.target_names_expr[:-1]
        robot.articulation.actuators = (legs, *boom)

    with pytest.raises(UserError, match="leg joints"):
        make_env(1, edit=edit)


def test_terms_that_a_setting_switches_off_are_left_out(make_env):
    off = {
        "events": "push",
        "rewards": "feet_slide",
        "terminations": "body_contact",
        "curriculum": "command_level",
    }

    def switch_off(cfg) -> None:
        settings = [f"env.{table}.{name}=None" for table, name in off.items()]
        apply_settings(settings, "env", cfg)
        cfg.check()

    env = make_env(3, edit=switch_off)
    env.step(NO_ACTION)
    there = {
        "events": [name for names in env.event_manager.active_terms.values() for name in names],
        "rewards": env.reward_manager.active_terms,
        "terminations": env.termination_manager.active_terms,
        "curriculum": env.curriculum_manager.active_terms,
    }
    assert "base" in there["events"]
    assert [table for table, name in off.items() if name in there[table]] == []


def test_a_stack_of_a_group_that_is_switched_off_is_refused(make_env):
    with pytest.raises(UserError, match=r"'vae_obs' stacks 'actor_obs', which .* switched off"):
        make_env(
            2, edit=lambda cfg: apply_settings(["env.observations.actor_obs=None"], "env", cfg)
        )
