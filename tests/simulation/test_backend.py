from __future__ import annotations

import pytest
from mjlab.envs import manager_based_rl_env

from rl_sim_env.errors import UserError
from rl_sim_env.simulation import (
    NativeSimulation,
    WarpSimulation,
    simulation_class,
    use_simulation,
)


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
