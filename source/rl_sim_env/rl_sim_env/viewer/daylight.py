"""Sky, sun and ground colours for pictures; physics does not see them."""

from __future__ import annotations

import mujoco
import numpy as np

ZENITH = (0.42, 0.60, 0.82)
HORIZON = (0.86, 0.90, 0.94)
SKY_PIXELS = 256

GROUND = ((0.72, 0.74, 0.76), (0.66, 0.68, 0.71))
"""Colours of the checkerboard."""

HAZE = 0.55
"""How far the colours of plain terrain fade to the ground's, 0 to 1."""

SUN_COLOR = (0.65, 0.64, 0.60)
SUN_GLINT = (0.10, 0.10, 0.10)
SKYLIGHT = (0.35, 0.36, 0.38)
FILL_LIGHT = (0.25, 0.25, 0.25)
"""Light of the sun, its highlights, from all around, and from the camera."""

SUN_DIRECTION = (0.35, 0.45, -1.0)
"""Where the light goes, in the world."""

SUN_OFFSET = (-1.4, -1.8, 4.0)
"""Where the sun stands above the robot it follows [m]; shadows reach a few metres around it."""

SHADOW_PIXELS = 2048
"""Side length of the shadow map; larger ones take a CPU most of the time of a frame."""


def daylight(spec: mujoco.MjSpec) -> None:
    """Give a scene with one robot a sky, a sun that follows the robot, and bright ground.

    Args:
        spec: The scene; it is changed in place.
    """
    for light in spec.lights:
        spec.delete(light)
    robot = next(joint.parent for joint in spec.joints if joint.type == mujoco.mjtJoint.mjJNT_FREE)
    robot.add_light(
        name="sun",
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        mode=mujoco.mjtCamLight.mjCAMLIGHT_TRACK,
        pos=SUN_OFFSET,
        dir=SUN_DIRECTION,
        diffuse=SUN_COLOR,
        specular=SUN_GLINT,
        castshadow=True,
    )
    spec.add_texture(
        name="sky",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=ZENITH,
        rgb2=HORIZON,
        width=SKY_PIXELS,
        height=6 * SKY_PIXELS,
    )
    robot_bodies = {robot.name, *(body.name for body in robot.find_all("body"))}
    for geom in spec.geoms:
        if geom.parent.name not in robot_bodies and not geom.material:
            geom.rgba[:3] += HAZE * (np.array(GROUND[0]) - geom.rgba[:3])
    for material in spec.materials:
        material.reflectance = 0.0
    for texture in spec.textures:
        if texture.builtin == mujoco.mjtBuiltin.mjBUILTIN_CHECKER:
            texture.rgb1, texture.rgb2 = GROUND
    spec.visual.headlight.ambient = SKYLIGHT
    spec.visual.headlight.diffuse = FILL_LIGHT
    spec.visual.rgba.haze = (*HORIZON, 1.0)
    spec.visual.quality.shadowsize = SHADOW_PIXELS
