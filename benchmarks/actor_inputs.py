"""What a policy's actor lives on: its inputs replaced by others, ``--help`` lists the options.

Weights stay as they are: what is shown is what this policy makes of an input, an upper bound of
what the input is worth to one that is trained without.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from record import leave_record, prepare_output
from rl_sim_env.cli.options import (
    EnvironmentOptions,
    PolicyOptions,
    find_policy,
    tell_differences,
)
from rl_sim_env.cli.program import check_counts, run_program
from rl_sim_env.evaluation.arena import Arena, EvaluationCfg, arena_env_cfg, on_unseen_ground
from rl_sim_env.evaluation.footholds import FootholdMeter
from rl_sim_env.evaluation.grid import TERRAIN, report_terrains, rollout_grid
from rl_sim_env.evaluation.grouped_sums import GroupedSums
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
    """Let a policy walk with parts of what its actor reads replaced."""

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


Inputs = Mapping[str, torch.Tensor]
"""What an actor reads, by group, shape (N, width) each, among all that the policy was shown."""

Variant = Callable[[Inputs], Inputs]
"""Some inputs, made of all of them, that an actor reads in place of its own."""


class FedActor:
    """A policy whose actor reads something else in place of some inputs.

    Args:
        policy: The policy; its actor is watched from now on.

    Attributes:
        variant: What it reads in place of what; nothing at first.
        latest: What it would have read in the last call.
        kept: Families of the ground that robots stood on, shape (N,), and what :attr:`latest` was.
    """

    latest: Inputs

    def __init__(self, policy: AmpVaePolicy) -> None:
        self._policy = policy
        self.variant: Variant = _as_it_is
        self.kept: list[tuple[torch.Tensor, Inputs]] = []
        policy.actor.register_forward_pre_hook(self._feed)

    def _feed(self, _: torch.nn.Module, inputs: tuple[Inputs]) -> Any:
        self.latest = dict(inputs[0].items())
        return ({**self.latest, **self.variant(self.latest)}, *inputs[1:])

    def keep(self, families: torch.Tensor) -> None:
        """Keep :attr:`latest` of robots on these families of the ground, shape (N,)."""
        # A graph on a GPU writes each step into the same memory.
        self.kept.append((families, {name: of.clone() for name, of in self.latest.items()}))

    def all_kept(self, name: str) -> torch.Tensor:
        """An input of all that was kept, shape (calls x N, width)."""
        return torch.cat([read[name] for _, read in self.kept])

    @torch.no_grad()
    def add_change(self, variant: Variant, sums: GroupedSums) -> None:
        """Add up how far actions move, mean square, in the states that were kept."""
        for families, read in self.kept:
            self.variant = _as_it_is
            intact = self._policy.actor(read)
            self.variant = variant
            change = (self._policy.actor(read) - intact).square().mean(dim=-1)
            sums.add({TERRAIN: families}, change=change, kept=torch.ones_like(change))
        self.variant = _as_it_is


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
    figures = {AS_IT_IS: _walk(arena, cfg, actor, keep=True)}
    spread = actor.all_kept(LATENT).std(dim=0)
    figures[AS_IT_IS]["latents_alive"] = int((spread > ALIVE).sum())
    for name, variant in _variants(policy, actor).items():
        figures[name] = _walk(arena, cfg, actor, variant)
    figures[TRUTH] = _walk(arena, cfg, actor, p_boot=0.0)
    vec_env.close()
    leave_record(f"What the actor of {path.name} lives on", options, device, figures)


def _as_it_is(_: Inputs) -> Inputs:
    return {}


def _held(read: Inputs, *, at: Inputs) -> Inputs:
    """Constants, shape (width,) each, but what is read where they are NaN."""
    return {
        name: torch.where(constant.isnan(), read[name], constant) for name, constant in at.items()
    }


def _of_another(read: Inputs, *, name: str) -> Inputs:
    return {name: read[name].roll(1, dims=0)}


def _true(read: Inputs, *, name: str, truth: str) -> Inputs:
    return {name: read[truth]}


def _variants(policy: AmpVaePolicy, actor: FedActor) -> dict[str, Variant]:
    """The latent, each estimate, and all of them held; reconstructions replaced in four ways."""
    means = {name: actor.all_kept(name).mean(dim=0) for name in (LATENT, ESTIMATE)}
    constants: dict[str, Inputs] = {"latent": {LATENT: means[LATENT]}}
    for name in policy.targets.declared:
        held = torch.full_like(means[ESTIMATE], torch.nan)
        policy.targets.split(held)[name].copy_(policy.targets.split(means[ESTIMATE])[name])
        constants[name] = {ESTIMATE: held}
    constants["latent and all estimates"] = means
    variants: dict[str, Variant] = {name: partial(_held, at=at) for name, at in constants.items()}
    for name, truth in policy.vae.reconstructs.items():
        mean = actor.all_kept(name).mean(dim=0)
        variants |= {
            name: partial(_held, at={name: mean}),
            f"{name}: level": partial(_held, at={name: mean.mean().expand_as(mean)}),
            f"{name}: of another robot": partial(_of_another, name=name),
            f"{name}: truth": partial(_true, name=name, truth=truth),
        }
    return variants


def _walk(
    arena: Arena,
    cfg: EvaluationCfg,
    actor: FedActor,
    variant: Variant = _as_it_is,
    *,
    keep: bool = False,
    p_boot: float | None = None,
) -> dict[str, Any]:
    """Walk on the grid of terrains, loads and commands of a report.

    Args:
        arena: Where to walk.
        cfg: How long, and on which levels.
        actor: Of the policy that walks.
        variant: What it reads in place of what.
        keep: Whether every :data:`KEPT`-th step is kept.
        p_boot: 0 feeds the truth in place of all estimates.

    Returns:
        Figures over all terrains, and by terrain where there are several.
    """
    names = arena.env.terrain_types.names
    sums = GroupedSums({TERRAIN: len(names)}, arena.num_robots, arena.device)
    if variant is not _as_it_is:
        actor.add_change(variant, sums)
    meter = FootholdMeter(arena.env)
    actor.variant = variant
    for number, at in enumerate(rollout_grid(arena, cfg, p_boot=p_boot)):
        place = {TERRAIN: at.place[TERRAIN]}
        if keep and number % KEPT == 0:
            actor.keep(torch.as_tensor(at.place[TERRAIN]))
        sums.add(
            place,
            steps=torch.ones_like(at.step.yaw_rate),
            velocity=at.step.velocity_error,
            yaw_rate=at.step.yaw_rate_error,
            falls=at.step.fell,
            **meter.sample(),
        )
    actor.variant = _as_it_is
    terrains = report_terrains(names)
    # Few robots do not stand on all of them.
    by_terrain = {
        label: _figures(sums, **{TERRAIN: each})
        for label, each in terrains.items()
        if sums.robots(**{TERRAIN: each})
    }
    return {**_figures(sums), **(by_terrain if len(terrains) > 1 else {})}


def _figures(sums: GroupedSums, **where: Sequence[int]) -> dict[str, float]:
    of = {name: sums.total(name, **where).item() for name in sums.names}
    touchdowns = max(of["touchdowns"], 1.0)
    figures = {
        "velocity_error": of["velocity"] / of["steps"],
        "yaw_rate_error": of["yaw_rate"] / of["steps"],
        "falls": of["falls"],
        "on_edges": of["edges"] / touchdowns,
        "against_risers": of["risers"] / touchdowns,
    }
    if "kept" in of:
        figures["action_change"] = (of["change"] / of["kept"]) ** 0.5
    return figures


if __name__ == "__main__":
    main()
