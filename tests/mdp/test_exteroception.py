"""What lidars see of hand-made ground, when it gets there, and how it fails."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from grq20 import STANDING_HEIGHT
from rl_sim_env.cuda_graphs import HostReads
from rl_sim_env.envs import AmpVaeEnv
from rl_sim_env.envs.training_state import load_training_state, training_state
from rl_sim_env.errors import UserError
from rl_sim_env.mdp.exteroception import Exteroception
from rl_sim_env.mdp.exteroception_cfg import LidarCfg, MapErrorsCfg
from rl_sim_env.mdp.observations import grid_w
from rl_sim_env.tasks import make_env_cfg
from rl_sim_env.tasks.go1 import GO1_WALKING
from rl_sim_env.tasks.grq20_v2d3 import GRQ20_V2D3_WALKING
from rl_sim_env.tasks.perceptive_walking import add_sight

MOUNT = (0.3, 0.05)
"""Lidars before and behind the base, and above it [m]."""
PERFECT = MapErrorsCfg(
    noise=0.0,
    drift_xy=0.0,
    drift_z=0.0,
    dropped=(0.0, 0.0),
    max_delay=0.0,
    failure_interval=1e9,
)
LEVEL_READS = GRQ20_V2D3_WALKING.scan_offset - STANDING_HEIGHT
"""What level ground reads as under a robot that stands."""
FORWARD = [0.18 + 0.06 * (index - 11.5) for index in range(24)]
"""Places of the columns of the map [m]; rows beside the middle are 3 cm to either side."""
RIGHT, LEFT = 7, 8
"""Rows beside the middle."""


class Ground:
    """Heights by place, counted from where the robot is."""

    def __init__(self, height: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        self._height = height

    def heights(self, xy: torch.Tensor) -> torch.Tensor:
        return self._height(xy[..., 0], xy[..., 1])


LEVEL = Ground(lambda x, y: 0.0 * x)


@pytest.fixture
def make_seeing(make_env, place):
    def make(
        num_envs: int = 1,
        errors: MapErrorsCfg = PERFECT,
        lidars: tuple[LidarCfg, ...] | None = None,
        rate: float = 10.0,
        keep: float = 0.0,
        **pose,
    ) -> AmpVaeEnv:
        def edit(cfg) -> None:
            add_sight(cfg, GRQ20_V2D3_WALKING, MOUNT)
            *_, scanner = cfg.scene.sensors
            scanner.errors, scanner.rate, scanner.keep = errors, rate, keep
            if lidars is not None:
                scanner.lidars = lidars

        env = make_env(num_envs, edit=edit)
        place(env, **pose)
        return env

    return make


def scanner_of(env: AmpVaeEnv) -> Exteroception:
    scanner = env.scene["exteroception"]
    assert isinstance(scanner, Exteroception)
    return scanner


def look(env: AmpVaeEnv, ground: Ground = LEVEL, steps: int = 6) -> tuple[torch.Tensor, ...]:
    """Heights and seen cells, shape (num_envs, rows, columns), after some steps at a place."""
    env.height_map = ground
    scanner = scanner_of(env)
    for _ in range(steps):
        for _ in range(env.cfg.decimation):
            scanner.update(env.physics_dt)
        data = scanner.data
    return tuple(part.clone().unflatten(1, (16, 24)) for part in data)


def test_level_ground_is_seen_before_and_behind_the_robot_but_not_below_it(make_seeing):
    heights, seen = look(make_seeing())
    for row in (RIGHT, LEFT):
        assert seen[0, row, 15:].all()  # 0.39 m on, past the lidar at 0.30 m
        assert seen[0, row, :3].all()  # -0.39 m and behind
        assert not seen[0, row, 5:13].any()
    expected = torch.where(seen.bool(), LEVEL_READS, 0.0)
    torch.testing.assert_close(heights, expected, atol=1e-5, rtol=0.0)


def test_a_wall_hides_what_is_behind_it_as_far_as_its_shadow_goes(make_seeing):
    # 0.16 m high at the column 0.63 m ahead, which a ray from 0.476 m above the ground passes at
    # 0.073 m on its way to 0.69 m, at 0.127 m to 0.75 m, 0.168 m to 0.81 m and 0.200 m to 0.87 m.
    wall = Ground(lambda x, y: 0.16 * ((x - 0.63).abs() < 0.03))
    heights, seen = look(make_seeing(), wall)
    for row in (RIGHT, LEFT):
        assert seen[0, row, 18:].tolist() == [1.0, 1.0, 0.0, 0.0, 1.0, 1.0]
        assert heights[0, row, 19].item() == pytest.approx(LEVEL_READS + 0.16, abs=1e-5)


def test_a_robot_that_looks_up_sees_less_of_the_ground(make_seeing):
    level, raised = (look(make_seeing(pitch=pitch))[1][0, LEFT] for pitch in (0.0, -0.6))
    assert level[14:].all() and not raised[14:16].any()


def test_what_is_seen_turns_with_the_heading_and_stays_level(make_seeing):
    # Ground that rises to the north is seen ahead by a robot that faces north.
    slope = Ground(lambda x, y: 0.2 * y)
    heights, seen = look(make_seeing(yaw=torch.pi / 2, roll=0.1), slope)
    for column in (17, 23):
        assert seen[0, LEFT, column]
        expected = LEVEL_READS + 0.2 * FORWARD[column]
        assert heights[0, LEFT, column].item() == pytest.approx(expected, abs=1e-4)


def test_the_trunk_hides_what_is_behind_it(make_seeing):
    # A lidar that sees all around, at the front: on the way to 0.51 m behind the base a ray enters
    # the trunk, 0.28 m long and 0.07 m high from the middle, 1 cm below its start.
    around = LidarCfg(name="around", position=(0.3, 0.0, 0.05), pitch=0.0, half_angles=(3.1, 1.5))
    _, seen = look(make_seeing(lidars=(around,)))
    assert not seen[0, LEFT, :12].any()
    assert seen[0, LEFT, 15:].all()


def test_a_lidar_within_the_trunk_is_refused(make_seeing):
    with pytest.raises(UserError, match=r"lidar 'low' is at .* within the trunk"):
        make_seeing(lidars=(LidarCfg(name="low", position=(0.1, 0.0, 0.0)),))


def test_the_go1_sees_before_and_behind_itself(make_env):
    cfg = make_env_cfg("Rl-Sim-Env-AmpVaeVit-Go1-v0")
    *_, scanner = cfg.scene.sensors
    env = make_env(
        1,
        walking=GO1_WALKING,
        edit=lambda c: setattr(c.scene, "sensors", (*c.scene.sensors, scanner)),
    )
    _, seen = look(env)
    assert seen[0, LEFT, 17:].any() and seen[0, LEFT, :3].any()


def test_a_leg_hides_what_is_behind_it(make_seeing):
    ahead = make_seeing().default_leg_joint_pos[0].clone()
    legs = make_seeing().cfg.robot.leg_joints
    straight, lifted = ahead.clone(), ahead.clone()
    # The front left leg, stretched forward.
    lifted[legs.index("FL_thigh_joint")] = -0.9
    lifted[legs.index("FL_calf_joint")] = -0.6
    beside = [
        look(make_seeing(joint_pos=joints[None]))[1][0].sum(dim=-1) for joints in (straight, lifted)
    ]
    assert beside[1][8:].sum() < beside[0][8:].sum()
    assert torch.equal(beside[1][:8], beside[0][:8])


def test_each_robot_is_scanned_at_its_turn_and_sees_it_a_step_later(make_seeing):
    env = make_seeing(7)
    found = []
    for step in range(1, 13):
        heights, seen = look(env, Ground(lambda x, y, step=step: 0.0 * x + 0.01 * step), 1)
        num_seen = seen.flatten(1).sum(dim=1)
        level = heights.flatten(1).sum(dim=1) / num_seen.clamp(min=1.0) - LEVEL_READS
        found.append((100 * level * (num_seen > 0)).round().int().tolist())
    for robot in range(7):
        turn = 1 + robot % 5
        scans = [max((s for s in range(turn, step, 5)), default=0) for step in range(1, 13)]
        assert [of[robot] for of in found] == scans


def test_a_map_is_as_late_as_its_robot_and_held_until_the_next(make_seeing):
    env = make_seeing(1)
    scanner_of(env)._delay.fill_(0.05)
    shown = []
    for step in range(1, 12):
        heights, seen = look(env, Ground(lambda x, y, step=step: 0.0 * x + 0.01 * step), 1)
        level = heights.sum() / seen.sum().clamp(min=1.0) - LEVEL_READS
        shown.append(round(100 * level.item()) if seen.any() else 0)
    # Scans of steps 1 and 6, three steps of 20 ms later.
    assert shown == [0, 0, 0, 1, 1, 1, 1, 1, 6, 6, 6]


def test_a_map_moves_along_with_the_robot_until_the_next_comes(make_seeing, place):
    env = make_seeing(1)
    # A rise to the north and east of a place ahead.
    corner = Ground(lambda x, y: 0.1 * ((x > 0.63) & (y > 0.0)) + 0.0 * x)
    look(env, corner, 1)
    _, seen_before = look(env, corner, 1)
    place(env, yaw=0.4, height=STANDING_HEIGHT + 0.02)
    env.sim.data.qpos[:, :2] += torch.tensor((0.18, 0.06))
    env.sim.forward()
    # Nobody scans in this step: ground that is elsewhere by now is not found out.
    heights, seen = look(env, LEVEL, 1)
    truth = (corner.heights(_cells_w(env)) + LEVEL_READS - 0.02).unflatten(1, (16, 24))
    off = (heights - truth).abs()[seen.bool()]
    # Heights are those of the nearest cells, so that a few are of the other side of the edge.
    assert (off < 1e-5).float().mean() > 0.9 and off.max() < 0.1 + 1e-5
    assert (heights[~seen.bool()] == 0.0).all()
    assert 0.5 * seen_before.sum() < seen.sum() < seen_before.sum()
    assert not seen[0, :, -1].any()  # ahead of what was mapped


def _cells_w(env: AmpVaeEnv) -> torch.Tensor:
    return grid_w(scanner_of(env).sight.cells, env.sim.data.qpos[:, :3], env.robot_heading())


@pytest.mark.parametrize(
    ("rate", "max_delay", "apart"),
    # Scans of 15 Hz are three control steps apart, which is less than a fifteenth of a second.
    ((10.0, 0.2, "0.1"), (15.0, 0.065, "0.06")),
)
def test_a_map_cannot_be_later_than_the_next_scan(make_seeing, rate, max_delay, apart):
    told = rf"max_delay is {max_delay:g} s; .* at most the {apart} s"
    with pytest.raises(UserError, match=told):
        make_seeing(errors=MapErrorsCfg(max_delay=max_delay), rate=rate)


def test_maps_that_fail_are_empty_or_show_another_place(make_seeing):
    step = Ground(lambda x, y: 0.1 * (x > 0.6))
    often = replace(PERFECT, failure_interval=1e-3, failure_time=(1.0, 1.0), wrong_distance=0.0)
    _, seen = look(make_seeing(errors=replace(often, wrong_share=0.0)), step)
    assert not seen.any()
    env = make_seeing(errors=replace(often, wrong_share=1.0))
    true_heights, _ = look(env, step)
    torch.testing.assert_close(true_heights[0, LEFT, 20], torch.tensor(LEVEL_READS + 0.1))
    scanner_of(env)._elsewhere[:, 0] = 2.0
    scanner_of(env)._fails_until.fill_(1e3)
    heights, seen = look(env, step)
    # Two metres further on all is level, and as far below as here.
    assert seen.any() and torch.allclose(heights[seen.bool()], torch.tensor(LEVEL_READS))


def test_maps_fail_as_often_as_they_say_whatever_the_number_of_robots(make_seeing):
    # At each of its scans, one of five steps, and at no other.
    always = replace(PERFECT, failure_interval=0.1, failure_time=(0.01, 0.01))
    for num_envs in (1, 7):
        env = make_seeing(num_envs, errors=always)
        scanner, begun = scanner_of(env), torch.zeros(num_envs)
        for _ in range(20):
            before = scanner._fails_until.clone()
            look(env, steps=1)
            begun += scanner._fails_until != before
        assert begun.tolist() == [4.0] * num_envs


def test_a_drift_grows_to_what_was_drawn(make_seeing):
    env = make_seeing(errors=replace(PERFECT, drift_time=1.0))
    scanner_of(env)._drift[:] = torch.tensor((0.1, 0.0, 0.02))
    slope = Ground(lambda x, y: 0.5 * x)
    errors = []
    for _ in range(2):
        heights, seen = look(env, slope, 26)
        truth = scanner_of(env).true_heights().unflatten(1, (16, 24))
        errors.append((heights - truth)[seen.bool()].mean().item())
    # 0.5 s, and more than a second: 10 cm further up a slope of one half, and 2 cm.
    assert errors[0] == pytest.approx(0.5 * 0.07, abs=0.006)
    assert errors[1] == pytest.approx(0.07, abs=1e-4)


def test_noise_and_lost_cells_are_as_large_as_they_say(make_seeing):
    perfect = look(make_seeing())[1]
    env = make_seeing(20, errors=replace(PERFECT, noise=0.02, dropped=(0.25, 0.25)))
    heights, seen = look(env)
    is_seen = seen.bool()
    assert seen.sum().item() / (20 * perfect.sum().item()) == pytest.approx(0.75, abs=0.03)
    assert (heights[is_seen] - LEVEL_READS).std().item() == pytest.approx(0.02, rel=0.1)


def test_who_begins_an_episode_has_seen_nothing(make_seeing):
    env = make_seeing(2)
    assert look(env)[1].any(dim=-1).any(dim=-1).all()
    scanner_of(env).reset(torch.tensor([1]))
    seen = scanner_of(env).data.seen
    assert seen[0].any() and not seen[1].any()


@pytest.mark.parametrize("keep", (0.0, 10.0))
def test_asking_twice_changes_nothing(make_seeing, keep):
    env = make_seeing(3, errors=MapErrorsCfg(), keep=keep)
    look(env, steps=3)
    scanner = scanner_of(env)
    before = {name: part.clone() for name, part in scanner.state_dict().items()}
    for _ in range(3):
        scanner._invalidate_cache()
        _ = scanner.data
    after = scanner.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("keep", (0.0, 10.0))
def test_a_resumed_run_sees_what_the_first_one_saw(make_seeing, keep):
    env = make_seeing(6, errors=MapErrorsCfg(failure_interval=0.2), keep=keep)
    for _ in range(7):
        env.step(torch.zeros(6, 12))
    state = copy.deepcopy(training_state(env))
    seen = []
    for _ in range(2):
        assert load_training_state(env, copy.deepcopy(state)) is None
        torch.manual_seed(3)
        seen.append([env.step(torch.zeros(6, 12))[0]["exteroception"].clone() for _ in range(8)])
    assert all(torch.equal(*both) for both in zip(*seen, strict=True))
    assert seen[0][-1].any()


@pytest.mark.parametrize("keep", (0.0, 10.0))
def test_a_scan_reads_nothing_on_the_host_and_keeps_its_tensors(make_seeing, keep):
    env = make_seeing(6, errors=MapErrorsCfg(), keep=keep)
    scanner = scanner_of(env)
    places = {name: part.data_ptr() for name, part in scanner.state_dict().items()}
    fallen = torch.tensor([1, 4])
    with HostReads() as reads:
        for _ in range(6):
            scanner.update(env.physics_dt)
            _ = scanner.data
            scanner.reset(fallen)
            scanner.true_heights()
    assert reads.places == set()
    assert places == {name: part.data_ptr() for name, part in scanner.state_dict().items()}


def move(env: AmpVaeEnv, x: float, yaw: float = 0.0) -> None:
    """Put all robots at a place along x [m], turned [rad]."""
    env.sim.data.qpos[:, 0] = x
    env.sim.data.qpos[:, 3:7] = torch.tensor((math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)))
    env.sim.forward()


STEP_UP = Ground(lambda x, y: 0.1 * (x > 0.63))


def walk_onto_the_step(env: AmpVaeEnv) -> tuple[torch.Tensor, ...]:
    """Heights and known cells over a step that was seen on the way and is under the robot now."""
    for step in range(36):
        move(env, 0.018 * step)
        shown = look(env, STEP_UP, 1)
    return shown


@pytest.mark.parametrize("yaw", (0.0, math.pi / 2))
def test_what_was_seen_on_the_way_is_known_under_the_robot(make_seeing, yaw):
    env = make_seeing(keep=10.0)
    walk_onto_the_step(env)
    move(env, 0.63, yaw)
    heights, known = look(env, STEP_UP, 1)
    below = (slice(4, 12), slice(6, 13))
    assert known[0][below].all()
    truth = STEP_UP.heights(_cells_w(env)).unflatten(1, (16, 24))
    off = (heights - LEVEL_READS - truth).abs()[0]
    near_edge = ((_cells_w(env)[0, :, 0] - 0.63).abs() < 0.061 * 2**0.5).unflatten(0, (16, 24))
    assert off[known[0].bool() & ~near_edge].max() < 1e-5
    assert not look(make_seeing(), STEP_UP)[1][0][below].any()


def test_keeping_adds_to_what_the_latest_map_shows_and_changes_nothing_else(make_seeing):
    runs = []
    for keep in (0.0, 10.0):
        env = make_seeing(3, errors=MapErrorsCfg(failure_interval=1.0), keep=keep)
        torch.manual_seed(0)
        scanner_of(env).reset()
        steps = []
        for step in range(30):
            move(env, 0.02 * step, 0.01 * step)
            steps.append(look(env, STEP_UP, 1))
        runs.append([torch.stack(each) for each in zip(*steps, strict=True)])
    (heights, seen), (kept_heights, known) = runs
    is_seen = seen.bool()
    assert torch.equal(kept_heights[is_seen], heights[is_seen])
    assert known[is_seen].all() and known.sum() > 1.2 * seen.sum()
    assert (kept_heights[~known.bool()] == 0.0).all()


def test_what_a_failing_lidar_shows_is_not_kept_and_what_was_seen_before_is(make_seeing):
    env = make_seeing(keep=1.0)
    before = look(env)[1].bool()
    scanner_of(env)._fails_until.fill_(1e3)
    # But where a cell of the world asks for one beside what was seen.
    assert look(env, steps=11)[1][before].mean() > 0.8
    assert not look(env, steps=50)[1].any()


def test_a_wrong_map_is_kept_until_it_is_forgotten(make_seeing):
    env = make_seeing(keep=1.0)
    scanner = scanner_of(env)
    scanner._fails_until.fill_(0.15)
    scanner._is_wrong.fill_(True)
    scanner._elsewhere[:] = torch.tensor((2.0, 0.0))
    # Here it falls to the sides, there it is level: a wrong map is as high as it stands there.
    slope = Ground(lambda x, y: -0.3 * y.abs() * (x < 1.2))
    look(env, slope, 6)
    scanner._is_wrong.fill_(False)
    scanner._fails_until.fill_(1e3)
    heights, known = look(env, slope, 30)
    assert known.any() and (heights[known.bool()] - LEVEL_READS).abs().max() < 1e-5
    assert not look(env, slope, 50)[1].any()


def test_who_begins_an_episode_has_kept_nothing(make_seeing):
    env = make_seeing(2, keep=10.0)
    walk_onto_the_step(env)
    scanner_of(env).reset(torch.tensor([1]))
    known = scanner_of(env).data.seen
    assert known[0].any() and not known[1].any()


def test_cells_are_not_forgotten_before_the_next_map(make_seeing):
    with pytest.raises(UserError, match=r"keep is 0\.15 s; .* may take 0\.2 s"):
        make_seeing(errors=MapErrorsCfg(), keep=0.15)


def test_sight_of_a_mirror_image_is_the_mirror_image(make_seeing):
    from rl_sim_env.mdp.reflections import reflections

    sides = []
    for side in (1.0, -1.0):
        env = make_seeing(yaw=0.4 * side, roll=0.1 * side)
        ground = Ground(lambda x, y, side=side: 0.3 * (side * y > 0.25) + 0.1 * x)
        heights, seen = look(env, ground)
        sides.append((heights.flatten(1), seen.flatten(1), scanner_of(env).true_heights()))
    image = reflections(env)
    for name, straight, mirrored in zip(("heights", "seen", "terrain"), *sides, strict=True):
        torch.testing.assert_close(image[name].apply(straight), mirrored, atol=1e-4, rtol=0.0)
    assert not torch.equal(*(side[1] for side in sides))
