"""Where physics runs, by device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mjlab.envs import manager_based_rl_env
from mjlab.sim.sim import Simulation

from rl_sim_env.errors import UserError
from rl_sim_env.simulation.native import NativeSimulation
from rl_sim_env.simulation.warp import WarpSimulation
from rl_sim_env.simulation.warp_start import start_warp


def simulation_class(device: str) -> type[NativeSimulation] | type[WarpSimulation]:
    """The simulation for a device: native MuJoCo for ``cpu``, MuJoCo Warp for ``cuda:N``.

    Raises:
        UserError: If there is no simulation for the device.
    """
    try:
        kind = torch.device(device).type
    except RuntimeError:
        kind = None
    if kind == "cpu":
        return NativeSimulation
    if kind == "cuda":
        return WarpSimulation
    raise UserError(f"device {device!r}: physics runs on 'cpu' or 'cuda:N'")


@contextmanager
def use_simulation(cls: type[Simulation]) -> Iterator[None]:
    """Make environments that are constructed inside use ``cls``.

    mjlab's environment offers no parameter for it, but looks the class up by name in its module.
    """
    # Environments seed Warp before they make a simulation, on CPUs too.
    start_warp()
    module: Any = manager_based_rl_env
    original = module.Simulation
    module.Simulation = cls
    try:
        yield
    finally:
        module.Simulation = original
