"""Estimators of published schemes: what learns by which loss, and what is remembered when."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from parts import estimator_of, ppo_of, roll_out
from torch import nn
from toy_env import ToyEnv, ToyExpert, toy_cfg, toy_layout

from rl_sim_env.cuda_graphs import HostReads
from rl_sim_env.errors import UserError
from rl_sim_env.learning.adaboot import AdaBoot
from rl_sim_env.learning.algorithm import Algorithm
from rl_sim_env.learning.baselines.him import HimEstimator, spread_evenly
from rl_sim_env.learning.baselines.recurrent import RecurrentEstimator
from rl_sim_env.learning.baselines.teacher_student import EXTRINSICS, TeacherStudent
from rl_sim_env.learning.config import AdaBootCfg, AmpVaeRunnerCfg, ContextVaeCfg
from rl_sim_env.learning.estimator import Estimator, Sequences
from rl_sim_env.learning.learner import LearnerLoss
from rl_sim_env.learning.policy import AmpVaePolicy
from rl_sim_env.learning.rollout import BatchIndices, Rollout
from rl_sim_env.learning.runner import AmpVaeRunner
from rl_sim_env.learning.symmetry import MIRRORED
from to_the_bit import straight_and_resumed

BASELINES = "rl_sim_env.learning.baselines"
SIZES = {"encoder_dims": (16, 16), "decoder_dims": (16,), "latent_dim": 4, "memory_dim": 8}
ESTIMATORS = {
    "him": (
        ContextVaeCfg(
            class_name=f"{BASELINES}.him:HimEstimator",
            targets={**ContextVaeCfg().targets, "mass": None, "com": None},
            **SIZES,
        ),
        ("estimate", "latent", "actor_obs"),
    ),
    "recurrent": (
        ContextVaeCfg(
            class_name=f"{BASELINES}.recurrent:RecurrentEstimator",
            obs_groups=("actor_obs",),
            memory_cell="gru",
            **SIZES,
        ),
        ("latent",),
    ),
    "teacher_student": (
        ContextVaeCfg(class_name=f"{BASELINES}.teacher_student:TeacherStudent", **SIZES),
        (EXTRINSICS, "actor_obs"),
    ),
}


def cfg_of(name: str, mirror: float = 0.5, **overrides: Any) -> AmpVaeRunnerCfg:
    vae, read = ESTIMATORS[name]
    cfg = toy_cfg(vae=vae, **overrides)
    cfg.actor = replace(cfg.actor, obs_groups=read)
    cfg.algorithm.mirror_loss_coef = mirror
    cfg.learners = {**cfg.learners, "discriminator": None}
    return cfg


def rolled_out(cfg: AmpVaeRunnerCfg, rollouts: int = 2) -> Algorithm:
    """An algorithm with a rollout in which episodes end, and which began amid others."""
    torch.manual_seed(0)
    env = ToyEnv(num_envs=6, max_episode_length=5)
    algorithm = Algorithm(env, cfg, ToyExpert(), "cpu")
    algorithm.set_progress(0.0)
    for _ in range(rollouts):
        algorithm.rollout.clear()
        roll_out(algorithm, env)
    return algorithm


def mini_batch(algorithm: Algorithm) -> BatchIndices:
    return next(algorithm.rollout.draw(2, 1, sequences=True))


def has_gradient(module: nn.Module) -> bool:
    return any(each.grad is not None and each.grad.any() for each in module.parameters())


def backward(algorithm: Algorithm, learner: str) -> LearnerLoss:
    loss = algorithm.learners[learner].loss(algorithm.rollout, mini_batch(algorithm), None)
    loss.total.backward()
    return loss


# What all of them can do.


def _learn(vae: Estimator, batch: Sequences, name: str, *, steps: int) -> list[float]:
    """Let an estimator learn one batch by heart; what it has logged under a name in each step."""
    optimizer = torch.optim.Adam(vae.parameters(), lr=3e-3)
    logged = []
    for _ in range(steps):
        loss = vae.loss(batch)
        logged.append(loss.scalars[name].item())
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
    return logged


@pytest.mark.parametrize("mirror", [0.0, 0.5])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_resumed_run_continues_it_bit_identically(
    name: str, mirror: float, tmp_path: Path
) -> None:
    def make_runner(folder: Path | None) -> AmpVaeRunner:
        torch.manual_seed(0)
        return AmpVaeRunner(ToyEnv(), cfg_of(name, mirror), ToyExpert(), folder, task_id="Toy-v0")

    straight, _ = straight_and_resumed(make_runner, tmp_path)
    before, after = (
        estimator_of(runner.alg).parameters() for runner in (make_runner(None), straight)
    )
    assert not any(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_update_reads_nothing_on_the_host(name: str) -> None:
    algorithm = rolled_out(cfg_of(name))
    indices = mini_batch(algorithm)
    with HostReads():
        for learner in algorithm.learners.values():
            learner.loss(algorithm.rollout, indices, None).total.backward()


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_policy_reads_what_a_robot_has_and_acts_as_the_one_that_was_trained(name: str) -> None:
    algorithm = rolled_out(cfg_of(name))
    policy = algorithm.get_inference_policy().eval()
    assert "critic_obs" not in policy.groups
    env = ToyEnv()
    obs = env.get_observations()
    memory = policy.initial_memory(env.num_envs)
    rebuilt = AmpVaePolicy.build(toy_layout(), env.num_actions, algorithm.cfg)
    rebuilt.load_state_dict(policy.state_dict())
    found = rebuilt({group: obs[group] for group in policy.groups}, memory)
    assert torch.equal(found.actions, policy(obs, memory).actions)
    assert set(found.estimate) == set(policy.targets.declared)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_gpu_captures_each(name: str) -> None:
    env = ToyEnv(num_envs=64, device="cuda")
    runner = AmpVaeRunner(env, cfg_of(name), ToyExpert("cuda"), None, task_id="Toy-v0")
    # Whatever reads the host while it is captured says so.
    runner.learn(5)
    parameters = estimator_of(runner.alg).parameters()
    assert all(each.isfinite().all() for each in parameters)


# What was provided is worked out again as it was, and anew once a network has moved.


@pytest.mark.parametrize("name", ["recurrent", "teacher_student"])
def test_a_replay_through_time_tells_the_recorded_probabilities(name: str) -> None:
    algorithm = rolled_out(cfg_of(name))
    rollout, indices = algorithm.rollout, mini_batch(algorithm)
    assert rollout["dones"].any()
    estimator, ppo = estimator_of(algorithm), ppo_of(algorithm)
    again = estimator.provide_again(rollout, indices)
    (group,) = estimator.estimator.trained_by_policy
    assert set(again) == {group, MIRRORED + group}
    for each, values in again.items():
        recorded = rollout.pick((each,), indices.samples)[each]
        torch.testing.assert_close(values, recorded, rtol=1e-4, atol=1e-6)
    names = (*algorithm.cfg.actor.obs_groups, "actions", "log_prob")
    batch = rollout.pick(names, indices.samples) | again
    ppo.actor(batch, stochastic_output=True)
    log_prob = ppo.actor.get_output_log_prob(batch["actions"])
    torch.testing.assert_close(log_prob, batch["log_prob"], rtol=1e-4, atol=1e-5)
    assert ppo.loss(rollout, indices, None).scalars["Loss/kl"].abs() < 1e-6

    with torch.no_grad():
        for parameter in estimator.estimator.trained_by_policy[group].parameters():
            parameter.mul_(1.5)
    assert ppo.loss(rollout, indices, None).scalars["Loss/kl"] > 1e-6


def test_samples_of_sequences_are_one_environment_after_the_other() -> None:
    rollout = Rollout(num_envs=3, num_steps=2, device="cpu")
    rollout.put("place", torch.tensor([[0, 1, 2], [10, 11, 12]]))
    picked = rollout.pick(("place",), rollout.steps_of(torch.tensor([2, 0])))["place"]
    assert picked.tolist() == [2, 12, 0, 10]


@pytest.mark.parametrize("name", ["recurrent", "teacher_student"])
def test_what_only_the_policy_trains_must_be_read_by_it(name: str) -> None:
    cfg = cfg_of(name)
    cfg.actor = replace(cfg.actor, obs_groups=("actor_obs",))
    with pytest.raises(UserError, match=r"agent\.actor\.obs_groups: the actor does not read"):
        Algorithm(ToyEnv(), cfg, ToyExpert(), "cpu")


@pytest.mark.parametrize("name", ["recurrent", "teacher_student"])
def test_what_the_policy_trains_learns_at_its_rate(name: str) -> None:
    algorithm = rolled_out(cfg_of(name))
    ppo, optimizer = ppo_of(algorithm), estimator_of(algorithm).optimizer
    assert optimizer is not None
    algorithm.update()
    own, led = optimizer.param_groups
    assert led["lr"] is ppo.learning_rate and own["lr"] is not ppo.learning_rate
    algorithm.load(algorithm.save())
    assert optimizer.param_groups[1]["lr"] is ppo.learning_rate


# HIM.


def _him() -> HimEstimator:
    torch.manual_seed(0)
    return HimEstimator(toy_layout(), ESTIMATORS["him"][0])


def _foretold(vae: HimEstimator, steps: int = 8, envs: int = 32) -> Sequences:
    """Histories and next states that show, each in its own way, the same of five modes."""
    torch.manual_seed(1)
    mode = torch.randint(5, (steps, envs))
    history = torch.randn(5, toy_layout().width("vae_obs"))[mode]
    state = torch.randn(5, cast(nn.Linear, vae.next_encoder[0]).in_features)[mode]
    return Sequences(
        observations={"vae_obs": history + 0.3 * torch.randn_like(history)},
        memory=torch.zeros(envs, 0),
        begins=torch.zeros(steps, envs, dtype=torch.bool),
        estimate_targets=torch.zeros(steps, envs, 3),
        next_proprioception=state + 0.3 * torch.randn_like(state),
        valid=torch.rand(steps, envs) < 0.9,
    )


def test_the_latent_comes_to_tell_what_history_and_next_state_have_in_common() -> None:
    vae = _him()
    batch = _foretold(vae)
    losses = _learn(vae, batch, "Loss/vae_contrastive_loss", steps=150)
    assert losses[-1] < 0.7 * losses[0]
    latent = vae(batch.observations, batch.memory, True).latent.flatten(0, 1)
    torch.testing.assert_close(latent.norm(dim=-1), torch.ones(len(latent)))
    torch.manual_seed(1)
    mode = torch.randint(5, batch.valid.shape).flatten()
    cosines, same = latent @ latent.T, mode[:, None] == mode
    assert cosines[same].mean() > cosines[~same].mean() + 0.5


def test_states_after_the_end_of_an_episode_foretell_nothing() -> None:
    vae = _him()
    batch = _foretold(vae)
    lost = torch.where(batch.valid[..., None], batch.next_proprioception, torch.nan)
    loss = vae.loss(batch._replace(next_proprioception=lost)).total
    assert loss == vae.loss(batch).total
    loss.backward()
    assert all(each.grad is None or each.grad.isfinite().all() for each in vae.parameters())


def test_assignments_are_spread_evenly_over_the_samples_that_count() -> None:
    torch.manual_seed(0)
    # All of them are nearest to the first prototype.
    scores = torch.randn(200, 4) + torch.tensor([8.0, 0.0, 0.0, 0.0])
    valid = torch.arange(200) < 160
    shares = spread_evenly(scores, valid, rounds=50)
    torch.testing.assert_close(shares.sum(dim=1), valid.float())
    torch.testing.assert_close(shares.sum(dim=0), torch.full((4,), 40.0), rtol=1e-2, atol=0.0)


def test_the_contrast_trains_both_encoders_and_the_policy_none() -> None:
    algorithm = rolled_out(cfg_of("him"))
    vae = cast(HimEstimator, estimator_of(algorithm).estimator)
    backward(algorithm, "policy")
    assert not has_gradient(vae)
    backward(algorithm, "estimator")
    assert has_gradient(vae.encoder) and has_gradient(vae.next_encoder)
    assert vae.prototypes.grad is not None and vae.prototypes.grad.any()


def test_where_estimates_are_always_fed_they_are_from_the_first_episode_on() -> None:
    always = AdaBoot(3, AdaBootCfg(final_fraction=1.0), "cpu")
    assert always.uses_estimate.all()
    assert not AdaBoot(3, AdaBootCfg(), "cpu").uses_estimate.any()


# The recurrent actor.


def test_the_memory_begins_anew_with_every_episode() -> None:
    algorithm = rolled_out(cfg_of("recurrent", mirror=0.0))
    rollout, learner = algorithm.rollout, estimator_of(algorithm)
    vae = cast(RecurrentEstimator, learner.estimator)
    steps, envs = rollout["dones"][:-1].nonzero(as_tuple=True)
    seen = learner.sequences(rollout, torch.arange(6)).observations["actor_obs"]
    first = {"actor_obs": seen[steps + 1, envs]}
    fresh = vae(first, vae.initial_memory(len(steps)), True).latent
    torch.testing.assert_close(rollout["latent"][steps + 1, envs], fresh)
    assert len(steps) > 0 and not learner.first_memory.eq(0.0).all()


def test_the_gradient_goes_back_in_time_as_far_as_the_episode() -> None:
    algorithm = rolled_out(cfg_of("recurrent", mirror=0.0))
    learner = estimator_of(algorithm)
    vae = cast(RecurrentEstimator, learner.estimator)
    batch = learner.sequences(algorithm.rollout, torch.arange(2))
    begins = torch.zeros_like(batch.begins)
    begins[3, 1] = True
    seen = batch.observations["actor_obs"].clone().requires_grad_()
    batch = batch._replace(observations={"actor_obs": seen}, begins=begins)
    vae.provide_again(batch, {}, begins)["latent"][5].sum().backward()
    assert seen.grad is not None
    reached = seen.grad.abs().sum(dim=-1) > 0.0
    assert reached[:, 0].tolist() == [True] * 6 + [False] * 2
    assert reached[:, 1].tolist() == [False] * 3 + [True] * 3 + [False] * 2


def test_the_policy_alone_trains_the_memory() -> None:
    algorithm = rolled_out(cfg_of("recurrent"))
    vae = cast(RecurrentEstimator, estimator_of(algorithm).estimator)
    backward(algorithm, "estimator")
    assert has_gradient(vae.probe) and not has_gradient(vae.cell)
    vae.zero_grad()
    backward(algorithm, "policy")
    assert has_gradient(vae.cell) and not has_gradient(vae.probe)


# Teacher and student.


@pytest.mark.parametrize("fed", ["truth", "estimates"])
def test_the_policy_trains_the_teacher_where_its_code_was_fed(fed: str) -> None:
    adaboot = AdaBootCfg(final_fraction=1.0 if fed == "estimates" else 0.0)
    algorithm = rolled_out(cfg_of("teacher_student", mirror=0.0, adaboot=adaboot))
    vae = cast(TeacherStudent, estimator_of(algorithm).estimator)
    backward(algorithm, "policy")
    assert has_gradient(vae.teacher) == (fed == "truth")
    assert not has_gradient(vae.encoder) and not has_gradient(vae.head)


def test_the_student_learns_the_teachers_code_and_not_the_other_way_round() -> None:
    algorithm = rolled_out(cfg_of("teacher_student"))
    learner = estimator_of(algorithm)
    vae = cast(TeacherStudent, learner.estimator)
    backward(algorithm, "estimator")
    assert has_gradient(vae.encoder) and has_gradient(vae.head)
    assert not has_gradient(vae.teacher)
    batch = learner.sequences(algorithm.rollout, torch.arange(6))
    errors = _learn(vae, batch, "Loss/vae_student_loss", steps=100)
    assert errors[-1] < 0.2 * errors[0]


def test_estimates_read_off_the_student_teach_it_nothing() -> None:
    algorithm = rolled_out(cfg_of("teacher_student"))
    learner = estimator_of(algorithm)
    vae = cast(TeacherStudent, learner.estimator)
    batch = learner.sequences(algorithm.rollout, torch.arange(6))
    gradients = []
    for scale in (1.0, 100.0):
        vae.zero_grad()
        vae.loss(batch._replace(estimate_targets=scale * batch.estimate_targets)).total.backward()
        gradients.append([each.grad for each in vae.encoder.parameters()])
    for a, b in zip(*gradients, strict=True):
        assert a is not None and b is not None and torch.equal(a, b)
