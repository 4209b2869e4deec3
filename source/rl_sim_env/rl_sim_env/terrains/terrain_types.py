"""Which terrain family each environment stands on."""

from __future__ import annotations

import torch
from mjlab.terrains import TerrainEntity, TerrainEntityCfg

from rl_sim_env.errors import UserError

PLANE_FAMILY = "plane_run"
"""Name of the flat family; an infinite plane counts as it, too."""

_COLUMN = "#"
"""Stands between the name of a family and the number of a column after its first."""


def terrain_type_names(cfg: TerrainEntityCfg) -> tuple[str, ...]:
    """Names of the terrain families, in the order of their first columns.

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
    return tuple(dict.fromkeys(map(family_of_column, generator.sub_terrains)))


def column_name(family: str, number: int) -> str:
    """Name of a family's column of tiles, the first of which, 0, is called as the family."""
    return f"{family}{_COLUMN}{number + 1}" if number else family


def family_of_column(name: str) -> str:
    """The family that a column of tiles belongs to: the inverse of :func:`column_name`."""
    return name.partition(_COLUMN)[0]


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
        generator = terrain.cfg.terrain_generator
        if terrain.terrain_origins is None or generator is None:
            return
        families = [self.names.index(family_of_column(name)) for name in generator.sub_terrains]
        device = terrain.terrain_origins.device
        self._family_of_column = torch.tensor(families, device=device)
        columns = [
            [at for at, of in enumerate(families) if of == f] for f in range(len(self.names))
        ]
        self._num_columns = torch.tensor([len(own) for own in columns], device=device)
        most = max(map(len, columns))
        self._columns = torch.tensor([(own * most)[:most] for own in columns], device=device)

    @property
    def ids(self) -> torch.Tensor:
        """Index into :attr:`names` of each environment's family now, shape (num_envs,), long."""
        if self._terrain.terrain_origins is None:
            return torch.zeros_like(self._terrain.env_origins[:, 0], dtype=torch.long)
        return self._family_of_column[self._terrain.terrain_types]

    def draw_columns(self, families: torch.Tensor) -> torch.Tensor:
        """A column of tiles for each family, all of the family's alike likely.

        Args:
            families: Indices into :attr:`names`, of a terrain that is no plane. Shape (n,), long.

        Returns:
            Columns of the terrain's grid. Shape (n,), long.
        """
        share = torch.rand(families.shape, device=families.device)
        place = (share * self._num_columns[families]).long()
        return self._columns[families, place]
