"""A policy that reads maps of the ground, on a robot: what it is given, and what it refuses."""

from __future__ import annotations

import math
import warnings
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch

from grq20 import STANDING_HEIGHT
from rl_sim_env.configuration import plain_at, to_plain
from rl_sim_env.deploy import DeployedPolicy, HeightGrid, SensorReading, open_session
from rl_sim_env.deploy.deployed_policy import HISTORY, LAST_ACTION, MAP, MEMORY
from rl_sim_env.deploy.ground import GroundInput
from rl_sim_env.deploy.ground_memory import GroundMemory, ShownMap, turned
from rl_sim_env.deploy.map_facts import map_facts
from rl_sim_env.deploy.metadata import MapFacts
from rl_sim_env.deploy.mujoco_lidar import MujocoLidar
from rl_sim_env.deploy.mujoco_robot import MujocoRobot, World
from rl_sim_env.deploy.onnx_export import NETWORK_FILE, POLICY_FILE, export_policy
from rl_sim_env.deploy.sim_to_sim import SensorNoise, rollout
from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.errors import Notice, UserError
from rl_sim_env.evaluation.sim_to_sim_section import CLIMB, sim_to_sim
from rl_sim_env.learning.config import ActorCfg, AmpVaeRunnerCfg, ContextVaeCfg
from rl_sim_env.learning.perceptive_vae import TERRAIN_ESTIMATE, PerceptionCfg
from rl_sim_env.learning.policy import POLICY_STATE, AmpVaePolicy
from rl_sim_env.mdp.exteroception_cfg import MapCfg
from rl_sim_env.mdp.ground_memory import GroundMemory as TrainedMemory
from rl_sim_env.robots import load_model
from rl_sim_env.robots.grq20_v2d3 import GRQ20_V2D3
from rl_sim_env.tasks.grq20_v2d3 import GRQ20_V2D3_WALKING
from rl_sim_env.tasks.perceptive_walking import add_sight
from small_policy import save, small_checkpoint

CFG = AmpVaeRunnerCfg(
    actor=ActorCfg(
        class_name="rl_sim_env.learning.map_model:MapModel",
        hidden_dims=(8,),
        obs_groups=("estimate", "latent", "actor_obs", TERRAIN_ESTIMATE),
    ),
    vae=ContextVaeCfg(
        class_name="rl_sim_env.learning.perceptive_vae:PerceptiveVae",
        settings=asdict(PerceptionCfg(token_width=8)),
        encoder_dims=(8, 8),
        decoder_dims=(8,),
        latent_dim=2,
        memory_dim=8,
    ),
)
TASK = "Rl-Sim-Env-AmpVaeVit-Grq20-V2d3-v0"
STANDING = SensorReading(
    base_ang_vel=(0.0, 0.0, 0.0),
    projected_gravity=(0.0, 0.0, -1.0),
    joint_pos=GRQ20_V2D3.default_joint_pos,
    joint_vel=np.zeros(12),
    joint_torques=np.zeros(12),
    velocity_commands=(0.5, 0.0, 0.0),
)
LEVEL = HeightGrid(heights=np.full((16, 24), -STANDING_HEIGHT), resolution=0.06, offset=0.18)


@pytest.fixture(scope="module")
def seeing(make_env) -> AmpVaeVecEnv:
    env = make_env(3, edit=lambda cfg: add_sight(cfg, GRQ20_V2D3_WALKING, (0.3, 0.05)))
    return AmpVaeVecEnv(env)


def _policy(seeing: AmpVaeVecEnv) -> AmpVaePolicy:
    torch.manual_seed(0)
    policy = AmpVaePolicy.build(seeing.observation_layout, 12, CFG).eval()
    with torch.no_grad():
        # What begins at zero would hide what it reads.
        for layer in (policy.vae.fusion, policy.vae.correction, policy.actor.mlp[0]):
            layer.weight.normal_(std=0.1)
    return policy


@pytest.fixture(scope="module")
def exported(seeing, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("seeing")
    checkpoint = replace(
        small_checkpoint(seeing, TASK),
        algorithm={POLICY_STATE: _policy(seeing).state_dict()},
        config=to_plain(CFG),
    )
    export_policy(save(checkpoint, folder), folder)
    return folder


@pytest.fixture
def deployed(exported) -> DeployedPolicy:
    return DeployedPolicy(exported / POLICY_FILE)


def _targets(policy: DeployedPolicy, ground: HeightGrid | None) -> np.ndarray:
    policy.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Notice)
        return policy.step(replace(STANDING, ground=ground)).joint_targets


