"""The estimator that sees: blind until it learns to see, and then it tells what is hidden."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from parts import estimate_rmse
from toy_env import toy_layout

from rl_sim_env.cuda_graphs import HostReads
from rl_sim_env.errors import UserError
from rl_sim_env.learning.config import ActorCfg, AmpVaeRunnerCfg, ContextVaeCfg
from rl_sim_env.learning.context_vae import ContextVae
from rl_sim_env.learning.estimator import Sequences
from rl_sim_env.learning.growth import grown
from rl_sim_env.learning.layout import GroupLayout, ObservationLayout, TermLayout
from rl_sim_env.learning.perceptive_vae import TERRAIN_ESTIMATE, PerceptionCfg, PerceptiveVae
from rl_sim_env.learning.policy import AmpVaePolicy
from rl_sim_env.learning.structure import MisfitError

STEPS, BATCH, CELLS = 6, 8, 32
SIZES = {"encoder_dims": (16, 16), "decoder_dims": (16,), "latent_dim": 4, "memory_dim": 32}


def _layout() -> ObservationLayout:
    """The toy's, and a map of 8 x 4 cells."""
    heights = TermLayout(name="heights", width=CELLS, scale=5.0)
    groups = {
        **toy_layout().groups,
        "exteroception": GroupLayout(terms=(heights, TermLayout(name="seen", width=CELLS))),
        "terrain": GroupLayout(terms=(replace(heights, name="terrain"),)),
    }
    return ObservationLayout(groups=groups)


def _cfg(**settings: Any) -> ContextVaeCfg:
    perception = PerceptionCfg(grid=(8, 4), token_width=16, mlp_dims=(32,), **settings)
    return ContextVaeCfg(
        class_name="rl_sim_env.learning.perceptive_vae:PerceptiveVae",
        settings=asdict(perception),
        memory_cell="gru",
        **SIZES,
    )


def _vae(**settings: Any) -> PerceptiveVae:
    torch.manual_seed(0)
    return PerceptiveVae(_layout(), _cfg(**settings))


def _batch(steps: int = STEPS) -> Sequences:
    torch.manual_seed(1)
    layout = _layout()
    truth = torch.randn(steps, BATCH, CELLS)
    seen = (torch.rand_like(truth) < 0.5).float()
    return Sequences(
        observations={
            "vae_obs": torch.randn(steps, BATCH, layout.width("vae_obs")),
            "exteroception": torch.cat((truth * seen, seen), dim=-1),
            "terrain": truth,
        },
        memory=torch.randn(BATCH, 32),
        begins=torch.zeros(steps, BATCH, dtype=torch.bool),
        estimate_targets=torch.randn(steps, BATCH, 7),
        next_proprioception=torch.randn(steps, BATCH, 8),
        valid=torch.ones(steps, BATCH, dtype=torch.bool),
    )


def _fit(vae: PerceptiveVae, batch: Sequences, updates: int) -> dict[str, torch.Tensor]:
    optimizer = torch.optim.Adam(vae.parameters(), lr=3e-3)
    for _ in range(updates):
        losses = vae.loss(batch)
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
    return vae.loss(batch).scalars


def _blind_and_seeing() -> tuple[AmpVaePolicy, AmpVaePolicy]:
    """A blind policy, and one that has grown out of it."""
    blind_cfg = AmpVaeRunnerCfg(
        actor=ActorCfg(hidden_dims=(32,)), vae=ContextVaeCfg(memory_cell="gru", **SIZES)
    )
    groups = (*blind_cfg.actor.obs_groups, TERRAIN_ESTIMATE)
    cfg = AmpVaeRunnerCfg(actor=replace(blind_cfg.actor, obs_groups=groups), vae=_cfg())
    torch.manual_seed(0)
    blind = AmpVaePolicy.build(_layout(), 2, blind_cfg).eval()
    seeing = AmpVaePolicy.build(_layout(), 2, cfg).eval()
    seeing.load_state_dict(grown(blind.state_dict(), seeing.state_dict())[0])
    return blind, seeing


def test_it_begins_as_the_blind_estimator_to_the_bit() -> None:
    torch.manual_seed(0)
    blind = ContextVae(_layout(), ContextVaeCfg(memory_cell="gru", **SIZES))
    seeing, batch = _vae(), _batch()
    missing, unexpected = seeing.load_state_dict(blind.state_dict(), strict=False)
    assert unexpected == [] and missing
    scalars = []
    for vae in (seeing, blind):
        torch.manual_seed(1)
        scalars.append(vae.loss(batch).scalars)
    mine, theirs = scalars
    assert all(torch.equal(mine[name], value) for name, value in theirs.items())


def test_a_policy_that_has_grown_does_what_the_blind_one_does() -> None:
    blind, seeing = _blind_and_seeing()
    batch = _batch()
    memory = memory_of_blind = torch.zeros(BATCH, 32)
    for step in range(STEPS):
        observations = {name: values[step] for name, values in batch.observations.items()}
        observations["actor_obs"] = torch.randn(BATCH, _layout().width("actor_obs"))
        mine, theirs = seeing(observations, memory), blind(observations, memory_of_blind)
        memory, memory_of_blind = mine.memory, theirs.memory
        assert torch.equal(memory, memory_of_blind)
        torch.testing.assert_close(mine.actions, theirs.actions, atol=1e-6, rtol=0.0)
    assert mine.reconstructions[TERRAIN_ESTIMATE].shape == (BATCH, CELLS)


