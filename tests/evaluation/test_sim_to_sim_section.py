"""The section of the report about walking in plain MuJoCo."""

from __future__ import annotations

import pytest

from grq20 import MJCF_PATH
from rl_sim_env.deploy.sim_to_sim import rollout
from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.evaluation.arena import Arena, arena_env_cfg
from rl_sim_env.evaluation.sim_to_sim_section import CLIMB, drawn_in, sim_to_sim
from shipped import shipped
from small_policy import small_policy


@pytest.mark.parametrize("rubs", [True, False])
def test_drives_are_drawn_as_the_environment_draws_them(make_env, rubs):
    def edit(cfg):
        cfg.sensors = "hardware"
        if not rubs:
            cfg.events["drive_mechanics"] = None
        arena_env_cfg(cfg)

    vec_env = AmpVaeVecEnv(make_env(1, edit=edit))
    arena = Arena(vec_env, small_policy(vec_env))
    drawn = drawn_in(arena)
    assert drawn is not None and drawn.hardware is not None
    said = vec_env.cfg.hardware_sensors
    assert drawn.hardware.joint_friction == (said.joint_friction if rubs else 0.0)
    assert drawn.hardware.gyro_bias == said.gyro_bias
    assert drawn.command_delay > 0.0
    arena.sensors = "ideal"
    assert drawn_in(arena) is None


def test_cells_are_means_over_walks_with_their_spread_over_seeds():
    policy_path, robot = shipped("grq20_v2d3")
    section = sim_to_sim(
        policy_path,
        robot,
        seeds=(0, 1),
        robots=2,
        seconds=0.2,
        loads=(0.0, 5.0),
        grounds=("flat", "stairs 10 cm"),
    )
    (table,) = section.tables
    assert [row.label for row in table.rows] == [
        "flat, 0 kg",
        "flat, 5 kg",
        "stairs 10 cm, 0 kg",
        "stairs 10 cm, 5 kg",
    ]
    errors = [
        [
            rollout(
                policy_path,
                model=MJCF_PATH,
                ground="stairs 10 cm",
                load=5.0,
                command=CLIMB,
                seconds=0.2,
                seed=(seed, robot),
            ).velocity_error
            for robot in range(2)
        ]
        for seed in (0, 1)
    ]
    cell = table.rows[-1].cells[0]
    means = [sum(walks) / 2 for walks in errors]
    assert cell.mean == pytest.approx(sum(means) / 2)
    assert cell.spread == pytest.approx(abs(means[0] - means[1]) / 2**0.5)
    assert (cell.seeds, cell.robots) == (2, 2)
