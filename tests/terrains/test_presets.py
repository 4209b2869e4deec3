from __future__ import annotations

import mujoco
import numpy as np
import pytest
import torch
from mjlab.terrains import TerrainEntity, TerrainEntityCfg

from rl_sim_env.errors import UserError
from rl_sim_env.terrains import (
    HeightMap,
    TerrainTypes,
    flat_terrain_cfg,
    rough_terrain_cfg,
    terrain_type_names,
    with_columns,
)

FAMILIES = (
    "pyramid_stairs",
    "pyramid_stairs_inv",
    "boxes",
    "random_rough",
    "hf_pyramid_slope",
    "hf_pyramid_slope_inv",
    "plane_run",
)


@pytest.fixture(scope="module")
def rough() -> tuple[TerrainEntity, mujoco.MjModel, HeightMap]:
    cfg = rough_terrain_cfg()
    cfg.num_envs = 400
    terrain = TerrainEntity(cfg, device="cpu")
    model = terrain.spec.compile()
    return terrain, model, HeightMap.from_model(model, resolution=0.05, device="cpu")


def _profile(height_map: HeightMap, center: torch.Tensor, reach: float) -> torch.Tensor:
    """Heights on the way from a tile's centre along x."""
    x = torch.arange(0.0, reach, 0.01) + center[0]
    return height_map.heights(torch.stack([x, center[1].expand_as(x)], dim=-1))


def test_rough_terrain_keeps_its_geom_budget(rough) -> None:
    _, model, _ = rough
    assert model.ngeom == 574


def test_robots_share_the_families_by_proportion(rough) -> None:
    terrain, _, _ = rough
    types = TerrainTypes(terrain)
    shares = torch.bincount(types.ids, minlength=len(FAMILIES)) / 400
    assert types.names == FAMILIES
    torch.testing.assert_close(
        shares, torch.tensor([0.15, 0.20, 0.20, 0.15, 0.10, 0.10, 0.10]), atol=0.01, rtol=0
    )


def test_robots_start_on_the_two_easiest_rows(rough) -> None:
    terrain, _, _ = rough
    assert terrain.terrain_levels.unique().tolist() == [0, 1]


def test_spawn_origins_lie_on_or_just_above_the_ground(rough) -> None:
    terrain, _, height_map = rough
    origins = terrain.terrain_origins.reshape(-1, 3)
    clearance = origins[:, 2] - height_map.heights(origins[:, :2])
    assert clearance.min() > -1e-4
    assert clearance.max() < 0.13  # twice the amplitude of the roughest tile


@pytest.mark.parametrize(("family", "direction"), [(0, -1.0), (1, 1.0)])
def test_stairs_have_ten_steps_of_the_height_for_their_row(rough, family: int, direction) -> None:
    terrain, _, height_map = rough
    for row, step_height in ((0, 0.05), (9, 0.25)):
        steps = _profile(height_map, terrain.terrain_origins[row, family], reach=4.5).diff()
        risers = steps[steps != 0]
        torch.testing.assert_close(risers, torch.full((10,), direction * step_height))


@pytest.mark.parametrize(("family", "direction"), [(4, -1.0), (5, 1.0)])
def test_slopes_reach_their_gradient_on_the_hardest_row(rough, family: int, direction) -> None:
    terrain, _, height_map = rough
    flat = _profile(height_map, terrain.terrain_origins[0, family], reach=4.9)
    steep = _profile(height_map, terrain.terrain_origins[9, family], reach=4.9)
    assert flat.diff().abs().max() == 0
    # From the rim of the clipped pyramid to its foot, through the middle of a side.
    outer = (steep[-30] - steep[-130]) / 1.0
    assert direction * outer == pytest.approx(0.6, abs=0.03)


def test_rough_tile_is_symmetric_about_its_level(rough) -> None:
    terrain, model, _ = rough
    for row, amplitude in ((0, 0.0), (1, 0.06 / 9), (9, 0.06)):
        x, y, _ = terrain.terrain_origins[row, FAMILIES.index("random_rough")]
        field = next(
            g for g in range(model.ngeom) if np.allclose(model.geom_pos[g, :2], (x, y), atol=0.1)
        )
        data_id = model.geom_dataid[field]
        start = model.hfield_adr[data_id]
        nodes = model.hfield_data[start : start + 101 * 101] * model.hfield_size[data_id, 2]
        nodes = nodes + model.geom_pos[field, 2]
        levels = np.unique(nodes.round(5))
        np.testing.assert_allclose(levels, -levels[::-1], atol=1e-5)
        assert levels.max() == pytest.approx(amplitude, abs=1e-5)
        assert np.diff(levels).max(initial=0.0) < 0.0201


