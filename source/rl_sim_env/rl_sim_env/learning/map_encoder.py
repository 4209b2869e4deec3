"""Encoders of a map of heights: as patches that are attended to, or through an MLP."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from rsl_rl.modules import MLP
from torch import nn
from torch.nn import functional

_POSITION_STD = 0.02
"""Of positions before training (Dosovitskiy et al., arXiv:2010.11929)."""

_WIDENING = 2
"""Hidden width of a block's MLP, in widths of a token."""


class EncodedMap(NamedTuple):
    """A map that was read."""

    summary: torch.Tensor
    """All of it, shape (..., token width)."""

    tokens: torch.Tensor
    """Each patch, shape (..., patches, token width)."""


class AttentionBlock(nn.Module):
    """Tokens that look at each other: a transformer's layer, normalised before each part.

    Args:
        width: Width of a token.
        num_heads: Heads of the attention; they divide the width.
    """

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self._num_heads = num_heads
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.mixed = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, _WIDENING * width), nn.GELU(), nn.Linear(_WIDENING * width, width)
        )

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens to tokens, shape (B, number of tokens, width)."""
        parts = self.query_key_value(self.attention_norm(tokens))
        # (B, tokens, 3 width) -> three of (B, heads, tokens, width of a head).
        by_head = parts.unflatten(-1, (3, self._num_heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = by_head.unbind()
        seen = functional.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.mixed(seen.transpose(1, 2).flatten(2))
        return tokens + self.mlp(self.mlp_norm(tokens))


class AttentionEncoder(nn.Module):
    """Patches of the map as tokens, which what the robot feels asks: one query by several heads.

    So it is in attention-based map encoding (He et al., arXiv:2506.09588). With layers, patches
    look at each other first, as in a vision transformer (Dosovitskiy et al., arXiv:2010.11929);
    that takes many times as long: there is little to compute for each patch, and what is computed
    in between has to be written and read.

    Args:
        num_patches: Number of patches.
        patch_width: Numbers of a patch.
        feature_width: Width of what the robot feels.
        width: Width of a token.
        num_layers: Layers in which patches look at each other; 0 for none.
        num_heads: Heads of the query, and of each layer.
    """

    def __init__(
        self,
        num_patches: int,
        patch_width: int,
        feature_width: int,
        *,
        width: int,
        num_layers: int,
        num_heads: int,
    ) -> None:
        super().__init__()
        self._num_heads = num_heads
        self.embed = nn.Linear(patch_width, width)
        self.positions = nn.Parameter(_POSITION_STD * torch.randn(num_patches, width))
        self.blocks = nn.Sequential(*(AttentionBlock(width, num_heads) for _ in range(num_layers)))
        self.query = nn.Linear(feature_width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.mixed = nn.Linear(width, width)

    def forward(self, patches: torch.Tensor, features: torch.Tensor) -> EncodedMap:
        """Read maps.

        Args:
            patches: Shape (..., patches, patch width).
            features: What the robot feels, shape (..., feature width).
        """
        tokens = functional.elu(self.embed(patches) + self.positions)
        if self.blocks:
            tokens = self.blocks(tokens.flatten(end_dim=-3)).view_as(tokens)
        # (..., patches, heads, width of a head), and one query for all patches.
        keys_values = self.key_value(tokens).unflatten(-1, (2, self._num_heads, -1))
        key, value = keys_values.unbind(dim=-3)
        query = self.query(features).unflatten(-1, (self._num_heads, -1)).unsqueeze(-3)
        # Products and sums: kernels for attention are made for many queries.
        scores = (query * key).sum(dim=-1) / math.sqrt(key.shape[-1])
        seen = (scores.softmax(dim=-2).unsqueeze(-1) * value).sum(dim=-3)
        return EncodedMap(self.mixed(seen.flatten(-2)), tokens)


class MlpEncoder(nn.Module):
    """The whole map at once, for comparison; see :class:`AttentionEncoder` for the arguments."""

    def __init__(
        self,
        num_patches: int,
        patch_width: int,
        feature_width: int,
        *,
        width: int,
        hidden_dims: tuple[int, ...],
    ) -> None:
        super().__init__()
        read = num_patches * patch_width + feature_width
        self._width = width
        self.net = MLP(read, (1 + num_patches) * width, hidden_dims, "elu")

    def forward(self, patches: torch.Tensor, features: torch.Tensor) -> EncodedMap:
        """Read maps; see :class:`AttentionEncoder`."""
        seen = self.net(torch.cat((patches.flatten(-2), features), dim=-1))
        tokens = seen.unflatten(-1, (-1, self._width))
        return EncodedMap(tokens[..., 0, :], tokens[..., 1:, :])