def test_what_is_new_in_a_grown_policy_is_told_and_what_differs_is_refused() -> None:
    blind, seeing = _blind_and_seeing()
    _, told = grown(blind.state_dict(), seeing.state_dict())
    assert "vae.map_encoder" in told and "actor.mlp.0.weight reads 32 values more" in told
    assert "vae.encoder" not in told
    for name, value in {
        "vae.heads.weight": torch.zeros(3, 48),
        "actor.mlp.0.weight": torch.zeros(32, 500),
        "vae.surplus": torch.zeros(1),
    }.items():
        with pytest.raises(MisfitError, match=name):
            grown({**blind.state_dict(), name: value}, seeing.state_dict())


def test_the_actor_reads_the_truth_or_the_reconstruction() -> None:
    _, seeing = _blind_and_seeing()
    with torch.no_grad():
        seeing.actor.mlp[0].weight.add_(0.1)  # type: ignore[index]
    batch = _batch()
    observations = {name: values[0] for name, values in batch.observations.items()}
    observations["actor_obs"] = torch.zeros(BATCH, _layout().width("actor_obs"))
    observations["critic_obs"] = torch.zeros(BATCH, _layout().width("critic_obs"))
    acted = {}
    for p_boot in (0.0, 1.0):
        for height in (0.0, 1.0):
            shown = {**observations, "terrain": torch.full((BATCH, CELLS), height)}
            acted[p_boot, height] = seeing(shown, torch.zeros(BATCH, 32), p_boot).actions
    assert not torch.allclose(acted[0.0, 0.0], acted[0.0, 1.0])
    assert torch.equal(acted[1.0, 0.0], acted[1.0, 1.0])


@pytest.mark.parametrize("encoder", ["attention", "mlp"])
def test_a_small_batch_is_reconstructed_by_heart(encoder: str) -> None:
    vae, batch = _vae(encoder=encoder), _batch()
    before = vae.loss(batch).scalars
    after = _fit(vae, batch, 400)
    for name in ("terrain_rmse", "terrain_unseen_rmse"):
        assert after[f"Estimation/{name}"] < 0.6 * before[f"Estimation/{name}"], name
    for name in ("mass", "com", "velocity"):
        assert after[f"Estimation/{name}_rmse"] < 0.7 * before[f"Estimation/{name}_rmse"]


def test_cells_that_are_hidden_are_remembered() -> None:
    vae, batch = _vae(), _batch()
    # The ground does not change, and is seen in the first step alone.
    truth = batch.observations["terrain"][:1].expand(STEPS, -1, -1).clone()
    seen = torch.zeros_like(truth)
    seen[0] = 1.0
    observations = batch.observations | {
        "terrain": truth,
        "exteroception": torch.cat((truth * seen, seen), dim=-1),
        "vae_obs": torch.zeros_like(batch.observations["vae_obs"]),
    }
    batch = batch._replace(observations=observations, memory=torch.zeros_like(batch.memory))
    remembered = _fit(vae, batch, 400)["Estimation/terrain_unseen_rmse"]
    forgotten = _fit(_vae(remember=False), batch, 400)["Estimation/terrain_unseen_rmse"]
    assert remembered < 0.6 * forgotten


def test_its_uncertainty_learns_and_moves_nothing_else() -> None:
    vae, batch = _vae(), _batch()
    scalars = _fit(vae, batch, 30)
    loss = scalars["Loss/vae_terrain_variance_loss"]
    vae.zero_grad()
    loss.backward()
    moved = {name for name, each in vae.named_parameters() if each.grad is not None}
    assert moved == {"terrain_variance.head.weight", "terrain_variance.head.bias"}


def test_its_loss_reads_nothing_on_the_host() -> None:
    vae, batch = _vae(), _batch()
    with HostReads() as reads:
        vae.loss(batch).total.backward()
    assert reads.places == set()


def test_patches_are_cells_that_lie_together() -> None:
    vae = _vae()
    cells = torch.arange(CELLS).expand(2, 3, CELLS)
    patches = vae._patches(cells)
    assert patches.shape == (2, 3, 2, 16)
    # Rows of eight: the first four columns of each, then the others.
    assert patches[0, 0, 0].tolist() == [
        8 * row + column for row in range(4) for column in range(4)
    ]
    assert torch.equal(vae._joined_patches(patches), cells)


def test_sequences_read_like_steps() -> None:
    vae, batch = _vae(), _batch()
    with torch.no_grad():
        vae.fusion.weight.normal_()
    estimates, memory = [], batch.memory
    for step in range(STEPS):
        observations = {name: values[step] for name, values in batch.observations.items()}
        output = vae(observations, memory, deterministic=True)
        estimates.append(output.estimate)
        memory = output.memory
    assert estimate_rmse(vae, batch, torch.stack(estimates)) < 1e-5


def test_without_reconstruction_nothing_of_it_is_left() -> None:
    vae = _vae(reconstruct=False)
    batch = _batch()
    del batch.observations["terrain"]
    names = {name.split(".")[0] for name, _ in vae.named_parameters()}
    assert not names & {"recall", "correction", "terrain_variance"}
    assert vae.provides.keys() == {"estimate", "latent"}
    vae.loss(batch).total.backward()
    assert vae.fusion.weight.grad is not None and vae.fusion.weight.grad.any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"grid": (8, 5)}, "patch is 4; it must divide"),
        ({"grid": (4, 4)}, "have 32, 32, 32 cells"),
        ({"heads": 3}, "must divide token_width"),
        ({"encoder": "cnn"}, "one of attention, mlp"),
        ({"layers": -1}, "must be at least 0"),
        ({"colour": 1}, "'colour' is unknown"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    cfg = _cfg()
    cfg.settings |= settings
    with pytest.raises(UserError, match=message):
        PerceptiveVae(_layout(), cfg)
