"""Returns by generalised advantage estimation (Schulman et al., arXiv:1506.02438)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch

from rl_sim_env.learning.config import AmpVaePpoCfg
from rl_sim_env.learning.rollout import Rollout


@torch.no_grad()
def generalized_returns(
    rewards: torch.Tensor,
    values: torch.Tensor,
    last_values: torch.Tensor,
    continuations: torch.Tensor,
    *,
    gamma: float,
    lam: float,
) -> torch.Tensor:
    """Returns whose difference to the values are the advantages.

    ``A_t = r_t + c_t gamma V(s_t+1) - V(s_t) + c_t gamma lam A_t+1``, and the return is
    ``A_t + V(s_t)``.

    Args:
        rewards: r_t, shape (T, N).
        values: V(s_t), shape (T, N).
        last_values: V of the state after the last step, shape (N,).
        continuations: c_t, shape (T, N): 0 where the episode ended with the step, 1 where it goes
            on, and between them where it ends with some probability, as constraints that terminate
            would have it (Chane-Sane et al., arXiv:2403.18765).
        gamma: Discount for each step.
        lam: Decay of the estimate.

    Returns:
        Shape (T, N).
    """
    returns = torch.empty_like(values)
    advantage = torch.zeros_like(last_values)
    next_values = last_values
    for step in reversed(range(len(rewards))):
        goes_on = continuations[step] * gamma
        delta = rewards[step] + goes_on * next_values - values[step]
        advantage = delta + goes_on * lam * advantage
        returns[step] = advantage + values[step]
        next_values = values[step]
    return returns


@torch.no_grad()
def returns_beyond(
    ends: torch.Tensor,
    rollout: Rollout,
    critic: Callable[[Mapping[str, torch.Tensor]], torch.Tensor],
    last_observations: Mapping[str, torch.Tensor],
    *,
    rewards: torch.Tensor,
    values: torch.Tensor,
    continuations: torch.Tensor,
    groups: Iterable[str],
    ppo: AmpVaePpoCfg,
) -> torch.Tensor:
    """Returns that count on where some episodes end: the critic says what would have come.

    Args:
        ends: Steps with which such an episode ended, shape (T, N), bool.
        rollout: The rollout, with ``next_<group>`` of all ``groups``.
        critic: Tells values of observations, shape (..., of a step's value).
        last_observations: Groups after the last step.
        rewards: What is summed, shape (T, N, ...); what comes after ``ends`` is added to it.
        values: What the critic has said of each step, of the same shape.
        continuations: See :func:`generalized_returns`; 0 at ``ends``.
        groups: What the critic reads.
        ppo: Discount and decay.

    Returns:
        Shape (T, N, ...).
    """
    # Few episodes end in a rollout; finding them costs one host read.
    ended = ends.nonzero(as_tuple=True)
    terminal = {group: rollout[f"next_{group}"][ended] for group in groups}
    rewards[ended] += ppo.gamma * critic(terminal)
    return generalized_returns(
        rewards, values, critic(last_observations), continuations, gamma=ppo.gamma, lam=ppo.lam
    )
