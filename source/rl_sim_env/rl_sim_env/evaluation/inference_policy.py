"""What is evaluated: a policy from a checkpoint, or one exported to an ONNX file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import onnxruntime
import torch

from rl_sim_env.deploy.metadata import PolicyMetadata
from rl_sim_env.errors import UserError
from rl_sim_env.learning.estimate_cfg import EstimateCfg, velocity_mass_com
from rl_sim_env.learning.estimation import EstimationTargets
from rl_sim_env.learning.layout import ObservationLayout
from rl_sim_env.learning.policy import PolicyOutput

_MEMORY = "memory"
_OUTPUTS = ("actions", "estimates", "next_memory")


class InferencePolicy(Protocol):
    """A policy under evaluation; :class:`~rl_sim_env.learning.policy.AmpVaePolicy` is one."""

    @property
    def targets(self) -> EstimationTargets:
        """Knows the units of what the policy estimates."""
        ...

    def initial_memory(self, num_envs: int) -> torch.Tensor:
        """What the policy remembers when episodes begin: zeros. Shape (num_envs, width)."""
        ...

    def __call__(
        self, observations: Mapping[str, torch.Tensor], memory: torch.Tensor, p_boot: float = 1.0
    ) -> PolicyOutput:
        """Act; see :meth:`~rl_sim_env.learning.policy.AmpVaePolicy.forward`."""
        ...


class OnnxInferencePolicy:
    """A policy exported without its history: observations and memory to actions and estimates.

    It runs on the CPU, wherever the environment is.

    Args:
        session: The open file; see :func:`rl_sim_env.deploy.open_session`.
        layout: Observation layout of the environment; the file must have been exported with it.
        targets: What it estimates; see :func:`exported_targets`.

    Raises:
        UserError: The file has other inputs or outputs, or its networks are not finite.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        layout: ObservationLayout,
        targets: Mapping[str, EstimateCfg],
    ) -> None:
        self._session = session
        widths = {port.name: port.shape[1] for port in session.get_inputs()}
        given = tuple(port.name for port in session.get_outputs())
        self._groups = tuple(name for name in widths if name != _MEMORY)
        is_network = _MEMORY in widths and all(name in layout.groups for name in self._groups)
        if not is_network or not set(_OUTPUTS) <= set(given):
            raise UserError(
                f"ONNX file with {', '.join(widths)} -> {', '.join(given)}; evaluation needs "
                f"observation groups and {_MEMORY} -> {', '.join(_OUTPUTS)}: give the file "
                "without history"
            )
        nothing = {name: np.zeros((1, width), dtype=np.float32) for name, width in widths.items()}
        if not all(
            np.isfinite(np.asarray(output)).all() for output in session.run(_OUTPUTS, nothing)
        ):
            raise UserError(
                "ONNX file whose networks are not finite: they say NaN even when they read zeros; "
                "export it anew, from a checkpoint that walks"
            )
        self._memory_width = widths[_MEMORY]
        self.targets = EstimationTargets(layout, targets)

    def initial_memory(self, num_envs: int) -> torch.Tensor:
        """What the policy remembers when episodes begin: zeros. Shape (num_envs, width)."""
        return torch.zeros(num_envs, self._memory_width)

    def __call__(
        self, observations: Mapping[str, torch.Tensor], memory: torch.Tensor, p_boot: float = 1.0
    ) -> PolicyOutput:
        """Act on the policy's own estimates.

        Raises:
            UserError: ``p_boot`` is not 1: the file has no input for the truth.
        """
        if p_boot != 1.0:
            raise UserError(
                f"p_boot {p_boot}: an exported policy walks on its estimates only; evaluate the "
                "checkpoint it was exported from"
            )
        feed = {group: _to_numpy(observations[group]) for group in self._groups}
        actions, estimates, next_memory = (
            torch.from_numpy(np.asarray(output)).to(memory.device)
            for output in self._session.run(_OUTPUTS, {**feed, _MEMORY: _to_numpy(memory)})
        )
        return PolicyOutput(actions, self.targets.split(estimates), next_memory)


def exported_targets(metadata: PolicyMetadata) -> dict[str, EstimateCfg]:
    """What an exported policy estimates.

    Args:
        metadata: Facts of the policy.
    """
    undeclared = velocity_mass_com()
    return {
        columns.name: EstimateCfg(**columns.declared)
        if columns.declared
        else undeclared[columns.name]
        for columns in metadata.estimates
    }


def accepts_truth(policy: InferencePolicy) -> bool:
    """Whether the policy can be fed the truth in place of its estimates."""
    return not isinstance(policy, OnnxInferencePolicy)


def _to_numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()
