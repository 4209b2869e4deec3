"""Margins of robots that were put somewhere, and stepped with known commands."""

from __future__ import annotations

import math

import pytest
import torch

from grq20 import ACTION_SCALE, STANDING_HEIGHT
from rl_sim_env.envs.constraint_monitor import ConstraintMonitor
from rl_sim_env.errors import UserError
from rl_sim_env.mdp import rewards
from rl_sim_env.mdp.constraints import CONSTRAINTS, foot_force
from rl_sim_env.mdp.observations import foot_lin_vel_w, foot_pos_w
from rl_sim_env.robots import Limits

SOUND = torch.ones(2, dtype=torch.bool)


@pytest.fixture(scope="module")
def env(make_env):
    return make_env(2)


def margins(env) -> dict[str, torch.Tensor]:
    """Margins by constraint of the state as it is, as if it were that after a physics step."""
    monitor: ConstraintMonitor = env.constraint_monitor
    monitor.begin_step()
    monitor.after_physics_step()
    widths = monitor.layout.widths
    of = monitor.judge(SOUND).split(list(widths.values()), dim=-1)
    return dict(zip(widths, of, strict=True))


def violated(env) -> set[str]:
    return {name for name, of in margins(env).items() if bool((of[0] > 0.0).any())}


def joint(value: float, number: int = 5) -> torch.Tensor:
    values = torch.zeros(2, 12)
    values[0, number] = value
    return values


def test_standing_violates_nothing(env, place):
    place(env)
    assert violated(env) == set()


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_speed_is_judged_in_both_directions(env, place, sign):
    # The no-load speed is 16 rad/s.
    place(env, height=1.0, joint_vel=joint(sign * 1.25 * 16.0))
    found = margins(env)["speed"]
    assert found[0, 5].item() == pytest.approx(0.25, abs=1e-5)
    assert found[1, 5].item() == pytest.approx(-1.0)
    place(env, height=1.0, joint_vel=joint(sign * 0.75 * 16.0))
    assert margins(env)["speed"][0, 5].item() == pytest.approx(-0.25, abs=1e-5)


@pytest.mark.parametrize("end", [0, 1])
def test_position_is_judged_at_both_ends_of_the_range(env, place, end):
    low_high = env.robot.data.joint_pos_limits[0, env.index.leg_joints]
    middle, half = low_high.mean(dim=-1), 0.5 * (low_high[:, 1] - low_high[:, 0])
    for share in (0.9, 1.03):
        position = env.default_leg_joint_pos.clone()
        position[0, 5] = middle[5] + (2 * end - 1) * share * half[5]
        place(env, height=1.0, joint_pos=position)
        found = margins(env)["position"][0, 5].item()
        assert found == pytest.approx(share - 1.0, abs=1e-5)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_torque_of_either_sign_counts(env, place, sign):
    place(env, height=1.0)
    far = env.default_leg_joint_pos + joint(sign * 3.0)
    env.robot.set_joint_position_target(far, joint_ids=env.index.leg_joints)
    env.scene.write_data_to_sim()
    env.sim.forward()
    # The drive gives 120 N m; the limit is 0.95 of it.
    assert margins(env)["torque"][0, 5].item() == pytest.approx(1.0 / 0.95 - 1.0, abs=1e-3)
    assert violated(env) == {"torque"}


def test_a_peak_within_the_step_counts_and_is_forgotten_with_the_next(env, place):
    monitor = env.constraint_monitor
    monitor.begin_step()
    place(env, height=1.0, joint_vel=joint(17.0))
    monitor.after_physics_step()
    place(env, height=1.0)
    monitor.after_physics_step()
    assert "speed" in names_violated(env)
    assert "speed" not in violated(env)


def names_violated(env) -> set[str]:
    layout = env.constraint_monitor.layout
    worst = layout.worst(env.constraint_monitor.judge(SOUND))[0]
    return {name for name, of in zip(layout.names, worst, strict=True) if of > 0.0}


