"""What is evaluated: a policy from a checkpoint, or one exported to an ONNX file."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import onnxruntime
import torch

from rl_sim_env.errors import UserError
from rl_sim_env.learning.estimation import Estimate, EstimationTargets
from rl_sim_env.learning.layout import ObservationLayout
from rl_sim_env.learning.policy import PolicyOutput

_INPUTS = ("actor_obs", "vae_obs", "memory")
_OUTPUTS = ("actions", "estimates", "next_memory")


class Subject(Protocol):
    """A policy under evaluation; :class:`~rl_sim_env.learning.policy.AmpVaePolicy` is one."""

    @property
    def targets(self) -> EstimationTargets:
        """Knows the units of what the policy estimates."""
        ...

    def initial_memory(self, num_envs: int) -> torch.Tensor:
        """What the policy remembers when episodes begin: zeros. Shape (num_envs, width)."""
        ...

    def __call__(
        self,
        actor_obs: torch.Tensor,
        vae_obs: torch.Tensor,
        memory: torch.Tensor,
        truth: torch.Tensor | None = None,
        p_boot: float = 1.0,
    ) -> PolicyOutput:
        """Act; see :meth:`~rl_sim_env.learning.policy.AmpVaePolicy.forward`."""
        ...


class OnnxSubject:
    """A policy exported without its history: observations and memory to actions and estimates.

    It runs on the CPU, wherever the environment is.

    Args:
        session: The open file; see :func:`rl_sim_env.deploy.open_session`.
        layout: Observation layout of the environment; the file must have been exported with it.

    Raises:
        UserError: The file has other inputs or outputs.
    """

    def __init__(self, session: onnxruntime.InferenceSession, layout: ObservationLayout) -> None:
        self._session = session
        found = tuple(port.name for port in session.get_inputs())
        given = tuple(port.name for port in session.get_outputs())
        if set(found) != set(_INPUTS) or not set(_OUTPUTS) <= set(given):
            raise UserError(
                f"ONNX file with {', '.join(found)} -> {', '.join(given)}; evaluation needs "
                f"{', '.join(_INPUTS)} -> {', '.join(_OUTPUTS)}: give the file without history"
            )
        widths = {port.name: port.shape[1] for port in self._session.get_inputs()}
        self._memory_width = widths["memory"]
        # In SI units the factor of the centre of mass cancels out.
        self.targets = EstimationTargets(layout, com_scale=1.0)

    def initial_memory(self, num_envs: int) -> torch.Tensor:
        """What the policy remembers when episodes begin: zeros. Shape (num_envs, width)."""
        return torch.zeros(num_envs, self._memory_width)

    def __call__(
        self,
        actor_obs: torch.Tensor,
        vae_obs: torch.Tensor,
        memory: torch.Tensor,
        truth: torch.Tensor | None = None,
        p_boot: float = 1.0,
    ) -> PolicyOutput:
        """Act on the policy's own estimates.

        Raises:
            UserError: ``p_boot`` is not 1: the file has no input for the truth.
        """
        del truth
        if p_boot != 1.0:
            raise UserError(
                f"p_boot {p_boot}: an exported policy walks on its estimates only; evaluate the "
                "checkpoint it was exported from"
            )
        values = (actor_obs, vae_obs, memory)
        feed = {name: _to_numpy(value) for name, value in zip(_INPUTS, values, strict=True)}
        actions, estimates, memory = (
            torch.from_numpy(np.asarray(output)).to(actor_obs.device)
            for output in self._session.run(_OUTPUTS, feed)
        )
        estimate = Estimate(*estimates.split(self.targets.widths, dim=-1))
        return PolicyOutput(actions, estimate, memory)


def accepts_truth(subject: Subject) -> bool:
    """Whether the policy can be fed the truth in place of its estimates."""
    return not isinstance(subject, OnnxSubject)


def _to_numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()
