"""Curricula: both rise with what the robot can do, not with the clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch

from rl_sim_env.configuration.limits import NOT_NEGATIVE, SHARE

if TYPE_CHECKING:
    from rl_sim_env.envs import AmpVaeEnv


def terrain_levels(
    env: AmpVaeEnv,
    env_ids: torch.Tensor,
    *,
    promote: Annotated[float, NOT_NEGATIVE],
    demote: Annotated[float, NOT_NEGATIVE],
    min_distance: Annotated[float, NOT_NEGATIVE],
) -> dict[str, torch.Tensor]:
    """Harder terrain for robots that go where they are told, easier for those that do not.

    Judged by progress: the distance moved along the command over the distance commanded. That
    works for slow and for reversing commands alike, which the net displacement does not. Episodes
    that commanded less than ``min_distance`` [m] say nothing about the terrain, unless the robot
    fell in them.

    Args:
        env: The environment.
        env_ids: Environments whose episode has ended.
        promote: Progress above which a robot that did not fall moves up.
        demote: Progress below which a robot moves down.
        min_distance: Commanded distance that an episode needs to be judged [m].

    Returns:
        Mean level, and mean level by terrain family.
    """
    terrain, command = env.terrain, env.velocity_command
    commanded = command.commanded_distance[env_ids]
    ratio = command.progress[env_ids] / commanded.clamp(min=1e-6)
    fell = env.termination_manager.terminated[env_ids]
    judged = commanded > min_distance
    move_up = judged & (ratio > promote) & ~fell
    move_down = (judged & (ratio < demote)) | fell
    ended = command.steps[env_ids] > 0
    terrain.update_env_origins(env_ids, move_up & ended, move_down & ended)
    levels, family = terrain.terrain_levels.float(), env.terrain_types.ids
    names = env.terrain_types.names
    total, robots = torch.zeros(2, len(names), device=levels.device)
    total.index_add_(0, family, levels)
    robots.index_add_(0, family, torch.ones_like(levels))
    of_family = total / robots.clamp(min=1.0)
    return {"mean": levels.mean(), **dict(zip(names, of_family.unbind(), strict=True))}


def command_levels(
    env: AmpVaeEnv,
    env_ids: torch.Tensor,
    *,
    raise_above: Annotated[float, SHARE],
    lower_below: Annotated[float, SHARE],
    step: Annotated[float, NOT_NEGATIVE],
    min_steps: Annotated[int, NOT_NEGATIVE],
) -> dict[str, torch.Tensor]:
    """Wider commands on a terrain family whose episodes track well, narrower where they do not.

    Args:
        env: The environment.
        env_ids: Environments whose episode has ended.
        raise_above: Mean tracking over the episode's steps above which the level rises.
        lower_below: Mean tracking below which the level falls.
        step: Change of the level, whole range 1, when all robots of a family report at once; a
            part of them moves it in proportion.
        min_steps: Shorter episodes are not judged, falls included (they count as 0).

    Returns:
        Level in [0, 1] by terrain family.
    """
    command = env.velocity_command
    steps = command.steps[env_ids]
    fell = env.termination_manager.terminated[env_ids]
    tracking = command.tracking[env_ids] / steps.clamp(min=1.0)
    tracking = torch.where(fell, 0.0, tracking)
    judged = (steps >= min_steps) | (fell & (steps > 0))
    vote = (tracking > raise_above).float() - (tracking < lower_below).float()
    family = command.family[env_ids]
    votes = torch.zeros_like(command.level).index_add_(0, family, vote * judged)
    # Not bincount, which reads the device.
    robots = torch.zeros_like(command.level).index_add_(
        0, command.family, torch.ones_like(command.steps)
    )
    command.level.add_(step * votes / robots.clamp(min=1.0)).clamp_(0.0, 1.0)
    return dict(zip(command.family_names, command.level.unbind(), strict=True))