def test_contacts_are_graded_by_their_force(env, place):
    # On its side, lying on two thighs.
    straight = env.default_leg_joint_pos.clone()
    straight[:, :4] = 0.0
    place(env, height=0.21, roll=-math.pi / 2, joint_pos=straight)
    found = violated(env)
    assert {"legs", "tilt"} <= found and "body" not in found
    force = env.scene["leg_contact"].data.force[0].norm(dim=-1)
    torch.testing.assert_close(margins(env)["legs"][0], force - 1.0, atol=1e-4, rtol=1e-5)
    place(env, height=0.11, roll=math.radians(90.0))
    assert "body" in violated(env)


def test_tilt_is_an_angle_in_any_direction(env, place):
    for angles in ({"roll": 0.9}, {"roll": -0.9}, {"pitch": 0.9}, {"pitch": -0.9}):
        place(env, height=1.0, **angles)
        found = margins(env)["tilt"][0, 0].item()
        assert found == pytest.approx(0.9 / 0.6 - 1.0, abs=1e-5)


def test_feet_that_carry_must_not_slide(env, place):
    place(env, lin_vel=(0.6, -0.8, 0.0))
    assert margins(env)["slip"][0].tolist() == pytest.approx([1.0] * 4, abs=0.05)
    place(env, height=1.0, lin_vel=(0.6, -0.8, 0.0))
    assert margins(env)["slip"][0].tolist() == [-1.0] * 4


def test_a_foot_that_rolls_does_not_slip(env, place):
    # The robot tips over its front feet, whose lowest points stay where they are.
    speed = 30.0
    place(env)
    front = [leg.end == "front" for leg in env.cfg.robot.legs]
    pivot = foot_pos_w(env)[0, front].mean(dim=0) - torch.tensor((0.0, 0.0, env.index.foot_radius))
    arm = env.robot.data.root_link_pos_w[0] - pivot
    place(env, lin_vel=(speed * float(arm[2]), 0.0, -speed * float(arm[0])), ang_vel=(0, speed, 0))
    centres = foot_lin_vel_w(env)[0, front, :2].norm(dim=-1)
    assert (centres > 0.8).all() and (foot_force(env)[0, front] > 20.0).all()
    assert margins(env)["slip"][0, front].tolist() == pytest.approx([-1.0] * 2, abs=0.01)


def test_a_foot_that_slides_for_a_moment_only_does_not_slip(env, place):
    monitor = env.constraint_monitor
    monitor.begin_step()
    for speed in (1.0, 0.1, 1.0):
        place(env, lin_vel=(speed, 0.0, 0.0))
        monitor.after_physics_step()
    assert "slip" not in names_violated(env)
    monitor.begin_step()
    for speed in (1.0, 0.6, 1.0):
        place(env, lin_vel=(speed, 0.0, 0.0))
        monitor.after_physics_step()
    assert "slip" in names_violated(env)


def test_a_foot_that_hardly_carries_does_not_slip(env, place):
    place(env, lin_vel=(1.0, 0.0, 0.0))
    force = foot_force(env)[0]
    assert (force > 14.0).all()  # 5 % of the weight are 13.3 N
    for height in torch.linspace(0.0, 0.01, 50).tolist():
        place(env, height=STANDING_HEIGHT + height, lin_vel=(1.0, 0.0, 0.0))
        force = foot_force(env)[0]
        assert torch.equal(margins(env)["slip"][0] > 0.0, force > 0.05 * 27.04 * 9.81)


