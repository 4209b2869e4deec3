"""make tells what there is, and hands options on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest

from pages import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


def make(*arguments: str) -> str:
    """What make prints, also where another make runs the tests."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", *arguments], cwd=ROOT, check=True, capture_output=True, text=True, env=env
    ).stdout


def test_make_alone_tells_what_there_is_and_installs_nothing(tmp_path):
    printed = make(f"VENV={tmp_path / 'venv'}")
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in {*targets} - {"help"}:
        assert re.search(rf"^  {target} +\w", printed, re.MULTILINE), target
    assert "--checkpoint policies/go1" in make("ROBOT=go1")
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize("target", ("train", "play", "web", "evaluate", "test"))
def test_options_are_handed_on(target, tmp_path):
    commands = make("-n", target, f"VENV={tmp_path / 'venv'}", "ARGS=--some option")
    assert commands.splitlines()[-1].endswith(" --some option")


def test_without_a_gpu_the_shipped_policy_is_watched_on_all_ground_and_ones_own_on_its(tmp_path):
    for name in ("Makefile", "constraints.txt", "policies", "source"):
        (tmp_path / name).symlink_to(ROOT / name)

    def played(*arguments: str) -> str:
        return make("-n", "-C", str(tmp_path), "play", "HAS_GPU=0", *arguments)

    assert "--task Rl-Sim-Env-AmpVae-Grq20-V2d3-Play-v0" in played()
    (tmp_path / "logs/rsl_rl/grq20_v2d3_amp_vae_flat").mkdir(parents=True)
    assert "--task Rl-Sim-Env-AmpVae-Grq20-V2d3-Flat-Play-v0" in played()
    assert "--task Rl-Sim-Env-AmpVae-Go1-Play-v0" in played("ROBOT=go1")
    # Whoever names a policy has named no task.
    assert "--task" not in played("ARGS=--checkpoint policies/grq20_v2d3")


def test_pages_of_the_api_are_those_of_every_module(tmp_path):
    command = make("-n", "docs", f"VENV={tmp_path / 'venv'}").replace("\\\n", " ").splitlines()[-1]
    options, _, modules = command.partition("--output-directory build/docs ")
    assert "-m pdoc" in options
    package = ROOT / "source/rl_sim_env/rl_sim_env"
    assert len(modules.split()) == len([*package.rglob("*.py")])
    assert "rl_sim_env.mdp.rewards" in modules.split()
