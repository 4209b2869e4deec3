"""Joint position targets for the legs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mjlab.envs.mdp.actions import JointPositionAction, JointPositionActionCfg

if TYPE_CHECKING:
    from mjlab.envs import ManagerBasedRlEnv
    from mjlab.envs.mdp.actions.actions import BaseActionCfg


@dataclass(kw_only=True)
class LegPositionActionCfg(JointPositionActionCfg):
    """Targets q* = q_default + scale * action, one per name and in the order of the names."""

    preserve_order: bool = True

    def build(self, env: ManagerBasedRlEnv) -> LegPositionAction:
        """Build the term."""
        return LegPositionAction(self, env)


class LegPositionAction(JointPositionAction):
    """mjlab's joint position action in the canonical order instead of the model's."""

    def _find_targets(self, cfg: BaseActionCfg) -> tuple[list[int], list[str]]:
        return self._entity.find_joints(cfg.actuator_names, preserve_order=True)
