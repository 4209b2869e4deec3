"""Constraints: what is measured of a robot, and where its limits are.

The measure of a constraint serves all who ask for it: reward terms, the margins that learners turn
into costs (:mod:`rl_sim_env.envs.constraint_monitor`), and the report. The limits are data of the
robot (:class:`~rl_sim_env.robots.limits.Limits`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from rl_sim_env.conventions import GRAVITY
from rl_sim_env.mdp import observations as obs
from rl_sim_env.mdp.actions import leg_targets

if TYPE_CHECKING:
    from rl_sim_env.envs import AmpVaeEnv

LEG_CONTACT = "leg_contact"
"""Name of the contact sensor of thighs and calves."""

BODY_CONTACT = "body_contact"
"""Name of the contact sensor of the trunk and what carries the load."""

TORQUE = "torque"
"""Name of the constraint of joint torques, which drives are warmed by, too."""

CARRYING_SHARE = 0.05
"""Share of the robot's weight, without load, from which on a foot carries."""

Measure = Callable[["AmpVaeEnv"], torch.Tensor]

Moment = Literal["end", "peak", "throughout"]
"""What counts of a control step: its end; the greatest value over its physics steps, as of torques,
speeds and forces, whose peaks break things; or the least, for what does harm by lasting."""


@dataclass(frozen=True, kw_only=True)
class Constraint:
    """Something that should stay below a limit, joint by joint or part by part."""

    title: str
    """What tables call it."""

    measure: Measure
    """What is limited, at present, shape (num_envs, columns), not negative, in its unit."""

    limit: Measure
    """Its limit in the same unit, shape (columns,)."""

    moment: Moment = "end"
    """What counts of a control step."""

    applies: Callable[[AmpVaeEnv], bool] = lambda env: True
    """Whether the environment has what is measured; else the constraint is left out."""


def contact_force(env: AmpVaeEnv, sensor_name: str) -> torch.Tensor:
    """Forces on the parts that a contact sensor watches [N]. Shape (num_envs, parts)."""
    return env.scene[sensor_name].data.force.norm(dim=-1)


def joint_torque(env: AmpVaeEnv) -> torch.Tensor:
    """Magnitude of the leg joints' torques [N m]. Shape (num_envs, num_leg_joints)."""
    return obs.joint_torques(env).abs()


def joint_speed(env: AmpVaeEnv) -> torch.Tensor:
    """Magnitude of the leg joints' velocities [rad/s]. Shape (num_envs, num_leg_joints)."""
    return obs.joint_vel(env).abs()


def joint_excursion(env: AmpVaeEnv) -> torch.Tensor:
    """Distance of leg joints from the middle of their range [rad].

    Shape (num_envs, num_leg_joints).
    """
    limits = env.robot.data.joint_pos_limits[:, env.index.leg_joints]
    return (obs.joint_pos(env) - limits.mean(dim=-1)).abs()


def rms_torque(env: AmpVaeEnv) -> torch.Tensor:
    """Root mean square of the leg torques over the last 10 s [N m].

    Shape (num_envs, num_leg_joints).
    """
    return env.constraint_monitor.mean_square_torque.sqrt()


def foot_force(env: AmpVaeEnv) -> torch.Tensor:
    """Contact forces of the feet [N]. Shape (num_envs, num_feet)."""
    return contact_force(env, env.cfg.feet_contact_sensor)[:, env.foot_contact_order]


def foot_slip(env: AmpVaeEnv) -> torch.Tensor:
    """Horizontal speed of the lowest points of feet that carry, else 0 [m/s].

    A foot that rolls does not slip. Shape (num_envs, num_feet).
    """
    carries = foot_force(env) > CARRYING_SHARE * GRAVITY * env.nominal_mass
    return obs.sole_lin_vel_w(env)[..., :2].norm(dim=-1) * carries


def tilt(env: AmpVaeEnv) -> torch.Tensor:
    """Angle between the trunk and the vertical [rad]. Shape (num_envs, 1)."""
    gravity = obs.projected_gravity(env)
    return torch.atan2(gravity[:, :2].norm(dim=-1), -gravity[:, 2])[:, None]


