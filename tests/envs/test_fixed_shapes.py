"""Steps whose shapes do not depend on what happens, so that nothing waits for the device."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import _disable_current_modes

from rl_sim_env.cuda_graphs import HostReads
from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.envs.episode_meter import EpisodeMeter
from rl_sim_env.envs.selection import padded_ids
from rl_sim_env.errors import UserError

NUM_ROBOTS = 4


def fixed(cfg) -> None:
    cfg.fixed_shapes = True
    cfg.reset_share = 0.5
    # They compute all that ideal ones do, and more.
    cfg.sensors = "hardware"


@pytest.fixture
def vec_env(make_env):
    return AmpVaeVecEnv(make_env(NUM_ROBOTS, noise=True, reference_start=0.5, edit=fixed))


def uncounted(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with its own reads left out."""

    def call(*args: Any, **kwargs: Any) -> Any:
        with _disable_current_modes():
            return function(*args, **kwargs)

    return call


def lay_on_side(env, env_ids: list[int]) -> None:
    quat = torch.tensor((math.cos(math.pi / 4), math.sin(math.pi / 4), 0.0, 0.0))
    for env_id in env_ids:
        env.sim.data.qpos[env_id, env.robot.indexing.free_joint_q_adr[3:7]] = quat


@pytest.mark.parametrize(
    ("due", "ids"),
    (((), (9, 9, 9)), ((1, 4), (1, 4, 9)), ((0, 2, 5), (0, 2, 5)), ((0, 2, 4, 5), (0, 2, 4))),
)
def test_lists_of_environments_are_filled_up_or_cut(due, ids):
    mask = torch.zeros(6, dtype=torch.bool)
    mask[list(due)] = True
    found, count = padded_ids(mask, size=3, fill=9)
    assert tuple(found.tolist()) == ids
    assert count == min(len(due), 3)


def test_what_is_urgent_comes_first_in_a_list_of_environments():
    mask = torch.tensor([True, True, False, True, True])
    urgent = torch.tensor([False, False, True, True, True])
    for size, ids in ((1, [3]), (3, [3, 4, 0]), (6, [3, 4, 0, 1, 9, 9])):
        found, count = padded_ids(mask, size, fill=9, urgent=urgent)
        assert found.tolist() == ids and count == min(size, 4)


def test_a_step_reads_nothing_from_the_device_whoever_falls(vec_env):
    env = vec_env.unwrapped
    # The physics of a CPU lives on the host anyway.
    for name in ("step", "forward", "reset", "recompute_constants"):
        setattr(env.sim, name, uncounted(getattr(env.sim, name)))
    with HostReads() as reads:
        for step in range(4):
            if step == 1:
                lay_on_side(env, [0, 2])
            if step == 2:
                env.velocity_command.time_left[:] = 0.0
                env.event_manager._interval_term_time_left[0][:] = 0.0
            vec_env.step(torch.randn(NUM_ROBOTS, 12))
    assert reads.places == set()


def test_the_check_for_reads_finds_them(make_env):
    vec_env = AmpVaeVecEnv(make_env(2))
    with HostReads() as reads:
        vec_env.step(torch.zeros(2, 12))
    assert any("nonzero" in place and "selection" in place for place in reads.places)


OUTPUTS = {
    *("extras", "obs_buf", "reward_buf", "reset_buf", "_obs_buffer", "_latest", "_cached_data"),
    *("_before", "_processed_actions", "common_step_counter", "_sim_step_counter"),
}
"""What a step computes anew before it is read, and what counts steps on the host."""


def state_of(env) -> dict[str, object]:
    """Where every tensor that the environment holds lives, and every number, by path."""
    found: dict[str, object] = {}
    seen: set[int] = set()

    def walk(value: object, path: str) -> None:
        if isinstance(value, torch.Tensor):
            found[path] = value.data_ptr()
        elif isinstance(value, int | float):
            found[path] = value
        elif id(value) not in seen:
            seen.add(id(value))
            if isinstance(value, dict):
                children = {str(key): child for key, child in value.items()}
            elif isinstance(value, list | tuple):
                children = {str(key): child for key, child in enumerate(value)}
            elif type(value).__module__.split(".")[0] in ("mjlab", "rl_sim_env"):
                children = dict(getattr(value, "__dict__", {}))
            else:
                return
            for name, child in children.items():
                if name not in OUTPUTS:
                    walk(child, f"{path}.{name}")

    walk(env, "env")
    return found


def test_a_step_keeps_its_state_in_the_same_tensors(vec_env):
    env = vec_env.unwrapped
    for _ in range(2):
        vec_env.step(torch.zeros(NUM_ROBOTS, 12))
    before = state_of(env)
    assert len(before) > 200
    lay_on_side(env, [1])
    vec_env.step(torch.zeros(NUM_ROBOTS, 12))
    after = state_of(env)
    assert {path for path in before | after if before.get(path) != after.get(path)} == set()


