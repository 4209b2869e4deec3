"""Where the feet of a clip are in the world, for tests of what makes and shows clips."""

from __future__ import annotations

import numpy as np

from rl_sim_env.motions.clip import MotionClip
from rl_sim_env.motions.rotations import quat_rotate


def feet_in_world(clip: MotionClip) -> np.ndarray:
    """Centres of the foot spheres in the world [m]. Shape (L, F, 3)."""
    return clip.root_pos[:, None] + quat_rotate(clip.root_quat[:, None], clip.foot_pos)
