"""Videos without a window."""

from __future__ import annotations

import dataclasses

import imageio_ffmpeg
import numpy as np
import pytest

from rl_sim_env.errors import UserError
from rl_sim_env.viewer.video import FRAME_RATE, check_video_path, record


@pytest.fixture
def small_picture(clip_player):
    cfg = clip_player.vec_env.cfg
    cfg.viewer = dataclasses.replace(cfg.viewer, width=96, height=64)
    return clip_player


@pytest.mark.usefixtures("opengl")
def test_video_has_a_frame_for_every_25th_of_a_second(small_picture, tmp_path):
    path = tmp_path / "new" / "clip.mp4"
    captions = []

    def caption() -> str:
        captions.append(small_picture.time)
        return f"{small_picture.time:.2f} s"

    record(small_picture, path, num_steps=10, caption=caption)
    reader = imageio_ffmpeg.read_frames(str(path))
    facts = next(reader)
    frames = np.stack([np.frombuffer(frame, dtype=np.uint8) for frame in reader])
    assert facts["size"] == (96, 64)
    assert facts["fps"] == pytest.approx(FRAME_RATE)
    assert len(frames) == 5
    assert captions == pytest.approx([0.02, 0.06, 0.10, 0.14, 0.18])
    assert frames.std() > 10.0, "a picture of something"
    assert [file.name for file in path.parent.iterdir()] == ["clip.mp4"]


@pytest.mark.usefixtures("opengl")
def test_broken_off_video_leaves_the_old_one(small_picture, tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"older")

    def caption() -> str:
        if small_picture.time > 0.1:
            raise UserError("physics broke")
        return ""

    with pytest.raises(UserError, match="physics broke"):
        record(small_picture, path, num_steps=10, caption=caption)
    assert path.read_bytes() == b"older"
    assert [file.name for file in tmp_path.iterdir()] == ["clip.mp4"]


def test_other_formats_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"clip\.avi.*\.mp4"):
        check_video_path(tmp_path / "clip.avi")


def test_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot make its folder"):
        check_video_path(tmp_path / "file" / "clip.mp4")
