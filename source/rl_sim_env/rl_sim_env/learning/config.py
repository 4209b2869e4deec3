"""Configuration of training: one keyword-only dataclass for each learner."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from rl_sim_env.configuration.limits import (
    ASCENDING,
    COUNT,
    LEARNING_RATE,
    NO_REPEATS,
    NOT_EMPTY,
    NOT_NEGATIVE,
    POSITIVE,
    SEED,
    SHARE,
    SHARE_ABOVE_0,
    FolderName,
    Length,
    Number,
    check_limits,
)
from rl_sim_env.errors import UserError
from rl_sim_env.learning.constraints_cfg import ConstraintsCfg
from rl_sim_env.learning.estimate_cfg import EstimateCfg, velocity_mass_com
from rl_sim_env.learning.footholds_cfg import FootholdsCfg

LOG_VARIANCE = Number(at_least=-30, at_most=30)


USUAL_ACTIVATIONS = ("elu", "relu", "tanh")
"""Functions that rsl_rl has for certain."""


class _Activation:
    """A function of rsl_rl's, which alone knows their names."""

    def unmet(self, value: str) -> str | None:
        """See :class:`~rl_sim_env.configuration.limits.Limit`."""
        if value in USUAL_ACTIVATIONS:
            return None
        # Only here: this import takes seconds.
        from rsl_rl.utils import resolve_nn_activation

        try:
            resolve_nn_activation(value)
        except ValueError as error:
            return f"be a name that rsl_rl knows ({error})"
        return None


@dataclass(kw_only=True)
class MlpCfg:
    """One of rsl_rl's models, or a module of one's own with the same constructor.

    The class is called as rsl_rl does: ``(obs, obs_groups, obs_set, output_dim, hidden_dims=...,
    activation=..., **settings)``.
    """

    class_name: str = "rsl_rl.models:MLPModel"
    """The model: ``module.path:Class``, derived from rsl_rl's MLPModel."""

    obs_groups: Annotated[tuple[str, ...], NOT_EMPTY] = ("critic_obs",)
    """Observation groups that it reads, in order: those of the environment, and what other learners
    provide."""

    settings: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the constructor, for a model that takes more."""

    hidden_dims: Annotated[tuple[int, ...], COUNT, NOT_EMPTY] = (512, 256, 128)
    """Width of each hidden layer."""

    activation: Annotated[str, _Activation()] = "elu"
    """Activation between layers, by its rsl_rl name."""


@dataclass(kw_only=True)
class ActorCfg(MlpCfg):
    """The actor: a Gaussian whose log standard deviation is a parameter for each action.

    Beside the arguments of :class:`MlpCfg` its class is given ``distribution_cfg``.
    """

    obs_groups: Annotated[tuple[str, ...], NOT_EMPTY] = ("estimate", "latent", "actor_obs")
    """Observation groups that it reads, in order: what the estimator provides, and the frame."""

    init_std: Annotated[float, Number(above=0, at_most=100)] = 1.0
    """Initial standard deviation of the actions (unit: raw action)."""


@dataclass(kw_only=True)
class AmpVaePpoCfg:
    """Proximal policy optimisation (Schulman et al., arXiv:1707.06347)."""

    num_learning_epochs: Annotated[int, COUNT] = 5
    """Passes over a rollout in one update."""

    num_mini_batches: Annotated[int, COUNT] = 4
    """Mini-batches in one pass."""

    gamma: Annotated[float, SHARE] = 0.99
    """Discount for each control step."""

    lam: Annotated[float, SHARE] = 0.95
    """Decay of generalised advantage estimation."""

    clip_param: Annotated[float, POSITIVE] = 0.2
    """Clip of the probability ratio, and of the change of the value."""

    value_loss_coef: Annotated[float, NOT_NEGATIVE] = 0.5
    """Weight of the value loss."""

    entropy_coef: Annotated[float, NOT_NEGATIVE] = 0.005
    """Weight of the entropy bonus when training begins."""

    final_entropy_coef: Annotated[float, NOT_NEGATIVE] = 0.0
    """Weight of the entropy bonus when training ends, towards which it moves linearly.
    Deployed robots do not explore: a policy, and above all an estimator, should have seen what that
    is like."""

    mirror_loss_coef: Annotated[float, NOT_NEGATIVE] = 0.0
    """Weight of the mirror loss (unit: 1 / squared raw action). Above 0, the policy learns to
    do in the mirror the mirror image of what it does, the estimator learns from mirror images by
    half, and the environment must know them."""

    mirror_loss_share: Annotated[float, SHARE_ABOVE_0] = 0.25
    """Part of a mini-batch that the mirror loss is taken over. It is far less noisy than the
    surrogate, and the whole would cost a third of the policy's training time."""

    use_clipped_value_loss: bool = True
    """Whether the change of the value within one update is clipped too."""

    learning_rate: Annotated[float, LEARNING_RATE] = 1e-3
    """Initial learning rate. The KL rule moves it within a few mini-batches to what the task
    bears, so it matters little; a start at 2e-5 only wastes the first iterations."""

    learning_rate_range: Annotated[tuple[float, float], LEARNING_RATE, ASCENDING] = (1e-5, 1e-2)
    """Least and greatest learning rate that the KL rule may choose."""

    desired_kl: Annotated[float, POSITIVE] = 0.01
    """KL divergence [nat] between the policies before and after an update that the learning rate is
    steered to."""

    max_grad_norm: Annotated[float, POSITIVE] = 1.0
    """Clip of the gradient norm, of actor and critic each."""


