"""Export a trained policy to ONNX; ``--help`` lists the options."""

from rl_sim_env.cli.export import main

if __name__ == "__main__":
    main()
