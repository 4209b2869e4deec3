"""The sweep files of the checkout: they are good ones, and each of their arms trains."""

from __future__ import annotations

from pathlib import Path

import pytest

from pages import ROOT
from rl_sim_env.cli import train
from rl_sim_env.cli.sweep import check
from rl_sim_env.cli.sweep_file import Run, Sweep
from rl_sim_env.learning.checkpoint import Checkpoint
from rl_sim_env.learning.policy import POLICY_STATE

FILES = sorted((ROOT / "sweeps").glob("*.yaml"))
RUNS = [
    pytest.param(run, id=f"{file.stem}-{run.arm.name}")
    for file in FILES
    for run in Sweep.read(file).runs()
    if run.seed == 0
]
ESTIMATE, LATENT, FRAME, MEMORY = 7, 16, 57, 64
READ = {
    "ours": ESTIMATE + LATENT + FRAME,
    "no_amp": ESTIMATE + LATENT + FRAME,
    "no_latent": ESTIMATE + FRAME,
    "ppo_frame": FRAME,
    "ppo_five_frames": 5 * FRAME,
    "dreamwaq": 3 + LATENT + FRAME,
    "ppo_recurrent": MEMORY,
    "him": 3 + LATENT + FRAME,
    "teacher_student": LATENT + FRAME,
    "truth": ESTIMATE + LATENT + FRAME,
    "truth_and_heights": 239 + FRAME,
}
"""How many numbers the actor of each arm reads."""

TINY = (
    *("--task", "Rl-Sim-Env-AmpVae-Grq20-V2d3-Flat-v0", "--device", "cpu", "--num_envs", "4"),
    *("--max_iterations", "2", "env.height_map_resolution=0.1", "agent.num_steps_per_env=4"),
    *("agent.algorithm.num_learning_epochs=1", "agent.algorithm.num_mini_batches=2"),
    *("agent.amp.batch_size=32", "agent.amp.replay_size=1000"),
    # As on the full task.
    "agent.algorithm.mirror_loss_coef=0.1",
)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_setting_of_a_sweep_file_exists(file: Path):
    check(Sweep.read(file))


@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS)
def test_each_arm_trains(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    train.main((*TINY, *run.arm.settings))
    saved = Checkpoint.load(next(tmp_path.rglob("model_1.pt")))
    first_layer = saved.algorithm[POLICY_STATE]["actor.mlp.0.weight"]
    assert first_layer.shape[1] == READ[run.arm.name]
    has_style = run.arm.name in ("ours", "no_latent", "truth", "truth_and_heights")
    assert ("discriminator" in saved.algorithm["learners"]) == has_style
    # Estimates are fed by and by; where the truth is to be fed, never.
    fed = saved.algorithm["learners"]["estimator"]["adaboot"]["floor"]
    assert (fed > 0.0) == (run.arm.name != "truth")
