"""The tables of observations and orders on the page of conventions are those of the code."""

from __future__ import annotations

import re

import pytest

from pages import DOCS
from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.robots.robot import JOINT_KINDS
from rl_sim_env.tasks import robots

PAGE = (DOCS / "conventions.md").read_text()


@pytest.mark.parametrize("group", ("actor_obs", "critic_obs", "amp_obs"))
def test_terms_widths_and_scales_are_those_of_the_environment(group: str, make_env):
    section = PAGE.partition(f"\n`{group}`, ")[2]
    total = int(section.partition(" wide")[0].split()[-1])
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| ([\d., ]+) \|", section.partition("\n\n`")[0], re.M)
    shown = [
        (name, int(width), [float(number) for number in scale.split(",")])
        for name, width, scale in rows
    ]
    layout = AmpVaeVecEnv(make_env(2)).observation_layout.groups[group]
    scales = [of.scale if isinstance(of.scale, tuple) else (of.scale,) for of in layout.terms]
    assert total == layout.frame_width
    assert shown == [
        (of.name, of.width, pytest.approx(scale))
        for of, scale in zip(layout.terms, scales, strict=True)
    ]


def test_orders_of_legs_and_joints_are_those_of_the_robots():
    rows = re.findall(r"^\| `(\w+)` \| ([A-Z, ]+) \| by (kind|leg)", PAGE, re.MULTILINE)
    orders = {name: (legs.split(", "), by) for name, legs, by in rows}
    ours = {robot.name: robot for robot in robots()}
    assert orders.keys() <= ours.keys() and len(orders) == 2
    for name, (legs, by) in orders.items():
        robot = ours[name]
        assert [leg.name for leg in robot.legs] == legs
        by_leg = [joint for leg in robot.legs for joint in leg.joints]
        by_kind = [leg.joints[kind] for kind in range(len(JOINT_KINDS)) for leg in robot.legs]
        assert list(robot.leg_joints) == (by_leg if by == "leg" else by_kind)
