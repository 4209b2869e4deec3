"""Mass and centre of mass of walking robots without learning, out of what they sense."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from rl_sim_env.errors import UserError
from rl_sim_env.evaluation.leg_model import LegModel, Sensed
from rl_sim_env.evaluation.leg_statics import StaticLoad
from rl_sim_env.evaluation.momentum_observer import MomentumLoad

if TYPE_CHECKING:
    from rl_sim_env.evaluation.arena import Arena
    from rl_sim_env.evaluation.evaluator import EvaluationStep

METHODS = (StaticLoad, MomentumLoad)
"""What tells a load without learning."""

_GROUP = "actor_obs"
_READ = {
    "base_ang_vel": "ang_vel",
    "projected_gravity": "down",
    "joint_pos": "joint_pos",
    "joint_vel": "joint_vel",
    "joint_torques": "torques",
}
"""Terms of what robots sense, and what is sensed."""

_TOLD: tuple[str, ...] = ("random_mass", "random_com")
"""Terms of what is told: mass above nominal, and centre of mass."""


class SensedLoad:
    """Mass and centre of mass of the robots of an arena by each of :data:`METHODS`.

    Args:
        arena: Where they walk.
        legs: The robot without load.

    Attributes:
        places: Which numbers of the policy's estimate they tell.
    """

    def __init__(self, arena: Arena, legs: LegModel) -> None:
        layout, targets = arena.vec_env.observation_layout, arena.policy.targets
        self._terms = {
            sensed: (
                layout.slice(_GROUP, name),
                torch.tensor(layout.term(_GROUP, name).scales, device=arena.device),
            )
            for name, sensed in _READ.items()
        }
        self._legs = legs
        self._default = arena.env.default_leg_joint_pos[: arena.num_robots]
        self._loads = [
            method(legs, arena.num_robots, arena.step_dt, arena.device) for method in METHODS
        ]
        self._ended = torch.ones(arena.num_robots, dtype=torch.bool, device=arena.device)
        declared = targets.declared
        self.places = [
            place
            for place, number in enumerate(targets.components)
            if declared[number.target].term in _TOLD
        ]
        self._told = [each.term for each in declared.values() if each.term in _TOLD]

    @classmethod
    def of(cls, arena: Arena) -> SensedLoad | None:
        """For an arena; None where the policy estimates neither mass nor centre of mass.

        Raises:
            UserError: Robots do not sense what it takes, or have legs of another kind.
        """
        is_asked = any(each.term in _TOLD for each in arena.policy.targets.declared.values())
        if not is_asked:
            return None
        sensed = arena.vec_env.observation_layout.names(_GROUP)
        if missing := [name for name in _READ if name not in sensed]:
            raise UserError(f"{_GROUP} has no {', '.join(missing)}")
        return cls(arena, LegModel(arena.env.cfg.robot, arena.device))

    def update(self, step: EvaluationStep, *, begins: bool) -> torch.Tensor:
        """Follow a control step.

        Args:
            step: The step.
            begins: Whether it is the first of its rollout.

        Returns:
            What is true as the policy acts, for all each method says, at ``places`` [SI], one
            method after the other, shape (N, methods x places).
        """
        begun, self._ended = self._ended | begins, step.dones
        sensed = self._sensed(step)
        placed = self._legs.place(sensed)
        told = []
        for load in self._loads:
            load.begin(begun)
            said = dict(zip(_TOLD, load.update(sensed, placed), strict=True))
            told += [said[term] for term in self._told]
        return torch.cat(told, dim=-1)

    def _sensed(self, step: EvaluationStep) -> Sensed:
        obs = step.obs[_GROUP]
        read = {name: obs[:, columns] / scale for name, (columns, scale) in self._terms.items()}
        read["joint_pos"] = read["joint_pos"] + self._default
        read["down"] = torch.nn.functional.normalize(read["down"], dim=-1)
        return Sensed(**read)
