"""The page on networks, estimates and learners: all of its snippets, on four robots."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from grq20 import amp_vae_runner_cfg
from pages import DOCS, python_snippets
from rl_sim_env.cli.curves import panels_of
from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.learning.checkpoint import Checkpoint
from rl_sim_env.learning.policy import AmpVaePolicy
from rl_sim_env.learning.runner import AmpVaeRunner

FILE = re.compile(r"# (my_lab/\w+\.py)\n")


def test_all_snippets_train_are_saved_and_play(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_env
) -> None:
    snippets = python_snippets(DOCS / "learners.md")
    files = {found[1]: text for text in snippets if (found := FILE.match(text))}
    assert len(files) == 5 and len(snippets) == 9
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    agent = amp_vae_runner_cfg(terrain="flat")
    agent.num_steps_per_env = 6
    agent.learners["discriminator"] = None

    def configure(env_cfg) -> None:
        for text in snippets:
            if not FILE.match(text):
                exec(text, {"env": env_cfg, "agent": agent})

    vec_env = AmpVaeVecEnv(make_env(4, edit=configure))
    runner = AmpVaeRunner(vec_env, agent, None, tmp_path / "run", task_id="Toy-v0")
    runner.learn(2)
    logged = EventAccumulator(str(tmp_path / "run")).Reload().Tags()["scalars"]
    assert {"Loss/cost_value", "Train/cost", "Loss/estimator", "Estimation/friction_rmse"} <= set(
        logged
    )
    titles = [panel.title for panel in panels_of(tmp_path / "run")]
    assert {"cost", "friction estimate RMSE [1]"} <= set(titles)

    path = tmp_path / "run" / "model_1.pt"
    again = AmpVaeRunner(vec_env, agent, None, None, task_id="Toy-v0")
    again.load(path)
    assert again.alg.learners["cost"].multiplier == runner.alg.learners["cost"].multiplier
    checkpoint = Checkpoint.load(path)
    policy = AmpVaePolicy.from_saved(
        checkpoint.algorithm,
        vec_env.observation_layout,
        vec_env.num_actions,
        checkpoint.runner_cfg(path),
        "cpu",
    )
    output = policy(vec_env.get_observations(), policy.initial_memory(4))
    assert output.actions.isfinite().all()
    assert set(output.estimate) == {"velocity", "mass", "com", "friction"}
