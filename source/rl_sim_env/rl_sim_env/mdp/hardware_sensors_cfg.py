"""How far sensors and drives of hardware may be off; no simulator is needed to say it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from rl_sim_env.configuration.limits import DELAY, NOT_NEGATIVE, SHARE, Number

SensorModel = Literal["ideal", "hardware"]
"""Delays of some milliseconds and white noise alone, or what :class:`HardwareSensorsCfg` says."""

REFERENCE_TORQUE = 120.0
"""Greatest torque of the drives that the defaults are for [N m]."""

Amount = Annotated[float, NOT_NEGATIVE]


@dataclass(kw_only=True)
class HardwareSensorsCfg:
    """How far sensors and drives may be off; what is drawn is drawn anew for each episode.

    The defaults are for drives that give :data:`REFERENCE_TORQUE`.
    """

    torque_constant: Annotated[float, SHARE] = 0.05
    """Largest error of the drives' torque constant that all joints of a robot share: a drive
    reports its current times the nominal constant. Uniform; 1 is all of the torque."""

    joint_torque_constant: Annotated[float, SHARE] = 0.1
    """Largest error of each joint's own constant besides. Uniform; 1 is all of the torque."""

    torque_offset: Amount = 1.0
    """Standard deviation of a constant error of each joint's reported torque [N m]. Normal."""

    torque_noise: Amount = 0.5
    """Standard deviation of the white noise of reported torques [N m]. Normal."""

    torque_resolution: Amount = 0.1
    """Steps in which drives report torques [N m]; 0: none."""

    joint_friction: Amount = 2.0
    """Most friction of a joint beyond that of the model [N m]: torque that its drive gives and
    reports, and that never reaches the leg. Uniform from 0, for each joint."""

    armature: Amount = 0.05
    """Most inertia of a drive's rotor, as seen at the joint, beyond that of the model [kg m^2].
    Uniform from 0, the same for all joints of a robot."""

    imu_mounting: Annotated[float, Number(at_least=0, at_most=math.pi / 4)] = math.radians(2.0)
    """Largest angle about each axis by which the IMU is mounted askew [rad]. Uniform."""

    gyro_bias: Amount = 0.05
    """Largest constant error of the angular velocity about each axis [rad/s]. Uniform."""

    encoder_offset: Amount = 0.01
    """Largest error of each joint's zero [rad], for the drive as for the policy. Uniform."""

    max_delay: Annotated[float, DELAY] = 0.02
    """Longest delay of a signal, torques among them [s]. Uniform from 0."""

    delay_jitter: Annotated[float, DELAY] = 0.002
    """Most by which a signal's delay differs from step to step [s], in between 0 and the longest.
    Uniform to both sides."""

    @classmethod
    def for_drives(cls, torque: float) -> HardwareSensorsCfg:
        """The defaults, but friction, inertia and errors of torques in proportion to the drives.

        Args:
            torque: Greatest torque of the drives [N m].
        """
        default, size = cls(), torque / REFERENCE_TORQUE
        return replace(default, **{name: size * getattr(default, name) for name in _SIZED})


_SIZED = ("torque_offset", "torque_noise", "torque_resolution", "joint_friction", "armature")
