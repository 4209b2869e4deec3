"""Names of the formats that :mod:`rl_sim_env.motions.readers` reads."""

from __future__ import annotations

from typing import Literal

MotionFormat = Literal["amp-for-hardware", "motion-imitation", "grq20-npz"]

PYBULLET_LEG_ORDER = ("FR", "FL", "RR", "RL")
"""Order of the legs in the files of AMP_for_hardware and motion_imitation."""
