"""Measure a trained policy and write a report; ``--help`` lists the options."""

if __name__ == "__main__":
    # Only here: processes that it starts import this file, and need none of it.
    import sys

    from rl_sim_env.cli import main

    main(["evaluate", *sys.argv[1:]])