@torch.no_grad()
def test_both_files_do_what_torch_does(seeing, exported):
    policy = _policy(seeing)
    whole, metadata = open_session(exported / POLICY_FILE)
    network, _ = open_session(exported / NETWORK_FILE)
    memory = remembered = policy.initial_memory(3)
    history = np.full((3, 5, 57), np.nan, dtype=np.float32)
    last_action = np.full((3, 12), np.nan, dtype=np.float32)
    assert metadata.map is not None
    obs = seeing.reset()
    for _ in range(12):
        output = policy(obs, memory)
        groups = {name: obs[name].numpy() for name in policy.groups}
        actions, _, _, *_, ground = network.run(None, {**groups, MEMORY: memory.numpy()})
        np.testing.assert_allclose(actions, output.actions, atol=1e-5, rtol=0.0)
        np.testing.assert_allclose(
            ground, output.reconstructions[TERRAIN_ESTIMATE], atol=1e-5, rtol=0.0
        )
        heights, seen = obs["exteroception"].unflatten(-1, (2, 16, 24)).unbind(dim=1)
        given = torch.where(seen > 0.5, heights / 5.0 - metadata.map.reference, torch.nan).numpy()
        scales = {"base_ang_vel": 0.25, "joint_vel": 0.05, "joint_torques": 0.02}
        scales["velocity_commands"] = np.array((2.0, 2.0, 0.35), dtype=np.float32)
        sensors = {}
        for name, (start, end) in metadata.slices["actor_obs"].items():
            sensors[name] = obs["actor_obs"][:, start:end].numpy() / scales.get(name, 1.0)
        sensors["joint_pos"] = sensors["joint_pos"] + np.float32(metadata.default_joint_pos)
        sensors[LAST_ACTION] = last_action
        state = {HISTORY: history, MEMORY: np.asarray(remembered), MAP: given}
        results = dict(
            zip(
                [port.name for port in whole.get_outputs()],
                whole.run(None, {n: np.float32(v) for n, v in (sensors | state).items()}),
                strict=True,
            )
        )
        np.testing.assert_allclose(results["next_last_action"], output.actions, atol=1e-4, rtol=0.0)
        believed = output.reconstructions[TERRAIN_ESTIMATE] / 5.0 - metadata.map.reference
        np.testing.assert_allclose(results["ground"].reshape(3, -1), believed, atol=1e-4, rtol=0.0)
        history, last_action = results["next_history"], results["next_last_action"]
        memory, remembered = output.memory, results["next_memory"]
        obs = seeing.step(output.actions)[0]


def test_the_file_says_which_maps_it_reads(deployed):
    facts = deployed.metadata.map
    assert facts is not None
    assert (facts.shape, facts.resolution, facts.offset) == ((16, 24), 0.06, 0.18)
    assert facts.frame == "base_yaw" and facts.age_limit == pytest.approx(0.3)
    assert [lidar.name for lidar in facts.lidars] == ["front", "rear"]


def test_what_is_seen_counts_and_what_is_believed_is_told(deployed):
    step = replace(LEVEL, heights=np.where(np.arange(24) > 18, 0.1, 0.0) - STANDING_HEIGHT)
    step = replace(step, heights=np.broadcast_to(step.heights, (16, 24)))
    assert not np.array_equal(_targets(deployed, LEVEL), _targets(deployed, step))
    ground = deployed.step(replace(STANDING, ground=step)).ground
    assert ground is not None and ground.shape == (16, 24) and np.isfinite(ground).all()


