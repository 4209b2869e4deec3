"""Watch a trained policy; ``--help`` lists the options."""

from rl_sim_env.cli.play import main

if __name__ == "__main__":
    main()
