"""Motions of the right form that cannot be: each is refused with what it often comes of."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from texts import leg_major, write_amp_text, write_text

from grq20 import LEG_NAMES
from rl_sim_env.cli import motions
from rl_sim_env.errors import UserError
from rl_sim_env.motions.clip import MotionClip
from rl_sim_env.motions.library import load_clips
from rl_sim_env.motions.readers import PYBULLET_LEG_ORDER, read_amp_for_hardware
from rl_sim_env.motions.retarget import SourceRobot
from rl_sim_env.robots.grq20_v2d3 import GRQ20_V2D3

OWN = ("--recorded_on", "grq20_v2d3", "--licence", "see [MIT] and [/b]")


def run_import(path: Path, file_format: str) -> str:
    """What the program prints; the clip is written beside the file."""
    output = str(path.with_suffix(".npz"))
    arguments = ["import", str(path), "--format", file_format, "--output", output, *OWN]
    with redirect_stdout(io.StringIO()) as printed:
        motions.main(arguments)
    return printed.getvalue()


def nineteen(clip: MotionClip) -> np.ndarray:
    """The 19 columns of motion_imitation."""
    quat = np.roll(clip.root_quat, -1, axis=-1)
    joints = leg_major(clip.joint_pos, PYBULLET_LEG_ORDER)
    return np.concatenate([clip.root_pos, quat, joints], axis=-1)


def changed(columns: slice, change: Callable[[np.ndarray], np.ndarray]) -> Callable:
    def rows(clip: MotionClip) -> np.ndarray:
        rows = nineteen(clip)
        rows[:, columns] = change(rows[:, columns])
        return rows

    return rows


def by_type(joints: np.ndarray) -> np.ndarray:
    return joints.reshape(-1, 4, 3).swapaxes(1, 2).reshape(-1, 12)


JOINTS, QUAT = slice(7, 19), slice(3, 7)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (changed(QUAT, lambda quat: np.roll(quat, 1, axis=1)), "order of the quaternions"),
        (changed(QUAT, lambda quat: 0 * quat + (0.7071, 0, 0, 0.7071)), "tilted by 90 degrees"),
        (changed(JOINTS, np.degrees), "angles are in radians"),
        (changed(JOINTS, by_type), "order of legs and joints"),
        (changed(JOINTS, lambda joints: 0 * joints + joints[0]), "no foot ever stands"),
    ],
    ids=["w first", "on its side", "degrees", "by type", "slides"],
)
def test_what_cannot_be_is_refused_and_not_written(clip, tmp_path, capsys, rows, reason):
    path = write_text(tmp_path / "trot [v2].txt", rows(clip))
    with pytest.raises(SystemExit):
        run_import(path, "motion-imitation")
    error = capsys.readouterr().err
    assert error.startswith(f"error: motion file {path}: ") and reason in error
    assert not path.with_suffix(".npz").exists()


def test_what_can_be_is_written_whatever_it_is_called(clip, tmp_path):
    path = write_text(tmp_path / "trot [b] [v2].txt", nineteen(clip))
    printed = "".join(run_import(path, "motion-imitation").split())
    assert "trot[b][v2].txt" in printed and "[MIT]and[/b]" in printed
    assert load_clips([path.with_suffix(".npz")], GRQ20_V2D3)[0].name == "trot [b] [v2]"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda clip: {"fps": 0.5 * clip.fps}, "joints move .* correct the time of a frame"),
        (lambda clip: {"root_lin_vel": 3.6 * clip.root_lin_vel}, "trunk moves? .* units"),
        (
            lambda clip: {
                "root_pos": clip.root_pos - 0.1 * (np.arange(clip.num_frames) > 9)[:, None]
            },
            "jumps by 0.17 m between frames 9 and 10",
        ),
        (lambda clip: {"root_pos": clip.root_pos - [0.0, 0.0, 0.2]}, "under the ground"),
    ],
    ids=["frame time", "km/h", "jump", "sunk"],
)
def test_a_clip_that_cannot_be_is_not_learned_from(clip, tmp_path, change, reason):
    path = tmp_path / "clip.npz"
    replace(clip, **change(clip)).save(path)
    with pytest.raises(UserError, match=reason) as refused:
        load_clips([path], GRQ20_V2D3)
    assert str(path) in str(refused.value)


def test_the_recorded_time_of_a_frame_is_compared_with_the_recorded_speeds(clip, legs, tmp_path):
    robot = SourceRobot(name="own", legs=legs)
    path = write_amp_text(tmp_path / "slow.txt", clip, FrameDuration=0.02)
    with pytest.raises(UserError, match=r"50 frames a second.*correct the time of a frame"):
        read_amp_for_hardware(path, robot)


def test_joints_and_feet_in_different_orders_of_legs_are_told_and_read(clip, legs, tmp_path):
    robot, path = SourceRobot(name="own", legs=legs), tmp_path / "mixed.txt"
    write_amp_text(path, clip, LEG_NAMES)
    expected = read_amp_for_hardware(path, robot, LEG_NAMES)
    write_amp_text(path, clip, LEG_NAMES, foot_order=PYBULLET_LEG_ORDER)
    with pytest.raises(UserError, match=r"leg order FL,FR,RL,RR with foot order FR,FL,RR,RL fits"):
        read_amp_for_hardware(path, robot, LEG_NAMES)
    read = read_amp_for_hardware(path, robot, LEG_NAMES, PYBULLET_LEG_ORDER)
    np.testing.assert_array_equal(read.foot_pos, expected.foot_pos)
