"""mjlab's managers without the reads that make the host wait for the device in every step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from mjlab.envs.mdp import rewards as mjlab_rewards
from mjlab.managers.curriculum_manager import CurriculumManager
from mjlab.managers.event_manager import EventManager, EventMode, EventTermCfg, RecomputeLevel
from mjlab.managers.manager_base import ManagerTermBaseCfg
from mjlab.managers.reward_manager import RewardManager, RewardTermCfg
from mjlab.managers.termination_manager import TerminationManager

from rl_sim_env.envs.episode_meter import Totals, read_tally
from rl_sim_env.errors import UserError
from rl_sim_env.learning.reward_faults import REWARD_FAULTS
from rl_sim_env.mdp import rewards

if TYPE_CHECKING:
    from rl_sim_env.envs.amp_vae_env import AmpVaeEnv

_JUDGE_NO_STATE = (rewards.is_terminated, mjlab_rewards.is_terminated)
"""Reward functions that hold for a robot whose physics has broken down: they ask how its episode
ended. What others say of its state means nothing."""

_TIME_TOLERANCE = 1e-6
"""A timer with less left than this [s] has run out."""


class DeviceEventManager(EventManager):
    """Event manager whose interval events find their environments as resets do.

    Raises:
        UserError: An interval event has one timer for all environments.
    """

    def __init__(self, cfg: dict[str, EventTermCfg], env: AmpVaeEnv) -> None:
        for name, term in cfg.items():
            # A setting has switched off what is None.
            if term is not None and term.mode == "interval" and term.is_global_time:
                raise UserError(
                    f"env.events.{name}: is_global_time is not supported; leave it off, and each "
                    "robot has its own timer"
                )
        super().__init__(cfg, env)

    def apply(
        self,
        mode: EventMode,
        env_ids: torch.Tensor | slice | None = None,
        dt: float | None = None,
        global_env_step_count: int | None = None,
    ) -> None:
        """Trigger the events of a mode; see mjlab's manager for the arguments."""
        if mode != "interval":
            super().apply(mode, env_ids, dt, global_env_step_count)
            return
        assert dt is not None, "interval events need the time step"
        env = cast("AmpVaeEnv", self._env)
        recompute = RecomputeLevel.none
        terms = map(self.get_term_cfg, self.active_terms[mode])
        for term, time_left in zip(terms, self._interval_term_time_left, strict=True):
            time_left -= dt
            due = env.selector.select(time_left < _TIME_TOLERANCE)
            if len(due) == 0:
                continue
            low, high = cast("tuple[float, float]", term.interval_range_s)
            time_left[due] = low + (high - low) * torch.rand(len(due), device=self.device)
            term.func(env, due, **term.params)
            recompute = max(recompute, getattr(term.func, "recompute", RecomputeLevel.none))
        env.sim.recompute_constants(recompute)

    def state_dict(self) -> dict[str, Any]:
        """Timers of interval events, and when reset events came last, by event."""
        terms = self.active_terms
        return {
            "time_left": _by_name(terms.get("interval", ()), self._interval_term_time_left),
            "last_step": _by_name(terms.get("reset", ()), self._reset_term_last_triggered_step_id),
            "has_been": _by_name(terms.get("reset", ()), self._reset_term_last_triggered_once),
        }


