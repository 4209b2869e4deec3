"""Our clips written in the public text formats, for the tests of their readers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from grq20 import LEG_NAMES
from rl_sim_env.motions.clip import MotionClip
from rl_sim_env.motions.readers import PYBULLET_LEG_ORDER


def leg_major(values: np.ndarray, order) -> np.ndarray:
    """Joint columns (L, 12) from canonical to leg by leg in another leg order."""
    by_leg = values.reshape(-1, 3, 4).swapaxes(1, 2)
    return by_leg[:, [LEG_NAMES.index(leg) for leg in order]].reshape(-1, 12)


def write_amp_text(
    path: Path,
    clip: MotionClip,
    order: Sequence[str] = PYBULLET_LEG_ORDER,
    *,
    foot_order: Sequence[str] | None = None,
    **changes,
) -> Path:
    """The 61 columns of AMP_for_hardware."""
    of_feet = foot_order or order
    feet = clip.foot_pos[:, [LEG_NAMES.index(leg) for leg in of_feet]].reshape(-1, 12)
    rows = np.concatenate(
        [
            clip.root_pos,
            np.roll(clip.root_quat, -1, axis=-1),
            leg_major(clip.joint_pos, order),
            feet,
            clip.root_lin_vel,
            clip.root_ang_vel,
            leg_major(clip.joint_vel, order),
            np.zeros((clip.num_frames, 12)),
        ],
        axis=-1,
    )
    return write_text(path, rows, **changes)


def write_text(path: Path, rows: np.ndarray, **changes) -> Path:
    """Frames and the fields around them; None in ``changes`` leaves a field out."""
    document = {"LoopMode": "Wrap", "FrameDuration": 0.01, "MotionWeight": 2.0}
    document = {**document, "Frames": rows.tolist(), **changes}
    path.write_text(json.dumps({k: v for k, v in document.items() if v is not None}))
    return path
