"""The tasks of the GRQ20 V2d3."""

from __future__ import annotations

from rl_sim_env.robots.grq20_v2d3 import GRQ20_V2D3
from rl_sim_env.tasks.payload_walking_cfg import PayloadWalkingCfg
from rl_sim_env.tasks.registry import register_perceptive_tasks, register_walking_tasks

GRQ20_V2D3_WALKING = PayloadWalkingCfg(
    robot=GRQ20_V2D3,
    action_scale=0.35,
    torque_scale=0.02,
    scan_offset=0.5,
    swing_height=0.08,
    trunk_mass=(-3.0, 5.0),
    trunk_com=((-0.05, 0.05), (-0.03, 0.03), (-0.03, 0.05)),
)

register_walking_tasks("Rl-Sim-Env-AmpVae-Grq20-V2d3", GRQ20_V2D3_WALKING)
register_perceptive_tasks(
    "Rl-Sim-Env-AmpVaeVit-Grq20-V2d3",
    GRQ20_V2D3_WALKING,
    grows_from="Rl-Sim-Env-AmpVae-Grq20-V2d3",
    lidar_mount=(0.36, 0.02),
)
