"""Motion files of the right form that hold something that cannot be."""

from __future__ import annotations

import json
import random
from dataclasses import fields
from typing import Any

import numpy as np
from texts import write_amp_text

from fuzzing import refused_or_works, wrong_facts
from rl_sim_env.motions import load_clips
from rl_sim_env.motions.clip import MotionClip
from rl_sim_env.motions.readers import read_amp_for_hardware
from rl_sim_env.motions.retarget import SourceRobot
from rl_sim_env.robots.grq20_v2d3 import GRQ20_V2D3
from soak import soak_seed, times


def others(array: np.ndarray) -> list[Any]:
    """What may stand in the place of a field, and must not."""
    anything = ["walk", "", 1.5, True, [], ["walk"], [[1.0]], float("nan"), b"\xff\xfe", 1j]
    return [*anything, array.astype(str), array[None], array.ravel()[:-1], array.astype("S8")]


def test_a_wrong_clip_is_refused_in_one_line(clip, tmp_path):
    path, rng = tmp_path / "trot [v2].npz", random.Random(soak_seed())
    good = {each.name: np.asarray(getattr(clip, each.name)) for each in fields(clip)}
    for _ in range(times(150)):
        name = rng.choice(list(good))
        arrays = {**good, name: rng.choice(others(good[name]))}
        if rng.random() < 0.2:
            del arrays[name]
        np.savez(path, allow_pickle=False, **arrays)
        with refused_or_works(f"{name} is {arrays.get(name)!r:.60}"):
            (read,) = load_clips([str(path)], GRQ20_V2D3)
            assert isinstance(read, MotionClip)
            assert all(map(np.isfinite, (read.fps, read.weight, read.duration)))


def test_a_wrong_text_is_refused_in_one_line(clip, legs, tmp_path):
    path = write_amp_text(tmp_path / "trot.txt", clip)
    good = json.loads(path.read_text())
    good["Frames"] = good["Frames"][:20]
    robot = SourceRobot(name="GRQ20", legs=legs)
    for what, changed in wrong_facts(good, 100, seed=soak_seed()):
        path.write_text(json.dumps(changed, default=lambda tensor: tensor.tolist()))
        with refused_or_works(what):
            read_amp_for_hardware(path, robot)


def test_text_is_utf_8_with_or_without_a_mark(clip, legs, tmp_path):
    path = write_amp_text(tmp_path / "trot.txt", clip, Comment="Läufer")
    robot = SourceRobot(name="GRQ20", legs=legs)
    for encoding in ("utf-8", "utf-8-sig"):
        path.write_text(json.dumps(json.loads(path.read_text("utf-8-sig"))), encoding=encoding)
        assert read_amp_for_hardware(path, robot).fps == 100.0
