"""Terrains of the tasks: the rough grid, pits in it for robots that see, and the flat plane."""

from __future__ import annotations

from dataclasses import replace

from mjlab.terrains import (
    BoxFlatTerrainCfg,
    BoxInvertedPyramidStairsTerrainCfg,
    SubTerrainCfg,
    TerrainEntityCfg,
    TerrainGeneratorCfg,
)

from rl_sim_env.terrains.pits import GapsTerrainCfg, StonesTerrainCfg
from rl_sim_env.terrains.sub_terrains import (
    PyramidSlopeTerrainCfg,
    PyramidStairsTerrainCfg,
    RandomGridTerrainCfg,
    RandomRoughTerrainCfg,
)
from rl_sim_env.terrains.terrain_types import PLANE_FAMILY, column_name

TILE_SIZE = 10.0
"""Side length of a tile, m."""

BORDER_WIDTH = 20.0
"""Flat ground around the grid, m: from the centre of an outer tile, 5 m inside, a robot at the
greatest forward command, 1.2 m/s, gets 19 m past the grid in an episode of 20 s."""

_DRAWN = (RandomGridTerrainCfg, RandomRoughTerrainCfg)
"""Families whose tiles are drawn at random."""

PIT_FAMILIES = ("gaps", "stones")
"""Families with pits."""

PERCEPTIVE_SHARES = {
    "pyramid_stairs": 0.15,
    "pyramid_stairs_inv": 0.20,
    "boxes": 0.20,
    "random_rough": 0.08,
    "hf_pyramid_slope": 0.05,
    "hf_pyramid_slope_inv": 0.05,
    PLANE_FAMILY: 0.07,
    "gaps": 0.12,
    "stones": 0.08,
}
"""Shares of the robots that see."""


def rough_terrain_cfg(height_scale: float = 1.0, *, play: bool = False) -> TerrainEntityCfg:
    """The training grid: difficulty grows with the row, each family has one column.

    A family's ``proportion`` is its share of the robots. A second column of a family would repeat
    its difficulties at the full price in geoms, so there is none: ten rows are 574 geoms, 41 of
    them in each pit of ``pyramid_stairs_inv``, 11 in each pyramid of ``pyramid_stairs`` and one in
    any other tile. The blocks of ``boxes`` are a height field (as boxes: 485 geoms a tile), whose
    edges are ramps one cell wide. A foot is tested against every cell that it is above, and the
    one with the most cells decides how long all wait: hence cells wider than a foot on blocks, and
    wide ones on slopes.

    Args:
        height_scale: Factor of all heights but those of slopes; 1 suits legs of 0.57 m.
        play: For looking on: robots start on any row, in training on the two lowest.
    """
    return TerrainEntityCfg(
        terrain_type="generator",
        terrain_generator=TerrainGeneratorCfg(
            seed=0,
            curriculum=True,
            size=(TILE_SIZE, TILE_SIZE),
            border_width=BORDER_WIDTH,
            num_rows=10,
            sub_terrains=_sub_terrains(height_scale),
        ),
        max_init_terrain_level=None if play else 1,
    )


def perceptive_terrain_cfg(height_scale: float = 1.0, *, play: bool = False) -> TerrainEntityCfg:
    """Ground for robots that see: higher blocks, ditches and stones beside the seven families.

    Pits are up to a metre deep whatever the robot, over walls of one cell.

    Args:
        height_scale: Factor of all heights but those of slopes, and of widths of gaps.
        play: For looking on: robots start on any row.
    """
    cfg = rough_terrain_cfg(height_scale, play=play)
    generator = cfg.terrain_generator
    assert generator is not None

    def scaled(low: float, high: float) -> tuple[float, float]:
        return height_scale * low, height_scale * high

    families = generator.sub_terrains
    blocks = families["boxes"]
    assert isinstance(blocks, RandomGridTerrainCfg)
    families["boxes"] = replace(blocks, height_range=scaled(0.05, 0.35))
    families["gaps"] = GapsTerrainCfg(
        proportion=0.0, gap_range=scaled(0.125, 0.625), bank_width=0.8
    )
    families["stones"] = StonesTerrainCfg(
        proportion=0.0, stone_range=(0.5, 0.25), gap_range=scaled(0.125, 0.25)
    )
    for name, share in PERCEPTIVE_SHARES.items():
        families[name] = replace(families[name], proportion=share)
    return cfg


def flat_terrain_cfg() -> TerrainEntityCfg:
    """An infinite plane."""
    return TerrainEntityCfg(terrain_type="plane")


def with_columns(cfg: TerrainEntityCfg, columns: int) -> TerrainEntityCfg:
    """A terrain with so many columns of each family whose tiles are drawn.

    Columns of the other families would all look the same.

    Args:
        cfg: A terrain with one column of each family.
        columns: Number of columns; at least 1.
    """
    generator = cfg.terrain_generator
    if columns == 1 or generator is None:
        return cfg
    sub_terrains = {}
    for family, of in generator.sub_terrains.items():
        number = columns if isinstance(of, _DRAWN) else 1
        for column in range(number):
            share = replace(of, proportion=of.proportion / number)
            sub_terrains[column_name(family, column)] = share
    return replace(cfg, terrain_generator=replace(generator, sub_terrains=sub_terrains))


def _sub_terrains(height_scale: float) -> dict[str, SubTerrainCfg]:
    def heights(low: float, high: float) -> tuple[float, float]:
        return height_scale * low, height_scale * high

    return {
        "pyramid_stairs": PyramidStairsTerrainCfg(
            proportion=0.15,
            step_height_range=heights(0.05, 0.25),
            step_width=0.26,
            platform_width=3.0,
            border_width=1.0,
        ),
        "pyramid_stairs_inv": BoxInvertedPyramidStairsTerrainCfg(
            proportion=0.20,
            step_height_range=heights(0.05, 0.25),
            step_width=0.26,
            platform_width=3.0,
            border_width=1.0,
        ),
        # Where robots fall most.
        "boxes": RandomGridTerrainCfg(
            proportion=0.20,
            horizontal_scale=0.0625,
            cell_width=0.4375,
            height_range=heights(0.05, 0.20),
            platform_width=2.0,
        ),
        "random_rough": RandomRoughTerrainCfg(
            proportion=0.15,
            amplitude_range=heights(0.0, 0.06),
            height_step=0.02 * height_scale,
            border_width=0.25,
        ),
        "hf_pyramid_slope": PyramidSlopeTerrainCfg(
            proportion=0.10,
            horizontal_scale=0.25,
            slope_range=(0.0, 0.6),
            platform_width=2.0,
            border_width=0.25,
        ),
        "hf_pyramid_slope_inv": PyramidSlopeTerrainCfg(
            proportion=0.10,
            horizontal_scale=0.25,
            slope_range=(0.0, -0.6),
            platform_width=2.0,
            border_width=0.25,
        ),
        PLANE_FAMILY: BoxFlatTerrainCfg(proportion=0.10),
    }
