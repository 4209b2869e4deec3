"""From a checkpoint to ONNX files that run without torch and without the simulator."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_type_hints

import onnx
import torch
from mjlab.utils.string import resolve_field
from torch import nn

from rl_sim_env.configuration import in_todays_form
from rl_sim_env.deploy.deployed_policy import (
    ESTIMATES,
    GROUND,
    HISTORY,
    LAST_ACTION,
    MAP,
    MEMORY,
    OUTPUTS,
    SENSORS,
    STD,
)
from rl_sim_env.deploy.digest import with_digest
from rl_sim_env.deploy.drawn_facts import drawn_facts
from rl_sim_env.deploy.map_facts import map_facts
from rl_sim_env.deploy.metadata import (
    METADATA_KEY,
    NETWORK_FILE,
    POLICY_FILE,
    EstimateColumns,
    PolicyMetadata,
    RobotParts,
)
from rl_sim_env.errors import UserError, found_in
from rl_sim_env.learning.atomic_file import write_atomically
from rl_sim_env.learning.checkpoint import Checkpoint
from rl_sim_env.learning.estimate_cfg import EstimateCfg
from rl_sim_env.learning.layout import ObservationLayout
from rl_sim_env.learning.policy import AmpVaePolicy
from rl_sim_env.learning.run_files import RunFiles
from rl_sim_env.mdp.actions import bounded_actions
from rl_sim_env.robots.robot import DRIVE_FIELDS
from rl_sim_env.tasks import find_task
from rl_sim_env.typed import typed

OPSET = 18
"""ONNX operator set of both files: the exporter's own, which needs no conversion."""

_EXAMPLE_ROBOTS = 2
"""Robots that the exporter is shown: of one alone it takes it that there is always one."""

_OBSERVATIONS = "actor_obs"
_STACK = "vae_obs"
_ACTION = "joint_pos"
_MAP_GROUP = "exteroception"
_MAP_TERMS = ("heights", "seen")
_RECONSTRUCTION = "terrain_estimate"


