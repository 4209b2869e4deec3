"""Termination terms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch

from rl_sim_env.configuration.limits import NOT_NEGATIVE, POSITIVE
from rl_sim_env.mdp.constraints import contact_force
from rl_sim_env.mdp.observations import base_pos_w

if TYPE_CHECKING:
    from mjlab.terrains import TerrainGeneratorCfg

    from rl_sim_env.envs import AmpVaeEnv


def illegal_contact(
    env: AmpVaeEnv, *, sensor_name: str, force_threshold: Annotated[float, NOT_NEGATIVE]
) -> torch.Tensor:
    """A watched part bears more than ``force_threshold`` [N] of contact. Shape (num_envs,)."""
    return (contact_force(env, sensor_name) > force_threshold).any(dim=-1)


def in_a_pit(
    env: AmpVaeEnv, *, reach: Annotated[float, NOT_NEGATIVE], families: tuple[str, ...]
) -> torch.Tensor:
    """The base is below the ground ``reach`` [m] away on two opposite sides. Shape (num_envs,).

    Args:
        env: The environment.
        reach: How far away.
        families: Families of terrain whose holes are pits. A hole between high blocks looks like
            one, and is ground to walk on.
    """
    position = base_pos_w(env)
    x, y, z = position.unbind(dim=-1)

    def is_between(ahead: torch.Tensor, behind: torch.Tensor) -> torch.Tensor:
        heights = env.height_map.heights
        return torch.minimum(heights(ahead), heights(behind)) > z

    is_low = is_between(
        torch.stack((x + reach, y), dim=-1), torch.stack((x - reach, y), dim=-1)
    ) | is_between(torch.stack((x, y + reach), dim=-1), torch.stack((x, y - reach), dim=-1))
    has_pits = torch.zeros_like(is_low)
    for family, name in enumerate(env.terrain_types.names):
        if name in families:
            has_pits |= env.terrain_types.ids == family
    return is_low & has_pits


def left_tile(
    env: AmpVaeEnv, *, threshold_fraction: Annotated[float, POSITIVE] = 0.95
) -> torch.Tensor:
    """The robot is beyond ``threshold_fraction`` of its tile; mjlab's ``terrain_edge_reached``.

    Shape (num_envs,); never so where there are no tiles.
    """
    offset = env.robot.data.root_link_pos_w - env.scene.env_origins
    if (tiles := generated_tiles(env)) is None:
        return torch.zeros_like(offset[:, 0], dtype=torch.bool)
    _, generator = tiles
    share = 0.5 * threshold_fraction
    length, width = generator.size
    return _is_outside(offset, share * length, share * width)


def left_terrain(env: AmpVaeEnv, *, margin: Annotated[float, NOT_NEGATIVE] = 0.3) -> torch.Tensor:
    """The robot is beyond all tiles and their border, or less than ``margin`` [m] from its end.

    It is mjlab's ``out_of_terrain_bounds``. Shape (num_envs,); never so where there are no tiles.
    """
    position = env.robot.data.root_link_pos_w
    if (tiles := generated_tiles(env)) is None:
        return torch.zeros_like(position[:, 0], dtype=torch.bool)
    origins, generator = tiles
    # Of what was generated: a grid with curricula has a column for each family.
    rows, columns = origins.shape[:2]
    length, width = generator.size
    beyond = generator.border_width - margin
    return _is_outside(position, 0.5 * rows * length + beyond, 0.5 * columns * width + beyond)


def broken_physics(env: AmpVaeEnv) -> torch.Tensor:
    """Physics has produced NaN or absurd velocities. Shape (num_envs,)."""
    return ~env.state_is_valid()


def generated_tiles(env: AmpVaeEnv) -> tuple[torch.Tensor, TerrainGeneratorCfg] | None:
    """Origins of the tiles [m], shape (rows, columns, 3), and what made them; None on a plane.

    A configuration that was turned into a plane may still say what would be generated.
    """
    terrain = env.terrain
    if terrain.terrain_origins is None:
        return None
    assert terrain.cfg.terrain_generator is not None
    return terrain.terrain_origins, terrain.cfg.terrain_generator


def _is_outside(position: torch.Tensor, half_length: float, half_width: float) -> torch.Tensor:
    """Whether x or y is beyond half of a length or width around 0 [m], shape (num_envs,)."""
    x, y = position[:, 0].abs(), position[:, 1].abs()
    return (x > half_length) | (y > half_width)
