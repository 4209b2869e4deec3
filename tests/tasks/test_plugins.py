"""Packages that bring their own robot: nothing in this repository knows of them.

They are installed as pip would: a folder of modules and a folder of facts, on the path.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mujoco
import pytest

from grq20 import MJCF_PATH

pytestmark = pytest.mark.slow

PROGRAM = (sys.executable, "-c", "from rl_sim_env.cli import main; main()")
SCRIPTS = Path(__file__).resolve().parents[2] / "scripts" / "rsl_rl"
TASK = "Tiny-Walker-Flat-v0"
TINY = (
    *("--num_envs", "4", "--max_iterations", "1", "--headless", "--device", "cpu"),
    *("agent.num_steps_per_env=2", "agent.algorithm.num_learning_epochs=1"),
    *("agent.amp.batch_size=32", "agent.amp.replay_size=1000"),
)

ROBOT = """
from pathlib import Path

from rl_sim_env.robots import Drive, Leg, Robot, TrunkBox
from rl_sim_env.tasks import PayloadWalkingCfg, register_walking_tasks

LEGS = tuple(
    Leg(
        name=f"{end} {side}",
        side=side,
        end=end,
        hip_joint=f"{end}_{side}_haa",
        thigh_joint=f"{end}_{side}_hfe",
        calf_joint=f"{end}_{side}_kfe",
        thigh_body=f"{end}_{side}_thigh",
        calf_body=f"{end}_{side}_shank",
        foot_body=f"{end}_{side}_foot",
        foot_site=f"{end}_{side}_sole",
        foot_geom=f"{end}_{side}_ball",
    )
    for side in ("right", "left")
    for end in ("rear", "front")
)
JOINTS = tuple(joint for leg in LEGS for joint in leg.joints)

ROBOT = Robot(
    name="tiny_walker",
    mjcf_path=Path(__file__).parent / "tiny_walker.xml",
    base_body="torso",
    legs=LEGS,
    leg_joints=JOINTS,
    default_pose=dict(zip(JOINTS, (0.0, 0.8, -1.6) * 4)),
    drives={
        joint: Drive(
            stiffness=80.0,
            damping=2.0,
            effort_limit=100.0,
            velocity_limit=18.0,
            stall_torque=180.0,
            armature=0.02,
        )
        for joint in JOINTS
    },
    spawn_height=0.5,
    payload=TrunkBox(
        body="crate",
        max_load=5.0,
        position=(0.0, 0.0, 0.1),
        half_size=(0.1, 0.1, 0.03),
        tray_mass=0.2,
        place_range=(0.05, 0.05),
    ),
)

