"""The commands that users have in their notes, run as they stand from the parent folder."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from pages import ROOT, shell_line
from ports import free_port
from rl_sim_env.cli.program import INTERRUPTED
from rl_sim_env.learning.checkpoint import Checkpoint
from soak import SOAK, only_in_a_soak
from to_the_bit import unlike

CHECKOUT = ROOT.resolve()
CLONE_NAME = "rl_sim_env-amp_vae_vit"
TRAIN = (
    f"python {CLONE_NAME}/scripts/rsl_rl/train.py --task Rl-Sim-Env-AmpVae-Grq20-V2d3-v0 "
    "--run_name v2d3_arm_load_test --headless --num_envs 4096"
)
DISTRIBUTED = (
    "CUDA_VISIBLE_DEVICES=0,1,2,3 torchrun --nproc_per_node=4 "
    f"{CLONE_NAME}/scripts/rsl_rl/train.py --task Rl-Sim-Env-AmpVae-Grq20-V2d3-v0 "
    "--run_name v2d3_arm_load_test_dist --distributed --headless --num_envs 2500"
)
PLAY = (
    f"python {CLONE_NAME}/scripts/rsl_rl/play_amp_vae.py "
    "--task Rl-Sim-Env-AmpVae-Grq20-V2d3-Play-v0 --num_envs 25 "
    "--checkpoint logs/rsl_rl/grq20_v2d3_amp_vae/"
)
# Added behind the users' words: two iterations, and as little work in each as can be. As many
# robots as they have take minutes and tell little more: a soak takes those.
SHORT = ("" if SOAK > 1 else "--num_envs 14 ") + (
    "--max_iterations 2 agent.num_steps_per_env=2 agent.algorithm.num_learning_epochs=1 "
    "agent.amp.batch_size=32 agent.amp.replay_size=1000 env.height_map_resolution=0.1"
)
FLAT = (
    f"python {CLONE_NAME}/scripts/rsl_rl/train.py --task Rl-Sim-Env-AmpVae-Grq20-V2d3-Flat-v0 "
    "--num_envs 8 --headless --device cpu agent.num_steps_per_env=4 agent.save_interval=1"
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the checkout under the name the users know."""
    folder = tmp_path_factory.mktemp("users")
    (folder / CLONE_NAME).symlink_to(CHECKOUT)
    return folder


