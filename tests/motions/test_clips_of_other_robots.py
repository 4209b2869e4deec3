"""Clips of robots with other names, or with the same names in another order."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from grq20 import FOOT_SITE_NAMES, LEG_JOINT_NAMES
from reordered import reordered
from rl_sim_env.errors import UserError
from rl_sim_env.motions.clip import MotionClip
from rl_sim_env.motions.clip_set import CLIP_SET
from rl_sim_env.motions.generator import generate_clip
from rl_sim_env.motions.kinematics import LegKinematics
from rl_sim_env.motions.replay import replay_clip
from rl_sim_env.motions.sampler import FEATURES, MotionSampler
from rl_sim_env.robots import Robot
from rl_sim_env.robots.go1 import GO1
from rl_sim_env.robots.grq20_v2d3 import GRQ20_V2D3

OTHER = reordered(GRQ20_V2D3, 0)
"""The GRQ20, described in another order."""

CLIPS = {cfg.name: cfg for cfg in CLIP_SET}


def generated(name: str, robot: Robot) -> MotionClip:
    return generate_clip(CLIPS[name], robot, LegKinematics.from_robot(robot))


def sampler(clip: MotionClip, robot: Robot) -> MotionSampler:
    return MotionSampler([clip], tuple(FEATURES), 0.02, "cpu", robot=robot)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def go1_clip() -> MotionClip:
    return generated("trot_0.6", GO1)


@pytest.mark.parametrize("robot", [GRQ20_V2D3, OTHER], ids=["our order", "another order"])
def test_the_order_in_which_a_clip_is_stored_does_not_show_in_its_samples(clip, tmp_path, robot):
    clip.arranged(OTHER.leg_joints, OTHER.feet).save(tmp_path / "other.npz")
    clip.save(tmp_path / "ours.npz")
    ours, theirs = (
        sampler(MotionClip.load(tmp_path / f"{name}.npz"), robot) for name in ("ours", "other")
    )
    for one, two in zip(
        ours.sample_pairs(16, seeded()), theirs.sample_pairs(16, seeded()), strict=True
    ):
        assert torch.equal(one, two)
    states = theirs.sample_states(16, seeded())
    for name, value in ours.sample_states(16, seeded()).items():
        assert torch.equal(value, states[name]), name


def test_samples_are_in_the_order_of_the_robot(clip):
    ours, theirs = (
        sampler(clip, robot).sample_states(16, seeded()) for robot in (GRQ20_V2D3, OTHER)
    )
    columns = [LEG_JOINT_NAMES.index(joint) for joint in OTHER.leg_joints]
    for name in ("joint_pos", "joint_vel"):
        assert torch.equal(theirs[name], ours[name][:, columns])
    feet = [FOOT_SITE_NAMES.index(foot) for foot in OTHER.feet]
    now, _ = sampler(clip, GRQ20_V2D3).sample_pairs(16, seeded())
    other, _ = sampler(clip, OTHER).sample_pairs(16, seeded())
    expected = now[:, -12:].unflatten(-1, (4, 3))[:, feet].flatten(-2)
    assert torch.equal(other[:, -12:], expected)


@pytest.mark.parametrize("name", ["curve_left_0.6", "walk_0.4", "start_stop_turn_right"])
def test_a_reordered_robot_walks_as_it_did(clips, name):
    made = generated(name, OTHER)
    assert (made.joint_names, made.foot_names) == (OTHER.leg_joints, OTHER.feet)
    found = made.arranged(LEG_JOINT_NAMES, FOOT_SITE_NAMES)
    for field in dataclasses.fields(MotionClip):
        if isinstance(value := getattr(clips[name], field.name), np.ndarray):
            np.testing.assert_allclose(
                getattr(found, field.name), value, atol=1e-9, err_msg=field.name
            )


def test_a_reordered_robot_follows_a_clip_as_it_did(clips):
    clip = clips["curve_left_0.6"]
    (_, *ours), (_, *theirs) = (
        dataclasses.astuple(replay_clip(clip, robot)) for robot in (GRQ20_V2D3, OTHER)
    )
    assert theirs == pytest.approx(ours, rel=1e-6)


@pytest.mark.parametrize("use", [sampler, replay_clip], ids=["sampler", "replay"])
def test_a_clip_of_a_robot_with_other_names_is_refused(clip, use):
    legs = tuple(
        dataclasses.replace(leg, calf_joint=f"{leg.name}_knee_joint") for leg in GRQ20_V2D3.legs
    )

    def renamed(joint: str) -> str:
        return joint.replace("calf", "knee")

    robot = dataclasses.replace(
        GRQ20_V2D3,
        name="kneed",
        legs=legs,
        leg_joints=tuple(map(renamed, GRQ20_V2D3.leg_joints)),
        default_pose={renamed(joint): v for joint, v in GRQ20_V2D3.default_pose.items()},
        drives={renamed(joint): v for joint, v in GRQ20_V2D3.drives.items()},
    )
    with pytest.raises(UserError, match=r"trot_0\.6: its joints are .*FL_calf_joint") as error:
        use(clip, robot)
    assert "FL_knee_joint" in str(error.value) and "\n" not in str(error.value)


def test_clips_of_a_robot_whose_feet_have_other_names_are_refused(clip, go1_clip):
    # Its joints are called like those of the GRQ20.
    for foreign, robot in ((go1_clip, GRQ20_V2D3), (clip, GO1)):
        with pytest.raises(UserError, match=r"trot_0\.6: its feet are"):
            sampler(foreign, robot)


def test_go1_stands_on_its_feet_and_lifts_them_as_its_task_says(go1_clip):
    legs = LegKinematics.from_robot(GO1)
    feet = go1_clip.foot_pos[..., 2] + go1_clip.root_pos[:, None, 2]
    standing = feet[go1_clip.foot_contact]
    np.testing.assert_allclose(standing, legs.foot_radius, atol=0.01)
    assert 0.03 < feet.max() - legs.foot_radius < 0.06


@pytest.mark.parametrize("name", ["trot_1.0", "walk_0.4", "start_stop_turn_left", "side_left_0.5"])
def test_go1_can_follow_its_clips(name):
    report = replay_clip(generated(name, GO1), GO1)
    assert not report.fell
    assert report.joint_rmse < 0.04 and report.velocity_rmse < 0.08
    hip = GO1.drives["FL_hip_joint"].effort_limit
    assert 0.0 < report.torque_peak < hip
