"""Train a policy; ``--help`` lists the options."""

from rl_sim_env.cli.train import main

if __name__ == "__main__":
    main()
