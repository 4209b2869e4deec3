"""The page's modules under Node beside ``rl_sim_env.deploy``: the same robot, the same numbers."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest

from rl_sim_env.deploy import DeployedPolicy
from rl_sim_env.deploy.mujoco_robot import GROUNDS, MujocoRobot, World
from rl_sim_env.deploy.sim_to_sim import Link, SensorNoise
from rl_sim_env.robots import load_model
from rl_sim_env.web.site import write_site
from shipped import shipped

SECONDS = 10.0
EXACT_STEPS = 50
"""Steps of the policy until rounding has grown through contacts: a second."""

LIFT = 0.001
"""Feet begin above the ground [m]: whether feet at height zero touch is a matter of rounding."""

NO_NOISE = SensorNoise(
    base_ang_vel=0.0, projected_gravity=0.0, joint_pos=0.0, joint_vel=0.0, joint_torques=0.0
)


def walk_in_node(node: str, site: Path, **wish: Any) -> dict[str, Any]:
    script = Path(__file__).parent / "walk.mjs"
    command = [node, str(script), str(site), json.dumps({"seconds": SECONDS, "lift": LIFT, **wish})]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def walk_in_python(
    robot_name: str, world: World, command: list[float], seconds: float = SECONDS
) -> list[dict[str, Any]]:
    path, robot = shipped(robot_name)
    policy = DeployedPolicy(path)
    walker = MujocoRobot(lambda: load_model(robot), policy.metadata, world)
    walker.base_pos[2] += LIFT
    mujoco.mj_forward(walker.model, walker.data)
    rng = np.random.default_rng(0)
    assert policy.metadata.drawn is not None
    link = Link(walker, policy.metadata.drawn, rng, sensors="ideal", noise=NO_NOISE)
    records = []
    for _ in range(round(seconds / policy.metadata.control_period)):
        output = policy.step(link.read(np.array(command), None))
        truth = {"mass": [walker.mass], "com": walker.com, "velocity": walker.base_lin_vel}
        records.append(
            {
                "position": walker.base_pos.copy(),
                "estimates": output.estimates,
                "truth": truth,
                "fallen": walker.has_fallen,
            }
        )
        link.drive(output.joint_targets, seconds=policy.metadata.control_period)
    return records


def gaps(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Largest difference in each step, by quantity."""

    def gap(one: Any, other: Any) -> float:
        return float(np.abs(np.subtract(one, other)).max())

    pairs = list(zip(ours, theirs, strict=True))
    found = {"position": [gap(a["position"], b["position"]) for a, b in pairs]}
    for kind in ("estimates", "truth"):
        for name in ("mass", "com", "velocity"):
            found[f"{kind} {name}"] = [gap(a[kind][name], b[kind][name]) for a, b in pairs]
    return {name: np.array(values) for name, values in found.items()}


@pytest.mark.parametrize(
    ("ground", "size", "drift"), [("flat", 0.0, 0.05), ("stairs", 0.1, 0.3)], ids=["flat", "stairs"]
)
def test_a_walk_is_the_same_in_node_and_in_python(
    node, site, monkeypatch, ground: str, size: float, drift: float
):
    command = [0.6, 0.0, 0.1]
    wish = {"ground": ground, "size": size, "load": 3.0, "boom": 0.5, "yaw": 0.1}
    theirs = walk_in_node(node, site, command=command, **wish)

    def add_ground(world: mujoco.MjsBody) -> None:
        world.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=(0.0, 0.0, 1.0))
        for box in theirs["boxes"]:
            world.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, **box)

    monkeypatch.setitem(GROUNDS, "of the page", add_ground)
    world = World(
        ground="of the page", load=3.0, boom_length=0.6, boom_angle=0.5, friction=1.0, yaw=0.1
    )
    ours = walk_in_python("grq20_v2d3", world, command)

    assert len(ours) == len(theirs["records"]) == 500
    for name, values in gaps(ours, theirs["records"]).items():
        assert values[:EXACT_STEPS].max() < 1e-4, name
    late = gaps(ours[EXACT_STEPS:], theirs["records"][EXACT_STEPS:])
    assert late["position"].max() < drift
    assert not any(record["fallen"] for record in (*ours, *theirs["records"]))
    felt, of_page = (
        np.mean([record["estimates"]["mass"] for record in records[100:]])
        for records in (ours, theirs["records"])
    )
    assert of_page == pytest.approx(felt, abs=0.2)
    if ground == "stairs":
        assert max(record["position"][2] for record in theirs["records"]) > 0.8


def test_a_robot_with_meshes_and_a_box_walks_as_in_python(node, packages, tmp_path):
    write_site(tmp_path, *shipped("go1"), packages)
    command = [0.6, 0.0, 0.0]
    wish = {"ground": "flat", "size": 0.0, "load": 2.0, "boom": 0.0, "yaw": 0.0, "seconds": 3.0}
    theirs = walk_in_node(node, tmp_path, command=command, **wish)["records"]
    world = World(ground="flat", load=2.0, boom_length=0.0, boom_angle=0.0, friction=1.0, yaw=0.0)
    ours = walk_in_python("go1", world, command, seconds=3.0)

    for name, values in gaps(ours, theirs).items():
        assert values[:EXACT_STEPS].max() < 1e-4, name
    assert theirs[-1]["position"][0] > 1.3


def test_a_fall_is_seen_and_the_load_stays(node, site):
    wish = {"ground": "flat", "size": 0.0, "load": 60.0, "boom": 1.5, "yaw": 0.0, "seconds": 3.0}
    records = walk_in_node(node, site, command=[0.0, 0.0, 0.0], **wish)["records"]

    assert not records[0]["fallen"]
    assert records[-1]["fallen"]
    assert records[-1]["truth"]["mass"][0] == pytest.approx(60.0)


def test_a_push_changes_the_velocity_by_what_it_says(node, site):
    wish = {"ground": "flat", "size": 0.0, "load": 3.0, "boom": 0.0, "yaw": 0.0, "seconds": 1.5}
    push = {"at": 1.0, "change": [0.0, 0.7, 0.0]}
    records = walk_in_node(node, site, command=[0.3, 0.0, 0.0], push=push, **wish)["records"]
    sideways = [record["truth"]["velocity"][1] for record in records]

    assert max(map(abs, sideways[25:50])) < 0.2
    assert max(sideways[50:]) == pytest.approx(0.6, abs=0.2)
    assert not records[-1]["fallen"]
