"""The task with sight: that of walking blind and more, which a blind policy can begin."""

from __future__ import annotations

import pytest
import torch

from pages import ROOT
from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.errors import UserError
from rl_sim_env.experiment import TrainerOptions, Training, configure_trainer, grows
from rl_sim_env.learning.checkpoint import Checkpoint
from rl_sim_env.learning.growth import grown
from rl_sim_env.learning.layout import ObservationLayout
from rl_sim_env.learning.policy import POLICY_STATE, AmpVaePolicy
from rl_sim_env.tasks import TASKS, beginnings, find_task, make_env_cfg
from rl_sim_env.tasks.grq20_v2d3 import GRQ20_V2D3_WALKING
from rl_sim_env.tasks.perceptive_walking import add_sight

TASK, BLIND = "Rl-Sim-Env-AmpVaeVit-Grq20-V2d3-v0", "Rl-Sim-Env-AmpVae-Grq20-V2d3-v0"
SHIPPED = ROOT / "policies" / "grq20_v2d3" / "model_1885.pt"
GROUPS = ("actor_obs", "vae_obs", "critic_obs", "exteroception", "terrain")


@pytest.fixture(scope="module")
def shipped() -> Checkpoint:
    return Checkpoint.load(SHIPPED)


def _layout(make_env) -> ObservationLayout:
    env = make_env(1, edit=lambda cfg: add_sight(cfg, GRQ20_V2D3_WALKING, (0.3, 0.05)))
    return AmpVaeVecEnv(env).observation_layout


@pytest.mark.parametrize("robot", ("Grq20-V2d3", "Go1"))
def test_the_task_adds_to_that_of_the_blind_robot(robot):
    blind, seeing = (make_env_cfg(f"Rl-Sim-Env-AmpVae{kind}-{robot}-v0") for kind in ("", "Vit"))
    assert f"Rl-Sim-Env-AmpVaeVit-{robot}-Play-v0" in TASKS
    for part in ("observations", "rewards", "events", "terminations", "actions", "frame_stacks"):
        assert getattr(blind, part).keys() <= getattr(seeing, part).keys()
    assert seeing.observations.keys() - blind.observations.keys() == {"exteroception", "terrain"}
    tiles = [set(cfg.scene.terrain.terrain_generator.sub_terrains) for cfg in (blind, seeing)]
    assert tiles[1] - tiles[0] == {"gaps", "stones"}
    assert set(seeing.commands["velocity"].terrains) == tiles[1]
    shares = seeing.scene.terrain.terrain_generator.sub_terrains.values()
    assert sum(each.proportion for each in shares) == pytest.approx(1.0)
    assert {*beginnings(find_task(f"Rl-Sim-Env-AmpVaeVit-{robot}-v0"))} >= {
        f"Rl-Sim-Env-AmpVae-{robot}-v0"
    }


def test_the_shipped_blind_policy_acts_the_same_once_it_can_see(make_env, shipped):
    layout = _layout(make_env)
    cfg, _ = configure_trainer(TrainerOptions(task=TASK, finetune=True), shipped)
    known = ObservationLayout.from_dict(shipped.layout)
    blind = AmpVaePolicy.from_saved(
        shipped.algorithm, known, 12, shipped.runner_cfg(SHIPPED), "cpu"
    )
    seeing = AmpVaePolicy.build(layout, 12, cfg).eval()
    seeing.load_state_dict(grown(shipped.algorithm[POLICY_STATE], seeing.state_dict())[0])
    torch.manual_seed(0)
    memories = [policy.initial_memory(16) for policy in (blind, seeing)]
    for _ in range(20):
        shown = {group: torch.randn(16, layout.width(group)) for group in GROUPS}
        with torch.no_grad():
            acted = [
                policy(shown, memory)
                for policy, memory in zip((blind, seeing), memories, strict=True)
            ]
        memories = [of.memory for of in acted]
        assert torch.equal(*memories)
        assert torch.equal(acted[0].estimate.joined(), acted[1].estimate.joined())
        torch.testing.assert_close(acted[0].actions, acted[1].actions, atol=1e-5, rtol=1e-5)


def test_only_a_training_may_begin_with_a_blind_policy_and_only_one_that_sees(shipped):
    assert grows(TASK, shipped) and not grows(BLIND, shipped)
    assert Training.of(shipped, SHIPPED, TASK, finetune=True).task == BLIND
    with pytest.raises(UserError, match="trained on task Rl-Sim-Env-AmpVae-Grq20-V2d3-v0, wanted"):
        Training.of(shipped, SHIPPED, TASK)


def test_what_the_blind_policy_reads_must_come_first(shipped):
    options = TrainerOptions(
        task=TASK,
        settings=["agent.actor.obs_groups=('terrain_estimate','estimate','latent','actor_obs')"],
        finetune=True,
    )
    with pytest.raises(UserError, match=r"agent\.actor\.obs_groups of the policy.*come first"):
        configure_trainer(options, shipped)


BLIND_ACTOR = "agent.actor.obs_groups=('estimate','latent','actor_obs')"


@pytest.mark.parametrize(
    ("settings", "lacks"),
    (
        (
            ("agent.vae.class_name=rl_sim_env.learning.context_vae:ContextVae", BLIND_ACTOR),
            "map_encoder",
        ),
        (("agent.vae.settings.encoder=mlp",), "map_encoder.query"),
        (("agent.vae.settings.reconstruct=false", BLIND_ACTOR), "correction"),
        (("agent.vae.settings.remember=false",), "recall"),
    ),
    ids=("blind", "mlp", "no reconstruction", "no memory"),
)
def test_variants_are_settings(make_env, shipped, settings, lacks):
    layout = _layout(make_env)
    options = TrainerOptions(task=TASK, settings=settings, finetune=True)
    cfg, _ = configure_trainer(options, shipped)
    policy = AmpVaePolicy.build(layout, 12, cfg)
    whole = AmpVaePolicy.build(layout, 12, configure_trainer(TrainerOptions(task=TASK))[0])
    names = {name for name, _ in policy.vae.named_parameters()}
    assert not [name for name in names if name.startswith(lacks)]
    assert [name for name, _ in whole.vae.named_parameters() if name.startswith(lacks)]
    grown(shipped.algorithm[POLICY_STATE], policy.state_dict())


def test_a_policy_that_sees_may_read_its_map_through_convolutions_from_now_on(make_env):
    (path,) = (ROOT / "policies" / "grq20_v2d3_vit").glob("model_*.pt")
    seeing = Checkpoint.load(path)

    def configured(*settings: str):
        options = TrainerOptions(task=TASK, settings=settings, finetune=True)
        return configure_trainer(options, seeing)[0]

    cfg = configured("agent.actor.class_name=rl_sim_env.learning.map_model:MapModel")
    policy = AmpVaePolicy.build(_layout(make_env), 12, cfg)
    state, told = grown(seeing.algorithm[POLICY_STATE], policy.state_dict())
    policy.load_state_dict(state)
    assert told == "new parameters: actor.map_head (8); actor.mlp.0.weight reads 64 values more"
    with pytest.raises(UserError, match="come first"):
        configured(BLIND_ACTOR)
