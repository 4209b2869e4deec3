from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest

from rl_sim_env.errors import UserError
from rl_sim_env.motions.clip import MotionClip
from rl_sim_env.motions.rotations import quat_from_euler


def rewritten(path, **changes):
    """Change fields of a stored clip; None removes one."""
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays.update(changes)
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})


@pytest.fixture
def path(clip, tmp_path):
    path = tmp_path / "clip.npz"
    clip.save(path)
    return path


def test_what_is_saved_is_loaded(clip, path):
    loaded = MotionClip.load(path)
    for field in dataclasses.fields(MotionClip):
        saved, found = getattr(clip, field.name), getattr(loaded, field.name)
        if isinstance(saved, np.ndarray):
            np.testing.assert_allclose(found, saved, atol=1e-6)
        else:
            assert found == saved


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"joint_pos": np.zeros((5, 12))}, "joint_pos"),
        ({"root_pos": np.zeros((0, 3))}, "root_pos"),
        ({"foot_pos": None}, "foot_pos"),
        ({"fps": 0.0}, "fps"),
        ({"fps": np.nan}, "fps"),
        ({"weight": -1.0}, "weight"),
        ({"root_quat": np.full((192, 4), 0.6)}, "root_quat"),
        ({"joint_vel": np.full((192, 12), np.nan)}, "joint_vel"),
        ({"foot_contact": np.ones((192, 4))}, "foot_contact"),
        ({"joint_vel": np.array([{}] * 192)}, "joint_vel"),
        ({"cyclic": np.zeros(2)}, "cyclic"),
    ],
)
def test_malformed_field_is_named(path, changes, expected, message):
    rewritten(path, **changes)
    with pytest.raises(UserError) as error:
        MotionClip.load(path)
    assert str(path) in message(error) and expected in message(error)


def test_wrong_joint_order_lists_both(clip, path, message):
    rewritten(path, joint_names=np.array(clip.joint_names[::-1]))
    with pytest.raises(UserError) as error:
        MotionClip.load(path)
    assert "RR_calf_joint, RL_calf_joint" in message(error)
    assert "FL_hip_joint, FR_hip_joint" in message(error)


@pytest.mark.parametrize("content", [b"", b"not an archive", None])
def test_file_that_is_no_archive_is_refused(tmp_path, content, message):
    path = tmp_path / "broken.npz"
    if content is None:
        buffer = io.BytesIO()
        np.savez(buffer, root_pos=np.zeros((1000, 3)))
        content = buffer.getvalue()[:5000]
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        MotionClip.load(path)
    assert "broken.npz" in message(error)


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"none\.npz"):
        MotionClip.load(tmp_path / "none.npz")


def test_velocities_of_a_screw_motion_are_exact_in_the_base_frame(legs, clip):
    # Turning at 1 rad/s about the vertical while tilted, moving forward along a circle of 2 m.
    fps, turn, radius, pitch = 100.0, 1.0, 2.0, 0.2
    yaw = np.arange(52) / fps * turn
    constant = np.zeros(52)
    made = MotionClip.from_poses(
        name="screw",
        fps=fps,
        root_pos=radius * np.stack([np.sin(yaw), 1.0 - np.cos(yaw), constant], axis=-1),
        root_quat=quat_from_euler(yaw, constant + pitch, constant),
        joint_pos=np.tile(clip.joint_pos[0], (52, 1)),
        foot_contact=np.ones((52, 4), dtype=bool),
        kinematics=legs,
        source="test",
        licence="none",
    )
    assert made.num_frames == 50
    expected_velocity = radius * turn * np.array([np.cos(pitch), 0.0, np.sin(pitch)])
    np.testing.assert_allclose(made.root_lin_vel, np.tile(expected_velocity, (50, 1)), atol=1e-4)
    expected_turn = turn * np.array([-np.sin(pitch), 0.0, np.cos(pitch)])
    np.testing.assert_allclose(made.root_ang_vel, np.tile(expected_turn, (50, 1)), atol=1e-4)
    assert np.abs(made.joint_vel).max() == 0.0
