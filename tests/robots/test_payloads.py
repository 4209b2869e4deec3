"""What robots carry besides a boom: a box on the trunk, or nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import mujoco
import pytest
import torch

from rl_sim_env.envs import AmpVaeEnv
from rl_sim_env.errors import UserError
from rl_sim_env.mdp import events, observations
from rl_sim_env.robots import load_model
from rl_sim_env.robots.go1 import GO1
from rl_sim_env.tasks.go1 import GO1_WALKING
from rl_sim_env.tasks.grq20_v2d3 import GRQ20_V2D3_WALKING

BOX = GO1.payload
UNLADEN = replace(
    GRQ20_V2D3_WALKING, robot=replace(GRQ20_V2D3_WALKING.robot, name="unladen", payload=None)
)
"""The GRQ20 as if its boom were a part of its trunk."""


@pytest.fixture(scope="module")
def bare_model(tmp_path_factory):
    """The GRQ20's file without the boom."""
    spec = mujoco.MjSpec.from_file(str(UNLADEN.robot.mjcf_path))
    spec.delete(spec.body("arm_base_link"))
    path = tmp_path_factory.mktemp("model") / "bare.xml"
    path.write_text(spec.to_xml())
    return path


@pytest.fixture(scope="module")
def boxed(make_env) -> AmpVaeEnv:
    return make_env(16, walking=GO1_WALKING)


@pytest.fixture(scope="module")
def unladen(make_env, bare_model) -> AmpVaeEnv:
    return make_env(2, walking=UNLADEN, mjcf_path=bare_model)


def test_a_box_is_put_on_the_trunk_and_weighs_its_tray():
    model = load_model(GO1).compile()
    bare = load_model(replace(GO1, payload=None)).compile()
    body = model.body(BOX.body)
    assert model.body(int(body.parentid[0])).name == GO1.base_body
    assert body.pos.tolist() == list(BOX.position)
    assert body.mass[0] == pytest.approx(BOX.tray_mass)
    assert model.body_mass.sum() == pytest.approx(bare.body_mass.sum() + BOX.tray_mass)
    geom = model.geom(f"{BOX.body}_collision")
    assert geom.size.tolist() == list(BOX.half_size)
    assert (geom.contype[0], geom.conaffinity[0]) == (0, 1)
    length, width, height = (2.0 * half for half in BOX.half_size)
    squares = width**2 + height**2, length**2 + height**2, length**2 + width**2
    assert sorted(body.inertia) == pytest.approx(
        sorted(BOX.tray_mass / 12.0 * square for square in squares)
    )


def test_loads_in_the_box_and_their_places_are_drawn_within_their_ranges(boxed):
    body = boxed.index.payload_body_global
    boxed.reset()
    first = boxed.sim.model.body_ipos[:, body].clone()
    boxed.reset()
    place = torch.cat((first, boxed.sim.model.body_ipos[:, body]))
    place = place - boxed.sim.get_default_field("body_ipos")[body]
    reach = torch.tensor((*BOX.place_range, 0.0))
    assert (place.abs() <= reach + 1e-6).all()
    assert (place[:, :2].amax(dim=0) > 0.5 * reach[:2]).all()
    assert (place[:, :2].amin(dim=0) < -0.5 * reach[:2]).all()
    load = events.get_load(boxed)
    assert load.min() >= 0.0 and load.max() <= BOX.max_load
    assert load.max() - load.min() > 0.4 * BOX.max_load


def test_placing_the_load_moves_the_centre_of_mass_as_drawn(make_env, place):
    x, y, load = 0.06, -0.04, 3.0

    def fixed(cfg) -> None:
        cfg.events = {name: cfg.events[name] for name in ("load", "place")}
        cfg.events["load"].params["mass"] = (load, load)
        cfg.events["place"].params |= {"x": (x, x), "y": (y, y)}

    def central(cfg) -> None:
        fixed(cfg)
        cfg.events["place"].params |= {"x": (0.0, 0.0), "y": (0.0, 0.0)}

    found = []
    for edit in (fixed, central):
        env = make_env(1, walking=GO1_WALKING, edit=edit)
        place(env, yaw=1.0, pitch=0.2)
        found.append(observations.system_com(env)[0])
    moved = (BOX.tray_mass + load) / (env.nominal_mass + load)
    expected = torch.tensor((x * moved, y * moved, 0.0))
    torch.testing.assert_close(found[0] - found[1], expected, atol=1e-5, rtol=0.0)