@dataclass(kw_only=True)
class ContextVaeCfg:
    """The estimator: by default a context VAE, which reads load and velocity out of a history."""

    class_name: str = "rl_sim_env.learning.context_vae:ContextVae"
    """The network: ``module.path:Class``, derived from
    :class:`~rl_sim_env.learning.estimator.Estimator`."""

    obs_groups: Annotated[tuple[str, ...], NOT_EMPTY] = ("vae_obs",)
    """Observation groups that it reads, in order; stacked frames or not."""

    settings: dict[str, Any] = field(default_factory=dict)
    """Settings of a network of one's own."""

    targets: dict[str, EstimateCfg | None] = field(default_factory=lambda: {**velocity_mass_com()})
    """What is estimated, by name, in the order of an estimate; None leaves one out."""

    encoder_dims: Annotated[tuple[int, ...], COUNT, Length(2)] = (512, 256, 128)
    """Width of each encoder layer."""

    memory_cell: Literal["leaky", "gru"] = "leaky"
    """How the memory, its hidden state, is updated: ``leaky`` means, a minGRU, are cheap on a CPU,
    a ``gru`` estimates better."""

    memory_dim: Annotated[int, NOT_NEGATIVE] = 256
    """Width of the memory; 0, with ``leaky``, leaves five frames to tell all."""

    memory_rate: Annotated[float, Number(above=0, below=1)] = 0.05
    """Share of a step in the memory before training, as a bias of the update gate: 0.05 forgets in
    0.4 s."""

    decoder_dims: Annotated[tuple[int, ...], COUNT, NOT_EMPTY] = (64, 128)
    """Width of each hidden decoder layer."""

    latent_dim: Annotated[int, COUNT] = 16
    """Width of the latent code."""

    reconstructed_terms: Annotated[tuple[str, ...], NOT_EMPTY, NO_REPEATS] = (
        "base_ang_vel",
        "projected_gravity",
        "joint_pos",
        "joint_vel",
    )
    """Terms of ``critic_obs`` (free of noise) whose next values the decoder predicts. Commands,
    actions and torques are no facts about the body and stay out."""

    com_scale: Annotated[float | None, POSITIVE] = None
    """Short for ``targets.com.factor``; None: as it stands there."""

    velocity_weight: Annotated[float | None, NOT_NEGATIVE] = None
    """Short for ``targets.velocity.weight``; None: as it stands there."""

    mass_weight: Annotated[float | None, NOT_NEGATIVE] = None
    """Short for ``targets.mass.weight``; None: as it stands there."""

    com_weight: Annotated[float | None, NOT_NEGATIVE] = None
    """Short for ``targets.com.weight``; None: as it stands there."""

    learning_rate: Annotated[float, LEARNING_RATE] = 1e-3
    """Learning rate as training begins."""

    final_learning_rate: Annotated[float, LEARNING_RATE] = 1e-4
    """Learning rate as it ends. It falls by the same factor in every part of training."""

    max_grad_norm: Annotated[float, POSITIVE] = 1.0
    """Clip of the gradient norm."""

    batch_share: Annotated[float, SHARE_ABOVE_0] = 1.0
    """Part of a mini-batch's environments that the estimator learns from: networks that read maps
    are large, and the steps of neighbouring times much alike."""

    logvar_bound: Annotated[float, POSITIVE] = 5.0
    """Bound of the latent's log-variance, approached smoothly so that gradients live on."""

    variance_weight: Annotated[float, NOT_NEGATIVE] = 1.0
    """Weight of the loss of the estimate's variances, whatever which the estimate is the same; 0:
    no variances."""

    variance_log_range: Annotated[tuple[float, float], LOG_VARIANCE, ASCENDING] = (-12.0, 4.0)
    """Least and greatest log-variance of an estimate's error, at the scale of the loss."""

    beta: Annotated[float, POSITIVE] = 1e-3
    """Initial weight of the KL term; within ``beta_range``."""

    beta_range: Annotated[tuple[float, float], POSITIVE, ASCENDING] = (1e-5, 1e-2)
    """Least and greatest weight of the KL term. The reconstruction error is a mean over elements
    whose variance is a few hundredths; greater weights shut the latent down."""

    beta_rate: Annotated[float, NOT_NEGATIVE] = 1e-3
    """Greatest relative change of beta in one mini-batch."""

    target_reconstruction: Annotated[float, POSITIVE] = 0.01
    """Reconstruction error (mean square of scaled observations) that beta is steered to."""

    spike_factor: Annotated[float, Number(above=1)] = 10.0
    """A reconstruction error this many times its running median is warned of, once."""

    spike_window: Annotated[int, COUNT] = 50
    """Number of updates in the running median."""

    def estimated(self) -> dict[str, EstimateCfg]:
        """What is estimated, with the settings that are short for parts of it.

        Raises:
            UserError: Such a setting is given for a quantity that is not estimated.
        """
        short_for = {
            "com_scale": ("com", "factor"),
            "velocity_weight": ("velocity", "weight"),
            "mass_weight": ("mass", "weight"),
            "com_weight": ("com", "weight"),
        }
        estimated = {name: each for name, each in self.targets.items() if each is not None}
        for setting, (name, part) in short_for.items():
            value = getattr(self, setting)
            if value is None:
                continue
            if name not in estimated:
                raise UserError(
                    f"agent.vae.{setting}={value}: '{name}' is not estimated, but "
                    f"{', '.join(estimated) or 'nothing'}; leave it out, or add agent.vae.targets"
                )
            estimated[name] = replace(estimated[name], **{part: value})
        return estimated


