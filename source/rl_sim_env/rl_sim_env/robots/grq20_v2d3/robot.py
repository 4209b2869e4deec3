"""The GRQ20 V2d3. What is known and what is assumed: README.md beside this file."""

from __future__ import annotations

from pathlib import Path

from rl_sim_env.robots.robot import Boom, Drive, Leg, Robot

_LEGS = tuple(
    Leg.at_corner(corner, foot_site=f"{corner}_foot", foot_geom=f"{corner}_foot_collision")
    for corner in ("FL", "FR", "RL", "RR")
)
# By type, then by leg.
_LEG_JOINTS = tuple(leg.joints[kind] for kind in range(3) for leg in _LEGS)

GRQ20_V2D3 = Robot(
    name="grq20_v2d3",
    mjcf_path=Path(__file__).parent / "grq20_v2d3.xml",
    base_body="base_link",
    legs=_LEGS,
    leg_joints=_LEG_JOINTS,
    default_pose={
        joint: angle
        for leg in _LEGS
        for joint, angle in zip(
            leg.joints, (-0.05 if leg.side == "left" else 0.05, 0.795, -1.61), strict=True
        )
    },
    drives={
        joint: Drive(
            stiffness=70.0,
            damping=2.0,
            effort_limit=120.0,
            velocity_limit=16.0,
            stall_torque=240.0,
        )
        for joint in _LEG_JOINTS
    },
    spawn_height=0.5,
    payload=Boom(
        body="arm_load_link",
        max_load=6.0,
        angle_joint="arm_base_joint",
        length_joint="arm_length_joint",
        default_length=0.6,
        length_range=(0.4, 0.8),
        # 6 kg at 20 degrees of pitch pull with 16 N m and 20 N: 0.1 degrees and 0.3 mm.
        stiffness=(10_000.0, 60_000.0),
        # About critical under full load.
        damping=(200.0, 1_000.0),
        viscous_damping=1_000.0,
    ),
)
"""Twelve driven leg joints and a swivelling boom that carries 0 to 6 kg."""