def test_a_load_in_the_box_changes_its_mass_and_its_inertia(boxed):
    body = boxed.index.payload_body_global
    load = torch.linspace(0.0, BOX.max_load, boxed.num_envs)
    boxed.reset()
    before = observations.system_mass_delta(boxed)[:, 0] - events.get_load(boxed)
    events.set_load(boxed, torch.arange(boxed.num_envs), load, recompute=True)
    torch.testing.assert_close(boxed.sim.model.body_mass[:, body], BOX.tray_mass + load)
    torch.testing.assert_close(events.get_load(boxed), load, atol=1e-6, rtol=0.0)
    share = (BOX.tray_mass + load) / BOX.tray_mass
    expected = boxed.sim.get_default_field("body_inertia")[body] * share[:, None]
    torch.testing.assert_close(boxed.sim.model.body_inertia[:, body], expected)
    delta = observations.system_mass_delta(boxed)[:, 0]
    torch.testing.assert_close(delta, before + load, atol=1e-5, rtol=0.0)


def test_a_box_that_touches_the_ground_is_a_fall(make_env, place):
    env = make_env(1, walking=GO1_WALKING)
    fall = env.cfg.terminations["body_contact"]
    place(env, height=0.4)
    assert not fall.func(env, **fall.params)
    top = BOX.position[2] + BOX.half_size[2]
    place(env, height=top - 0.005, roll=math.pi)
    sensor = env.scene["body_contact"]
    force = sensor.data.force[0].norm(dim=-1)
    assert [part for part, at in zip(sensor.primary_names, force, strict=True) if at > 1.0] == [
        BOX.body
    ]
    assert fall.func(env, **fall.params)


def test_a_robot_that_carries_nothing_is_reset_and_walks(unladen):
    assert unladen.index.payload_body_global is None and not len(unladen.index.boom_joints)
    assert not {"load", "arm", "place", "load_change"} & {*unladen.cfg.events}
    obs, _ = unladen.reset()
    for _ in range(3):
        obs, reward, *_ = unladen.step(torch.zeros(2, 12))
    assert all(values.isfinite().all() for values in obs.values()) and reward.isfinite().all()
    assert (events.get_load(unladen) == 0.0).all()
    # The trunk's mass is drawn all the same.
    trunk = unladen.sim.model.body_mass[:, unladen.index.base_body_global] - 13.0
    torch.testing.assert_close(
        observations.system_mass_delta(unladen)[:, 0], trunk, atol=1e-5, rtol=0.0
    )


REFUSED: dict[str, Callable[[AmpVaeEnv, torch.Tensor], None]] = {
    "set_load": lambda env, ids: events.set_load(env, ids, torch.ones(len(ids))),
    "randomize_load": lambda env, ids: events.randomize_load(env, ids, mass=(0.0, 1.0)),
    "place_load": lambda env, ids: events.place_load(env, ids, x=(0.0, 0.1), y=(0.0, 0.1)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_who_carries_nothing_takes_no_load(unladen, name):
    with pytest.raises(UserError, match=r"robot unladen carries nothing") as error:
        REFUSED[name](unladen, torch.arange(2))
    assert "\n" not in str(error.value)


def test_play_hangs_two_thirds_of_the_heaviest_load_and_more(make_env):
    env = make_env(16, walking=GO1_WALKING, play=True)
    load = events.get_load(env)
    assert load.min() >= 2.0 / 3.0 * BOX.max_load - 1e-5 and load.max() <= BOX.max_load
