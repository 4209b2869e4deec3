"""The tasks of the Unitree Go1."""

from __future__ import annotations

from rl_sim_env.robots.go1 import GO1
from rl_sim_env.tasks.payload_walking_cfg import PayloadWalkingCfg
from rl_sim_env.tasks.registry import register_perceptive_tasks, register_walking_tasks

GO1_WALKING = PayloadWalkingCfg(
    robot=GO1,
    action_scale=0.35,
    torque_scale=0.08,
    scan_offset=0.35,
    swing_height=0.06,
    trunk_mass=(-0.8, 1.5),
    trunk_com=((-0.03, 0.03), (-0.02, 0.02), (-0.02, 0.03)),
    terrain_scale=0.75,
)

register_walking_tasks("Rl-Sim-Env-AmpVae-Go1", GO1_WALKING)
register_perceptive_tasks(
    "Rl-Sim-Env-AmpVaeVit-Go1",
    GO1_WALKING,
    grows_from="Rl-Sim-Env-AmpVae-Go1",
    lidar_mount=(0.32, 0.02),
)
