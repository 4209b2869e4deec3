"""Tasks are found by id; a wrong id gets a hint."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from rl_sim_env.errors import UserError
from rl_sim_env.robots.go1 import GO1
from rl_sim_env.tasks import TASKS, family_ids, find_robot, find_task, make_env_cfg, register_task

TASK = "Rl-Sim-Env-AmpVae-Grq20-V2d3-v0"


def test_the_ids_that_users_know():
    for variant in ("v0", "Play-v0", "Flat-v0", "ReplayAmpData-v0"):
        assert f"Rl-Sim-Env-AmpVae-Grq20-V2d3-{variant}" in TASKS


@pytest.mark.parametrize(
    "wrong", ("Rl-Sim-Env-AmpVae-Grq20-V2d3", "rl-sim-env-ampvae-grq20-v2d3-v0")
)
def test_an_unknown_task_names_the_nearest(wrong):
    with pytest.raises(UserError) as error:
        find_task(wrong)
    assert wrong in str(error.value) and TASK in str(error.value)


def test_of_a_task_unlike_any_the_message_tells_what_lists_all():
    with pytest.raises(UserError, match="unknown task 'CartPole-v1'; rl-sim-env tasks lists all"):
        find_task("CartPole-v1")


@pytest.mark.parametrize("task_id", TASKS)
def test_every_task_makes_fresh_configurations(task_id):
    first, second = make_env_cfg(task_id), make_env_cfg(task_id)
    first.commands["velocity"].terrains.clear()
    first.rewards.clear()
    assert second.commands["velocity"].terrains and second.rewards
    assert find_task(task_id).runner_cfg().experiment_name


def test_robots_are_found_by_name():
    assert find_robot("go1") is GO1
    with pytest.raises(UserError, match="did you mean grq20_v2d3"):
        find_robot("grq20")


def test_a_robot_cannot_take_the_name_of_another():
    other = replace(GO1, spawn_height=1.0)
    with pytest.raises(UserError, match=r"its robot is called 'go1' as that of .*another name"):
        register_task("Other-Go1-v0", replace(find_task("Rl-Sim-Env-AmpVae-Go1-v0"), robot=other))
    assert find_robot("go1") is GO1 and "Other-Go1-v0" not in TASKS


def test_a_boom_cannot_be_held_in_another_way_where_there_is_none():
    assert make_env_cfg(TASK, arm="viscous").robot.payload.mode == "viscous"
    with pytest.raises(UserError, match="robot go1 has no boom"):
        make_env_cfg("Rl-Sim-Env-AmpVae-Go1-v0", arm="viscous")


def test_tasks_of_a_family_share_a_robot():
    for task in TASKS.values():
        family = [TASKS[task_id] for task_id in family_ids(task.family)]
        assert len(family) == (2 if "Vit" in task.family else 5) and all(
            other.robot is task.robot for other in family
        )


def test_importing_the_package_alone_loads_no_simulator():
    program = "import sys, rl_sim_env; sys.exit(any(m in sys.modules for m in ('mjlab', 'torch')))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
