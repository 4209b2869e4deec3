"""Programs answer help and slips before they import what takes seconds.

What is imported is counted, not the time: that differs from machine to machine.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE

import pytest

from rl_sim_env.cli.main import COMMANDS
from rl_sim_env.cli.options import POLICIES

CUT, NETWORKS, RUN = "cut/model_2.pt", "policy_no_history.onnx", "logs/rsl_rl/grq20_v2d3_amp_vae"
HEAVY = {"torch", "mujoco", "mujoco_warp", "warp", "mjlab", "tensordict", "matplotlib", "viser"}
GRQ20, SIGHTED = "Rl-Sim-Env-AmpVae-Grq20-V2d3-v0", "Rl-Sim-Env-AmpVaeVit-Grq20-V2d3-v0"
GO1, GRQ20_POLICY = POLICIES / "go1", POLICIES / "grq20_v2d3"
EXPORTED = GRQ20_POLICY / "policy.onnx"
SERVER = """
import json, os, sys
from rl_sim_env.cli import main
from rl_sim_env.cli import options
for line in sys.stdin:
    folder, *arguments = json.loads(line)
    child = os.fork()
    if not child:
        os.chdir(folder)
        for descriptor, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
        try:
            main(arguments)
        finally:
            print("imported:", *sorted(HEAVY & sys.modules.keys()), file=sys.stderr)
        sys.exit()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""A program for each line that it is told. All begin as copies of one, which saves the time that
python and light imports take, sixty times over."""

Answer = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def server() -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-c", f"HEAVY = {HEAVY}\n{SERVER}"]
    with subprocess.Popen(words, stdin=PIPE, stdout=PIPE, text=True) as process:
        yield process
        process.communicate()


@pytest.fixture
def answer(server, tmp_path) -> Answer:
    """Exit status, what was printed, and the error's line; nothing heavy may be imported."""

    def ask(*arguments: str) -> tuple[int, str, str]:
        print(json.dumps([str(tmp_path), *arguments]), file=server.stdin, flush=True)
        status = int(server.stdout.readline())
        *errors, imported = (tmp_path / "err").read_text().splitlines()
        assert imported.strip() == "imported:"
        return status, (tmp_path / "out").read_text(), "\n".join(errors)

    return ask


@pytest.mark.parametrize("command", (*COMMANDS, "motions inspect"))
def test_help_names_the_command_and_shows_an_example(answer, command):
    status, printed, _ = answer(*command.split(), "--help")
    assert status == 0
    assert printed.startswith(f"usage: rl-sim-env {command} ")
    if command in COMMANDS:
        assert f"example: rl-sim-env {command}" in printed
    assert not any(each in printed for each in ("(default: None)", "(default: )", "{None}"))


def test_help_names_the_tasks_and_how_to_list_the_settings(answer):
    _, printed, _ = answer("train", "--help")
    words = printed.split()
    assert {"Rl-Sim-Env-AmpVae-Go1-v0,", "Rl-Sim-Env-AmpVae-Grq20-V2d3-Flat-v0,"} <= {*words}
    assert "rl-sim-env settings --task" in " ".join(words)