class DeviceRewardManager(RewardManager):
    """Reward manager that weighs and adds up all terms at once, and logs nothing at resets.

    Term by term, a GPU would launch ten small kernels for each of them; the environment's log reads
    the sums of the episodes. A term that is not finite or absurdly large counts as 0, as mjlab has
    it for what is not finite; here it is counted, too.

    Args:
        cfg: The terms.
        env: The environment.
        scale_by_dt: Whether rewards are multiplied by the control step.
        largest: A weighted term beyond this, before that, is absurd; finite.
    """

    def __init__(
        self,
        cfg: dict[str, RewardTermCfg],
        env: AmpVaeEnv,
        *,
        scale_by_dt: bool = True,
        largest: float,
    ) -> None:
        super().__init__(cfg, env, scale_by_dt=scale_by_dt)
        self._terms = {name: self.get_term_cfg(name) for name in self.active_terms}
        self._sums = torch.zeros(len(self._terms), self.num_envs, device=self.device)
        self._episode_sums = dict(zip(self._terms, self._sums, strict=True))
        self._weights: list[float] = []
        self._weight_of_column = torch.empty(0, device=self.device)
        self._largest = largest
        self._num_robots = env.num_robots
        self._judges_no_state = torch.tensor(
            [term.func in _JUDGE_NO_STATE for term in self._terms.values()], device=self.device
        )
        # Faults of each term, and behind them the robot-steps that were looked at.
        self._tally = torch.zeros(len(self._terms) + 1, dtype=torch.long, device=self.device)

    def compute(self, dt: float) -> torch.Tensor:
        """Reward of a step where everybody's physics is sound. Shape (num_envs,)."""
        return self.compute_where(torch.ones_like(self._reward_buf, dtype=torch.bool), dt)

    def compute_where(self, state_is_valid: torch.Tensor, dt: float) -> torch.Tensor:
        """Reward of a step.

        Args:
            state_is_valid: Whose physics is sound, shape (num_envs,). Others are paid for their
                fall alone, and what their terms say is no fault of the terms.
            dt: Control step [s].

        Returns:
            Shape (num_envs,).
        """
        weights = [term.weight for term in self._terms.values()]
        if weights != self._weights:
            self._weights = weights
            self._weight_of_column = torch.tensor(weights, device=self.device)
        values = []
        for name, term in self._terms.items():
            if term.weight == 0.0:
                values.append(torch.zeros_like(self._reward_buf))
                continue
            value = term.func(self._env, **term.params)
            self._check_term_shape(name, value)
            values.append(value.float())
        rate = torch.stack(values, dim=1) * self._weight_of_column
        # NaN compares as False.
        counts = rate.abs() <= self._largest
        looked_at = torch.cat((~counts, torch.ones_like(counts[:, :1])), dim=1)
        looked_at &= state_is_valid[:, None]
        self._tally += looked_at[: self._num_robots].sum(dim=0)
        counts &= state_is_valid[:, None] | self._judges_no_state
        self._step_reward.copy_(torch.where(counts, rate, 0.0))
        scale = dt if self._scale_by_dt else 1.0
        self._sums.add_(self._step_reward.T, alpha=scale)
        torch.sum(self._step_reward, dim=1, out=self._reward_buf)
        return self._reward_buf * scale

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Sums of the running episodes."""
        return {"sums": self._sums}

    def read_faults(self) -> Totals:
        """How often each term was at fault since the last call, and in how many robot-steps.

        By the names that are logged. Reads the device; empty where there was no step.
        """
        return read_tally(self._tally, (f"{REWARD_FAULTS}{name}" for name in self._terms))

    def reset(self, env_ids: torch.Tensor | slice | None = None) -> dict[str, torch.Tensor]:
        """Begin the sums of new episodes, and reset the terms that have a state."""
        self._sums[:, slice(None) if env_ids is None else env_ids] = 0.0
        _reset_terms(self._class_term_cfgs, env_ids)
        return {}


class DeviceTerminationManager(TerminationManager):
    """Termination manager that counts nothing at resets; the environment's log does."""

    def reset(self, env_ids: torch.Tensor | slice | None = None) -> dict[str, torch.Tensor]:
        """Reset the terms that have a state."""
        _reset_terms(self._class_term_cfgs, env_ids)
        return {}


class DeviceCurriculumManager(CurriculumManager):
    """Curriculum manager that leaves what its terms report on the device."""

    def reset(self, env_ids: torch.Tensor | slice | None = None) -> dict[str, float]:
        """Reset the terms that have a state."""
        _reset_terms(self._class_term_cfgs, env_ids)
        return {}

    def state_dict(self) -> dict[str, torch.Tensor]:
        """What the terms reported last: they report anew when the next episode ends."""
        reports = self.reports()
        return {name: of for name, of in reports.items() if isinstance(of, torch.Tensor)}

    def reports(self) -> dict[str, torch.Tensor | float]:
        """What the terms reported last, by name; empty before the first reset."""
        reports: dict[str, Any] = {}
        for name, state in self._curriculum_state.items():
            if isinstance(state, Mapping):
                reports |= {f"{name}/{key}": value for key, value in state.items()}
            elif state is not None:
                reports[name] = state
        return reports


def _by_name(names: Iterable[str], values: Iterable[torch.Tensor]) -> dict[str, torch.Tensor]:
    return dict(zip(names, values, strict=True))


def _reset_terms(terms: Iterable[ManagerTermBaseCfg], env_ids: torch.Tensor | slice | None) -> None:
    """Reset terms that have a state."""
    for term in terms:
        term.func.reset(env_ids=env_ids)
