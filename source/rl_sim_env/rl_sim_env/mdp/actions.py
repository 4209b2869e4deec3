"""Joint position targets for the legs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from mjlab.envs.mdp.actions import JointPositionAction, JointPositionActionCfg

from rl_sim_env.errors import UserError

if TYPE_CHECKING:
    from mjlab.envs import ManagerBasedRlEnv
    from mjlab.envs.mdp.actions.actions import BaseActionCfg

    from rl_sim_env.envs import AmpVaeEnv

_WITHIN = 0.99
"""Share of the robot's limit of target rates that bounded targets keep to, rounding included."""


@dataclass(kw_only=True)
class LegPositionActionCfg(JointPositionActionCfg):
    """Targets q* = q_default + scale * action, one per name and in the order of the names."""

    preserve_order: bool = True

    bounded: bool = False
    """Whether targets stay within the soft range of their joints and below the robot's limit of
    target rates by construction: actions are bounded before anybody sees them, here and in exported
    files. The environment fills in ``clip`` and ``max_target_rate`` where they are None."""

    max_target_rate: dict[str, float] | None = None
    """Greatest rate of each joint's target [rad/s]; it counts where targets are bounded."""

    def build(self, env: ManagerBasedRlEnv) -> LegPositionAction:
        """Build the term."""
        return LegPositionAction(self, env)


class LegPositionAction(JointPositionAction):
    """mjlab's joint position action in the canonical order instead of the model's."""

    cfg: LegPositionActionCfg

    def __init__(self, cfg: LegPositionActionCfg, env: ManagerBasedRlEnv) -> None:
        super().__init__(cfg, env)
        if cfg.bounded:
            assert cfg.max_target_rate is not None, "filled in by fill_bounds()"
            rates = [cfg.max_target_rate[name] for name in self.target_names]
            step = env.step_dt * torch.tensor(rates, device=self.device)
            self._largest_change = step / self.scale
            low_high = (self._clip - torch.as_tensor(self.offset)[..., None]).movedim(-1, 0)
            self._lowest, self._highest = low_high / self.scale

    def bound(self, actions: torch.Tensor, previous: torch.Tensor) -> torch.Tensor:
        """Actions whose targets are within their range and not far from the previous ones.

        Args:
            actions: Raw actions, shape (num_envs, num_joints).
            previous: Those of the step before, bounded; zeros as an episode begins.
        """
        if not self.cfg.bounded:
            return actions
        return bounded_actions(actions, previous, self._lowest, self._highest, self._largest_change)

    def _find_targets(self, cfg: BaseActionCfg) -> tuple[list[int], list[str]]:
        return self._entity.find_joints(cfg.actuator_names, preserve_order=True)


def bounded_actions(
    actions: torch.Tensor,
    previous: torch.Tensor,
    lowest: torch.Tensor,
    highest: torch.Tensor,
    largest_change: torch.Tensor,
) -> torch.Tensor:
    """Actions within a range and not far from the previous ones, in training and exported files.

    Args:
        actions: Raw actions, shape (N, num_joints).
        previous: Those of the step before, of the same shape.
        lowest: Least of each joint, shape (num_joints,).
        highest: Greatest.
        largest_change: From one step to the next.
    """
    within = torch.clamp(actions, lowest, highest)
    return torch.clamp(within, previous - largest_change, previous + largest_change)


def leg_targets(env: AmpVaeEnv) -> LegPositionAction | None:
    """The action term of leg targets, where it is all that there is."""
    terms = [env.action_manager.get_term(name) for name in env.action_manager.active_terms]
    only = terms[0] if len(terms) == 1 else None
    return only if isinstance(only, LegPositionAction) else None


def fill_bounds(env: AmpVaeEnv) -> None:
    """Say in numbers what bounded targets keep to, so that checkpoints and exported files do.

    Raises:
        UserError: The default pose, at which episodes begin, is outside of the soft range.
    """
    robot = env.cfg.robot
    ranges = env.robot.data.soft_joint_pos_limits[0, env.index.leg_joints].tolist()
    rates = (_WITHIN * robot.limits.target_rate * env.leg_speed_limits[0]).tolist()
    for name, cfg in env.cfg.actions.items():
        if not isinstance(cfg, LegPositionActionCfg) or not cfg.bounded:
            continue
        if cfg.clip is None:
            cfg.clip = dict(zip(robot.leg_joints, map(tuple, ranges), strict=True))
        if cfg.max_target_rate is None:
            cfg.max_target_rate = dict(zip(robot.leg_joints, rates, strict=True))
        for joint, (low, high) in zip(robot.leg_joints, ranges, strict=True):
            if not low <= robot.default_pose[joint] <= high:
                raise UserError(
                    f"env.actions.{name}.bounded: joint {joint} stands at "
                    f"{robot.default_pose[joint]:g} rad, outside of its soft range {low:g} to "
                    f"{high:g}; leave it off, or change the pose or soft_joint_limit_factor"
                )
