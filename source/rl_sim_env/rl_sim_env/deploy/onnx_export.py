"""From a checkpoint to ONNX files that run without torch and without the simulator."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn

from rl_sim_env.atomic_file import write_atomically
from rl_sim_env.configuration import in_todays_form
from rl_sim_env.deploy.deployed_policy import ESTIMATES, HISTORY, MAP, MEMORY, OUTPUTS
from rl_sim_env.deploy.digest import with_digest
from rl_sim_env.deploy.drawn_facts import drawn_facts
from rl_sim_env.deploy.environment_facts import environment_facts
from rl_sim_env.deploy.exported_modules import OBSERVATIONS, STACK, PolicyModule
from rl_sim_env.deploy.metadata import (
    METADATA_KEY,
    NETWORK_FILE,
    POLICY_FILE,
    EstimateColumns,
    PolicyMetadata,
)
from rl_sim_env.errors import found_in
from rl_sim_env.learning.checkpoint import Checkpoint
from rl_sim_env.learning.estimate_cfg import EstimateCfg
from rl_sim_env.learning.layout import ObservationLayout
from rl_sim_env.learning.policy import AmpVaePolicy
from rl_sim_env.learning.run_files import RunFiles
from rl_sim_env.tasks import find_task

OPSET = 18
"""ONNX operator set of both files: the exporter's own, which needs no conversion."""

_EXAMPLE_ROBOTS = 2
"""Robots that the exporter is shown: of one alone it takes it that there is always one."""


def export_folder(checkpoint_path: Path) -> Path:
    """Where the files of a checkpoint go unless told otherwise: ``exported/``, beside it."""
    return checkpoint_path.parent / "exported" / checkpoint_path.stem


def load_module(checkpoint_path: Path) -> tuple[PolicyModule, PolicyMetadata]:
    """What an export is made of: the policy of a checkpoint on raw sensor values, and its facts.

    Facts of the robot come from the environment's configuration that the checkpoint holds.

    Raises:
        UserError: The checkpoint does not fit or does not say in which environment it was trained.
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
    return PolicyModule(policy, metadata), metadata


def export_policy(checkpoint_path: Path, folder: Path) -> tuple[Path, Path]:
    """Write the policy of a checkpoint as :data:`POLICY_FILE` and :data:`NETWORK_FILE`.

    Args:
        checkpoint_path: The checkpoint.
        folder: Where the files go; it is made where it is missing.

    Returns:
        Paths of both files.

    Raises:
        UserError: See :func:`load_module`, or a file could not be written.
    """
    return export_module(*load_module(checkpoint_path), folder)


def export_module(
    module: PolicyModule, metadata: PolicyMetadata, folder: Path
) -> tuple[Path, Path]:
    """Write what :func:`load_module` returned; see :func:`export_policy`."""
    policy, layout = module.network.policy, ObservationLayout.from_dict(metadata.layout)
    stack = layout.groups[STACK]
    robots = _EXAMPLE_ROBOTS
    history = torch.zeros(robots, stack.history, stack.frame_width)
    values = {
        name: torch.zeros(robots, layout.term(OBSERVATIONS, name).width) for name in module.terms
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


def _columns(layout: ObservationLayout, group: str, term: str) -> tuple[int, int]:
    columns = layout.slice(group, term)
    return columns.start, columns.stop
