"""Candidates and contacts with static geoms from the grid against MuJoCo Warp's own broadphase."""

from __future__ import annotations

import mujoco
import mujoco_warp
import numpy as np
import pytest
import torch
import warp as wp
from mjlab.scene import Scene
from mjlab.sim.sim import MujocoCfg
from mjlab.sim.sim import SimulationCfg as MjlabSimulationCfg
from mujoco_warp._src.collision_core import create_collision_context

from rl_sim_env.errors import UserError
from rl_sim_env.simulation import SimulationCfg, WarpSimulation
from rl_sim_env.simulation.grid_broadphase import static_grids, use_grid_broadphase
from rl_sim_env.simulation.hfield_collision import use_surface_contacts
from rl_sim_env.tasks import make_env_cfg
from rl_sim_env.terrains import HeightMap

pytestmark = pytest.mark.slow  # compiles Warp's kernels once, about half a minute

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
NUM_PLACEMENTS = 3000
CONTACT = ("worldid", "geom", "dist", "pos", "frame", "includemargin", "friction", "dim", "solref")


@pytest.fixture(scope="module", params=DEVICES)
def device(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def rough() -> mujoco.MjModel:
    """The full task: a robot on all families of ground."""
    return Scene(make_env_cfg("Rl-Sim-Env-AmpVae-Grq20-V2d3-v0").scene, "cpu").compile()


@pytest.fixture(scope="module")
def placements(rough: mujoco.MjModel) -> np.ndarray:
    """From a little within the ground to half a metre above it, in any pose, also past the edge."""
    rng = np.random.default_rng(0)
    qpos = np.tile(rough.qpos0, (NUM_PLACEMENTS, 1))
    # The grid of tiles, its border of 20 m, and a little beyond; most on tiles.
    reach = np.where(rng.random(NUM_PLACEMENTS) < 0.8, 1.0, 1.5)[:, None] * (50.0, 35.0)
    xy = reach * rng.uniform(-1.0, 1.0, (NUM_PLACEMENTS, 2))
    ground = HeightMap.from_model(rough, resolution=0.1, device="cpu").heights(
        torch.tensor(xy, dtype=torch.float32)
    )
    qpos[:, :2] = xy
    qpos[:, 2] = ground.nan_to_num().numpy() + rng.uniform(-0.1, 0.5, NUM_PLACEMENTS)
    quat = rng.normal(size=(NUM_PLACEMENTS, 4))
    quat[::2, 1:3] *= 0.15
    qpos[:, 3:7] = quat / np.linalg.norm(quat, axis=1, keepdims=True)
    qpos[:, 7:] += rng.normal(scale=0.5, size=qpos[:, 7:].shape)
    return qpos


def _data(
    m: mujoco_warp.Model, model: mujoco.MjModel, qpos: np.ndarray, **sizes: int
) -> mujoco_warp.Data:
    d = mujoco_warp.make_data(model, nworld=len(qpos), **{"nconmax": 30, "njmax": 1, **sizes})
    d.qpos.assign(qpos)
    mujoco_warp.kinematics(m, d)
    return d


def _contacts(m: mujoco_warp.Model, d: mujoco_warp.Data) -> np.ndarray:
    """All that is known of the contacts, in one order: a row each, world and geoms first."""
    mujoco_warp.collision(m, d)
    number = d.nacon.numpy()[0]
    assert max(number, d.ncollision.numpy()[0]) <= d.naconmax
    rows = np.hstack(
        [getattr(d.contact, name).numpy()[:number].reshape(number, -1) for name in CONTACT]
    )
    return rows[np.lexsort(rows.T[::-1])]


def _candidates(d: mujoco_warp.Data, ctx) -> np.ndarray:
    number = d.ncollision.numpy()[0]
    assert number <= d.naconmax
    rows = np.column_stack(
        [
            of.numpy()[:number]
            for of in (ctx.collision_worldid, ctx.collision_pair, ctx.collision_pairid)
        ]
    )
    return rows[np.lexsort(rows.T[::-1])]


def _both_ways(model: mujoco.MjModel, qpos: np.ndarray, device: str) -> list[np.ndarray]:
    """Contacts of a model by MuJoCo Warp's own broadphase, and by the grid."""
    found = []
    with wp.ScopedDevice(device):
        for use in (lambda *_: None, use_grid_broadphase):
            m = mujoco_warp.put_model(model)
            use(m, model)
            found.append(_contacts(m, _data(m, model, qpos)))
    return found


# ---------------------------------------------------------------- the full task


def test_candidates_are_those_of_mujoco_warp(rough, placements, device: str) -> None:
    with wp.ScopedDevice(device):
        m = mujoco_warp.put_model(rough)
        use_surface_contacts(m, rough)
        (grid,) = static_grids(rough, m.nxn_geom_pair_filtered.numpy(), m.geom_type.device)
        d = _data(m, rough, placements)
        found = []
        for broadphase in (mujoco_warp.nxn_broadphase, grid.add_candidates):
            ctx = create_collision_context(d.naconmax)
            d.ncollision.zero_()
            broadphase(m, d, ctx)
            found.append(_candidates(d, ctx))
    assert len(found[0]) > NUM_PLACEMENTS
    np.testing.assert_array_equal(*found)


def test_contacts_are_those_of_mujoco_warp(rough, placements, device: str) -> None:
    found = []
    with wp.ScopedDevice(device):
        for ways in ((use_surface_contacts,), (use_surface_contacts, use_grid_broadphase)):
            m = mujoco_warp.put_model(rough)
            for use in ways:
                use(m, rough)
            found.append(_contacts(m, _data(m, rough, placements)))
    kinds = rough.geom_type[found[0][:, 1].astype(int)]
    assert min((kinds == mujoco.mjtGeom.mjGEOM_HFIELD).sum(), len(kinds) // 4) > 500
    np.testing.assert_array_equal(*found)


def _deepest(model: mujoco.MjModel, world, geoms, distance) -> np.ndarray:
    """Distance of each moving geom to the box of the ground that it is deepest in; 1 for none.

    Args:
        model: The model.
        world: Placement of each contact, shape (num_contacts,).
        geoms: Its geoms, shape (num_contacts, 2).
        distance: Its distance, shape (num_contacts,).
    """
    static = model.body_weldid[model.geom_bodyid] == 0
    ground = static & (model.geom_type == mujoco.mjtGeom.mjGEOM_BOX)
    geoms = np.where(ground[geoms[:, :1]], geoms, geoms[:, ::-1])
    chosen = ground[geoms[:, 0]] & ~static[geoms[:, 1]]
    deepest = np.ones((NUM_PLACEMENTS, model.ngeom))
    np.minimum.at(deepest, (world[chosen], geoms[chosen, 1]), distance[chosen])
    return deepest[:, ~static & ((model.geom_contype | model.geom_conaffinity) != 0)]


def test_stairs_and_boxes_are_touched_as_in_native_mujoco(rough, placements, device: str) -> None:
    with wp.ScopedDevice(device):
        m = mujoco_warp.put_model(rough)
        use_surface_contacts(m, rough)
        use_grid_broadphase(m, rough)
        found = _contacts(m, _data(m, rough, placements))
    ours = _deepest(rough, found[:, 0].astype(int), found[:, 1:3].astype(int), found[:, 3])
    worlds, geoms, distances, data = [], [], [], mujoco.MjData(rough)
    for world, qpos in enumerate(placements):
        data.qpos[:] = qpos
        mujoco.mj_kinematics(rough, data)
        mujoco.mj_comPos(rough, data)
        mujoco.mj_collision(rough, data)
        worlds.append(np.full(data.ncon, world))
        geoms.append(data.contact.geom.copy())
        distances.append(data.contact.dist.copy())
    native = _deepest(rough, *map(np.concatenate, (worlds, geoms, distances)))

    both = (ours < 0.0) & (native < 0.0)
    assert ((ours < 0.0) == (native < 0.0)).mean() >= 0.9995
    assert both.sum(axis=0).min() > NUM_PLACEMENTS // 20, "placements test little"
    # Boxes that are half a box deep in each other may get out through another side.
    assert np.quantile(np.abs(ours - native)[both], 0.999) < 2e-5


def test_a_robot_is_tested_against_few_of_the_boxes(rough) -> None:
    m = mujoco_warp.put_model(rough)
    use_surface_contacts(m, rough)
    pairs = m.nxn_geom_pair_filtered.numpy()
    assert len(pairs) == 7476
    (grid,) = static_grids(rough, pairs, "cpu")
    assert np.diff(grid.cells_begin.numpy()).max() <= 11  # the steps of a pyramid lie on each other
    use_grid_broadphase(m, rough)
    assert m.nxn_geom_pair_filtered.shape[0] == 0


def test_a_robot_far_away_or_nowhere_has_no_candidates(rough, device: str) -> None:
    far = [*(sign * size for sign in (-1.0, 1.0) for size in (1e3, 1e30, np.inf)), np.nan]
    with wp.ScopedDevice(device):
        m = mujoco_warp.put_model(rough)
        use_surface_contacts(m, rough)
        (grid,) = static_grids(rough, m.nxn_geom_pair_filtered.numpy(), m.geom_type.device)
        # The last world has robots on stairs that are turned by what is no number.
        d = _data(m, rough, np.tile(rough.qpos0, (2 * len(far) + 1, 1)))
        position, rotation = d.geom_xpos.numpy(), d.geom_xmat.numpy()
        position[:] = rough.geom_pos[_stairs(rough)]
        for axis in range(2):
            position[axis : 2 * len(far) : 2, :, axis] = np.array(far)[:, None]
        rotation[-1] = np.nan
        d.geom_xpos.assign(position)
        d.geom_xmat.assign(rotation)
        ctx = create_collision_context(d.naconmax)
        d.ncollision.zero_()
        grid.add_candidates(m, d, ctx)
        assert d.ncollision.numpy()[0] == 0


def _stairs(model: mujoco.MjModel) -> int:
    return int(np.flatnonzero(model.geom_type == mujoco.mjtGeom.mjGEOM_BOX)[0])


# ---------------------------------------------------------------- other grounds

YARD = """<mujoco>
  <worldbody>
    <geom name="floor" type="plane" size="0 0 1"/>
    <geom name="tilted" type="box" size="0.4 0.3 0.1" pos="1 0 0.1" euler="20 10 30" margin="0.01"/>
    <geom name="wall" type="box" size="3 0.05 0.5" pos="0 1 0.5" euler="0 0 15" gap="{margin}"/>
    <geom name="pole" type="capsule" size="0.1 0.4" pos="-1 0.5 0.5" contype="3"/>
    <body pos="-1 -1 0.2" euler="0 0 45"><body pos="0.2 0 0">
      <geom name="stone" type="capsule" size="0.2 0.3" euler="0 60 0"/>
    </body></body>
    <body name="lift" mocap="true" pos="0 -1 0.1">
      <geom name="lift" type="box" size="0.3 0.3 0.1"/>
    </body>
    <body pos="0 0 0.5"><freejoint/>
      <geom name="ball" size="0.15" margin="{margin}" contype="0" conaffinity="1"/></body>
    <body pos="0 0 0.5"><freejoint/>
      <geom name="log" type="capsule" size="0.05 0.3" gap="{margin}" contype="0" conaffinity="1"/>
    </body>
    <body pos="0 0 0.5"><freejoint/>
      <geom name="crate" type="box" size="0.2 0.1 0.1" contype="0" conaffinity="2"/></body>
  </worldbody>
  {more}
</mujoco>"""
"""What is fixed to the world in several ways, and what moves and collides with some of it."""


def _yard(margin: float = 0.0, more: str = "") -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(YARD.format(margin=margin, more=more))


def _scattered(model: mujoco.MjModel) -> np.ndarray:
    rng = np.random.default_rng(1)
    qpos = rng.normal(size=(NUM_PLACEMENTS, model.nq))
    for start in range(0, model.nq, 7):
        low, high = (-2.5, -2.0, -0.1), (2.5, 2.0, 0.8)
        qpos[:, start : start + 3] = rng.uniform(low, high, (NUM_PLACEMENTS, 3))
    return qpos


@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_all_that_is_fixed_to_the_world_is_met(device: str, margin: float) -> None:
    model = _yard(margin)
    theirs, ours = _both_ways(model, _scattered(model), device)
    met = {model.geom(int(geom)).name for geom in np.unique(theirs[:, 1:3])}
    assert met == {model.geom(geom).name for geom in range(model.ngeom)}
    np.testing.assert_array_equal(theirs, ours)


def test_pairs_with_settings_of_their_own_stay_and_meet_once(device: str) -> None:
    more = """<contact><pair geom1="log" geom2="wall" margin="0.05" condim="4"/></contact>
      <sensor><distance geom1="ball" geom2="stone" cutoff="1"/></sensor>"""
    model = _yard(more=more)
    theirs, ours = _both_ways(model, _scattered(model), device)
    np.testing.assert_array_equal(theirs, ours)


def test_margins_of_moving_geoms_may_change_and_differ_between_worlds(device: str) -> None:
    model = _yard()
    qpos, found = _scattered(model), []
    margins = np.tile(model.geom_margin, (len(qpos), 1))
    ball = model.geom("ball").id
    margins[:, ball] = np.random.default_rng(2).uniform(0.0, 0.8, len(qpos))
    with wp.ScopedDevice(device):
        for use in (lambda *_: None, use_grid_broadphase):
            m = mujoco_warp.put_model(model)
            use(m, model)
            m.geom_margin = wp.array(margins, dtype=float)
            found.append(_contacts(m, _data(m, model, qpos)))
    theirs, ours = found
    assert theirs[:, 3].max() > 0.5
    np.testing.assert_array_equal(theirs, ours)


@pytest.mark.parametrize("broadphase", ["nxn", "sap_tile", "sap_segmented"])
def test_each_pair_is_found_once_whatever_the_broadphase(broadphase: str) -> None:
    def simulation(way: str) -> WarpSimulation:
        cfg = SimulationCfg(nconmax=20, njmax=100, broadphase=broadphase, static_broadphase=way)
        return WarpSimulation(1, cfg, model=_yard(), device="cpu")

    found = []
    for way in ("grid", "pairs"):
        one = simulation(way)
        # The ball on the wall and the floor, the log on the floor, the crate on the pole.
        one.data.qpos[0, :3] = torch.tensor((0.0, 1.15, 0.14))
        one.data.qpos[0, 7:10] = torch.tensor((0.0, -2.0, 0.2))
        one.data.qpos[0, 14:17] = torch.tensor((-1.15, 0.5, 0.5))
        one.forward()
        number = one.wp_data.nacon.numpy()[0]
        found.append(sorted(map(tuple, one.wp_data.contact.geom.numpy()[:number].tolist())))
    assert len(set(found[0])) == 4
    assert found[0] == found[1]


# ---------------------------------------------------------------- settings and limits

BOXES = (
    '<mujoco><worldbody><geom type="plane" size="0 0 1"/>'
    + "".join(f'<geom type="box" size="1 0.2 0.1" pos="0 {0.3 * i} 0"/>' for i in range(3))
    + '<body pos="0 0.3 1"><freejoint/><geom size="0.3" contype="0"/></body></worldbody></mujoco>'
)
"""A ball that meets three boxes and a plane at once."""

PLANE = """<mujoco><worldbody><geom type="plane" size="0 0 1"/>
  <body pos="0 0 1"><freejoint/><geom size="0.1"/></body></worldbody></mujoco>"""


def _simulation(xml: str = BOXES, cfg: MjlabSimulationCfg | None = None, **settings):
    cfg = SimulationCfg(**{"nconmax": 20, "njmax": 100, **settings}) if cfg is None else cfg
    return WarpSimulation(1, cfg, model=mujoco.MjModel.from_xml_string(xml), device="cpu")


def test_candidates_of_both_rounds_are_counted() -> None:
    for way in ("grid", "pairs"):
        simulation = _simulation(static_broadphase=way)
        simulation.data.qpos[0, 2] = 0.25
        simulation.step()
        assert simulation.wp_data.ncollision.numpy()[0] == 4
        simulation.check_overflow()


def test_candidates_beyond_the_room_are_reported() -> None:
    simulation = _simulation(nconmax=2)
    simulation.data.qpos[0, 2] = 0.25
    simulation.step()
    assert simulation.wp_data.nacon.numpy()[0] <= 3
    with pytest.raises(UserError, match=r"up to 4 contacts per world, room for 2"):
        simulation.check_overflow()


def test_a_model_without_static_boxes_is_left_alone() -> None:
    model = mujoco.MjModel.from_xml_string(PLANE)
    m = mujoco_warp.put_model(model)
    pairs, counts = m.nxn_geom_pair_filtered, m.geom_pair_type_count
    use_grid_broadphase(m, model)
    assert m.callback.contactfilter is None
    assert m.nxn_geom_pair_filtered is pairs
    assert m.geom_pair_type_count == counts


def test_pairs_and_the_settings_of_mjlab_leave_all_to_mujoco_warp() -> None:
    for cfg in (SimulationCfg(static_broadphase="pairs"), MjlabSimulationCfg()):
        simulation = _simulation(cfg=cfg)
        assert simulation.wp_model.nxn_geom_pair_filtered.shape[0] == 4
    assert _simulation().wp_model.nxn_geom_pair_filtered.shape[0] == 1


def test_settings_that_would_not_do_what_they_say_are_refused() -> None:
    with pytest.raises(UserError, match=r"sim.static_broadphase is 'tree'; .*grid, pairs"):
        _simulation(static_broadphase="tree")
    with pytest.raises(UserError, match=r"'sleep'.*sim.static_broadphase=pairs"):
        _simulation(mujoco=MujocoCfg(enableflags=("sleep",)))
