"""Older checkpoints in the present format: the one place that knows what they looked like."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch

from rl_sim_env.configuration import to_plain
from rl_sim_env.errors import Notice, UserError
from rl_sim_env.learning.config import AmpVaeRunnerCfg, ContextVaeCfg
from rl_sim_env.learning.constraints_cfg import ConstraintsCfg
from rl_sim_env.learning.estimate_cfg import velocity_mass_com
from rl_sim_env.learning.footholds_cfg import FootholdsCfg
from rl_sim_env.learning.policy import POLICY_STATE

_FORMER_MAP_ENCODER = "vae.map_encoder.embed_features.weight"
"""A parameter that only the encoder had that the estimator of robots that see began with."""


def upgrade(content: dict[str, Any], version: object) -> dict[str, Any] | None:
    """Bring what a file held up to the present format.

    Args:
        content: Fields of the checkpoint.
        version: Format of the file.

    Returns:
        The fields in the present format; None where the file is too old, or too new.

    Raises:
        UserError: It lacks what files of its format have.
    """
    if not isinstance(version, int):
        return None
    while version != FORMAT_VERSION:
        if version not in _STEPS:
            return None
        try:
            content = _STEPS[version](content)
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise UserError(
                f"does not hold what a file of format {version} does ({error!r})"
            ) from error
        version += 1
    return content


def require_todays_networks(algorithm: Mapping[str, Any]) -> None:
    """Refuse a policy whose networks nothing of today can stand in for.

    Args:
        algorithm: What the algorithm has saved.

    Raises:
        UserError: It is one; the message says which, and what can be done with it.
    """
    policy = algorithm.get(POLICY_STATE)
    if isinstance(policy, Mapping) and _FORMER_MAP_ENCODER in policy:
        raise UserError(
            "a policy whose map encoder is of before: layers of attention with a token of what is "
            "felt, in place of which one query reads the map now. This program can neither play, "
            "export nor continue it; the one that trained it can (git.diff in the folder of its "
            "run begins with the commit), and a policy.onnx that was exported then drives a robot "
            "as ever. Here, train a policy that sees anew"
        )


def _from_3(content: dict[str, Any]) -> dict[str, Any]:
    """Three learners that nobody could choose, and three quantities that nobody had to declare."""
    config = content["config"]
    learning = "rl_sim_env.learning"
    mlp = {"class_name": "rsl_rl.models:MLPModel", "settings": {}}
    vae = config["vae"]
    config = {
        **config,
        "actor": {**config["actor"], **mlp, "obs_groups": ["estimate", "latent", "actor_obs"]},
        "critic": {**config["critic"], **mlp, "obs_groups": ["critic_obs"]},
        "vae": {
            **vae,
            "class_name": f"{learning}.context_vae:ContextVae",
            "obs_groups": ["vae_obs"],
            "settings": {},
            "targets": _targets_of_3(vae),
            **dict.fromkeys(("com_scale", "velocity_weight", "mass_weight", "com_weight")),
        },
        "learners": {
            name: {"class_name": f"{learning}.{class_name}", "settings": {}}
            for name, class_name in (
                ("estimator", "estimator_learner:EstimatorLearner"),
                ("policy", "ppo:PpoLearner"),
                ("discriminator", "amp:DiscriminatorLearner"),
            )
        },
    }
    return {**content, "config": config, "algorithm": _algorithm_from_3(content["algorithm"])}


def _targets_of_3(vae: dict[str, Any]) -> dict[str, Any]:
    """What was estimated, at the scale and with the weights that the file names."""
    settings = {
        "velocity": {"weight": vae["velocity_weight"]},
        "mass": {"weight": vae["mass_weight"]},
        "com": {"weight": vae["com_weight"], "factor": vae["com_scale"]},
    }
    return {name: to_plain(of) | settings[name] for name, of in velocity_mass_com().items()}


def _algorithm_from_3(state: dict[str, Any]) -> dict[str, Any]:
    policy = {"policy_state_dict": state["policy_state_dict"]}
    if "actor_state_dict" not in state:
        return policy
    optimizer = state["optimizer_state_dict"]
    return {
        **policy,
        "learners": {
            "estimator": {
                "modules": {"vae": state["vae_state_dict"]},
                "optimizer": state["vae_optimizer_state_dict"],
                "adaboot": state["adaboot"],
            },
            "policy": {
                "modules": {
                    "actor": state["actor_state_dict"],
                    "critic": state["critic_state_dict"],
                },
                "optimizer": optimizer,
                "learning_rate": optimizer["param_groups"][0]["lr"],
            },
            "discriminator": {
                "modules": {"discriminator": state["discriminator_state_dict"]},
                "optimizer": state["discriminator_optimizer_state_dict"],
            },
        },
        "process": {
            "learners": {
                "estimator": {"memory": state["memory"]},
                "policy": {},
                "discriminator": {"replay": state["replay"]},
            },
            "episodes": state["episodes"],
        },
    }


def _from_4(content: dict[str, Any]) -> dict[str, Any]:
    """What the learners of rank 0 alone had of their own; no running episodes."""
    algorithm = dict(content["algorithm"])
    config = content["config"] | {
        "save_environment": True,
        "heartbeat_seconds": AmpVaeRunnerCfg.heartbeat_seconds,
    }
    if "learners" not in algorithm:
        return {**content, "config": config}
    own = algorithm.pop("process")
    if "estimator" in algorithm["learners"]:
        estimator = dict(algorithm["learners"]["estimator"])
        adaboot = dict(estimator["adaboot"])
        draws = {"uses_estimate": adaboot.pop("uses_estimate")}
        algorithm["learners"] = algorithm["learners"] | {
            "estimator": estimator | {"adaboot": adaboot}
        }
        learners = own["learners"]
        own = own | {"learners": learners | {"estimator": learners["estimator"] | draws}}
    processes = [process | {"algorithm": own} for process in content["processes"]]
    return {**content, "config": config, "algorithm": algorithm, "processes": processes}


def _from_5(content: dict[str, Any]) -> dict[str, Any]:
    """Estimates had no variances, and limits were kept by penalties alone.

    Variances that nobody has trained are neither played nor exported.
    """
    config = content["config"]
    variance = {"variance_log_range": list(ContextVaeCfg().variance_log_range)}
    vae = config["vae"] | variance | {"variance_weight": 0.0}
    constraints = to_plain(ConstraintsCfg())
    return {**content, "config": config | {"vae": vae, "constraints": constraints}}


def _from_6(content: dict[str, Any]) -> dict[str, Any]:
    """Nobody wrote down what a policy began with, nor learned where feet come down.

    Estimators learned from whole mini-batches.
    """
    config = content["config"]
    config = config | {
        "vae": config["vae"] | {"batch_share": 1.0},
        "footholds": to_plain(FootholdsCfg()),
        "constraints": _constraints_of_6(config["constraints"]),
    }
    return {**content, "config": config, "ancestors": []}


def _constraints_of_6(constraints: dict[str, Any]) -> dict[str, Any]:
    """Settings of strategies but for one of N-P3O and one of IPO, which nothing has replaced."""
    strategy, settings = constraints["strategy"], dict(constraints["settings"])
    gone = {"np3o": "growth", "ipo": "unit"}.get(strategy)
    if gone in settings:
        warnings.warn(
            Notice(
                f"agent.constraints.settings: {strategy} of today has no '{gone}': "
                f"{settings.pop(gone)!r} is left out, and docs/constraints.md says what there is"
            ),
            stacklevel=2,
        )
    return constraints | {"settings": settings}


def _from_7(content: dict[str, Any]) -> dict[str, Any]:
    """Nobody counted updates: once an iteration is done, every parameter has had some."""
    algorithm = content["algorithm"]
    if "learners" not in algorithm:
        return content
    fewest = 1.0 if content["iteration"] >= 0 else 0.0
    learners = {
        name: state | {"updates": _updates_of_7(state["optimizer"], fewest)}
        for name, state in algorithm["learners"].items()
        if state["optimizer"]
    }
    return {**content, "algorithm": algorithm | {"learners": algorithm["learners"] | learners}}


def _updates_of_7(optimizer: Mapping[str, Any], fewest: float) -> torch.Tensor:
    """Updates of each parameter by its moments, shape (parameters,), but no fewer than these."""
    moments = optimizer["state"]
    indices = [index for group in optimizer["param_groups"] for index in group["params"]]
    return torch.tensor([float(moments.get(each, {}).get("step", fewest)) for each in indices])


_STEPS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {
    3: _from_3,
    4: _from_4,
    5: _from_5,
    6: _from_6,
    7: _from_7,
}
"""What brings a format up to the next, by its version."""

FORMAT_VERSION = max(_STEPS) + 1
"""Version that this program writes."""
