"""Which terrain family each environment stands on."""

from __future__ import annotations

import torch
from mjlab.terrains import TerrainEntity, TerrainEntityCfg

from rl_sim_env.errors import UserError

PLANE_FAMILY = "plane_run"
"""Name of the flat family; an infinite plane counts as it, too."""


def terrain_type_names(cfg: TerrainEntityCfg) -> tuple[str, ...]:
    """Names of the terrain families, in the order of the terrain's columns.

    Raises:
        UserError: If families are drawn per tile, so that a column has no one family.
    """
    if cfg.terrain_type == "plane":
        return (PLANE_FAMILY,)
    generator = cfg.terrain_generator
    if generator is None or not generator.curriculum:
        raise UserError(
            "scene.terrain: the terrain family of an environment is known only where each family "
            "has its own column; set terrain_generator with curriculum=True"
        )
    return tuple(generator.sub_terrains)


class TerrainTypes:
    """The terrain families by name, and each environment's family by index."""

    def __init__(self, terrain: TerrainEntity) -> None:
        """Read the families of a scene's terrain.

        Raises:
            UserError: See :func:`terrain_type_names`.
        """
        self._terrain = terrain
        self.names = terrain_type_names(terrain.cfg)
        """Family names; their order is what :attr:`ids` counts."""

    @property
    def ids(self) -> torch.Tensor:
        """Index into :attr:`names` of each environment's family now, shape (num_envs,), long."""
        if self._terrain.terrain_origins is None:
            return torch.zeros_like(self._terrain.env_origins[:, 0], dtype=torch.long)
        return self._terrain.terrain_types
