"""One step of all learners on a mini-batch, which a GPU records and replays."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any, NamedTuple

import torch
from rsl_rl.models import MLPModel

from rl_sim_env.errors import UserError
from rl_sim_env.learning.collectives import average_over_ranks
from rl_sim_env.learning.config import AmpVaeRunnerCfg
from rl_sim_env.learning.context_vae import ContextVae
from rl_sim_env.learning.discriminator import Discriminator
from rl_sim_env.learning.learner import Learner
from rl_sim_env.learning.mirror import Mirror
from rl_sim_env.learning.mirror_image import MIRROR_SETTING
from rl_sim_env.learning.policy_loss import policy_losses
from rl_sim_env.learning.storage import AmpVaeRolloutStorage, Picks
from rl_sim_env.recording import RecordedFunction, overlapping, side_by_side

_LR_STEP = 1.5
"""Factor by which the KL rule changes the learning rate."""
_KL_BAND = 2.0
"""The KL rule acts where the divergence is off its target by more than this factor."""


class MiniBatch(NamedTuple):
    """What all learners train on in one step."""

    picks: Picks
    """Steps of the rollout for the policy, environments for the VAE."""

    policy_pairs: torch.Tensor
    """For the discriminator: normalised pairs of the policy, shape (B, 2 state width)."""

    expert_pairs: torch.Tensor
    """Normalised pairs of the clips, same shape."""


class JointStep:
    """Trains policy, VAE and discriminator side by side, each with its own optimiser and clip.

    Nothing in it reads from the device: rates and weights that schedules move are tensors.

    Args:
        storage: Rollout that mini-batches are picked from.
        actor: Actor network.
        critic: Critic network.
        vae: Context VAE.
        discriminator: Discriminator of motions.
        mirror: Exchanges left and right, for the mirror loss; None for none.
        cfg: Configuration of the run.
        device: Where all of them live.

    Raises:
        UserError: The part of a mini-batch that the mirror loss reads is none.
    """

    def __init__(
        self,
        storage: AmpVaeRolloutStorage,
        actor: MLPModel,
        critic: MLPModel,
        vae: ContextVae,
        discriminator: Discriminator,
        mirror: Mirror | None,
        cfg: AmpVaeRunnerCfg,
        device: str,
    ) -> None:
        if not 0.0 < cfg.algorithm.mirror_loss_share <= 1.0:
            raise UserError(
                f"agent.algorithm.mirror_loss_share={cfg.algorithm.mirror_loss_share}: give a part "
                f"above 0, at most 1; no mirror loss at all is {MIRROR_SETTING}=0"
            )
        self.cfg = cfg
        self._storage = storage
        self._mirror = mirror
        self.actor, self.critic, self.vae, self.discriminator = actor, critic, vae, discriminator
        self.learning_rate = torch.tensor(cfg.algorithm.learning_rate, device=device)
        """Of actor and critic; the KL rule moves it."""
        self._vae_rate = torch.tensor(cfg.vae.learning_rate, device=device)
        self._entropy_coef = torch.tensor(cfg.algorithm.entropy_coef, device=device)
        self.policy_optimizer = torch.optim.Adam(
            chain(actor.parameters(), critic.parameters()), lr=self.learning_rate, fused=True
        )
        self.vae_optimizer = torch.optim.Adam(vae.parameters(), lr=self._vae_rate, fused=True)
        self.discriminator_optimizer = discriminator.make_optimizer()
        self._learners = (
            Learner(
                modules=(actor, critic),
                optimizer=self.policy_optimizer,
                max_grad_norm=cfg.algorithm.max_grad_norm,
            ),
            Learner(
                modules=(vae,),
                optimizer=self.vae_optimizer,
                max_grad_norm=cfg.vae.max_grad_norm,
            ),
            Learner(
                modules=(discriminator,),
                optimizer=self.discriminator_optimizer,
                max_grad_norm=cfg.amp.max_grad_norm,
            ),
        )
        # A recording holds the processes' exchange of gradients, too.
        self._recorded: RecordedFunction | None = None
        if cfg.capture_update and torch.device(device).type == "cuda":
            self._recorded = RecordedFunction(
                self._run,
                what="training on a mini-batch",
                setting="agent.capture_update",
                # The learners share no parameter; torch runs a gradient on its loss's stream.
                around=overlapping,
                own_stream=True,
            )
        self._step: Callable[[MiniBatch], torch.Tensor] = self._recorded or self._run
        self._names: tuple[str, ...] = ()
        self.record_anew()

    def __call__(self, mini_batch: MiniBatch) -> dict[str, torch.Tensor]:
        """Take the step; returns the losses by the name they are logged under, scalars."""
        losses = self._step(mini_batch)
        return dict(zip(self._names, losses.unbind(), strict=True))

    def set_progress(self, fraction: float) -> None:
        """Follow the schedules, with the part of training that is done."""
        ppo, vae = self.cfg.algorithm, self.cfg.vae
        self._entropy_coef.fill_(
            (1.0 - fraction) * ppo.entropy_coef + fraction * ppo.final_entropy_coef
        )
        self._vae_rate.fill_(
            vae.learning_rate ** (1.0 - fraction) * vae.final_learning_rate**fraction
        )

    def record_anew(self) -> None:
        """Forget a recording; steps that follow are recorded once more.

        It writes to the optimisers' state of its time, and keeps the group of processes that it
        exchanges gradients with from ending.
        """
        if self._recorded is not None:
            self._recorded.forget()
        for learner in self._learners:
            for group in learner.optimizer.param_groups:
                group["capturable"] = self._recorded is not None

    def state_dict(self) -> dict[str, Any]:
        """States of the optimisers of VAE and discriminator; rsl_rl saves the policy's."""
        return {
            "vae_optimizer_state_dict": self.vae_optimizer.state_dict(),
            "discriminator_optimizer_state_dict": self.discriminator_optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state_dict`, after rsl_rl has loaded the policy's optimiser."""
        # Loading put the saved tensor in the place of ours, which the KL rule writes to.
        self.learning_rate.copy_(self.policy_optimizer.param_groups[0]["lr"])
        for group in self.policy_optimizer.param_groups:
            group["lr"] = self.learning_rate
        _load_moments(self.vae_optimizer, state["vae_optimizer_state_dict"])
        _load_moments(self.discriminator_optimizer, state["discriminator_optimizer_state_dict"])
        self.record_anew()

    def _run(self, mini_batch: MiniBatch) -> torch.Tensor:
        """Losses in the order of their names: one tensor, for a recording's results are copied."""
        storage, picks = self._storage, mini_batch.picks
        policy, vae, amp = side_by_side(
            lambda: policy_losses(
                self.actor,
                self.critic,
                storage.transitions(picks.samples),
                self.cfg.algorithm,
                self._entropy_coef,
                self._mirror,
            ),
            lambda: self.vae.loss(storage.sequences(picks.envs, self.vae.targets, self._mirror)),
            lambda: self.discriminator.loss(mini_batch.policy_pairs, mini_batch.expert_pairs),
        )
        for learner in self._learners:
            learner.optimizer.zero_grad()
        # The graphs share no parameter, so each learner gets the gradient of its own loss.
        (policy.total + vae.total + amp.total).backward()
        # What steers learning rate and beta is averaged with the gradients, in one collective.
        kl, reconstruction = policy.kl.clone(), vae.reconstruction.detach().clone()
        gradients = chain.from_iterable(learner.gradients() for learner in self._learners)
        average_over_ranks([*gradients, kl, reconstruction])
        self._adapt_learning_rate(kl)
        self.vae.adapt_beta(reconstruction)
        side_by_side(*(learner.step for learner in self._learners))
        scalars = {**policy.scalars(), **vae.scalars(), **amp.scalars()}
        self._names = tuple(scalars)
        return torch.stack([value.detach() for value in scalars.values()])

    @torch.no_grad()
    def _adapt_learning_rate(self, kl: torch.Tensor) -> None:
        """Steer the divergence of an update to its target, on the device."""
        target = self.cfg.algorithm.desired_kl
        change = torch.where(kl > _KL_BAND * target, 1.0 / _LR_STEP, 1.0)
        too_small = (kl < target / _KL_BAND) & (kl > 0.0)
        change = torch.where(too_small, _LR_STEP, change)
        self.learning_rate.mul_(change).clamp_(*self.cfg.algorithm.learning_rate_range)


def _load_moments(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load an optimiser's moments; its rates stay those of the configuration."""
    own_groups = optimizer.state_dict()["param_groups"]
    rates = [group["lr"] for group in optimizer.param_groups]
    optimizer.load_state_dict({**state, "param_groups": own_groups})
    # Loading copied them, and a schedule writes to the very tensors.
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
