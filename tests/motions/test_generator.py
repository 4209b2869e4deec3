from __future__ import annotations

import numpy as np
import pytest

from feet import feet_in_world
from grq20 import (
    DEFAULT_LEG_JOINT_POS,
    FOOT_RADIUS,
    VELOCITY_LIMIT,
)
from rl_sim_env.errors import UserError
from rl_sim_env.motions.clip_set import CLIP_SET
from rl_sim_env.motions.gait import TROT
from rl_sim_env.motions.generator import generate_clip
from rl_sim_env.motions.rotations import quat_without_yaw
from rl_sim_env.motions.velocity_profile import FPS, STANDSTILL, ClipCfg, Velocity
from rl_sim_env.robots.grq20_v2d3 import GRQ20_V2D3

ALL_CLIPS = pytest.mark.parametrize("name", [cfg.name for cfg in CLIP_SET])


@ALL_CLIPS
def test_standing_feet_do_not_slide_and_others_are_above_ground(clips, name):
    clip = clips[name]
    feet, contact = feet_in_world(clip), clip.foot_contact
    stands_on = contact[1:] & contact[:-1]
    moved = np.linalg.norm(np.diff(feet, axis=0), axis=-1)
    assert moved[stands_on].max() < 1e-6
    assert feet[..., 2].min() > FOOT_RADIUS - 1e-6
    np.testing.assert_allclose(feet[contact][:, 2], FOOT_RADIUS, atol=1e-6)
    assert feet[..., 2].max() < FOOT_RADIUS + 0.08
    assert contact.any(axis=1).all()


@ALL_CLIPS
def test_joints_keep_their_limits(clips, legs, name):
    lower, upper = legs.joint_range.T
    assert ((clips[name].joint_pos > lower) & (clips[name].joint_pos < upper)).all()
    assert np.abs(clips[name].joint_vel).max() < 0.9 * VELOCITY_LIMIT


@ALL_CLIPS
def test_trunk_stays_near_its_height_and_level(clips, name):
    clip = clips[name]
    height = clip.root_pos[:, 2]
    assert height.min() > 0.39 and height.max() < 0.43
    tilt = 2.0 * np.linalg.norm(quat_without_yaw(clip.root_quat)[:, 1:], axis=-1)
    assert tilt.max() < 0.06


@ALL_CLIPS
def test_velocities_agree_with_positions_and_are_smooth(clips, name):
    clip = clips[name]
    integrated = 0.5 * (clip.joint_vel[1:] + clip.joint_vel[:-1]) / clip.fps
    np.testing.assert_allclose(np.diff(clip.joint_pos, axis=0), integrated, atol=5e-3)
    if clip.cyclic:
        feet = np.concatenate([clip.foot_pos[-1:], clip.foot_pos, clip.foot_pos[:1]])
        foot_acceleration = np.diff(feet, n=2, axis=0) * clip.fps**2
        assert np.abs(foot_acceleration).max() < 120.0


@ALL_CLIPS
def test_cyclic_clips_close_without_a_jump(clips, name):
    clip = clips[name]
    if not clip.cyclic:
        pytest.skip("not a loop")
    for values in (clip.joint_pos, clip.joint_vel, clip.root_lin_vel, clip.root_ang_vel):
        largest_step = np.abs(np.diff(values, axis=0)).max()
        assert np.abs(values[0] - values[-1]).max() <= largest_step + 1e-6


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("trot_1.0", (1.0, 0.0, 0.0)),
        ("trot_back_0.5", (-0.5, 0.0, 0.0)),
        ("side_left_0.5", (0.0, 0.5, 0.0)),
        ("turn_right_1.0", (0.0, 0.0, -1.0)),
        ("curve_left_0.6", (0.6, 0.0, 0.6)),
        ("walk_0.4", (0.4, 0.0, 0.0)),
    ],
)
def test_steady_clip_moves_as_asked(clips, name, expected):
    clip = clips[name]
    mean = (*clip.root_lin_vel[:, :2].mean(axis=0), clip.root_ang_vel[:, 2].mean())
    assert mean == pytest.approx(expected, abs=5e-3)


