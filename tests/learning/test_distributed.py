from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from ranks import PROGRAM, by_torchrun, train

from ports import free_port
from rl_sim_env.errors import UserError
from rl_sim_env.learning.checkpoint import Checkpoint
from rl_sim_env.learning.distributed import Distributed, resolve_device
from rl_sim_env.learning.strategies import find_strategy
from soak import only_in_a_soak
from to_the_bit import unlike


def launch(device: str):
    """What trains there: a copy of a process cannot use the GPU."""
    return train if device == "cpu" else by_torchrun


def of_ranks(folder: Path) -> tuple[tuple[dict[str, Any], dict[str, Any]], ...]:
    """What the ranks have in common, and each of its own."""
    return tuple(
        torch.load(folder / f"rank_{rank}.pt", map_location="cpu", weights_only=True)
        for rank in range(2)
    )


on_each_device = pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param(
            "cuda",
            marks=(
                pytest.mark.gpu,
                pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs"),
            ),
        ),
    ],
)


@pytest.mark.slow
@on_each_device
def test_two_ranks_hold_the_same_after_three_iterations_and_after_a_resume(
    tmp_path: Path, device: str
) -> None:
    trained = by_torchrun(tmp_path, "--distributed", "--device", device)
    assert trained.returncode == 0, trained.stderr
    (shared, own), (also_shared, other) = of_ranks(tmp_path)
    assert unlike(shared, also_shared) == []
    replays = [of["learners"]["discriminator"]["replay"]["pairs"] for of in (own, other)]
    assert not torch.equal(*replays)

    # Rank 0 alone writes and prints; the checkpoint knows both.
    assert sorted(p.name for p in tmp_path.glob("model_*.pt")) == ["model_0.pt", "model_2.pt"]
    assert len(list(tmp_path.glob("events*"))) == 1
    assert trained.stdout.count("iteration 3/3") == 1
    saved = Checkpoint.load(tmp_path / "model_2.pt")
    first, second = (process["random"]["torch"] for process in saved.processes)
    assert not torch.equal(first, second)
    assert saved.total_steps == 2 * 3 * 8 * 8

    # Both continue, from their own random numbers and with the same learners.
    resume = ("--iterations", 1, "--resume", tmp_path / "model_2.pt")
    options = ("--distributed", "--device", device, *resume)
    resumed = launch(device)(tmp_path / "resumed", *options)
    assert resumed.returncode == 0, resumed.stderr
    assert "iteration 4/4" in resumed.stdout
    (shared, own), (also_shared, other) = of_ranks(tmp_path / "resumed")
    assert unlike(shared, also_shared) == []
    if device == "cpu":
        straight = train(tmp_path / "straight", "--distributed", "--iterations", 4)
        assert straight.returncode == 0, straight.stderr
        assert unlike(((shared, own), (shared, other)), of_ranks(tmp_path / "straight")) == []


@pytest.mark.slow
@on_each_device
@pytest.mark.parametrize("strategy", ["cat", "np3o", "lagrangian", "ipo"])
def test_two_ranks_hold_the_same_multipliers(tmp_path: Path, device: str, strategy: str) -> None:
    options = ("--distributed", "--device", device, "--strategy", strategy)
    trained = launch(device)(tmp_path, *options)
    assert trained.returncode == 0, trained.stderr
    (shared, _), (also_shared, _) = of_ranks(tmp_path)
    assert unlike(shared, also_shared) == []
    kind = find_strategy(strategy)
    assert kind is not None
    kept = kind.saved
    assert all(bool(shared["learners"]["constraints"][name].any()) for name in kept)


@pytest.mark.slow
def test_two_ranks_agree_on_how_good_their_predictions_of_footholds_are(tmp_path: Path) -> None:
    trained = train(tmp_path, "--distributed", "--guidance", "imagined")
    assert trained.returncode == 0, trained.stderr
    (shared, own), (also_shared, other) = of_ranks(tmp_path)
    assert unlike(shared, also_shared) == []
    assert shared["learners"]["footholds"]["quality"].all()
    feet = [each["learners"]["footholds"]["before"] for each in (own, other)]
    assert not torch.equal(*feet)


@pytest.mark.slow
@on_each_device
@pytest.mark.parametrize(
    ("fate", "rank", "told"),
    [
        ("die", 0, "rank 1: rank 0 {process} was killed or crashed"),
        pytest.param(
            *("die", 1, "rank 0: rank 1 {process} was killed or crashed"), marks=only_in_a_soak
        ),
        pytest.param(
            *("stop", 0, "rank 1: rank 0 {process} stopped: no sign of life for 5 s"),
            marks=only_in_a_soak,
        ),
        ("hang", 1, "rank 0: rank 1 {process} hangs in the rollout: no step for 5 s"),
        pytest.param(
            *("fail", 1, "rank 0: rank 1 ended: ValueError: a robot fell off the table"),
            marks=only_in_a_soak,
        ),
    ],
)
def test_a_lost_rank_is_named_and_the_others_end_with_all_that_was_learned(
    tmp_path: Path, device: str, fate: str, rank: int, told: str
) -> None:
    # In the third rollout: of the second one nothing is saved yet.
    doom = ("--rank", rank, "--fate", fate, "--step", 20)
    endless = ("--distributed", "--device", device, "--iterations", 10**6)
    ended = by_torchrun(tmp_path, *endless, *doom)
    assert ended.returncode != 0
    assert re.search(told.format(process=r"\(process \d+ on .*\)"), ended.stderr), ended.stderr
    assert f"Saved: {tmp_path}/model_1.pt. Continue with --resume" in ended.stderr
    assert Checkpoint.load(tmp_path / "model_1.pt").iteration == 1
    # Who hangs shows where.
    assert ("toy_train.py" in ended.stderr.partition("hangs here")[2]) == (fate == "hang")


