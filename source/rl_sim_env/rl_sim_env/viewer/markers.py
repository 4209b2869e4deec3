"""What cannot be seen of a robot, drawn into the scene: centre of mass, support, velocities."""

from __future__ import annotations

import numpy as np
import torch
from mjlab.utils.lab_api.math import quat_apply
from mjlab.viewer.viser import MjlabViserScene

from rl_sim_env.evaluation import Evaluator
from rl_sim_env.mdp.observations import foot_pos_w
from rl_sim_env.viewer.comparison import COM, VELOCITY
from rl_sim_env.viewer.view import (
    COMMAND_COLOR,
    ESTIMATE_COLOR,
    PADDED,
    TRUTH_COLOR,
    View,
    rgb,
)

CENTER_RADIUS = 0.035
"""Of the spheres that mark a centre of mass [m]."""

ARROW_HEIGHT = 0.45
"""Of velocities above the trunk [m]."""

LIFT = 0.012
"""Of what lies on the ground above it [m]: it would flicker."""

_SUPPORT = "/support"


class Markers:
    """Draws what is true, believed and commanded of the robot in view.

    Args:
        view: The page.
        player: The policy at work.

    Attributes:
        shown: Whether the robot is marked.
        seen_through: Whether its body is drawn so that marks inside of it are seen.
    """

    def __init__(self, view: View, player: Evaluator) -> None:
        self._view, self._player = view, player
        gui = view.server.gui
        self.shown = gui.add_checkbox("Marks in the scene", initial_value=True)
        gui.add_html(
            f"<div style='{PADDED}'>centre of mass, and below it its place on the ground: "
            f"{_dot(TRUTH_COLOR)} true {_dot(ESTIMATE_COLOR)} estimated<br>velocity: "
            f"{_dot(COMMAND_COLOR)} commanded {_dot(TRUTH_COLOR)} true "
            f"{_dot(ESTIMATE_COLOR)} estimated<br>lines between feet that carry: the support</div>"
        )
        self._support = view.server.scene.add_line_segments(
            _SUPPORT,
            np.zeros((1, 2, 3), np.float32),
            (43, 138, 62),
            thickness=4.0,
            thickness_units="screen",
            visible=False,
        )

    def draw(self, scene: MjlabViserScene, offset: np.ndarray) -> None:
        """Mark the robot in view.

        Args:
            scene: Where to.
            offset: Where the scene is moved to, which followed robots do.
        """
        self._support.visible = self.shown.value
        if not self.shown.value:
            return
        robot, env = self._view.robot, self._player.env
        feet = foot_pos_w(env)[robot]
        found = env.scene[env.cfg.feet_contact_sensor].data.found
        carries = (found[robot, env.foot_contact_order] > 0).cpu().numpy()
        feet = feet.cpu().numpy() + _up(LIFT - env.index.foot_radius)
        self._draw_support(feet, carries, offset)
        ground = feet[:, 2].min()
        estimate, truth = self._player.output.estimate, self._player.truth
        if COM in truth:
            for belief, color in ((truth, TRUTH_COLOR), (estimate, ESTIMATE_COLOR)):
                center = self._in_world(belief[COM][robot], is_place=True)
                scene.add_sphere(center, CENTER_RADIUS, rgb(color))
                below = np.array((*center[:2], ground))
                scene.add_sphere(below, 0.6 * CENTER_RADIUS, rgb(color))
        start = self._in_world(torch.zeros(3, device=env.device), is_place=True)
        start = start + _up(ARROW_HEIGHT)
        command = env.velocity_command.command[robot].clone()
        command[2] = 0.0
        arrows = {COMMAND_COLOR: command, TRUTH_COLOR: env.robot.data.root_link_lin_vel_b[robot]}
        if VELOCITY in estimate:
            arrows[ESTIMATE_COLOR] = estimate[VELOCITY][robot]
        for place, (color, velocity) in enumerate(arrows.items()):
            along = self._in_world(velocity, is_place=False)
            along[2] = 0.0
            raised = start + _up(0.04 * place)
            scene.add_arrow(raised, raised + along, rgb(color), width=0.012)

    def _draw_support(self, feet: np.ndarray, carries: np.ndarray, offset: np.ndarray) -> None:
        standing = feet[carries]
        if len(standing) > 2:
            # Feet in the order in which one walks around them.
            middle = standing.mean(axis=0)
            angles = np.arctan2(*(standing - middle)[:, 1::-1].T)
            standing = standing[np.argsort(angles)]
        ends = np.roll(standing, -1, axis=0)
        segments = np.stack((standing, ends), axis=1) if len(standing) > 1 else feet[:1, None]
        # Always equally many, so that browsers need not build them anew.
        rows = np.resize(np.broadcast_to(segments, (len(segments), 2, 3)), (len(feet), 2, 3))
        self._support.points = (rows + offset).astype(np.float32)

    def _in_world(self, vector: torch.Tensor, *, is_place: bool) -> np.ndarray:
        """A vector of the base frame in the world; a place is seen from the base."""
        data, robot = self._player.env.robot.data, self._view.robot
        turned = quat_apply(data.root_link_quat_w[robot], vector)
        return (turned + data.root_link_pos_w[robot] if is_place else turned).cpu().numpy()


def _up(height: float) -> np.ndarray:
    return np.array((0.0, 0.0, height))


def _dot(color: str) -> str:
    return f"<span style='color:{color}'>●</span>"
