"""Walking blind under an unknown load, for any robot: the configuration of the environment.

A robot's own file fills in a :class:`PayloadWalkingCfg` and changes what else it wants in the
configurations that come out.
"""

from __future__ import annotations

from statistics import fmean
from typing import Any, Literal, get_args

from mjlab.envs import mdp as mjlab_mdp
from mjlab.managers.curriculum_manager import CurriculumTermCfg as CurriculumTerm
from mjlab.managers.observation_manager import ObservationGroupCfg
from mjlab.managers.observation_manager import ObservationTermCfg as ObsTerm
from mjlab.managers.reward_manager import RewardTermCfg as RewardTerm
from mjlab.managers.termination_manager import TerminationTermCfg as TerminationTerm
from mjlab.scene import SceneCfg
from mjlab.sensor import ContactMatch, ContactSensorCfg
from mjlab.sim import MujocoCfg
from mjlab.utils.noise import UniformNoiseCfg as Unoise
from mjlab.viewer import ViewerConfig

from rl_sim_env.conventions import FALL_ANGLE, PHYSICS_DT
from rl_sim_env.envs import AmpVaeEnvCfg, StyleCfg
from rl_sim_env.envs.observation_manager import FrameStackCfg
from rl_sim_env.errors import UserError
from rl_sim_env.mdp import curriculums, observations, rewards, terminations
from rl_sim_env.mdp.actions import LegPositionActionCfg
from rl_sim_env.mdp.commands import TerrainCommandRanges, TerrainVelocityCommandCfg
from rl_sim_env.mdp.constraints import BODY_CONTACT, LEG_CONTACT
from rl_sim_env.mdp.hardware_sensors_cfg import HardwareSensorsCfg
from rl_sim_env.mdp.proprioception import ProprioceptionCfg
from rl_sim_env.robots import Robot, entity_cfg
from rl_sim_env.simulation import SimulationCfg
from rl_sim_env.tasks.payload_walking_cfg import PayloadWalkingCfg, TerrainName
from rl_sim_env.tasks.payload_walking_events import walking_events
from rl_sim_env.terrains import flat_terrain_cfg, rough_terrain_cfg

GPU_ENVS = 4096
CPU_ENVS = 512
PLAY_ENVS = 25
"""Default numbers of robots."""

DECIMATION = 3
"""Physics steps of a control step. Two are unstable: no drive damps a joint within 10 ms."""

EPISODE_LENGTH_S = 20.0

COMMAND_SCALE = (2.0, 2.0, 0.35)
LIN_VEL_SCALE = 2.0
ANG_VEL_SCALE = 0.25
JOINT_VEL_SCALE = 0.05
COM_SCALE = 5.0
MASS_SCALE = 0.2
HEIGHT_SCALE = 5.0

HEADING_PROB = 0.25
"""Share of commands of the full task that give a heading: their yaw rates decay, so that robots
that are told little else learn to turn too slowly."""

COMMAND_PERIOD = (3.0, 8.0)
"""Time between two commands [s]. A new one is what makes walking robots fall: show many."""

SCAN_SIZE = (1.6, 1.0)
SCAN_RESOLUTION = 0.1

FEET_CONTACT = "feet_contact"


def _noise(amplitude: float) -> Unoise:
    return Unoise(n_min=-amplitude, n_max=amplitude)


