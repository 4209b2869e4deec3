"""What the evaluation measures."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from offset_believer import OffsetBeliever
from rich.console import Console

from grq20 import amp_vae_env_cfg
from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.evaluation import Evaluator, evaluate_walking, evaluation_env_cfg, print_metrics
from rl_sim_env.evaluation.walking_metrics import WalkingMeter
from rl_sim_env.learning.estimate_cfg import velocity_mass_com
from rl_sim_env.learning.estimation import Estimate
from small_policy import small_policy

ROBOTS = 3
FORWARD = torch.tensor([[0.5, 0.0, 0.2]] * ROBOTS)


@pytest.fixture(scope="module")
def vec_env(make_env) -> AmpVaeVecEnv:
    return AmpVaeVecEnv(make_env(ROBOTS, edit=evaluation_env_cfg))


def belief(*, velocity: float = 0.0, mass: float = 0.0, com: float = 0.0) -> Estimate:
    return Estimate(
        {
            "velocity": torch.full((ROBOTS, 3), velocity),
            "mass": torch.full((ROBOTS, 1), mass),
            "com": torch.full((ROBOTS, 3), com),
        }
    )


def measured(vec_env, *, estimate: Estimate | None = None, **changes):
    """Report after one step in which nobody acts, with some of what it showed changed."""
    meter = WalkingMeter(vec_env)
    evaluator = Evaluator(vec_env, OffsetBeliever(vec_env.observation_layout, vec_env.num_actions))
    step = evaluator.advance()
    output = step.output._replace(estimate=estimate or belief())
    nothing = {"command": FORWARD, "truth": belief(), "output": output}
    meter.add(replace(step, **(nothing | changes)))
    return meter.metrics()["all"]


def test_steps_compute_nothing_that_learning_alone_asks_for(vec_env):
    _, rewards, _, extras = vec_env.step(torch.zeros(ROBOTS, vec_env.num_actions))
    assert not rewards.any() and not [*extras["terminal_obs"].keys()]


def test_tracking_error_is_the_distance_to_the_command(vec_env):
    velocity = torch.tensor([[0.1, 0.3]] * ROBOTS)
    report = measured(vec_env, velocity=velocity, yaw_rate=torch.full((ROBOTS,), -0.1))
    assert report.velocity_error == pytest.approx(0.5)  # (0.4, -0.3)
    assert report.yaw_rate_error == pytest.approx(0.3)
    assert report.robot_seconds == pytest.approx(ROBOTS * vec_env.step_dt)


def test_truth_is_that_of_the_physics_however_observations_are_made(make_env):
    def steps(edit):
        def evaluation(cfg):
            evaluation_env_cfg(cfg)
            edit(cfg)

        env = AmpVaeVecEnv(make_env(ROBOTS, edit=evaluation))
        torch.manual_seed(0)
        evaluator = Evaluator(env, OffsetBeliever(env.observation_layout, env.num_actions))
        base = env.unwrapped.robot.indexing.free_joint_v_adr
        env.unwrapped.sim.data.qvel[:, base] += 0.3
        return [evaluator.advance() for _ in range(4)]

    def distort(cfg):
        for group in ("amp_obs", "critic_obs"):
            for term in cfg.observations[group].terms.values():
                term.scale, term.clip = 2.0, (-0.01, 0.01)

    for plain, distorted in zip(steps(lambda cfg: None), steps(distort), strict=True):
        assert torch.equal(plain.velocity, distorted.velocity)
        assert torch.equal(plain.yaw_rate, distorted.yaw_rate)
        assert torch.equal(plain.truth.joined(), distorted.truth.joined())
        assert plain.velocity.abs().max() > 0.1


def test_velocity_is_that_which_the_step_led_to_also_where_a_reset_follows(vec_env):
    evaluator = Evaluator(vec_env, OffsetBeliever(vec_env.observation_layout, vec_env.num_actions))
    evaluator.advance()
    vec_env.episode_length_buf = torch.full((ROBOTS,), vec_env.max_episode_length)
    env = vec_env.unwrapped
    env.sim.data.qvel[:, env.robot.indexing.free_joint_v_adr[:2]] = 1.0
    step = evaluator.advance()
    assert step.dones.all() and not step.fell.any()
    assert (step.velocity.norm(dim=-1) > 0.5).all()
    assert (env.robot.data.root_link_lin_vel_b[:, :2].norm(dim=-1) < 0.5).all()


def test_estimation_errors_are_in_si_units(vec_env):
    report = measured(
        vec_env,
        truth=belief(velocity=0.5, mass=4.0, com=0.05),
        estimate=belief(velocity=0.2, mass=2.5, com=0.03),
    )
    errors = {name: error.rmse for name, error in report.estimates.items()}
    assert errors == pytest.approx({"velocity": 0.3, "mass": 1.5, "com": 0.02})
    assert report.estimates["mass"].spread == pytest.approx(0.0, abs=1e-6)


def test_spread_is_the_error_of_guessing_the_mean(vec_env):
    mass = torch.tensor([[1.0], [3.0], [5.0]])
    report = measured(vec_env, truth=Estimate({**belief(), "mass": mass}))
    assert report.estimates["mass"].spread == pytest.approx(float(mass.std(correction=0)))


def test_falls_are_counted_and_time_outs_are_not(vec_env):
    ended, late = torch.tensor([True, True, False]), torch.tensor([True, False, False])
    report = measured(vec_env, dones=ended, time_outs=late)
    assert report.falls_per_1000_s == pytest.approx(1000.0 / (ROBOTS * vec_env.step_dt))


def test_player_believes_and_acts_by_its_policy(vec_env):
    policy = small_policy(vec_env)
    player = Evaluator(vec_env, policy)
    obs = {name: value.clone() for name, value in vec_env.get_observations().items()}
    player.advance()
    truth = policy.targets.truth(obs)
    expected = policy(obs, policy.initial_memory(vec_env.num_envs))
    assert torch.equal(player.output.estimate.mass, expected.estimate.mass)
    torch.testing.assert_close(player.truth, policy.targets.to_si(truth))
    action = vec_env.unwrapped.action_manager.action
    assert torch.allclose(action, expected.actions)
    player.p_boot = 0.0
    obs = {name: value.clone() for name, value in vec_env.get_observations().items()}
    player.advance()
    expected = policy(obs, expected.memory, p_boot=0.0)
    assert torch.allclose(vec_env.unwrapped.action_manager.action, expected.actions)


def test_evaluation_lasts_as_long_as_asked(vec_env):
    metrics = evaluate_walking(vec_env, small_policy(vec_env), seconds=0.1)
    assert metrics["all"].robot_seconds == pytest.approx(0.1 * ROBOTS)
    assert metrics["plane_run"] == metrics["all"]


def test_families_without_robots_are_not_reported(make_env):
    env = make_env(1, terrain="rough", play=True)
    vec_env = AmpVaeVecEnv(env)
    metrics = evaluate_walking(vec_env, small_policy(vec_env), seconds=vec_env.step_dt)
    home = env.terrain_types.names[int(env.terrain_types.ids[0])]
    assert set(metrics) == {home, "all"}


def test_nothing_walked_means_nothing_printed(vec_env, capsys):
    metrics = WalkingMeter(vec_env).metrics()
    assert metrics == {}
    print_metrics(metrics, velocity_mass_com())
    assert capsys.readouterr().out == ""


def test_headings_are_whole_in_80_columns(vec_env, capsys):
    metrics = evaluate_walking(vec_env, small_policy(vec_env), seconds=vec_env.step_dt)
    long = {"hf_pyramid_slope_inv": metrics["all"]} | metrics
    print_metrics(long, velocity_mass_com(), Console(width=80, markup=False))
    printed = capsys.readouterr().out
    assert printed.count("velocity") >= 2 and "…" not in printed


def test_what_the_player_remembers_ends_with_the_episode(vec_env):
    player = Evaluator(vec_env, small_policy(vec_env))
    player.advance()
    vec_env.episode_length_buf = torch.full((ROBOTS,), 10)
    vec_env.unwrapped.episode_length_buf[0] = vec_env.max_episode_length
    player.advance()
    remembers = player._memory.abs().sum(dim=-1) > 0.0
    assert remembers.tolist() == [False] + [True] * (ROBOTS - 1)


def test_nothing_disturbs_robots_that_are_evaluated():
    events = evaluation_env_cfg(amp_vae_env_cfg(terrain="rough")).events
    assert not [name for name, term in events.items() if term.mode == "interval"]
    assert "load" in events


def test_what_training_switched_off_stays_off_in_an_evaluation():
    cfg = amp_vae_env_cfg(terrain="flat")
    cfg.events["base"] = cfg.events["push"] = cfg.rewards["feet_slide"] = None
    assert not {"base", "push"} & evaluation_env_cfg(cfg).events.keys()
