from __future__ import annotations

import mujoco
import numpy as np
import pytest
import torch
from mjlab.terrains import SubTerrainCfg, TerrainEntity, TerrainEntityCfg, TerrainGeneratorCfg

from rl_sim_env.errors import UserError
from rl_sim_env.terrains import HeightMap, flat_terrain_cfg, rough_terrain_cfg
from rl_sim_env.terrains.field_heights import FieldHeights


def _rays_down(model: mujoco.MjModel, xy: np.ndarray) -> np.ndarray:
    """Ground heights as MuJoCo's ray casting sees them."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    geom_id = np.zeros(1, dtype=np.int32)
    start, down = 10.0, np.array([0.0, 0.0, -1.0])
    return np.array(
        [
            start - mujoco.mj_ray(model, data, np.array([x, y, start]), down, None, 1, -1, geom_id)
            for x, y in xy
        ]
    )


def _tile_model(family: SubTerrainCfg, border_width: float = 2.0) -> mujoco.MjModel:
    generator = TerrainGeneratorCfg(
        seed=1,
        size=(10.0, 10.0),
        border_width=border_width,
        difficulty_range=(0.8, 0.8),
        curriculum=True,
        sub_terrains={"tile": family},
    )
    cfg = TerrainEntityCfg(terrain_type="generator", terrain_generator=generator)
    return TerrainEntity(cfg, device="cpu").spec.compile()


def _model_with(geom: str, assets: str = "") -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(
        f"<mujoco><asset>{assets}</asset><worldbody><body>{geom}</body></worldbody></mujoco>"
    )


def _families() -> dict[str, SubTerrainCfg]:
    generator = rough_terrain_cfg().terrain_generator
    assert generator is not None
    return generator.sub_terrains


def _random_xy(count: int, reach: float) -> np.ndarray:
    return np.random.default_rng(0).uniform(-reach, reach, size=(count, 2))


def _cell_center_errors(model: mujoco.MjModel, resolution: float, reach: float) -> np.ndarray:
    """Deviations from the rays where the map promises to be exact."""
    height_map = HeightMap.from_model(model, resolution=resolution, device="cpu")
    cells = np.floor((_random_xy(2000, reach) - height_map._corner.numpy()) / resolution)
    centers = (cells + 0.5) * resolution + height_map._corner.numpy()
    heights = height_map.heights(torch.tensor(centers, dtype=torch.float32)).numpy()
    return np.abs(heights - _rays_down(model, centers))


@pytest.mark.parametrize(
    ("family", "mean_bound", "max_bound"),
    [
        ("pyramid_stairs", 0.005, 0.211),  # one step is 0.21 m high
        ("pyramid_stairs_inv", 0.005, 0.211),
        ("boxes", 0.004, 0.08),
        ("random_rough", 0.003, 0.03),
        ("hf_pyramid_slope", 0.002, 0.01),
        ("hf_pyramid_slope_inv", 0.002, 0.01),
        ("plane_run", 1e-6, 1e-6),
    ],
)
def test_heights_agree_with_rays_on_every_family(
    family: str, mean_bound: float, max_bound: float
) -> None:
    model = _tile_model(_families()[family])
    xy = _random_xy(3000, reach=6.5)
    height_map = HeightMap.from_model(model, device="cpu")
    errors = np.abs(
        height_map.heights(torch.tensor(xy, dtype=torch.float32)).numpy() - _rays_down(model, xy)
    )
    assert errors.mean() < mean_bound
    assert errors.max() < max_bound


def test_height_field_is_exact_at_cell_centers() -> None:
    # Needs the diagonal along which MuJoCo splits the squares between nodes to be the right one.
    assert _cell_center_errors(_tile_model(_families()["random_rough"]), 0.025, 4.9).max() < 1e-5


@pytest.mark.parametrize(
    "geom",
    [
        '<geom type="box" size="1 0.5 0.2" pos="0.3 0.1 0.4" euler="0 0 30"/>',
        '<geom type="box" size="1 0.5 0.2" pos="0.3 0.1 0.4" euler="20 10 30"/>',
        '<geom type="sphere" size="0.7"/>',
        '<geom type="hfield" hfield="hills" euler="0 0 40"/>',
        '<geom type="hfield" hfield="hills" euler="10 0 40"/>',
    ],
)
def test_any_static_geom_is_exact_at_cell_centers(geom: str) -> None:
    hills = (
        '<hfield name="hills" nrow="3" ncol="4" size="1 1 0.5 0.1" '
        'elevation="0 1 2 0  3 0 1 1  2 2 0 1"/>'
    )
    model = _model_with('<geom type="plane" size="5 5 1"/>' + geom, assets=hills)
    errors = _cell_center_errors(model, resolution=0.04, reach=0.9)
    # A ray and a formula may disagree on which side of an edge a point lies.
    assert np.quantile(errors, 0.99) < 1e-5


def test_the_highest_of_overlapping_geoms_counts() -> None:
    model = _model_with(
        '<geom type="box" size="1 1 0.5"/><geom type="box" size="0.5 0.5 0.5" pos="0 0 0.1"/>'
        '<geom type="box" size="1 1 0.5" pos="0 0 -0.2"/>'
    )
    height_map = HeightMap.from_model(model, device="cpu")
    heights = height_map.heights(torch.tensor([[0.0, 0.0], [0.8, 0.8]]))
    torch.testing.assert_close(heights, torch.tensor([0.6, 0.5]))


def test_flat_plane_is_one_cell_and_level_everywhere() -> None:
    spec = TerrainEntity(flat_terrain_cfg(), device="cpu").spec
    spec.geom("terrain").pos = (0.0, 0.0, 0.25)
    height_map = HeightMap.from_model(spec.compile(), device="cpu")
    assert height_map.grid.numel() == 1
    heights = height_map.heights(torch.tensor([[0.0, 0.0], [-1e6, 30.0]]))
    torch.testing.assert_close(heights, torch.full((2,), 0.25))


def test_outside_the_map_the_border_goes_on() -> None:
    model = _tile_model(_families()["boxes"])
    height_map = HeightMap.from_model(model, device="cpu")
    far = torch.tensor([[6.9, 0.0], [7.1, 0.0], [1e9, -1e9], [-torch.inf, torch.inf]])
    torch.testing.assert_close(height_map.heights(far), torch.zeros(4))


def test_map_is_cropped_to_where_the_ground_is_uneven() -> None:
    height_map = HeightMap.from_model(
        _tile_model(_families()["pyramid_stairs"], border_width=20.0), device="cpu"
    )
    assert max(height_map.grid.shape) * height_map.resolution < 10.0


def test_nan_queries_are_answered_with_a_finite_height() -> None:
    height_map = HeightMap.from_model(_tile_model(_families()["boxes"]), device="cpu")
    assert height_map.heights(torch.full((2, 3, 2), torch.nan)).isfinite().all()


def test_holes_read_as_the_lowest_ground() -> None:
    model = _model_with(
        '<geom type="box" size="1 1 0.5" pos="-2 0 0"/><geom type="box" size="1 1 1" pos="2 0 0"/>'
    )
    height_map = HeightMap.from_model(model, device="cpu")
    assert height_map.heights(torch.zeros(2)) == 0.5


def test_moving_and_ghost_geoms_are_ignored() -> None:
    model = mujoco.MjModel.from_xml_string(
        '<mujoco><worldbody><geom type="plane" size="1 1 1"/>'
        '<geom type="box" size="1 1 1" contype="0" conaffinity="0"/>'
        '<body><freejoint/><geom type="box" size="2 2 2"/></body></worldbody></mujoco>'
    )
    assert HeightMap.from_model(model, device="cpu").heights(torch.zeros(2)) == 0.0


def test_query_keeps_leading_shape() -> None:
    height_map = HeightMap.from_model(_tile_model(_families()["boxes"]), device="cpu")
    xy = torch.rand(4, 11, 2)
    heights = height_map.heights(xy)
    assert heights.shape == (4, 11)
    assert heights[2, 7] == height_map.heights(xy[2, 7])


@pytest.mark.parametrize(
    ("geom", "complaint"),
    [
        ('<freejoint/><geom type="box" size="1 1 1"/>', "no world-fixed geom"),
        ('<geom type="plane" size="1 1 1" euler="10 0 0"/>', "not level"),
    ],
)
def test_models_without_usable_ground_are_refused(geom: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        HeightMap.from_model(_model_with(geom), device="cpu")


@pytest.mark.parametrize(
    "family", ["boxes", "random_rough", "hf_pyramid_slope", "hf_pyramid_slope_inv"]
)
def test_field_heights_are_those_of_the_rays(family: str) -> None:
    model = _tile_model(_families()[family])
    xy = _random_xy(500, 4.99)
    heights = FieldHeights(model, "cpu")(torch.tensor(xy, dtype=torch.float))
    np.testing.assert_allclose(heights, _rays_down(model, xy), atol=1e-4)


def test_field_heights_know_nothing_beside_fields() -> None:
    model = _tile_model(_families()["boxes"])
    heights = FieldHeights(model, "cpu")(torch.tensor([[[0.0, 5.5], [0.0, torch.nan], [0.0, 0.0]]]))
    assert heights.shape == (1, 3)
    assert heights[0].isfinite().tolist() == [False, False, True]
    plane = _model_with('<geom type="plane" size="1 1 1"/>')
    assert FieldHeights(plane, "cpu")(torch.zeros(2, 2)).tolist() == [-torch.inf, -torch.inf]


def test_turned_fields_are_refused() -> None:
    asset = '<hfield name="field" nrow="2" ncol="2" size="1 1 1 1"/>'
    model = _model_with('<geom type="hfield" hfield="field" euler="0 0 10"/>', asset)
    with pytest.raises(UserError, match="turned"):
        FieldHeights(model, "cpu")
