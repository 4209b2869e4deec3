"""Train, play and deploy quadrupeds that walk blind under an unknown load."""

from rl_sim_env.opengl import choose_opengl

__version__ = "0.1.0"

choose_opengl()