@dataclass(kw_only=True)
class AmpCfg:
    """The adversarial motion prior (Peng et al., arXiv:2104.02180)."""

    style_weight: Annotated[float, NOT_NEGATIVE] = 0.5
    """Weight of the style reward [1/s]. Like any reward term it is multiplied by the control
    step, and by the environment's ``style_scale``."""

    motion_paths: tuple[str, ...] | None = None
    """Motion clips: files, folders or globs. None: the clips generated for the robot."""

    hidden_dims: Annotated[tuple[int, ...], COUNT, Length(2)] = (1024, 512)
    """Width of each hidden layer of the discriminator."""

    batch_size: Annotated[int, COUNT] = 1024
    """Pairs of the policy, and as many of the clips, in one discriminator step. There is one
    step for each PPO mini-batch."""

    learning_rate: Annotated[float, LEARNING_RATE] = 1e-4
    """Constant learning rate; 1e-4 to 5e-4 keeps the discriminator in step with the policy."""

    max_grad_norm: Annotated[float, POSITIVE] = 1.0
    """Clip of the gradient norm."""

    gradient_penalty: Annotated[float, NOT_NEGATIVE] = 15.0
    """Weight of the squared gradient at expert pairs, in normalised space. Robots that
    begin to learn are easily told from the clips: a flat discriminator goes on guiding them."""

    trunk_weight_decay: Annotated[float, NOT_NEGATIVE] = 1e-3
    """L2 weight of the hidden layers."""

    head_weight_decay: Annotated[float, NOT_NEGATIVE] = 1e-1
    """L2 weight of the output layer."""

    observation_clip: Annotated[float, POSITIVE] = 10.0
    """Clip of the normalised features [standard deviations]."""

    normalizer_memory: Annotated[float, POSITIVE] = 1e7
    """Greatest number of states that the running statistics remember, so that they never freeze."""

    replay_size: Annotated[int, COUNT] = 1_000_000
    """Pairs of the policy that are kept for replay; 312 bytes each for 39 features."""

    checkpoint_pairs: Annotated[int, NOT_NEGATIVE] = 100_000
    """Newest replay pairs that a checkpoint holds. A replay no larger resumes exactly."""


@dataclass(kw_only=True)
class AdaBootCfg:
    """Adaptive bootstrapping: how often the actor is fed estimates instead of the truth.

    After DreamWaQ (Nahrendra et al., arXiv:2301.10602), with a schedule that ends on estimates.
    """

    gain: Annotated[float, POSITIVE] = 1.45
    """Factor in p = gain (1 - tanh CV)."""

    window: Annotated[int, COUNT] = 200
    """Number of measurements of p that are averaged; those not yet made count as 0."""

    min_episodes: Annotated[int, Number(at_least=2)] = 30
    """Finished episodes (over all ranks) that one measurement needs."""

    final_fraction: Annotated[float, SHARE] = 0.4
    """Last part of training in which p is 1."""

    ramp_fraction: Annotated[float, POSITIVE] = 0.2
    """Part of training before that over which the least p rises linearly from 0 to 1."""


