"""``python -m rl_sim_env.cli``: the program where it is not on the path."""

from rl_sim_env.cli.main import main

if __name__ == "__main__":
    main()
