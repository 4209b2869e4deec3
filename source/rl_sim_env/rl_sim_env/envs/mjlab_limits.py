"""Limits of the fields of mjlab's dataclasses, which do not declare any."""

from __future__ import annotations

import math

from mjlab.actuator import BuiltinPositionActuatorCfg
from mjlab.actuator.actuator import ActuatorCfg
from mjlab.entity import EntityArticulationInfoCfg
from mjlab.envs import ManagerBasedRlEnvCfg
from mjlab.envs.mdp.actions import JointPositionActionCfg
from mjlab.envs.mdp.terminations import bad_orientation
from mjlab.managers.command_manager import CommandTermCfg
from mjlab.managers.event_manager import EventTermCfg
from mjlab.managers.observation_manager import ObservationGroupCfg, ObservationTermCfg
from mjlab.scene import SceneCfg
from mjlab.sensor import ContactSensorCfg
from mjlab.sim import MujocoCfg, SimulationCfg
from mjlab.terrains import (
    BoxInvertedPyramidStairsTerrainCfg,
    SubTerrainCfg,
    TerrainEntityCfg,
    TerrainGeneratorCfg,
)
from mjlab.utils.nan_guard import NanGuardCfg
from mjlab.utils.spec_config import TextureCfg
from mjlab.viewer import ViewerConfig

from rl_sim_env.configuration.limits import (
    ASCENDING,
    COUNT,
    MAY_BE_OFF,
    NOT_EMPTY,
    NOT_NEGATIVE,
    POSITIVE,
    SEED,
    SHARE,
    SHARE_ABOVE_0,
    ForeignLimits,
    Number,
)

_LAG = {
    "delay_min_lag": (NOT_NEGATIVE,),
    "delay_max_lag": (NOT_NEGATIVE,),
    "delay_hold_prob": (SHARE,),
    "delay_update_period": (NOT_NEGATIVE,),
}

_TERMS = (
    *("observations", "actions", "events", "rewards", "terminations", "commands"),
    *("curriculum", "metrics", "recorders"),
)
"""Tables whose terms mjlab leaves out where they are None."""

MJLAB_LIMITS: ForeignLimits = {
    ManagerBasedRlEnvCfg: {
        "decimation": (COUNT,),
        "seed": (SEED,),
        "episode_length_s": (POSITIVE,),
        **dict.fromkeys(_TERMS, (MAY_BE_OFF,)),
    },
    SceneCfg: {"num_envs": (COUNT,), "env_spacing": (NOT_NEGATIVE,), "extent": (POSITIVE,)},
    SimulationCfg: {"nconmax": (COUNT,), "njmax": (COUNT,), "contact_sensor_maxmatch": (COUNT,)},
    MujocoCfg: {
        "timestep": (Number(above=0, at_most=0.1),),
        "impratio": (POSITIVE,),
        "iterations": (COUNT,),
        "tolerance": (NOT_NEGATIVE,),
        "ls_iterations": (COUNT,),
        "ls_tolerance": (NOT_NEGATIVE,),
        "ccd_iterations": (COUNT,),
    },
    NanGuardCfg: {"buffer_size": (COUNT,), "max_envs_to_dump": (COUNT,)},
    ViewerConfig: {
        "height": (COUNT,),
        "width": (COUNT,),
        "env_idx": (NOT_NEGATIVE,),
        "max_extra_envs": (NOT_NEGATIVE,),
        "reward_bar_max_terms": (COUNT,),
        "distance": (POSITIVE,),
        "fovy": (Number(above=0, below=180),),
    },
    ObservationGroupCfg: {"history_length": (NOT_NEGATIVE,), "terms": (MAY_BE_OFF,)},
    ObservationTermCfg: {"clip": (ASCENDING,), "history_length": (NOT_NEGATIVE,), **_LAG},
    EventTermCfg: {
        "interval_range_s": (POSITIVE, ASCENDING),
        "min_step_count_between_reset": (NOT_NEGATIVE,),
    },
    CommandTermCfg: {"resampling_time_range": (POSITIVE, ASCENDING)},
    TerrainEntityCfg: {"env_spacing": (NOT_NEGATIVE,), "max_init_terrain_level": (NOT_NEGATIVE,)},
    TerrainGeneratorCfg: {
        "seed": (SEED,),
        "size": (POSITIVE,),
        "border_width": (NOT_NEGATIVE,),
        "border_height": (NOT_NEGATIVE,),
        "num_rows": (COUNT,),
        "num_cols": (COUNT,),
        "difficulty_range": (SHARE, ASCENDING),
    },
    SubTerrainCfg: {"proportion": (NOT_NEGATIVE,), "size": (POSITIVE,)},
    BoxInvertedPyramidStairsTerrainCfg: {
        "border_width": (NOT_NEGATIVE,),
        "step_height_range": (NOT_NEGATIVE,),
        "step_width": (POSITIVE,),
        "platform_width": (NOT_NEGATIVE,),
    },
    EntityArticulationInfoCfg: {"soft_joint_pos_limit_factor": (SHARE_ABOVE_0,)},
    JointPositionActionCfg: {"actuator_names": (NOT_EMPTY,)},
    ActuatorCfg: {
        "armature": (NOT_NEGATIVE,),
        "frictionloss": (NOT_NEGATIVE,),
        "viscous_damping": (NOT_NEGATIVE,),
        **_LAG,
    },
    BuiltinPositionActuatorCfg: {
        "stiffness": (NOT_NEGATIVE,),
        "damping": (NOT_NEGATIVE,),
        "effort_limit": (POSITIVE,),
    },
    ContactSensorCfg: {"num_slots": (COUNT,), "history_length": (NOT_NEGATIVE,)},
    bad_orientation: {"limit_angle": (Number(above=0, at_most=math.pi),)},
    TextureCfg: {
        "width": (COUNT,),
        "height": (COUNT,),
        "nchannel": (Number(at_least=1, at_most=4),),
    },
}
"""By class and field, or by function and parameter."""
