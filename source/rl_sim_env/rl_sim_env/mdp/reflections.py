"""Mirror images of observations and actions in the robot's plane of symmetry, x and z."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mujoco
import numpy as np

from rl_sim_env.errors import UserError
from rl_sim_env.learning.symmetry import ACTIONS, MIRROR_SETTING, Reflection
from rl_sim_env.mdp.exteroception import Exteroception

if TYPE_CHECKING:
    from rl_sim_env.envs import AmpVaeEnv

_POLAR = (1.0, -1.0, 1.0)
"""Signs of positions, velocities, forces."""
_AXIAL = (-1.0, 1.0, -1.0)
"""Signs of angular velocities and torques."""
_COMMAND = (1.0, -1.0, -1.0)
"""Signs of forward velocity, velocity to the left, yaw rate."""

_VECTORS = {
    "base_lin_vel": _POLAR,
    "base_ang_vel": _AXIAL,
    "projected_gravity": _POLAR,
    "velocity_commands": _COMMAND,
    "random_com": _POLAR,
    "random_mass": (1.0,),
}
_JOINTS = ("joint_pos", "joint_vel", "joint_torques", "last_action", ACTIONS)
_SCAN = "height_scan"
_MAPS = ("heights", "seen", "terrain")


def reflections(env: AmpVaeEnv) -> dict[str, Reflection]:
    """Mirror images of the actions and of the terms of ``actor_obs`` and ``critic_obs`` by name.

    Args:
        env: The environment.

    Raises:
        UserError: The robot's joints are not mirror images of each other.
    """
    legs = _leg_joints(env)
    return {
        **{
            name: Reflection.make(range(len(signs)), signs, env.device)
            for name, signs in _VECTORS.items()
        },
        **dict.fromkeys(_JOINTS, legs),
        _SCAN: _height_scan(env),
        **_maps(env),
    }


def _leg_joints(env: AmpVaeEnv) -> Reflection:
    """Each joint takes the place of its counterpart; the signs follow from the joints' axes."""
    names, source = env.cfg.robot.leg_joints, env.cfg.robot.mirror_joints
    model = env.sim.mj_model
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    axes = [data.xaxis[model.joint(f"robot/{name}").id] for name in names]
    signs = []
    for joint, other in enumerate(source):
        sign = float(np.dot(_AXIAL * axes[other], axes[joint]))
        if not np.isclose(abs(sign), 1.0, atol=1e-3):
            raise UserError(
                f"joints {names[joint]} and {names[other]} are no mirror images of each other "
                f"(axes {axes[joint]} and {axes[other]}); correct the model or the sides "
                "of the robot's legs, or train without the mirror loss: "
                f"{MIRROR_SETTING}=0"
            )
        signs.append(round(sign))
    return Reflection.make(source, signs, env.device)


def _height_scan(env: AmpVaeEnv) -> Reflection:
    params = env.cfg.observations["critic_obs"].terms[_SCAN].params
    points_x, points_y = (round(side / params["resolution"]) + 1 for side in params["size"])
    return _rows_turned(points_y, points_x, env.device)


def _maps(env: AmpVaeEnv) -> dict[str, Reflection]:
    """Of whatever is said cell by cell of the map of a robot that sees."""
    scanners = (each for each in env.scene.sensors.values() if isinstance(each, Exteroception))
    scanner = next(scanners, None)
    if scanner is None:
        return {}
    forward, left = scanner.cfg.map.grid
    return dict.fromkeys(_MAPS, _rows_turned(left, forward, env.device))


def _rows_turned(rows: int, columns: int, device: str) -> Reflection:
    """Of a grid that is given row by row, from the right to the left."""
    grid = np.arange(rows * columns).reshape(rows, columns)
    return Reflection.make(grid[::-1].flatten().tolist(), [1.0] * grid.size, device)