def test_boxes_have_steep_edges_between_level_tops(rough) -> None:
    terrain, _, height_map = rough
    center = terrain.terrain_origins[9, FAMILIES.index("boxes")]
    profile = _profile(height_map, center, reach=4.9)
    level = profile.diff().abs() < 1e-6
    assert level.float().mean() > 0.85
    assert profile.diff(n=1).abs().max() > 0.1


def _two_rows(seed: int = 0) -> TerrainEntityCfg:
    cfg = rough_terrain_cfg()
    assert cfg.terrain_generator is not None
    cfg.terrain_generator.num_rows, cfg.terrain_generator.seed = 2, seed
    return cfg


def test_same_seed_gives_the_same_ground() -> None:
    first, second, other = (
        TerrainEntity(_two_rows(seed), "cpu").spec.compile() for seed in (3, 3, 4)
    )
    assert np.array_equal(first.hfield_data, second.hfield_data)
    assert not np.array_equal(first.hfield_data, other.hfield_data)


def test_play_terrain_shows_every_family_on_any_row() -> None:
    cfg = rough_terrain_cfg(play=True)
    cfg.num_envs = 400
    terrain = TerrainEntity(cfg, device="cpu")
    assert terrain_type_names(cfg) == FAMILIES
    assert terrain.terrain_levels.unique().tolist() == [*range(10)]


def test_a_level_is_as_hard_to_watch_as_to_train_and_to_measure_on() -> None:
    played, trained = rough_terrain_cfg(play=True), rough_terrain_cfg()
    assert played.terrain_generator == trained.terrain_generator


def test_plane_counts_as_the_flat_family() -> None:
    cfg = flat_terrain_cfg()
    cfg.num_envs = 3
    types = TerrainTypes(TerrainEntity(cfg, device="cpu"))
    assert types.names == ("plane_run",)
    assert types.ids.tolist() == [0, 0, 0]


def test_families_follow_an_environment_to_another_column(rough) -> None:
    terrain, _, _ = rough
    types = TerrainTypes(terrain)
    before = types.ids.clone()
    terrain.randomize_env_origins(torch.arange(400))
    assert not torch.equal(types.ids, before)


def test_tiles_that_are_drawn_can_have_several_columns_all_of_one_family() -> None:
    cfg = with_columns(_two_rows(), 3)
    cfg.num_envs = 400
    terrain = TerrainEntity(cfg, device="cpu")
    types = TerrainTypes(terrain)
    assert types.names == FAMILIES
    assert terrain.terrain_origins.shape[1] == len(FAMILIES) + 2 * 2
    # Robots are spread as on one column each.
    shares = torch.bincount(types.ids, minlength=len(FAMILIES)) / 400
    expected = torch.tensor([0.15, 0.20, 0.20, 0.15, 0.10, 0.10, 0.10])
    torch.testing.assert_close(shares, expected, atol=0.02, rtol=0)
    family = torch.arange(len(FAMILIES)).repeat(200)
    column = types.draw_columns(family)
    terrain.terrain_types = column
    assert torch.equal(types.ids, family)
    for name, of in zip(FAMILIES, range(len(FAMILIES)), strict=True):
        used = column[family == of].unique(return_counts=True)[1].tolist()
        assert len(used) == (3 if name in ("boxes", "random_rough") else 1)
        assert min(used) > 40


def test_random_grid_has_no_family_names() -> None:
    cfg = rough_terrain_cfg()
    assert cfg.terrain_generator is not None
    cfg.terrain_generator.curriculum = False
    with pytest.raises(UserError, match="curriculum=True"):
        terrain_type_names(cfg)
    with pytest.raises(UserError, match=r"scene\.terrain"):
        terrain_type_names(TerrainEntityCfg(terrain_type="generator"))
