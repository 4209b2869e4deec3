"""Terms of one's own whose memory a resumed run needs."""

from __future__ import annotations

from typing import Any

import torch
from mjlab.managers.reward_manager import RewardTermCfg

from rl_sim_env.envs.training_state import load_training_state, training_state


class Forgetful:
    """Counts the steps of an episode, and tells nobody."""

    def __init__(self, cfg: Any, env: Any) -> None:
        self.count = torch.zeros(env.num_envs)

    def reset(self, env_ids: Any = None) -> None:
        self.count[env_ids] = 0.0

    def __call__(self, env: Any) -> torch.Tensor:
        self.count += 1.0
        return self.count


class Remembering(Forgetful):
    def state_dict(self) -> dict[str, torch.Tensor]:
        return {"count": self.count}


def with_term(make_env: Any, kind: type) -> Any:
    term = RewardTermCfg(func=kind, weight=1.0)
    env = make_env(2, edit=lambda cfg: cfg.rewards.update(counted=term))
    for _ in range(3):
        env.step(torch.zeros(2, 12))
    return env


def test_a_term_of_ones_own_goes_on_with_what_it_remembers(make_env: Any) -> None:
    env = with_term(make_env, Remembering)
    state = training_state(env)
    count = state["episodes"]["parts"]["terms.rewards.counted.count"]
    state["episodes"]["parts"]["terms.rewards.counted.count"] = count + 5.0
    assert load_training_state(env, state) is None
    assert env.reward_manager.get_term_cfg("counted").func.count.tolist() == [8.0, 8.0]


def test_a_term_that_keeps_its_memory_to_itself_is_named(make_env: Any) -> None:
    env = with_term(make_env, Forgetful)
    reason = load_training_state(env, training_state(env))
    assert reason == "env.rewards.counted has a state that is not saved"
    assert not env.episode_length_buf.any()
