"""Trains the toy environment as a program, for tests that multiply, signal or kill it."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import torch
from toy_env import ToyExpert, toy_cfg
from walking_toy_env import WalkingToyEnv

from rl_sim_env.errors import UserError
from rl_sim_env.learning.checkpoint import resolve_checkpoint
from rl_sim_env.learning.distributed import Distributed
from rl_sim_env.learning.runner import AmpVaeRunner


def wait(seconds: float | None = None) -> None:
    """Do nothing while the process runs."""
    threading.Event().wait(seconds)


def fail() -> None:
    raise ValueError("a robot fell off the table")


FATES = {
    "die": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "hang": wait,
    "pause": lambda: wait(HEARTBEAT_S + 3.0),
    "fail": fail,
}
"""What may happen to a process."""

HEARTBEAT_S = 5.0


class MortalEnv(WalkingToyEnv):
    """Meets its fate in a step."""

    def __init__(self, num_envs: int, device: str, fate: str | None, step: int) -> None:
        super().__init__(num_envs=num_envs, device=device)
        self.fate = fate
        self.steps_left = step

    def step(self, actions: torch.Tensor):
        self.steps_left -= 1
        if self.fate and self.steps_left == 0:
            FATES[self.fate]()
        return super().step(actions)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("log_dir", type=Path)
    parser.add_argument("--iterations", type=int, default=3)
    parser.add_argument("--distributed", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--resume", type=Path)
    parser.add_argument("--num-envs", type=int, nargs="+", default=[8], help="of each rank in turn")
    parser.add_argument("--strategy", default="penalties")
    parser.add_argument("--guidance", default="off")
    parser.add_argument("--rank", type=int, help="rank that meets its fate")
    parser.add_argument("--fate", choices=FATES)
    parser.add_argument("--step", type=int, default=12, help="in which; a rollout has 8")
    args = parser.parse_args(arguments)
    with Distributed.launch(
        distributed=args.distributed, device=args.device, timeout_s=60
    ) as processes:
        torch.set_num_threads(1)
        processes.seed_all(1)
        cfg = toy_cfg(max_iterations=6, heartbeat_seconds=HEARTBEAT_S)
        cfg.constraints.strategy = args.strategy
        cfg.footholds.guidance = args.guidance
        if args.strategy == "cat":
            cfg.constraints.settings = {"hard": ("push",)}
        runner = AmpVaeRunner(
            MortalEnv(
                args.num_envs[processes.rank % len(args.num_envs)],
                processes.device,
                args.fate if processes.rank == args.rank else None,
                args.step,
            ),
            cfg,
            ToyExpert(processes.device),
            args.log_dir,
            task_id="Toy-v0",
            processes=processes,
        )
        if args.resume:
            found = processes.decided_by_main(
                lambda: resolve_checkpoint(args.resume, root=args.log_dir)
            )
            processes.require_seen(found)
            runner.load(found)
        runner.learn(args.iterations, init_at_random_ep_len=False)
        state = (runner.alg.save(), runner.alg.process_state())
        torch.save(state, args.log_dir / f"rank_{processes.rank}.pt")


def program(arguments: Sequence[str]) -> None:
    try:
        main(arguments)
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    program(sys.argv[1:])
