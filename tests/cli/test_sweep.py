"""Sweeps: what is refused, what is left to do, and a small one from end to end."""

from __future__ import annotations

import fcntl
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from pages import DOCS
from rl_sim_env.cli import sweep
from rl_sim_env.cli.options import LOG_ROOT
from rl_sim_env.cli.sweep_file import SWEEPS, Sweep
from rl_sim_env.errors import UserError
from small_policy import TASK, save, small_checkpoint

TINY: dict[str, Any] = {
    "task": TASK,
    "seeds": [0, 1],
    "settings": ["env.height_map_resolution=0.1"],
    "train": {"num_envs": 4, "max_iterations": 2},
    "evaluate": {"protocols": ["tracking"], "seeds": [0], "robots": 2, "seconds": 0.2},
    "arms": [
        {"name": "ours"},
        {"name": "no_style", "settings": ["agent.learners.discriminator=None"]},
    ],
}


def write(path: Path, **changes: Any) -> Path:
    path.write_text(yaml.safe_dump({**TINY, **changes}))
    return path


def arms(**of_the_first: Any) -> list[dict[str, Any]]:
    return [{"name": "ours", **of_the_first}, {"name": "other"}]


def test_the_file_that_the_page_shows_is_one(tmp_path):
    page = (DOCS / "sweeps.md").read_text()
    shown = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[0]
    (tmp_path / "shown.yaml").write_text(shown)
    plan = Sweep.read(tmp_path / "shown.yaml")
    assert [run.name for run in plan.runs()][:2] == ["ours_seed0", "no_amp_seed0"]
    sweep.check(plan)


def test_arms_share_a_list_of_settings_and_add_to_it(tmp_path):
    (tmp_path / "shared.yaml").write_text(
        """
        seeds: [0]
        arms:
          - {name: one, settings: &all [agent.seed=1, &both [agent.save_interval=2, agent.seed=3]]}
          - {name: two, settings: [*all, agent.seed=4]}
          - {name: three, settings: *both}
        """
    )
    one, two, three = (arm.settings for arm in Sweep.read(tmp_path / "shared.yaml").file.arms)
    assert one == ("agent.seed=1", "agent.save_interval=2", "agent.seed=3")
    assert two == (*one, "agent.seed=4") and three == one[1:]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"seedz": [1]}, "'seedz' is unknown; did you mean seeds?"),
        ({"arms": [{"nam": "ours"}]}, "sweep.arms.0: 'nam' is unknown; did you mean name?"),
        ({"arms": [{"name": "ours"}] * 2}, "arms: ours stands there more than once"),
        ({"arms": arms(name="a/b")}, "arms: 'a/b' names files"),
        ({"arms": []}, "arms: there are none"),
        ({"seeds": []}, "seeds: []; give whole numbers from 0"),
        ({"seeds": [-1]}, "seeds: [-1]; give whole numbers from 0"),
        ({"seeds": [1, 1]}, "seeds: 1 stands there more than once"),
        ({"settings": "agent.seed=3"}, "sweep.settings is 'agent.seed=3'; it must be of type"),
        ({"arms": arms(settings=[[3]])}, "sweep.arms.0.settings.0 is 3; it must be of type str"),
        ({"seeds": ["first"]}, "sweep.seeds.0 is 'first'; it must be of type int"),
        ({"cores": 0}, "--cores 0: must be at least 1"),
        ({"task": "Rl-Sim-Env-AmpVae-Grq20-V2d3-Flat"}, "did you mean Rl-Sim-Env-AmpVae-Grq20"),
        ({"train": {"num_env": 4}}, "arm 'ours': Unrecognized options: --num_env"),
        ({"train": {"seed": 4}}, "train: 'seed' is given by the sweep"),
        ({"arms": arms(train={"max_minutes": "soon"})}, "expected a number"),
        ({"arms": arms(settings=["agents.seed=3"])}, "arm 'ours': setting 'agents.seed=3'"),
        ({"evaluate": {"protocols": ["trackin"]}}, "evaluate: unknown protocol 'trackin'"),
        ({"evaluate": {"output": "here"}}, "evaluate: 'output' is given by the sweep"),
    ],
)
def test_a_slip_in_the_file_is_told(tmp_path, changes, told):
    with pytest.raises(UserError) as error:
        Sweep.read(write(tmp_path / "small.yaml", **changes))
    assert str(error.value).startswith(f"{tmp_path / 'small.yaml'}: ") and told in str(error.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "nothing stands in it; give arms and seeds"),
        ("arms", "sweep is 'arms'; it must be a table of arms, seeds, task"),
    ],
)
def test_a_file_that_is_no_sweep_is_told_so(tmp_path, text, told):
    path = tmp_path / "small.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        Sweep.read(path)
    assert str(error.value).startswith(f"{path}: {told}")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"arms": arms(settings=["agent.vae.latent_dims=3"])}, "did you mean latent_dim"),
        ({"settings": ["env.rewards.feet_slid.weight=1"]}, "did you mean feet_slide"),
        ({"settings": ["agent.algorithm.gamma=2"]}, "agent.algorithm.gamma"),
        ({"evaluate": {"settings": ["env.event.push=None"]}}, "evaluate: setting 'env.event.push"),
    ],
)
def test_a_setting_that_is_none_of_the_task_is_told_before_anything_starts(
    tmp_path, monkeypatch, capsys, changes, told
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        sweep.main([str(write(tmp_path / "small.yaml", **changes))])
    assert ended.value.code == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "logs").exists()


