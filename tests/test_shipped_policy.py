"""The policy that comes with the checkout: it walks, and its files belong together."""

from __future__ import annotations

import pytest
import torch

from grq20 import MJCF_PATH
from rl_sim_env.cli import play
from rl_sim_env.cli.options import POLICIES
from rl_sim_env.deploy import DeployedPolicy
from rl_sim_env.deploy.onnx_export import POLICY_FILE
from rl_sim_env.deploy.sim_to_sim import rollout
from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.errors import UserError
from rl_sim_env.evaluation import evaluate_walking
from rl_sim_env.evaluation.report import Report
from rl_sim_env.experiment import build_policy
from rl_sim_env.learning.checkpoint import Checkpoint, resolve_checkpoint

GRQ20_POLICY = POLICIES / "grq20_v2d3"

TASK = "Rl-Sim-Env-AmpVae-Grq20-V2d3-Flat-Play-v0"
MAX_MEGABYTES = 8.0


def test_it_walks_and_knows_its_load(make_env):
    def light(cfg):
        cfg.events["load"].params["mass"] = (0.0, 2.0)

    path = resolve_checkpoint(root=GRQ20_POLICY)
    vec_env = AmpVaeVecEnv(make_env(8, play=True, edit=light))
    vec_env.unwrapped.velocity_command.set_constant((0.5, 0.0, 0.0))
    policy = build_policy(Checkpoint.load(path), path, TASK, vec_env)
    torch.manual_seed(0)
    report = evaluate_walking(vec_env, policy, seconds=4.0)["all"]
    assert report.falls_per_1000_s == 0.0
    assert report.velocity_error < 0.4
    mass = report.estimates["mass"]
    assert mass.rmse < mass.spread + 1.0


def test_it_plays_at_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    play.main(["--task", TASK, "--headless", "--duration", "1", "--num_envs", "2"])
    out = capsys.readouterr().out
    assert str(GRQ20_POLICY) in out and "/1000 s" in out


def test_the_exported_file_walks_in_plain_mujoco():
    result = rollout(
        GRQ20_POLICY / POLICY_FILE,
        model=MJCF_PATH,
        ground="flat",
        load=3.0,
        boom_length=0.6,
        command=(0.5, 0.0, 0.0),
        seconds=5.0,
        seed=0,
    )
    assert not result.fell
    assert result.velocity_error < 0.2


def test_files_are_of_one_checkpoint_and_small():
    metadata = DeployedPolicy(GRQ20_POLICY / POLICY_FILE).metadata
    assert metadata.checkpoint == resolve_checkpoint(root=GRQ20_POLICY).name
    report = Report.from_json((GRQ20_POLICY / "report" / "report.json").read_text())
    assert report.facts["Policy"] == metadata.checkpoint
    assert report.facts["Trained at commit"].startswith(metadata.training_commit[:7])
    size = sum(file.stat().st_size for file in GRQ20_POLICY.rglob("*") if file.is_file())
    assert size < MAX_MEGABYTES * 2**20


@pytest.mark.parametrize(
    "path", sorted(POLICIES.glob(f"*/{POLICY_FILE}")), ids=lambda path: path.parent.name
)
def test_a_damaged_copy_is_refused(path, tmp_path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    copy = tmp_path / path.name
    copy.write_bytes(content)
    DeployedPolicy(path)
    with pytest.raises(UserError, match="damaged"):
        DeployedPolicy(copy)