@pytest.mark.parametrize(
    ("ground", "said"),
    [
        (None, "there is no map"),
        (replace(LEVEL, heights=np.full((16, 24), np.nan)), "is empty"),
        (replace(LEVEL, age=120.0), r"120 s old, and may be 0\.3 s"),
        (replace(LEVEL, age=float("nan")), "nan s old"),
    ],
)
def test_a_map_that_tells_nothing_is_unseen_and_that_is_said_once(deployed, ground, said):
    empty = replace(LEVEL, heights=np.full((16, 24), np.nan))
    deployed.reset()
    with pytest.warns(Notice, match=said) as heard:
        first = deployed.step(replace(STANDING, ground=ground)).joint_targets
        deployed.step(replace(STANDING, ground=ground))
    assert len(heard) == 1
    assert np.array_equal(first, _targets(deployed, empty))
    assert not np.array_equal(first, _targets(deployed, LEVEL))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heights": np.zeros((24, 16))}, r"shape is \(24, 16\), .* trained with \(16, 24\)"),
        ({"resolution": 0.05}, "resolution is 0.05 m, .* with 0.06 m"),
        ({"offset": 0.0}, "offset is 0 m"),
        ({"keep": 10.0}, "keep is 10 s, .* with 0 s"),
        ({"frame": "odom"}, "frame is odom, .* with base_yaw"),
        ({"heights": np.full((16, 24), -43.0)}, "a height of 43 m; give metres"),
        ({"heights": np.full((16, 24), np.inf)}, "a height of inf m"),
        ({"age": -5.0}, "-5 s old; give the time since"),
    ],
)
def test_a_map_of_another_kind_is_refused(deployed, change, message):
    with pytest.raises(UserError, match=message):
        deployed.step(replace(STANDING, ground=replace(LEVEL, **change)))


def test_what_is_no_map_is_refused(deployed):
    with pytest.raises(UserError, match=r"a list; give a rl_sim_env\.deploy\.HeightGrid"):
        deployed.step(replace(STANDING, ground=[1]))


def test_rays_of_plain_mujoco_see_stairs_and_what_hides_them(deployed):
    world = World(
        ground="stairs 15 cm", load=0.0, boom_length=0.6, boom_angle=3.1, friction=1.0, yaw=0.0
    )
    robot = MujocoRobot(lambda: load_model(GRQ20_V2D3), deployed.metadata, world)
    facts = deployed.metadata.map
    assert facts is not None
    lidar = MujocoLidar(robot, facts, 0.0, np.random.default_rng(0))
    grid = lidar.look()
    heights = np.asarray(grid.heights) + robot.base_pos[2]
    # The first step is 0.8 m ahead, in the last two columns.
    assert heights[8, 17:22] == pytest.approx(0.0, abs=1e-6)
    assert heights[8, 22:] == pytest.approx(0.15, abs=1e-6)
    assert np.isnan(heights[8, 6:13]).all()
    robot.advance(np.array(deployed.metadata.default_joint_pos), seconds=0.06)
    assert lidar.look().age == pytest.approx(0.06)
    # Until the next scan the map moves along.
    robot.data.qpos[:3] += (0.12, 0.0, 0.01)
    heights = np.asarray(lidar.look().heights) + robot.base_pos[2]
    assert heights[8, 16:19] == pytest.approx(0.0, abs=1e-6)
    assert heights[8, 20:22] == pytest.approx(0.15, abs=1e-6)
    assert np.isnan(heights[8, 22:]).all()
    robot.advance(np.array(deployed.metadata.default_joint_pos), seconds=0.04)
    assert lidar.look().age == 0.0


KEEP = 2.95


@pytest.fixture
def keeping(deployed) -> MapFacts:
    """Maps of a training that kept them."""
    assert deployed.metadata.map is not None
    return replace(deployed.metadata.map, keep=KEEP)


def test_a_policy_that_was_trained_with_kept_maps_refuses_forgetful_ones(keeping):
    ground = GroundInput(keeping)
    with pytest.raises(UserError, match=r"keep is 0 s, .* with 2\.95 s"):
        ground.read(LEVEL)
    assert np.isfinite(ground.read(replace(LEVEL, keep=KEEP))).all()


def test_a_file_says_how_long_maps_were_kept_and_how_old_one_may_be(seeing):
    env = to_plain(seeing.unwrapped.cfg)
    scanner = plain_at(env, "scene.sensors.exteroception")
    for keep, age_limit in ((0.0, 0.3), (10.0, 10.0)):
        scanner["keep"] = keep
        facts = map_facts(env)
        assert facts is not None and (facts.keep, facts.age_limit) == (keep, age_limit)


