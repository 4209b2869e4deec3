"""The Unitree Go1, from mjlab's model. What is known and what is assumed: README.md beside this."""

from __future__ import annotations

from mjlab.asset_zoo.robots.unitree_go1.go1_constants import (
    GO1_XML,
    HIP_ACTUATOR,
    KNEE_ACTUATOR,
)
from mjlab.utils.actuator import ElectricActuator

from rl_sim_env.robots.robot import Drive, End, Leg, Robot, Side, TrunkBox

STALL_TO_EFFORT = 2.0
"""Stall torque over the largest torque: full torque up to half the no-load speed."""

# In the order of the model.
_CORNERS: tuple[tuple[str, Side, End], ...] = (
    ("FR", "right", "front"),
    ("FL", "left", "front"),
    ("RR", "right", "rear"),
    ("RL", "left", "rear"),
)
_LEGS = tuple(
    Leg(
        name=name,
        side=side,
        end=end,
        hip_joint=f"{name}_hip_joint",
        thigh_joint=f"{name}_thigh_joint",
        calf_joint=f"{name}_calf_joint",
        thigh_body=f"{name}_thigh",
        calf_body=f"{name}_calf",
        foot_body=f"{name}_foot",
        foot_site=name,
        foot_geom=f"{name}_foot_collision",
    )
    for name, side, end in _CORNERS
)


def _drive(motor: ElectricActuator) -> Drive:
    return Drive(
        stiffness=30.0,
        damping=0.8,
        effort_limit=motor.effort_limit,
        velocity_limit=motor.velocity_limit,
        stall_torque=STALL_TO_EFFORT * motor.effort_limit,
        armature=motor.reflected_inertia,
    )


GO1 = Robot(
    name="go1",
    mjcf_path=GO1_XML,
    base_body="trunk",
    legs=_LEGS,
    # Leg by leg.
    leg_joints=tuple(joint for leg in _LEGS for joint in leg.joints),
    default_pose={
        joint: angle
        for leg in _LEGS
        for joint, angle in zip(
            leg.joints, (-0.1 if leg.side == "left" else 0.1, 0.9, -1.8), strict=True
        )
    },
    drives={
        joint: _drive(KNEE_ACTUATOR if joint == leg.calf_joint else HIP_ACTUATOR)
        for leg in _LEGS
        for joint in leg.joints
    },
    spawn_height=0.34,
    payload=TrunkBox(
        body="payload",
        max_load=4.0,
        position=(0.0, 0.0, 0.1),
        half_size=(0.12, 0.08, 0.04),
        tray_mass=0.3,
        place_range=(0.08, 0.05),
    ),
)
"""Twelve driven leg joints and a box on the trunk that holds 0 to 4 kg."""
