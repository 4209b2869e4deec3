from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from parts import estimator_of, ppo_of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from toy_env import ToyEnv, ToyExpert, toy_cfg

from rl_sim_env.errors import Notice, UserError
from rl_sim_env.learning.checkpoint import Checkpoint
from rl_sim_env.learning.iteration_report import mean_metrics
from rl_sim_env.learning.reward_faults import REWARD_FAULTS
from rl_sim_env.learning.runner import AmpVaeRunner, StopSignals
from rl_sim_env.learning.training_env import Breakdowns
from to_the_bit import straight_and_resumed

PROGRAM = Path(__file__).parent / "toy_train.py"


def make_runner(log_dir: Path | None, env: ToyEnv | None = None, **settings: Any) -> AmpVaeRunner:
    torch.manual_seed(3)
    return AmpVaeRunner(
        env or ToyEnv(), toy_cfg(**settings), ToyExpert(), log_dir, task_id="Toy-v0"
    )


def scalars(log_dir: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(log_dir)).Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def test_a_resumed_run_continues_bit_identically(tmp_path: Path) -> None:
    straight_and_resumed(make_runner, tmp_path)
    curves, continued = scalars(tmp_path / "straight"), scalars(tmp_path / "resumed")
    for tag in ("Train/mean_reward", "Loss/learning_rate", "Adaboot/adaboot_p"):
        assert continued[tag] == [point for point in curves[tag] if point[0] >= 2]


def test_a_policy_without_its_trainer_can_be_trained_on(tmp_path: Path) -> None:
    trained = make_runner(tmp_path)
    trained.learn(2)
    path = tmp_path / "alone.pt"
    Checkpoint.load(tmp_path / "model_1.pt").policy_only().save(path)
    torch.manual_seed(99)
    tuned = make_runner(tmp_path / "tuned")
    with pytest.raises(UserError, match="without its trainer"):
        tuned.load(path)
    critic = [each.clone() for each in ppo_of(tuned.alg).critic.parameters()]
    tuned.load_policy(path)
    saved = Checkpoint.load(path).algorithm["policy_state_dict"]
    for state in (tuned.alg.get_inference_policy(), tuned.alg._policy):
        for name, value in state.state_dict().items():
            assert torch.equal(value, saved[name]), name
    for before, now in zip(critic, ppo_of(tuned.alg).critic.parameters(), strict=True):
        assert torch.equal(before, now)
    assert (tuned.current_learning_iteration, tuned.progress) == (-1, 0.0)
    tuned.learn(1)
    continued = tmp_path / "tuned" / "model_0.pt"
    assert Checkpoint.load(continued).iteration == 0
    # What came before is not forgotten, by a resume neither.
    resumed = make_runner(tmp_path / "tuned")
    resumed.load(continued)
    resumed.learn(1)
    begun = Checkpoint.load(path)
    (ancestor,) = Checkpoint.load(tmp_path / "tuned" / "model_1.pt").ancestors
    assert ancestor == {
        "task": begun.task,
        "iterations": 2,
        "total_steps": begun.total_steps,
        "total_seconds": begun.total_seconds,
    }


def test_episodes_that_a_resume_cannot_continue_are_forgotten(tmp_path: Path) -> None:
    class ForgetfulEnv(ToyEnv):
        def load_training_state(self, saved: dict[str, Any]) -> str | None:
            return "they are forgotten"

    make_runner(tmp_path, ToyEnv(max_episode_length=20)).learn(3)
    resumed = make_runner(None, ForgetfulEnv(max_episode_length=20))
    with pytest.warns(Notice, match="model_2.pt: robots begin new episodes: they are forgotten"):
        resumed.load(tmp_path / "model_2.pt")
    resumed.learn(1, init_at_random_ep_len=False)
    state = resumed.alg.process_state()["episodes"]
    # All of a rollout's steps, and none of an episode before it.
    assert state["lengths"].max() <= resumed.cfg.num_steps_per_env < 20


def test_checkpoints_appear_at_the_interval_and_at_the_end(tmp_path: Path) -> None:
    make_runner(tmp_path, save_interval=2).learn(4)
    names = sorted(path.name for path in tmp_path.glob("model_*"))
    assert names == ["model_0.pt", "model_2.pt", "model_3.pt"]
    last = Checkpoint.load(tmp_path / "model_3.pt")
    assert last.iteration == 3
    assert last.total_steps == 4 * 8 * 8