def test_a_dry_run_prints_what_would_be_run_and_leaves_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    sweep.main([str(write(tmp_path / "small.yaml")), "--dry_run"])
    lines = capsys.readouterr().out.splitlines()
    names = ("ours_seed0", "no_style_seed0", "ours_seed1", "no_style_seed1")
    for line, name in zip(lines, names, strict=True):
        train, evaluate = line.split(" && ")
        assert f"--run_name {name} " in train and f"--load_run {name} " in evaluate
        assert shlex.split(train)[:2] == ["rl-sim-env", "train"]
        assert ("agent.learners.discriminator=None" in train) == name.startswith("no_style")
    assert not (tmp_path / "logs").exists()


def test_a_run_goes_on_where_its_folders_say(vec_env, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    limited = {"num_envs": 4, "max_minutes": 20}
    plan = Sweep.read(write(tmp_path / "small.yaml", train=limited))
    run = next(plan.runs())
    train, evaluate = sweep.left_to_do(plan, run)
    assert train == plan.train_command(run) and evaluate == plan.evaluate_command(run)
    # Another run's folder is none of its business.
    checkpoint = small_checkpoint(vec_env)
    save(checkpoint, LOG_ROOT / "small" / "2026-01-02_03-04-05_ours_seed01")
    assert sweep.left_to_do(plan, run) == [train, evaluate]
    half = replace(checkpoint, progress=0.75)
    folder = LOG_ROOT / "small" / "2026-01-02_03-04-06_ours_seed0"
    save(half, folder)
    resumed, then = sweep.left_to_do(plan, run)
    assert "--resume" in resumed and "agent.max_minutes=5.0" in resumed
    assert resumed[resumed.index("--load_run") + 1] == "ours_seed0" and then == evaluate
    save(replace(checkpoint, iteration=4), folder)
    assert sweep.left_to_do(plan, run) == [evaluate]
    (plan.reports / run.name).mkdir(parents=True)
    (plan.reports / run.name / "report.json").write_text("{}")
    assert sweep.left_to_do(plan, run) == []
    # Another evaluation is measured anew, without training again.
    other = Sweep.read(write(tmp_path / "small.yaml", train=limited, evaluate={"seeds": [3]}))
    assert sweep.left_to_do(other, run) == [other.evaluate_command(run)]


def test_arms_come_and_go_but_none_becomes_another(tmp_path):
    both = Sweep.read(write(tmp_path / "small.yaml"))
    first = Sweep.read(write(tmp_path / "small.yaml", arms=TINY["arms"][:1], seeds=[5]))
    (tmp_path / "kept.yaml").write_text(first.merged(both.file))
    kept = Sweep.read(tmp_path / "kept.yaml")
    assert kept.file.arms == both.file.arms and kept.file.seeds == (5,)
    changed = [*TINY["arms"][:1], {"name": "no_style", "settings": ["agent.amp.style_weight=0.1"]}]
    other = Sweep.read(write(tmp_path / "small.yaml", arms=changed))
    with pytest.raises(UserError, match="begun with other settings of arm 'no_style'"):
        other.merged(kept.file)


def test_a_sweep_that_is_at_work_is_not_begun_again(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (SWEEPS / "small").mkdir(parents=True)
    with (SWEEPS / "small" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(SystemExit):
            sweep.main([str(write(tmp_path / "small.yaml")), "--device", "cpu"])
    assert "this sweep, or a run that it left, is at work" in capsys.readouterr().err


@pytest.mark.slow
def test_a_sweep_is_trained_evaluated_compared_and_not_run_again(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    tiny = {
        "seeds": [3],
        "settings": [
            *("env.height_map_resolution=0.1", "agent.num_steps_per_env=2"),
            *("agent.amp.batch_size=32", "agent.amp.replay_size=1000"),
        ],
        # The second's clips are none, which only its training finds out.
        "arms": [{"name": "ours"}, {"name": "lost", "train": {"motions": ["empty.npz"]}}],
    }
    (tmp_path / "empty.npz").touch()
    file = write(tmp_path / "small.yaml", **tiny)
    with pytest.raises(SystemExit) as ended:
        sweep.main([str(file), "--device", "cpu"])
    assert ended.value.code == 1
    told = capfd.readouterr()
    assert "lost_seed3: failed: status 2: error: " in told.err and "empty.npz" in told.err
    assert "1 of 2 runs failed" in told.err
    (overview,) = Path(SWEEPS, "small").glob("evaluation-*/small.md")
    assert "- ours: seeds 3\n" in overview.read_text()
    assert "| figure | ours |" in told.out and "time of an iteration [s] | " in told.out
    (trained,) = Path(LOG_ROOT, "small").glob("*_ours_seed3/model_1.pt")

    # The same command runs what failed, no more; arms may be mended by another name alone.
    with pytest.raises(SystemExit):
        sweep.main([str(file), "--device", "cpu"])
    told = capfd.readouterr()
    assert "ours_seed3: done before" in told.out and "lost_seed3: train at the CPU" in told.out
    assert [trained] == list(Path(LOG_ROOT, "small").glob("*/model_1.pt"))
    tiny["arms"][0]["settings"] = ["agent.algorithm.gamma=0.98"]
    with pytest.raises(SystemExit):
        sweep.main([str(write(file, **tiny)), "--device", "cpu"])
    assert "begun with other settings of arm 'ours'" in capfd.readouterr().err
