"""Motion clips on the robot, without physics."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import torch
import viser

from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.mdp.observations import foot_pos_w
from rl_sim_env.motions import MotionClip
from rl_sim_env.viewer.player_viewer import PlayerViewer
from rl_sim_env.viewer.robot_panel import RobotPanel
from rl_sim_env.viewer.status_panel import StatusPanel
from rl_sim_env.viewer.view import PADDED

if TYPE_CHECKING:
    from mjlab.viewer.debug_visualizer import DebugVisualizer

STANCE_COLOR = (0.97, 0.40, 0.03, 1.0)
SWING_COLOR = (0.30, 0.67, 0.97, 0.7)
"""Colours of the feet: what the clip says about their contact with the ground."""

FOOT_SCALE = 1.25
"""Radius of the drawn feet, relative to the feet."""


class ClipPlayer:
    """Puts the robot into the poses of one clip after the other.

    Every robot of the environment shows the same.

    Args:
        vec_env: The environment; only its robots and its ground are used.
        clips: At least one.

    Attributes:
        clips: As given.
        index: Which clip is shown.
        time: Time within the clip [s].
        repeat: Whether a clip that has ended is shown again, instead of the next one.
    """

    def __init__(self, vec_env: AmpVaeVecEnv, clips: Sequence[MotionClip]) -> None:
        self.vec_env = vec_env
        robot = vec_env.cfg.robot
        self.clips = [clip.arranged(robot.leg_joints, robot.feet) for clip in clips]
        self.index = 0
        self.time = 0.0
        self.repeat = False
        # Instead of the command's arrows, which say nothing about a clip.
        vec_env.unwrapped.manager_visualizers = {"feet": self}
        self.reset()

    @property
    def clip(self) -> MotionClip:
        """The clip that is shown."""
        return self.clips[self.index]

    @property
    def frame(self) -> int:
        """Index of the clip's frame that is shown."""
        return min(round(self.time * self.clip.fps), self.clip.num_frames - 1)

    @property
    def num_steps(self) -> int:
        """Number of steps that show every clip once."""
        return sum(self._steps_of(clip) for clip in self.clips)

    def select(self, index: int) -> None:
        """Show another clip from its beginning."""
        self.index = index
        self.reset()

    def reset(self) -> None:
        """Show the present clip from its beginning."""
        self._step = 0
        self._show()

    def advance(self) -> None:
        """Go on by one control step, at a clip's end to the next clip's beginning."""
        self._step += 1
        if self._step < self._steps_of(self.clip):
            self._show()
        else:
            self.select(self.index if self.repeat else (self.index + 1) % len(self.clips))

    def debug_vis(self, visualizer: DebugVisualizer) -> None:
        """Draw the feet in the colour of their contact."""
        env = self.vec_env.unwrapped
        feet = foot_pos_w(env).cpu().numpy()
        for env_id in visualizer.get_env_indices(env.num_envs):
            for position, stands in zip(
                feet[env_id], self.clip.foot_contact[self.frame], strict=True
            ):
                visualizer.add_sphere(
                    position,
                    FOOT_SCALE * env.index.foot_radius,
                    STANCE_COLOR if stands else SWING_COLOR,
                )

    def _steps_of(self, clip: MotionClip) -> int:
        return round((clip.num_frames - 1) / clip.fps / self.vec_env.step_dt) + 1

    def _show(self) -> None:
        env, clip = self.vec_env.unwrapped, self.clip
        self.time = self._step * self.vec_env.step_dt
        frame = self.frame

        def row(*parts: Any) -> torch.Tensor:
            values = torch.cat([torch.as_tensor(part[frame]) for part in parts])
            return values.to(env.device, torch.float).expand(env.num_envs, -1)

        pose = row(clip.root_pos, clip.root_quat).clone()
        pose[:, :3] += env.scene.env_origins
        env.robot.write_root_link_pose_to_sim(pose)
        env.robot.write_root_link_velocity_b_to_sim(row(clip.root_lin_vel, clip.root_ang_vel))
        env.robot.write_joint_state_to_sim(
            row(clip.joint_pos), row(clip.joint_vel), joint_ids=env.index.leg_joints
        )
        boom = env.robot.data.default_joint_pos[:, env.index.boom_joints]
        env.robot.write_joint_state_to_sim(
            boom, torch.zeros_like(boom), joint_ids=env.index.boom_joints
        )
        env.sim.forward()


class ClipViewer(PlayerViewer[ClipPlayer]):
    """Shows motion clips and lets the user choose among them."""

    def build_panels(self) -> None:
        """Build the panel of the clips."""
        self.status = StatusPanel(self)
        names = self._names = _told_apart([clip.name for clip in self.player.clips])
        gui = self.server.gui
        with gui.add_folder("Motion clips"):
            self._choice = gui.add_dropdown("Clip", names, initial_value=names[self.player.index])
            self._facts = gui.add_html("")
            repeat = gui.add_checkbox("Repeat this clip", initial_value=self.player.repeat)

        @self._choice.on_update
        def _(event: viser.GuiEvent) -> None:
            # Without a client it was the viewer itself that went on to the next clip.
            if event.client is not None:
                self.choose(self._choice.value)

        repeat.on_update(lambda _: setattr(self.player, "repeat", repeat.value))
        RobotPanel(self)

    def choose(self, name: str) -> None:
        """Ask for another clip, by its name in the panel."""
        if name in self._names:
            self.view.ask(lambda: self.player.select(self._names.index(name)))

    def update_panels(self) -> None:
        """Show the clip's facts; all robots show the same."""
        clip = self.player.clip
        self._choice.value = self._names[self.player.index]
        self.status.update(f"{clip.name}, {self.player.time:.2f} of {clip.duration:.2f} s")
        self._facts.content = (
            f"<div style='{PADDED}'>{clip.fps:g} frames/s, weight {clip.weight:g}<br>"
            f"source: {escape(clip.source)}<br>licence: {escape(clip.licence)}</div>"
        )


def _told_apart(names: Sequence[str]) -> list[str]:
    """The names, numbered where one stands there twice."""
    return [
        name if names.count(name) == 1 else f"{name} ({names[: place + 1].count(name)})"
        for place, name in enumerate(names)
    ]
