"""Members of other packages' classes and modules that we override, call or set, and why.

A member that a subclass of ours has by accident would stand here as well: private attributes of a
base class are as much in its way as methods.
"""

from __future__ import annotations

WRITTEN_FOR: dict[str, tuple[str, tuple[str, ...]]] = {
    "mjlab": ("mjlab", ("1.6.0",)),
    "mujoco_warp": ("mujoco-warp", ("3.11.0",)),
    "torch": ("torch", ("2.11", "2.13")),
    "viser": ("viser", ("1.1",)),
    "warp": ("warp-lang", ("1.19",)),
}
"""By package: the distribution that brings it, and the versions that this code has run with."""

MEMBERS: dict[str, dict[str, str]] = {
    # Physics.
    "mjlab.envs.manager_based_rl_env": {
        "Simulation": "replaced: the environment has no parameter for its class of simulation",
    },
    "mjlab.sim.sim.Simulation": {
        "_init_with_model": "overridden: native physics puts no model on a device",
        "_init_with_variants": "overridden: native physics refuses mesh variants",
        "_finish_init": "overridden: between the model and the capture of the graphs is the only "
        "moment to change the pairs of geoms; afterwards buffers exist to be watched",
        "_mj_model": "set: the properties and get_default_field() of the base class read it",
        "_mj_data": "set: the property mj_data reads it",
        "_model_bridge": "set and read: the property model returns it, on CPUs native fields",
        "_data_bridge": "set and read: the property data returns it, on CPUs native fields",
        "_sensor_context": "set: without one, sense() does nothing",
        "_expanded_fields": "set: viewers copy these fields for the robot in view",
        "_reset_mask": "read: resets write it, on a stream of its own unless that is set",
        "_reset_mask_wp": "read: resets are launched with it, so that their kernels are compiled",
    },
    "mjlab.sim.sim_data.WarpBridge": {
        "_wrapped_cache": "read: which arrays were handed out, each with a stream of its own",
    },
    "mjlab.sim.sim_data.TorchArray": {
        "_torch_stream": "set: writes must go to the stream that is being captured",
    },
    "warp.mat33": {
        "_shape_": "read: there is no public name for the shape of a type",
    },
    # Managers.
    "mjlab.managers.manager_base.ManagerBase": {
        "_env": "read: terms are functions of the environment",
        "_check_term_shape": "called: a wrong shape is refused as in mjlab",
    },
    "mjlab.managers.manager_base.ManagerTermBase": {
        "_env": "read: commands are functions of the environment",
    },
    "mjlab.managers.event_manager.EventManager": {
        "_interval_term_time_left": "read: the timers, judged without waiting for the device, and "
        "saved with the running episodes",
        "_reset_term_last_triggered_step_id": "read: saved with the running episodes",
        "_reset_term_last_triggered_once": "read: saved with the running episodes",
    },
    "mjlab.managers.reward_manager.RewardManager": {
        "_class_term_cfgs": "read: a reset without the means that wait for the device",
        "_reward_buf": "set: all terms are added up at once",
        "_step_reward": "set: mjlab's viewer plots it",
        "_scale_by_dt": "read: rewards count as in mjlab",
        "_episode_sums": "set: they become views of one tensor; the log of episodes reads them",
    },
    "mjlab.managers.termination_manager.TerminationManager": {
        "_class_term_cfgs": "read: a reset without the counts that wait for the device",
    },
    "mjlab.managers.curriculum_manager.CurriculumManager": {
        "_class_term_cfgs": "read: a reset without the reports that wait for the device",
        "_curriculum_state": "read: the reports, left on the device",
    },
    "mjlab.managers.observation_manager.ObservationManager": {
        "_obs_buffer": "set: groups are computed side by side, and kept as mjlab keeps them",
        "_group_obs_dim": "set: stacked groups are groups for the rest of mjlab, too",
        "_group_obs_term_names": "set: as _group_obs_dim",
        "_group_obs_term_dim": "set: as _group_obs_dim",
        "_group_obs_term_cfgs": "set: as _group_obs_dim",
        "_group_obs_concatenate": "set: as _group_obs_dim",
    },
    # Environment.
    "mjlab.envs.ManagerBasedRlEnv": {
        "_sim_step_counter": "set: step() is our own, and a resumed run goes on counting",
        "_command_dt": "set: step() is our own; commands of robots just reset do not age",
        "_configure_gym_env_spaces": "called: load_managers() is our own",
        "_reset_idx": "overridden: in mjlab's order, without what waits for the device; reset() "
        "calls it",
    },
    # Terms, sensors and drives.
    "mjlab.envs.mdp.actions.JointPositionAction": {
        "_find_targets": "overridden: joints in the order of their names, not of the model",
        "_entity": "read: whose joints they are",
        "_clip": "read: ranges of the targets, resolved by joint, to which actions are bounded",
    },
    "mjlab.managers.command_manager.CommandTerm": {
        "_update_metrics": "overridden: abstract",
        "_resample_command": "overridden: abstract",
        "_update_command": "overridden: abstract",
        "_debug_vis_impl": "overridden: mjlab's way to draw a command",
    },
    "mjlab.sensor.Sensor": {
        "_compute_data": "overridden: abstract",
        "_invalidate_cache": "called: a replayed step changes what sensors remember, unnoticed",
    },
    "mjlab.actuator.actuator.Actuator": {
        "_mjs_actuators": "read: where edit_spec() leaves what it adds",
        "_init_delay_buffer": "overridden: a line of fixed tensors that a graph can repeat",
    },
    # Pages.
    "viser.ViserServer": {
        "_websock_server": "read: there is no public way to have browsers run a script",
    },
}
"""By class or module: its member, and what for."""

PARAMETERS: dict[str, str] = {
    "mujoco_warp._src.collision_core.contact_margin_gap": (
        "geom_margin geom_gap pair_margin pair_gap geoms pairid worldid"
    ),
    "mujoco_warp._src.collision_core.contact_material_params": (
        "geom_condim geom_priority geom_solmix geom_solref geom_solimp geom_friction pair_dim "
        "pair_solref pair_solreffriction pair_solimp pair_friction geoms pairid worldid"
    ),
    "mujoco_warp._src.collision_core.create_collision_context": "naconmax",
    "mujoco_warp._src.collision_core.write_contact": (
        "naconmax_in id_ dist_in pos_in frame_in margin_in gap_in condim_in friction_in "
        "solref_in solreffriction_in solimp_in geoms_in pairid_in worldid_in contact_dist_out "
        "contact_pos_out contact_frame_out contact_includemargin_out contact_friction_out "
        "contact_solref_out contact_solreffriction_out contact_solimp_out contact_dim_out "
        "contact_geom_out contact_efc_address_out contact_worldid_out contact_type_out "
        "contact_geomcollisionid_out nacon_out"
    ),
    "mujoco_warp._src.collision_driver._add_geom_pair": (
        "geom_type nxn_pairid naconmax_in geom1 geom2 worldid nxnid ncollision_out "
        "collision_pair_out collision_pairid_out collision_worldid_out"
    ),
    "mujoco_warp._src.collision_driver._broadphase_filter": (
        "opt_broadphase_filter ngeom_aabb ngeom_rbound ngeom_margin ngeom_gap"
    ),
    "mujoco_warp._src.collision_driver._narrowphase": "m d ctx",
    "mujoco_warp._src.math.make_frame": "a",
    "mujoco_warp._src.math.upper_trid_index": "n i j",
}
"""Parameters of what :mod:`rl_sim_env.compat.mujoco_warp` imports and kernels call by place: a
change would be seen only where a kernel is compiled."""
