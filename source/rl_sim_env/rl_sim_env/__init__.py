"""Train, play and deploy quadrupeds that walk blind under an unknown load."""

import os

from rl_sim_env.opengl import choose_opengl

__version__ = "0.1.0"

choose_opengl()
# Threads of torch that wait for each other would otherwise spin, and starve the physics threads on
# a busy machine. OpenMP looks when torch is imported, and only then.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
