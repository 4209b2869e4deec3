"""How well edges can be read from a map, and by which networks, ``--help`` lists the options.

A trained policy that sees walks over ground with edges. Networks then learn, without reinforcement,
to say of places around its feet whether a foot there would stand at an edge: from the policy's
reconstruction, from what the map shows with the reconstruction in its holes, and from the truth.
Places are told, so that nothing but the map has to be read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rsl_rl.models import MLPModel
from rsl_rl.modules import MLP
from tensordict import TensorDict
from torch import nn
from torch.nn import functional

from record import leave_record, prepare_output
from rl_sim_env.cli.options import (
    EnvironmentOptions,
    PolicyOptions,
    find_policy,
    tell_differences,
)
from rl_sim_env.cli.program import check_counts, run_program
from rl_sim_env.errors import UserError
from rl_sim_env.evaluation.arena import (
    Arena,
    EvaluationCfg,
    Scenario,
    arena_env_cfg,
    on_unseen_ground,
)
from rl_sim_env.evaluation.footholds import JITTER, is_at_edge
from rl_sim_env.experiment import EnvOptions, Training, build_policy, build_vec_env, configure_env
from rl_sim_env.geometry import turned
from rl_sim_env.learning.checkpoint import Checkpoint
from rl_sim_env.learning.distributed import resolve_device
from rl_sim_env.learning.map_model import MapModel
from rl_sim_env.learning.perceptive_vae import TERRAIN_ESTIMATE, PerceptiveVae
from rl_sim_env.mdp.exteroception_cfg import MapCfg
from rl_sim_env.mdp.line_of_sight import nearest_cell
from rl_sim_env.mdp.observations import base_pos_w, foot_pos_w
from rl_sim_env.terrains import HeightMap

GROUNDS = {
    "stairs": ("pyramid_stairs", "pyramid_stairs_inv"),
    "blocks": ("boxes",),
    "gaps": ("gaps",),
    "stones": ("stones",),
}
"""Grounds with edges, and the families of the terrain that they are made of."""

SPEED = 0.6
"""That robots are told, forward [m/s]."""

KEPT = 5
"""One step in so many is kept: scans are made as often."""

HELD_OUT = 4
"""Every so many-th robot is not learned from."""

BATCH = 256
"""Steps in a batch; places of all feet in each are drawn anew."""

LEARNING_RATE = 1e-3
"""At first; it falls to zero over the time of the training."""

CROP = 0.03 * torch.arange(-2, 3)
"""What is read around a place, along each axis [m]."""


@dataclass(kw_only=True)
class MapReadingOptions(EnvironmentOptions, PolicyOptions):
    """Learn to read edges from the maps of a policy that sees."""

    num_envs: int = 60
    """Robots."""

    seconds: float = 16.0
    """Length of the walk [s]."""

    levels: tuple[int, ...] = (1, 2, 3, 4)
    """Levels of the terrain in equal shares."""

    fit_seconds: float = 30.0
    """Processor time that each network learns for [s]."""

    seed: int = 0
    """Seed of all random numbers."""

    output: Path = Path("map_reading.json")
    """Where the record goes."""


class Steps(NamedTuple):
    """Steps of robots, side by side; fields of shape (S, ...)."""

    maps: Mapping[str, torch.Tensor]
    """Heights as they are observed, by what they are of, (S, cells) each."""

    seen: torch.Tensor
    """1 where the map knows a cell, else it is remembered or guessed, (S, cells)."""

    feet: torch.Tensor
    """Base-yaw frame [m], (S, feet, 2)."""

    base: torch.Tensor
    """World [m], (S, 2)."""

    yaw: torch.Tensor
    """World [rad], (S,)."""

    family: torch.Tensor
    """Of the ground, by index, (S,)."""

    robot: torch.Tensor
    """By index, (S,)."""

    def at(self, which: torch.Tensor) -> Steps:
        """Some of them, by index or mask."""
        maps = {name: of[which] for name, of in self.maps.items()}
        return Steps(maps, *(each[which] for each in self[1:]))

    def draw_places(self) -> torch.Tensor:
        """Places around the feet, base-yaw frame [m], (S, feet, 2)."""
        return self.feet + JITTER * (2.0 * torch.rand_like(self.feet) - 1.0)

    def at_edge(self, ground: HeightMap, places: torch.Tensor) -> torch.Tensor:
        """Whether a foot at a place would stand at an edge, (S, feet), bool."""
        return is_at_edge(ground, turned(places, self.yaw[:, None]) + self.base[:, None])

    def is_seen(self, grid: MapCfg, places: torch.Tensor) -> torch.Tensor:
        """Whether the map knows the cell that a place is in, (S, feet), bool."""
        return self.seen.gather(1, nearest_cell(grid, places)[0]) > 0.5


class Crop(nn.Module):
    """Reads the map around a place, and nothing else: what it tells wherever places are.

    Args:
        cfg: The map's grid.
    """

    def __init__(self, cfg: MapCfg) -> None:
        super().__init__()
        self._cfg = cfg
        self.net = MLP(len(CROP) ** 2, 1, (128, 64), "elu")

    def around(self, read: TensorDict) -> torch.Tensor:
        """Heights around places less that in the middle, (S, feet, cells of the crop)."""
        forward, left = self._cfg.grid
        offset = torch.tensor((self._cfg.offset, 0.0))
        reach = 0.5 * self._cfg.resolution * torch.tensor((forward - 1.0, left - 1.0))
        points = (read["places"] - offset)[:, :, None] + torch.cartesian_prod(CROP, CROP)
        picture = read["map"].reshape(-1, 1, left, forward)
        found = functional.grid_sample(
            picture, points / reach, padding_mode="border", align_corners=True
        )[:, 0]
        return found - found[..., found.shape[-1] // 2, None]

    def forward(self, read: TensorDict) -> torch.Tensor:
        """Logits, (S, feet)."""
        return self.net(self.around(read)).squeeze(-1)

    def steps_around(self, read: TensorDict) -> torch.Tensor:
        """Range of the heights around places: an edge is one without having been learned."""
        around = self.around(read)
        return around.amax(dim=-1) - around.amin(dim=-1)


class Flat(nn.Module):
    """One of the models of an actor, which reads map and places side by side.

    Args:
        kind: The model.
        cells: Of the map.
        feet: Number of places.
        hidden_dims: Width of each hidden layer.
        **settings: Of the model.
    """

    def __init__(
        self,
        kind: type[MLPModel],
        cells: int,
        feet: int,
        hidden_dims: tuple[int, ...],
        **settings: Any,
    ) -> None:
        super().__init__()
        widths = {"places": 2 * feet, "map": cells}
        example = TensorDict(
            {name: torch.zeros(1, width) for name, width in widths.items()}, batch_size=[1]
        )
        arguments = ({"reader": list(widths)}, "reader", feet)
        self.model = kind(example, *arguments, hidden_dims=hidden_dims, **settings)

    def forward(self, read: TensorDict) -> torch.Tensor:
        """Logits, (S, feet)."""
        # In units of what is drawn.
        places = read["places"].flatten(1) / JITTER
        return self.model({"places": places, "map": read["map"]})


def main(argv: Sequence[str] | None = None) -> None:
    run_program(MapReadingOptions, benchmark, argv)


def benchmark(options: MapReadingOptions) -> None:
    """Measure as the options say, print the table and write the record.

    Raises:
        UserError: There is no such task or policy, or it does not see.
    """
    check_counts(num_envs=options.num_envs)
    prepare_output(options.output)
    device = resolve_device(options.device)
    if device != "cpu":
        raise UserError(f"--device {device}: walks and learns on a CPU alone; give --device cpu")
    path, task = find_policy(options)
    checkpoint = Checkpoint.load(path)
    sizes = EvaluationCfg(seeds=(options.seed,), robots=options.num_envs, seconds=options.seconds)
    setup = configure_env(
        EnvOptions(
            task=task,
            device=device,
            training=Training.of(checkpoint, path, task),
            adapt=lambda env_cfg: on_unseen_ground(arena_env_cfg(env_cfg), sizes),
            num_envs=options.num_envs,
            seed=options.seed,
            settings=options.settings,
        )
    )
    tell_differences(setup.differences)
    vec_env = build_vec_env(setup)
    policy = build_policy(checkpoint, path, task, vec_env)
    vae = policy.vae
    if not (isinstance(vae, PerceptiveVae) and TERRAIN_ESTIMATE in vae.reconstructs):
        raise UserError(f"{path}: reconstructs no map; name a policy of a task with sight")
    arena = Arena(vec_env, policy)
    families = arena.env.terrain_types.names
    steps = _walk(arena, vae, options)
    ground, grid = arena.env.height_map, arena.env.scene["exteroception"].cfg.map
    vec_env.close()
    is_held = steps.robot % HELD_OUT == 0
    seen, held = steps.at(~is_held), steps.at(is_held)
    hidden = checkpoint.runner_cfg(path).actor.hidden_dims
    flat = (grid.num_cells, steps.feet.shape[1], tuple(hidden))
    readers: dict[str, Callable[[], nn.Module]] = {
        "side by side": lambda: Flat(MLPModel, *flat),
        "convolutions": lambda: Flat(MapModel, *flat, map_group="map", grid=grid.grid),
        "around the place": lambda: Crop(grid),
    }
    figures = {}
    for source in steps.maps:
        found = Crop(grid).steps_around
        figures[f"{source}: steps around"] = _judge(found, held, source, ground, grid, families)
        for name, make in readers.items():
            torch.manual_seed(options.seed)
            reader, updates = _fit(make(), seen, source, ground, options.fit_seconds)
            figures[f"{source}: {name}"] = {
                **_judge(reader, held, source, ground, grid, families),
                "updates": updates,
                "parameters": sum(each.numel() for each in reader.parameters()),
            }
            print(f"{source}: {name}: {figures[f'{source}: {name}']}", flush=True)
    title = f"How well edges can be read from the maps of {path.name}"
    leave_record(title, options, device, figures)


def _walk(arena: Arena, vae: PerceptiveVae, options: MapReadingOptions) -> Steps:
    """Steps of a walk over ground with edges, straight ahead from the middle of a tile."""
    env, count = arena.env, arena.num_robots
    names = [name for families in GROUNDS.values() for name in families]
    families = torch.tensor([env.terrain_types.names.index(name) for name in names])
    robots = torch.arange(count)
    family = families[robots % len(families)]
    row = torch.tensor(options.levels)[robots // len(families) % len(options.levels)]
    command = torch.tensor((SPEED, 0.0, 0.0)).expand(count, 3)
    scenario = Scenario(family=family, row=row, command=command, from_middle=True)
    kept: list[Steps] = []
    pose = None
    rollout = arena.rollout(scenario, seconds=options.seconds, seed=options.seed)
    for number, step in enumerate(rollout):
        if pose is not None:
            seen = vae.is_seen(step.obs)
            believed = step.output.reconstructions[TERRAIN_ESTIMATE]
            maps = {
                "reconstruction": believed,
                "map": torch.where(seen > 0.5, vae.seen_map(step.obs), believed),
                "truth": step.obs[vae.reconstructs[TERRAIN_ESTIMATE]],
            }
            kept.append(Steps({name: of.clone() for name, of in maps.items()}, seen.clone(), *pose))
        # What the next step reads is of the state that this one has led to.
        pose = None
        if number % KEPT == 0:
            base, yaw = base_pos_w(env)[:count, :2].clone(), env.robot_heading()[:count].clone()
            feet = turned(foot_pos_w(env)[:count, :, :2] - base[:, None], -yaw[:, None])
            pose = (feet, base, yaw, family, robots)
    maps = {name: torch.cat([each.maps[name] for each in kept]) for name in kept[0].maps}
    return Steps(maps, *(torch.cat(of) for of in zip(*(each[1:] for each in kept), strict=True)))


def _fit(
    reader: nn.Module, steps: Steps, source: str, ground: HeightMap, seconds: float
) -> tuple[nn.Module, int]:
    """Train a reader for some time of the processor; also returns the number of updates."""
    optimizer = torch.optim.Adam(reader.parameters(), lr=LEARNING_RATE)
    begin, updates = time.process_time(), 0
    for batch in _batches(steps):
        left = 1.0 - (time.process_time() - begin) / seconds
        if left <= 0.0:
            break
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * left
        places = batch.draw_places()
        labels = batch.at_edge(ground, places).float()
        loss = functional.binary_cross_entropy_with_logits(
            reader(_shown(batch, source, places)), labels
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        updates += 1
    return reader, updates


def _batches(steps: Steps) -> Iterator[Steps]:
    while True:
        yield from (steps.at(which) for which in torch.randperm(len(steps.yaw)).split(BATCH))


def _shown(steps: Steps, source: str, places: torch.Tensor) -> TensorDict:
    return TensorDict({"places": places, "map": steps.maps[source]}, batch_size=[len(places)])


@torch.no_grad()
def _judge(
    reader: Callable[[TensorDict], torch.Tensor],
    steps: Steps,
    source: str,
    ground: HeightMap,
    grid: MapCfg,
    families: tuple[str, ...],
) -> dict[str, float]:
    """Area under the curve of a reader's answers, over all ground and on each."""
    torch.manual_seed(0)
    places = steps.draw_places()
    labels, answers = steps.at_edge(ground, places), reader(_shown(steps, source, places))
    figures = {"at an edge": labels.float().mean().item(), "all": area_under(answers, labels)}
    for name, of in GROUNDS.items():
        ids = torch.tensor([families.index(family) for family in of])
        on = torch.isin(steps.family, ids)
        figures[name] = area_under(answers[on], labels[on])
    is_seen = steps.is_seen(grid, places)
    figures["seen places"] = is_seen.float().mean().item()
    for name, on in (("seen", is_seen), ("unseen", ~is_seen)):
        figures[name] = area_under(answers[on], labels[on])
    return figures


def area_under(answers: torch.Tensor, labels: torch.Tensor) -> float:
    """Chance that what is true is answered by more than what is not; half of it by chance."""
    order = answers.flatten().argsort()
    ranks = torch.empty_like(order).scatter_(0, order, torch.arange(1, len(order) + 1))
    is_true = labels.flatten()
    true, false = int(is_true.sum()), int((~is_true).sum())
    above = ranks[is_true].sum().item() - true * (true + 1) / 2
    return above / (true * false) if true and false else float("nan")


if __name__ == "__main__":
    main()
