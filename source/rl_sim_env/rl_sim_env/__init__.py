"""Train, play and deploy quadrupeds that walk blind under an unknown load."""

import os

from rl_sim_env.opengl import choose_opengl

__version__ = "0.1.0"

choose_opengl()
# Threads of torch that wait for each other would otherwise spin for long, and starve the physics
# threads on a busy machine; GNU's may spin for some 20 us, about what waking one takes, which makes
# updates a quarter faster. OpenMP looks when torch is imported, and only then.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "20000")
