from __future__ import annotations

import os
import subprocess
import sys

import pytest
from mjlab.envs import manager_based_rl_env

from rl_sim_env.errors import UserError
from rl_sim_env.simulation import (
    NativeSimulation,
    WarpSimulation,
    simulation_class,
    use_simulation,
)
from rl_sim_env.simulation.warp_start import errors_without


@pytest.mark.parametrize(
    ("device", "cls"),
    [("cpu", NativeSimulation), ("cuda", WarpSimulation), ("cuda:3", WarpSimulation)],
)
def test_each_device_has_its_simulation(device: str, cls: type) -> None:
    assert simulation_class(device) is cls


@pytest.mark.parametrize("device", ["tpu", "mps", "", "cuda:x"])
def test_other_devices_are_refused_by_name(device: str) -> None:
    with pytest.raises(UserError, match=f"device '{device}'"):
        simulation_class(device)


def test_environments_see_the_chosen_simulation_only_inside() -> None:
    original = manager_based_rl_env.Simulation
    with use_simulation(NativeSimulation):
        assert manager_based_rl_env.Simulation is NativeSimulation
    assert manager_based_rl_env.Simulation is original


def test_a_failed_construction_leaves_no_trace() -> None:
    original = manager_based_rl_env.Simulation
    with pytest.raises(ZeroDivisionError), use_simulation(NativeSimulation):
        raise ZeroDivisionError
    assert manager_based_rl_env.Simulation is original


def test_of_what_compiled_code_writes_only_the_line_with_the_words_is_held_back(capfd) -> None:
    with errors_without(b"no driver"):
        os.write(2, b"a fault\nthere is no driver here\nanother fault")
    assert capfd.readouterr().err == "a fault\nanother fault"


def test_nobody_is_warned_of_a_driver_that_native_physics_does_not_need() -> None:
    code = (
        "from rl_sim_env.simulation.warp_start import start_warp; start_warp()\n"
        "import warp; assert warp.is_cpu_available()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "CUDA driver" not in done.stderr
