"""Measure a trained policy and write a report; ``--help`` lists the options."""

from rl_sim_env.cli.evaluate import main

if __name__ == "__main__":
    main()
