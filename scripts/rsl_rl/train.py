"""Train a policy; ``--help`` lists the options."""

import sys

from rl_sim_env.cli import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
