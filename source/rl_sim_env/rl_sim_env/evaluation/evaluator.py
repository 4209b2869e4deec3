"""A policy in an environment, step by step: what it saw, believed and did, and what was true.

What is true comes from the state of the physics, never from an observation group: those can be
scaled, clipped or left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from tensordict import TensorDict

from rl_sim_env.errors import UserError
from rl_sim_env.learning.estimation import Estimate
from rl_sim_env.learning.policy import PolicyOutput
from rl_sim_env.mdp import observations

if TYPE_CHECKING:
    from rl_sim_env.envs import AmpVaeEnv, AmpVaeVecEnv
    from rl_sim_env.evaluation.inference_policy import InferencePolicy

_REACHED = {"base_lin_vel": observations.base_lin_vel, "base_ang_vel": observations.base_ang_vel}
"""What a step led to, before resets; the environment is asked to report it."""


@dataclass(frozen=True, kw_only=True)
class EvaluationStep:
    """What one control step showed."""

    obs: TensorDict
    """What the policy saw when it acted, all groups."""

    command: torch.Tensor
    """Velocity command (vx, vy, yaw rate) during the step. Shape (num_robots, 3)."""

    truth: Estimate
    """What was true when the policy acted; SI units."""

    output: PolicyOutput
    """What the policy did and believed then."""

    velocity: torch.Tensor
    """Horizontal velocity that the step led to, base frame [m/s]. Shape (num_robots, 2)."""

    yaw_rate: torch.Tensor
    """Yaw rate that the step led to, base frame [rad/s]. Shape (num_robots,)."""

    margins: torch.Tensor
    """How far the step was beyond each limit; see
    :class:`~rl_sim_env.envs.constraint_monitor.ConstraintMonitor`. Shape (num_robots, columns)."""

    dones: torch.Tensor
    """Whose episode ended in the step. Shape (num_robots,), bool."""

    time_outs: torch.Tensor
    """Whose episode ended without a fall: its time was over, or it left its terrain. Shape
    (num_robots,), bool."""

    @property
    def fell(self) -> torch.Tensor:
        """Whose episode ended in a fall. Shape (num_robots,), bool."""
        return self.dones & ~self.time_outs

    @property
    def velocity_error(self) -> torch.Tensor:
        """Distance between commanded and actual horizontal velocity [m/s]. Shape (num_robots,)."""
        return (self.command[:, :2] - self.velocity).norm(dim=-1)

    @property
    def yaw_rate_error(self) -> torch.Tensor:
        """Distance between commanded and actual yaw rate [rad/s]. Shape (num_robots,)."""
        return (self.command[:, 2] - self.yaw_rate).abs()


class Evaluator:
    """Runs a policy in an environment.

    Args:
        vec_env: The environment; it is reset.
        policy: The policy; it acts without exploration noise.
        p_boot: 1 feeds the policy its own estimates, 0 the truth; see
            :class:`~rl_sim_env.learning.policy.AmpVaePolicy`.
        on_step: Called with each step once it is done.

    Attributes:
        vec_env: As given.
        policy: As given.
        p_boot: As given; it may be changed between steps.
        on_step: As given; it may be changed between steps.
        truth: What was true when the policy last acted, or is as episodes begin; SI units.
        output: What the policy did and believed then.
    """

    truth: Estimate
    output: PolicyOutput

    def __init__(
        self,
        vec_env: AmpVaeVecEnv,
        policy: InferencePolicy,
        p_boot: float = 1.0,
        on_step: Callable[[EvaluationStep], None] | None = None,
    ) -> None:
        self.vec_env = vec_env
        self.policy = policy
        self.p_boot = p_boot
        self.on_step = on_step
        self.env.transition_terms |= _REACHED
        self.reset()

    @property
    def env(self) -> AmpVaeEnv:
        """The environment itself."""
        return self.vec_env.unwrapped

    @property
    def num_robots(self) -> int:
        """Number of robots."""
        return self.vec_env.num_envs

    @property
    def device(self) -> str:
        """Where the tensors live."""
        return self.env.device

    @property
    def step_dt(self) -> float:
        """Control period [s]."""
        return self.vec_env.step_dt

    def num_steps(self, seconds: float) -> int:
        """Number of control steps in a time [s]; at least 1."""
        return max(round(seconds / self.step_dt), 1)

    @torch.no_grad()
    def reset(self) -> None:
        """Begin a new episode everywhere."""
        self._look(self.vec_env.reset(), self.policy.initial_memory(self.num_robots))
        self._act()

    def exchange(self, policy: InferencePolicy) -> None:
        """Let another policy walk on from here; it remembers nothing of before.

        Args:
            policy: It estimates the same quantities.

        Raises:
            UserError: It estimates others.
        """
        own, other = (list(each.targets.declared) for each in (self.policy, policy))
        if own != other:
            raise UserError(
                f"it estimates {', '.join(other)}, where the policy that walks estimates "
                f"{', '.join(own)}; start anew with it"
            )
        self.policy, self._memory = policy, policy.initial_memory(self.num_robots)
        with torch.no_grad():
            self._act()

    @torch.no_grad()
    def advance(self) -> EvaluationStep:
        """Run one control step.

        What was changed since the step before counts in it; observations, and the truth of the
        state in which they were made, show it one step later, as a sensor would.
        """
        obs = self._obs
        self._act()
        command = self.env.velocity_command.command[: self.num_robots].clone()
        next_obs, _, dones, extras = self.vec_env.step(self.output.actions)
        done = dones.bool()
        step = EvaluationStep(
            obs=obs,
            command=command,
            truth=self.truth,
            output=self.output,
            velocity=extras["base_lin_vel"][:, :2],
            yaw_rate=extras["base_ang_vel"][:, 2],
            margins=extras["margins"],
            dones=done,
            time_outs=extras["time_outs"],
        )
        # Nobody remembers an episode that has ended.
        self._look(next_obs, torch.where(done[:, None], 0.0, self.output.memory))
        if self.on_step is not None:
            self.on_step(step)
        return step

    def _act(self) -> None:
        """Ask the policy what to do now."""
        self.truth = self._state
        self.output = self.policy(self._obs, self._memory, self.p_boot)

    def _look(self, obs: TensorDict, memory: torch.Tensor) -> None:
        """Take in the state that the policy acts on next."""
        self._obs, self._memory = obs, memory
        measure = self.env.observation_manager.measure
        self._state = Estimate(
            {
                name: measure(each.group, each.term)[: self.num_robots]
                for name, each in self.policy.targets.declared.items()
            }
        )
