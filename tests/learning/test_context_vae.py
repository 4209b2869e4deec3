from __future__ import annotations

import torch
from toy_env import toy_layout

from rl_sim_env.learning.config import AmpVaeRunnerCfg, ContextVaeCfg
from rl_sim_env.learning.context_vae import ContextVae
from rl_sim_env.learning.policy import build_vae

BATCH = 32


def _vae(**settings: float) -> ContextVae:
    torch.manual_seed(0)
    return build_vae(toy_layout(), AmpVaeRunnerCfg(vae=ContextVaeCfg(**settings)))  # type: ignore[arg-type]


def _batch(vae: ContextVae) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """History, true code, next proprioception, valid."""
    layout = toy_layout()
    return (
        torch.randn(BATCH, layout.width("vae_obs")),
        torch.randn(BATCH, vae.targets.width),
        torch.randn(BATCH, vae.decoder[-1].out_features),  # type: ignore[arg-type]
        torch.ones(BATCH, 1),
    )


def test_widths_come_from_the_layout() -> None:
    layout = toy_layout()
    vae = _vae()
    reconstructed = sum(
        layout.term("critic_obs", name).width for name in vae.cfg.reconstructed_terms
    )
    assert vae.encoder[0].in_features == layout.width("vae_obs")
    assert vae.code_width == 3 + 1 + 3 + vae.cfg.latent_dim
    assert vae.decoder[0].in_features == vae.code_width
    assert vae.decoder[-1].out_features == reconstructed


def test_learns_a_small_batch_by_heart() -> None:
    vae = _vae(beta=1e-5)
    batch = _batch(vae)
    optimizer = torch.optim.Adam(vae.parameters(), lr=3e-3)
    before = vae.loss(*batch)
    for _ in range(300):
        losses = vae.loss(*batch)
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
    after = vae.loss(*batch)
    for name in ("velocity", "mass", "com"):
        assert getattr(after, name) < 0.02 * getattr(before, name), name
    assert after.reconstruction < 0.5 * before.reconstruction
    assert after.rmse.max() < 0.5


def test_samples_after_an_episode_end_do_not_matter() -> None:
    vae = _vae()
    history, code, target, valid = _batch(vae)
    valid[::4] = 0.0
    gradients = []
    for junk in (0.0, 1e6, torch.nan):
        corrupted = torch.where(valid > 0.0, target, junk)
        torch.manual_seed(1)
        vae.zero_grad()
        vae.loss(history, code, corrupted, valid).total.backward()
        gradients.append(torch.cat([p.grad.flatten() for p in vae.parameters()]))  # type: ignore[union-attr]
    assert gradients[0].isfinite().all()
    assert torch.equal(gradients[0], gradients[1])
    assert torch.equal(gradients[0], gradients[2])


def test_estimate_is_deterministic_and_latent_is_sampled() -> None:
    vae = _vae()
    history = _batch(vae)[0]
    (estimate, latent), (again, other) = (vae(history, deterministic=False) for _ in range(2))
    assert torch.equal(estimate, again)
    assert not torch.equal(latent, other)
    assert torch.equal(vae(history, deterministic=True)[1], vae(history, deterministic=True)[1])


def test_extreme_log_variance_stays_bounded_and_keeps_its_gradient() -> None:
    vae = _vae(logvar_bound=5.0)
    with torch.no_grad():
        vae.heads.bias.fill_(15.0)
    logvar = vae.encode(torch.zeros(1, toy_layout().width("vae_obs")))[2]
    assert logvar.max() < 5.0
    logvar.sum().backward()
    assert vae.heads.bias.grad is not None
    assert vae.heads.bias.grad[-1] > 0.0


def test_beta_follows_the_reconstruction_within_its_bounds() -> None:
    vae = _vae(beta=1e-3, beta_rate=0.1, target_reconstruction=0.01)
    vae.adapt_beta(torch.tensor(0.02))
    assert vae.beta < 1e-3
    for _ in range(200):
        vae.adapt_beta(torch.tensor(0.001))
    assert vae.beta == torch.tensor(vae.cfg.beta_range[1])
    assert vae.state_dict()["beta"] == vae.beta
