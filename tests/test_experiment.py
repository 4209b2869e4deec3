"""One artefact: a checkpoint brings the environment that its policy was trained in."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from rl_sim_env.cli import evaluate, export, play, train
from rl_sim_env.cli.options import POLICIES
from rl_sim_env.configuration import to_plain
from rl_sim_env.configuration.upgrading import MOVED_NAMES
from rl_sim_env.conventions import PHYSICS_DT
from rl_sim_env.deploy import open_session
from rl_sim_env.deploy.environment_facts import require_same_environment
from rl_sim_env.deploy.onnx_export import NETWORK_FILE, POLICY_FILE, export_policy
from rl_sim_env.envs import AmpVaeEnvCfg
from rl_sim_env.errors import UserError
from rl_sim_env.evaluation.arena import Arena
from rl_sim_env.experiment import (
    EnvOptions,
    TrainerOptions,
    Training,
    build_env,
    build_style_judge,
    build_vec_env,
    configure_env,
    configure_trainer,
)
from rl_sim_env.learning.checkpoint import Checkpoint, resolve_checkpoint
from rl_sim_env.tasks import family_ids, find_task, make_env_cfg

GRQ20_POLICY = POLICIES / "grq20_v2d3"

FAMILY = "Rl-Sim-Env-AmpVae-Grq20-V2d3"
FLAT = f"{FAMILY}-Flat-v0"
PLAY = f"{FAMILY}-Flat-Play-v0"
SCALE = "env.actions.joint_pos.scale"
TINY = (
    *("--task", FLAT, "--device", "cpu", "--num_envs", "4", "--headless"),
    *("agent.num_steps_per_env=2", "agent.algorithm.num_learning_epochs=1"),
    *("agent.amp.batch_size=8", "agent.amp.replay_size=1000", "agent.actor.hidden_dims=(16,)"),
)


def training(task: str = FLAT, **changes: object) -> Training:
    """A training with some values of the environment changed."""
    cfg = make_env_cfg(task)
    cfg.actions["joint_pos"].scale = changes.pop("scale", 0.25)
    for name, value in changes.items():
        setattr(cfg, name, value)
    return Training(task=task, env_cfg=to_plain(cfg, classes=True))


def configure(task: str = FLAT, **options: object):
    return configure_env(EnvOptions(task=task, device="cpu", **options))


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    """A checkpoint of a tiny run with settings of its own, in a folder that holds nothing else."""
    work = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work)
        train.main(["--max_iterations", "1", "--arm", "viscous", *TINY, f"{SCALE}=0.25"])
    folder = tmp_path_factory.mktemp("alone")
    return Path(shutil.move(next(work.rglob("model_*.pt")), folder))


@pytest.fixture
def built(monkeypatch) -> list[AmpVaeEnvCfg]:
    """Configurations of the environments that programs build."""
    seen = []
    original = build_env

    def spy(setup, render_mode=None):
        seen.append(setup.cfg)
        return original(setup, render_mode)

    monkeypatch.setattr("rl_sim_env.experiment.build_env", spy)
    return seen


def test_played_in_the_environment_of_its_training(alone, built, capsys):
    brief = ("--task", PLAY, "--num_envs", "2", "--headless", "--duration", "0.04")
    play.main([*brief, "--device", "cpu", "--checkpoint", str(alone)])
    (cfg,) = built
    assert cfg.actions["joint_pos"].scale == 0.25
    boom = cfg.scene.entities["robot"].articulation.actuators[1]
    assert (boom.stiffness, boom.damping) == (0.0, 1000.0)
    assert not cfg.observations["actor_obs"].enable_corruption, "watching is without noise"
    assert cfg.scene.num_envs == 2
    assert "env.actions.joint_pos.scale: 0.25, as in training, not 0.35" in capsys.readouterr().out


def test_a_checkpoint_of_a_training_judges_style_and_a_policy_alone_does_not(alone):
    setup = configure(PLAY, num_envs=1)
    vec_env = build_vec_env(setup)
    checkpoint = Checkpoint.load(alone)
    judge = build_style_judge(checkpoint, alone, vec_env)
    assert judge is not None
    state = vec_env.get_observations()["amp_obs"]
    assert 0.0 <= judge.style_reward(state, state).item() <= 1.0
    assert build_style_judge(checkpoint.policy_only(), alone, vec_env) is None
    vec_env.close()


def test_what_the_command_line_changes_counts_and_is_told(alone, built, capsys):
    brief = ("--task", PLAY, "--num_envs", "1", "--headless", "--duration", "0.04")
    gain = "env.scene.entities.robot.articulation.actuators.0.drives.FL_hip_joint.stiffness"
    seen = "env.observations.actor_obs.terms.joint_vel.scale"
    settings = (f"{SCALE}=0.3", f"{gain}=60", f"{seen}=0.06", "env.viewer.distance=2")
    named = ("--checkpoint", str(alone), "--arm", "locked", *settings)
    play.main([*brief, "--device", "cpu", *named])
    assert built[0].actions["joint_pos"].scale == 0.3
    assert built[0].scene.entities["robot"].articulation.actuators[1].stiffness == 10_000.0
    told = capsys.readouterr().out
    assert f"{SCALE}: trained with 0.25, now 0.3; the policy depends on it" in told
    assert f"{gain}: trained with 70.0, now 60.0; the policy depends on it" in told
    assert f"{seen}: trained with 0.05, now 0.06; the policy depends on it" in told
    assert "arm: trained with viscous, now locked" in told
    assert "viewer" not in told, "nothing of the policy"


def test_evaluated_in_the_environment_of_its_training(alone, built, tmp_path, monkeypatch):
    monkeypatch.setattr(Arena, "rollout", lambda self, *_, **__: iter(()))
    monkeypatch.setattr(evaluate, "PROTOCOLS", {})
    monkeypatch.setattr(evaluate, "_run", lambda *_: iter(()))
    brief = ("--task", FLAT, "--quick", "--robots", "2", "--device", "cpu", "--output")
    evaluate.main([*brief, str(tmp_path / "report"), "--checkpoint", str(alone)])
    assert built[0].actions["joint_pos"].scale == 0.25


def test_exported_with_the_facts_of_its_training(alone, tmp_path, capsys):
    folder = tmp_path / "out"
    export.main(["--checkpoint", str(alone), "--output", str(folder), "--with_checkpoint"])
    assert open_session(folder / POLICY_FILE)[1].action_scale == (0.25,) * 12
    # What is handed on says it, too.
    handed_on = folder / alone.name
    trained = Checkpoint.load(handed_on).trained_env_cfg(handed_on)
    assert trained["actions"]["joint_pos"]["scale"] == 0.25
    # Another environment refuses the networks.
    network = folder / NETWORK_FILE
    with pytest.raises(SystemExit):
        evaluate.main(["--task", FLAT, "--quick", "--device", "cpu", "--checkpoint", str(network)])
    assert "action_scale was (0.25, " in capsys.readouterr().err


def test_resumed_in_the_environment_and_with_the_learners_of_its_training(
    alone, built, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    resume = ("--task", FLAT, "--device", "cpu", "--num_envs", "4", "--checkpoint", str(alone))
    train.main([*resume, "--max_iterations", "2", "--headless", "agent.algorithm.gamma=0.98"])
    (cfg,) = built
    assert cfg.actions["joint_pos"].scale == 0.25
    told = capsys.readouterr().out
    assert "agent.algorithm.gamma: trained with 0.99, now 0.98" in told
    resumed = Checkpoint.load(next(tmp_path.rglob("model_*.pt")))
    assert resumed.iteration == 1
    assert resumed.config["actor"]["hidden_dims"] == [16]
    assert resumed.env_cfg["actions"]["joint_pos"]["scale"] == 0.25
    assert resumed.task_arguments == {"arm": "viscous"}


def test_checkpoint_of_before_takes_the_file_beside_it_or_is_refused(alone, tmp_path):
    content = torch.load(alone, weights_only=True)
    env_cfg = content.pop("env_cfg")
    del content["task_arguments"]
    path = tmp_path / alone.name
    torch.save(content, path)
    with pytest.raises(UserError, match=r"env\.yaml is missing; put the file back"):
        export_policy(path, tmp_path / "out")
    with pytest.raises(UserError, match=r"env\.yaml is missing"):
        Training.of(Checkpoint.load(path), path, FLAT)
    (tmp_path / "params").mkdir()
    # As it was written then: delays in physics steps, some functions described.
    drive = env_cfg["scene"]["entities"]["robot"]["articulation"]["actuators"][0]
    gains = drive.pop("drives")["FL_hip_joint"]
    del gains["class"]
    gains["saturation_effort"] = gains.pop("stall_torque")
    drive |= {**gains, "delay_max_lag": 2}
    del drive["max_delay"]
    env_cfg["scene"]["entities"]["robot"]["spec_fn"] = "functools.partial(<function f at 0x7>)"
    env_cfg["scene"]["sensors"][-1]["physics_dt"] = 0.005
    env_cfg["robot_names"] = {"base_body": env_cfg.pop("robot")["base_body"]}
    (tmp_path / "params" / "env.yaml").write_text(yaml.safe_dump(env_cfg))
    setup = configure(training=Training.of(Checkpoint.load(path), path, FLAT))
    assert setup.cfg.actions["joint_pos"].scale == 0.25
    assert setup.cfg.scene.entities["robot"].articulation.actuators[0].max_delay == 2 * PHYSICS_DT
    assert not any("spec_fn" in line or "physics_dt" in line for line in setup.differences)


@pytest.mark.parametrize("task", family_ids(FAMILY))
def test_task_keeps_what_it_differs_in_on_purpose(task):
    own = make_env_cfg(task)
    cfg = configure(task, training=training(FLAT), seed=3).cfg
    assert cfg.actions["joint_pos"].scale == 0.25
    own.actions["joint_pos"].scale, own.seed = 0.25, 3
    assert to_plain(cfg) == to_plain(own)


def test_task_of_another_family_is_refused(alone):
    other = dataclasses.replace(Checkpoint.load(alone), task="Other-Robot-v0")
    with pytest.raises(UserError, match="trained on task Other-Robot-v0"):
        Training.of(other, alone, FLAT)


def test_function_that_the_policy_depends_on_must_be_the_same():
    trained = training()
    terms = trained.env_cfg["observations"]["actor_obs"]["terms"]
    terms["joint_pos"]["func"] = "rl_sim_env.mdp.observations:joint_pos_of_before"
    with pytest.raises(UserError, match=r"actor_obs\.terms\.joint_pos\.func was .*of_before"):
        configure(training=trained)
    trained = training()
    trained.env_cfg["rewards"]["of_before"] = {"func": "x:y", "weight": 1.0}
    trained.env_cfg["rewards"]["feet_slide"]["func"] = "x:slide"
    told = "\n".join(configure(training=trained).differences)
    assert "env.rewards.of_before: trained with {'func': 'x:y'" in told and "no more" in told
    assert "env.rewards.feet_slide.func: trained with 'x:slide', now" in told


def test_order_of_an_assembly_is_the_same_everywhere():
    def adapt(cfg: AmpVaeEnvCfg) -> None:
        assert cfg.actions["joint_pos"].scale == 0.25
        cfg.scene.num_envs, cfg.episode_length_s = 7, 1.0

    cfg = configure(training=training(), adapt=adapt, settings=["env.episode_length_s=2"]).cfg
    assert (cfg.scene.num_envs, cfg.episode_length_s) == (7, 2.0)
    gpu = configure_env(EnvOptions(task=FLAT, device="cuda:0", settings=["env.overlap=false"])).cfg
    assert gpu.fixed_shapes and not gpu.overlap
    with pytest.raises(UserError, match="give --seed"):
        configure(settings=["env.seed=3"])
    with pytest.raises(UserError, match="a robot is described in code"):
        configure(settings=["env.robot.spawn_height=3.0"])


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("env.robot", "a robot is described in code"),
        ("env.scene.entities.robot", "needs ground to walk on, and ground a robot"),
        ("env.scene.terrain", "needs ground to walk on, and ground a robot"),
    ],
)
def test_robot_and_ground_cannot_be_switched_off(path, words):
    with pytest.raises(UserError, match=f"{path}=null.*{words}"):
        configure(settings=[f"{path}=null"])


def test_missing_model_is_told():
    with pytest.raises(UserError, match=r"robot model /nowhere\.xml: no such file.*--mjcf"):
        configure(arguments={"mjcf_path": "/nowhere.xml"})


def test_trainer_of_a_fresh_run_has_the_defaults():
    cfg, differences = configure_trainer(TrainerOptions(task=FLAT, given={"seed": None}))
    assert cfg == find_task(FLAT).runner_cfg()
    assert differences == ()


def test_names_that_moved_are_no_differences(alone, tmp_path, monkeypatch):
    monkeypatch.setitem(MOVED_NAMES, "of.before:Ppo", "rl_sim_env.learning.ppo:PpoLearner")
    content = torch.load(alone, weights_only=True)
    env_cfg, config = content["env_cfg"], content["config"]
    env_cfg["sim"]["class"] = "mjlab.sim.sim:SimulationCfg"
    env_cfg["events"]["arm"]["func"] = "rl_sim_env.mdp.events:reset_arm"
    config["learners"]["policy"]["class_name"] = "of.before:Ppo"
    config["learners"]["estimator"]["class_name"] = "of.before:Unknown"
    path = tmp_path / alone.name
    torch.save(content, path)
    restored = {}
    for file in (alone, path):
        checkpoint = Checkpoint.load(file)
        setup = configure(training=Training.of(checkpoint, file, FLAT), seed=0)
        cfg, told = configure_trainer(TrainerOptions(task=FLAT), checkpoint)
        restored[file] = (setup.differences, to_plain(setup.cfg), cfg.learners["policy"], told)
    *same, told = restored[path]
    *expected, told_before = restored[alone]
    assert same == expected
    (unknown,) = {*told} - {*told_before}
    assert "agent.learners.estimator.class_name: 'of.before:Unknown', as in training" in unknown


def test_shipped_grq20_was_trained_in_the_task_as_it_is():
    path = resolve_checkpoint(root=POLICIES / "grq20_v2d3")
    checkpoint = Checkpoint.load(path)
    task = f"{FAMILY}-v0"
    setup = configure(task, training=Training.of(checkpoint, path, task))
    assert setup.differences == ()
    assert to_plain(setup.cfg) == to_plain(make_env_cfg(task))
    _, learners = configure_trainer(TrainerOptions(task=task), checkpoint)
    # What was switched off then has the values of today.
    words = ("targets", "vae", "class_name", "footholds", "constraints")
    assert not any(word in line for line in learners for word in words)


@pytest.mark.parametrize(("guidance", "weight"), [("off", 10.0), ("contact", 2.0)])
def test_a_part_that_was_switched_off_in_training_begins_with_todays_values(guidance, weight):
    checkpoint = Checkpoint.load(resolve_checkpoint(root=GRQ20_POLICY))
    assert checkpoint.config["footholds"]["weight"] == 2.0
    checkpoint.config["footholds"]["guidance"] = guidance
    cfg, _ = configure_trainer(TrainerOptions(task=f"{FAMILY}-v0"), checkpoint)
    assert (cfg.footholds.guidance, cfg.footholds.weight) == (guidance, weight)


def test_shipped_go1_was_trained_in_the_task_as_it_is_but_for_its_sensors():
    path, task = resolve_checkpoint(root=POLICIES / "go1"), "Rl-Sim-Env-AmpVae-Go1-v0"
    setup = configure(task, training=Training.of(Checkpoint.load(path), path, task))
    assert setup.differences == ("env.sensors: 'ideal', as in training, not 'hardware'",)


def test_files_exported_before_fit_the_environment_of_the_shipped_checkpoint():
    checkpoint = Checkpoint.load(resolve_checkpoint(root=GRQ20_POLICY))
    path = GRQ20_POLICY / POLICY_FILE
    trained = Training.of(checkpoint, path, f"{FAMILY}-v0")
    require_same_environment(open_session(path)[1], trained.env_cfg, path)
