"""Where clips come from: the user's files, or the generated set, made once and kept on disk."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rl_sim_env.errors import UserError, found_in
from rl_sim_env.motions.clip import MotionClip
from rl_sim_env.motions.clip_set import CLIP_SET
from rl_sim_env.motions.files import matching_files
from rl_sim_env.motions.generator import generate_clip
from rl_sim_env.motions.kinematics import LegKinematics
from rl_sim_env.motions.plausibility import require_possible
from rl_sim_env.robots import Robot, load_model

CACHE_VARIABLE = "RL_SIM_ENV_CACHE"
"""Environment variable that moves the cache away from ``~/.cache/rl_sim_env``."""

_GENERATOR_MODULES = (
    *("clip", "clip_set", "gait", "generator"),
    *("kinematics", "planar_legs", "rotations", "velocity_profile"),
)
"""Modules beside this one whose code generated clips follow from."""


def load_clips(paths: Sequence[Path | str] | None, robot: Robot) -> list[MotionClip]:
    """Load reference motions.

    Args:
        paths: Files, folders (all ``.npz`` in them) or glob patterns. None for the generated set,
            which is made at first use.
        robot: Robot that the generated clips are for.

    Raises:
        UserError: A path matches nothing, or a file is not a valid clip, or one that cannot be.
    """
    if paths is None:
        files = sorted(generated_clip_folder(robot).glob("*.npz"))
        return [MotionClip.load(file) for file in files]
    return [_load(file) for file in matching_files(paths)]


def _load(file: Path) -> MotionClip:
    clip = MotionClip.load(file)
    with found_in(f"motion file {file}"):
        require_possible(clip)
    return clip


def generated_clip_folder(robot: Robot) -> Path:
    """Folder with the generated clips of a robot, which are made if they are not there yet.

    The folder's name is a digest of the robot with its model, included files too, and of the code
    and the table that make the clips, so that a change of any of them makes new ones. It appears
    complete or not at all; of several processes that make it at once, the first one wins.

    Raises:
        UserError: The robot model cannot be used, or the cache cannot be written.
    """
    folder = cache_root() / "motions" / _digest(robot)
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix="unfinished-"))
    except OSError as error:
        raise UserError(
            f"cannot write motion clips to {folder.parent}: {error.strerror}; set {CACHE_VARIABLE} "
            "to a folder that can be written"
        ) from error
    try:
        write_generated_clips(unfinished, robot)
        unfinished.rename(folder)
    except OSError as error:
        if not folder.is_dir():
            raise UserError(f"cannot write motion clips to {folder}: {error.strerror}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def write_generated_clips(folder: Path, robot: Robot) -> list[MotionClip]:
    """Make the clips of the generated set and write each as ``<name>.npz``.

    Raises:
        UserError: The robot cannot do a clip, or the folder cannot be written.
    """
    legs = LegKinematics.from_robot(robot)
    clips = [generate_clip(cfg, robot, legs) for cfg in CLIP_SET]
    for made in clips:
        made.save(folder / f"{made.name}.npz")
    return clips


def cache_root() -> Path:
    """Folder of what is made, or fetched, once and kept."""
    return Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "rl_sim_env")


def _digest(robot: Robot) -> str:
    digest = hashlib.sha256(load_model(robot).to_xml().encode())
    digest.update(repr((robot.legs, robot.leg_joints, robot.default_pose, robot.drives)).encode())
    for module in _GENERATOR_MODULES:
        digest.update(Path(__file__).with_name(f"{module}.py").read_bytes())
    return digest.hexdigest()[:16]
