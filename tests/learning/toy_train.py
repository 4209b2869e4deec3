"""Trains the toy environment as a program, for tests that multiply, signal or kill it."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

import torch
from toy_env import ToyEnv, ToyExpert, toy_cfg

from rl_sim_env.errors import UserError
from rl_sim_env.learning.distributed import Distributed
from rl_sim_env.learning.runner import AmpVaeRunner


class MortalEnv(ToyEnv):
    """Kills its process in the given step."""

    def __init__(self, last_step: int | None, device: str) -> None:
        super().__init__(device=device)
        self.steps_left = last_step

    def step(self, actions: torch.Tensor):
        if self.steps_left is not None:
            self.steps_left -= 1
            if self.steps_left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return super().step(actions)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("log_dir", type=Path)
    parser.add_argument("--iterations", type=int, default=3)
    parser.add_argument("--distributed", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--resume", type=Path)
    parser.add_argument("--kill-rank", type=int, help="rank that dies in its second rollout")
    args = parser.parse_args()
    with Distributed.launch(
        distributed=args.distributed, device=args.device, timeout_s=60
    ) as processes:
        torch.set_num_threads(1)
        processes.seed_all(1)
        cfg = toy_cfg(max_iterations=6)
        mortal = processes.rank == args.kill_rank
        runner = AmpVaeRunner(
            MortalEnv(cfg.num_steps_per_env + 3 if mortal else None, processes.device),
            cfg,
            ToyExpert(processes.device),
            args.log_dir,
            task_id="Toy-v0",
            processes=processes,
        )
        if args.resume:
            runner.load(args.resume)
        runner.learn(args.iterations, init_at_random_ep_len=False)
        state = (runner.alg.save(), runner.alg.process_state())
        torch.save(state, args.log_dir / f"rank_{processes.rank}.pt")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
