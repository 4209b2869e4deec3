"""Reference motion for the adversarial prior: clips, where they come from, how they are sampled."""

from rl_sim_env.motions.clip import MotionClip
from rl_sim_env.motions.library import load_clips
from rl_sim_env.motions.sampler import MotionSampler

__all__ = ["MotionClip", "MotionSampler", "load_clips"]
