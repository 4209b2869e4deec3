"""PPO with a context VAE, an adversarial motion prior and adaptive bootstrapping."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from rsl_rl.algorithms import PPO
from rsl_rl.models import MLPModel
from tensordict import TensorDict
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from rl_sim_env.learning.adaboot import AdaBoot
from rl_sim_env.learning.amp_buffer import AmpReplayBuffer
from rl_sim_env.learning.collectives import (
    broadcast_state,
    standardize_over_ranks,
    sum_over_ranks,
)
from rl_sim_env.learning.config import AmpVaeRunnerCfg
from rl_sim_env.learning.context_vae import ContextVae
from rl_sim_env.learning.discriminator import Discriminator, PairSource
from rl_sim_env.learning.episodes import EpisodeSums, EpisodeTracker
from rl_sim_env.learning.joint_step import JointStep, MiniBatch
from rl_sim_env.learning.layout import ObservationLayout
from rl_sim_env.learning.metrics import LossMeter, SpikeAlarm
from rl_sim_env.learning.mirror import MIRRORED_POLICY_INPUT, Mirror
from rl_sim_env.learning.mirror_image import MirrorImage
from rl_sim_env.learning.policy import (
    POLICY_INPUT,
    POLICY_STATE,
    AmpVaePolicy,
    assemble_policy_input,
    build_actor,
    build_critic,
    build_vae,
)
from rl_sim_env.learning.storage import AmpVaeRolloutStorage, split_step

if TYPE_CHECKING:
    from rl_sim_env.learning.distributed import MultiGpuCfg

_STYLE_PART = 32_768
"""Transitions that are scored at once: activations of a whole rollout would fill gigabytes."""


class ConstructionEnv(Protocol):
    """What building the algorithm asks of an environment."""

    @property
    def num_envs(self) -> int:
        """Number of environments."""
        ...

    @property
    def num_actions(self) -> int:
        """Width of the actions."""
        ...

    @property
    def step_dt(self) -> float:
        """Control step [s]."""
        ...

    def mirror_images(self) -> Mapping[str, MirrorImage]:
        """Mirror images of observation terms and actions by name, for the mirror loss."""
        ...


class AmpVaePPO(PPO):
    """Three learners on one rollout, each with its own optimiser and gradient clip.

    * Actor and critic: PPO. The actor reads estimate (or truth), latent and current frame, all
      detached, so the policy gradient never reaches the VAE.
    * Context VAE: estimates against privileged observations, and the next proprioception.
    * Discriminator: one-step transitions of the policy against those of the motion clips.

    The environment must pass in ``extras``: ``time_outs`` (N,) bool; ``style_scale`` (N,);
    ``terminal_obs``, the ``critic_obs`` and ``amp_obs`` of the true state s_t+1 of all
    environments, before any reset. Style and bootstrap are booked when the rollout is complete:
    everything before it stays on the device.

    Args:
        actor: Actor network.
        critic: Critic network.
        vae: Context VAE.
        discriminator: Discriminator of motions.
        storage: Rollout storage.
        expert: Source of expert pairs.
        cfg: Configuration of the run.
        layout: What stands where in the observations.
        mirror: Exchanges left and right, for the mirror loss; None for none.
        step_dt: Control step [s].
        device: Where everything lives.
        multi_gpu_cfg: rsl_rl's description of the process group; None for one process.
    """

    storage: AmpVaeRolloutStorage

    def __init__(
        self,
        actor: MLPModel,
        critic: MLPModel,
        vae: ContextVae,
        discriminator: Discriminator,
        storage: AmpVaeRolloutStorage,
        expert: PairSource,
        cfg: AmpVaeRunnerCfg,
        layout: ObservationLayout,
        mirror: Mirror | None,
        step_dt: float,
        device: str,
        multi_gpu_cfg: MultiGpuCfg | None,
    ) -> None:
        ppo = cfg.algorithm
        super().__init__(
            actor,
            critic,
            storage,
            num_learning_epochs=ppo.num_learning_epochs,
            num_mini_batches=ppo.num_mini_batches,
            clip_param=ppo.clip_param,
            gamma=ppo.gamma,
            lam=ppo.lam,
            value_loss_coef=ppo.value_loss_coef,
            entropy_coef=ppo.entropy_coef,
            learning_rate=ppo.learning_rate,
            max_grad_norm=ppo.max_grad_norm,
            use_clipped_value_loss=ppo.use_clipped_value_loss,
            desired_kl=ppo.desired_kl,
            # Keeps the base class from normalising over one rank; compute_returns does it over all.
            normalize_advantage_per_mini_batch=True,
            device=device,
            multi_gpu_cfg=multi_gpu_cfg,  # type: ignore[arg-type]
        )
        self.cfg = cfg
        self.layout = layout
        self.mirror = mirror
        self.vae = vae.to(device)
        self.discriminator = discriminator.to(device)
        self.expert = expert
        self.step_dt = step_dt
        self.joint_step = JointStep(
            storage,
            self._raw_actor,
            self._raw_critic,
            self.vae,
            self.discriminator,
            mirror,
            cfg,
            device,
        )
        # The base class saves and loads it.
        self.optimizer = self.joint_step.policy_optimizer
        self._policy = AmpVaePolicy(self._raw_actor, self.vae)
        self._average = AveragedModel(
            self._policy,
            multi_avg_fn=get_ema_multi_avg_fn(1.0 - 1.0 / cfg.policy_memory),
        )
        self.replay = AmpReplayBuffer(cfg.amp.replay_size, layout.width("amp_obs"), device)
        self.adaboot = AdaBoot(storage.num_envs, cfg.adaboot, device)
        self._memory = torch.zeros_like(storage.memory)
        self._episodes = EpisodeTracker(storage.num_envs, device)
        self._finished = EpisodeSums()
        self._meter = LossMeter()
        self._spike_alarm = SpikeAlarm(
            "reconstruction loss of the VAE", cfg.vae.spike_factor, cfg.vae.spike_window
        )

    @classmethod
    def construct(
        cls,
        obs: TensorDict,
        env: ConstructionEnv,
        cfg: AmpVaeRunnerCfg,
        layout: ObservationLayout,
        expert: PairSource,
        device: str,
        multi_gpu_cfg: MultiGpuCfg | None = None,
    ) -> AmpVaePPO:
        """Build networks, storage and algorithm for an environment.

        Args:
            obs: Observations of the environment, batch size (N,).
            env: Environment that the sizes are taken from.
            cfg: Configuration of the run.
            layout: What stands where in ``obs``.
            expert: Source of expert pairs in the layout of ``amp_obs``.
            device: Where everything lives.
            multi_gpu_cfg: rsl_rl's description of the process group; None for one process.

        Raises:
            LayoutError: The layout lacks a group or term.
        """
        vae = build_vae(layout, cfg)
        actor = build_actor(layout, vae, env.num_actions, cfg)
        mirror, copies = None, 1
        example = obs.clone(recurse=False)
        example[POLICY_INPUT] = torch.zeros(env.num_envs, actor.obs_dim, device=device)
        if cfg.algorithm.mirror_loss_coef > 0.0:
            mirror, copies = Mirror(layout, env.mirror_images(), cfg.vae.reconstructed_terms), 2
            example[MIRRORED_POLICY_INPUT] = example[POLICY_INPUT]
        dones = torch.zeros(env.num_envs, dtype=torch.bool, device=device)
        extras = {"terminal_obs": obs, "time_outs": dones, "style_scale": dones.float()}
        reconstructed = layout.gather("critic_obs", cfg.vae.reconstructed_terms, obs["critic_obs"])
        samples, outcomes = split_step(example, reconstructed, dones, extras)
        return cls(
            actor,
            build_critic(layout, cfg),
            vae,
            Discriminator(layout.width("amp_obs"), cfg.amp),
            AmpVaeRolloutStorage(
                env.num_envs,
                cfg.num_steps_per_env,
                samples,
                outcomes,
                layout.frames("vae_obs", obs["vae_obs"]),
                vae.to(device).initial_memory(copies * env.num_envs),
                env.num_actions,
                device,
            ),
            expert,
            cfg,
            layout,
            mirror,
            step_dt=env.step_dt,
            device=device,
            multi_gpu_cfg=multi_gpu_cfg,
        )

    @property
    def p_boot(self) -> float:
        """Probability that an episode runs on estimates, 0 to 1."""
        return self.adaboot.p

    def set_progress(self, fraction: float) -> None:
        """Follow the schedules; once an iteration, with the part of training that is done."""
        self.adaboot.set_progress(fraction)
        self.joint_step.set_progress(fraction)

    def get_inference_policy(self) -> AmpVaePolicy:
        """The deterministic policy, averaged over the last updates; it goes on with training."""
        return cast(AmpVaePolicy, self._average.module)

    def episode_statistics(self) -> dict[str, float]:
        """Mean return and length [control steps] of episodes finished since the last call.

        Episodes of all ranks count, up to the last update; without any, the result is empty.
        """
        finished, self._finished = self._finished, EpisodeSums()
        if not finished.count:
            return {}
        return {
            "Train/mean_reward": finished.returns / finished.count,
            "Train/mean_episode_length": finished.lengths / finished.count,
        }

    def act(self, obs: TensorDict) -> torch.Tensor:
        """Sample actions; adds what the actor reads to ``obs``.

        Returns:
            Actions, shape (N, number of actions).
        """
        with torch.no_grad():
            if self.storage.step == 0:
                self.storage.memory.copy_(self._memory)
            histories, truth = obs["vae_obs"], self.vae.targets.from_critic(obs["critic_obs"])
            frames, uses_estimate = obs["actor_obs"], self.adaboot.uses_estimate.unsqueeze(1)
            if self.mirror is not None:
                # Behind the robots stand their mirror images, each with a memory of its own.
                histories = self.mirror.vae_obs.behind(histories)
                truth = self.mirror.code.behind(truth)
                frames = self.mirror.actor_obs.behind(frames)
                uses_estimate = uses_estimate.repeat(2, 1)
            estimate, latent, self._memory = self.vae(
                histories, self._memory, deterministic=not self.vae.training
            )
            code = torch.where(uses_estimate, estimate, truth)
            read = assemble_policy_input(code, latent, frames).split(self.storage.num_envs)
            obs.update(dict(zip((POLICY_INPUT, MIRRORED_POLICY_INPUT), read, strict=False)))
        return super().act(obs)

    def process_env_step(
        self,
        obs: TensorDict,
        rewards: torch.Tensor,
        dones: torch.Tensor,
        extras: dict[str, Any],
    ) -> None:
        """Record the transition from the observations of the last ``act``.

        Args:
            obs: Observations of the next step, after resets; not needed here.
            rewards: Task rewards, multiplied by the control step, shape (N,).
            dones: Not zero where an episode ended, shape (N,).
            extras: See the class.
        """
        before, after = self.transition.observations, extras["terminal_obs"]
        assert before is not None, "act() comes before process_env_step()"
        next_proprioception = self.layout.gather(
            "critic_obs", self.cfg.vae.reconstructed_terms, after["critic_obs"]
        )
        self.transition.observations, outcome = split_step(
            before, next_proprioception, dones, extras
        )
        self.storage.add_outcome(outcome, self.layout.frames("vae_obs", before["vae_obs"]))
        # Without time-outs: the base class would bootstrap on the value of s_t.
        super().process_env_step(obs, rewards, dones, {})
        self.adaboot.redraw(dones)
        ended = dones.bool().repeat(len(self._memory) // len(dones))
        self._memory = torch.where(ended[:, None], 0.0, self._memory)

    @torch.no_grad()
    def compute_returns(self, obs: TensorDict) -> None:
        """Book style rewards and bootstraps of the rollout, then compute returns and advantages.

        Args:
            obs: Observations after the last step.
        """
        storage, outcomes = self.storage, self.storage.outcomes
        states, next_states = (
            outcomes[name].flatten(0, 1).split(_STYLE_PART) for name in ("amp_obs", "next_amp_obs")
        )
        style = torch.cat(list(map(self.discriminator.style_reward, states, next_states)))
        style = style.view_as(outcomes["style_scale"])
        weight = self.cfg.amp.style_weight * self.step_dt
        storage.rewards += (weight * outcomes["style_scale"] * style).unsqueeze(-1)
        self._meter.add({"Train/style_reward": style.mean()})
        self._episodes.add(storage.rewards.squeeze(-1), storage.dones.squeeze(-1))
        # Few episodes time out in a rollout; finding them costs one host read.
        timed_out = outcomes["time_outs"].nonzero(as_tuple=True)
        terminal = outcomes["next_critic_obs"][timed_out]
        storage.rewards[timed_out] += self.gamma * self.critic(
            TensorDict({"critic_obs": terminal}, batch_size=[len(terminal)])
        )
        read_by_recordings = storage.advantages
        super().compute_returns(obs)
        storage.advantages = read_by_recordings.copy_(standardize_over_ranks(storage.advantages))
        self.replay.insert(outcomes["amp_obs"], outcomes["next_amp_obs"])

    def update(self) -> dict[str, float]:
        """Train all learners on the rollout.

        Returns:
            Scalars by the name they are logged under: ``Loss/*``, ``Policy/*``, ``Train/*``,
            ``Adaboot/adaboot_p``, and ``Estimation/{velocity,mass,com}_rmse`` [m/s, kg, m].

        Raises:
            FloatingPointError: A loss is not finite; the message names it.
        """
        picks = self.storage.draw(self.num_mini_batches, self.num_learning_epochs)
        for picked, pairs in zip(picks, self._amp_batches(), strict=True):
            self._meter.add(self.joint_step(MiniBatch(picked, *pairs)))
        self.storage.clear()
        self._average.update_parameters(self._policy)
        return self._read_metrics()

    def train_mode(self) -> None:
        """Sample latents while acting."""
        super().train_mode()
        self.vae.train()

    def eval_mode(self) -> None:
        """Take the means of latents while acting."""
        super().eval_mode()
        self.vae.eval()

    def save(self) -> dict[str, Any]:
        """Everything that a resume needs, as tensors, numbers and containers of them.

        What belongs to one process (replay, running episodes, memory, draws) is that of this one.
        """
        return {
            **self._learner_state(),
            "replay": self.replay.state_dict(self.cfg.amp.checkpoint_pairs),
            "episodes": self._episodes.state_dict(),
            "memory": self._memory,
        }

    def load(self, loaded_dict: dict[str, Any]) -> None:
        """Continue from what :meth:`save` returned."""
        self._load_learner_state(loaded_dict)
        self.replay.load_state_dict(loaded_dict["replay"])
        self._episodes.load_state_dict(loaded_dict["episodes"])
        if loaded_dict["memory"].shape == self._memory.shape:
            self._memory.copy_(loaded_dict["memory"])

    def begin_episodes(self) -> None:
        """Forget the running episodes, which the environment has ended."""
        self._episodes.begin()
        self._memory = torch.zeros_like(self._memory)

    def broadcast_parameters(self) -> None:
        """Give all ranks the parameters, buffers, optimiser states and schedules of rank 0."""
        self._load_learner_state(broadcast_state(self._learner_state(), self.device))

    def _learner_state(self) -> dict[str, Any]:
        return {
            **super().save(),
            POLICY_STATE: self.get_inference_policy().state_dict(),
            "vae_state_dict": self.vae.state_dict(),
            "discriminator_state_dict": self.discriminator.state_dict(),
            **self.joint_step.state_dict(),
            "adaboot": self.adaboot.state_dict(),
        }

    def _load_learner_state(self, state: dict[str, Any]) -> None:
        super().load(state, load_cfg=None, strict=True)
        self.vae.load_state_dict(state["vae_state_dict"])
        self.discriminator.load_state_dict(state["discriminator_state_dict"])
        self.joint_step.load_state_dict(state)
        self.learning_rate = self.joint_step.learning_rate.item()
        self.get_inference_policy().load_state_dict(state[POLICY_STATE])
        # Of an average without updates the first one would take the place.
        self._average.n_averaged.fill_(1)
        self.adaboot.load_state_dict(state["adaboot"])

    def _amp_batches(self) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
        """Normalised pairs of policy and clips for every mini-batch of an update.

        All are drawn and normalised at once, by statistics that change once an update.
        """
        size = self.cfg.amp.batch_size
        total = size * self.num_learning_epochs * self.num_mini_batches
        policy, expert = self.replay.sample(total), self.expert.sample_pairs(total)
        self.discriminator.update_normalizer(policy, expert)
        batches = (self.discriminator.normalize(pairs).split(size) for pairs in (policy, expert))
        return zip(*batches, strict=True)

    def _read_metrics(self) -> dict[str, float]:
        """Read the figures of the iteration, and let what lives on the host follow them."""
        self._meter.add(
            {
                "Loss/learning_rate": self.joint_step.learning_rate,
                "Loss/vae_beta": self.vae.beta,
                "Policy/mean_noise_std": self.actor.output_std.mean(),
            }
        )
        metrics = self._meter.read()
        self.learning_rate = metrics["Loss/learning_rate"]
        self._spike_alarm.watch(metrics["Loss/vae_decode_loss"])
        finished = EpisodeSums(*sum_over_ranks(self._episodes.sums).tolist())
        self._episodes.clear()
        self._finished += finished
        self.adaboot.observe(finished)
        return {**metrics, "Adaboot/adaboot_p": self.adaboot.p}