def test_the_padding_environment_is_hidden(vec_env):
    assert vec_env.num_envs == NUM_ROBOTS and vec_env.unwrapped.num_envs == NUM_ROBOTS + 1
    obs, reward, dones, extras = vec_env.step(torch.zeros(NUM_ROBOTS, 12))
    assert obs.batch_size == extras["terminal_obs"].batch_size == (NUM_ROBOTS,)
    for value in (reward, dones, extras["time_outs"], extras["style_scale"]):
        assert value.shape == (NUM_ROBOTS,)
    assert vec_env.get_observations().batch_size == (NUM_ROBOTS,)
    assert vec_env.episode_length_buf.shape == (NUM_ROBOTS,)
    vec_env.episode_length_buf = torch.arange(NUM_ROBOTS)
    vec_env.step(torch.zeros(NUM_ROBOTS, 12))
    assert vec_env.episode_length_buf.tolist() == [1, 2, 3, 4]
    assert vec_env.cfg.scene.num_envs == NUM_ROBOTS


def test_who_falls_starts_anew_and_disturbs_nobody(make_env):
    runs = []
    for fallen in ([], [0, 2]):
        vec_env = AmpVaeVecEnv(make_env(NUM_ROBOTS, noise=True, reference_start=0.5, edit=fixed))
        torch.manual_seed(3)
        vec_env.reset()
        vec_env.step(torch.zeros(NUM_ROBOTS, 12))
        lay_on_side(vec_env.unwrapped, fallen)
        results = [vec_env.step(torch.zeros(NUM_ROBOTS, 12)) for _ in range(3)]
        assert vec_env.episode_length_buf.tolist() == [2 if i in fallen else 4 for i in range(4)]
        assert results[0][2].nonzero().flatten().tolist() == fallen
        runs.append(results)
    for undisturbed, (obs, reward, *_) in zip(*runs, strict=True):
        for group in ("actor_obs", "vae_obs", "critic_obs", "amp_obs"):
            assert torch.equal(undisturbed[0][group][[1, 3]], obs[group][[1, 3]])
        assert torch.equal(undisturbed[1][[1, 3]], reward[[1, 3]])


def test_what_finds_no_room_waits_a_step_and_is_counted(vec_env):
    env = vec_env.unwrapped
    env.read_log()
    lay_on_side(env, [0, 1, 3])
    ended = []
    for _ in range(3):
        *_, dones, extras = vec_env.step(torch.zeros(NUM_ROBOTS, 12))
        assert not extras["time_outs"].any()
        ended.append(dones.nonzero().flatten().tolist())
    assert ended == [[0, 1], [3], []]
    log = env.read_log()
    assert log["Perf/waiting_resets"] == (1, 1)
    assert env.read_log()["Perf/waiting_resets"] == (0, 1)


def test_a_robot_whose_physics_broke_never_waits(vec_env):
    env = vec_env.unwrapped
    lay_on_side(env, [0, 1, 2])
    env.sim.data.qvel[3, 9] = math.nan
    obs, reward, dones, _ = vec_env.step(torch.zeros(NUM_ROBOTS, 12))
    assert dones.tolist() == [1, 0, 0, 1]
    assert reward.isfinite().all() and all(group.isfinite().all() for group in obs.values())


def test_the_log_counts_the_episodes_that_ended(vec_env):
    env = vec_env.unwrapped
    env.read_log()
    env.episode_length_buf[3] = env.max_episode_length - 1
    lay_on_side(env, [1])
    vec_env.step(torch.zeros(NUM_ROBOTS, 12))
    log = env.read_log()
    assert log["Episode_Termination/time_out"] == (1.0, 2)
    assert log["Episode_Termination/bad_orientation"] == (1.0, 2)
    total, count = log["Episode_Reward/is_terminated"]
    fall = env.cfg.rewards["is_terminated"]
    cost = fall.weight * fall.params["initial_share"] * env.step_dt
    assert count == 2 and total == pytest.approx(cost / env.max_episode_length_s)
    assert not any(name.startswith("Episode") for name in env.read_log())


def test_values_of_running_episodes_do_not_matter():
    meter = EpisodeMeter()
    ended = torch.tensor((True, False, True))
    meter.add({"a": torch.tensor((1.0, math.nan, 4.0)), "b": torch.ones(3)}, ended)
    meter.add({"b": torch.zeros(3), "a": torch.ones(3)}, ~ended)
    assert meter.read() == {"a": (6.0, 3), "b": (2.0, 3)}
    assert meter.read() == {}


@pytest.mark.parametrize("share", (0.0, 1.5))
def test_a_share_outside_its_range_is_refused(make_env, share):
    def edit(cfg):
        cfg.reset_share = share

    with pytest.raises(UserError, match="reset_share"):
        make_env(2, edit=edit)
