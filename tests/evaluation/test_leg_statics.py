"""Mass and centre of mass out of torques, against a robot that MuJoCo says stands still."""

from __future__ import annotations

from dataclasses import asdict

import mujoco
import numpy as np
import pytest
import torch

from rl_sim_env.conventions import GRAVITY
from rl_sim_env.evaluation.leg_model import LegModel, Sensed
from rl_sim_env.evaluation.leg_statics import StaticLoad
from rl_sim_env.robots import load_model
from rl_sim_env.robots.grq20_v2d3 import GRQ20_V2D3

ROBOT = GRQ20_V2D3
STEP = 0.02
TILTS = ((0.0, 0.0), (0.2, 0.0), (0.0, 0.25), (-0.15, -0.2))
"""Roll and pitch [rad]."""


class Standing:
    """A robot with a load in its trunk that feet hold up, in one pose after the other."""

    def __init__(self, load: float = 0.0, offset: tuple[float, float, float] = (0, 0, 0)) -> None:
        spec = load_model(ROBOT)
        if load:
            # A ball of that mass.
            ball = spec.body(ROBOT.base_body).add_body(pos=offset)
            ball.add_geom(size=(0.05, 0, 0), mass=load, contype=0, conaffinity=0)
        self.model = model = spec.compile()
        self.base = model.body(ROBOT.base_body).id
        self.data = mujoco.MjData(model)
        self.joints = [model.joint(name) for name in ROBOT.leg_joints]
        self.feet = [model.geom(leg.foot_geom) for leg in ROBOT.legs]

    def stand(
        self, roll: float, pitch: float, rng: np.random.Generator
    ) -> tuple[Sensed, np.ndarray]:
        """What it senses in a pose that the drives hold, and its centre of mass in the base."""
        model, data = self.model, self.data
        mujoco.mju_euler2Quat(data.qpos[3:7], np.array([roll, pitch, 0.7]), "xyz")
        angles = np.asarray(ROBOT.default_joint_pos) + rng.uniform(-0.2, 0.2, len(self.joints))
        data.qpos[[each.qposadr[0] for each in self.joints]] = angles
        mujoco.mj_forward(model, data)
        jacobian = np.zeros((3 * len(self.feet), model.nv))
        for place, foot in enumerate(self.feet):
            touching = data.geom_xpos[foot.id] - np.array([0.0, 0.0, foot.size[0]])
            rows = jacobian[3 * place : 3 * place + 3]
            mujoco.mj_jac(model, data, rows, None, touching, model.geom_bodyid[foot.id])
        # Whatever forces of the feet hold up the trunk, the drives hold up the rest.
        forces = np.linalg.lstsq(jacobian[:, :6].T, data.qfrc_bias[:6], rcond=None)[0]
        torques = data.qfrc_bias - jacobian.T @ forces
        assert np.abs(torques[:6]).max() < 1e-6
        held = torques[[each.dofadr[0] for each in self.joints]]
        rotation = data.xmat[self.base].reshape(3, 3)
        com = (data.subtree_com[self.base] - data.xpos[self.base]) @ rotation
        sensed = Sensed(
            joint_pos=tensor(angles),
            joint_vel=tensor(0.0 * angles),
            torques=tensor(held),
            ang_vel=torch.zeros(1, 3),
            down=tensor(-rotation[2]),
        )
        return sensed, com


def tensor(values: np.ndarray) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)[None]


@pytest.mark.parametrize(("load", "offset"), [(0.0, (0, 0, 0)), (5.0, (0.1, -0.05, 0.1))])
def test_a_robot_that_stands_still_is_weighed(
    load: float, offset: tuple[float, float, float]
) -> None:
    robot, rng = Standing(load, offset), np.random.default_rng(0)
    legs = LegModel(ROBOT, "cpu")
    for tilt in TILTS:
        sensed, com = robot.stand(*tilt, rng)
        placed = legs.place(sensed)
        held = legs.of_legs(sensed.torques) + legs.weights(placed, GRAVITY * sensed.down)
        feet, pressed = legs.wrench(placed, -held)
        weight = GRAVITY * (legs.mass + load) * sensed.down[0].numpy()
        assert feet.sum(dim=1) == pytest.approx(pressed[:, :3])
        assert pressed[0, :3].numpy() == pytest.approx(-weight, abs=0.2)
        assert pressed[0, 3:].numpy() == pytest.approx(np.cross(weight, com), abs=0.1)


def test_load_and_place_are_told_but_for_the_height() -> None:
    robot, rng = Standing(5.0, (0.1, -0.05, 0.1)), np.random.default_rng(0)
    legs = LegModel(ROBOT, "cpu")
    load = StaticLoad(legs, 1, STEP, "cpu")
    for number in range(300):
        sensed, true_com = robot.stand(*TILTS[number % len(TILTS)], rng)
        mass, com = load.update(sensed, legs.place(sensed))
    assert mass.item() == pytest.approx(5.0, abs=0.1)
    # Legs that move shift the centre of mass by some millimetres.
    assert com[0, :2].numpy() == pytest.approx(true_com[:2], abs=0.01)
    assert com[0, 2] == pytest.approx(legs.com[2].item(), abs=0.01)


def test_an_episode_that_begins_knows_the_nominal_robot_alone() -> None:
    legs = LegModel(ROBOT, "cpu")
    load = StaticLoad(legs, 2, STEP, "cpu")
    robot, rng = Standing(5.0), np.random.default_rng(0)
    one = asdict(robot.stand(0.0, 0.0, rng)[0])
    sensed = Sensed(**{name: value.repeat(2, 1) for name, value in one.items()})
    for _ in range(100):
        long_known, _ = load.update(sensed, legs.place(sensed))
    load.begin(torch.tensor([True, False]))
    mass, com = load.update(sensed, legs.place(sensed))
    assert mass[0] < 0.2 * mass[1]
    assert torch.linalg.vector_norm(com[0] - legs.com) < 0.01
    torch.testing.assert_close(long_known[1], mass[1], rtol=0.02, atol=0.0)