def test_whoever_asked_is_told_of_each_saved_checkpoint(tmp_path: Path) -> None:
    runner = make_runner(tmp_path, save_interval=2)
    told: list[tuple[str, bool]] = []
    runner.on_save = lambda path: told.append((path.name, path.is_file()))
    runner.learn(4)
    assert told == [("model_0.pt", True), ("model_2.pt", True), ("model_3.pt", True)]


def test_the_plan_of_a_longer_resume_never_goes_back(tmp_path: Path) -> None:
    runner = make_runner(tmp_path, max_iterations=2)
    runner.learn(2)
    assert runner.progress == 1.0
    longer = make_runner(None, max_iterations=100)
    longer.load(tmp_path / "model_1.pt")
    longer.learn(1)
    assert longer.progress == 1.0
    assert estimator_of(longer.alg).adaboot.p == 1.0


def test_schedules_go_on_at_once_where_a_resume_has_more_to_do(tmp_path: Path) -> None:
    make_runner(tmp_path, max_iterations=6).learn(3)
    longer = make_runner(None, max_iterations=103)
    longer.load(tmp_path / "model_2.pt")
    longer.learn(1)
    assert longer.progress == pytest.approx(0.5 + 0.5 / 100)


def test_time_ends_training_and_drives_the_schedule(tmp_path: Path) -> None:
    runner = make_runner(tmp_path, max_iterations=10**6, max_minutes=1e-6)
    runner.learn(10**6)
    assert runner.current_learning_iteration == 0
    assert runner.progress == 1.0
    assert (tmp_path / "model_0.pt").exists()


def test_no_time_at_all_is_refused() -> None:
    with pytest.raises(UserError, match="max_minutes is 0; it must be above 0"):
        make_runner(None, max_minutes=0)


def test_training_that_is_complete_says_so(tmp_path: Path) -> None:
    runner = make_runner(tmp_path)
    runner.learn(2)
    with pytest.raises(UserError, match=r"2 iterations are done already.*--max_iterations"):
        runner.learn(0)


def test_curves_have_the_names_people_know(tmp_path: Path) -> None:
    runner = make_runner(tmp_path)
    runner.learn(5)
    curves = scalars(tmp_path)
    for tag in (
        "Train/mean_reward",
        "Train/mean_episode_length",
        "Loss/value_function",
        "Loss/surrogate",
        "Loss/learning_rate",
        "Perf/total_fps",
        "Perf/collection_time",
        "Perf/learning_time",
        "Episode_Reward/track_lin_vel",
        "Metrics/velocity/error_vel_xy",
        "Curriculum/terrain_level/mean",
        "Adaboot/adaboot_p",
        "Estimation/mass_rmse",
    ):
        assert curves[tag], tag
        assert all(torch.isfinite(torch.tensor(value)) for _, value in curves[tag]), tag
    assert [step for step, _ in curves["Perf/total_fps"]] == [0, 1, 2, 3, 4]


def test_a_run_folder_tells_how_it_was_made(tmp_path: Path) -> None:
    make_runner(tmp_path, run_name="told").learn(1)
    agent = yaml.safe_load((tmp_path / "params" / "agent.yaml").read_text())
    assert agent["run_name"] == "told"
    env = yaml.safe_load((tmp_path / "params" / "env.yaml").read_text())
    assert env == {"max_episode_length": 20}


def test_without_a_folder_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_runner(None).learn(1)
    assert not list(tmp_path.iterdir())


class BreakingEnv(ToyEnv):
    """The physics of so many robots breaks down, in the third iteration and after it."""

    def __init__(self, num_envs: int, breakdowns: Breakdowns) -> None:
        super().__init__(num_envs)
        self.breakdowns = breakdowns
        self.checks = 0

    def check_health(self) -> Breakdowns:
        self.checks += 1
        return self.breakdowns if self.checks >= 3 else Breakdowns()


@pytest.mark.parametrize(
    ("num_envs", "breakdowns"),
    [(100, Breakdowns(robots=1, resets=8)), (200, Breakdowns(2, 16)), (8, Breakdowns(3, 10))],
)
def test_breakdowns_of_few_robots_and_a_few_of_any_are_counted_and_survived(
    tmp_path: Path, num_envs: int, breakdowns: Breakdowns
) -> None:
    make_runner(tmp_path, BreakingEnv(num_envs, breakdowns)).learn(4)
    counted = [resets for _, resets in scalars(tmp_path)["Perf/nan_resets"]]
    assert counted == [0.0, 0.0, breakdowns.resets, breakdowns.resets]


