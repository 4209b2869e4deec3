from __future__ import annotations

import dataclasses
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils import _pytree as pytree
from toy_env import toy_cfg, toy_layout

import rl_sim_env
from rl_sim_env.atomic_file import whole_file, write_atomically
from rl_sim_env.configuration import to_plain
from rl_sim_env.errors import Notice, UserError
from rl_sim_env.learning.checkpoint import Checkpoint, resolve_checkpoint
from rl_sim_env.learning.layout import GroupLayout, ObservationLayout, TermLayout
from rl_sim_env.learning.random_state import random_state, restore_random_state
from rl_sim_env.learning.run_folder import PARTIAL_SUFFIX
from soak import soak_seed, times


def make_checkpoint(iteration: int = 3) -> Checkpoint:
    return Checkpoint(
        task="Toy-v0",
        iteration=iteration,
        total_steps=4096,
        total_seconds=1.5,
        progress=0.5,
        algorithm={"weights": torch.arange(1000.0), "beta": 0.25},
        processes=[{"random": random_state("cpu"), "env": {"level": torch.ones(2)}}],
        config=to_plain(toy_cfg()),
        layout=toy_layout().to_dict(),
        env_cfg={"decimation": 4},
    )


def make_runs(root: Path) -> None:
    """Three runs; the middle one has the most iterations, the newest has no checkpoint yet."""
    for run, iterations in {"01-01_a": (0, 900), "01-02_b": (9, 100), "01-03_c": ()}.items():
        (root / run / "params").mkdir(parents=True)
        for iteration in iterations:
            (root / run / f"model_{iteration}.pt").touch()


def test_a_checkpoint_reads_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "model_3.pt"
    written = make_checkpoint()
    written.save(path)
    read = Checkpoint.load(path)
    assert torch.equal(read.algorithm["weights"], written.algorithm["weights"])
    assert read.iteration == 3
    assert read.config == written.config
    assert read.versions["torch"] == torch.__version__
    assert read.versions["rl_sim_env"] == rl_sim_env.__version__, "of what runs, installed or not"
    read.require(path, tasks={"Toy-v0"}, layout=toy_layout())


def test_the_trained_configuration_comes_back_typed(tmp_path: Path) -> None:
    cfg = toy_cfg(run_name="loaded")
    checkpoint = make_checkpoint()
    checkpoint.config = to_plain(cfg)
    checkpoint.save(tmp_path / "model_3.pt")
    path = tmp_path / "model_3.pt"
    assert Checkpoint.load(path).runner_cfg(path) == cfg


def test_a_setting_nobody_knows_is_refused_by_name() -> None:
    checkpoint = make_checkpoint()
    checkpoint.config["vae"]["depth"] = 3
    with pytest.raises(UserError, match=r"ContextVaeCfg.*depth"):
        checkpoint.runner_cfg(Path("model_3.pt"))


def test_random_numbers_continue_where_they_were_saved(tmp_path: Path) -> None:
    checkpoint = make_checkpoint()
    checkpoint.save(tmp_path / "model_3.pt")

    def draw() -> tuple[float, float, torch.Tensor]:
        return random.random(), float(np.random.rand()), torch.rand(4)

    expected = draw()
    draw()
    state = Checkpoint.load(tmp_path / "model_3.pt").processes[0]["random"]
    restore_random_state(state, "cpu")
    again = draw()
    assert again[:2] == expected[:2]
    assert torch.equal(again[2], expected[2])


