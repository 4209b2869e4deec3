"""Time of one step of a deployed policy on one core: ``deploy_step.py policy.onnx``."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np

from rl_sim_env.deploy import DeployedPolicy, SensorReading

WARM_UP = 1_000
STEPS = 20_000
MICROSECONDS = 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("policy", type=Path, help="policy.onnx as exported")
    path = parser.parse_args().policy
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    policy = DeployedPolicy(path)
    reading = _standing(policy)
    seconds = np.zeros(STEPS)
    for _ in range(WARM_UP):
        policy.step(reading)
    for i in range(STEPS):
        begin = time.perf_counter()
        policy.step(reading)
        seconds[i] = time.perf_counter() - begin
    median, late = np.quantile(seconds, (0.5, 0.99)) * MICROSECONDS
    print(f"{path}: {median:.0f} us a step (median), {late:.0f} us (99th percentile), one core")


def _standing(policy: DeployedPolicy) -> SensorReading:
    still = np.zeros(len(policy.metadata.joint_names))
    return SensorReading(
        base_ang_vel=np.zeros(3),
        projected_gravity=np.array((0.0, 0.0, -1.0)),
        joint_pos=np.array(policy.metadata.default_joint_pos),
        joint_vel=still,
        joint_torques=still,
        velocity_commands=np.zeros(3),
    )


if __name__ == "__main__":
    main()
