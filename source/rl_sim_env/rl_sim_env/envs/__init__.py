"""The environment: mjlab's manager-based environment with what AMP and the context VAE need."""

from typing import TYPE_CHECKING, Any

from rl_sim_env.envs.amp_vae_env import AmpVaeEnv
from rl_sim_env.envs.config import AmpVaeEnvCfg, StyleCfg
from rl_sim_env.envs.gym_env import AmpVaeGymEnv, AmpVaeSingleGymEnv

if TYPE_CHECKING:
    from rl_sim_env.envs.vec_env import AmpVaeVecEnv

__all__ = [
    "AmpVaeEnv",
    "AmpVaeEnvCfg",
    "AmpVaeGymEnv",
    "AmpVaeSingleGymEnv",
    "AmpVaeVecEnv",
    "StyleCfg",
]


def __getattr__(name: str) -> Any:
    """What trainers take is imported when it is asked for.

    rsl_rl and tensordict take seconds, which nobody should wait for who configures an environment.
    """
    if name == "AmpVaeVecEnv":
        from rl_sim_env.envs.vec_env import AmpVaeVecEnv

        return AmpVaeVecEnv
    raise AttributeError(f"module {__name__} has no {name}")
