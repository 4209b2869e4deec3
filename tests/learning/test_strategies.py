"""Strategies that keep limits: hand-made cases, equality with PPO, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from toy_env import ToyEnv, ToyExpert, toy_cfg

from rl_sim_env.errors import UserError
from rl_sim_env.learning.constraint_layout import ConstraintLayout
from rl_sim_env.learning.constraint_learner import ConstraintLearner
from rl_sim_env.learning.constraints_cfg import ConstraintsCfg
from rl_sim_env.learning.returns import generalized_returns
from rl_sim_env.learning.rollout import BatchIndices
from rl_sim_env.learning.runner import AmpVaeRunner
from rl_sim_env.learning.strategies import STRATEGIES, find_strategy
from rl_sim_env.learning.strategies.cat import CatLearner
from rl_sim_env.learning.strategies.ipo import IpoLearner, relaxed_log
from rl_sim_env.learning.strategies.lagrangian import LagrangianLearner
from rl_sim_env.learning.strategies.np3o import Np3oLearner
from to_the_bit import straight_and_resumed

WITH_LEARNERS = [name for name in STRATEGIES if name != "penalties"]


def make_runner(
    log_dir: Path | None = None, *, env: Callable[[], ToyEnv] = ToyEnv, **constraints: Any
) -> AmpVaeRunner:
    torch.manual_seed(3)
    cfg = toy_cfg(constraints=ConstraintsCfg(**constraints))
    return AmpVaeRunner(env(), cfg, ToyExpert(), log_dir, task_id="Toy-v0")


def of(strategy: str) -> dict[str, Any]:
    """The strategy as the toy can have it."""
    return {"strategy": strategy, "settings": {"hard": ("push",)} if strategy == "cat" else {}}


def learner_of(runner: AmpVaeRunner) -> ConstraintLearner:
    return cast(ConstraintLearner, runner.alg.learners["constraints"])


def cat(**constraints: Any) -> CatLearner:
    constraints = {"factor": 1.0, "settings": {"hard": ("push",)}, **constraints}
    return cast(CatLearner, learner_of(make_runner(strategy="cat", **constraints)))


def test_strategies_are_the_files_of_their_folder():
    assert set(STRATEGIES) == {"penalties", "cat", "lagrangian", "np3o", "ipo"}
    assert find_strategy("penalties") is None
    assert find_strategy("cat") is CatLearner
    assert find_strategy("rl_sim_env.learning.strategies.cat:CatLearner") is CatLearner


@pytest.mark.parametrize("strategy", WITH_LEARNERS)
def test_each_trains_is_shown_and_resumes_to_the_bit(strategy, tmp_path, capsys):
    straight, _ = straight_and_resumed(partial(make_runner, **of(strategy)), tmp_path)
    shown = capsys.readouterr().out
    figures = learner_of(straight).figures(straight.cfg)
    assert figures
    assert all(re.search(rf"{figure.label} +-?\d", shown) for figure in figures)
    kept = learner_of(straight).state_dict()
    changed = [name for name in learner_of(straight).saved if bool(kept[name].any())]
    assert changed == list(learner_of(straight).saved)


def trained(env: Callable[[], ToyEnv] = ToyEnv, **constraints: Any) -> list[torch.Tensor]:
    """What the learners of every run have found after three iterations."""
    runner = make_runner(env=env, **constraints)
    runner.learn(3)
    learners = (runner.alg.learners[name] for name in ("estimator", "policy", "discriminator"))
    return [parameter for learner in learners for parameter in learner.parameters()]


@pytest.mark.gpu
@pytest.mark.parametrize("strategy", WITH_LEARNERS)
def test_a_gpu_captures_each(strategy):
    env = ToyEnv(num_envs=64, device="cuda")
    cfg = toy_cfg(constraints=ConstraintsCfg(**of(strategy)))
    runner = AmpVaeRunner(env, cfg, ToyExpert("cuda"), None, task_id="Toy-v0")
    # Whatever reads the host while it is captured says so.
    runner.learn(5)
    for name in learner_of(runner).saved:
        assert getattr(learner_of(runner), name).isfinite().all()


def test_np3o_of_weight_0_is_ppo_to_the_bit():
    plain = trained()
    weightless = {"kappa": 0.0, "largest": 0.0}
    for a, b in zip(plain, trained(strategy="np3o", settings=weightless), strict=True):
        assert torch.equal(a, b)
    assert not all(map(torch.equal, plain, trained(strategy="np3o")))


def test_cat_without_violations_is_ppo_to_the_bit():
    class Gentle(ToyEnv):
        def step(self, actions):
            obs, rewards, dones, extras = super().step(actions)
            extras["margins"] = torch.full_like(extras["margins"], -0.5)
            return obs, rewards, dones, extras

    for a, b in zip(trained(Gentle), trained(Gentle, **of("cat")), strict=True):
        assert torch.equal(a, b)


def test_terminations_of_a_known_case():
    learner = cat()
    # Three steps, two robots, two columns each of a soft and a hard constraint.
    margins = torch.full((3, 2, 4), -1.0)
    margins[0, 0, 0] = 0.4
    margins[0, 1, 0] = 0.2
    margins[1, 0, 0] = 0.2
    margins[2, 1, 2] = 0.5
    delta = learner.terminations(margins)
    # The greatest margin of the step before counts 0.95, that of this step 0.05.
    second = 0.95 * 0.4 + 0.05 * 0.2
    expected = [[0.05, 0.025], [0.05 * 0.2 / second, 0.0], [0.0, 1.0]]
    torch.testing.assert_close(delta, torch.tensor(expected))
    third = 0.95 * second + 0.05 * 0.01
    assert learner.maxima[0].item() == pytest.approx(third)
    assert learner.maxima[2].item() == pytest.approx(0.95 * 0.01 + 0.05 * 0.5)


def test_terminations_become_likelier_with_progress():
    learner = cat()
    margins = torch.full((1, 1, 4), -1.0)
    margins[0, 0, 0] = 1.0
    found = []
    for progress in (0.0, 0.5, 1.0):
        learner.set_progress(progress)
        found.append(learner.terminations(margins).item())
    assert found == pytest.approx([0.05, 1.0 / 12.0, 0.25])


def test_the_order_of_columns_changes_no_termination():
    torch.manual_seed(0)
    margins = torch.randn(5, 7, 4)
    swapped = margins[..., [1, 0, 3, 2]]
    assert torch.equal(cat().terminations(margins), cat().terminations(swapped))


def test_the_order_of_constraints_changes_nothing():
    class Swapped(ToyEnv):
        def __init__(self) -> None:
            super().__init__()
            self.constraint_layout = ConstraintLayout({"push": 2, "speed": 2}, "cpu")

        def step(self, actions):
            obs, rewards, dones, extras = super().step(actions)
            extras["margins"] = extras["margins"][:, [2, 3, 0, 1]]
            return obs, rewards, dones, extras

    for channels in ("max", "sum"):
        margins = torch.randn(6, 4)
        ours = learner_of(make_runner(strategy="np3o", channels=channels)).costs(margins)
        theirs = learner_of(make_runner(env=Swapped, strategy="np3o", channels=channels))
        assert torch.equal(theirs.costs(margins[:, [2, 3, 0, 1]]), ours[:, [1, 0]])


def test_soft_terminations_leave_the_true_ones_alone():
    runner = make_runner(strategy="cat", settings={"hard": ("push",)})
    runner.learn(1)
    rollout = runner.alg.rollout
    dones, continuations = rollout["dones"], rollout["continuations"]
    assert (continuations[dones] == 0.0).all()
    assert ((continuations > 0.0) & (continuations < 1.0)).any()
    # At time-outs the value of what would have come was added.
    assert (rollout["rewards"][~dones] >= 0.0).all()
    # Somebody was terminated for good without being reset.
    assert (continuations[~dones] == 0.0).any()


def test_cat_leaves_the_cost_of_a_fall():
    runner = make_runner(**of("cat"))
    runner.learn(1)
    learner, rollout = cast(CatLearner, learner_of(runner)), runner.alg.rollout
    rollout["tightened_margins"].fill_(1.0)
    rollout["rewards"].fill_(-3.0)
    rollout["dones"].zero_()
    rollout["dones"][0, :2] = True
    rollout["time_outs"].zero_()
    rollout["time_outs"][0, 1] = True
    learner.shape_rewards(rollout)
    assert rollout["rewards"][0, 0] == -3.0
    rollout["rewards"][0, 0] = 0.0
    assert (rollout["rewards"] == 0.0).all()


def test_returns_with_continuations_0_and_1_are_those_with_and_without_terminations():
    torch.manual_seed(1)
    rewards, values, last = torch.randn(6, 3), torch.randn(6, 3), torch.randn(3)
    options = {"gamma": 0.9, "lam": 0.8}

    def returns(continuations: torch.Tensor) -> torch.Tensor:
        return generalized_returns(rewards, values, last, continuations, **options)

    ends = torch.ones(6, 3)
    ends[2, 1] = 0.0
    found, endless = returns(ends), returns(torch.ones(6, 3))
    assert torch.equal(found[:, [0, 2]], endless[:, [0, 2]])
    # What happens after the end is of no account to what came before.
    alone = generalized_returns(rewards[:3], values[:3], 0.0 * last, ends[:3], **options)
    assert torch.equal(found[:3, 1], alone[:3, 1])
    assert torch.equal(found[3:, 1], endless[3:, 1])


def test_costs_count_from_the_tightened_limit():
    margins = torch.tensor([[-0.09, -0.5, -1.0, -1.0], [-0.11, -0.5, 0.2, 3.0]])
    indicator = learner_of(make_runner(strategy="np3o"))
    assert indicator.costs(margins).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    summed = learner_of(make_runner(strategy="np3o", channels="sum", factor=1.0))
    assert summed.costs(margins).tolist() == [[0.0, 0.0], [0.0, 2.0]]
    severity = learner_of(make_runner(strategy="np3o", cost="severity", factor=1.0))
    torch.testing.assert_close(severity.costs(margins), torch.tensor([[0.0, 0.0], [0.0, 1.0]]))
    one = learner_of(make_runner(strategy="np3o", names=("push",)))
    assert one.names == ("push",) and one.costs(margins).tolist() == [[0.0], [1.0]]


def test_neither_a_fall_nor_a_time_out_is_a_way_out_of_costs():
    class Frail(ToyEnv):
        """Falls over when it is pushed."""

        def step(self, actions):
            self.state["joint_pos"] += (actions.abs() > 2.0) * 2.0
            return super().step(actions)

    runner = make_runner(env=lambda: Frail(64), strategy="np3o")
    runner.learn(1)
    learner, rollout = learner_of(runner), runner.alg.rollout
    assert torch.isfinite(rollout["cost_returns"]).all()
    fell = rollout["dones"] & ~rollout["time_outs"]
    assert fell.any() and rollout["time_outs"].any()
    # What comes after belongs to another episode: the return is that of the step, and what the
    # critic says would have come.
    for ended in (fell, rollout["time_outs"]):
        torch.testing.assert_close(rollout["cost_returns"][ended], rollout["costs"][ended])
        assert (rollout["costs"][ended] % 1.0 != 0.0).all()
    assert (rollout["costs"][~rollout["dones"]] % 1.0 == 0.0).all()
    assert learner.rates.shape == (2,)


def test_a_constraint_that_nobody_violates_steers_nobody():
    class Gentle(ToyEnv):
        def step(self, actions):
            obs, rewards, dones, extras = super().step(actions)
            extras["margins"][:, 2:] = -0.5
            return obs, rewards, dones, extras

    runner = make_runner(env=Gentle, strategy="np3o")
    learner = cast(Np3oLearner, learner_of(runner))
    # A critic that expects violations of both.
    with torch.no_grad():
        learner.critic.mlp[-1].bias.fill_(-1.0)  # type: ignore[index]
    runner.learn(1)
    rollout = runner.alg.rollout
    speed, push = rollout["cost_advantages"].unbind(dim=-1)
    assert speed.any() and not push.any()
    samples = torch.arange(rollout.num_envs * rollout.num_steps)
    loss = learner.policy_loss(rollout, BatchIndices(samples, samples), torch.ones(len(samples)))
    assert loss.scalars["Constraints/open_gates"] == 1.0, "that of speed"


def test_multipliers_rise_above_the_budget_and_fall_below_it():
    learner = cast(LagrangianLearner, learner_of(make_runner(strategy="lagrangian", budget=0.002)))
    found = []
    for excess in [0.3] * 400 + [-0.002] * 200:
        learner.steer(torch.tensor([excess, -0.002]))
        found.append(learner.multipliers.tolist())
    first, second = zip(*found, strict=True)
    assert first[39] > first[5] > 0.0 == second[39]
    # Nothing is wound up while it lasts: a constraint that is kept is let go as fast as it came.
    assert max(first) == first[399] == pytest.approx(0.5)
    assert first[-1] == 0.0


def test_the_weight_of_np3o_grows_slowly_at_first():
    settings = {"kappa": 0.1, "largest": 0.9, "growing": 0.5}
    learner = cast(Np3oLearner, learner_of(make_runner(strategy="np3o", settings=settings)))
    found = []
    for progress in (0.0, 0.25, 0.5, 1.0):
        learner.set_progress(progress)
        found.append(learner.kappa.item())
    assert found == pytest.approx([0.1, 0.3, 0.9, 0.9])


def test_the_barrier_of_a_violated_constraint_weighs_a_share_of_the_reward():
    learner = cast(IpoLearner, learner_of(runner := make_runner(strategy="ipo")))
    runner.learn(1)
    rollout = runner.alg.rollout
    samples = torch.arange(rollout.num_envs * rollout.num_steps)
    ratio = torch.ones(len(samples), requires_grad=True)
    (slope,) = torch.autograd.grad(
        learner.policy_loss(rollout, BatchIndices(samples, samples), ratio).total, ratio
    )
    assert (learner.rates > learner.budgets).all(), "both are violated"
    expected = (rollout["cost_advantages"] / learner.deviations).sum(dim=-1).flatten()
    torch.testing.assert_close(slope * len(samples), 0.2 * expected, rtol=1e-3, atol=1e-4)


def test_budgets_shrink_with_progress():
    learner = learner_of(
        make_runner(strategy="np3o", first_budget=0.1, budget=0.001, budgets={"push": 0.2})
    )
    found = []
    for progress in (0.0, 0.25, 0.5, 1.0):
        learner.set_progress(progress)
        found.append(learner.budgets.tolist())
    assert [speed for speed, _ in found] == pytest.approx([0.1, 0.0505, 0.001, 0.001])
    assert [push for _, push in found] == pytest.approx([0.2] * 4)


def test_the_relaxed_barrier_is_smooth_at_its_knee():
    knee = torch.tensor([0.1])
    values = torch.tensor([0.1 - 1e-4, 0.1 + 1e-4, 0.5, -1.0], requires_grad=True)
    found = relaxed_log(values, knee)
    found.sum().backward()
    assert values.grad is not None
    assert found[0].item() == pytest.approx(found[1].item(), abs=3e-3)
    assert values.grad[0].item() == pytest.approx(values.grad[1].item(), rel=3e-3)
    assert found[2].item() == pytest.approx(torch.tensor(0.5).log().item())
    assert torch.isfinite(found).all() and values.grad[3] > values.grad[0]


@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        ({"strategy": "np3"}, r"strategy is 'np3'; .*did you mean np3o\?"),
        ({"strategy": "cat", "names": ("sped",)}, r"names: unknown constraint 'sped'.*speed\?"),
        ({"strategy": "penalties", "names": ("sped",)}, r"names: unknown constraint 'sped'"),
        ({"strategy": "np3o", "budgets": {"pus": 0.1}}, r"budgets: unknown constraint 'pus'.*push"),
        ({"names": ("speed",), "budgets": {"push": 0.1}}, r"budgets: unknown constraint 'push'"),
        ({"strategy": "cat"}, r"settings.hard: unknown constraint 'body'"),
        ({"strategy": "np3o", "settings": {"kapa": 1.0}}, r"np3o has no 'kapa'; .*kappa\?"),
        ({"strategy": "np3o", "settings": {"kappa": -1.0}}, r"kappa is -1.0; it must be at least"),
        ({"strategy": "np3o", "budget": 1.5}, r"constraints.budget is 1.5; it must be between"),
        ({"strategy": "np3o", "budgets": {"push": -0.1}}, r"it must be between 0 and 1"),
        ({"strategy": "ipo", "factor": 0.0}, r"factor is 0.0; it must"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(constraints, message):
    with pytest.raises(UserError, match=message):
        make_runner(**constraints)


def test_an_environment_without_margins_is_named():
    env = ToyEnv()
    env.constraint_layout = ConstraintLayout({}, "cpu")
    with pytest.raises(UserError, match="strategy=cat: the environment reports no margins"):
        make_runner(env=lambda: env, strategy="cat")
