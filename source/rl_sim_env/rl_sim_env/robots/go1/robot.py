"""The Unitree Go1, from mjlab's model. What is known and what is assumed: README.md beside this."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from rl_sim_env.robots.robot import Drive, Leg, Robot, TrunkBox

ROTOR_INERTIA = 0.000111842
"""Of the motors [kg m2], as in mjlab's description."""

HIP_GEAR_RATIO, KNEE_GEAR_RATIO = 6.0, 9.0

HIP_EFFORT, KNEE_EFFORT = 23.7, 35.55
"""Largest torques at the joints [N m], as in mjlab's description."""

HIP_SPEED, KNEE_SPEED = 30.1, 20.06
"""No-load speeds of the joints [rad/s], as in mjlab's description."""

STALL_TO_EFFORT = 2.0
"""Stall torque over the largest torque: full torque up to half the no-load speed."""

# In the order of the model.
_LEGS = tuple(
    Leg.at_corner(corner, foot_site=corner, foot_geom=f"{corner}_foot_collision")
    for corner in ("FR", "FL", "RR", "RL")
)


def _model() -> Path:
    """The model's file, found without importing mjlab: a description costs no seconds."""
    mjlab = find_spec("mjlab")
    assert mjlab is not None and mjlab.origin is not None, "mjlab is a requirement"
    folder = Path(mjlab.origin).parent / "asset_zoo" / "robots" / "unitree_go1"
    return folder / "xmls" / "go1.xml"


def _drive(gear_ratio: float, effort: float, speed: float) -> Drive:
    return Drive(
        stiffness=30.0,
        damping=0.8,
        effort_limit=effort,
        velocity_limit=speed,
        stall_torque=STALL_TO_EFFORT * effort,
        armature=ROTOR_INERTIA * gear_ratio**2,
    )


_HIP = _drive(HIP_GEAR_RATIO, HIP_EFFORT, HIP_SPEED)
_KNEE = _drive(KNEE_GEAR_RATIO, KNEE_EFFORT, KNEE_SPEED)


GO1 = Robot(
    name="go1",
    mjcf_path=_model(),
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
        joint: _KNEE if joint == leg.calf_joint else _HIP for leg in _LEGS for joint in leg.joints
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
