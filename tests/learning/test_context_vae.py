from __future__ import annotations

from collections import deque
from math import exp
from statistics import fmean

import pytest
import torch
from parts import estimate_rmse
from toy_env import toy_layout

from rl_sim_env.learning.config import ContextVaeCfg
from rl_sim_env.learning.context_vae import ContextVae
from rl_sim_env.learning.estimator import DECODE_LOSS, Sequences

STEPS, BATCH = 4, 8

each_cell = pytest.mark.parametrize("cell", ["leaky", "gru"])


def _vae(**settings: float | str) -> ContextVae:
    torch.manual_seed(0)
    return ContextVae(toy_layout(), ContextVaeCfg(**settings))  # type: ignore[arg-type]


def _batch(vae: ContextVae, steps: int = STEPS) -> Sequences:
    layout = toy_layout()
    return Sequences(
        observations={"vae_obs": torch.randn(steps, BATCH, layout.width("vae_obs"))},
        memory=torch.randn(BATCH, vae.cfg.memory_dim),
        begins=torch.zeros(steps, BATCH, dtype=torch.bool),
        estimate_targets=torch.randn(steps, BATCH, vae.targets.width),
        next_proprioception=torch.randn(steps, BATCH, vae.decoder[-1].out_features),  # type: ignore[arg-type]
        valid=torch.ones(steps, BATCH, dtype=torch.bool),
    )


def _step(batch: Sequences, step: int) -> dict[str, torch.Tensor]:
    return {group: values[step] for group, values in batch.observations.items()}


def test_widths_come_from_the_layout() -> None:
    layout = toy_layout()
    vae = _vae()
    reconstructed = sum(
        layout.term("critic_obs", name).width for name in vae.cfg.reconstructed_terms
    )
    assert vae.encoder[0].in_features == layout.width("vae_obs")
    assert vae.provides == {"estimate": 3 + 1 + 3, "latent": vae.cfg.latent_dim}
    assert vae.decoder[0].in_features == sum(vae.provides.values())
    assert vae.decoder[-1].out_features == reconstructed


@each_cell
def test_learns_a_small_batch_by_heart(cell: str) -> None:
    vae = _vae(beta=1e-5, memory_cell=cell)
    batch = _batch(vae)
    optimizer = torch.optim.Adam(vae.parameters(), lr=3e-3)
    before = vae.loss(batch)
    for _ in range(300):
        losses = vae.loss(batch)
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
    after = vae.loss(batch)
    for name in ("vel", "mass", "com"):
        curve = f"Loss/vae_{name}_loss"
        assert after.scalars[curve] < 0.02 * before.scalars[curve], name
        assert after.scalars[f"Estimation/{'velocity' if name == 'vel' else name}_rmse"] < 0.5
    assert after.scalars[DECODE_LOSS] < 0.5 * before.scalars[DECODE_LOSS]


def test_samples_after_an_episode_end_do_not_matter() -> None:
    vae = _vae()
    batch = _batch(vae)
    batch.valid[:, ::4] = False
    gradients = []
    for junk in (0.0, 1e6, torch.nan):
        target = torch.where(batch.valid[..., None], batch.next_proprioception, junk)
        torch.manual_seed(1)
        vae.zero_grad()
        vae.loss(batch._replace(next_proprioception=target)).total.backward()
        gradients.append(torch.cat([p.grad.flatten() for p in vae.parameters()]))  # type: ignore[union-attr]
    assert gradients[0].isfinite().all()
    assert torch.equal(gradients[0], gradients[1])
    assert torch.equal(gradients[0], gradients[2])


def test_estimate_is_deterministic_and_latent_is_sampled() -> None:
    vae = _vae()
    batch = _batch(vae)
    inputs = _step(batch, 0), batch.memory
    first, second = (vae(*inputs, deterministic=False) for _ in range(2))
    assert torch.equal(first.estimate, second.estimate)
    assert not torch.equal(first.latent, second.latent)
    mean, same = (vae(*inputs, deterministic=True) for _ in range(2))
    assert torch.equal(mean.latent, same.latent)


@each_cell
def test_sequences_read_like_steps_and_episodes_begin_with_a_fresh_memory(cell: str) -> None:
    vae = _vae(memory_cell=cell)
    batch = _batch(vae)
    batch.begins[2, :3] = True
    estimates, memory = [], batch.memory
    for step, begins in enumerate(batch.begins):
        memory = torch.where(begins[:, None], vae.initial_memory(BATCH), memory)
        output = vae(_step(batch, step), memory, deterministic=True)
        estimates.append(output.estimate)
        memory = output.memory
    assert estimate_rmse(vae, batch, torch.stack(estimates)) < 1e-5


@each_cell
def test_what_was_seen_steps_ago_is_remembered(cell: str) -> None:
    torch.manual_seed(0)
    vae = _vae(beta=1e-5, memory_cell=cell)
    optimizer = torch.optim.Adam(vae.parameters(), lr=3e-3)
    last = deque([1.0], maxlen=20)
    for _ in range(600):
        if fmean(last) < 0.1:
            return
        batch = _batch(vae)
        # The mass shows in the first step alone.
        history = batch.observations["vae_obs"]
        mass = history[0, :, :1]
        history[1:, :, 0] = 0.0
        losses = vae.loss(batch._replace(estimate_targets=mass.expand_as(batch.estimate_targets)))
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
        last.append(losses.scalars["Loss/vae_mass_loss"].item())
    pytest.fail(f"mass error {fmean(last)}")


@each_cell
def test_what_is_new_enters_the_memory_at_the_initial_rate(cell: str) -> None:
    rates = {}
    for rate in (0.05, 0.5):
        vae = _vae(memory_cell=cell, memory_rate=rate)
        batch = _batch(vae)
        memory = torch.full_like(batch.memory, 100.0)
        # So large a memory closes or opens gates that see it.
        with torch.no_grad():
            for name, weight in vae.memory.named_parameters():
                if name == "cell.weight_hh":
                    weight.zero_()
        after = vae(_step(batch, 0), memory, deterministic=True).memory
        rates[rate] = 1.0 - after.mean().item() / 100.0
    assert rates[0.05] == pytest.approx(0.05, abs=0.02)
    assert rates[0.5] == pytest.approx(0.5, abs=0.05)


def test_without_memory_the_frames_tell_all() -> None:
    vae = _vae(memory_dim=0)
    batch = _batch(vae)
    vae.loss(batch).total.backward()
    output = vae(_step(batch, 0), vae.initial_memory(BATCH), deterministic=True)
    assert output.memory.shape == (BATCH, 0)
    assert output.estimate.isfinite().all()


def test_extreme_log_variance_stays_bounded_and_keeps_its_gradient() -> None:
    vae = _vae(logvar_bound=5.0)
    with torch.no_grad():
        vae.heads.bias[-vae.latent_width :] = 15.0
    kl = vae.loss(_batch(vae)).scalars["Loss/vae_kl_loss"]
    assert kl < 0.5 * vae.latent_width * exp(5.0)
    kl.backward()
    assert vae.heads.bias.grad is not None
    assert vae.heads.bias.grad[-1] > 0.0


def test_beta_follows_the_reconstruction_within_its_bounds() -> None:
    vae = _vae(beta=1e-3, beta_rate=0.1, target_reconstruction=0.01)
    vae.adapt(torch.tensor(0.02))
    assert vae.beta < 1e-3
    for _ in range(200):
        vae.adapt(torch.tensor(0.001))
    assert vae.beta == torch.tensor(vae.cfg.beta_range[1])
    assert vae.state_dict()["beta"] == vae.beta