def _observations(walking: PayloadWalkingCfg, noise: bool) -> dict[str, ObservationGroupCfg]:
    last_action = ObsTerm(func=observations.last_action)
    commands = ObsTerm(func=observations.velocity_commands, scale=COMMAND_SCALE)
    return {
        "actor_obs": ObservationGroupCfg(
            enable_corruption=noise,
            terms={
                "base_ang_vel": ObsTerm(
                    func=observations.delayed_base_ang_vel, scale=ANG_VEL_SCALE, noise=_noise(0.3)
                ),
                "projected_gravity": ObsTerm(
                    func=observations.delayed_projected_gravity, noise=_noise(0.05)
                ),
                "joint_pos": ObsTerm(func=observations.delayed_joint_pos_rel, noise=_noise(0.03)),
                "joint_vel": ObsTerm(
                    func=observations.delayed_joint_vel, scale=JOINT_VEL_SCALE, noise=_noise(1.5)
                ),
                "joint_torques": ObsTerm(
                    func=observations.reported_joint_torques, scale=walking.torque_scale
                ),
                "last_action": last_action,
                "velocity_commands": commands,
            },
        ),
        "critic_obs": ObservationGroupCfg(
            terms={
                "base_lin_vel": ObsTerm(func=observations.base_lin_vel, scale=LIN_VEL_SCALE),
                "base_ang_vel": ObsTerm(func=observations.base_ang_vel, scale=ANG_VEL_SCALE),
                "projected_gravity": ObsTerm(func=observations.projected_gravity),
                "joint_pos": ObsTerm(func=observations.joint_pos_rel),
                "joint_vel": ObsTerm(func=observations.joint_vel, scale=JOINT_VEL_SCALE),
                "last_action": last_action,
                "velocity_commands": commands,
                "height_scan": ObsTerm(
                    func=observations.HeightScan,
                    params={
                        "size": SCAN_SIZE,
                        "resolution": SCAN_RESOLUTION,
                        "offset": walking.scan_offset,
                    },
                    clip=(-1.0, 1.0),
                    scale=HEIGHT_SCALE,
                ),
                "random_com": ObsTerm(func=observations.system_com, scale=COM_SCALE),
                "random_mass": ObsTerm(func=observations.system_mass_delta, scale=MASS_SCALE),
            }
        ),
        "amp_obs": ObservationGroupCfg(
            terms={
                "base_lin_vel_xy": ObsTerm(func=observations.base_lin_vel_xy),
                "base_ang_vel_z": ObsTerm(func=observations.base_ang_vel_z),
                "joint_pos": ObsTerm(func=observations.joint_pos),
                "joint_vel": ObsTerm(func=observations.joint_vel),
                "foot_positions": ObsTerm(func=observations.foot_positions),
            }
        ),
    }


def _commands(rough: bool) -> TerrainVelocityCommandCfg:
    def ranges(
        vx_start: tuple[float, float], yaw_start: float, *, vx: float, vy: float, yaw: float
    ) -> TerrainCommandRanges:
        """Ranges that grow to plus and minus ``vx``, ``vy`` [m/s] and ``yaw`` [rad/s]."""
        return TerrainCommandRanges(
            lin_vel_x_start=vx_start,
            lin_vel_x_final=(-vx, vx),
            lin_vel_y_start=(-0.5, 0.5),
            lin_vel_y_final=(-vy, vy),
            ang_vel_z_start=(-yaw_start, yaw_start),
            ang_vel_z_final=(-yaw, yaw),
        )

    both, forward = (-0.5, 0.5), (0.0, 0.5)
    if not rough:
        return TerrainVelocityCommandCfg(
            terrains={"plane_run": ranges(both, 0.5, vx=1.0, vy=0.5, yaw=1.0)},
            resampling_time_range=COMMAND_PERIOD,
        )
    slope = ranges(both, 0.25, vx=1.0, vy=1.0, yaw=1.0)
    # Robots begin on what is easiest, up and over; in the end they are told anything anywhere.
    climb = ranges(forward, 0.25, vx=1.0, vy=1.0, yaw=1.0)
    return TerrainVelocityCommandCfg(
        terrains={
            "pyramid_stairs": ranges(both, 0.15, vx=1.0, vy=1.0, yaw=1.0),
            "pyramid_stairs_inv": climb,
            "boxes": climb,
            "random_rough": slope,
            "hf_pyramid_slope": slope,
            "hf_pyramid_slope_inv": slope,
            "plane_run": ranges(both, 0.25, vx=1.2, vy=1.0, yaw=1.5),
        },
        heading_prob=HEADING_PROB,
        resampling_time_range=COMMAND_PERIOD,
    )