@pytest.mark.slow
def test_where_nobody_can_know_who_is_lost_whoever_is_left_saves(tmp_path: Path) -> None:
    # Without torchrun the store is in rank 0, and goes with it.
    doom = ("--rank", 0, "--fate", "die", "--step", 20, "--iterations", 10**6)
    ended = train(tmp_path, "--distributed", *doom)
    assert "rank 1: the store of torchrun, on the host of rank 0, does not answer" in ended.stderr
    assert f"Saved: {tmp_path}/model_1.pt. Continue with --resume" in ended.stderr
    assert Checkpoint.load(tmp_path / "model_1.pt").iteration == 1


@only_in_a_soak
@pytest.mark.parametrize(
    ("rank", "told"),
    [
        (0, "rank 1: the store of torchrun, on the host of rank 0, does not answer"),
        (1, r"rank 0: rank 1 \(process \d+ on .*\) stopped: no sign of life for 5 s"),
    ],
)
def test_a_rank_that_is_killed_on_another_host_is_named_and_nothing_is_lost(
    tmp_path: Path, rank: int, told: str
) -> None:
    # Who has another torchrun cannot look at its processes; that of rank 0 takes the store along.
    doom = ("--rank", rank, "--fate", "die", "--step", 20, "--iterations", 10**6)
    port = free_port()
    nodes = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--master_addr"),
                *("127.0.0.1", f"--master_port={port}", f"--node_rank={node}"),
                *map(str, (PROGRAM, tmp_path, "--distributed", *doom)),
            ],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        for node in range(2)
    ]
    errors = [node.communicate(timeout=280)[1] for node in nodes]
    assert re.search(told, errors[1 - rank]), errors
    assert f"Saved: {tmp_path}/model_1.pt. Continue with --resume" in errors[1 - rank]
    assert Checkpoint.load(tmp_path / "model_1.pt").iteration == 1


@pytest.mark.slow
def test_ranks_with_different_numbers_of_robots_are_refused(tmp_path: Path) -> None:
    refused = train(tmp_path, "--distributed", "--num-envs", 8, 4)
    assert refused.returncode != 0
    assert refused.stderr.count("robots: rank 0 has 8, rank 1 has 4; all processes") == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_what_rank_0_cannot_find_is_told_by_all(tmp_path: Path) -> None:
    refused = train(tmp_path, "--distributed", "--resume", tmp_path / "gone.pt")
    assert refused.returncode != 0
    assert refused.stderr.count("gone.pt: no such file or folder") == 2
    assert "Traceback" not in refused.stderr


@pytest.mark.slow
def test_another_number_of_processes_continues(tmp_path: Path) -> None:
    trained = train(tmp_path, "--distributed", "--iterations", 1, ranks=3)
    assert trained.returncode == 0, trained.stderr
    saved = Checkpoint.load(tmp_path / "model_0.pt")
    assert (len(saved.processes), saved.total_steps) == (3, 3 * 8 * 8)
    for ranks in (2, 4):
        folder = tmp_path / str(ranks)
        resume = ("--iterations", 1, "--resume", tmp_path / "model_0.pt")
        resumed = train(folder, "--distributed", *resume, ranks=ranks)
        assert resumed.returncode == 0, resumed.stderr
        shared = [torch.load(folder / f"rank_{rank}.pt")[0] for rank in range(ranks)]
        assert unlike(shared[0], shared[-1]) == []
        saved = Checkpoint.load(folder / "model_1.pt")
        assert saved.total_steps == (3 + ranks) * 8 * 8
        draws = [tuple(process["random"]["torch"].tolist()) for process in saved.processes]
        assert len(set(draws)) == ranks, "two processes draw the same numbers"


@only_in_a_soak
def test_the_first_iteration_may_take_longer_than_the_heartbeat(tmp_path: Path) -> None:
    trained = by_torchrun(tmp_path, "--distributed", "--rank", 1, "--fate", "pause", "--step", 4)
    assert trained.returncode == 0, trained.stderr


def test_distributed_without_torchrun_says_how_to_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(UserError, match=r"RANK.*torchrun --nproc_per_node"):
        Distributed.launch(distributed=True)


def test_torchrun_without_distributed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="--distributed is missing"):
        Distributed.launch(distributed=False)


def test_the_local_rank_picks_the_gpu_so_the_user_may_not(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "LOCAL_RANK", "MASTER_PORT"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    with pytest.raises(UserError, match="--device cuda:0 with --distributed"):
        Distributed.launch(distributed=True, device="cuda:0")
    assert Distributed.launch(distributed=True, device="cpu") == Distributed()


@pytest.mark.parametrize("device", ["cuda:99", "cuda:-1", "tpu9000", "meta", ""])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(UserError, match=f"--device {device}"):
        resolve_device(device)


def test_the_seed_is_offset_by_the_global_rank() -> None:
    draws = []
    for processes in (Distributed(rank=rank, world_size=4) for rank in (0, 2, 3)):
        assert processes.seed_all(40) == 40 + processes.rank
        draws.append(torch.rand(1).item())
    assert len(set(draws)) == 3


def test_an_error_that_has_nothing_to_do_with_other_processes_stays_itself() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):  # noqa: SIM117
        with Distributed(world_size=2):
            torch.ones(2, 3) @ torch.ones(2, 3)