def start(command: str, folder: Path) -> subprocess.Popen[str]:
    """Start a command line in a folder, with this python under the name ``python``."""
    programs = Path(sys.executable).parent
    assignments, words = [], shlex.split(command)
    while re.fullmatch(r"\w+=\S*", words[0]):
        assignments.append(words.pop(0).split("=", 1))
    environment = os.environ | dict(assignments) | {"PATH": f"{programs}:{os.environ['PATH']}"}
    return subprocess.Popen(
        words,
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # Where tests run in the background of a shell, Ctrl-C is ignored, and so it would be here.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def run(command: str, folder: Path) -> str:
    """Run a command line to its good end and return what it printed."""
    process = start(command, folder)
    output, _ = process.communicate(timeout=280)
    assert process.returncode == 0, output
    return output


def checkpoints(folder: Path, experiment: str) -> list[str]:
    return sorted(path.name for path in (folder / "logs/rsl_rl" / experiment).glob("*/model_*.pt"))


def test_the_entrance_shows_them_as_they_are_run() -> None:
    for command in (TRAIN, DISTRIBUTED, PLAY):
        assert shell_line(ROOT / "README.md", command.partition("--task")[0].strip()) == command


def test_train_then_play_the_experiment_folder(parent: Path) -> None:
    run(f"{TRAIN} {SHORT}", parent)
    (run_folder,) = (parent / "logs/rsl_rl/grq20_v2d3_amp_vae").glob("*_v2d3_arm_load_test")
    assert (run_folder / "model_1.pt").is_file()
    output = run(f"{PLAY} --duration 0.2", parent)
    assert output.startswith("loading torch and the simulator\n")
    assert "model_1.pt" in output
    assert "0.2 s is too short a walk" in output


def test_train_with_torchrun(parent: Path) -> None:
    run(f"{DISTRIBUTED} {SHORT}", parent)
    runs = list((parent / "logs/rsl_rl/grq20_v2d3_amp_vae").glob("*_v2d3_arm_load_test_dist"))
    assert len(runs) == 1, "rank 0 alone writes"
    assert (runs[0] / "model_1.pt").is_file()


def test_who_ends_the_evaluation_after_a_training_is_told_where_the_policy_is(parent: Path) -> None:
    with start(f"{FLAT} --max_iterations 1 --run_name impatient --evaluate", parent) as process:
        assert process.stdout is not None
        printed = next((line for line in process.stdout if line.startswith("evaluating")), None)
        assert printed, "no evaluation began"
        process.send_signal(signal.SIGINT)
        told = process.stdout.read()
    assert process.returncode == INTERRUPTED
    assert re.search(r"policy: \S+_impatient/model_0.pt", told)
    assert "Traceback" not in told


@only_in_a_soak
def test_killed_training_resumes_and_ends_as_if_it_had_not_been_killed(tmp_path: Path) -> None:
    experiment = Path("logs/rsl_rl/grq20_v2d3_amp_vae_flat")
    command = f"OMP_NUM_THREADS=1 {FLAT} --max_iterations 16"
    ends = []
    for folder in (tmp_path / "killed", tmp_path / "straight"):
        folder.mkdir()
        (folder / CLONE_NAME).symlink_to(CHECKOUT)
        if folder.name == "killed":
            process = start(command, folder)
            assert process.stdout is not None
            with process:
                printed = next((line for line in process.stdout if "iteration 11/" in line), None)
                process.send_signal(signal.SIGKILL)
            assert printed, "training ended by itself"
            kept = checkpoints(folder, experiment.name)
            assert kept and "model_15.pt" not in kept
            output = run(f"{command} --resume", folder)
            assert "continuing" in output and "new episodes" not in output
        else:
            run(command, folder)
        (path,) = (folder / experiment).glob("*/model_15.pt")
        ends.append(Checkpoint.load(path))
    assert unlike(*((end.algorithm, end.processes) for end in ends)) == []


def start_nodes(words_of_each: Mapping[Path, str]) -> list[subprocess.Popen[str]]:
    """Start training on as many nodes, all on this host, as there are folders to train in."""
    port = free_port()
    for folder in words_of_each:
        folder.mkdir(exist_ok=True)
        link = folder / CLONE_NAME
        if not link.exists():
            link.symlink_to(CHECKOUT)
    return [
        start(
            f"torchrun --nnodes={len(words_of_each)} --node_rank={node} --nproc_per_node=1 "
            f"--master_addr=127.0.0.1 --master_port={port} {FLAT.removeprefix('python ')} "
            f"--distributed {words}",
            folder,
        )
        for node, (folder, words) in enumerate(words_of_each.items())
    ]


@only_in_a_soak
def test_two_nodes_train_one_run(tmp_path: Path) -> None:
    first, second = (tmp_path / name for name in "ab")
    nodes = start_nodes({first: "--max_iterations 2", second: "--max_iterations 2"})
    outputs = [node.communicate(timeout=280)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], outputs
    assert checkpoints(first, "grq20_v2d3_amp_vae_flat") == ["model_0.pt", "model_1.pt"]
    assert not (second / "logs").exists()
    assert "iteration 2/2" in outputs[0]
    assert "iteration" not in outputs[1]

    # A file server may show one host what it does not show another yet: rank 0 decides.
    shutil.copytree(first / "logs", second / "logs")
    next(first.rglob("model_1.pt")).unlink()
    nodes = start_nodes(dict.fromkeys((first, second), "--max_iterations 3 --resume"))
    outputs = [node.communicate(timeout=280)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], outputs
    assert "model_0.pt: after iteration 1" in outputs[0]
    assert "iteration 3/3" in outputs[0]

    shutil.rmtree(second / "logs")
    nodes = start_nodes(dict.fromkeys((first, second), "--max_iterations 4 --resume"))
    outputs = [node.communicate(timeout=280)[0] for node in nodes]
    assert all(node.returncode for node in nodes)
    for output in outputs:
        assert re.search(r"error: logs/.*model_2\.pt: rank 0, on", output), output


@only_in_a_soak
def test_nodes_with_different_options_are_refused_and_leave_nothing_behind(tmp_path: Path) -> None:
    nodes = start_nodes({tmp_path / str(n): f"env.decimation={n}" for n in (2, 4)})
    outputs = [node.communicate(timeout=280)[0] for node in nodes]
    assert all(node.returncode for node in nodes)
    assert all("error: --settings: rank 0 has (" in output for output in outputs), outputs
    assert not list(tmp_path.rglob("logs"))


@only_in_a_soak
def test_torchrun_starts_a_run_anew_from_what_it_saved_last(tmp_path: Path) -> None:
    (tmp_path / CLONE_NAME).symlink_to(CHECKOUT)
    training = f"{FLAT.removeprefix('python ')} --distributed --max_iterations 6"
    process = start(
        f"torchrun --standalone --nproc_per_node=2 --max_restarts=1 {training}", tmp_path
    )
    assert process.stdout is not None
    with process:
        begun = next((line for line in process.stdout if "iteration 1/" in line), None)
        # Of the two processes the one that does not write: the other one has a checkpoint to save.
        _, rank = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(rank), signal.SIGKILL)
        output = process.stdout.read()
    assert begun
    assert process.returncode == 0, output
    (run, iteration) = re.findall(r"continuing (.*)/model_\d+.pt: after iteration (\d+)", output)[0]
    assert int(iteration) < 6
    runs = sorted((tmp_path / "logs/rsl_rl/grq20_v2d3_amp_vae_flat").iterdir())
    assert Path(run) == runs[0]
    assert (runs[1] / "model_5.pt").is_file()


def test_a_mistake_gets_one_line_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / CLONE_NAME).symlink_to(CHECKOUT)
    process = start(f"{FLAT} agent.algorithm.gama=0.9", tmp_path)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    (line,) = [line for line in output.splitlines() if line.startswith("error: ")]
    assert "gamma" in line
    assert not (tmp_path / "logs").exists()
