from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest

from rl_sim_env.errors import UserError
from rl_sim_env.motions.clip import MotionClip, PoseSequence
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


@pytest.mark.parametrize("field", ["joint_names", "foot_names"])
def test_a_name_that_stands_there_twice_is_refused(clip, path, field, message):
    first, _, *others = getattr(clip, field)
    rewritten(path, **{field: np.array([first, first, *others])})
    with pytest.raises(UserError) as error:
        MotionClip.load(path)
    assert str(path) in message(error) and f"{field}: {first}" in message(error)


def test_columns_are_found_by_name_whatever_their_order(clip, path):
    with np.load(path) as archive:
        stored = dict(archive)
    joints, feet = np.random.default_rng(0).permutation(12), np.array([2, 0, 3, 1])
    order = dict.fromkeys(("joint_names", "joint_pos", "joint_vel"), joints)
    order |= dict.fromkeys(("foot_names", "foot_pos", "foot_contact"), feet)
    rewritten(
        path,
        **{
            field: np.take(stored[field], columns, axis=0 if field.endswith("names") else 1)
            for field, columns in order.items()
        },
    )
    other = MotionClip.load(path)
    assert other.joint_names != clip.joint_names and other.foot_names != clip.foot_names
    found = other.arranged(clip.joint_names, clip.foot_names)
    for field, expected in stored.items():
        np.testing.assert_array_equal(getattr(found, field), expected)


@pytest.mark.parametrize(("field", "names"), [("joint_names", "joints"), ("foot_names", "feet")])
def test_columns_of_another_robot_list_both(clip, field, names, message):
    own = getattr(clip, field)
    others = (*own[:-1], "RR_wheel")
    foreign = dataclasses.replace(clip, **{field: others})
    with pytest.raises(UserError) as error:
        foreign.arranged(clip.joint_names, clip.foot_names)
    for part in (clip.name, f"its {names} are {', '.join(others)}", ", ".join(own)):
        assert part in message(error)
    assert f"{own[-1]}, RR_wheel only one of them has" in message(error)


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
    poses = PoseSequence(
        fps=fps,
        root_pos=radius * np.stack([np.sin(yaw), 1.0 - np.cos(yaw), constant], axis=-1),
        root_quat=quat_from_euler(yaw, constant + pitch, constant),
        joint_pos=np.tile(clip.joint_pos[0], (52, 1)),
        foot_contact=np.ones((52, 4), dtype=bool),
    )
    made = MotionClip.from_poses(poses, legs, name="screw", source="test", licence="none")
    assert made.num_frames == 50
    expected_velocity = radius * turn * np.array([np.cos(pitch), 0.0, np.sin(pitch)])
    np.testing.assert_allclose(made.root_lin_vel, np.tile(expected_velocity, (50, 1)), atol=1e-4)
    expected_turn = turn * np.array([-np.sin(pitch), 0.0, np.cos(pitch)])
    np.testing.assert_allclose(made.root_ang_vel, np.tile(expected_turn, (50, 1)), atol=1e-4)
    assert np.abs(made.joint_vel).max() == 0.0
