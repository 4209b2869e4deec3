"""Small environments on the CPU, and robots put where a test needs them."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mjlab.utils.lab_api.math import quat_from_euler_xyz

from grq20 import DEFAULT_ARM_LENGTH, STANDING_HEIGHT, amp_vae_env_cfg
from rl_sim_env.envs import AmpVaeEnv, AmpVaeEnvCfg, AmpVaeVecEnv

torch.set_num_threads(1)


MakeEnv = Callable[..., AmpVaeEnv]
Place = Callable[..., None]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what is marked ``gpu`` where there is none, before its fixtures are made."""
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")


@pytest.fixture(scope="session")
def make_env() -> MakeEnv:
    """Builds an environment of the task, quietly, and resets it."""

    def make(
        num_envs: int = 2,
        *,
        noise: bool = False,
        reference_start: float = 0.0,
        edit: Callable[[AmpVaeEnvCfg], None] | None = None,
        device: str = "cpu",
        **options: Any,
    ) -> AmpVaeEnv:
        cfg = amp_vae_env_cfg(**{"terrain": "flat", **options})
        cfg.scene.num_envs = num_envs
        cfg.seed = 0
        cfg.height_map_resolution = 0.1
        for group in cfg.observations.values():
            group.enable_corruption &= noise
        if reference_start:
            cfg.events["motion"].params["probability"] = reference_start
        else:
            cfg.events.pop("motion", None)
        if edit is not None:
            edit(cfg)
        with contextlib.redirect_stdout(io.StringIO()):
            env = AmpVaeEnv(cfg, device)
            env.reset()
        return env

    return make


@pytest.fixture(scope="session")
def exported(make_env: MakeEnv, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the exported files of an untrained policy, and nothing else."""
    # Only here: the exporter's libraries take seconds.
    from rl_sim_env.deploy.onnx_export import export_policy
    from small_policy import save, small_checkpoint

    trained, exported = (tmp_path_factory.mktemp(name) for name in ("trained", "exported"))
    export_policy(save(small_checkpoint(AmpVaeVecEnv(make_env(1))), trained), exported)
    return exported


@pytest.fixture(scope="session")
def place() -> Place:
    """Puts all robots of an environment into one state, with every derived quantity up to date.

    Legs in the default pose unless given, boom straight ahead; the drives are told to hold this,
    but give no torque yet.
    """

    def put(
        env: AmpVaeEnv,
        *,
        height: float = STANDING_HEIGHT,
        roll: float = 0.0,
        pitch: float = 0.0,
        yaw: float = 0.0,
        lin_vel: tuple[float, float, float] = (0.0, 0.0, 0.0),
        ang_vel: tuple[float, float, float] = (0.0, 0.0, 0.0),
        joint_pos: torch.Tensor | None = None,
        joint_vel: torch.Tensor | None = None,
        arm: tuple[float, float] = (0.0, DEFAULT_ARM_LENGTH),
    ) -> None:
        robot, index = env.robot, env.index
        angles = (torch.tensor(angle) for angle in (roll, pitch, yaw))
        root = torch.cat((torch.tensor((0.0, 0.0, height)), quat_from_euler_xyz(*angles)))
        root = torch.cat((root, torch.tensor(lin_vel), torch.tensor(ang_vel)))
        robot.write_root_state_to_sim(root.expand(env.num_envs, -1))
        legs = env.default_leg_joint_pos if joint_pos is None else joint_pos
        speed = torch.zeros_like(legs) if joint_vel is None else joint_vel
        # As many as the robot has.
        boom = torch.tensor(arm)[: len(index.boom_joints)].expand(env.num_envs, -1)
        for joints, pos, vel in (
            (index.leg_joints, legs, speed),
            (index.boom_joints, boom, torch.zeros_like(boom)),
        ):
            robot.write_joint_state_to_sim(pos, vel, joint_ids=joints)
            robot.set_joint_position_target(pos, joint_ids=joints)
        env.sim.data.ctrl[:] = 0.0
        env.sim.forward()
        env.scene.update(dt=0.0)

    return put
