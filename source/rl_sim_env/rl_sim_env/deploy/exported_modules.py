"""What an exported file computes: the networks, and what lies between sensors and networks."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn

from rl_sim_env.deploy.deployed_policy import (
    GROUND,
    HISTORY,
    LAST_ACTION,
    MAP,
    MEMORY,
    SENSORS,
    STD,
)
from rl_sim_env.deploy.metadata import PolicyMetadata
from rl_sim_env.errors import UserError
from rl_sim_env.learning.layout import ObservationLayout
from rl_sim_env.learning.policy import AmpVaePolicy
from rl_sim_env.mdp.actions import bounded_actions

OBSERVATIONS, STACK = "actor_obs", "vae_obs"
"""Observation groups that sensors of a robot show: a frame, and the last frames."""

_MAP_GROUP = "exteroception"
_MAP_TERMS = ("heights", "seen")
_RECONSTRUCTION = "terrain_estimate"


class NetworkModule(nn.Module):
    """The policy on observations: actions, and the estimates side by side.

    Args:
        policy: The policy.

    Attributes:
        further: Names of what it returns beyond actions, estimates and memory: standard deviations
            of the estimates, where the policy tells them, and the ground that it reconstructs.
    """

    def __init__(self, policy: AmpVaePolicy) -> None:
        super().__init__()
        self.policy = policy
        self.further = () if policy.vae.variance is None else (STD,)
        self.further += tuple(name for name in policy.vae.reconstructs if name == _RECONSTRUCTION)

    def forward(self, inputs: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Run the networks.

        Args:
            inputs: Groups that the policy reads, shape (N, width of the group) each, and
                ``memory``, shape (N, memory width), zeros where an episode begins.

        Returns:
            Raw actions, shape (N, joints), estimates in SI units, shape (N, width of all), the next
            memory, and ``further``: deviations, shaped like the estimates, and the ground as it
            is observed, shape (N, cells).
        """
        output = self.policy(inputs, inputs[MEMORY])
        further = () if output.std is None else (output.std.joined(),)
        further += tuple(
            output.reconstructions[name] for name in self.further if name == _RECONSTRUCTION
        )
        return output.actions, output.estimate.joined(), output.memory, *further