def test_clip_set_covers_the_commands(clips):
    velocity = np.concatenate(
        [np.column_stack([c.root_lin_vel[:, :2], c.root_ang_vel[:, 2]]) for c in clips.values()]
    )
    lowest, highest = velocity.min(axis=0), velocity.max(axis=0)
    assert (lowest <= [-0.5, -0.49, -0.99]).all()
    assert (highest >= [1.2, 0.49, 0.99]).all()


def touchdown_order(clip) -> list[int]:
    contact = clip.foot_contact
    landed = contact & ~np.roll(contact, 1, axis=0)
    return [int(foot) for _, foot in np.argwhere(landed)]


def test_walk_is_a_lateral_sequence(clips):
    order = touchdown_order(clips["walk_0.4"])
    sequence = [2, 0, 3, 1]  # RL, FL, RR, FR
    start = sequence.index(order[0])
    assert order[:4] == sequence[start:] + sequence[:start]


def test_trot_moves_diagonals_and_pace_sides_together(clips):
    trot, pace = clips["trot_0.6"].foot_contact, clips["pace_0.5"].foot_contact
    assert (trot[:, 0] == trot[:, 3]).all() and (trot[:, 1] == trot[:, 2]).all()
    assert (pace[:, 0] == pace[:, 2]).all() and (pace[:, 1] == pace[:, 3]).all()
    assert (trot[:, 0] != trot[:, 1]).mean() > 0.5


TRANSIENTS = [cfg for cfg in CLIP_SET if len(cfg.velocities) > 1]


@pytest.mark.parametrize("cfg", TRANSIENTS, ids=lambda cfg: cfg.name)
def test_transient_starts_and_ends_at_rest(clips, cfg):
    clip = clips[cfg.name]
    for frame in (0, -1):
        assert clip.foot_contact[frame].all()
        assert np.abs(clip.joint_vel[frame]).max() < 1e-6
        assert np.abs(clip.root_lin_vel[frame]).max() < 1e-6
        if cfg.gait is TROT:
            np.testing.assert_allclose(clip.joint_pos[frame], DEFAULT_LEG_JOINT_POS, atol=1e-3)


def test_every_foot_steps_soon_after_the_start(clips):
    clip = clips["start_stop_1.0"]
    first_lift = np.argmin(clip.foot_contact, axis=0) / clip.fps
    one_stride = 1.0 / TROT.frequency.slow
    assert first_lift.max() < 0.5 + one_stride


def test_feet_land_outside_the_curve(clips):
    """The ground pushes a turning robot inwards: its feet stand on the outside of the trunk."""
    left, right = (clips[f"curve_{side}_1.0"] for side in ("left", "right"))
    lateral = [clip.foot_pos[..., 1][clip.foot_contact].mean() for clip in (left, right)]
    assert lateral[0] < -0.01 and lateral[1] > 0.01


def test_generation_is_deterministic(clips, legs):
    cfg = next(cfg for cfg in CLIP_SET if cfg.name == "tour_around")
    again = generate_clip(cfg, GRQ20_V2D3, legs)
    for field in ("root_pos", "root_quat", "joint_pos", "joint_vel"):
        np.testing.assert_array_equal(getattr(again, field), getattr(clips[cfg.name], field))


def test_frame_rate_is_a_multiple_of_the_control_rate():
    assert FPS % 50 == 0


@pytest.mark.parametrize(
    ("cfg", "expected"),
    [
        (ClipCfg(name="leap", gait=TROT, velocities=(Velocity(x=4.0),)), "out of reach"),
        (ClipCfg(name="sprint", gait=TROT, velocities=(Velocity(x=2.0),)), "rad/s"),
    ],
)
def test_what_the_robot_cannot_do_is_refused(legs, cfg, expected, message):
    with pytest.raises(UserError) as error:
        generate_clip(cfg, GRQ20_V2D3, legs)
    assert cfg.name in message(error) and expected in message(error)


@pytest.mark.parametrize(
    "velocities", [(STANDSTILL, Velocity(x=1.0)), (STANDSTILL, STANDSTILL), (Velocity(x=1.0),) * 2]
)
def test_velocity_profile_that_does_not_rest_at_its_ends_is_refused(velocities):
    with pytest.raises(UserError, match="standstill"):
        ClipCfg(name="rushed", gait=TROT, velocities=velocities)
