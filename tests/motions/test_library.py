from __future__ import annotations

from dataclasses import replace

import pytest

from grq20 import MJCF_PATH
from rl_sim_env.errors import UserError
from rl_sim_env.motions.clip_set import CLIP_SET
from rl_sim_env.motions.library import generated_clip_folder, load_clips
from rl_sim_env.robots.grq20_v2d3 import GRQ20_V2D3


def test_generated_clips_are_made_once(cache):
    names = {clip.name for clip in load_clips(None, GRQ20_V2D3)}
    assert names == {cfg.name for cfg in CLIP_SET}
    folder = generated_clip_folder(GRQ20_V2D3)
    assert cache in folder.parents
    stamp = folder.stat().st_mtime_ns
    load_clips(None, GRQ20_V2D3)
    assert folder.stat().st_mtime_ns == stamp
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_another_robot_gets_clips_of_its_own(tmp_path):
    other = tmp_path / "longer.xml"
    other.write_text(MJCF_PATH.read_text().replace('pos="0 0 -0.285"', 'pos="0 0 -0.29"'))
    assert generated_clip_folder(GRQ20_V2D3.with_model(other)) != generated_clip_folder(GRQ20_V2D3)


def test_interrupted_generation_leaves_nothing_behind(cache):
    drives = {
        joint: replace(drive, velocity_limit=1.0) for joint, drive in GRQ20_V2D3.drives.items()
    }
    with pytest.raises(UserError, match="the drive does 1"):
        generated_clip_folder(replace(GRQ20_V2D3, drives=drives))
    assert list((cache / "motions").iterdir()) == []


def test_unwritable_cache_says_what_to_set(cache, monkeypatch):
    cache.write_text("a file, not a folder")
    with pytest.raises(UserError, match="RL_SIM_ENV_CACHE"):
        load_clips(None, GRQ20_V2D3)


def test_files_folders_and_patterns_are_found(clips, tmp_path):
    for name in ("trot_0.3", "trot_0.6", "walk_0.2"):
        clips[name].save(tmp_path / "mine" / f"{name}.npz")
    folder = tmp_path / "mine"

    def names(path) -> list[str]:
        return [clip.name for clip in load_clips([path], GRQ20_V2D3)]

    assert len(names(folder)) == 3
    assert names(f"{folder}/trot_*.npz") == ["trot_0.3", "trot_0.6"]
    assert names(folder / "walk_0.2.npz") == ["walk_0.2"]


@pytest.mark.parametrize("path", ["nothing_*.npz", "nothing.npz", "."])
def test_path_without_clips_is_refused(tmp_path, path):
    with pytest.raises(UserError, match="motion file"):
        load_clips([tmp_path / path], GRQ20_V2D3)