class PolicyModule(nn.Module):
    """The policy on raw sensor values, with scaling, clipping and history inside.

    Args:
        policy: The policy.
        metadata: Facts that the observations and joint targets are made with.

    Raises:
        UserError: The policy observes something that no input provides.
    """

    default_joint_pos: torch.Tensor
    action_scale: torch.Tensor
    target_low: torch.Tensor
    target_high: torch.Tensor
    largest_change: torch.Tensor

    def __init__(self, policy: AmpVaePolicy, metadata: PolicyMetadata) -> None:
        super().__init__()
        self.network = NetworkModule(policy)
        layout = ObservationLayout.from_dict(metadata.layout)
        for group in policy.groups:
            if group == _MAP_GROUP and metadata.map is not None:
                continue
            if group not in (OBSERVATIONS, STACK):
                raise UserError(
                    f"the policy reads observation group '{group}', which no sensor of a deployed "
                    f"robot shows; one that is deployed reads {OBSERVATIONS} and {STACK}"
                )
        if layout.names(STACK) != layout.names(OBSERVATIONS):
            raise UserError(
                f"observation group '{STACK}' does not stack '{OBSERVATIONS}', so that no "
                "history can be exported; make it a stack of that group"
            )
        self.terms = layout.names(OBSERVATIONS)
        unknown = [name for name in self.terms if name not in (*SENSORS, LAST_ACTION)]
        if unknown:
            raise UserError(
                f"observation term '{unknown[0]}' of group '{OBSERVATIONS}': a deployed policy "
                f"has no input for it; it has {', '.join((*SENSORS, LAST_ACTION))}"
            )
        self.clip = metadata.observation_clip
        self.map = metadata.map if _MAP_GROUP in policy.groups else None
        if self.map is not None:
            if layout.names(_MAP_GROUP) != _MAP_TERMS:
                raise UserError(
                    f"observation group '{_MAP_GROUP}' has the terms "
                    f"{', '.join(layout.names(_MAP_GROUP))}; a map is {' and '.join(_MAP_TERMS)}"
                )
            self.height_scale = layout.term(_MAP_GROUP, _MAP_TERMS[0]).scales[0]
        self.further = tuple(
            GROUND if name == _RECONSTRUCTION else name for name in self.network.further
        )
        for name in self.terms:
            scales = torch.tensor(layout.term(OBSERVATIONS, name).scales)
            self.register_buffer(_scale_of(name), scales)
        self.register_buffer("default_joint_pos", torch.tensor(metadata.default_joint_pos))
        self.register_buffer("action_scale", torch.tensor(metadata.action_scale))
        limits = metadata.target_limits or ((-math.inf, math.inf),) * len(metadata.joint_names)
        low, high = torch.tensor(limits).unbind(dim=-1)
        self.register_buffer("target_low", low)
        self.register_buffer("target_high", high)
        rates = metadata.target_rates or (math.inf,) * len(metadata.joint_names)
        change = metadata.control_period * torch.tensor(rates) / self.action_scale
        self.register_buffer("largest_change", change)
        self.is_bounded = metadata.target_rates is not None
        if self.is_bounded and LAST_ACTION not in self.terms:
            raise UserError(
                f"the rates of its targets are limited, but it does not observe '{LAST_ACTION}', "
                "from which a deployed policy knows the target before"
            )

    def forward(self, inputs: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Run one control step.

        Args:
            inputs: ``history``, the last frames, oldest first, shape (N, frames, frame width);
                where it is NaN there was no frame yet, and the newest stands in its place;
                ``memory``, shape (N, memory width), where NaN counts as zero; where the policy
                sees, ``map``, heights of the ground over the base [m], shape (N, rows, cells of a
                row), NaN where unseen. And one
                tensor for each of ``terms``, shape (N, width): what
                :class:`rl_sim_env.deploy.SensorReading` says, and the raw actions of the step
                before, where NaN counts as zero.

        Returns:
            Joint targets [rad], estimates, the next ``history``, the raw actions, the next
            ``memory``, and ``further``: the ground over the base [m], shaped like the map.
        """
        scaled = [
            self._in_si(name, inputs[name]) * self.get_buffer(_scale_of(name))
            for name in self.terms
        ]
        frame = torch.cat(scaled, dim=-1).clamp(-self.clip, self.clip)
        newest = frame[:, None]
        earlier = inputs[HISTORY][:, 1:]
        frames = torch.cat((torch.where(earlier.isnan(), newest, earlier), newest), dim=1)
        memory = torch.where(inputs[MEMORY].isnan(), 0.0, inputs[MEMORY])
        observations = {OBSERVATIONS: frame, STACK: frames.flatten(1), MEMORY: memory}
        if self.map is not None:
            observations[_MAP_GROUP] = self._as_observed(inputs[MAP])
        actions, estimates, memory, *rest = self.network(observations)
        further = [
            self._as_given(values) if name == _RECONSTRUCTION else values
            for name, values in zip(self.network.further, rest, strict=True)
        ]
        if self.is_bounded:
            actions = self._bound(actions, self._in_si(LAST_ACTION, inputs[LAST_ACTION]))
        targets = self.default_joint_pos + self.action_scale * actions
        targets = torch.clamp(targets, self.target_low, self.target_high)
        return targets, estimates, frames, actions, memory, *further

    def _as_observed(self, given: torch.Tensor) -> torch.Tensor:
        """A map as the environment shows it, shape (N, rows, cells of a row) -> (N, 2 cells)."""
        assert self.map is not None
        heights = given.flatten(1)
        is_unseen = heights.isnan()
        shown = (heights + self.map.reference).clamp(*self.map.height_range) * self.height_scale
        return torch.cat((torch.where(is_unseen, 0.0, shown), (~is_unseen).float()), dim=-1)

    def _as_given(self, observed: torch.Tensor) -> torch.Tensor:
        """Heights as maps have them."""
        assert self.map is not None
        heights = observed / self.height_scale - self.map.reference
        return heights.unflatten(-1, self.map.shape)

    def _bound(self, actions: torch.Tensor, previous: torch.Tensor) -> torch.Tensor:
        """As in training, :meth:`rl_sim_env.mdp.actions.LegPositionAction.bound`."""
        low, high = (
            (limit - self.default_joint_pos) / self.action_scale
            for limit in (self.target_low, self.target_high)
        )
        bounded = bounded_actions(actions, previous, low, high, self.largest_change)
        # What is not finite shall be seen, and not be driven.
        return torch.where(actions - actions == 0.0, bounded, actions)

    def _in_si(self, term: str, value: torch.Tensor) -> torch.Tensor:
        """What the environment observes, before its scale."""
        if term == "joint_pos":
            return value - self.default_joint_pos
        if term == LAST_ACTION:
            return torch.where(value.isnan(), 0.0, value)
        return value


def _scale_of(term: str) -> str:
    return f"scale_of_{term}"
