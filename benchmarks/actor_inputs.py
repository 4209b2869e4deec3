"""What a policy's actor lives on: its inputs replaced by constants, ``--help`` lists the options.

Weights stay as they are: what is shown is what this policy makes of an input, an upper bound of
what the input is worth to one that is trained without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from record import make_record, prepare_output, print_record, write_record
from rl_sim_env.cli.options import (
    EnvironmentOptions,
    PolicyOptions,
    find_policy,
    tell_differences,
)
from rl_sim_env.cli.program import check_counts, run_program
from rl_sim_env.evaluation.arena import Arena, EvaluationCfg, arena_env_cfg, on_unseen_ground
from rl_sim_env.evaluation.grid import rollout_grid
from rl_sim_env.experiment import EnvOptions, Training, build_policy, build_vec_env, configure_env
from rl_sim_env.learning.checkpoint import Checkpoint
from rl_sim_env.learning.distributed import resolve_device
from rl_sim_env.learning.estimator import ESTIMATE, LATENT
from rl_sim_env.learning.policy import AmpVaePolicy

AS_IT_IS, TRUTH = "as it is", "truth for all estimates"

KEPT = 10
"""The inputs of one step in so many are kept."""

ALIVE = 0.1
"""Standard deviation over robots and time from which on a latent says anything; that of the prior
is 1."""


@dataclass(kw_only=True)
class ActorInputsOptions(EnvironmentOptions, PolicyOptions):
    """Let a policy walk with parts of what its actor reads held at their means."""

    num_envs: int = 64
    """Robots."""

    seconds: float = 10.0
    """Length of a walk [s]."""

    seeds: tuple[int, ...] = (0,)
    """Seeds of the walks."""

    levels: tuple[int, ...] = (1, 2, 3, 4)
    """Levels of the terrain in equal shares."""

    output: Path = Path("actor_inputs.json")
    """Where the record goes."""


class FedActor:
    """A policy whose actor reads constants in place of some inputs.

    Args:
        policy: The policy; its actor is watched from now on.

    Attributes:
        constants: By input, its value where it is held, NaN elsewhere; shape (width,) each.
        keeps: Whether it keeps every :data:`KEPT`-th step's inputs; off at first.
        seen: Those that were kept, by input.
    """

    def __init__(self, policy: AmpVaePolicy) -> None:
        self._policy = policy
        self._calls = 0
        self.constants: Mapping[str, torch.Tensor] = {}
        self.keeps = False
        self.seen: list[Mapping[str, torch.Tensor]] = []
        policy.actor.register_forward_pre_hook(self._feed)

    def _feed(self, _: torch.nn.Module, inputs: tuple[Mapping[str, torch.Tensor]]) -> Any:
        self._calls += 1
        if self.keeps and self._calls % KEPT == 0:
            # A graph on a GPU writes each step into the same memory.
            self.seen.append({name: of.clone() for name, of in inputs[0].items()})
        return (self._replaced(inputs[0]), *inputs[1:])

    def _replaced(self, read: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        fed = dict(read.items())
        for name, constant in self.constants.items():
            fed[name] = torch.where(constant.isnan(), fed[name], constant)
        return fed

    @torch.no_grad()
    def change(self, constants: Mapping[str, torch.Tensor]) -> float:
        """How far the actions move where some inputs are constant, root mean square.

        Everything else is as it was in the calls that were kept.
        """
        intact = torch.cat([self._policy.actor(read) for read in self.seen])
        self.constants = constants
        moved = torch.cat([self._policy.actor(read) for read in self.seen])
        self.constants = {}
        return float((moved - intact).square().mean().sqrt())


def main(argv: Sequence[str] | None = None) -> None:
    run_program(ActorInputsOptions, benchmark, argv)


def benchmark(options: ActorInputsOptions) -> None:
    """Measure as the options say, print the table and write the record.

    Raises:
        UserError: There is no such task or policy.
    """
    check_counts(num_envs=options.num_envs)
    prepare_output(options.output)
    device = resolve_device(options.device)
    path, task = find_policy(options)
    checkpoint = Checkpoint.load(path)
    cfg = EvaluationCfg(
        seeds=options.seeds,
        robots=options.num_envs,
        seconds=options.seconds,
        levels=options.levels,
    )
    setup = configure_env(
        EnvOptions(
            task=task,
            device=device,
            training=Training.of(checkpoint, path, task),
            adapt=lambda env_cfg: on_unseen_ground(arena_env_cfg(env_cfg), cfg),
            num_envs=options.num_envs,
            seed=options.seeds[0],
            settings=options.settings,
        )
    )
    tell_differences(setup.differences)
    vec_env = build_vec_env(setup)
    policy = build_policy(checkpoint, path, task, vec_env)
    actor = FedActor(policy)
    arena = Arena(vec_env, policy)
    actor.keeps = True
    figures = {AS_IT_IS: _walk(arena, cfg)}
    actor.keeps = False
    means = {
        name: torch.cat([read[name] for read in actor.seen]).mean(dim=0)
        for name in (LATENT, ESTIMATE)
    }
    spread = torch.cat([read[LATENT] for read in actor.seen]).std(dim=0)
    figures[AS_IT_IS]["latents_alive"] = int((spread > ALIVE).sum())
    for name, constants in _variants(policy, means).items():
        change = actor.change(constants)
        actor.constants = constants
        figures[name] = {**_walk(arena, cfg), "action_change": change}
        actor.constants = {}
    figures[TRUTH] = _walk(arena, cfg, p_boot=0.0)
    vec_env.close()
    record = make_record(asdict(options), device, figures)
    print_record(f"What the actor of {path.name} lives on", record)
    write_record(record, options.output)


def _variants(
    policy: AmpVaePolicy, means: Mapping[str, torch.Tensor]
) -> dict[str, Mapping[str, torch.Tensor]]:
    """Constants of the actor's inputs by what is held: each estimate, the latent, and both."""
    latent = {LATENT: means[LATENT]}
    of_estimates = {}
    for name in policy.targets.declared:
        held = torch.full_like(means[ESTIMATE], torch.nan)
        policy.targets.split(held)[name].copy_(policy.targets.split(means[ESTIMATE])[name])
        of_estimates[name] = {ESTIMATE: held}
    everything = {**latent, ESTIMATE: means[ESTIMATE]}
    return {"latent": latent, **of_estimates, "latent and all estimates": everything}


def _walk(arena: Arena, cfg: EvaluationCfg, p_boot: float | None = None) -> dict[str, float]:
    """Errors and falls on the grid of terrains, loads and commands that a report walks on."""
    sums, steps = torch.zeros(3, dtype=torch.double, device=arena.device), 0
    for at in rollout_grid(arena, cfg, p_boot=p_boot):
        steps += 1
        of_step = at.step
        sums += torch.stack(
            (of_step.velocity_error.mean(), of_step.yaw_rate_error.mean(), of_step.fell.sum())
        )
    velocity, yaw, falls = sums.tolist()
    return {"velocity_error": velocity / steps, "yaw_rate_error": yaw / steps, "falls": falls}


if __name__ == "__main__":
    main()
