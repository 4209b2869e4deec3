"""Contacts with height fields against native MuJoCo and exact geometry, and what a robot feels."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import mujoco
import mujoco_warp
import numpy as np
import pytest
import torch
import warp as wp
from exact_surface import Surface, point_distance, segment_distance
from mjlab.sim.sim import MujocoCfg

from rl_sim_env.errors import Notice, UserError
from rl_sim_env.simulation import NativeSimulation, SimulationCfg, WarpSimulation
from rl_sim_env.simulation.hfield_collision import use_surface_contacts
from rl_sim_env.terrains import rough_terrain_cfg

pytestmark = pytest.mark.slow  # compiles Warp's kernels once, about half a minute

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
FAMILIES = ("boxes", "random_rough", "hf_pyramid_slope", "hf_pyramid_slope_inv")
SIZES = {"foot": (0.027, 0.0), "calf": (0.018, 0.1), "thigh": (0.03, 0.1025)}
"""Radius and half the length of the axis of the robot's geoms, m."""
TRUNK = (0.28, 0.13, 0.07)
"""Half of the trunk's sides, m."""

GEOMS = (*SIZES, "trunk")

NUM_PLACEMENTS = 10_000
ROUNDING = 2e-6
"""Of single precision on a tile of 10 m, m."""


# ---------------------------------------------------------------- random placements


@dataclass
class Contacts:
    """Deepest distance (1 without contact), its normal, and number of contacts by placement."""

    distance: np.ndarray
    normal: np.ndarray
    count: np.ndarray

    @classmethod
    def none(cls, number: int) -> Contacts:
        return cls(np.ones(number), np.zeros((number, 3)), np.zeros(number, dtype=int))

    def add(self, placement: int, distance: float, normal: np.ndarray) -> None:
        if distance < 0.0:
            self.count[placement] += 1
        if distance < self.distance[placement]:
            self.distance[placement], self.normal[placement] = distance, normal


