"""The last seconds of the robot in view."""

from __future__ import annotations

import numpy as np
import torch

from rl_sim_env.conventions import GRAVITY
from rl_sim_env.evaluation import Evaluator
from rl_sim_env.evaluation.evaluator import EvaluationStep
from rl_sim_env.learning.amp import STYLE_STATE
from rl_sim_env.learning.discriminator import Discriminator
from rl_sim_env.mdp import observations
from rl_sim_env.viewer.comparison import Comparison, compare

SECONDS = 10.0
"""How long it reaches back [s]."""

_STANDING = 0.05
"""Mean speed below which a robot stands [m/s]."""


class History:
    """What one robot did in the last seconds, step by step.

    Args:
        player: Whose robots there are.
        style: Says how much a motion looks like the clips; None: nobody does.

    Attributes:
        style: As given; it may be changed between steps.
    """

    def __init__(self, player: Evaluator, style: Discriminator | None = None) -> None:
        self._player = player
        self.style = style
        self._length = round(SECONDS / player.step_dt)
        self.clear(0)

    def clear(self, robot: int) -> None:
        """Begin anew, with another robot."""
        self._robot = robot
        self._begins = False
        self._style_state: torch.Tensor | None = None
        self._rows: dict[str, np.ndarray] = {}
        self._count = 0
        self._compared: list[Comparison] | None = None

    def compared(self, robot: int) -> list[Comparison]:
        """What a robot is, and what its policy believed in the last step."""
        if self._compared is None or robot != self._robot:
            # Nobody has watched it yet.
            self.clear(robot)
            self._compared = compare(self._player, robot)
        return self._compared

    def add(self, robot: int, step: EvaluationStep) -> None:
        """Take in one control step of the robot in view."""
        if robot != self._robot:
            self.clear(robot)
        env = self._player.env
        compared = self._compared = compare(self._player, robot)
        feet = env.scene[env.cfg.feet_contact_sensor].data.found
        power = observations.joint_torques(env)[robot] * observations.joint_vel(env)[robot]
        mass = env.nominal_mass + observations.system_mass_delta(env)[robot, 0]
        values = {
            "true": [row.true for row in compared],
            "estimated": [row.estimated for row in compared],
            "reach": [row.reach or 0.0 for row in compared],
            "command": step.command[robot],
            "velocity": torch.cat((step.velocity[robot], step.yaw_rate[robot, None])),
            "contact": feet[robot, env.foot_contact_order] > 0,
            "margins": step.margins[robot],
            "power": power.abs().sum(),
            "weight": mass * GRAVITY,
            "begun": self._begins,
            "style": self._judge(robot, step),
        }
        self._begins = bool(step.dones[robot])
        place = self._count % self._length
        for name, value in values.items():
            row = torch.as_tensor(value, dtype=torch.float, device="cpu").numpy()
            if name not in self._rows:
                self._rows[name] = np.zeros((self._length, *row.shape), dtype=np.float32)
            self._rows[name][place] = row
        self._count += 1

    def __len__(self) -> int:
        return min(self._count, self._length)

    def last(self, name: str, seconds: float = SECONDS, every: int = 1) -> np.ndarray:
        """Values of the last seconds, the newest last.

        Args:
            name: Which.
            seconds: How far back.
            every: Only each so manieth step, counted from the newest.

        Returns:
            Shape (steps, ...).
        """
        count = min(len(self), round(seconds / self._player.step_dt))
        places = np.arange(self._count - 1, self._count - 1 - count, -every)[::-1] % self._length
        return self._rows[name][places] if count else np.zeros((0,), dtype=np.float32)

    def style_score(self) -> float | None:
        """Mean style reward, 0 to 1: as much does it look like the clips. None: nobody judges."""
        if self.style is None or not len(self):
            return None
        judged = self.last("style")
        known = judged[~np.isnan(judged)]
        return float(known.mean()) if len(known) else None

    def _judge(self, robot: int, step: EvaluationStep) -> float:
        """Style of the transition that led to the state of this step; NaN where there is none."""
        if self.style is None:
            return float("nan")
        before, now = self._style_state, step.obs[STYLE_STATE][robot]
        # What follows a fall is no motion.
        self._style_state = None if step.dones[robot] else now
        return float("nan") if before is None else float(self.style.style_reward(before, now))

    def cost_of_transport(self) -> float | None:
        """Work of the joints, either sign, over weight and distance; None where it stands."""
        if not len(self):
            return None
        # In control steps, as the work below is.
        distance = np.linalg.norm(self.last("velocity")[:, :2], axis=1).sum()
        if distance < _STANDING * len(self):
            return None
        return float(self.last("power").sum() / (self.last("weight").mean() * distance))
