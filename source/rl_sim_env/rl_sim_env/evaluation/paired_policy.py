"""Two policies side by side in one environment."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from rl_sim_env.errors import UserError
from rl_sim_env.evaluation.inference_policy import InferencePolicy
from rl_sim_env.learning.estimation import Estimate, EstimationTargets
from rl_sim_env.learning.policy import PolicyOutput


class PairedPolicy:
    """Lets one policy act for the first half of the robots, and another for the second.

    Args:
        first: A policy.
        second: One that estimates the same quantities.

    Raises:
        UserError: It estimates others.
    """

    def __init__(self, first: InferencePolicy, second: InferencePolicy) -> None:
        own, other = (list(each.targets.declared) for each in (first, second))
        if own != other:
            raise UserError(
                f"the first policy estimates {', '.join(own)}, the second {', '.join(other)}; only "
                "those that estimate the same can be shown side by side"
            )
        self._both = (first, second)

    @property
    def targets(self) -> EstimationTargets:
        """Knows the units of what both estimate."""
        return self._both[0].targets

    def initial_memory(self, num_envs: int) -> torch.Tensor:
        """What they remember when episodes begin: zeros. Shape (num_envs, larger width)."""
        memories = [each.initial_memory(num_envs) for each in self._both]
        return max(memories, key=lambda memory: memory.shape[1])

    def trained_range(self) -> Estimate | None:
        """None: they were trained in two ranges."""
        return None

    def __call__(
        self, observations: Mapping[str, torch.Tensor], memory: torch.Tensor, p_boot: float = 1.0
    ) -> PolicyOutput:
        """Act, each for its half; see :meth:`InferencePolicy.__call__`."""
        half = len(memory) // 2
        outputs = []
        for policy, robots in zip(self._both, (slice(half), slice(half, None)), strict=True):
            own = policy.initial_memory(1).shape[1]
            seen = {name: group[robots] for name, group in observations.items()}
            output = policy(seen, memory[robots, :own], p_boot)
            kept = torch.nn.functional.pad(output.memory, (0, memory.shape[1] - own))
            outputs.append((output.actions, output.estimate, kept, output.std))
        (actions, estimates, memories, stds) = zip(*outputs, strict=True)
        both_tell = all(std is not None for std in stds)
        return PolicyOutput(
            torch.cat(actions),
            _joined(estimates),
            torch.cat(memories),
            _joined(stds) if both_tell else None,
        )


def _joined(halves: tuple[Estimate, ...]) -> Estimate:
    first, second = halves
    return Estimate({name: torch.cat((first[name], second[name])) for name in first})
