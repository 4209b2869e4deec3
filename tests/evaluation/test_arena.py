"""The arena: what a scenario fixes is so, also after a fall, and nothing else ends a walk."""

from __future__ import annotations

import pytest
import torch

from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.evaluation.arena import (
    COMMAND_PERIOD,
    Arena,
    EvaluationCfg,
    Scenario,
    arena_env_cfg,
    on_unseen_ground,
)
from small_policy import small_policy

ROBOTS = 4
ROUGH_ROBOTS = 7


def make_arena(make_env, robots: int, *, fixed_shapes: bool = False, **options) -> Arena:
    def edit(cfg):
        cfg.fixed_shapes = fixed_shapes
        arena_env_cfg(cfg)

    vec_env = AmpVaeVecEnv(make_env(robots, noise=True, edit=edit, **options))
    return Arena(vec_env, small_policy(vec_env))


@pytest.fixture(scope="module", params=(False, True), ids=("any shapes", "fixed shapes"))
def arena(make_env, request) -> Arena:
    return make_arena(make_env, ROBOTS, fixed_shapes=request.param)


@pytest.fixture(scope="module")
def rough_arena(make_env) -> Arena:
    return make_arena(make_env, ROUGH_ROBOTS, terrain="rough")


def loads(arena: Arena) -> torch.Tensor:
    body = arena.env.index.payload_body_global
    mass = arena.env.sim.model.body_mass[:, body]
    return (mass - arena.env.sim.get_default_field("body_mass")[body])[: arena.num_robots]


def boom_lengths(arena: Arena) -> torch.Tensor:
    return arena.env.robot.data.joint_pos[: arena.num_robots, arena.env.index.boom_joints[1]]


def turn_over(arena: Arena, robots: torch.Tensor) -> None:
    """Lay robots on their backs."""
    robot = arena.env.robot
    state = robot.data.default_root_state[robots].clone()
    state[:, :3] += arena.env.scene.env_origins[robots]
    state[:, 2] += 1.0
    state[:, 3:7] = torch.tensor([0.0, 1.0, 0.0, 0.0])
    robot.write_root_state_to_sim(state, env_ids=robots)


def test_a_scenario_holds_from_the_first_step_and_after_a_fall(arena):
    scenario = Scenario(
        load=torch.tensor([0.0, 2.0, 6.0, 12.0]),
        boom_length=torch.tensor([0.4, 0.5, 0.6, 0.8]),
        command=torch.tensor([[0.5, 0.0, 0.0], [0.0, 0.4, 0.0], [0.0, 0.0, 0.3], [0.1, 0.2, 0.3]]),
    )
    fallen = torch.tensor([1, 3])
    for number, step in enumerate(arena.rollout(scenario, seconds=0.1, seed=0)):
        assert torch.allclose(loads(arena), scenario.load, atol=1e-5)
        assert torch.allclose(boom_lengths(arena), scenario.boom_length, atol=0.01)
        assert torch.equal(step.command, scenario.command)
        slots = arena.env.observation_layout.slice("actor_obs", "velocity_commands")
        scale = torch.tensor(
            arena.env.observation_layout.term("actor_obs", "velocity_commands").scales
        )
        assert torch.allclose(step.obs["actor_obs"][:, slots], scenario.command * scale)
        expected = torch.zeros(ROBOTS, dtype=torch.bool)
        if number == 2:
            expected[fallen] = True
        assert torch.equal(step.fell, expected)
        if number == 1:
            turn_over(arena, fallen)


def test_what_a_scenario_leaves_open_is_drawn(arena):
    fixed = torch.tensor([3.0, torch.nan, torch.nan, torch.nan])
    next(arena.rollout(Scenario(load=fixed), seconds=0.02, seed=0))
    first = loads(arena)
    assert first[0] == pytest.approx(3.0, abs=1e-5)
    assert ((first > 0.0) & (first < 6.0)).all()
    next(arena.rollout(Scenario(load=fixed), seconds=0.02, seed=1))
    assert not torch.isclose(first[1:], loads(arena)[1:]).any()


