"""Walking under an unknown load with sight: the task of walking blind, and what lidars see."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from functools import partial

from mjlab.managers.observation_manager import ObservationGroupCfg
from mjlab.managers.observation_manager import ObservationTermCfg as ObsTerm
from mjlab.managers.termination_manager import TerminationTermCfg as TerminationTerm

from rl_sim_env.envs import AmpVaeEnvCfg
from rl_sim_env.learning.config import AmpVaeRunnerCfg
from rl_sim_env.learning.perceptive_vae import TERRAIN_ESTIMATE, PerceptionCfg
from rl_sim_env.mdp import exteroception, terminations
from rl_sim_env.mdp.commands import TerrainVelocityCommandCfg
from rl_sim_env.mdp.exteroception import ExteroceptionCfg
from rl_sim_env.mdp.exteroception_cfg import LidarCfg, MapCfg
from rl_sim_env.tasks.payload_walking import HEIGHT_SCALE, walking_env_cfg
from rl_sim_env.tasks.payload_walking_cfg import PayloadWalkingCfg
from rl_sim_env.tasks.payload_walking_runner import walking_runner_cfg
from rl_sim_env.terrains import PIT_FAMILIES, perceptive_terrain_cfg

VISION = PerceptionCfg()
"""Settings of the estimator, and names of the groups that it reads."""

_SEEN_RANGE = (-1.0, 1.0)
"""Heights that are observed [m]: a pit is one, however deep."""

_PIT_REACH = 0.45
"""Ground so far from the base [m], on two sides of it and above it, makes a pit."""


def perceptive_env_cfg(
    walking: PayloadWalkingCfg, lidar_mount: tuple[float, float], *, play: bool = False
) -> AmpVaeEnvCfg:
    """Environment of the task.

    Args:
        walking: The robot, and how large things are for it.
        lidar_mount: How far before and behind the base, and above it, the lidars are [m].
        play: For watching: no noise, pushes or randomised robot; heavy loads. What is seen is as in
            training.
    """
    cfg = walking_env_cfg(walking, play=play)
    add_sight(cfg, walking, lidar_mount)
    cfg.scene.terrain = perceptive_terrain_cfg(walking.terrain_scale, play=play)
    command = cfg.commands["velocity"]
    assert isinstance(command, TerrainVelocityCommandCfg)
    for family in PIT_FAMILIES:
        command.terrains[family] = replace(command.terrains["boxes"])
        cfg.style.terrain_scale[family] = cfg.style.terrain_scale["boxes"]
    # Whoever stands in a ditch has fallen into it, though on its feet.
    cfg.terminations["in_a_pit"] = TerminationTerm(
        func=terminations.in_a_pit, params={"reach": _PIT_REACH, "families": PIT_FAMILIES}
    )
    return cfg


def add_sight(
    cfg: AmpVaeEnvCfg, walking: PayloadWalkingCfg, lidar_mount: tuple[float, float]
) -> None:
    """Give the robot of a configuration lidars, and add what they see to the observations.

    Args:
        cfg: The configuration of a robot that is blind, which is changed in place.
        walking: The robot, and how large things are for it.
        lidar_mount: How far before and behind the base, and above it, the lidars are [m].
    """
    x, z = lidar_mount
    scanner = ExteroceptionCfg(
        lidars=(
            LidarCfg(name="front", position=(x, 0.0, z)),
            LidarCfg(name="rear", position=(-x, 0.0, z), yaw=math.pi),
        ),
        map=MapCfg(grid=VISION.grid, reference=walking.scan_offset),
    )
    cfg.scene.sensors = (*cfg.scene.sensors, scanner)
    sensor = {"sensor_name": scanner.name}
    heights = partial(ObsTerm, params=sensor, clip=_SEEN_RANGE, scale=HEIGHT_SCALE)
    cfg.observations[VISION.map_group] = ObservationGroupCfg(
        terms={
            "heights": heights(func=exteroception.seen_heights),
            "seen": ObsTerm(func=exteroception.seen_cells, params=sensor),
        }
    )
    cfg.observations[VISION.truth_group] = ObservationGroupCfg(
        terms={"terrain": heights(func=exteroception.terrain_heights)}
    )


def perceptive_runner_cfg(walking: PayloadWalkingCfg) -> AmpVaeRunnerCfg:
    """Trainer of the task: that of walking blind, with an estimator that sees.

    Args:
        walking: The robot, after which the experiment is named.
    """
    cfg = walking_runner_cfg(walking)
    cfg.experiment_name = f"{walking.robot.name}_amp_vae_vit"
    cfg.vae.class_name = "rl_sim_env.learning.perceptive_vae:PerceptiveVae"
    cfg.vae.settings = asdict(VISION)
    # Else reading maps would take longer than the physics.
    cfg.vae.batch_share = 0.25
    cfg.actor.obs_groups = (*cfg.actor.obs_groups, TERRAIN_ESTIMATE)
    return cfg