def _rewards(walking: PayloadWalkingCfg, rough: bool) -> dict[str, RewardTerm]:
    terms = {
        "track_lin_vel_xy_exp": RewardTerm(
            func=rewards.track_lin_vel_xy_exp, weight=1.5, params={"std": 0.5}
        ),
        # The wide one leads to the command, the narrow one onto it. Robots of few minutes that are
        # paid much for it fall more often.
        "track_lin_vel_xy_fine": RewardTerm(
            func=rewards.track_lin_vel_xy_exp, weight=1.0 if rough else 0.25, params={"std": 0.2}
        ),
        "track_ang_vel_z_exp": RewardTerm(
            func=rewards.track_ang_vel_z_exp, weight=0.5, params={"std": 0.5}
        ),
        "track_ang_vel_z_fine": RewardTerm(
            func=rewards.track_ang_vel_z_exp, weight=0.5, params={"std": 0.2}
        ),
        "orientation_l2": RewardTerm(func=rewards.orientation_l2, weight=-0.1),
        "lin_vel_z_l2": RewardTerm(func=rewards.lin_vel_z_l2, weight=-2.0),
        "ang_vel_xy_l2": RewardTerm(func=rewards.ang_vel_xy_l2, weight=-0.05),
        "dof_torques_l2": RewardTerm(func=rewards.dof_torques_l2, weight=-2e-6),
        "dof_vel_l2": RewardTerm(func=rewards.dof_vel_l2, weight=-2.5e-4),
        "dof_acc_l2": RewardTerm(func=rewards.dof_acc_l2, weight=-1e-8),
        "action_rate_l2": RewardTerm(func=rewards.action_rate_l2, weight=-0.002),
        "action_smoothness_l2": RewardTerm(func=rewards.action_smoothness_l2, weight=-0.002),
        "joint_power": RewardTerm(func=rewards.joint_power, weight=-2e-5),
        "joint_power_distribution": RewardTerm(func=rewards.joint_power_distribution, weight=-1e-5),
        "feet_air_time": RewardTerm(
            func=rewards.feet_air_time, weight=1.0, params={"threshold": 0.35}
        ),
        "undesired_contacts": RewardTerm(
            func=rewards.undesired_contacts,
            weight=-0.1,
            params={"sensor_name": LEG_CONTACT, "force_threshold": walking.robot.limits.contact},
        ),
        "feet_slide": RewardTerm(
            func=rewards.feet_slide, weight=-0.1, params={"force_threshold": 1.0}
        ),
        "foot_clearance": RewardTerm(
            func=rewards.foot_clearance, weight=-2.0, params={"target": walking.swing_height}
        ),
        "stand_still": RewardTerm(func=rewards.stand_still, weight=-0.05),
        # Per second like all of them: a fall costs 8 (on the plane 3, what a good second earns),
        # but 0.3 while robots have to dare something to learn to walk.
        "is_terminated": RewardTerm(
            func=rewards.is_terminated,
            weight=-400.0 if rough else -150.0,
            params={"initial_share": 0.04 if rough else 0.1},
        ),
    }
    if rough:
        # What a plane hardly asks for: knees clear of steps, joints within their limits.
        terms["undesired_contacts"].weight = -1.0
        terms["joint_pos_limits"] = RewardTerm(func=rewards.joint_pos_limits, weight=-5.0)
        terms["joint_vel_limits"] = RewardTerm(
            func=rewards.joint_vel_limits,
            weight=-0.5,
            params={"share": walking.robot.soft_joint_limit_factor},
        )
    return terms


def _terminations(robot: Robot, rough: bool, play: bool) -> dict[str, TerminationTerm]:
    terms = {
        "time_out": TerminationTerm(func=mjlab_mdp.time_out, time_out=True),
        "body_contact": TerminationTerm(
            func=terminations.illegal_contact,
            params={"sensor_name": BODY_CONTACT, "force_threshold": robot.limits.contact},
        ),
        "bad_orientation": TerminationTerm(
            func=mjlab_mdp.bad_orientation, params={"limit_angle": FALL_ANGLE}
        ),
        "broken_physics": TerminationTerm(func=terminations.broken_physics),
    }
    if rough:
        terms["left_terrain"] = TerminationTerm(func=terminations.left_terrain, time_out=True)
    if rough and not play:
        # Commands, costs, style and curricula are those of the robot's own tile; on the next stands
        # another family, or another level.
        terms["left_tile"] = TerminationTerm(
            func=terminations.left_tile, time_out=True, params={"threshold_fraction": 1.0}
        )
    return terms


def _curriculum(rough: bool) -> dict[str, CurriculumTerm]:
    terms = {
        "command_level": CurriculumTerm(
            func=curriculums.command_levels,
            params={
                "raise_above": 0.75,
                "lower_below": 0.4,
                # A robot of the flat preset lives through eight episodes, one of the full task
                # through dozens.
                "step": 0.1 if rough else 1.0,
                # Whoever walks as fast as it goes has left its tile after three seconds.
                "min_steps": 150 if rough else 250,
            },
        )
    }
    if rough:
        terms["terrain_level"] = CurriculumTerm(
            func=curriculums.terrain_levels,
            params={"promote": 0.8, "demote": 0.5, "min_distance": 2.0},
        )
    return terms