register_walking_tasks(
    "Tiny-Walker",
    PayloadWalkingCfg(
        robot=ROBOT,
        action_scale=0.3,
        torque_scale=0.02,
        scan_offset=0.5,
        swing_height=0.08,
        trunk_mass=(-1.0, 1.0),
        trunk_com=((-0.02, 0.02),) * 3,
    ),
)
"""


def write_model(path: Path) -> None:
    """A robot without boom, whose parts are called unlike those of any other."""
    spec = mujoco.MjSpec.from_file(str(MJCF_PATH))
    spec.delete(spec.body("arm_base_link"))
    spec.body("base_link").name = "torso"
    for end in ("front", "rear"):
        for side in ("left", "right"):
            old, new = f"{end[0]}{side[0]}".upper(), f"{end}_{side}"
            for joint, name in (("hip", "haa"), ("thigh", "hfe"), ("calf", "kfe")):
                spec.joint(f"{old}_{joint}_joint").name = f"{new}_{name}"
            for body, name in (("hip", "hip"), ("thigh", "thigh"), ("calf", "shank")):
                spec.body(f"{old}_{body}").name = f"{new}_{name}"
            spec.body(f"{old}_foot").name = f"{new}_foot"
            spec.geom(f"{old}_foot_collision").name = f"{new}_ball"
            spec.delete(spec.site(f"{old}_foot"))
    path.write_text(spec.to_xml())


@pytest.fixture
def install(tmp_path: Path) -> Callable[..., Path]:
    """Puts a package where the programs find it, as pip would; returns its folder."""

    def make(package: str, *, tasks: str) -> Path:
        folder = tmp_path / "site" / package
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        (folder / "tasks.py").write_text(tasks)
        facts = folder.parent / f"{package}-0.1.dist-info"
        facts.mkdir()
        name = package.replace("_", "-")
        (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n")
        (facts / "entry_points.txt").write_text(f"[rl_sim_env.tasks]\nown = {package}.tasks\n")
        return folder

    return make


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a program with the installed packages, in a folder of its own."""

    def start(*command: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join((str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")))
        own = {"PYTHONPATH": path, "RL_SIM_ENV_CACHE": str(tmp_path / "cache"), "COLUMNS": "120"}
        (tmp_path / "work").mkdir(exist_ok=True)
        return subprocess.run(
            command,
            cwd=tmp_path / "work",
            env=os.environ | own,
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )

    return start


@pytest.fixture
def walker(install) -> Path:
    folder = install("tiny_walker", tasks=ROBOT)
    write_model(folder / "tiny_walker.xml")
    return folder


@pytest.mark.usefixtures("walker")
def test_tasks_of_an_installed_package_are_listed_beside_our_own(run):
    done = run(*PROGRAM, "tasks")
    assert done.returncode == 0, done.stderr
    assert TASK in done.stdout and "Rl-Sim-Env-AmpVae-Go1-v0" in done.stdout
    assert "Tiny-Walker-ReplayAmpData-v0" in done.stdout and "with 0 to 5 kg" in done.stdout


@pytest.mark.usefixtures("walker")
def test_a_robot_of_an_installed_package_trains(run, tmp_path):
    done = run(*PROGRAM, "train", "--task", TASK, *TINY)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "work").glob("logs/rsl_rl/tiny_walker_amp_vae_flat/*/model_0.pt"))
    assert len(list((tmp_path / "cache").glob("motions/*/*.npz"))) > 20


@pytest.mark.usefixtures("walker")
def test_a_package_that_is_imported_by_itself_registers_its_tasks_once(run):
    code = (
        "import tiny_walker.tasks, rl_sim_env.tasks, gymnasium; "
        f"assert {TASK!r} in rl_sim_env.tasks.TASKS and {TASK!r} in gymnasium.registry; "
        "assert rl_sim_env.tasks.find_robot('tiny_walker') is tiny_walker.tasks.ROBOT"
    )
    done = run(sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        (
            "import a_module_that_nobody_has",
            (
                "broken-walker brings tasks in broken_walker.tasks, which cannot be imported",
                "ModuleNotFoundError: No module named 'a_module_that_nobody_has'",
            ),
        ),
        ("tasks = (", ("broken-walker", "SyntaxError")),
        (
            "from rl_sim_env.tasks import *\n"
            "register_task('Rl-Sim-Env-AmpVae-Go1-v0', find_task('Rl-Sim-Env-AmpVae-Go1-v0'))",
            (
                "broken-walker brings tasks in broken_walker.tasks: "
                "task 'Rl-Sim-Env-AmpVae-Go1-v0' is registered already",
            ),
        ),
    ],
    ids=["missing module", "no Python", "id of another task"],
)
def test_a_package_that_cannot_be_imported_is_told_in_one_line(install, run, tasks, words):
    install("broken_walker", tasks=tasks)
    done = run(*PROGRAM, "tasks")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: ")
    for word in words:
        assert word in line


def test_scripts_tell_it_in_one_line_too(install, run):
    install("broken_walker", tasks="import a_module_that_nobody_has")
    done = run(sys.executable, str(SCRIPTS / "train.py"), "--task", TASK, *TINY)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: broken-walker brings tasks")
