from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from grq20 import EFFORT_LIMIT
from rl_sim_env.motions.clip_set import CLIP_SET
from rl_sim_env.motions.replay import replay_clip
from rl_sim_env.robots.grq20_v2d3 import GRQ20_V2D3


@pytest.mark.parametrize("name", [cfg.name for cfg in CLIP_SET])
def test_robot_can_follow_every_clip(clips, name):
    report = replay_clip(clips[name], GRQ20_V2D3)
    assert not report.fell
    assert report.joint_rmse < 0.04
    assert report.velocity_rmse < 0.08
    assert report.torque_peak < 0.6 * EFFORT_LIMIT


def test_motion_that_nothing_supports_makes_the_robot_fall(clips):
    """The same trot leaning by 35 degrees: no foot stands where it would have to."""
    clip = clips["trot_0.6"]
    lean = np.array([np.cos(0.3), np.sin(0.3), 0.0, 0.0])
    leaning = dataclasses.replace(clip, root_quat=np.tile(lean, (clip.num_frames, 1)))
    assert replay_clip(leaning, GRQ20_V2D3).velocity_rmse > 0.1