def test_open_components_of_a_command_are_drawn_every_period(arena):
    nan = torch.nan
    command = torch.tensor([[nan, nan, 0.0], [0.0, 0.0, nan], [nan, nan, nan], [nan, 0.5, 0.0]])
    rollout = [*arena.rollout(Scenario(command=command), seconds=COMMAND_PERIOD + 0.2, seed=0)]
    commands = torch.stack([step.command for step in rollout])
    drawn = command.isnan()
    assert (commands[:, ~drawn] == command[~drawn]).all()
    # Who falls is told anew at once.
    drawn &= ~torch.stack([step.dones for step in rollout]).any(dim=0)[:, None]
    assert drawn.any()
    assert (commands[:, drawn].abs() <= 1.0).all()
    changes = (commands[1:, drawn] != commands[:-1, drawn]).all(dim=1).nonzero().flatten()
    assert changes.tolist() == [pytest.approx(COMMAND_PERIOD / arena.step_dt, abs=1)]


def test_the_same_seed_gives_the_same_walk_whatever_was_before(arena):
    def states(seed: int, seconds: float = 0.2) -> torch.Tensor:
        steps = arena.rollout(Scenario(), seconds=seconds, seed=seed)
        return torch.stack([arena.env.sim.state_dict()["states"].clone() for _ in steps])

    first, other, again = states(5), states(6), states(5)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    # Still in the air, legs are nearly where they began.
    states(5, seconds=0.04)
    assert torch.equal(first, states(5))


def test_a_load_changed_in_mid_walk_is_true_and_lasts(arena):
    rollout = arena.rollout(Scenario(load=torch.zeros(ROBOTS)), seconds=0.12, seed=0)
    before = next(rollout).truth.mass
    changed = torch.tensor([0, 2])
    arena.set_load(torch.tensor([6.0, 4.0]), changed)
    turn_over(arena, torch.tensor([2]))
    next(rollout)
    assert loads(arena).tolist() == pytest.approx([6.0, 0.0, 4.0, 0.0], abs=1e-5)
    rise = (next(rollout).truth.mass - before).flatten()
    assert rise[[0, 1, 3]].tolist() == pytest.approx([6.0, 0.0, 0.0], abs=1e-4)
    arena.set_load(torch.full((ROBOTS,), 1.0))
    assert loads(arena).tolist() == pytest.approx([1.0] * ROBOTS, abs=1e-5)


def test_a_push_adds_to_the_velocity_in_the_world(arena):
    rollout = arena.rollout(Scenario(), seconds=0.1, seed=0)
    next(rollout)
    qvel, xy = arena.env.sim.data.qvel, arena.env.robot.indexing.free_joint_v_adr[:2]
    before = qvel[:, xy].clone()
    velocity = torch.tensor([[0.5, 0.0], [0.0, 0.0], [0.0, -1.0], [0.3, 0.3]])
    arena.push(velocity)
    assert torch.allclose((qvel[:, xy] - before)[:ROBOTS], velocity, atol=1e-6)


def test_no_time_limit_ends_an_episode(arena):
    rollout = arena.rollout(Scenario(), seconds=0.1, seed=0)
    next(rollout)
    arena.env.episode_length_buf += 10 * arena.env.max_episode_length
    assert not next(rollout).dones.any()


def test_truth_and_estimate_are_of_the_moment_when_the_policy_acted(arena):
    memory = arena.policy.initial_memory(arena.num_robots)
    for step in arena.rollout(Scenario(), seconds=0.06, seed=0):
        targets = arena.policy.targets.truth(step.obs)
        expected = arena.policy(step.obs, memory)
        memory = expected.memory
        assert torch.equal(step.output.estimate.mass, expected.estimate.mass)
        truth = arena.policy.targets.to_si(targets)
        torch.testing.assert_close(step.truth.joined(), truth.joined())
        last_action = arena.env.action_manager.action[:ROBOTS]
        assert torch.allclose(last_action, expected.actions)