def target_rate(env: AmpVaeEnv) -> torch.Tensor:
    """Rate of the joint targets [rad/s]; 0 in the first step, which has no target before.

    Shape (num_envs, num_leg_joints).
    """
    actions = env.action_manager
    term = leg_targets(env)
    assert term is not None, "the constraint applies where there is one"
    change = (actions.action - actions.prev_action) * term.scale
    return change.abs() / env.step_dt * (env.episode_length_buf > 1)[:, None]


def _of_effort(share: Callable[[AmpVaeEnv], float]) -> Measure:
    return lambda env: share(env) * env.leg_effort_limits[0]


CONSTRAINTS: dict[str, Constraint] = {
    TORQUE: Constraint(
        title="joint torque",
        measure=joint_torque,
        limit=_of_effort(lambda env: env.cfg.robot.limits.torque),
        moment="peak",
    ),
    "speed": Constraint(
        title="joint speed",
        measure=joint_speed,
        limit=lambda env: env.cfg.robot.limits.speed * env.leg_speed_limits[0],
        moment="peak",
    ),
    "position": Constraint(
        title="joint position",
        measure=joint_excursion,
        limit=lambda env: env.cfg.robot.limits.position * half_range(env),
    ),
    "thermal": Constraint(
        title="thermal load",
        measure=rms_torque,
        limit=_of_effort(lambda env: env.cfg.robot.limits.thermal),
    ),
    "legs": Constraint(
        title="thigh or calf contact",
        measure=lambda env: contact_force(env, LEG_CONTACT),
        limit=lambda env: _all(env, env.cfg.robot.links, env.cfg.robot.limits.contact),
        moment="peak",
        applies=lambda env: LEG_CONTACT in env.scene.sensors,
    ),
    "body": Constraint(
        title="trunk or load contact",
        measure=lambda env: contact_force(env, BODY_CONTACT),
        limit=lambda env: _all(env, env.cfg.robot.untouchable, env.cfg.robot.limits.contact),
        moment="peak",
        applies=lambda env: BODY_CONTACT in env.scene.sensors,
    ),
    "slip": Constraint(
        title="foot slip",
        measure=foot_slip,
        # In the first 20 ms after touchdown feet slide whether they will slip or hold.
        moment="throughout",
        limit=lambda env: _all(env, env.cfg.robot.feet, env.cfg.robot.limits.slip),
    ),
    "impact": Constraint(
        title="foot impact",
        measure=foot_force,
        limit=lambda env: _all(
            env, env.cfg.robot.feet, env.cfg.robot.limits.impact * GRAVITY * env.nominal_mass
        ),
        moment="peak",
    ),
    "tilt": Constraint(
        title="tilt",
        measure=tilt,
        limit=lambda env: _all(env, (env.cfg.robot.base_body,), env.cfg.robot.limits.tilt),
    ),
    "target_rate": Constraint(
        title="target rate",
        measure=target_rate,
        limit=lambda env: env.cfg.robot.limits.target_rate * env.leg_speed_limits[0],
        applies=lambda env: leg_targets(env) is not None,
    ),
}
"""All of them, in the order of tables and margins."""


def half_range(env: AmpVaeEnv) -> torch.Tensor:
    """Half the range of each leg joint [rad]. Shape (num_leg_joints,)."""
    low, high = env.robot.data.joint_pos_limits[0, env.index.leg_joints].unbind(dim=-1)
    return 0.5 * (high - low)


def excess(env: AmpVaeEnv, name: str, *, factor: float) -> torch.Tensor:
    """How far a constraint is beyond a multiple of its limit at present, summed, in its unit.

    Args:
        env: The environment.
        name: The constraint.
        factor: Of the limit; below 1 it is stricter than the report.

    Returns:
        Shape (num_envs,).
    """
    limit = env.constraint_monitor.limits[name]
    beyond = CONSTRAINTS[name].measure(env) - factor * limit
    return beyond.clamp(min=0.0).sum(dim=-1)


def _all(env: AmpVaeEnv, parts: tuple[str, ...], value: float) -> torch.Tensor:
    """The same limit for some parts."""
    return torch.full((len(parts),), value, device=env.device)
