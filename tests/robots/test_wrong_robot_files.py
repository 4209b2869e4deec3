"""Robot files that parse, and say something that no model can be made of."""

from __future__ import annotations

import random
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest

from fuzzing import refused_or_works
from rl_sim_env.robots import load_model
from rl_sim_env.robots.discovery import discover
from rl_sim_env.tasks import find_robot
from soak import soak_seed, times

ROBOT = find_robot("grq20_v2d3")

VALUES = ("", "walk", "nan", "1e400", "-1", "0", "0 0 0", "1 2 3 4 5 6 7 8", "1e30", "\xe9\u4e00")
"""What may stand in an attribute."""


def wrong_models(count: int, *, seed: int) -> Iterator[tuple[str, str]]:
    """What was changed, and the robot's MJCF with that one element or attribute changed."""
    rng, text = random.Random(seed), ROBOT.mjcf_path.read_text()
    for _ in range(count):
        root = ElementTree.fromstring(text)
        parents = [each for each in root.iter() if len(each)]
        parent = rng.choice(parents)
        element = rng.choice(list(parent))
        what = f"<{element.tag} {element.get('name', '')}>"
        attributes = list(element.attrib)
        if not attributes or rng.random() < 0.3:
            if rng.random() < 0.5:
                parent.remove(element)
                what += " is missing"
            else:
                parent.append(element)
                what += " stands twice"
        else:
            name = rng.choice(attributes)
            element.set(name, rng.choice(VALUES))
            what += f" {name}={element.get(name)!r}"
        yield what, ElementTree.tostring(root, encoding="unicode")


def test_a_wrong_model_is_refused_in_one_line(tmp_path):
    path = tmp_path / "robot.xml"
    robot = ROBOT.with_model(path)
    for what, text in wrong_models(times(120), seed=soak_seed()):
        path.write_text(text)
        with refused_or_works(f"check: {what}"):
            discover(path)
        with refused_or_works(f"model: {what}"):
            load_model(robot).compile()


@pytest.mark.parametrize("name", [b"\xff\xfe", b"\xe9"])
def test_a_name_that_is_no_text_is_refused_in_one_line(tmp_path: Path, name: bytes):
    path = tmp_path / "robot.xml"
    trunk = f'"{ROBOT.base_body}"'.encode()
    path.write_bytes(ROBOT.mjcf_path.read_bytes().replace(trunk, b'"' + name + b'"'))
    for read in (discover, lambda file: load_model(ROBOT.with_model(file))):
        with refused_or_works("a name of other bytes"):
            read(path)
            raise AssertionError("was read")
