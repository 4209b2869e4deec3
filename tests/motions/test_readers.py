from __future__ import annotations

import numpy as np
import pytest
from texts import leg_major, write_amp_text, write_text

from feet import feet_in_world
from grq20 import FOOT_SITE_NAMES, LEG_JOINT_NAMES, LEG_NAMES
from rl_sim_env.errors import UserError
from rl_sim_env.motions.readers import (
    PYBULLET_LEG_ORDER,
    read_amp_for_hardware,
    read_grq20_npz,
    read_motion_imitation,
)
from rl_sim_env.motions.retarget import SOURCE_ROBOTS, SourceRobot, retarget
from rl_sim_env.motions.rotations import quat_multiply


def own(legs) -> SourceRobot:
    return SourceRobot(name="own", legs=legs)


def npz_fields(clip) -> dict[str, np.ndarray | float]:
    fields: dict[str, np.ndarray | float] = {
        "root_position_world": clip.root_pos,
        "root_quaternion_wxyz": clip.root_quat,
        "root_linear_velocity_base": clip.root_lin_vel,
        "root_angular_velocity_base": clip.root_ang_vel,
        "length": clip.num_frames,
        "weight": 1.5,
        "dt": 0.01,
    }
    for k, foot in enumerate(FOOT_SITE_NAMES):
        fields[f"{foot}_position_base"] = clip.foot_pos[:, k]
    for k, joint in enumerate(LEG_JOINT_NAMES):
        fields[f"{joint}_q"] = clip.joint_pos[:, k]
        fields[f"{joint}_dq"] = clip.joint_vel[:, k]
    return fields


def check_same_motion(made, clip, atol=1e-4):
    """An import of our own clip is that clip, less a frame at either end."""
    inner = slice(1, -1)
    np.testing.assert_allclose(made.joint_pos, clip.joint_pos[inner], atol=atol)
    np.testing.assert_allclose(made.joint_vel, clip.joint_vel[inner], atol=0.05)
    np.testing.assert_allclose(made.root_lin_vel, clip.root_lin_vel[inner], atol=0.01)
    np.testing.assert_allclose(made.root_pos[:, 2], clip.root_pos[inner, 2], atol=1e-3)
    np.testing.assert_allclose(
        np.abs((made.root_quat * clip.root_quat[inner]).sum(axis=-1)), 1.0, atol=1e-6
    )
    # The estimate from height and speed is late and early by a little at touchdown and lift-off.
    assert (made.foot_contact == clip.foot_contact[inner]).mean() > 0.8


@pytest.mark.parametrize("order", [PYBULLET_LEG_ORDER, LEG_NAMES])
def test_amp_for_hardware_text_is_read(clip, legs, tmp_path, order):
    path = write_amp_text(tmp_path / "trot.txt", clip, order)
    recording = read_amp_for_hardware(path, own(legs), order)
    assert recording.weight == 2.0 and recording.fps == pytest.approx(100.0)
    made, missed = retarget(recording, legs, licence="own")
    assert missed < 1e-6
    check_same_motion(made, clip)


def test_wrong_leg_order_is_found_by_forward_kinematics(clip, legs, tmp_path, message):
    path = write_amp_text(tmp_path / "trot.txt", clip, LEG_NAMES)
    with pytest.raises(UserError) as error:
        read_amp_for_hardware(path, own(legs))
    assert "leg order FL,FR,RL,RR fits" in message(error)


def test_wrong_robot_is_found_by_forward_kinematics(clip, legs, tmp_path):
    path = write_amp_text(tmp_path / "trot.txt", clip)
    with pytest.raises(UserError, match="no leg order fits"):
        read_amp_for_hardware(path, SOURCE_ROBOTS["go2"])


def laikago_rows(clip) -> np.ndarray:
    """Our clip as a Laikago with the same leg directions would have recorded it."""
    robot = SOURCE_ROBOTS["laikago"]
    by_leg = clip.joint_pos.reshape(-1, 3, 4).swapaxes(1, 2)
    recorded = robot.joint_sign * (by_leg - robot.joint_offset)
    quat = quat_multiply(clip.root_quat, robot.level_quat)
    return np.concatenate(
        [
            clip.root_pos,
            np.roll(quat, -1, axis=-1),
            leg_major(recorded.swapaxes(1, 2).reshape(-1, 12), PYBULLET_LEG_ORDER),
        ],
        axis=-1,
    )


