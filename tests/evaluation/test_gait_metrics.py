"""What walking costs, on robots whose motion is known."""

from __future__ import annotations

import pytest
import torch

from rl_sim_env.evaluation.gait_metrics import FeetMeter, GaitMeter, left_right_asymmetry
from rl_sim_env.mdp import events

ROBOTS = 2
FORWARD = torch.tensor([[0.5, 0.0, 0.0]] * ROBOTS)


@pytest.fixture(scope="module")
def env(make_env):
    """Robots without load that stand firmly, whatever has been drawn."""

    def firm(cfg):
        cfg.events["load"].params["mass"] = (0.0, 0.0)

    return make_env(ROBOTS, play=True, edit=firm)


def stand(env, steps: int) -> None:
    for _ in range(steps):
        env.step(torch.zeros(ROBOTS, env.action_manager.total_action_dim))


def test_cost_of_transport_is_work_over_weight_and_way(env, place):
    events.set_load(env, torch.arange(ROBOTS), torch.tensor([0.0, 5.0]))
    joints = env.index.leg_joints
    joint_vel = torch.full((ROBOTS, len(joints)), 2.0)
    place(env, lin_vel=(0.6, 0.8, 0.3), joint_vel=joint_vel)
    torque = torch.full_like(joint_vel, 10.0)
    torque[:, :4] = -10.0
    env.sim.data.qfrc_actuator[:, env.robot.indexing.joint_v_adr[joints]] = torque
    env.episode_length_buf[:] = 1
    found = GaitMeter(env).sample(FORWARD)
    dt = env.step_dt
    assert found["distance"].tolist() == pytest.approx([1.0 * dt] * ROBOTS)
    weight = 9.81 * (env.nominal_mass + torch.tensor([0.0, 5.0]))
    assert torch.allclose(found["weight_distance"], weight * dt)
    assert found["work"].tolist() == pytest.approx([12 * 20.0 * dt] * ROBOTS)
    assert found["positive_work"].tolist() == pytest.approx([8 * 20.0 * dt] * ROBOTS)


def test_a_standing_robot_carries_on_all_feet_and_takes_no_step(env):
    env.reset()
    meter = GaitMeter(env)
    stand(env, 75)
    totals = {}
    for _ in range(25):
        stand(env, 1)
        for name, value in meter.sample(FORWARD).items():
            totals[name] = totals.get(name, 0.0) + value
    stance = totals["stance"].sum(dim=-1)
    assert stance.tolist() == pytest.approx(totals["foot_seconds"].tolist())
    assert totals["seconds"].tolist() == pytest.approx([25 * env.step_dt] * ROBOTS)
    assert totals["diagonal"].tolist() == pytest.approx(totals["seconds"].tolist())
    assert not totals["touchdowns"].any()
    assert (totals["slip"] < 0.01 * stance).all()


def test_only_robots_that_are_told_to_move_count(env):
    env.reset()
    stand(env, 25)
    command = torch.tensor([[0.5, 0.0, 0.0], [0.0, 0.0, 0.5]])
    found = GaitMeter(env).sample(command)
    assert found["stance"][0].any()
    for value in found.values():
        assert not value[1].any()
    env.episode_length_buf[0] = 0
    found = GaitMeter(env).sample(FORWARD)
    for value in found.values():
        assert not value[0].any()


def test_swing_height_is_the_highest_gap_before_touchdown(env, place):
    env.reset()
    meter = FeetMeter(env)
    for _ in range(25):
        stand(env, 1)
        feet = meter.observe()
        # The drop after the reset is no step, nor is the play of a foot that hardly carries.
        assert not feet.landed.any()
    place(env, height=0.46)
    gaps, heights, landed = [], [], []
    for _ in range(15):
        stand(env, 1)
        feet = meter.observe()
        position = env.sim.data.site_xpos[:, env.index.foot_sites_global, 2]
        gaps.append((position - env.index.foot_radius) * ~feet.contact)
        heights.append(feet.swing_height)
        landed.append(feet.landed)
    assert torch.stack(landed).any(dim=0).all()
    assert torch.allclose(torch.stack(heights).amax(dim=0), torch.stack(gaps).amax(dim=0))
    assert (torch.stack(heights).amax(dim=0) > 0.01).all()


def asymmetry(front_left: float, front_right: float, rear_left: float, rear_right: float) -> float:
    stance = torch.tensor([front_left, front_right, rear_left, rear_right])
    return float(left_right_asymmetry(stance, stance[[1, 0, 3, 2]]))


def test_asymmetry_compares_left_with_right_feet():
    assert asymmetry(3.0, 1.0, 2.0, 2.0) == pytest.approx(50.0)  # 100 and 0
    assert asymmetry(1.0, 1.0, 1.0, 1.0) == 0.0
    assert asymmetry(1.0, 0.0, 1.0, 0.0) == pytest.approx(200.0)