def test_robots_stand_where_the_scenario_says_and_return_there(rough_arena):
    arena = rough_arena
    family = torch.arange(ROUGH_ROBOTS)
    row = torch.tensor([1, 2, 3, 4, 1, 2, 9])
    origins = arena.env.scene.terrain.terrain_origins[row, family]

    half_tile = 0.5 * torch.tensor(arena.env.cfg.scene.terrain.terrain_generator.size)

    def distance() -> torch.Tensor:
        position = arena.env.robot.data.root_link_pos_w[:, :2]
        return (position - origins[:, :2]).abs()

    fallen = torch.tensor([0, 4])
    for number, step in enumerate(
        arena.rollout(Scenario(family=family, row=row), seconds=0.1, seed=3)
    ):
        assert torch.equal(arena.env.terrain_types.ids, family)
        assert (distance() < half_tile).all()
        assert step.fell.any() == (number == 2)
        if number == 1:
            turn_over(arena, fallen)


def test_leaving_the_tile_is_no_fall(rough_arena):
    arena = rough_arena
    flat = arena.env.terrain_types.names.index("plane_run")
    scenario = Scenario(
        family=torch.full((ROUGH_ROBOTS,), flat), row=torch.zeros(ROUGH_ROBOTS, dtype=torch.long)
    )
    rollout = arena.rollout(scenario, seconds=0.1, seed=0)
    next(rollout)
    x = arena.env.robot.indexing.free_joint_q_adr[0]
    half_tile = arena.env.cfg.scene.terrain.terrain_generator.size[0] / 2.0
    arena.env.sim.data.qpos[0, x] = arena.env.scene.env_origins[0, 0] + half_tile + 0.1
    next(rollout)  # its first two steps do not count
    arena.env.sim.data.qpos[0, x] = arena.env.scene.env_origins[0, 0] + half_tile + 0.1
    step = next(rollout)
    left = torch.zeros(ROUGH_ROBOTS, dtype=torch.bool)
    left[0] = True
    assert torch.equal(step.time_outs, left)
    assert torch.equal(step.dones, left)
    assert not step.fell.any()


def test_an_evaluation_draws_tiles_that_training_has_not_seen(make_env):
    def unseen(cfg):
        cfg.scene.terrain.terrain_generator.num_rows = 2
        on_unseen_ground(arena_env_cfg(cfg), EvaluationCfg(seeds=(0,)))

    def seen(cfg):
        cfg.scene.terrain.terrain_generator.num_rows = 2

    arena, training = (
        make_env(ROUGH_ROBOTS, terrain="rough", edit=edit) for edit in (unseen, seen)
    )
    boxes = arena.terrain_types.names.index("boxes")
    columns = arena.terrain_types.draw_columns(torch.full((100,), boxes)).unique()
    assert len(columns) == 3
    offsets = torch.cartesian_prod(*2 * (torch.linspace(-4.0, 4.0, 40),))

    def heights(env, column: int) -> torch.Tensor:
        origin = env.scene.terrain.terrain_origins[1, column, :2]
        return env.height_map.heights(origin + offsets)

    tiles = [heights(arena, int(column)) for column in columns] + [heights(training, boxes)]
    for number, tile in enumerate(tiles):
        assert all((tile - other).abs().mean() > 0.02 for other in tiles[:number])


def test_without_a_row_any_level_is_drawn(rough_arena):
    terrain = rough_arena.env.scene.terrain
    shares = rough_arena.env.terrain_types.ids.clone()
    drawn = set()
    for seed in range(8):
        next(rough_arena.rollout(Scenario(), seconds=0.02, seed=seed))
        drawn |= set(terrain.terrain_levels.tolist())
    assert len(drawn) > 5
    next(rough_arena.rollout(Scenario(family=torch.zeros_like(shares)), seconds=0.02, seed=0))
    next(rough_arena.rollout(Scenario(), seconds=0.02, seed=0))
    # The task's shares, not the last scenario's terrain.
    assert len(rough_arena.env.terrain_types.ids.unique()) == ROUGH_ROBOTS
