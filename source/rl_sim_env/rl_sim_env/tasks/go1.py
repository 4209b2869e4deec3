"""The tasks of the Unitree Go1."""

from __future__ import annotations

from rl_sim_env.mdp.hardware_sensors_cfg import HardwareSensorsCfg
from rl_sim_env.robots.go1 import GO1
from rl_sim_env.tasks.payload_walking_cfg import PayloadWalkingCfg
from rl_sim_env.tasks.registry import register_walking_tasks

GO1_WALKING = PayloadWalkingCfg(
    robot=GO1,
    action_scale=0.35,
    torque_scale=0.08,
    scan_offset=0.35,
    swing_height=0.06,
    trunk_mass=(-0.8, 1.5),
    trunk_com=((-0.03, 0.03), (-0.02, 0.02), (-0.02, 0.03)),
    terrain_scale=0.75,
    # Its drives give a quarter of what those of the GRQ20 give.
    hardware_sensors=HardwareSensorsCfg(
        torque_offset=0.25,
        torque_noise=0.125,
        torque_resolution=0.025,
        joint_friction=0.5,
        armature=0.0125,
    ),
)

register_walking_tasks("Rl-Sim-Env-AmpVae-Go1", GO1_WALKING)