def test_a_robot_keeps_what_training_keeps(keeping):
    """Both kinds of memory along one walk, of maps full of holes, for longer than they keep."""
    rng = np.random.default_rng(0)
    shape, cells = keeping.shape, MapCfg()
    trained, here = TrainedMemory(cells, KEEP, 1, "cpu"), GroundMemory(keeping)
    forward, left = (np.array(side) for side in cells.centers())
    x, y = np.meshgrid(forward, left)
    # Not where cells of the map and of the world lie beside each other by exactly half.
    base, yaw, unlike, known = np.array((0.013, 0.021, 0.0)), 0.1, 0, 0
    for step in range(60):
        ground = np.where(rng.random(shape) < 0.4, rng.normal(size=shape), np.nan)
        if step > 50:  # Blind at last.
            ground[:] = np.nan
        now = 0.1 * step
        shown = ShownMap(keeping, ground, base, yaw, now)
        pose = torch.tensor([[*base, yaw]], dtype=torch.float)
        base = base + rng.uniform((-0.02, -0.05, -0.01), (0.12, 0.05, 0.01))
        yaw += rng.uniform(-0.1, 0.2)
        relative = torch.tensor(ground - pose[0, 2].item(), dtype=torch.float).flatten()
        seen = relative.isfinite()
        scan = torch.stack((relative.nan_to_num(), seen.float()))[None]
        here.store(shown, base)
        trained.store(
            torch.tensor([0]),
            scan,
            pose,
            torch.tensor([now]),
            torch.tensor(base[None], dtype=torch.float),
        )
        turned_x, turned_y = turned(yaw, x, y)
        at_x, at_y = base[0] + turned_x, base[1] + turned_y
        places = torch.tensor(np.stack((at_x, at_y), axis=-1), dtype=torch.float).reshape(1, -1, 2)
        heights, is_known = (
            part.reshape(shape).numpy() for part in trained.recall(places, torch.tensor([now]))
        )
        own = here.at(at_x, at_y, now)
        known += is_known.sum()
        unlike += (~np.isclose(np.where(is_known, heights, np.nan), own, 0, 1e-4, True)).sum()
    assert known > 0.4 * 60 * own.size
    # Single and double precision may take different cells of two that are as near.
    assert unlike < 1e-3 * known


def test_rays_of_plain_mujoco_are_remembered(deployed, keeping):
    world = World(
        ground="stairs 15 cm", load=0.0, boom_length=0.6, boom_angle=3.1, friction=1.0, yaw=0.0
    )
    robot = MujocoRobot(lambda: load_model(GRQ20_V2D3), deployed.metadata, world)
    lidar = MujocoLidar(robot, keeping, 0.0, np.random.default_rng(0))
    start, begin = robot.base_pos[0], robot.data.time
    # On to where the edge of the first step, 0.8 m from the start, is below the base.
    for scan in range(11):
        robot.data.qpos[0] = start + 0.08 * scan
        robot.data.time = begin + 0.1 * scan
        mujoco.mj_forward(robot.model, robot.data)
        grid = lidar.look()
    assert grid.keep == KEEP and grid.age == 0.0
    x = robot.base_pos[0] + keeping.offset + keeping.resolution * (np.arange(24) - 11.5)
    found = np.asarray(grid.heights)[8] + robot.base_pos[2]
    # Under the trunk, on both sides of the edge; to a cell, of which each rounding may take half.
    beside = keeping.resolution * np.array((-1.0, 0.0, 1.0))
    truth = [
        [robot.ground_height(at, robot.base_pos[1], 5.0) for at in each + beside] for each in x
    ]
    assert {round(height, 6) for height in found[5:13]} >= {0.0, 0.15}
    for height, possible in zip(found[5:13], truth[5:13], strict=True):
        assert np.isclose(possible, height, atol=1e-6).any()
    # The same place, long after: what the lidars do not see is forgotten.
    robot.data.time += KEEP + 0.1
    assert np.isnan(np.asarray(lidar.look().heights)[8, 8:12]).all()


def test_it_walks_in_plain_mujoco_and_on_when_maps_end(exported):
    walk = partial(
        rollout, exported / POLICY_FILE, model=partial(load_model, GRQ20_V2D3), command=CLIMB
    )
    seeing, late = (
        walk(seconds=0.3, noise=SensorNoise(maps_until=until)) for until in (math.inf, 0.3)
    )
    assert seeing == late
    with pytest.warns(Notice, match="walks without seeing"):
        short = walk(seconds=0.3, noise=SensorNoise(maps_until=0.1))
    # What the robot believes of itself comes of what it sees, too.
    assert short.velocity_rmse != seeing.velocity_rmse


def test_the_report_has_rows_without_maps(exported):
    section = sim_to_sim(
        exported / POLICY_FILE, GRQ20_V2D3, seeds=(0,), robots=1, seconds=0.1, grounds=("flat",)
    )
    labels = [row.label for row in section.tables[0].rows]
    assert labels == ["flat, 0 kg", "flat, 0 kg, no maps after 2 s"]