@dataclass
class Placements:
    """Geoms put on and into one field at random, and what collision detection says."""

    surface: Surface
    center: dict[str, np.ndarray]
    axis: dict[str, np.ndarray]
    native: dict[str, Contacts]
    warp: dict[str, Contacts]

    def ends(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        half = SIZES[name][1] * self.axis[name]
        return self.center[name] - half, self.center[name] + half


def _model(family: str) -> mujoco.MjModel:
    """The hardest tile of a family and the robot's geoms, each on a body of its own."""
    spec = mujoco.MjSpec()
    spec.worldbody.add_body(name="terrain")
    generator = rough_terrain_cfg().terrain_generator
    cfg = generator.sub_terrains[family]
    cfg.size = generator.size
    cfg.function(1.0, spec, np.random.default_rng(1))
    shapes = {
        name: (
            mujoco.mjtGeom.mjGEOM_CAPSULE if half else mujoco.mjtGeom.mjGEOM_SPHERE,
            (radius, half, 0.0),
        )
        for name, (radius, half) in SIZES.items()
    }
    shapes["trunk"] = mujoco.mjtGeom.mjGEOM_BOX, TRUNK
    for name, (kind, size) in shapes.items():
        body = spec.worldbody.add_body(name=name)
        body.add_freejoint()
        body.add_geom(name=name, type=kind, size=size, mass=1.0, contype=0)
    return spec.compile()


def _place(model: mujoco.MjModel, surface: Surface) -> tuple[np.ndarray, dict, dict]:
    """From half a radius above the ground to three halves within, in any direction."""
    rng = np.random.default_rng(0)
    origin = model.geom_pos[0]
    qpos = np.zeros((NUM_PLACEMENTS, model.nq), dtype=np.float32)
    centers, axes = {}, {}
    for index, (name, (radius, half)) in enumerate(SIZES.items()):
        reach = surface.half - half - radius
        xy = rng.uniform(-reach, reach, (NUM_PLACEMENTS, 2))
        axis = rng.normal(size=(NUM_PLACEMENTS, 3))
        axis /= np.linalg.norm(axis, axis=1, keepdims=True)
        lowest = [
            surface.height(xy + along * axis[:, :2]) - along * axis[:, 2]
            for along in np.linspace(-half, half, 41)
        ]
        z = np.max(lowest, axis=0) + radius * rng.uniform(-0.5, 1.5, NUM_PLACEMENTS)
        at = slice(7 * index, 7 * index + 3)
        qpos[:, at] = np.column_stack((xy, z)) + origin
        for placement in range(NUM_PLACEMENTS):
            quat = np.zeros(4)
            mujoco.mju_quatZ2Vec(quat, axis[placement])
            qpos[placement, 7 * index + 3 : 7 * index + 7] = quat
        centers[name], axes[name] = qpos[:, at] - origin, axis
    qpos[:, -7:] = _place_trunk(surface, rng)
    qpos[:, -7:-4] += origin
    return qpos, centers, axes


def _place_trunk(surface: Surface, rng: np.random.Generator) -> np.ndarray:
    """Half of them about upright, from a centimetre above the ground to three within."""
    quat = rng.normal(size=(NUM_PLACEMENTS, 4))
    quat[::2, 1:3] *= 0.15
    quat /= np.linalg.norm(quat, axis=1, keepdims=True)
    points = np.stack(
        np.meshgrid(*(np.linspace(-half, half, round(half / 0.02) + 1) for half in TRUNK)), axis=-1
    ).reshape(-1, 3)
    rotation = np.zeros((NUM_PLACEMENTS, 9))
    for placement in range(NUM_PLACEMENTS):
        mujoco.mju_quat2Mat(rotation[placement], quat[placement])
    xy = rng.uniform(-4.6, 4.6, (NUM_PLACEMENTS, 2))
    z = rng.uniform(-0.03, 0.01, NUM_PLACEMENTS)
    for some in np.array_split(np.arange(NUM_PLACEMENTS), 20):
        offset = np.einsum("kij,pj->kpi", rotation[some].reshape(-1, 3, 3), points)
        ground = surface.height(xy[some, None] + offset[..., :2])
        z[some] += (ground - offset[..., 2]).max(axis=1)
    return np.column_stack((xy, z, quat))


def _warp_contacts(model: mujoco.MjModel, qpos: np.ndarray, device: str) -> dict[str, Contacts]:
    found = {name: Contacts.none(len(qpos)) for name in GEOMS}
    with wp.ScopedDevice(device):
        m = mujoco_warp.put_model(model)
        use_surface_contacts(m, model)
        d = mujoco_warp.make_data(model, nworld=len(qpos), nconmax=12, njmax=1)
        d.qpos.assign(qpos)
        mujoco_warp.kinematics(m, d)
        mujoco_warp.collision(m, d)
        number = int(d.nacon.numpy()[0])
        assert number < d.naconmax
        for world, geoms, distance, frame in zip(
            *(of.numpy()[:number] for of in (d.contact.worldid, d.contact.geom, d.contact.dist)),
            d.contact.frame.numpy()[:number],
            strict=True,
        ):
            found[model.geom(geoms[1]).name].add(world, distance, frame[0])
    return found


def _native_contacts(model: mujoco.MjModel, qpos: np.ndarray) -> dict[str, Contacts]:
    found = {name: Contacts.none(len(qpos)) for name in GEOMS}
    data = mujoco.MjData(model)
    names = [model.geom(geom).name for geom in range(model.ngeom)]
    for placement, position in enumerate(qpos):
        data.qpos[:] = position
        mujoco.mj_kinematics(model, data)
        mujoco.mj_collision(model, data)
        contact = data.contact
        for geom, distance, frame in zip(
            contact.geom[:, 1], contact.dist, contact.frame, strict=True
        ):
            found[names[geom]].add(placement, distance, frame[:3])
    return found


@pytest.fixture(scope="module", params=FAMILIES)
def family(request) -> str:
    return request.param


@pytest.fixture(scope="module", params=DEVICES)
def placements(request, family: str) -> Placements:
    model = _model(family)
    surface = Surface(model)
    qpos, center, axis = _place(model, surface)
    return Placements(
        surface,
        center,
        axis,
        _native_contacts(model, qpos),
        _warp_contacts(model, qpos, request.param),
    )


@pytest.mark.parametrize("name", GEOMS)
def test_the_same_geoms_touch_as_in_native_mujoco(placements: Placements, name: str) -> None:
    ours, native = (of[name].distance < 0.0 for of in (placements.warp, placements.native))
    assert 0.7 < native.mean() < 0.9, "placements test little"
    assert (ours == native).mean() >= 0.9995


def test_a_sphere_is_as_deep_as_its_centre_is_near(placements: Placements) -> None:
    radius = SIZES["foot"][0]
    exact = point_distance(placements.surface, placements.center["foot"], 2 * radius)
    above = (exact > 0.0) & (exact < radius - ROUNDING)
    found = placements.warp["foot"].distance
    np.testing.assert_allclose(found[above], exact[above] - radius, atol=ROUNDING)
    # Native MuJoCo is as exact here.
    native = placements.native["foot"].distance
    np.testing.assert_allclose(native[above], exact[above] - radius, atol=ROUNDING)


def test_a_sphere_whose_centre_is_below_the_surface_is_pushed_out(placements: Placements) -> None:
    radius = SIZES["foot"][0]
    center, found = placements.center["foot"], placements.warp["foot"]
    exact = point_distance(placements.surface, center, 3 * radius)
    below = exact < 0.0
    assert below.sum() > 1000
    assert found.count[below].min() == found.count[below].max() == 1
    assert found.normal[below, 2].min() > 0.0
    np.testing.assert_allclose(found.distance[below], exact[below] - radius, atol=ROUNDING)
    # One push of that depth is enough.
    out = center[below] - exact[below, None] * found.normal[below]
    height = out[:, 2] - placements.surface.height(out[:, :2])
    assert height.min() > -1e-4


def test_native_mujoco_pulls_some_buried_spheres_down(placements: Placements) -> None:
    """Why the parity of depth ends where a centre is below the surface."""
    exact = point_distance(placements.surface, placements.center["foot"], 0.1)
    buried = placements.native["foot"].normal[exact < 0.0]
    assert 0.02 < (buried[:, 2] < 0.0).mean() < 0.25


@pytest.mark.parametrize("name", ["calf", "thigh"])
def test_a_capsule_is_as_deep_as_its_axis_is_near(placements: Placements, name: str) -> None:
    radius = SIZES[name][0]
    exact, depth = segment_distance(placements.surface, *placements.ends(name), radius)
    above = (depth < 0.0) & (exact < radius - ROUNDING)
    found = placements.warp[name].distance
    np.testing.assert_allclose(found[above], exact[above] - radius, atol=ROUNDING)
    below = depth > 1e-4
    assert below.sum() > 1000
    assert found[below].max() < 1e-4 - radius
    assert placements.warp[name].normal[below, 2].min() >= 0.0


def test_a_box_gets_out_upwards_and_is_no_less_deep_than_in_one_prism(
    placements: Placements,
) -> None:
    found, native = placements.warp["trunk"], placements.native["trunk"]
    both = (found.distance < 0.0) & (native.distance < 0.0)
    assert found.normal[both, 2].min() > 0.0
    # Native MuJoCo tells how deep it is in the worst single prism: less than in the whole ground.
    assert np.quantile((found.distance - native.distance)[both], 0.99) < 1e-5


def test_a_sphere_has_a_contact_for_each_side_it_touches(placements: Placements, family) -> None:
    counts = placements.warp["foot"].count
    assert counts.max() <= 4
    # Prisms below level ground are many contacts for native MuJoCo, and one place.
    assert counts.mean() < placements.native["foot"].count.mean()
    if family in ("boxes", "random_rough"):
        assert (counts > 1).mean() > 0.01


# ---------------------------------------------------------------- what surrounds the geometry

HILL = """<asset><hfield name="hill" nrow="3" ncol="3" size="1 1 0.2 0.3"
  elevation="0 0 0 0 1 0 0 0 0"/></asset>"""
"""A pyramid 20 cm high."""

FLAT = '<asset><hfield name="flat" nrow="21" ncol="21" size="1 1 0.1 0.3"/></asset>'

EGG = """<body pos="0.5 0 0.09"><freejoint/>
  <geom name="egg" type="ellipsoid" size="0.1 0.08 0.1"/></body>"""


def _simulation(
    asset: str, bodies: str, *, more: str = "", num_worlds: int = 1, **settings
) -> WarpSimulation:
    model = mujoco.MjModel.from_xml_string(
        f'<mujoco>{asset}<worldbody><geom name="ground" type="hfield" hfield="'
        f'{"hill" if "hill" in asset else "flat"}" friction="0.6" solimp="0.8 0.9 0.01 0.5 2" '
        f'margin="0.002"/>{bodies}</worldbody>{more}</mujoco>'
    )
    cfg = SimulationCfg(**{"nconmax": 20, "njmax": 100, **settings})
    return WarpSimulation(num_worlds, cfg, model=model, device="cpu")


def _ball(attributes: str = "", height: float = 0.05) -> str:
    return (
        f'<body pos="0.31 0.1 {height}"><freejoint/><geom name="ball" size="0.06" {attributes}/>'
        "</body>"
    )


def _parameters(simulation: WarpSimulation) -> dict[str, np.ndarray]:
    """What the solver reads of the first contact, besides where it is."""
    simulation.forward()
    contact = simulation.wp_data.contact
    assert simulation.wp_data.nacon.numpy()[0] > 0
    names = (
        *("includemargin", "friction", "solref", "solreffriction", "solimp", "dim", "geom", "type"),
        "worldid",
    )
    return {name: getattr(contact, name).numpy()[0] for name in names}


@pytest.mark.parametrize(
    ("attributes", "more"),
    [
        ("", ""),
        ('friction="0.3 0.02 0.003" solmix="3" solref="0.01 0.5" condim="6"', ""),
        ('priority="1" friction="0.3" solref="-500 -20" margin="0.01" gap="0.005"', ""),
        (
            'contype="0" conaffinity="0"',
            '<contact><pair geom1="ground" geom2="ball" condim="4" friction="1 2 3 4 5" '
            'solref="0.03 1" solreffriction="0.04 1" margin="0.02" gap="0.01"/></contact>',
        ),
    ],
)
def test_contacts_have_the_parameters_of_the_convex_route(attributes: str, more: str) -> None:
    ours, theirs = (
        _parameters(_simulation(FLAT, _ball(attributes), more=more, hfield_contacts=way))
        for way in ("surface", "convex")
    )
    for name, value in theirs.items():
        np.testing.assert_array_equal(ours[name], value, err_msg=name)


@pytest.mark.parametrize(("height", "detected"), [(0.074, 1), (0.076, 0)])
def test_contacts_begin_at_margin_and_gap(height: float, detected: int) -> None:
    simulation = _simulation(FLAT, _ball('margin="0.008" gap="0.005"', height))
    simulation.forward()
    assert simulation.wp_data.nacon.numpy()[0] == detected
    if detected:
        # The true distance of the surfaces, not that of surfaces inflated by the margin.
        assert simulation.wp_data.contact.dist.numpy()[0] == pytest.approx(height - 0.06, abs=1e-6)


@pytest.mark.parametrize("broadphase", ["nxn", "sap_tile", "sap_segmented"])
def test_each_pair_is_found_once_whatever_the_broadphase(broadphase: str) -> None:
    simulation = _simulation(FLAT, _ball(), broadphase=broadphase)
    simulation.forward()
    assert simulation.wp_data.nacon.numpy()[0] == 1


def test_geoms_that_are_filtered_out_do_not_touch() -> None:
    simulation = _simulation(FLAT, _ball('contype="2" conaffinity="2"'))
    simulation.forward()
    assert simulation.wp_data.nacon.numpy()[0] == 0


def test_other_geoms_keep_the_convex_route_and_are_named() -> None:
    contacts = []
    for way in ("surface", "convex"):
        with warnings.catch_warnings(record=True) as notices:
            warnings.simplefilter("always", Notice)
            simulation = _simulation(FLAT, EGG, hfield_contacts=way)
        told = [str(each.message) for each in notices if each.category is Notice]
        assert len(told) == (way == "surface")
        assert all("egg (ellipsoid)" in text and "hfield_contacts=convex" in text for text in told)
        simulation.forward()
        contact, number = simulation.wp_data.contact, simulation.wp_data.nacon.numpy()[0]
        assert number > 0
        contacts.append(np.sort(contact.dist.numpy()[:number]))
    np.testing.assert_array_equal(*contacts)


def test_a_capsule_comes_to_rest_on_level_ground_and_on_a_crest() -> None:
    body = """<body pos="{0} 0.1 {1}"><freejoint/>
      <geom type="capsule" size="0.02 0.15" euler="0 90 20" mass="1" condim="4"/></body>"""
    level = _simulation(FLAT, body.format(0.3, 0.03))
    for _ in range(250):
        level.step()
    # The ground's margin carries it.
    assert 0.02 < level.data.qpos[0, 2] < 0.022
    assert level.data.qvel[0].abs().max() < 1e-2
    # Balanced over the top of the pyramid, it touches between its ends.
    crest = _simulation(HILL, body.format(0.0, 0.215).replace("0.1 0.2", "0 0.2"))
    crest.forward()
    contact, number = crest.wp_data.contact, crest.wp_data.nacon.numpy()[0]
    assert number == 1
    np.testing.assert_allclose(contact.pos.numpy()[0], (0.0, 0.0, 0.1975), atol=1e-3)
    np.testing.assert_allclose(contact.dist.numpy()[0], -0.005, atol=1e-6)


def test_a_box_lies_on_its_corners_and_on_nodes_and_edges_below_it() -> None:
    body = '<body pos="{}"><freejoint/><geom type="box" size="0.2 0.1 0.05" mass="1"/></body>'
    level = _simulation(FLAT, body.format("0.33 0.11 0.07"))
    for _ in range(250):
        level.step()
    assert 0.05 < level.data.qpos[0, 2] < 0.052
    assert level.data.qvel[0].abs().max() < 1e-2
    contact, number = level.wp_data.contact, level.wp_data.nacon.numpy()[0]
    assert number == 4
    corners = {tuple(point) for point in np.sign(contact.pos.numpy()[:4, :2] - (0.33, 0.11))}
    assert len(corners) == 4
    # On the top of the pyramid, and across one of its ridges, whose ends are far away.
    top = _simulation(HILL, body.format("0 0 0.245"))
    top.forward()
    number = top.wp_data.nacon.numpy()[0]
    assert number == 1
    np.testing.assert_allclose(top.wp_data.contact.dist.numpy()[0], -0.005, atol=1e-6)
    np.testing.assert_allclose(top.wp_data.contact.pos.numpy()[0], (0, 0, 0.1975), atol=1e-6)
    ridge = _simulation(HILL, body.format("0.5 0 0.148"))
    ridge.forward()
    number = ridge.wp_data.nacon.numpy()[0]
    points = ridge.wp_data.contact.pos.numpy()[:number]
    assert number > 0
    assert np.abs(points[:, 1]).min() < 1e-5


def test_nothing_below_the_base_is_touched_and_the_rim_is() -> None:
    simulation = _simulation(FLAT, _ball(height=-0.4))
    simulation.forward()
    assert simulation.wp_data.nacon.numpy()[0] == 0
    simulation.data.qpos[0, :3] = torch.tensor((1.03, 0.0, 0.04))
    simulation.forward()
    np.testing.assert_allclose(
        simulation.wp_data.contact.frame.numpy()[0, 0], (0.6, 0.0, 0.8), atol=1e-6
    )


def test_a_position_that_is_no_number_touches_nothing() -> None:
    simulation = _simulation(FLAT, _ball(), num_worlds=2)
    simulation.data.qpos[0, :3] = torch.nan
    simulation.forward()
    assert simulation.wp_data.contact.worldid.numpy()[: simulation.wp_data.nacon.numpy()[0]] == [1]


def test_contacts_beyond_the_room_are_reported() -> None:
    balls = "".join(_ball('contype="0"').replace("ball", f"ball{i}") for i in range(3))
    simulation = _simulation(FLAT, balls.replace("0.05", "1"), nconmax=2)
    simulation.data.qpos[0, 2::7] = 0.05
    simulation.step()
    with pytest.raises(UserError, match=r"up to 3 contacts per world, room for 2"):
        simulation.check_overflow()


def test_heights_that_are_no_numbers_are_refused_on_both_backends() -> None:
    spec = mujoco.MjSpec()
    heights = np.zeros(9, dtype=np.float32)
    heights[5] = np.nan
    field = spec.add_hfield(
        name="ground", size=(1, 1, 0.1, 0.1), nrow=3, ncol=3, userdata=heights.tolist()
    )
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_HFIELD, hfieldname=field.name)
    spec.worldbody.add_body(pos=(0, 0, 1)).add_geom(size=(0.1, 0, 0))
    convex = SimulationCfg(hfield_contacts="convex")
    cases = (WarpSimulation, SimulationCfg()), (WarpSimulation, convex), (NativeSimulation, convex)
    for cls, cfg in cases:
        with pytest.raises(
            UserError, match=r"'ground': the height of row 1, column 2 is nan.*sub_terrains"
        ):
            cls(1, cfg, model=spec.compile(), device="cpu")


def test_settings_that_would_not_do_what_they_say_are_refused() -> None:
    with pytest.raises(UserError, match=r"sim.hfield_contacts is 'prisms'; .*surface, convex"):
        _simulation(FLAT, _ball(), hfield_contacts="prisms")
    with pytest.raises(UserError, match=r"'sleep'.*sim.hfield_contacts=convex"):
        _simulation(FLAT, _ball(), mujoco=MujocoCfg(enableflags=("sleep",)))
