"""What is evaluated: a policy from a checkpoint, or one exported to an ONNX file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import onnxruntime
import torch

from rl_sim_env.deploy.deployed_policy import ESTIMATES, MEMORY, STD
from rl_sim_env.deploy.metadata import PolicyMetadata
from rl_sim_env.errors import UserError
from rl_sim_env.learning.estimate_cfg import EstimateCfg, velocity_mass_com
from rl_sim_env.learning.estimation import Estimate, EstimationTargets
from rl_sim_env.learning.layout import ObservationLayout
from rl_sim_env.learning.policy import PolicyOutput
from rl_sim_env.typed import typed

_OUTPUTS = ("actions", ESTIMATES, f"next_{MEMORY}")


class InferencePolicy(Protocol):
    """A policy under evaluation; :class:`~rl_sim_env.learning.policy.AmpVaePolicy` is one."""

    @property
    def targets(self) -> EstimationTargets:
        """Knows the units of what the policy estimates."""
        ...

    def initial_memory(self, num_envs: int) -> torch.Tensor:
        """What the policy remembers when episodes begin: zeros. Shape (num_envs, width)."""
        ...

    def trained_range(self) -> Estimate | None:
        """See :meth:`~rl_sim_env.learning.policy.AmpVaePolicy.trained_range`."""
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
        trained_range: Range of each quantity in training; see :func:`exported_range`.

    Raises:
        UserError: The file has other inputs or outputs, or its networks are not finite.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        layout: ObservationLayout,
        targets: Mapping[str, EstimateCfg],
        trained_range: Estimate | None = None,
    ) -> None:
        self._session = session
        widths = {port.name: port.shape[-1] for port in session.get_inputs()}
        given = tuple(port.name for port in session.get_outputs())
        self._groups = tuple(name for name in widths if name != MEMORY)
        is_network = MEMORY in widths and all(name in layout.groups for name in self._groups)
        if not is_network or not set(_OUTPUTS) <= set(given):
            raise UserError(
                f"ONNX file with {', '.join(widths)} -> {', '.join(given)}; evaluation needs "
                f"observation groups and {MEMORY} -> {', '.join(_OUTPUTS)}: give the file "
                "without history"
            )
        for name in self._groups:
            if widths[name] != layout.width(name):
                raise UserError(
                    f"ONNX file that reads {widths[name]} values of {name}, of which there are "
                    f"{layout.width(name)}; export it anew"
                )
        self.targets = EstimationTargets(layout, targets)
        self._trained_range = trained_range
        memory = widths[MEMORY]
        self._outputs = (*_OUTPUTS, STD) if STD in given else _OUTPUTS
        estimates = (1, self.targets.width)
        shapes = [estimates, (1, memory), estimates][: len(self._outputs) - 1]
        try:
            nothing = {
                name: np.zeros((1, width), dtype=np.float32) for name, width in widths.items()
            }
            outputs = [np.asarray(output) for output in session.run(self._outputs, nothing)]
        except Exception as error:  # onnxruntime's exceptions share no public base class
            reason = " ".join(str(error).split())
            raise UserError(f"ONNX file that cannot be run ({reason}); export it anew") from error
        actions, *rest = outputs
        if [output.shape for output in rest] != shapes or actions.ndim != 2:
            raise UserError(
                f"ONNX file that returns {', '.join(str(output.shape) for output in rest)} for "
                f"{', '.join(self._outputs[1:])}, where its facts say "
                f"{', '.join(map(str, shapes))}; export it anew"
            )
        self.num_actions = actions.shape[1]
        """Width of the actions."""
        if not all(np.isfinite(output).all() for output in outputs):
            raise UserError(
                "ONNX file whose networks are not finite: they say NaN even when they read zeros; "
                "export it anew, from a checkpoint that walks"
            )
        self._memory_width = memory

    def initial_memory(self, num_envs: int) -> torch.Tensor:
        """What the policy remembers when episodes begin: zeros. Shape (num_envs, width)."""
        return torch.zeros(num_envs, self._memory_width)

    def trained_range(self) -> Estimate | None:
        """Least and greatest value in training [SI], shape (2, width of the quantity) each."""
        return self._trained_range

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
        actions, estimates, next_memory, *std = (
            torch.from_numpy(np.asarray(output)).to(memory.device)
            for output in self._session.run(self._outputs, {**feed, MEMORY: _to_numpy(memory)})
        )
        split = self.targets.split
        return PolicyOutput(actions, split(estimates), next_memory, *map(split, std))


def exported_targets(metadata: PolicyMetadata) -> dict[str, EstimateCfg]:
    """What an exported policy estimates.

    Args:
        metadata: Facts of the policy.

    Raises:
        UserError: They do not say what is estimated.
    """
    undeclared = velocity_mass_com()
    return {
        each.name: typed(each.declared or undeclared.get(each.name), EstimateCfg, each.name)
        for each in metadata.estimates
    }


def exported_range(metadata: PolicyMetadata) -> Estimate | None:
    """Least and greatest value in training of each quantity [SI], shape (2, width of the quantity).

    None where an exported policy does not say.
    """
    ranges = {each.name: each.trained_range for each in metadata.estimates}
    if None in ranges.values():
        return None
    return Estimate({name: torch.tensor(ends).T for name, ends in ranges.items()})


def accepts_truth(policy: InferencePolicy) -> bool:
    """Whether the policy can be fed the truth in place of its estimates."""
    return not isinstance(policy, OnnxInferencePolicy)


def _to_numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()
