"""Adversarial motion prior: tells transitions of the policy from those of the motion clips."""

from __future__ import annotations

import torch
from rsl_rl.modules import MLP
from torch import nn

from rl_sim_env.learning.config import AmpCfg
from rl_sim_env.learning.learner import LearnerLoss
from rl_sim_env.learning.motion_pairs import Pairs
from rl_sim_env.learning.normalizer import RunningNormalizer


class Discriminator(nn.Module):
    """Least-squares discriminator (Peng et al., arXiv:2104.02180) with its own normaliser.

    Args:
        state_width: Width of one state.
        cfg: Sizes and weights.
    """

    def __init__(self, state_width: int, cfg: AmpCfg) -> None:
        super().__init__()
        self.cfg = cfg
        *hidden_dims, feature_dim = cfg.hidden_dims
        self.trunk = MLP(
            2 * state_width, feature_dim, hidden_dims, "lrelu", last_activation="lrelu"
        )
        self.head = nn.Linear(feature_dim, 1)
        self.normalizer = RunningNormalizer(
            state_width, clip=cfg.observation_clip, memory=cfg.normalizer_memory
        )

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Adam with separate L2 weights for trunk and head."""
        groups = [
            {"params": self.trunk.parameters(), "weight_decay": self.cfg.trunk_weight_decay},
            {"params": self.head.parameters(), "weight_decay": self.cfg.head_weight_decay},
        ]
        return torch.optim.Adam(groups, lr=self.cfg.learning_rate, fused=True)

    def normalize(self, pairs: Pairs) -> torch.Tensor:
        """Normalised pairs, shape (..., 2 state width)."""
        return torch.cat([self.normalizer(state) for state in pairs], dim=-1)

    def forward(self, normalized_pairs: torch.Tensor) -> torch.Tensor:
        """Scores, shape (..., 2 state width) -> (...)."""
        return self.head(self.trunk(normalized_pairs)).squeeze(-1)

    @torch.no_grad()
    def style_reward(self, state: torch.Tensor, next_state: torch.Tensor) -> torch.Tensor:
        """Reward max(0, 1 - (D - 1)^2 / 4) of a transition.

        Args:
            state: s_t, shape (..., state width).
            next_state: s_t+1, shape (..., state width).

        Returns:
            Shape (...), 0 to 1.
        """
        score = self(self.normalize((state, next_state)))
        return (1.0 - 0.25 * (score - 1.0).square()).clamp(min=0.0)

    @torch.no_grad()
    def update_normalizer(self, *pairs: Pairs) -> None:
        """Merge both states of all pairs, of all ranks, into the statistics."""
        self.normalizer.update(torch.cat([state for pair in pairs for state in pair]))

    def loss(self, policy: torch.Tensor, expert: torch.Tensor) -> LearnerLoss:
        """Losses of a batch.

        Args:
            policy: Normalised pairs of the policy, shape (B, 2 state width).
            expert: Normalised pairs of the clips, same shape.
        """
        expert = expert.detach().requires_grad_()
        policy_score, expert_score = self(policy), self(expert)
        least_squares = 0.5 * (
            (policy_score + 1.0).square().mean() + (expert_score - 1.0).square().mean()
        )
        (gradient,) = torch.autograd.grad(expert_score.sum(), expert, create_graph=True)
        gradient_penalty = gradient.square().sum(dim=-1).mean()
        return LearnerLoss(
            least_squares + self.cfg.gradient_penalty * gradient_penalty,
            {
                "Loss/amp_loss": least_squares,
                # Mean squared norm of the gradient at expert pairs, not weighted.
                "Loss/grad_pen_loss": gradient_penalty,
                # Scores: the target of the policy is -1, that of the clips +1.
                "Loss/policy_pred": policy_score.mean(),
                "Loss/expert_pred": expert_score.mean(),
            },
        )