@pytest.mark.parametrize("num_envs", [8, 100])
def test_more_breakdowns_stop_with_a_dump_to_go_on_from(tmp_path: Path, num_envs: int) -> None:
    env = BreakingEnv(num_envs, Breakdowns(robots=8, resets=64))
    told = rf"iteration 2: .* 8 of {num_envs} robots .* 64 times .*sound.*--checkpoint .*failed\.pt"
    with pytest.raises(UserError, match=told) as stopped:
        make_runner(tmp_path, env).learn(6)
    dump = tmp_path / "dump_iteration_2"
    assert str(dump) in str(stopped.value)
    facts = json.loads((dump / "rank_0" / "facts.json").read_text())
    assert facts["seed"] == 42
    assert facts["iteration"] == 2
    assert facts["last_checkpoint"] == str(tmp_path / "model_0.pt")
    state = torch.load(dump / "rank_0" / "env_state.pt", weights_only=True)
    assert torch.equal(state["episodes"]["history"], env.history)
    resumed = make_runner(None, ToyEnv(num_envs))
    resumed.load(dump / "rank_0" / "failed.pt")
    assert resumed.current_learning_iteration == 1


def test_a_loss_that_is_not_finite_stops_with_a_dump_and_keeps_the_checkpoint(
    tmp_path: Path,
) -> None:
    class PoisonedEnv(ToyEnv):
        steps = 0

        def step(self, actions: torch.Tensor):
            obs, rewards, dones, extras = super().step(actions)
            self.steps += 1
            return obs, rewards + (float("nan") if self.steps == 12 else 0.0), dones, extras

    with pytest.raises(UserError, match=r"iteration 1: rank 0: .*Loss/value_function.*dump_"):
        make_runner(tmp_path, PoisonedEnv()).learn(6)
    with pytest.raises(UserError, match=r"failed\.pt: .* is not finite"):
        Checkpoint.load(tmp_path / "dump_iteration_1" / "rank_0" / "failed.pt")
    before = Checkpoint.load(tmp_path / "model_0.pt")
    actor = before.algorithm["learners"]["policy"]["modules"]["actor"]
    assert all(value.isfinite().all() for value in actor.values())
    assert not (tmp_path / "model_1.pt").exists()


def test_a_gradient_that_is_not_finite_before_a_save_leaves_the_checkpoint_before(
    tmp_path: Path,
) -> None:
    runner = make_runner(tmp_path, save_interval=1)
    weight = next(iter(ppo_of(runner.alg).actor.parameters()))
    mini_batches = 0

    def poison_the_last_of_the_second_iteration(gradient: torch.Tensor) -> torch.Tensor:
        nonlocal mini_batches
        mini_batches += 1
        return gradient * torch.nan if mini_batches == 8 else gradient

    weight.register_hook(poison_the_last_of_the_second_iteration)
    with pytest.raises(UserError, match=r"Gradient/actor\..* go on from .*model_0\.pt"):
        runner.learn(6)
    assert mini_batches == 8
    assert [path.name for path in tmp_path.glob("model_*")] == ["model_0.pt"]
    make_runner(None).load(tmp_path / "model_0.pt")


class FaultyRewardEnv(ToyEnv):
    """Says that a reward term was at fault in so many robot-steps of every iteration."""

    def __init__(self, count: int, num_envs: int) -> None:
        super().__init__(num_envs=num_envs)
        self.count = count

    def read_log(self) -> dict[str, tuple[float, int]]:
        steps = 8 * self.num_envs
        return {
            **super().read_log(),
            f"{REWARD_FAULTS}slide": (self.count, steps),
            f"{REWARD_FAULTS}track": (0, steps),
        }