@pytest.mark.parametrize("moment", ["os.fsync", "os.replace"])
def test_a_kill_while_saving_leaves_the_old_checkpoint(tmp_path: Path, moment: str) -> None:
    path = tmp_path / "model_3.pt"
    make_checkpoint().save(path)
    program = (
        "import os, signal, sys, pathlib\n"
        "from rl_sim_env.atomic_file import write_atomically\n"
        f"{moment} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_atomically(pathlib.Path(sys.argv[1]), b'half a checkpoint')\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(path)], timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert Checkpoint.load(path).iteration == 3
    make_checkpoint(4).save(path)
    assert Checkpoint.load(path).iteration == 4
    unfinished = [name for name in os.listdir(tmp_path) if name != path.name]
    assert all(name.endswith(PARTIAL_SUFFIX) for name in unfinished)


def test_two_processes_that_write_one_file_leave_one_of_both(tmp_path: Path) -> None:
    path = tmp_path / "model_3.pt"
    with whole_file(path) as one:
        one.write_bytes(b"begun")
        write_atomically(path, b"whole")
        one.write_bytes(b"whole, too")
    assert path.read_bytes() == b"whole, too"
    assert os.listdir(tmp_path) == ["model_3.pt"]


def test_a_file_system_that_syncs_no_folders_takes_checkpoints(tmp_path: Path) -> None:
    program = (
        "import errno, os, pathlib, stat, sys\n"
        "from rl_sim_env.atomic_file import write_atomically\n"
        "def sync(file, sync=os.fsync):\n"
        "    if stat.S_ISDIR(os.fstat(file).st_mode): raise OSError(errno.EINVAL, 'Invalid')\n"
        "    sync(file)\n"
        "os.fsync = sync\n"
        "write_atomically(pathlib.Path(sys.argv[1]), b'a checkpoint')\n"
    )
    path = tmp_path / "model_3.pt"
    subprocess.run([sys.executable, "-c", program, str(path)], timeout=60, check=True)
    assert path.read_bytes() == b"a checkpoint"


def test_a_file_that_does_not_fit_on_the_disk_is_told_and_harms_nothing(tmp_path: Path) -> None:
    path = tmp_path / "model_3.pt"
    make_checkpoint().save(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(UserError, match=r"model_3\.pt: could not be written"):
            make_checkpoint(4).save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert Checkpoint.load(path).iteration == 3
    assert os.listdir(tmp_path) == ["model_3.pt"]


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_checkpoint_is_called_so(tmp_path: Path, kept: float) -> None:
    path = tmp_path / "model_3.pt"
    make_checkpoint().save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(UserError, match="truncated"):
        Checkpoint.load(path)


@pytest.mark.parametrize("sealed", [True, False], ids=["sealed", "of before"])
def test_a_damaged_checkpoint_is_refused_or_harmless(tmp_path: Path, sealed: bool) -> None:
    path, rng = tmp_path / "model_3.pt", random.Random(soak_seed())
    make_checkpoint().save(path)
    if not sealed:
        torch.save(torch.load(path), path)
    saved, content = leaves(Checkpoint.load(path)), path.read_bytes()
    refused = 0
    # Numbers fill most of the file: the table of its parts, at the end, has its turn as well.
    middle, end = range(len(content)), range(len(content) - 900, len(content))
    for place in (*rng.choices(middle, k=times(40)), *rng.choices(end, k=times(40))):
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            read = leaves(Checkpoint.load(path))
        except UserError as error:
            refused += 1
            assert re.match(r"\S*model_3\.pt: .*(damaged|truncated)[^\n]*$", str(error))
        else:
            assert all(map(torch.equal, saved[0], read[0]))
            assert saved[1] == read[1]
    assert refused > times(40)


def leaves(checkpoint: Checkpoint) -> tuple[list[torch.Tensor], list[Any]]:
    """Tensors and plain values."""
    found = pytree.tree_leaves(dataclasses.asdict(checkpoint))
    tensors = [leaf for leaf in found if isinstance(leaf, torch.Tensor)]
    return tensors, [leaf for leaf in found if not isinstance(leaf, torch.Tensor)]


def poisoned(iteration: int) -> Checkpoint:
    checkpoint = make_checkpoint(iteration)
    checkpoint.algorithm = {"learners": {"policy": {"moments": [torch.tensor([1.0, torch.nan])]}}}
    return checkpoint


def test_what_is_not_finite_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "model_3.pt"
    of_a_process = make_checkpoint(3)
    of_a_process.processes.append({"algorithm": {"memory": torch.tensor(torch.inf)}})
    with pytest.raises(UserError, match=r"not written, because processes\.1\.memory is not finite"):
        of_a_process.save(path)
    with pytest.raises(UserError, match=r"model_3\.pt: not .*learners\.policy\.moments\.0 is not"):
        poisoned(3).save(path)
    assert not list(tmp_path.iterdir())


def test_a_named_checkpoint_that_is_not_finite_is_refused_with_the_good_one_before(
    tmp_path: Path,
) -> None:
    for iteration in (2, 9, 10, 11):
        checkpoint = make_checkpoint if iteration in (2, 9) else poisoned
        checkpoint(iteration).write(tmp_path / f"model_{iteration}.pt")
    path = resolve_checkpoint(tmp_path / "model_11.pt", root=tmp_path)
    with pytest.raises(UserError, match=r"model_11\.pt: .*moments\.0 is not .*is .*model_9\.pt"):
        Checkpoint.load(path)
    (tmp_path / "model_10.pt").rename(tmp_path / "model_1.pt")
    with pytest.raises(UserError, match=r"model_1\.pt: .*moments\.0 is not finite$"):
        Checkpoint.load(tmp_path / "model_1.pt")


def test_the_newest_checkpoint_of_a_run_is_its_newest_good_one(tmp_path: Path) -> None:
    older, run = tmp_path / "01-01", tmp_path / "01-02"
    make_checkpoint(7).save(older / "model_7.pt")
    for iteration in (2, 9):
        make_checkpoint(iteration).save(run / f"model_{iteration}.pt")
    poisoned(10).write(run / "model_10.pt")
    (run / "model_11.pt").write_bytes((run / "model_9.pt").read_bytes()[:500])
    with pytest.warns(Notice, match=r"model_11.*truncated.*model_10.*moments\.0.*taking .*_9\.pt"):
        assert resolve_checkpoint(root=tmp_path) == run / "model_9.pt"
    for file in (run / "model_2.pt", run / "model_9.pt"):
        file.unlink()
    assert resolve_checkpoint(root=tmp_path) == run / "model_11.pt", "never that of another run"


@pytest.mark.parametrize("content", [b"0", b"{}", b"hello world\n" * 99, bytes(range(256)) * 9])
def test_any_other_file_is_not_a_checkpoint(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.pt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"notes\.pt: not a checkpoint"):
        Checkpoint.load(path)


def test_a_checkpoint_of_another_program_is_not_one_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "model_3.pt"
    torch.save({"model_state_dict": {}, "iter": 3}, path)
    with pytest.raises(UserError, match=r"not a checkpoint of rl_sim_env.*iter, model_state_dict"):
        Checkpoint.load(path)


def test_loading_runs_no_code_from_the_file(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "owned"),)

    torch.save({"format_version": Payload()}, tmp_path / "model_3.pt")
    with pytest.raises(UserError, match="not a checkpoint"):
        Checkpoint.load(tmp_path / "model_3.pt")
    assert not (tmp_path / "owned").exists()


def test_another_task_is_refused() -> None:
    with pytest.raises(UserError, match=r"trained on task Toy-v0, wanted Other-v0"):
        make_checkpoint().require(Path("model_3.pt"), tasks={"Other-v0"}, layout=toy_layout())


def test_another_layout_is_refused_with_both_side_by_side() -> None:
    groups = dict(toy_layout().groups)
    groups["actor_obs"] = GroupLayout(terms=(TermLayout(name="joint_pos", width=12),))
    with pytest.raises(UserError) as refused:
        make_checkpoint().require(
            Path("model_3.pt"), tasks={"Toy-v0"}, layout=ObservationLayout(groups=groups)
        )
    lines = str(refused.value).splitlines()
    assert any("actor_obs: 13" in line and "actor_obs: 12" in line for line in lines)
    assert "train anew" in lines[-1]


def test_an_experiment_folder_means_the_newest_run_with_a_checkpoint(tmp_path: Path) -> None:
    make_runs(tmp_path)
    newest = tmp_path / "01-02_b" / "model_100.pt"
    with pytest.warns(Notice, match="without a checkpoint: 01-03_c"):
        assert resolve_checkpoint(root=tmp_path) == newest
    with pytest.warns(Notice, match="without a checkpoint: 01-03_c"):
        assert resolve_checkpoint(f"{tmp_path}/", root=Path("elsewhere")) == newest


@pytest.mark.parametrize("clock", ["when it ran", "still"])
def test_a_wrong_clock_does_not_make_a_run_the_newest(tmp_path: Path, clock: str) -> None:
    make_runs(tmp_path)
    (tmp_path / "01-03_c").rename(tmp_path / "elsewhere")
    ahead = tmp_path / "31-12_ahead" / "model_5.pt"
    ahead.parent.mkdir()
    ahead.touch()
    # A name from the future, and a file that is older than others or from the future, too.
    time_written = time.time() + (-1e6 if clock == "when it ran" else 1e6)
    os.utime(ahead, (time_written, time_written))
    with pytest.warns(Notice, match="elsewhere"):
        assert resolve_checkpoint(root=tmp_path) == tmp_path / "01-02_b" / "model_100.pt"
    assert resolve_checkpoint(root=tmp_path, load_run="31-12.*") == ahead


def test_a_run_folder_means_its_highest_iteration(tmp_path: Path) -> None:
    make_runs(tmp_path)
    expected = tmp_path / "01-01_a" / "model_900.pt"
    assert resolve_checkpoint(tmp_path / "01-01_a", root=Path("elsewhere")) == expected
    assert resolve_checkpoint(root=tmp_path, load_run="01-01_a") == expected
    assert resolve_checkpoint(root=tmp_path, load_run=".*_a") == expected


@pytest.mark.parametrize("load_run", ["v1.0(a)", r"v1\.0.*", "2026-11-01_08-00-00-2_v1.0(a)"])
def test_a_run_is_found_by_the_name_it_was_given(tmp_path: Path, load_run: str) -> None:
    for stamp in ("2026-11-01_08-00-00", "2026-11-01_08-00-00-2"):
        checkpoint = tmp_path / f"{stamp}_v1.0(a)" / "model_0.pt"
        checkpoint.parent.mkdir()
        checkpoint.touch()
        later = time.time() + len(stamp) - 50.0
        os.utime(checkpoint, (later, later))
    assert resolve_checkpoint(root=tmp_path, load_run=load_run) == checkpoint


def test_a_checkpoint_is_found_by_path_or_by_name_in_a_run(tmp_path: Path) -> None:
    make_runs(tmp_path)
    expected = tmp_path / "01-02_b" / "model_9.pt"
    assert resolve_checkpoint(str(expected), root=Path("elsewhere")) == expected
    assert resolve_checkpoint("model_9.pt", root=tmp_path) == expected
    assert resolve_checkpoint("model_9.pt", root=tmp_path, load_run="01-02.*") == expected


@pytest.mark.parametrize(
    ("checkpoint", "load_run", "message"),
    [
        ("01-03_c", None, r"01-03_c: no checkpoint .* holds params"),
        (None, "01-03_c", r"01-03_c: no checkpoint .* holds params"),
        (None, "02-.*", r"--load_run 02-\.\*: no such run .*01-01_a, 01-02_b, 01-03_c"),
        (None, "*", r"--load_run \*: not a regular expression"),
        ("model_7.pt", "01-02_b", r"--checkpoint model_7\.pt: .*model_100\.pt, model_9\.pt"),
        ("missing/model_7.pt", None, r"--checkpoint missing/model_7\.pt: no such file"),
    ],
)
def test_what_cannot_be_found_is_told_with_what_there_is(
    tmp_path: Path, checkpoint: str | None, load_run: str | None, message: str
) -> None:
    make_runs(tmp_path)
    if checkpoint == "01-03_c":
        checkpoint = str(tmp_path / checkpoint)
    with pytest.raises(UserError, match=message):
        resolve_checkpoint(checkpoint, root=tmp_path, load_run=load_run)


def test_configurations_become_plain_yaml_values() -> None:
    plain = to_plain({"cfg": toy_cfg(), "function": to_plain, "path": Path("a/b"), 3: {1.5}})
    assert plain["cfg"]["actor"]["hidden_dims"] == [16]
    assert plain["function"] == "rl_sim_env.configuration.plain:to_plain"
    assert plain["path"] == "a/b"
    assert plain["3"] == [1.5]
