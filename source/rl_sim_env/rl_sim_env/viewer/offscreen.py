"""Pictures of robots without a window."""

from __future__ import annotations

import copy
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from mjlab.viewer import ViewerConfig
from mjlab.viewer.offscreen_renderer import OffscreenRenderer
from PIL import Image

from rl_sim_env.errors import UserError
from rl_sim_env.evaluation.arena import Arena, Scenario
from rl_sim_env.opengl import VARIABLE
from rl_sim_env.terrains.terrain_types import PLANE_FAMILY

if TYPE_CHECKING:
    from rl_sim_env.envs import AmpVaeEnv

SIZE = (640, 480)
"""Width and height of a photo [pixels]."""

DISTANCE = 0.55
"""How much nearer than for videos the camera is."""

STRIDE = 1.5
"""How long a robot has walked when its photo is taken [s]."""

COMMAND = (0.7, 0.0, 0.0)
"""What it is told [m/s, m/s, rad/s]."""

LOAD = 0.5
"""What it carries, as a share of the heaviest load of training."""

QUALITY = 85
"""Of the JPEG file."""

COARSE = {"offsamples": 0, "numslices": 20, "numstacks": 10, "shadowsize": 1024}
"""MuJoCo's quality where a CPU renders; by default 4, 28 and 16."""


@contextmanager
def open_renderer(
    env: AmpVaeEnv, camera: ViewerConfig, *, fine: bool | None = None
) -> Iterator[OffscreenRenderer]:
    """Open what renders an environment.

    Args:
        env: The environment.
        camera: Size of the picture, and where it is taken from.
        fine: Whether edges are smooth and round parts have many facets, which takes a CPU three
            times as long; by default where there is a GPU.

    Raises:
        UserError: There is no OpenGL to render with.
    """
    model = copy.copy(env.sim.mj_model)
    if not (str(env.device) != "cpu" if fine is None else fine):
        for name, value in COARSE.items():
            setattr(model.vis.quality, name, value)
    renderer = OffscreenRenderer(
        model=model,
        cfg=camera,
        scene=env.scene,
        sim_model=env.sim.model,
        expanded_fields=env.sim.expanded_fields,
    )
    try:
        renderer.initialize()
    except Exception as error:  # every kind of OpenGL fails in its own way
        raise UserError(
            f"--video: no OpenGL to render with ({VARIABLE}={os.environ.get(VARIABLE)}: {error}); "
            "install one that needs no screen (Debian, Ubuntu: apt-get install libegl1 libgl1, or "
            f"libosmesa6 and set {VARIABLE}=osmesa)"
        ) from error
    try:
        yield renderer
    finally:
        renderer.close()


def photograph(arena: Arena) -> bytes | None:
    """A robot in mid-walk on level ground, half loaded, as a JPEG file; None without an OpenGL.

    Args:
        arena: Where it walks. Whoever measures afterwards takes the same one: a GPU may have
            captured its tensors.
    """
    env = arena.env
    camera = replace(
        env.cfg.viewer,
        distance=DISTANCE * env.cfg.viewer.distance,
        width=SIZE[0],
        height=SIZE[1],
        max_extra_envs=0,
    )
    try:
        # First of all: without an OpenGL nobody needs to walk.
        with open_renderer(env, camera, fine=True) as renderer:
            for _ in arena.rollout(_on_level_ground(arena), seconds=STRIDE, seed=0):
                pass
            renderer.update(env.sim.data)
            picture = Image.fromarray(renderer.render())
    except UserError:
        return None
    file = io.BytesIO()
    picture.save(file, format="JPEG", quality=QUALITY)
    return file.getvalue()


def _on_level_ground(arena: Arena) -> Scenario:
    def everywhere(*value: float) -> torch.Tensor:
        return torch.tensor(value, device=arena.device).expand(arena.num_robots, -1)

    flat = everywhere(arena.env.terrain_types.names.index(PLANE_FAMILY)).squeeze(-1)
    return Scenario(
        family=flat.long(),
        row=torch.zeros_like(flat).long(),
        load=everywhere(LOAD * arena.env.cfg.robot.max_load).squeeze(-1),
        command=everywhere(*COMMAND),
    )
