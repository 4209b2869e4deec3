"""Walking blind under an unknown load, for any robot: the configuration of the trainer.

It needs no simulator, whose import takes seconds.
"""

from __future__ import annotations

from rl_sim_env.learning.config import AmpVaeRunnerCfg
from rl_sim_env.tasks.payload_walking_cfg import PayloadWalkingCfg, TerrainName

CPU_MINUTES = 15.0
"""Training time of the flat preset [min]."""


def walking_runner_cfg(
    walking: PayloadWalkingCfg, *, terrain: TerrainName = "rough"
) -> AmpVaeRunnerCfg:
    """Trainer of the task; the flat preset's is sized for a laptop's CPU.

    Args:
        walking: The robot, after which the experiment is named.
        terrain: ``rough`` or ``flat``.
    """
    cfg = AmpVaeRunnerCfg(experiment_name=f"{walking.robot.name}_amp_vae")
    # Without it robots come to limp. In a run of few minutes it is in the way of finding a trot: an
    # even policy does the same on both sides as long as nothing breaks the symmetry.
    cfg.algorithm.mirror_loss_coef = 0.1
    # Most of the estimator's parameters are in its memory, so the encoder can be small.
    cfg.vae.encoder_dims = (256, 128)
    cfg.vae.memory_cell = "gru"
    if terrain == "flat":
        cfg.experiment_name += "_flat"
        cfg.max_minutes = CPU_MINUTES
        cfg.save_interval = 50
        # A plane needs less network, and two cores are all there is to train it with.
        cfg.actor.hidden_dims = (256, 128, 64)
        cfg.critic.hidden_dims = (256, 128, 64)
        cfg.vae.encoder_dims = (128, 64)
        cfg.vae.memory_cell = "leaky"
        cfg.vae.memory_dim = 64
        cfg.amp.hidden_dims = (256, 128)
        cfg.amp.batch_size = 256
        cfg.amp.replay_size = 100_000
        # A few hundred updates: larger steps, less noise, more guidance by the clips.
        cfg.algorithm.desired_kl = 0.015
        cfg.actor.init_std = 0.8
        cfg.amp.style_weight = 1.0
        cfg.algorithm.mirror_loss_coef = 0.0
        # The estimator has no time to settle.
        cfg.vae.final_learning_rate = cfg.vae.learning_rate
        cfg.adaboot.window = 30
    return cfg
