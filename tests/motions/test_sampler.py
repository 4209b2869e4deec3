from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from rl_sim_env.errors import UserError
from rl_sim_env.motions.clip import MotionClip
from rl_sim_env.motions.rotations import (
    quat_rotate,
    quat_to_rotvec,
    quat_without_yaw,
    quat_yaw,
)
from rl_sim_env.motions.sampler import FEATURES, MotionSampler
from rl_sim_env.robots.grq20_v2d3 import GRQ20_V2D3

TERMS = ("base_lin_vel_xy", "base_ang_vel_z", "joint_pos", "joint_vel", "foot_positions")
CONTROL_DT = 0.02


def make_sampler(
    clips: Sequence[MotionClip],
    terms: Sequence[str],
    *,
    control_dt: float = CONTROL_DT,
    device: str = "cpu",
) -> MotionSampler:
    return MotionSampler(clips, terms, control_dt, device, robot=GRQ20_V2D3)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def clock(clip: MotionClip, *, num_frames: int, cyclic: bool, weight: float = 1.0) -> MotionClip:
    """A clip whose first joint angle is its time [s]."""
    cut = {
        field.name: np.resize(value, (num_frames, *value.shape[1:]))
        for field in dataclasses.fields(clip)
        if isinstance(value := getattr(clip, field.name), np.ndarray)
    }
    cut["joint_pos"] = cut["joint_pos"].copy()
    cut["joint_pos"][:, 0] = np.arange(num_frames) / clip.fps
    return dataclasses.replace(clip, cyclic=cyclic, weight=weight, **cut)


def test_terms_are_laid_out_in_the_order_asked_for(clip):
    one, two = (
        make_sampler([clip], terms).sample_pairs(32, generator())[0]
        for terms in (TERMS, TERMS[::-1])
    )
    assert one.shape == (32, 39)
    torch.testing.assert_close(one[:, :2], two[:, -2:])
    torch.testing.assert_close(one[:, 2], two[:, -3])
    torch.testing.assert_close(one[:, 3:15], two[:, 24:36])
    torch.testing.assert_close(one[:, 27:], two[:, :12])


def test_unknown_term_lists_what_there_is(clip, message):
    with pytest.raises(UserError) as error:
        make_sampler([clip], ["joint_pos", "joint_acc"])
    assert "joint_acc" in message(error) and "foot_positions" in message(error)


@pytest.mark.parametrize("cyclic", [False, True])
@pytest.mark.parametrize("control_dt", [0.02, 0.013])
def test_pairs_are_one_control_step_apart_and_stay_inside_the_clip(clip, cyclic, control_dt):
    made = clock(clip, num_frames=50, cyclic=cyclic)
    sampler = make_sampler([made], ["joint_pos"], control_dt=control_dt)
    now, later = (state[:, 0] for state in sampler.sample_pairs(20_000, generator()))
    last = (made.num_frames - 1) / made.fps
    # Between the last frame and the first again the clock of a loop runs backwards.
    plain = (now <= last - control_dt) & (later >= control_dt)
    torch.testing.assert_close(
        later[plain] - now[plain], torch.full_like(now[plain], control_dt), atol=1e-5, rtol=0.0
    )
    assert (~plain).any() == cyclic
    assert now.min() < 0.005 and now[plain].max() > last - control_dt - 0.005
    counts = torch.histc(now[plain], bins=8, min=0.0, max=last - control_dt)
    assert counts.min() > 0.85 * counts.mean()


def test_loop_continues_with_its_first_frame(clip):
    sampler = make_sampler([clip], ["joint_pos"])
    now, later = sampler.sample_pairs(20_000, generator())
    largest_move = np.abs(clip.joint_vel).max() * CONTROL_DT
    assert (later - now).abs().max() <= 1.01 * largest_move


def test_states_follow_the_recorded_velocity(clip):
    sampler = make_sampler([clip], ["joint_pos", "joint_vel"])
    now, later = sampler.sample_pairs(2_000, generator())
    mean_velocity = 0.5 * (now[:, 12:] + later[:, 12:])
    torch.testing.assert_close(
        (later - now)[:, :12], mean_velocity * CONTROL_DT, atol=0.01, rtol=0.0
    )


def test_clips_are_drawn_by_weight(clip):
    weights = (1.0, 3.0, 0.0)
    marked = [
        dataclasses.replace(clip, weight=weight, joint_pos=np.full_like(clip.joint_pos, mark))
        for mark, weight in enumerate(weights)
    ]
    sampler = make_sampler(marked, ["joint_pos"])
    mark = sampler.sample_pairs(20_000, generator())[0][:, 0].round().long()
    share = torch.bincount(mark, minlength=3) / len(mark)
    assert share.tolist() == pytest.approx([0.25, 0.75, 0.0], abs=0.02)


