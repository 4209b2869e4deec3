"""Robots that two policies move side by side: same ground, command and load."""

from __future__ import annotations

import torch
from mjlab.viewer.viser import MjlabViserScene

from rl_sim_env.envs import AmpVaeEnv
from rl_sim_env.mdp import events
from rl_sim_env.viewer.ground_panel import end_episodes
from rl_sim_env.viewer.view import View, rgb
from rl_sim_env.viewer.wishes import Wishes

SPACING = 1.2
"""Between the two of a pair when they begin [m]."""

NAMES = ("A", "B")
COLORS = ("#1c7ed6", "#ae3ec9")
"""Names and colours of the first policy and the second."""

MARK_HEIGHT, MARK_RADIUS = 0.62, 0.06
"""Of the ball above a robot that tells whose it is [m]."""

_YOUNG = 2
"""Steps within which a partner has hardly moved."""


class Pairs:
    """Keeps the second robot of each pair like the first.

    Robot k of the first half and robot k of the second are a pair. Both begin at the same time,
    side by side in the same pose; what ends the episode of one ends that of the other. Noise and
    delays are drawn for each.

    Args:
        env: The environment, with an even number of robots.
        wishes: What was chosen for robots.
    """

    def __init__(self, env: AmpVaeEnv, wishes: Wishes) -> None:
        self._env, self._wishes = env, wishes
        self.half = env.num_robots // 2
        self._share_ground()

    def partner(self, robot: int) -> int:
        """The other one of a pair."""
        return (robot + self.half) % (2 * self.half)

    def before_step(self, steered: torch.Tensor) -> None:
        """Let the second ones obey the commands of the first.

        Args:
            steered: Commands that overrule what is drawn, NaN where none does; they are changed.
                Shape (num_envs, 3).
        """
        half = self.half
        by_hand = steered[:half].isnan().logical_not()
        drawn = self._env.velocity_command.command[:half]
        steered[half : 2 * half] = torch.where(by_hand, steered[:half], drawn)

    def after_step(self) -> None:
        """Begin anew together; loads become alike as wishes are kept."""
        half, env = self.half, self._env
        ages = env.episode_length_buf
        first, second = ages[:half], ages[half : 2 * half]
        begun = ((second == 0) & (first <= _YOUNG)).nonzero().squeeze(-1)
        # Who is left alone begins anew in the next step, and then both are like each other.
        end_episodes(env, ((first == 0) & (second > _YOUNG)).nonzero().squeeze(-1) + half)
        end_episodes(env, ((second == 0) & (first > _YOUNG)).nonzero().squeeze(-1))
        self._share_ground()
        if self._wishes.can_carry:
            self._wishes.load[half : 2 * half] = events.get_load(env)[:half]
        self._wishes.friction[half : 2 * half] = self._wishes.friction[:half]
        if len(begun):
            self._place(begun)

    def begin(self) -> None:
        """Put all pairs side by side, at the beginning of all episodes."""
        self._place(torch.arange(self.half, device=self._env.device))
        self.after_step()
        self._wishes.keep(torch.zeros(2 * self.half, dtype=torch.bool, device=self._env.device))

    def draw(self, scene: MjlabViserScene, view: View) -> None:
        """Mark whose robots the pair in view are."""
        for robot in (view.robot, self.partner(view.robot)):
            above = self._env.robot.data.root_link_pos_w[robot].cpu().numpy().copy()
            above[2] += MARK_HEIGHT
            scene.add_sphere(above, MARK_RADIUS, rgb(COLORS[robot // self.half]))

    def _share_ground(self) -> None:
        terrain, half = self._env.terrain, self.half
        if terrain.terrain_origins is None:
            return
        for field in (terrain.terrain_types, terrain.terrain_levels, terrain.env_origins):
            field[half : 2 * half] = field[:half]

    def _place(self, pairs: torch.Tensor) -> None:
        """Put the second ones beside the first, in the same pose."""
        env, others = self._env, pairs + self.half
        qpos, qvel = env.sim.data.qpos, env.sim.data.qvel
        positions = qpos[pairs].clone()
        place = env.robot.indexing.free_joint_q_adr[:3].long()
        left = env.robot_heading()[pairs] + 0.5 * torch.pi
        before = env.height_map.heights(positions[:, place[:2]])
        positions[:, place[0]] += SPACING * left.cos()
        positions[:, place[1]] += SPACING * left.sin()
        positions[:, place[2]] += env.height_map.heights(positions[:, place[:2]]) - before
        qpos[others], qvel[others] = positions, qvel[pairs]
        joints = env.index.boom_joints
        if len(joints):
            boom = env.robot.data.joint_pos_target[pairs[:, None], joints]
            env.robot.set_joint_position_target(boom, joint_ids=joints, env_ids=others)
        env.sim.refresh()