def test_a_reward_term_that_is_rarely_at_fault_is_warned_of_once_and_has_a_curve(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_runner(tmp_path, FaultyRewardEnv(count=10, num_envs=125)).learn(2)
    told = capsys.readouterr().out
    assert told.count("warning: reward term 'slide'") == 1 and "in 1.00% of" in told
    assert "'track'" not in told
    assert "rewards not finite or absurd: slide 1.00%" in told
    curve = scalars(tmp_path)["Reward_Faults/slide"]
    assert [share for _, share in curve] == pytest.approx([0.01, 0.01])


@pytest.mark.parametrize(("count", "num_envs"), [(11, 125), (11, 2)])
def test_a_reward_term_that_is_often_at_fault_ends_training_and_loses_nothing(
    tmp_path: Path, count: int, num_envs: int
) -> None:
    words = r"iteration 0: .*'slide'.*%.*env\.rewards\.slide\.weight=0.*--resume.*model_0\.pt"
    with pytest.raises(UserError, match=words):
        make_runner(tmp_path, FaultyRewardEnv(count, num_envs), save_interval=100).learn(5)
    assert Checkpoint.load(tmp_path / "model_0.pt").iteration == 0


def test_few_robots_may_have_a_few_faults(tmp_path: Path) -> None:
    make_runner(tmp_path, FaultyRewardEnv(count=10, num_envs=2)).learn(2)
    assert (tmp_path / "model_1.pt").exists()


def test_physics_without_room_ends_training_and_loses_nothing(tmp_path: Path) -> None:
    class OverflowingEnv(ToyEnv):
        checks = 0

        def check_health(self) -> Breakdowns:
            self.checks += 1
            if self.checks == 3:
                raise UserError("contacts overflow: raise sim.nconmax")
            return Breakdowns()

    with pytest.raises(UserError, match=r"sim\.nconmax.*--resume.*model_2\.pt"):
        make_runner(tmp_path, OverflowingEnv(), save_interval=100).learn(5)
    assert Checkpoint.load(tmp_path / "model_2.pt").iteration == 2


def test_networks_of_another_size_are_refused(tmp_path: Path) -> None:
    make_runner(tmp_path).learn(1)
    wider = toy_cfg().critic
    wider.hidden_dims = (32,)
    with pytest.raises(UserError, match=r"critic\.hidden_dims was \[16\], is \[32\]"):
        make_runner(None, critic=wider).load(tmp_path / "model_0.pt")


def test_sigterm_saves_and_ends_the_program(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), str(tmp_path), "--iterations", "1000000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert any("iteration 11/" in line for line in process.stdout)
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 143, errors
    message = re.search(r"SIGTERM: training ends; saved: (\S+)", output)
    assert message is not None, output
    saved = Checkpoint.load(Path(message[1]))
    assert saved.iteration >= 10
    assert message[1] == str(tmp_path / f"model_{saved.iteration}.pt")


def test_a_terminal_that_is_closed_saves_and_ends_the_program(tmp_path: Path) -> None:
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), str(tmp_path), "--iterations", "1000000"],
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
        # The terminal that closes is the program's own.
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(end)
    with open(terminal, "rb", closefd=False) as lines:
        assert any(b"iteration 11/" in line for line in lines)
    os.close(terminal)
    # Its shell passes the signal on.
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=60) == 128 + signal.SIGHUP
    assert max(Checkpoint.load(path).iteration for path in tmp_path.glob("model_*.pt")) >= 10


def test_hanging_up_is_ignored_by_whoever_ignored_it_before() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.received is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_ctrl_c_ends_a_rollout_within_a_step_and_saves_what_was_learned(tmp_path: Path) -> None:
    class InterruptingEnv(ToyEnv):
        steps = 0

        def step(self, actions: torch.Tensor):
            self.steps += 1
            if self.steps == 20:
                os.kill(os.getpid(), signal.SIGINT)
            return super().step(actions)

    env = InterruptingEnv()
    with pytest.raises(SystemExit) as ended:
        make_runner(tmp_path, env).learn(6)
    assert ended.value.code == 130
    assert env.steps == 20
    assert Checkpoint.load(tmp_path / "model_1.pt").iteration == 1


def test_the_first_signal_is_answered_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    with StopSignals(answers=True):
        os.kill(os.getpid(), signal.SIGINT)
        told = capfd.readouterr().err
    assert "SIGINT: training saves a checkpoint and ends" in told and "once more" in told


def test_a_signal_during_the_last_save_is_not_lost(tmp_path: Path) -> None:
    class LateEnv(ToyEnv):
        def training_state(self, *, episodes: bool = True) -> dict[str, Any]:
            os.kill(os.getpid(), signal.SIGTERM)
            return super().training_state(episodes=episodes)

    with pytest.raises(SystemExit) as ended:
        make_runner(tmp_path, LateEnv()).learn(1)
    assert ended.value.code == 143
    assert Checkpoint.load(tmp_path / "model_0.pt").iteration == 0


def test_the_second_signal_is_left_to_the_system() -> None:
    before = signal.getsignal(signal.SIGINT)
    with StopSignals() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.received is signal.SIGINT
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is before


def test_wandb_without_a_login_is_told_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    runner = make_runner(tmp_path, logger="wandb")
    with pytest.raises(UserError, match=r"--logger wandb: .*wandb login"):
        runner.learn(1)
    assert runner.current_learning_iteration == -1


def test_metrics_are_means_over_all_samples_of_all_processes() -> None:
    here, elsewhere = {"a": (4.0, 2), "b": (7.0, 1)}, {"a": (5.0, 1)}
    assert mean_metrics([here]) == {"a": 2.0, "b": 7.0}
    assert mean_metrics([here, elsewhere]) == {"a": 3.0, "b": 7.0}
