"""A fourth learner that is known to this file alone: a critic of costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from rsl_rl.modules import MLP
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from toy_env import ToyEnv, ToyExpert, toy_cfg

from rl_sim_env.cli.curves import panels_of
from rl_sim_env.errors import UserError
from rl_sim_env.learning.collectives import standardize_over_ranks
from rl_sim_env.learning.config import AmpVaeRunnerCfg, LearnerCfg
from rl_sim_env.learning.figure import Figure
from rl_sim_env.learning.learner import Learner, LearnerContext, LearnerLoss, Transition
from rl_sim_env.learning.returns import generalized_returns
from rl_sim_env.learning.rollout import BatchIndices, Rollout
from rl_sim_env.learning.runner import AmpVaeRunner
from to_the_bit import straight_and_resumed

NAME = f"{__name__}:CostCritic"


class CostCritic(Learner):
    """Values of ``extras["cost"]``; its advantages are taken from those of the reward."""

    def __init__(self, context: LearnerContext) -> None:
        self.weight = context.settings["weight"]
        self.value = MLP(context.groups["critic_obs"], 1, (16,), "elu").to(context.device)
        self.modules = {"value": self.value}
        self.optimizer = torch.optim.Adam(self.value.parameters(), lr=1e-2)
        self.max_grad_norm = 1.0
        self.exceeded = torch.zeros(context.num_envs, device=context.device)

    @classmethod
    def figures(cls, cfg: AmpVaeRunnerCfg) -> tuple[Figure, ...]:
        return (Figure(label="cost", metric="Train/cost", unit="N"),)

    def record(self, step: Transition) -> dict[str, torch.Tensor]:
        seen = step.observations["critic_obs"]
        self.exceeded += step.extras["cost"] > 1.0
        return {
            "critic_obs": seen,
            "cost": step.extras["cost"],
            "cost_values": self.value(seen).squeeze(-1),
        }

    def finish_rollout(self, rollout: Rollout, last_observations) -> dict[str, torch.Tensor]:
        values = rollout["cost_values"]
        last = self.value(last_observations["critic_obs"]).squeeze(-1)
        returns = generalized_returns(
            rollout["cost"], values, last, rollout["continuations"], gamma=0.99, lam=0.95
        )
        rollout.put("cost_returns", returns)
        rollout["advantages"].sub_(self.weight * standardize_over_ranks(returns - values))
        return {"Train/cost": rollout["cost"].mean()}

    def loss(self, rollout: Rollout, indices: BatchIndices, own: Any) -> LearnerLoss:
        batch = rollout.pick(("critic_obs", "cost_returns"), indices.samples)
        error = self.value(batch["critic_obs"]).squeeze(-1) - batch["cost_returns"]
        return LearnerLoss(error.square().mean(), {"Loss/cost_value": error.square().mean()})

    def process_state_dict(self) -> dict[str, Any]:
        return {"exceeded": self.exceeded}

    def load_process_state_dict(self, state) -> None:
        self.exceeded.copy_(state["exceeded"])


class CostlyEnv(ToyEnv):
    """Action of the first joint costs."""

    def step(self, actions):
        obs, rewards, dones, extras = super().step(actions)
        return obs, rewards, dones, {**extras, "cost": actions[:, 0].square()}


def make_runner(log_dir: Path | None, weight: float = 0.0, env: ToyEnv | None = None, **settings):
    torch.manual_seed(3)
    cfg = toy_cfg(**settings)
    cfg.learners["cost"] = LearnerCfg(class_name=NAME, settings={"weight": weight})
    return AmpVaeRunner(env or CostlyEnv(), cfg, ToyExpert(), log_dir, task_id="Toy-v0")


def test_it_is_trained_logged_shown_and_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runner = make_runner(tmp_path)
    untrained = [p.detach().clone() for p in runner.alg.learners["cost"].parameters()]
    runner.learn(3)
    for before, after in zip(untrained, runner.alg.learners["cost"].parameters(), strict=True):
        assert not torch.equal(before, after)
    events = EventAccumulator(str(tmp_path)).Reload()
    assert len(events.Scalars("Loss/cost_value")) == 3
    costs = [event.value for event in events.Scalars("Train/cost")]
    assert costs[-1] == pytest.approx(runner.alg.rollout["cost"].mean().item())
    assert "cost                 " in capsys.readouterr().out
    assert "cost [N]" in [panel.title for panel in panels_of(tmp_path)]


def test_a_resumed_run_continues_it_bit_identically(tmp_path: Path) -> None:
    straight, _ = straight_and_resumed(make_runner, tmp_path)
    assert straight.alg.learners["cost"].exceeded.sum() > 0.0


def test_it_can_change_what_the_policy_learns() -> None:
    costs = []
    for weight in (0.0, 3.0):
        runner = make_runner(None, weight, CostlyEnv(num_envs=64))
        runner.learn(15)
        costs.append(runner.alg.rollout["cost"].mean().item())
    assert costs[1] < 0.7 * costs[0]


def test_the_others_do_not_notice_it(tmp_path: Path) -> None:
    torch.manual_seed(3)
    alone = AmpVaeRunner(CostlyEnv(), toy_cfg(), ToyExpert(), None, task_id="Toy-v0")
    beside = make_runner(None)
    # Its network has drawn random weights.
    torch.manual_seed(4)
    alone.learn(2)
    torch.manual_seed(4)
    beside.learn(2)
    for name, learner in alone.alg.learners.items():
        for a, b in zip(learner.parameters(), beside.alg.learners[name].parameters(), strict=True):
            assert torch.equal(a, b)


def test_what_the_environment_does_not_report_is_named() -> None:
    with pytest.raises(UserError, match=r"no 'cost'; there are time_outs, terminal_obs"):
        make_runner(None, env=ToyEnv()).learn(1)


def test_a_checkpoint_of_other_learners_is_refused_by_name(tmp_path: Path) -> None:
    make_runner(tmp_path).learn(1)
    plain = AmpVaeRunner(ToyEnv(), toy_cfg(), ToyExpert(), None, task_id="Toy-v0")
    with pytest.raises(UserError, match=r"model_0\.pt: its learners are .*, cost, those of"):
        plain.load(tmp_path / "model_0.pt")


def test_a_field_has_one_owner_and_a_scalar_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def record_again(self, step: Transition) -> dict[str, torch.Tensor]:
        return {"rewards": step.rewards.clone()}

    with monkeypatch.context() as patch:
        patch.setattr(CostCritic, "record", record_again)
        with pytest.raises(UserError, match="learner 'cost' records 'rewards'"):
            make_runner(None).learn(1)
    original = CostCritic.loss

    def log_again(self, *args: Any) -> LearnerLoss:
        loss = original(self, *args)
        return loss._replace(scalars={"Loss/value_function": loss.total})

    monkeypatch.setattr(CostCritic, "loss", log_again)
    with pytest.raises(UserError, match="two learners log 'Loss/value_function'"):
        make_runner(None).learn(1)


def test_a_shared_parameter_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Borrowed(CostCritic):
        shared = MLP(ToyEnv().observation_layout.width("critic_obs"), 1, (16,), "elu")

        def __init__(self, context: LearnerContext) -> None:
            super().__init__(context)
            self.modules = {"value": self.shared}

    monkeypatch.setattr(f"{__name__}.CostCritic", Borrowed)
    cfg = toy_cfg()
    for name in ("one", "two"):
        cfg.learners[name] = LearnerCfg(class_name=NAME, settings={"weight": 0.0})
    with pytest.raises(UserError, match="two learners train the same parameter"):
        AmpVaeRunner(CostlyEnv(), cfg, ToyExpert(), None, task_id="Toy-v0")