def test_motion_imitation_text_is_retargeted(clips, legs, tmp_path):
    clip = clips["curve_left_0.6"]
    path = write_text(tmp_path / "curve.txt", laikago_rows(clip))
    recording = read_motion_imitation(path, SOURCE_ROBOTS["laikago"])
    np.testing.assert_allclose(recording.root_quat, clip.root_quat, atol=1e-9)
    made, _ = retarget(recording, legs, licence="own")
    # Legs of one proportion bend alike, but for what the hips do whose offset differs.
    np.testing.assert_allclose(made.joint_pos, clip.joint_pos[1:-1], atol=0.05)
    assert made.root_ang_vel[:, 2].mean() == pytest.approx(0.6, abs=0.02)
    lowest = np.sort(feet_in_world(made)[..., 2].min(axis=1))
    assert lowest[0] == pytest.approx(0.027, abs=5e-3)


def test_grq20_npz_is_read(clip, legs, tmp_path):
    path = tmp_path / "trot.npz"
    np.savez(path, **npz_fields(clip))
    recording = read_grq20_npz(path, legs)
    assert recording.weight == 1.5
    check_same_motion(retarget(recording, legs, licence="own")[0], clip)


def test_imported_feet_are_levelled_to_the_ground(clip, legs, tmp_path):
    fields = npz_fields(clip)
    fields["root_position_world"] = clip.root_pos + np.array([3.0, -2.0, 0.4])
    np.savez(tmp_path / "high.npz", **fields)
    made, _ = retarget(read_grq20_npz(tmp_path / "high.npz", legs), legs, licence="own")
    check_same_motion(made, clip)
    assert np.abs(made.root_pos[0, :2]).max() < 0.05


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"Frames": []}, "Frames"),
        ({"Frames": None}, "Frames"),
        ({"Frames": [[0.0] * 19]}, "row 0 has 19 columns"),
        ({"Frames": [[0.0] * 60 + ["x"]] * 4}, "Frames"),
        ({"Frames": [[float("nan")] * 61] * 4}, "not finite"),
        ({"Frames": [[0.0] * 61] * 4}, "Frames|foot|quaternion"),
        ({"FrameDuration": 0.0}, "FrameDuration"),
        ({"FrameDuration": None}, "FrameDuration"),
        ({"MotionWeight": -1.0}, "MotionWeight"),
    ],
)
def test_malformed_text_names_file_and_field(clip, legs, tmp_path, changes, expected):
    path = write_amp_text(tmp_path / "bad.txt", clip, **changes)
    with pytest.raises(UserError, match=f"bad.txt.*({expected})"):
        read_amp_for_hardware(path, own(legs))


def test_text_that_is_not_json_is_refused(legs, tmp_path):
    (tmp_path / "bad.txt").write_text("{")
    with pytest.raises(UserError, match=r"bad.txt.*JSON"):
        read_motion_imitation(tmp_path / "bad.txt", own(legs))


def test_leg_order_must_name_each_leg(clip, legs, tmp_path):
    path = write_amp_text(tmp_path / "trot.txt", clip)
    with pytest.raises(UserError, match="leg order"):
        read_amp_for_hardware(path, own(legs), ("FL", "FL", "RL", "RR"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("RL_thigh_joint_q", None),
        ("RL_thigh_joint_q", np.zeros(7)),
        ("FR_foot_position_base", None),
        ("root_quaternion_wxyz", np.full((192, 4), np.inf)),
        ("dt", 0.0),
    ],
)
def test_malformed_npz_names_file_and_field(clip, legs, tmp_path, field, value):
    fields = {**npz_fields(clip), field: value}
    np.savez(tmp_path / "bad.npz", **{k: v for k, v in fields.items() if v is not None})
    with pytest.raises(UserError, match=rf"bad\.npz.*{field}"):
        read_grq20_npz(tmp_path / "bad.npz", legs)


def test_npz_of_a_robot_with_other_legs_is_refused(clip, legs, tmp_path):
    fields = npz_fields(clip)
    fields["FL_foot_position_base"] = clip.foot_pos[:, 0] + np.array([0.2, 0.0, 0.0])
    np.savez(tmp_path / "other.npz", **fields)
    with pytest.raises(UserError, match="source robot"):
        read_grq20_npz(tmp_path / "other.npz", legs)