@dataclass(kw_only=True)
class LearnerCfg:
    """Something that learns from the rollouts."""

    class_name: str
    """``module.path:Class``, derived from :class:`~rl_sim_env.learning.learner.Learner`."""

    settings: dict[str, Any] = field(default_factory=dict)
    """Settings of a learner of one's own; it finds them in its context."""


def _amp_vae_learners() -> dict[str, LearnerCfg | None]:
    """The estimator first: the actor reads what it provides."""
    learning = "rl_sim_env.learning"
    return {
        "estimator": LearnerCfg(class_name=f"{learning}.estimator_learner:EstimatorLearner"),
        "policy": LearnerCfg(class_name=f"{learning}.ppo:PpoLearner"),
        "discriminator": LearnerCfg(class_name=f"{learning}.amp:DiscriminatorLearner"),
    }


@dataclass(kw_only=True)
class AmpVaeRunnerCfg:
    """One training run."""

    seed: Annotated[int, SEED] = 42
    """Seed of all random numbers; each rank adds its global rank."""

    num_steps_per_env: Annotated[int, COUNT] = 24
    """Control steps of one rollout."""

    max_iterations: Annotated[int, COUNT] = 5000
    """Iterations (rollout and update) of the run."""

    max_minutes: Annotated[float | None, POSITIVE] = None
    """Wall-clock limit [min]: training ends after the iteration that passes it. None: no limit."""

    save_interval: Annotated[int, COUNT] = 500
    """Iterations between two checkpoints."""

    save_environment: bool = True
    """Whether checkpoints hold the running episodes: physics, delays, commands, clocks of events.
    A resumed run then goes on as if it had never been interrupted (docs/reliability.md says where
    to the bit); without, all robots begin anew. About 7 KB a robot, 28 MB for 4096."""

    heartbeat_seconds: Annotated[float | None, Number(at_least=5, at_most=600)] = 50.0
    """Time [s] without a step or a sign of life of one of many processes, 5 to 600, after which it
    is named and all end; it must be longer than a control step and than training on a mini-batch.
    Start, first iteration and saving may take longer. None: collectives give up after 600 s."""

    experiment_name: Annotated[str, FolderName()] = "amp_vae"
    """Folder of all runs of the experiment, below the folder of logs."""

    run_name: Annotated[str, FolderName(may_be_empty=True)] = ""
    """Appended to the time stamp that names the folder of the run."""

    logger: Literal["tensorboard", "wandb"] = "tensorboard"
    """Where curves are written."""

    log_project_name: str = "rl_sim_env"
    """Project that W&B files the run under."""

    rollout_threads: Annotated[int, COUNT] = 1
    """CPU threads of the networks during rollouts, where physics needs the cores."""

    policy_memory: Annotated[float, COUNT] = 20.0
    """Number of updates that the policy which is played, evaluated and exported is an exponential
    mean of; 1 takes the last one. Weights that are averaged walk better than the last, which leave
    it to chance what the last few mini-batches were (Izmailov et al., arXiv:1803.05407)."""

    capture_update: bool = True
    """Whether a GPU captures training on a mini-batch as a CUDA graph and replays it."""

    learners: dict[str, LearnerCfg | None] = field(default_factory=_amp_vae_learners)
    """Who learns from the rollouts, by name, in the order in which they act and see a complete
    rollout; None leaves one out."""

    algorithm: AmpVaePpoCfg = field(default_factory=AmpVaePpoCfg)
    """Policy optimisation."""

    actor: ActorCfg = field(default_factory=ActorCfg)
    """Actor network."""

    critic: MlpCfg = field(default_factory=MlpCfg)
    """Critic network."""

    vae: ContextVaeCfg = field(default_factory=ContextVaeCfg)
    """Estimator."""

    amp: AmpCfg = field(default_factory=AmpCfg)
    """Adversarial motion prior."""

    adaboot: AdaBootCfg = field(default_factory=AdaBootCfg)
    """Adaptive bootstrapping."""

    constraints: ConstraintsCfg = field(default_factory=ConstraintsCfg)
    """How limits are kept."""

    footholds: FootholdsCfg = field(default_factory=FootholdsCfg)
    """What is learned of footholds, and what they are paid by."""

    def check(self) -> None:
        """Refuse values that nothing can be trained with.

        Raises:
            UserError: Names the field, what it is and what it must be.
        """
        check_limits(self, "agent")
        low, high = self.vae.beta_range
        if not low <= self.vae.beta <= high:
            raise UserError(
                f"agent.vae.beta is {self.vae.beta}; it must be within agent.vae.beta_range, "
                f"{low} to {high}"
            )
