"""mjlab's observation manager with stacked frames and a clip per group."""

from __future__ import annotations

from collections import ChainMap
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Annotated, Any

import torch
from mjlab.managers.observation_manager import ObservationGroupCfg, ObservationManager

from rl_sim_env.configuration.limits import COUNT
from rl_sim_env.cuda_graphs import fork_join
from rl_sim_env.envs.episode_meter import Totals
from rl_sim_env.errors import UserError
from rl_sim_env.learning.layout import GroupLayout, ObservationLayout, TermLayout
from rl_sim_env.learning.reward_faults import OBSERVATION_FAULTS

if TYPE_CHECKING:
    from mjlab.envs import ManagerBasedRlEnv


@dataclass(kw_only=True)
class FrameStackCfg:
    """A group that holds the last frames of another group, oldest first.

    mjlab's own history is term by term; an encoder of whole frames needs frame by frame, with the
    very noise that the source group showed.
    """

    source: str
    """Group whose frames are stacked."""

    length: Annotated[int, COUNT]
    """Number of frames, the newest included."""


LARGEST_OBSERVATION = 1e6
"""A scaled observation beyond this, or before minus this, is absurd: a clip would hide it."""


class StackedObservationManager(ObservationManager):
    """Observation manager that adds stacked groups after the others and clips every group."""

    def __init__(
        self,
        cfg: dict[str, ObservationGroupCfg],
        env: ManagerBasedRlEnv,
        stacks: dict[str, FrameStackCfg],
        clip: float,
        num_robots: int,
    ) -> None:
        self._clip = clip
        self._num_robots = num_robots
        self._stacks = stacks
        super().__init__(cfg, env)
        self._latest: dict[str, torch.Tensor] = {}
        # Faults of each column of a group, and behind them the robot-steps that were looked at.
        self._tallies = {
            name: torch.zeros(1 + sum(dim[0] for dim in dims), dtype=torch.long, device=env.device)
            for name, dims in self._group_obs_term_dim.items()
        }
        self._frames: dict[str, torch.Tensor] = {}
        self._just_reset: dict[str, torch.Tensor] = {}
        for name, stack in stacks.items():
            if stack.source not in self._group_obs_term_dim:
                raise UserError(
                    f"observation group '{name}' stacks '{stack.source}', which does not exist or "
                    f"is switched off; there are {', '.join(self._group_obs_term_dim)}"
                )
            width = sum(dim[0] for dim in self._group_obs_term_dim[stack.source])
            self._frames[name] = torch.zeros(env.num_envs, stack.length, width, device=env.device)
            self._just_reset[name] = torch.ones(env.num_envs, dtype=torch.bool, device=env.device)
            self._group_obs_dim[name] = (stack.length * width,)
            self._group_obs_term_names[name] = [
                f"{term}[t-{age}]"
                for age in reversed(range(stack.length))
                for term in self._group_obs_term_names[stack.source]
            ]
            self._group_obs_term_dim[name] = self._group_obs_term_dim[stack.source] * stack.length
            self._group_obs_term_cfgs[name] = self._group_obs_term_cfgs[stack.source] * stack.length
            self._group_obs_concatenate[name] = True

    def layout(self) -> ObservationLayout:
        """Names, widths and scales of all terms of all groups."""
        groups = {}
        for group in self.cfg:
            terms = zip(
                self._group_obs_term_names[group],
                self._group_obs_term_dim[group],
                self._group_obs_term_cfgs[group],
                strict=True,
            )
            groups[group] = GroupLayout(
                terms=tuple(
                    TermLayout(name=name, width=dim[0], scale=_plain(cfg.scale))
                    for name, dim, cfg in terms
                )
            )
        for name, stack in self._stacks.items():
            groups[name] = GroupLayout(terms=groups[stack.source].terms, history=stack.length)
        return ObservationLayout(groups=groups)

    def compute(
        self, update_history: bool = False, env_ids: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor | dict[str, torch.Tensor]]:
        """Compute all groups; see mjlab's manager for the arguments and for what is kept."""
        if not update_history and self._obs_buffer is not None:
            return self._obs_buffer

        def family(name: str) -> dict[str, torch.Tensor]:
            """A group and the stacks of its frames."""
            names = [name, *(n for n, stack in self._stacks.items() if stack.source == name)]
            return {n: self.compute_group(n, update_history, env_ids) for n in names}

        sources = [name for name in self._group_obs_term_names if name not in self._stacks]
        groups = ChainMap(*fork_join(*(partial(family, name) for name in sources)))
        self._obs_buffer = {name: groups[name] for name in self._group_obs_term_names}
        return self._obs_buffer

    def compute_group(
        self, group_name: str, update_history: bool = False, env_ids: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Compute one group; see mjlab's manager for the arguments.

        Returns:
            Shape (num_envs, group width).
        """
        if group_name in self._stacks:
            return self._stack(group_name, advance=update_history and env_ids is None)
        obs = super().compute_group(group_name, update_history, env_ids)
        assert isinstance(obs, torch.Tensor), "groups are concatenated"
        if update_history:
            # NaN compares as False.
            faults = ~(obs[: self._num_robots].abs() <= LARGEST_OBSERVATION)
            self._tallies[group_name] += torch.nn.functional.pad(faults, (0, 1), value=True).sum(
                dim=0
            )
        self._latest[group_name] = obs.clamp_(-self._clip, self._clip)
        return self._latest[group_name]

    def read_faults(self) -> Totals:
        """In how many robot-steps a term was at fault since the last call, and of how many.

        By the names that are logged, those at fault only. Reads the device.
        """
        totals: Totals = {}
        for group, tally in self._tallies.items():
            *faults, robot_steps = tally.tolist()
            tally.zero_()
            dims = self._group_obs_term_dim[group]
            ends = list(accumulate(dim[0] for dim in dims))
            for name, dim, end in zip(self._group_obs_term_names[group], dims, ends, strict=True):
                # One bad value of several makes the term bad.
                if count := max(faults[end - dim[0] : end]):
                    totals[f"{OBSERVATION_FAULTS}{group}.{name}"] = (count, robot_steps)
        return totals

    def measure(self, group: str, term: str) -> torch.Tensor:
        """What a term says of the state: in its own unit, before noise, clip and scale.

        Args:
            group: Group of the term, which stacks no frames.
            term: Name of the term.

        Returns:
            Shape (num_envs, width).
        """
        cfg = self.get_term_cfg(group, term)
        return cfg.func(self._env, **cfg.params)

    def _stack(self, name: str, *, advance: bool) -> torch.Tensor:
        """Take in the source's newest frame, for all environments or only for those just reset."""
        newest = self._latest[self._stacks[name].source][:, None]
        frames = self._frames[name]
        running = torch.cat((frames[:, 1:], newest), dim=1) if advance else frames
        # An episode starts with its first frame in every place.
        just_reset = self._just_reset[name]
        torch.where(just_reset[:, None, None], newest, running, out=frames)
        just_reset.fill_(False)
        return frames.flatten(1).clone()

    def state_dict(self) -> dict[str, Any]:
        """What the policy sees now, drawn noise and all, and the frames that it goes on with."""
        return {"shown": self.compute(), "frames": self._frames, "just_reset": self._just_reset}

    def reset(self, env_ids: torch.Tensor | slice | None = None) -> dict[str, float]:
        """Forget the frames of the given environments; their next frame fills the stack."""
        info = super().reset(env_ids)
        ids = slice(None) if env_ids is None else env_ids
        for just_reset in self._just_reset.values():
            just_reset[ids] = True
        return info


def _plain(scale: torch.Tensor | float | tuple[float, ...] | None) -> float | tuple[float, ...]:
    if scale is None:
        return 1.0
    values = scale.tolist() if isinstance(scale, torch.Tensor) else scale
    return float(values) if isinstance(values, int | float) else tuple(values)