def _contact_sensors(robot: Robot) -> tuple[ContactSensorCfg, ...]:
    def against_terrain(
        name: str, mode: Literal["geom", "body"], pattern: tuple[str, ...], **kwargs: Any
    ) -> ContactSensorCfg:
        return ContactSensorCfg(
            name=name,
            primary=ContactMatch(mode=mode, pattern=pattern, entity="robot"),
            secondary=ContactMatch(mode="body", pattern="terrain"),
            reduce="netforce",
            **kwargs,
        )

    return (
        against_terrain(FEET_CONTACT, "geom", robot.foot_geoms, track_air_time=True),
        against_terrain(LEG_CONTACT, "body", robot.links, fields=("force",)),
        against_terrain(BODY_CONTACT, "body", robot.untouchable, fields=("force",)),
    )


def walking_env_cfg(
    walking: PayloadWalkingCfg, *, terrain: TerrainName = "rough", play: bool = False
) -> AmpVaeEnvCfg:
    """Environment of the task.

    Args:
        walking: The robot, and how large things are for it.
        terrain: ``rough``, the seven families, or ``flat``, an endless plane.
        play: For watching: no noise, pushes or randomised robot; heavy loads.

    Raises:
        UserError: There is no such terrain.
    """
    if terrain not in get_args(TerrainName):
        raise UserError(f"terrain '{terrain}'; there are {', '.join(get_args(TerrainName))}")
    robot = walking.robot
    rough = terrain == "rough"
    num_envs = PLAY_ENVS if play else (GPU_ENVS if rough else CPU_ENVS)
    ground = rough_terrain_cfg(walking.terrain_scale, play=play) if rough else flat_terrain_cfg()
    return AmpVaeEnvCfg(
        scene=SceneCfg(
            num_envs=num_envs,
            env_spacing=2.0,
            terrain=ground,
            entities={"robot": entity_cfg(robot)},
            sensors=(*_contact_sensors(robot), ProprioceptionCfg(joint_names=robot.leg_joints)),
            extent=2.0,
        ),
        robot=robot,
        feet_contact_sensor=FEET_CONTACT,
        observations=_observations(walking, noise=not play),
        frame_stacks={"vae_obs": FrameStackCfg(source="actor_obs", length=5)},
        actions={
            "joint_pos": LegPositionActionCfg(
                entity_name="robot", actuator_names=robot.leg_joints, scale=walking.action_scale
            )
        },
        commands={"velocity": _commands(rough)},
        rewards=_rewards(walking, rough),
        events=walking_events(walking, rough=rough, play=play),
        terminations=_terminations(robot, rough, play),
        curriculum={} if play else _curriculum(rough),
        # With sensors that it has never met, a policy tracks by 60 % worse. The flat preset has no
        # time for them.
        sensors="hardware" if rough and not play else "ideal",
        hardware_sensors=HardwareSensorsCfg.for_drives(
            fmean(drive.effort_limit for drive in robot.drives.values())
        ),
        style=StyleCfg(
            terrain_scale={
                # The clips walk on flat ground; climbing needs another gait.
                "pyramid_stairs": 0.5,
                "pyramid_stairs_inv": 0.5,
                "boxes": 0.5,
            }
        ),
        sim=SimulationCfg(
            nconmax=35,
            njmax=200,
            mujoco=MujocoCfg(
                timestep=PHYSICS_DT,
                cone="pyramidal",
                impratio=1.0,
                # Hard impacts need six; with fewer some robots are thrown about.
                iterations=10,
                ls_iterations=20,
                # A foot is done with a cell of the ground after eight; memory is taken for all.
                ccd_iterations=16,
            ),
        ),
        viewer=ViewerConfig(
            origin_type=ViewerConfig.OriginType.ASSET_BODY,
            entity_name="robot",
            body_name=robot.base_body,
            distance=3.0,
            elevation=-15.0,
            azimuth=120.0,
            width=960,
            height=540,
        ),
        decimation=DECIMATION,
        episode_length_s=EPISODE_LENGTH_S,
    )
