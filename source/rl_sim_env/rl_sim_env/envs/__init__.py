"""The environment: mjlab's manager-based environment with what AMP and the context VAE need."""

from rl_sim_env.envs.amp_vae_env import AmpVaeEnv
from rl_sim_env.envs.config import AmpVaeEnvCfg, StyleCfg
from rl_sim_env.envs.gym_env import AmpVaeGymEnv, AmpVaeSingleGymEnv
from rl_sim_env.envs.vec_env import AmpVaeVecEnv

__all__ = [
    "AmpVaeEnv",
    "AmpVaeEnvCfg",
    "AmpVaeGymEnv",
    "AmpVaeSingleGymEnv",
    "AmpVaeVecEnv",
    "StyleCfg",
]
