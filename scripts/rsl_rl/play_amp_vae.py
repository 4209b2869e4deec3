"""Watch a trained policy; ``--help`` lists the options."""

import sys

from rl_sim_env.cli import main

if __name__ == "__main__":
    main(["play", *sys.argv[1:]])
