"""Export a trained policy to ONNX; ``--help`` lists the options."""

import sys

from rl_sim_env.cli import main

if __name__ == "__main__":
    main(["export", *sys.argv[1:]])
