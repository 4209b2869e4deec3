"""The momentum observer, against what MuJoCo says of momenta, and on a load that is known."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
import torch

from rl_sim_env.conventions import GRAVITY
from rl_sim_env.evaluation.leg_model import LegModel, PlacedLegs, Sensed
from rl_sim_env.evaluation.momentum_observer import Momenta, MomentumLoad, Twists
from rl_sim_env.robots import load_model
from rl_sim_env.robots.grq20_v2d3 import GRQ20_V2D3

ROBOT = GRQ20_V2D3
STEP = 0.02
TIME_STEP = 0.001
LOAD, PLACE = 5.0, (0.1, -0.05, 0.1)


class Body:
    """A robot, perhaps with a ball of :data:`LOAD` in its trunk, above a plane."""

    def __init__(self, *, loaded: bool = False) -> None:
        spec = load_model(ROBOT)
        # The boom is a part of the trunk.
        for joint in [each for each in spec.joints if each.name not in ROBOT.leg_joints]:
            if joint.type != mujoco.mjtJoint.mjJNT_FREE:
                spec.delete(joint)
        spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=(5, 5, 0.1))
        spec.option.timestep = TIME_STEP
        if loaded:
            ball = spec.body(ROBOT.base_body).add_body(pos=PLACE)
            ball.add_geom(size=(0.05, 0, 0), mass=LOAD, contype=0, conaffinity=0)
        self.model = spec.compile()
        self.data = mujoco.MjData(self.model)
        self.base = self.model.body(ROBOT.base_body).id
        joints = [self.model.joint(name) for name in ROBOT.leg_joints]
        self.angles = [joint.qposadr[0] for joint in joints]
        self.rates = [joint.dofadr[0] for joint in joints]

    def throw(self, rng: np.random.Generator, height: float) -> None:
        """Let it tumble high up."""
        data = self.data
        data.qpos[:3], data.qpos[3:7] = (0.0, 0.0, height), rng.normal(size=4)
        data.qpos[self.angles] = ROBOT.default_joint_pos + rng.uniform(-0.5, 0.5, len(self.angles))
        data.qvel[:6] = rng.normal(size=6)
        data.qvel[self.rates] = rng.normal(0.0, 3.0, len(self.rates))
        mujoco.mj_forward(self.model, data)

    @property
    def turn(self) -> np.ndarray:
        """Base coordinates of the world's axes, column by column."""
        return self.data.xmat[self.base].reshape(3, 3).T

    def sensed(self) -> Sensed:
        return Sensed(
            joint_pos=tensor(self.data.qpos[self.angles]),
            joint_vel=tensor(self.data.qvel[self.rates]),
            torques=tensor(self.data.qfrc_applied[self.rates]),
            ang_vel=tensor(self.data.qvel[3:6]),
            down=tensor(-self.turn[:, 2]),
        )

    def momenta(self, legs: LegModel) -> tuple[Momenta, PlacedLegs]:
        sensed = self.sensed()
        placed, rates = legs.place(sensed), legs.of_legs(sensed.joint_vel)
        twists = Twists.of(placed, rates, sensed.ang_vel)
        carried = twists.carried_by(tensor(self.turn @ self.data.qvel[:3]))
        return Momenta.of(legs, placed, carried, rates), placed


def tensor(values: np.ndarray) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)[None]


def test_momenta_are_those_of_mujocos_mass_matrix() -> None:
    body, rng, legs = Body(), np.random.default_rng(0), LegModel(ROBOT, "cpu")
    inertia = np.zeros((body.model.nv, body.model.nv))
    for _ in range(3):
        body.throw(rng, 2.0)
        mujoco.mj_fullM(body.model, body.data, inertia)
        expected = inertia @ body.data.qvel
        of, _ = body.momenta(legs)
        own = np.concatenate((body.turn @ expected[:3], expected[3:6]))
        assert of.base[0].numpy() == pytest.approx(own, abs=1e-4)
        of_joints = legs.of_legs(tensor(expected[body.rates]))
        torch.testing.assert_close(of.joints, of_joints, atol=1e-4, rtol=0.0)


def test_momenta_of_a_thrown_robot_change_by_torques_and_weight_alone() -> None:
    body, rng, legs = Body(), np.random.default_rng(1), LegModel(ROBOT, "cpu")
    body.model.dof_frictionloss[:] = 0.0
    body.throw(rng, 3.0)
    body.data.qfrc_applied[body.rates] = rng.uniform(-10.0, 10.0, len(body.rates))

    def known() -> tuple[Momenta, torch.Tensor, torch.Tensor]:
        (of, placed), sensed = body.momenta(legs), body.sensed()
        gravity = GRAVITY * sensed.down
        about = torch.linalg.cross(legs.first_moment(placed), gravity)
        joints = of.joint_rates + legs.of_legs(sensed.torques) + legs.weights(placed, gravity)
        return of, joints, of.base_rates + torch.cat((legs.mass * gravity, about), dim=-1)

    before, joints_before, base_before = known()
    mujoco.mj_step(body.model, body.data)
    mujoco.mj_forward(body.model, body.data)
    after, joints_after, base_after = known()
    for changed, rates in (
        (after.joints - before.joints, 0.5 * (joints_before + joints_after)),
        (after.base - before.base, 0.5 * (base_before + base_after)),
    ):
        torch.testing.assert_close(changed / TIME_STEP, rates, atol=0.3, rtol=0.01)


def test_a_load_is_weighed_on_a_robot_that_is_dropped_and_bends_its_knees() -> None:
    body, legs = Body(loaded=True), LegModel(ROBOT, "cpu")
    model, data = body.model, body.data
    load = MomentumLoad(legs, 1, STEP, "cpu")
    pose = np.asarray(ROBOT.default_joint_pos)
    data.qpos[2], data.qpos[body.angles] = 0.55, pose
    bends = np.array([0.0 if "hip" in name else 0.1 for name in ROBOT.leg_joints])
    told = []
    for number in range(round(8.0 / STEP)):
        wave = np.sin(2.0 * np.pi * 1.5 * number * STEP)
        for _ in range(round(STEP / TIME_STEP)):
            wrong = pose + bends * wave - data.qpos[body.angles]
            data.qfrc_applied[body.rates] = 200.0 * wrong - 5.0 * data.qvel[body.rates]
            mujoco.mj_step(model, data)
        mujoco.mj_forward(model, data)
        sensed = body.sensed()
        mass, com = load.update(sensed, legs.place(sensed))
        true_com = (data.subtree_com[body.base] - data.xpos[body.base]) @ body.turn.T
        told.append([mass.item() - LOAD, *(com[0, :2].numpy() - true_com[:2])])
    errors = np.array(told)[round(6.0 / STEP) :]
    assert np.abs(errors[:, 0]).mean() < 0.3
    assert np.abs(errors[:, 1:]).mean(axis=0).max() < 0.005
    # A robot that falls does not feel what it carries.
    assert told[2][0] == pytest.approx(-LOAD, abs=0.5)
    load.begin(torch.tensor([True]))
    mass, com = load.update(sensed, legs.place(sensed))
    assert mass.item() == 0.0
