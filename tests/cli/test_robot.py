"""``rl-sim-env robot``: what a file holds, and a package to start from."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys

import mujoco
import pytest

from pages import DOCS, commands, python_snippets
from rl_sim_env.cli import robot
from rl_sim_env.experiment import EnvOptions, build_vec_env, configure_env
from rl_sim_env.robots.go1 import GO1
from rl_sim_env.tasks import find_task

FILE = str(GO1.mjcf_path)
DRIVES = (
    *("--stiffness", "30", "--damping", "0.8", "--effort", "23.7", ".*calf.*=35.5"),
    *("--speed", "30", ".*calf.*=20"),
)
POSE = ("--pose", ".*L_hip.*=-0.1", ".*R_hip.*=0.1", ".*thigh.*=0.9", ".*calf.*=-1.8")


@pytest.fixture
def refuse(capsys):
    """Runs the program with a mistake and returns its one line."""

    def run(*argv: str) -> str:
        with pytest.raises(SystemExit) as end:
            robot.main(argv)
        assert end.value.code == 2
        line = capsys.readouterr().err
        assert line.count("\n") == 1
        return line

    return run


def test_what_is_found_and_what_is_still_to_be_said(capsys):
    robot.main(["check", FILE, "--stiffness", "30", "--pose", ".*thigh.*=0.9"])
    told = capsys.readouterr().out
    assert "12.7 kg, trunk 'trunk'" in told and "front right" in told
    assert "--damping (N m s/rad) of all leg joints" in told
    assert "--pose (rad) of FR_hip_joint, FR_calf_joint, FL_hip_joint" in told
    assert "--max_load (kg; 0 for none)" in told and "--stiffness" not in told


def test_the_package_that_is_written_makes_a_task_that_steps(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "my_go1"
    robot.main(["check", FILE, "--write", str(folder), *DRIVES, *POSE, "--max_load", "3"])
    assert "rl-sim-env train --task My-Go1-Flat-v0" in capsys.readouterr().out
    assert 'my_go1 = "my_go1.tasks"' in (folder / "pyproject.toml").read_text()
    monkeypatch.syspath_prepend(str(folder))
    runpy.run_module("my_go1.tasks")
    own = find_task("My-Go1-Flat-v0").robot
    assert own.max_load == 3.0
    assert own.drives["RR_calf_joint"].effort_limit == 35.5
    assert own.drives["RR_hip_joint"].velocity_limit == 30.0
    assert own.default_pose == GO1.default_pose
    assert own.spawn_height == pytest.approx(GO1.spawn_height, abs=0.02)
    settings = ("env.height_map_resolution=0.1",)
    env = build_vec_env(
        configure_env(
            EnvOptions(
                task="My-Go1-Flat-Play-v0", device="cpu", num_envs=2, seed=0, settings=settings
            )
        )
    )
    height = env.unwrapped.robot.data.root_link_pos_w[:, 2].clone()
    for _ in range(25):
        actions = env.get_observations()["actor_obs"].new_zeros(2, env.num_actions)
        _, reward, dones, _ = env.step(actions)
        assert not dones.any() and reward.isfinite().all()
    assert (env.unwrapped.robot.data.root_link_pos_w[:, 2] > 0.6 * height).all(), "it stands"
    assert "my_go1.robot" in sys.modules


def test_the_page_on_robots_leads_from_a_file_to_tasks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spec = mujoco.MjSpec.from_file(FILE)
    spec.meshdir = str(GO1.mjcf_path.parent / spec.meshdir)
    joints = [joint.name for joint in spec.joints if joint.name in GO1.leg_joints]
    for joint in joints:
        spec.add_actuator(
            name=joint,
            target=joint,
            trntype=mujoco.mjtTrn.mjTRN_JOINT,
            forcelimited=True,
            forcerange=(-23.7, 23.7),
        )
    pose = [GO1.default_pose[joint] for joint in joints]
    spec.add_key(name="home", qpos=[0.0, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0, *pose])
    (tmp_path / "my_robot.xml").write_text(spec.to_xml())
    page = DOCS / "robots.md"
    for command in commands(page):
        if command[:3] == ["robot", "check", "my_robot.xml"]:
            robot.main(command[1:])
    (announced,) = re.findall(r'^my_robot = "my_robot.tasks"$', page.read_text(), re.MULTILINE)
    assert announced in (tmp_path / "my_robot/pyproject.toml").read_text()
    monkeypatch.syspath_prepend(str(tmp_path / "my_robot"))
    from my_robot.robot import MY_ROBOT  # pyright: ignore[reportMissingImports]

    (snippet,) = python_snippets(page)
    exec(snippet, {"MY_ROBOT": MY_ROBOT})
    assert find_task("My-Robot-Flat-v0").robot.drives["FR_calf_joint"].velocity_limit == 20.0


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["check", "nowhere.xml"], ["nowhere.xml"]),
        (["check", FILE, "--write", "x", "--stiffness", "30"], ["never guessed"]),
        (["check", FILE, "--stiffness", "knee=3"], ["no leg joint", "FR_hip_joint"]),
        (["check", FILE, "--stiffness", "stiff"], ["--stiffness stiff", "PATTERN=NUMBER"]),
        (["check", FILE, "--speed", "(=3"], ["--speed (=3"]),
        (["check", FILE, "--effort", "nan"], ["finite"]),
    ],
)
def test_mistake_is_told_in_one_line(refuse, argv, words):
    line = refuse(*argv)
    assert all(word in line for word in words), line


def test_names_and_folders_that_cannot_be_a_package_are_refused(refuse, tmp_path):
    rest = (*DRIVES, *POSE, "--max_load", "0")
    assert "names a Python package" in refuse("check", FILE, "--write", "My-Go1", *rest)
    (tmp_path / "mine").mkdir()
    assert "is there already" in refuse("check", FILE, "--write", str(tmp_path / "mine"), *rest)


@pytest.mark.parametrize("columns", ["30", "80", "500"])
def test_robots_are_listed_with_whole_paths_however_narrow_it_is(capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    robot.main(["list"])
    lines = capsys.readouterr().out.splitlines()
    (go1,) = (line for line in lines if line.startswith("go1 "))
    assert go1.rstrip().endswith(FILE) and "FR FL RR RL" in go1 and "4 kg" in go1
    assert any(line.startswith("grq20_v2d3 ") for line in lines)


def test_what_is_left_out_is_said_once(tmp_path, capsys):
    spec = mujoco.MjSpec.from_file(FILE)
    spec.meshdir = str(GO1.mjcf_path.parent / spec.meshdir)
    spec.worldbody.add_geom(name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, size=(1, 1, 1))
    file = tmp_path / "with_floor.xml"
    file.write_text(spec.to_xml())
    known = (*DRIVES, *POSE, "--max_load", "3")
    robot.main(["check", str(file), "--write", str(tmp_path / "floored"), *known])
    told = capsys.readouterr()
    assert told.out.count("1 geoms of the world") == 1 and told.err == ""


def test_a_missing_file_is_told_before_what_takes_seconds_to_import(tmp_path):
    code = (
        "import sys; from rl_sim_env.cli import robot\n"
        "try: robot.main(['check', 'nowhere.xml'])\n"
        "except SystemExit: print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
    assert done.stderr == "error: robot model nowhere.xml: no such file\n"


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (("--max_load", "-1"), "--max_load -1.0: give kilograms"),
        (("--max_load", "nan"), "--max_load nan: give kilograms"),
        (("--max_load", "26"), "26 kg is 2.0 times the robot's own 12.7 kg"),
        (("--action_scale", "0"), "--action_scale 0.0: give radians above 0"),
        (("--stiffness", ".*calf.*=-30"), "--stiffness: -30 N m/rad for FR_calf_joint"),
        (("--pose", ".*calf.*=5"), "--pose: FR_calf_joint at 5 rad is outside its range"),
    ],
)
def test_values_that_no_robot_has_are_refused(refuse, argv, complaint):
    assert complaint in refuse("check", FILE, *argv)


def test_a_package_of_the_name_of_an_installed_one_is_refused(refuse, tmp_path):
    known = (*DRIVES, *POSE, "--max_load", "3")
    told = refuse("check", FILE, "--write", str(tmp_path / "torch"), *known)
    assert "there is a Python package 'torch' already" in told
    assert not (tmp_path / "torch").exists()


def test_a_file_that_is_none_is_told_as_such(refuse, tmp_path):
    assert "a folder" in refuse("check", str(tmp_path))
    assert "no such file" in refuse("check", str(tmp_path / "none.xml"))


def test_help_says_how_the_program_is_called(capsys):
    with pytest.raises(SystemExit):
        robot.main(["check", "--help"])
    assert "usage: rl-sim-env robot check" in capsys.readouterr().out
