"""Memories: what is kept of features from step to step, and how sequences of them are read."""

from __future__ import annotations

import math

import torch
from torch import nn

from rl_sim_env.learning.config import ContextVaeCfg


class LeakyMemory(nn.Module):
    """Running means of learned features, each at a rate that the present step decides.

    m_t = (1 - r_t) m_{t-1} + r_t c_t, where rate r_t and candidate c_t depend on the features of
    step t alone: the minGRU of Feng et al. (arXiv:2410.01201). No matrix product waits
    for the step before, so that a sequence costs little more than its steps one by one.

    Args:
        feature_width: Width of the features.
        memory_width: Width of the memory.
        initial_rate: Rate before anything is learned, 0 to 1.
    """

    def __init__(self, feature_width: int, memory_width: int, initial_rate: float) -> None:
        super().__init__()
        self.gates = nn.Linear(feature_width, 2 * memory_width)
        with torch.no_grad():
            self.gates.bias[:memory_width] = math.log(initial_rate / (1.0 - initial_rate))

    def prepare(self, features: torch.Tensor) -> torch.Tensor:
        """What follows from the features alone, all steps at once.

        Shape (..., feature width) -> (..., 2 memory width).
        """
        rate, candidate = self.gates(features).chunk(2, dim=-1)
        return torch.cat((rate.sigmoid(), candidate), dim=-1)

    def advance(self, prepared: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
        """The memory after one step. Shapes (B, 2 memory width), (B, memory width)."""
        rate, candidate = prepared.chunk(2, dim=-1)
        return torch.lerp(memory, candidate, rate)


class GatedMemory(nn.Module):
    """A gated recurrent unit (Cho et al., arXiv:1406.1078): its gates see the memory as well.

    It learns more from the same steps than a :class:`LeakyMemory`, but each step waits for the one
    before.

    Args:
        feature_width: Width of the features.
        memory_width: Width of the memory.
        initial_rate: Share of a step in the memory before anything is learned, 0 to 1.
    """

    def __init__(self, feature_width: int, memory_width: int, initial_rate: float) -> None:
        super().__init__()
        self.cell = nn.GRUCell(feature_width, memory_width)
        with torch.no_grad():
            # The second gate of torch's three is the share that is kept.
            _, keep, _ = self.cell.bias_ih.chunk(3)
            keep.fill_(math.log((1.0 - initial_rate) / initial_rate))

    def prepare(self, features: torch.Tensor) -> torch.Tensor:
        """Nothing is worth preparing: the features themselves."""
        return features

    def advance(self, prepared: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
        """The memory after one step. Shapes (B, feature width), (B, memory width)."""
        return self.cell(prepared, memory)


_CELLS = {"leaky": LeakyMemory, "gru": GatedMemory}


def build_memory(feature_width: int, cfg: ContextVaeCfg) -> LeakyMemory | GatedMemory:
    """The memory of a configuration, for features of some width."""
    return _CELLS[cfg.memory_cell](feature_width, cfg.memory_dim, cfg.memory_rate)


def remember(
    cell: LeakyMemory | GatedMemory,
    features: torch.Tensor,
    memory: torch.Tensor,
    begins: torch.Tensor,
) -> torch.Tensor:
    """The memory after each step of sequences.

    Args:
        cell: What updates it.
        features: Shape (T, B, feature width).
        memory: Memory before the first step, shape (B, memory width).
        begins: Where to begin with a fresh memory, shape (T, B), bool.

    Returns:
        Shape (T, B, memory width).
    """
    memories = []
    for prepared, first in zip(cell.prepare(features), begins, strict=True):
        memory = cell.advance(prepared, torch.where(first[:, None], 0.0, memory))
        memories.append(memory)
    return torch.stack(memories)
