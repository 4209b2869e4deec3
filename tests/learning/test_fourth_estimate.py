"""Friction under the feet as a fourth estimate, declared in this file alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mjlab.managers.observation_manager import ObservationTermCfg
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from grq20 import amp_vae_runner_cfg
from rl_sim_env.cli.curves import panels_of
from rl_sim_env.deploy import DeployedPolicy, SensorReading, open_session
from rl_sim_env.deploy.onnx_export import NETWORK_FILE, POLICY_FILE, export_policy
from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.errors import UserError
from rl_sim_env.evaluation import evaluate_walking, print_metrics
from rl_sim_env.evaluation.evaluator import Evaluator
from rl_sim_env.evaluation.inference_policy import (
    OnnxInferencePolicy,
    exported_range,
    exported_targets,
)
from rl_sim_env.learning.config import AmpVaePpoCfg, ContextVaeCfg
from rl_sim_env.learning.estimate_cfg import EstimateCfg, velocity_mass_com
from rl_sim_env.learning.runner import AmpVaeRunner
from rl_sim_env.viewer.comparison import compare

ROBOTS = 4
SCALE, FACTOR = 4.0, 2.0
TASK = "Rl-Sim-Env-AmpVae-Grq20-V2d3-Flat-v0"
FRICTION = EstimateCfg(
    term="foot_friction",
    unit="1",
    factor=FACTOR,
    weight=0.5,
    label="friction",
    shown_unit="%",
    shown_per_si=100.0,
    shown_range=(0.0, 150.0),
)


def foot_friction(env) -> torch.Tensor:
    return env.sim.model.geom_friction[:, env.index.foot_geoms_global, 0].mean(-1, keepdim=True)


@pytest.fixture(scope="module")
def vec_env(make_env) -> AmpVaeVecEnv:
    def show_friction(cfg: Any) -> None:
        term = ObservationTermCfg(func=foot_friction, scale=SCALE)
        cfg.observations["critic_obs"].terms["foot_friction"] = term

    return AmpVaeVecEnv(make_env(ROBOTS, edit=show_friction))


@pytest.fixture(scope="module")
def run(vec_env: AmpVaeVecEnv, tmp_path_factory: pytest.TempPathFactory) -> AmpVaeRunner:
    """A run of one iteration with one mini-batch."""
    cfg = amp_vae_runner_cfg(terrain="flat")
    cfg.num_steps_per_env = 6
    cfg.policy_memory = 1.0
    cfg.algorithm = AmpVaePpoCfg(num_learning_epochs=1, num_mini_batches=1)
    cfg.vae.targets["friction"] = FRICTION
    cfg.learners["discriminator"] = None
    folder = tmp_path_factory.mktemp("run")
    runner = AmpVaeRunner(vec_env, cfg, None, folder, task_id=TASK)
    runner.learn(1)
    return runner


def scalar(run: AmpVaeRunner, name: str) -> float:
    (event,) = EventAccumulator(str(run.log_dir)).Reload().Scalars(name)
    return event.value


def test_it_is_trained_and_logged_in_si_units(run: AmpVaeRunner) -> None:
    loss, rmse = scalar(run, "Loss/vae_friction_loss"), scalar(run, "Estimation/friction_rmse")
    assert rmse == pytest.approx(loss**0.5 / (SCALE * FACTOR), rel=1e-5)
    # Before it has learned, it is off by about the friction itself.
    assert 0.1 < rmse < 1.5
    assert "friction estimate RMSE [%]" in [panel.title for panel in panels_of(run.log_dir)]


def test_the_page_shows_it_beside_the_truth(run: AmpVaeRunner, vec_env: AmpVaeVecEnv) -> None:
    player = Evaluator(vec_env, run.alg.get_inference_policy())
    for env_id in range(ROBOTS):
        row = next(row for row in compare(player, env_id) if row.target == "friction")
        assert row.true == pytest.approx(100.0 * foot_friction(vec_env.env)[env_id].item())
        assert row.unit == "%"


def test_a_short_evaluation_measures_it(
    run: AmpVaeRunner, vec_env: AmpVaeVecEnv, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = run.alg.get_inference_policy()
    metrics = evaluate_walking(vec_env, policy, seconds=0.1)
    error = metrics["all"].estimates["friction"]
    assert 0.0 < error.spread < 0.5 and 0.1 < error.rmse < 1.5
    print_metrics(metrics, policy.targets.declared)
    shown = capsys.readouterr().out
    assert "% (friction)" in shown and f"{100.0 * error.rmse:.2f}" in shown


def test_it_is_exported(run: AmpVaeRunner, vec_env: AmpVaeVecEnv, tmp_path: Path) -> None:
    export_policy(run.log_dir / "model_0.pt", tmp_path)
    session, metadata = open_session(tmp_path / NETWORK_FILE)
    assert metadata.estimates[-1].name == "friction"
    assert exported_targets(metadata) == {**velocity_mass_com(), "friction": FRICTION}
    exported = OnnxInferencePolicy(
        session, vec_env.observation_layout, exported_targets(metadata), exported_range(metadata)
    )
    policy = run.alg.get_inference_policy().eval()
    obs, memory = vec_env.get_observations(), policy.initial_memory(ROBOTS)
    with torch.no_grad():
        expected = policy(obs, memory)
    output, ranges = exported(obs, memory), exported.trained_range()
    torch.testing.assert_close(output.estimate["friction"], expected.estimate["friction"])
    assert output.std is not None and expected.std is not None and ranges is not None
    torch.testing.assert_close(output.std["friction"], expected.std["friction"])
    least, greatest = ranges["friction"].flatten().tolist()
    assert 0.25 <= least < greatest <= 1.2, "the range that episodes draw from"

    deployed = DeployedPolicy(tmp_path / POLICY_FILE)
    joints = np.array(deployed.metadata.default_joint_pos)
    step = deployed.step(
        SensorReading(
            base_ang_vel=np.zeros(3),
            projected_gravity=np.array((0.0, 0.0, -1.0)),
            joint_pos=joints,
            joint_vel=np.zeros(12),
            joint_torques=np.zeros(12),
            velocity_commands=np.zeros(3),
        )
    )
    assert step.estimates["friction"].shape == step.std["friction"].shape == (1,)
    assert step.velocity.shape == (3,)


def test_short_settings_stand_for_parts_of_the_declaration() -> None:
    cfg = ContextVaeCfg(com_scale=5.0, com_weight=0.3, mass_weight=2.0, velocity_weight=0.0)
    estimated = cfg.estimated()
    assert (estimated["com"].factor, estimated["com"].weight) == (5.0, 0.3)
    assert (estimated["mass"].weight, estimated["velocity"].weight) == (2.0, 0.0)
    with pytest.raises(UserError, match=r"com_scale=5\.0: 'com' is not estimated, but friction"):
        ContextVaeCfg(targets={"friction": FRICTION}, com_scale=5.0).estimated()