def test_tasks_are_listed(answer):
    status, printed, _ = answer("tasks")
    assert status == 0
    assert "Rl-Sim-Env-AmpVae-Grq20-V2d3-Flat-v0" in printed


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("traim", "did you mean train?"),
        ("train --task Rl-Sim-Env-AmpVae-Grq20-V2d3", "did you mean Rl-Sim-Env-AmpVae-Grq20-V2"),
        ("train --num_env 4", "Perhaps you meant: --num_envs"),
        ("train --seed abc", "--seed abc: expected a whole number"),
        ("train --max_minutes soon", "--max_minutes soon: expected a number"),
        ("train --arm loose", "invalid choice 'loose' for argument '--arm'. Expected one"),
        ("train --num_envs 0", "--num_envs 0: must be at least 1"),
        ("train env.decimation", "has no '='; write env/agent.field=value"),
        ("train envs.decimation=3", "did you mean env?"),
        ("train agent.algorithm.gama=0.9", "did you mean gamma?"),
        (
            "train agent.algorithm.gamma=7",
            "agent.algorithm.gamma is 7.0; it must be between",
        ),
        ("play --video film.avi", "ends in .mp4"),
        ("play agent.seed=3", "'agent' does not exist"),
        ("evaluate --protocols gate", "did you mean gait"),
        ("export --output pyproject.toml", "is a file; give a folder"),
        ("compile --num_envs 0", "must be at least 1"),
        ("train --finetune nowhere", "--finetune nowhere: no such file or folder"),
        ("sweep nowhere.yaml", "nowhere.yaml: cannot be read"),
        ("train --device gpu0", "--device gpu0: no such device; use cpu, cuda or cuda:N"),
        ("train --resume", "logs/rsl_rl: no such folder; train first or give --checkpoint"),
        ("evaluate --load_run walk", "logs/rsl_rl: no such folder; train first"),
        ("play --checkpoint model_7.pt", "--checkpoint model_7.pt: no such file or folder, and no"),
        ("export --checkpoint gone/model_7.pt", "gone/model_7.pt: no such file or folder"),
        ("play --mjcf nowhere.xml", "--mjcf nowhere.xml: no such file"),
        ("train --motions gone/*.npz", "no motion file matches gone/*.npz"),
        ("train --run_name ../../evil", "--run_name ../../evil: must be the name of a folder"),
        ("train --seed -7", "--seed -7: must be between -1 and 4294967295"),
        ("play --port 99999", "--port 99999: ports are numbers from 0 to 65535"),
        ("train num_envs=4", "num_envs=4: did you mean --num_envs 4?"),
        ("play docs", "docs: a policy is named as --checkpoint docs"),
        ("evaluate --seeds a", "--seeds 'a': expected numbers."),
        ("evaluate --output pyproject.toml", "--output pyproject.toml: is a file; give a folder"),
        (
            "train --motions pyproject.toml",
            "pyproject.toml: not an .npz; rl-sim-env",
        ),
        ("curves nowhere", "nowhere: no TensorBoard curves here"),
        ("compare docs", "one report given; give the folders of two reports or more"),
        ("compare docs nowhere", "nowhere: no such file or folder; give the folder of a report"),
        ("report docs --photo_of nowhere", "--photo_of nowhere: no such file or folder"),
        ("report nowhere", "nowhere: no such folder; give the folder of a report"),
        ("report pyproject.toml", "pyproject.toml: is a file; give the folder of a report"),
        ("motions inspect --robot grq20", "did you mean grq20_v2d3"),
        ("robot check robot.xml --max_load much", "--max_load much: expected a number"),
        ("settings --task typo", "unknown task 'typo'; rl-sim-env tasks lists all"),
        ("train agent.constraints.strategy=np30", "it must be a strategy; did you mean np3o?"),
        ("play --compare go1", "--compare go1: no such file or folder"),
        ("play --compare /nowhere/model_1.pt", "--compare /nowhere/model_1.pt: no such file"),
        (f"play --compare {GO1}", "but the first policy is of Rl-Sim-Env-AmpVae-Grq20-V2d3-v0"),
        (f"play --task {GRQ20} --checkpoint {GO1}", "trained on task Rl-Sim-Env-AmpVae-Go1-v0"),
        (f"evaluate --task {SIGHTED} --checkpoint {GRQ20_POLICY}", f"give --task {GRQ20} or"),
        (f"evaluate --task {SIGHTED} --checkpoint {EXPORTED}", f"give --task {GRQ20} or"),
        (f"train --task {GRQ20} --finetune {GO1}", "trained on task Rl-Sim-Env-AmpVae-Go1-v0"),
    ],
)
def test_a_slip_is_told_in_one_line(answer, arguments, told, tmp_path):
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "docs").mkdir()
    status, _, error = answer(*arguments.split())
    assert status == 2
    first, *rest = error.splitlines()
    assert first.startswith("error: ") and told in first
    # An unknown command is followed by those that there are.
    assert not rest or arguments == "traim"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (f"play --checkpoint {CUT}", "truncated, 999 bytes are left of it; the newest good one is"),
        (f"evaluate --checkpoint {CUT}", f"{CUT}: truncated"),
        (f"export --checkpoint {CUT}", f"{CUT}: truncated"),
        (f"train --checkpoint {CUT}", f"{CUT}: truncated"),
        (f"train --finetune {CUT}", f"{CUT}: truncated"),
        (f"play --compare {CUT}", f"{CUT}: truncated"),
        ("play --checkpoint pyproject.toml", "pyproject.toml: not a checkpoint of rl_sim_env"),
        ("play --checkpoint docs", "docs: no checkpoint (model_<iteration>.pt) here or one folder"),
        ("play --load_run wlak", f"--load_run wlak: no such run in {RUN}, which holds walk"),
        (f"train --finetune {EXPORTED}", f"it was made of: --checkpoint {GRQ20_POLICY}/model_"),
        (f"play --compare {EXPORTED}", f"it was made of: --checkpoint {GRQ20_POLICY}/model_"),
        ("train --load_run wlak", f"--load_run wlak: no such run in {RUN}, which holds walk"),
        ("train --resume agent.experiment_name=e", "logs/rsl_rl/e: no such folder; train first"),
        ("evaluate --checkpoint model_9.pt", f"none in {RUN}, which holds walk"),
        (f"play --checkpoint {EXPORTED}", f"it was made of: --checkpoint {GRQ20_POLICY}/model_"),
        (f"train --checkpoint {EXPORTED}", "the checkpoint is needed that it was made of"),
        ("web docs", "docs: no checkpoint (model_<iteration>.pt) here or one folder down"),
        (f"web {CUT}", f"{CUT}: truncated"),
        (
            f"evaluate --checkpoint {EXPORTED}",
            f"give the {NETWORKS} of the same export, or the checkpoint that it was made of: "
            f"--checkpoint {GRQ20_POLICY}/model_",
        ),
        ("play --host nohost.invalid", "the viewer cannot listen at nohost.invalid, port 8080"),
    ],
)
def test_a_policy_that_is_not_there_or_of_no_use_is_told(answer, arguments, told, tmp_path):
    (tmp_path / "pyproject.toml").write_text("no archive")
    (tmp_path / "docs").mkdir()
    (tmp_path / RUN / "walk").mkdir(parents=True)
    (tmp_path / RUN / "walk/model_1.pt").touch()
    (tmp_path / "cut").mkdir()
    whole = next(GRQ20_POLICY.glob("model_*.pt"))
    (tmp_path / "cut/model_1.pt").symlink_to(whole)
    (tmp_path / CUT).write_bytes(whole.read_bytes()[:999])
    status, _, error = answer(*arguments.split())
    assert status == 2
    assert error.startswith("error: ") and told in error and error.count("\n") == 0


def test_a_port_that_is_taken_is_told(answer):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, _, error = answer("play", "--port", str(port))
    assert status == 2
    assert f"127.0.0.1, port {port}: Address already in use" in error


@pytest.mark.skipif(Path("/proc/driver/nvidia").is_dir(), reason="there is a GPU here")
@pytest.mark.parametrize("command", ("train", "play", "evaluate", "compile"))
def test_without_a_driver_no_gpu_is_waited_for(answer, command):
    status, _, error = answer(command, "--device", "cuda")
    assert (status, error.count("\n")) == (2, 0)
    assert "--device cuda: there is no NVIDIA driver here" in error


@pytest.mark.skipif(Path("/proc/driver/nvidia").is_dir(), reason="there is a GPU here")
def test_without_a_driver_nothing_is_compiled(answer):
    assert "no GPU to compile for" in answer("compile")[2]