def test_thermal_load_approaches_the_torque_that_lasts(env, place):
    monitor = env.constraint_monitor
    monitor.reset(torch.arange(2))
    place(env, height=1.0)
    far = env.default_leg_joint_pos + joint(3.0)
    env.robot.set_joint_position_target(far, joint_ids=env.index.leg_joints)
    env.scene.write_data_to_sim()
    env.sim.forward()
    steps = round(10.0 / env.physics_dt)
    for _ in range(steps):
        monitor.after_physics_step()
    # After one time constant 1 - 1/e of the mean square.
    expected = 120.0 * math.sqrt(1.0 - math.exp(-1.0))
    assert monitor.mean_square_torque[0, 5].sqrt().item() == pytest.approx(expected, rel=1e-3)
    assert margins(env)["thermal"][0, 5].item() == pytest.approx(expected / 36.0 - 1.0, rel=1e-2)
    monitor.reset(torch.tensor([0]))
    assert margins(env)["thermal"][0, 5].item() == pytest.approx(-1.0, abs=0.1)


def test_a_jump_of_the_targets_counts_but_not_the_first_of_an_episode(env, place):
    place(env)
    actions = env.action_manager
    actions.process_action(torch.zeros(2, 12))
    actions.process_action(joint(8.0))
    env.episode_length_buf[:] = 2
    expected = 8.0 * ACTION_SCALE / env.step_dt / (2.0 * 16.0)
    assert margins(env)["target_rate"][0, 5].item() == pytest.approx(expected - 1.0, rel=1e-5)
    env.episode_length_buf[:] = 1
    assert margins(env)["target_rate"].max().item() == -1.0


def test_the_step_that_ends_an_episode_is_judged_before_the_reset(make_env, place):
    env = make_env(2)
    place(env, height=0.11, roll=math.radians(90.0))
    _, _, terminated, _, extras = env.step(torch.zeros(2, 12))
    assert terminated.all()
    layout = env.constraint_monitor.layout
    worst = dict(zip(layout.names, layout.worst(extras["margins"])[0], strict=True))
    assert worst["legs"] > 0.0 and worst["tilt"].item() > 0.5
    assert env.read_log()["Constraint/tilt"] == (2, 2)


def test_what_is_not_a_number_is_counted_by_name_and_violates_nothing(make_env, place):
    env = make_env(2)
    place(env)
    monitor = env.constraint_monitor
    monitor.mean_square_torque[0, 3] = torch.nan
    found = monitor.judge(SOUND)
    assert found.isfinite().all() and (found <= 0.0).all()
    log = monitor.read_log()
    assert log["Constraint_Faults/thermal"] == (1, 2)
    assert log["Constraint_Faults/torque"] == (0, 2)
    # Nobody is blamed for a robot whose physics has broken down.
    assert (monitor.judge(torch.tensor([False, True]))[0] == -1.0).all()
    assert monitor.read_log()["Constraint_Faults/thermal"] == (0, 1)


def test_rewards_and_margins_have_one_definition(env, place):
    place(env, height=1.0, joint_vel=joint(16.0))
    excess = ((margins(env)["speed"] + 1.0) * 16.0 - 0.9 * 16.0).clamp(min=0.0).sum(dim=-1)
    assert float(excess[0]) == pytest.approx(1.6, abs=1e-4)
    torch.testing.assert_close(rewards.joint_vel_limits(env, share=0.9), excess)


@pytest.mark.parametrize("name", ["torque", "thermal"])
def test_a_limit_that_nothing_can_exceed_is_refused(name):
    with pytest.raises(UserError, match=f"{name} is 1 of what .* never be violated"):
        Limits(**{name: 1.0})


def test_a_range_ends_at_its_stops():
    with pytest.raises(UserError, match=r"position is 1\.1 of a range"):
        Limits(position=1.1)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_limit_that_is_always_violated_or_none_is_refused(value):
    with pytest.raises(UserError, match=r"slip is .*; it must be above 0"):
        Limits(slip=value)


def test_every_constraint_has_a_limit_and_a_column_for_each_part(env):
    widths = env.constraint_monitor.layout.widths
    assert widths.keys() == CONSTRAINTS.keys()
    shapes = {name: of.measure(env).shape for name, of in CONSTRAINTS.items()}
    assert shapes == {name: (2, width) for name, width in widths.items()}
