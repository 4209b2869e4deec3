"""What the feet do, and what walking costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from rl_sim_env.mdp import observations

if TYPE_CHECKING:
    from rl_sim_env.envs import AmpVaeEnv

MIN_LIFT = 0.005
"""Swings that do not get higher are none [m]: a foot that hardly carries comes and goes."""


class FeetStep(NamedTuple):
    """The feet at the end of one control step, in the order of the robot's legs.

    Robots that have just been reset have no foot in contact and none that landed.
    """

    contact: torch.Tensor
    """Whether each foot touches the ground. Shape (num_robots, num_feet)."""

    landed: torch.Tensor
    """Whether each foot ended a swing in this step. Shape (num_robots, num_feet)."""

    swing_height: torch.Tensor
    """Largest gap between foot and ground in the swing that just ended [m]; 0 for a foot that did
    not land. Shape (num_robots, num_feet)."""


class FeetMeter:
    """Follows the feet of all robots from swing to touchdown, as seen once in each control step.

    Args:
        env: The environment that is watched.
    """

    def __init__(self, env: AmpVaeEnv) -> None:
        self._env = env
        shape = (env.num_robots, len(env.cfg.robot.legs))
        self._swing_peak = torch.zeros(shape, device=env.device)
        self._contact = torch.zeros(shape, dtype=torch.bool, device=env.device)
        self._swings = torch.zeros_like(self._contact)

    def observe(self) -> FeetStep:
        """Look at the feet after a control step; to be called after each."""
        env = self._env
        robots = slice(env.num_robots)
        age = env.episode_length_buf[robots, None]
        sensor = env.scene[env.cfg.feet_contact_sensor]
        contact = (sensor.data.found > 0)[robots, env.foot_contact_order] & (age > 0)
        # A foot that has not been down in this episode falls; it does not swing.
        was_down, swung = (seen & (age > 1) for seen in (self._contact, self._swings))
        landed = contact & swung & (self._swing_peak > MIN_LIFT)
        swing_height = self._swing_peak * landed
        self._contact, self._swings = contact, (was_down | swung) & ~contact
        peak = self._swing_peak.maximum(observations.foot_height(env)[robots])
        self._swing_peak = torch.where(self._swings, peak, 0.0)
        return FeetStep(contact, landed, swing_height)


class GaitMeter:
    """What walking costs, and how even it is.

    Args:
        env: The environment that is watched.
    """

    def __init__(self, env: AmpVaeEnv) -> None:
        self._env = env
        self._feet = FeetMeter(env)
        self._diagonal = list(env.cfg.robot.diagonal_legs)
        self._mirror = list(env.cfg.robot.mirror_legs)
        self._gravity = float(np.linalg.norm(env.sim.mj_model.opt.gravity))

    def sample(self, command: torch.Tensor) -> dict[str, torch.Tensor]:
        """Sums of one control step over the robots that are told to move; 0 for the others.

        Args:
            command: Velocity command during the step. Shape (num_robots, 3).

        Returns:
            Sums by name [s, m, J, N m], each of shape (num_robots,); ``stance``, the time in
            contact, and ``mirrored_stance``, that of the foot on the other side, of shape
            (num_robots, num_feet).
        """
        env, robot = self._env, self._env.robot.data
        robots = slice(env.num_robots)
        counted = command[:, :2].any(dim=-1) & (env.episode_length_buf[robots] > 0)
        feet = self._feet.observe()
        power = (observations.joint_torques(env) * observations.joint_vel(env))[robots]
        mass = env.nominal_mass + observations.system_mass_delta(env)[robots].squeeze(-1)
        distance = robot.root_link_lin_vel_w[robots, :2].norm(dim=-1) * env.step_dt
        slip = observations.foot_lin_vel_w(env)[robots, :, :2].norm(dim=-1)
        contact = feet.contact
        values = {
            "seconds": torch.full_like(distance, env.step_dt),
            "distance": distance,
            "weight_distance": mass * self._gravity * distance,
            "work": power.abs().sum(dim=-1) * env.step_dt,
            "positive_work": power.clamp(min=0.0).sum(dim=-1) * env.step_dt,
            "foot_seconds": torch.full_like(distance, contact.shape[1] * env.step_dt),
            "stance": contact * env.step_dt,
            "mirrored_stance": contact[:, self._mirror] * env.step_dt,
            "slip": (slip * contact).sum(dim=-1) * env.step_dt,
            "touchdowns": feet.landed.sum(dim=-1),
            "swing_height": feet.swing_height.sum(dim=-1),
            "stuck": env.buried_feet.newly,
            "diagonal": (contact == contact[:, self._diagonal]).float().mean(dim=-1) * env.step_dt,
        }
        return {
            name: torch.where(counted if value.dim() == 1 else counted[:, None], value, 0.0)
            for name, value in values.items()
        }


def left_right_asymmetry(stance: torch.Tensor, mirrored_stance: torch.Tensor) -> torch.Tensor:
    """How much longer the feet of one side carry than those of the other, in per cent.

    Robinson's symmetry index (Journal of Manipulative and Physiological Therapeutics, 1987):
    the difference over the mean, here of a pair's stance times, averaged over the front and the
    rear pair. Commands must be symmetric; over many robots turns and sideways steps then cancel.

    Args:
        stance: Time in contact of each foot. Shape (..., num_feet).
        mirrored_stance: That of the foot on the other side, in its place. Same shape.

    Returns:
        0 for an even gait, 200 where one side never touches the ground. Shape (...).
    """
    difference, total = (stance - mirrored_stance).abs(), stance + mirrored_stance
    return 100.0 * (2.0 * difference / total).mean(dim=-1)