class NetworkModule(nn.Module):
    """The policy on observations: actions, and the estimates side by side.

    Args:
        policy: The policy.

    Attributes:
        further: Names of what it returns beyond actions, estimates and memory: standard deviations
            of the estimates, where the policy tells them, and the ground that it reconstructs.
    """

    def __init__(self, policy: AmpVaePolicy) -> None:
        super().__init__()
        self.policy = policy
        self.further = () if policy.vae.variance is None else (STD,)
        self.further += tuple(name for name in policy.vae.reconstructs if name == _RECONSTRUCTION)

    def forward(self, inputs: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Run the networks.

        Args:
            inputs: Groups that the policy reads, shape (N, width of the group) each, and
                ``memory``, shape (N, memory width), zeros where an episode begins.

        Returns:
            Raw actions, shape (N, joints), estimates in SI units, shape (N, width of all), the next
            memory, and ``further``: deviations, shaped like the estimates, and the ground as it
            is observed, shape (N, cells).
        """
        output = self.policy(inputs, inputs[MEMORY])
        further = () if output.std is None else (output.std.joined(),)
        further += tuple(
            output.reconstructions[name] for name in self.further if name == _RECONSTRUCTION
        )
        return output.actions, output.estimate.joined(), output.memory, *further


class PolicyModule(nn.Module):
    """The policy on raw sensor values, with scaling, clipping and history inside.

    Args:
        policy: The policy.
        metadata: Facts that the observations and joint targets are made with.

    Raises:
        UserError: The policy observes something that no input provides.
    """

    default_joint_pos: torch.Tensor
    action_scale: torch.Tensor
    target_low: torch.Tensor
    target_high: torch.Tensor
    largest_change: torch.Tensor

    def __init__(self, policy: AmpVaePolicy, metadata: PolicyMetadata) -> None:
        super().__init__()
        self.network = NetworkModule(policy)
        layout = ObservationLayout.from_dict(metadata.layout)
        for group in policy.groups:
            if group == _MAP_GROUP and metadata.map is not None:
                continue
            if group not in (_OBSERVATIONS, _STACK):
                raise UserError(
                    f"the policy reads observation group '{group}', which no sensor of a deployed "
                    f"robot shows; one that is deployed reads {_OBSERVATIONS} and {_STACK}"
                )
        if layout.names(_STACK) != layout.names(_OBSERVATIONS):
            raise UserError(
                f"observation group '{_STACK}' does not stack '{_OBSERVATIONS}', so that no "
                "history can be exported; make it a stack of that group"
            )
        self.terms = layout.names(_OBSERVATIONS)
        unknown = [name for name in self.terms if name not in (*SENSORS, LAST_ACTION)]
        if unknown:
            raise UserError(
                f"observation term '{unknown[0]}' of group '{_OBSERVATIONS}': a deployed policy "
                f"has no input for it; it has {', '.join((*SENSORS, LAST_ACTION))}"
            )
        self.clip = metadata.observation_clip
        self.map = metadata.map if _MAP_GROUP in policy.groups else None
        if self.map is not None:
            if layout.names(_MAP_GROUP) != _MAP_TERMS:
                raise UserError(
                    f"observation group '{_MAP_GROUP}' has the terms "
                    f"{', '.join(layout.names(_MAP_GROUP))}; a map is {' and '.join(_MAP_TERMS)}"
                )
            self.height_scale = layout.term(_MAP_GROUP, _MAP_TERMS[0]).scales[0]
        self.further = tuple(
            GROUND if name == _RECONSTRUCTION else name for name in self.network.further
        )
        for name in self.terms:
            scales = torch.tensor(layout.term(_OBSERVATIONS, name).scales)
            self.register_buffer(_scale_of(name), scales)
        self.register_buffer("default_joint_pos", torch.tensor(metadata.default_joint_pos))
        self.register_buffer("action_scale", torch.tensor(metadata.action_scale))
        limits = metadata.target_limits or ((-math.inf, math.inf),) * len(metadata.joint_names)
        low, high = torch.tensor(limits).unbind(dim=-1)
        self.register_buffer("target_low", low)
        self.register_buffer("target_high", high)
        rates = metadata.target_rates or (math.inf,) * len(metadata.joint_names)
        change = metadata.control_period * torch.tensor(rates) / self.action_scale
        self.register_buffer("largest_change", change)
        self.is_bounded = metadata.target_rates is not None
        if self.is_bounded and LAST_ACTION not in self.terms:
            raise UserError(
                f"the rates of its targets are limited, but it does not observe '{LAST_ACTION}', "
                "from which a deployed policy knows the target before"
            )

    def forward(self, inputs: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Run one control step.

        Args:
            inputs: ``history``, the last frames, oldest first, shape (N, frames, frame width);
                where it is NaN there was no frame yet, and the newest stands in its place;
                ``memory``, shape (N, memory width), where NaN counts as zero; where the policy
                sees, ``map``, heights of the ground over the base [m], shape (N, rows, cells of a
                row), NaN where unseen. And one
                tensor for each of ``terms``, shape (N, width): what
                :class:`rl_sim_env.deploy.SensorReading` says, and the raw actions of the step
                before, where NaN counts as zero.

        Returns:
            Joint targets [rad], estimates, the next ``history``, the raw actions, the next
            ``memory``, and ``further``: the ground over the base [m], shaped like the map.
        """
        scaled = [
            self._in_si(name, inputs[name]) * self.get_buffer(_scale_of(name))
            for name in self.terms
        ]
        frame = torch.cat(scaled, dim=-1).clamp(-self.clip, self.clip)
        newest = frame[:, None]
        earlier = inputs[HISTORY][:, 1:]
        frames = torch.cat((torch.where(earlier.isnan(), newest, earlier), newest), dim=1)
        memory = torch.where(inputs[MEMORY].isnan(), 0.0, inputs[MEMORY])
        observations = {_OBSERVATIONS: frame, _STACK: frames.flatten(1), MEMORY: memory}
        if self.map is not None:
            observations[_MAP_GROUP] = self._as_observed(inputs[MAP])
        actions, estimates, memory, *rest = self.network(observations)
        further = [
            self._as_given(values) if name == _RECONSTRUCTION else values
            for name, values in zip(self.network.further, rest, strict=True)
        ]
        if self.is_bounded:
            actions = self._bound(actions, self._in_si(LAST_ACTION, inputs[LAST_ACTION]))
        targets = self.default_joint_pos + self.action_scale * actions
        targets = torch.clamp(targets, self.target_low, self.target_high)
        return targets, estimates, frames, actions, memory, *further

    def _as_observed(self, given: torch.Tensor) -> torch.Tensor:
        """A map as the environment shows it, shape (N, rows, cells of a row) -> (N, 2 cells)."""
        assert self.map is not None
        heights = given.flatten(1)
        is_unseen = heights.isnan()
        shown = (heights + self.map.reference).clamp(*self.map.height_range) * self.height_scale
        return torch.cat((torch.where(is_unseen, 0.0, shown), (~is_unseen).float()), dim=-1)

    def _as_given(self, observed: torch.Tensor) -> torch.Tensor:
        """Heights as maps have them."""
        assert self.map is not None
        heights = observed / self.height_scale - self.map.reference
        return heights.unflatten(-1, self.map.shape)

    def _bound(self, actions: torch.Tensor, previous: torch.Tensor) -> torch.Tensor:
        """As in training, :meth:`rl_sim_env.mdp.actions.LegPositionAction.bound`."""
        low, high = (
            (limit - self.default_joint_pos) / self.action_scale
            for limit in (self.target_low, self.target_high)
        )
        bounded = bounded_actions(actions, previous, low, high, self.largest_change)
        # What is not finite shall be seen, and not be driven.
        return torch.where(actions - actions == 0.0, bounded, actions)

    def _in_si(self, term: str, value: torch.Tensor) -> torch.Tensor:
        """What the environment observes, before its scale."""
        if term == "joint_pos":
            return value - self.default_joint_pos
        if term == LAST_ACTION:
            return torch.where(value.isnan(), 0.0, value)
        return value


def _scale_of(term: str) -> str:
    return f"scale_of_{term}"


def export_folder(checkpoint_path: Path) -> Path:
    """Where the files of a checkpoint go unless told otherwise: ``exported/``, beside it."""
    return checkpoint_path.parent / "exported" / checkpoint_path.stem


def export_policy(checkpoint_path: Path, folder: Path) -> tuple[Path, Path]:
    """Write the policy of a checkpoint as :data:`POLICY_FILE` and :data:`NETWORK_FILE`.

    Facts of the robot come from the environment's configuration that the checkpoint holds.

    Args:
        checkpoint_path: The checkpoint.
        folder: Where the files go; it is made where it is missing.

    Returns:
        Paths of both files.

    Raises:
        UserError: The checkpoint does not fit or does not say in which environment it was trained,
            or a file could not be written.
    """
    checkpoint = Checkpoint.load(checkpoint_path)
    commit = RunFiles.read(checkpoint_path.parent).commit
    env = in_todays_form(
        checkpoint.trained_env_cfg(checkpoint_path), find_task(checkpoint.task).robot
    )
    cfg = checkpoint.runner_cfg(checkpoint_path)
    with found_in(checkpoint_path):
        metadata = _metadata(checkpoint, checkpoint_path.name, commit, env, cfg.vae.estimated())
    layout = ObservationLayout.from_dict(checkpoint.layout)
    # New networks draw random weights first, of which a training run around this must not notice.
    with torch.random.fork_rng(devices=()):
        policy = AmpVaePolicy.from_saved(
            checkpoint.algorithm,
            layout,
            len(metadata.joint_names),
            cfg,
            "cpu",
            checkpoint_path,
        )
    metadata = _with_trained_range(metadata, policy)
    module = PolicyModule(policy, metadata)
    stack = layout.groups[_STACK]
    robots = _EXAMPLE_ROBOTS
    history = torch.zeros(robots, stack.history, stack.frame_width)
    values = {
        name: torch.zeros(robots, layout.term(_OBSERVATIONS, name).width) for name in module.terms
    }
    memory = {MEMORY: policy.initial_memory(robots)}
    if module.map is not None:
        values[MAP] = torch.zeros(robots, *module.map.shape)
    observations = {group: torch.zeros(robots, layout.width(group)) for group in policy.groups}
    models = {
        folder / POLICY_FILE: _to_onnx(
            module, {HISTORY: history, **memory, **values}, (*OUTPUTS, *module.further)
        ),
        folder / NETWORK_FILE: _to_onnx(
            module.network,
            observations | memory,
            ("actions", ESTIMATES, f"next_{MEMORY}", *module.network.further),
        ),
    }
    for path, model in models.items():
        onnx.helper.set_model_props(model, {METADATA_KEY: metadata.to_json()})
        write_atomically(path, with_digest(model.SerializeToString()))
    policy_path, network_path = models
    return policy_path, network_path


def _to_onnx(
    module: nn.Module, examples: Mapping[str, torch.Tensor], outputs: Sequence[str]
) -> onnx.ModelProto:
    """A module as an ONNX model with any number of robots.

    Args:
        module: The module; it takes a mapping of inputs.
        examples: One value of each input, by name.
        outputs: Names of the outputs.
    """
    with warnings.catch_warnings():
        # The exporter warns of its own deprecated calls, and that all inputs share one axis.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(),
            kwargs={"inputs": dict(examples)},
            input_names=list(examples),
            output_names=list(outputs),
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes={"inputs": {name: {0: "robots"} for name in examples}},
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    # Where in our sources each node comes from is of no use on a robot.
    for node in model.graph.node:
        del node.metadata_props[:]
    onnx.checker.check_model(model, full_check=True)
    return model


def _metadata(
    checkpoint: Checkpoint,
    file_name: str,
    commit: str,
    env: Mapping[str, Any],
    estimated: Mapping[str, EstimateCfg],
) -> PolicyMetadata:
    """The facts of a policy, from its checkpoint and the plain values of its environment.

    Raises:
        UserError: The environment's configuration lacks a fact.
    """
    layout = ObservationLayout.from_dict(checkpoint.layout)
    metadata = PolicyMetadata(
        task=checkpoint.task,
        iteration=checkpoint.iteration,
        checkpoint=file_name,
        training_commit=commit,
        layout=checkpoint.layout,
        estimates=tuple(
            EstimateColumns(
                name=name,
                width=layout.term(each.group, each.term).width,
                unit=each.unit,
                declared=asdict(each),
            )
            for name, each in estimated.items()
        ),
        slices={
            group: {name: _columns(layout, group, name) for name in layout.names(group)}
            for group in layout.groups
        },
        drawn=drawn_facts(env),
        **environment_facts(env),
    )
    metadata.require_sense()
    return metadata


def _with_trained_range(metadata: PolicyMetadata, policy: AmpVaePolicy) -> PolicyMetadata:
    """The facts with the range of each estimate's truth in training, where it is known."""
    trained = policy.trained_range()
    if trained is None:
        return metadata
    estimates = (
        replace(columns, trained_range=tuple(map(tuple, trained[columns.name].T.tolist())))
        for columns in metadata.estimates
    )
    return replace(metadata, estimates=tuple(estimates))


def environment_facts(env: Mapping[str, Any]) -> dict[str, Any]:
    """What :class:`PolicyMetadata` says of an environment, by field.

    Args:
        env: The environment's configuration, as plain values.

    Raises:
        UserError: It lacks a fact.
    """
    try:
        description = env["robot"]
        joints = tuple(description["leg_joints"])
        action = env["actions"][_ACTION]
        robot = env["scene"]["entities"][action["entity_name"]]
        drive = next(
            actuator
            for actuator in robot["articulation"]["actuators"]
            if set(actuator["target_names_expr"]) == set(joints)
        )
        limits = action["clip"] and resolve_field(action["clip"], joints)
        rates = action["max_target_rate"] if action["bounded"] else None
        facts = {
            "joint_names": joints,
            "default_joint_pos": resolve_field(robot["init_state"]["joint_pos"], joints, 0.0),
            **{
                name: tuple(drive["drives"][joint][name] for joint in joints)
                for name in DRIVE_FIELDS
            },
            "action_scale": resolve_field(action["scale"], joints, 1.0),
            "target_limits": None if limits is None else tuple(map(tuple, limits)),
            "target_rates": None if rates is None else tuple(rates[joint] for joint in joints),
            "control_period": env["decimation"] * env["sim"]["mujoco"]["timestep"],
            "observation_clip": env["observation_clip"],
            "robot": _robot_parts(description),
            "map": map_facts(env),
        }
    except (LookupError, TypeError, ValueError, AttributeError, StopIteration, re.error) as error:
        raise UserError(
            f"the environment's configuration does not say what a robot needs to know ({error!r}); "
            "export with the version of rl_sim_env that trained the policy"
        ) from error
    hints = get_type_hints(PolicyMetadata)
    return {name: typed(value, hints[name], name) for name, value in facts.items()}


def require_same_environment(
    metadata: PolicyMetadata, env: Mapping[str, Any], source: Path
) -> None:
    """Check that an environment is what an exported policy was trained in, as far as it says.

    Args:
        metadata: Facts of the policy.
        env: The environment's configuration, as plain values.
        source: Where the facts were read from, for the message.

    Raises:
        UserError: They differ; the message names each fact with both values.
    """
    differences = [
        f"{name} was {getattr(metadata, name)}, is {value}"
        for name, value in environment_facts(env).items()
        if getattr(metadata, name) != value
    ]
    if differences:
        raise UserError(
            f"{source}: the environment is not that of the policy's training: "
            f"{'; '.join(differences)}. Evaluate the checkpoint, which brings its environment, or "
            "give the settings of the training"
        )


def _columns(layout: ObservationLayout, group: str, term: str) -> tuple[int, int]:
    columns = layout.slice(group, term)
    return columns.start, columns.stop


def _robot_parts(description: Mapping[str, Any]) -> RobotParts:
    legs, payload = description["legs"], description["payload"] or {}
    return RobotParts(
        base_body=description["base_body"],
        feet=tuple(leg["foot_site"] for leg in legs),
        foot_geoms=tuple(leg["foot_geom"] for leg in legs),
        load_body=payload.get("body"),
        arm_angle_joint=payload.get("angle_joint"),
        arm_length_joint=payload.get("length_joint"),
    )