def test_no_pair_mixes_two_clips(clip):
    marked = [
        clock(dataclasses.replace(clip, fps=fps), num_frames=frames, cyclic=cyclic)
        for fps, frames, cyclic in ((100.0, 4, False), (50.0, 60, True), (60.0, 30, False))
    ]
    for mark, made in enumerate(marked):
        made.joint_pos[:, 1] = mark
    sampler = make_sampler(marked, ["joint_pos"])
    now, later = sampler.sample_pairs(20_000, generator())
    torch.testing.assert_close(now[:, 1], later[:, 1])
    torch.testing.assert_close(now[:, 1], now[:, 1].round())
    assert now[:, 1].unique().tolist() == [0.0, 1.0, 2.0]


def test_same_seed_gives_the_same_pairs(clip):
    sampler = make_sampler([clip], TERMS)
    for first, second in zip(
        sampler.sample_pairs(8, generator()), sampler.sample_pairs(8, generator()), strict=True
    ):
        torch.testing.assert_close(first, second, atol=0.0, rtol=0.0)


def test_sampled_states_are_moments_of_the_motion(clips):
    turning = clips["turn_left_1.0"]
    state = make_sampler([turning], TERMS).sample_states(500, generator())
    assert state["root_height"].shape == (500,)
    assert state["root_height"].min() > 0.4 and state["root_height"].max() < 0.42
    quat = state["root_quat"]
    torch.testing.assert_close(quat.norm(dim=-1), torch.ones(500))
    assert quat[:, 3].abs().max() < 1e-4, "the heading is taken out"
    assert state["root_ang_vel"][:, 2].mean().item() == pytest.approx(1.0, abs=0.05)
    assert state["joint_pos"].shape == state["joint_vel"].shape == (500, 12)


def test_attitude_is_interpolated_along_the_shorter_way(clip):
    quat = np.tile([np.cos(0.3), np.sin(0.3), 0.0, 0.0], (2, 1))
    quat[1] = -np.array([np.cos(0.35), np.sin(0.35), 0.0, 0.0])
    made = dataclasses.replace(clock(clip, num_frames=2, cyclic=False), root_quat=quat, fps=10.0)
    state = make_sampler([made], TERMS).sample_states(1_000, generator())
    roll = 2.0 * torch.atan2(state["root_quat"][:, 1], state["root_quat"][:, 0])
    progress = (state["joint_pos"][:, 0] / state["joint_pos"][:, 0].max()).clamp(0.0, 1.0)
    torch.testing.assert_close(roll, 0.6 + 0.1 * progress, atol=1e-3, rtol=0.0)


@pytest.mark.parametrize("weight", [0.0, None])
def test_nothing_to_sample_is_refused(clip, weight):
    chosen = [] if weight is None else [dataclasses.replace(clip, weight=weight)]
    with pytest.raises(UserError, match="weight"):
        make_sampler(chosen, TERMS)


def test_clip_shorter_than_a_control_step_is_refused(clip):
    with pytest.raises(UserError, match="control step"):
        make_sampler([clock(clip, num_frames=2, cyclic=False)], TERMS)


def test_features_are_what_the_environment_observes(clips, make_env, place):
    """A robot put into a moment of a clip observes that moment."""
    clip, frame = clips["curve_left_1.0"], 60
    attitude = clip.root_quat[frame]
    roll, pitch, _ = quat_to_rotvec(quat_without_yaw(attitude))
    env = make_env(1)
    place(
        env,
        height=float(clip.root_pos[frame, 2]),
        roll=float(roll),
        pitch=float(pitch),
        yaw=float(quat_yaw(attitude)),
        lin_vel=tuple(quat_rotate(attitude, clip.root_lin_vel[frame]).tolist()),
        ang_vel=tuple(quat_rotate(attitude, clip.root_ang_vel[frame]).tolist()),
        joint_pos=torch.tensor(clip.joint_pos[[frame]], dtype=torch.float32),
        joint_vel=torch.tensor(clip.joint_vel[[frame]], dtype=torch.float32),
    )
    terms = env.cfg.observations["amp_obs"].terms
    assert list(terms) == list(TERMS)
    for name, term in terms.items():
        expected = FEATURES[name](clip)[frame]
        np.testing.assert_allclose(term.func(env)[0].numpy(), expected, atol=1e-4)


@pytest.mark.gpu
def test_sampling_reads_nothing_back_from_the_device(clip):
    sampler = make_sampler([clip], TERMS, device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        sampler.sample_pairs(64)
        sampler.sample_states(64)
    finally:
        torch.cuda.set_sync_debug_mode("default")
