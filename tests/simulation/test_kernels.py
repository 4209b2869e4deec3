"""Kernels that are compiled before they are launched, by Warp on the CPU."""

from __future__ import annotations

import mujoco
import pytest
import warp as wp
from mjlab.managers.event_manager import RecomputeLevel
from mjlab.sim.sim import SimulationCfg

from rl_sim_env.errors import UserError
from rl_sim_env.simulation import WarpSimulation
from rl_sim_env.simulation.kernels import (
    compiled_modules,
    kernel_cache,
    load_side_by_side,
    use_kernel_cache,
)

LOADED = "load on device"
"""In what Warp prints of each module that it loads, compiled just now or before."""


def doubling() -> wp.Kernel:
    @wp.kernel(module="unique", enable_backward=False)
    def double(values: wp.array(dtype=float)):  # type: ignore[valid-type]
        i = wp.tid()
        values[i] = 2.0 * values[i]

    return double


def counting_down() -> wp.Kernel:
    @wp.kernel(module="unique", enable_backward=False)
    def count_down(left: wp.array(dtype=int)):  # type: ignore[valid-type]
        left[0] = left[0] - 1

    return count_down


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of kernels."""
    wp.init()
    monkeypatch.setattr(wp.config, "kernel_cache_dir", wp.config.kernel_cache_dir)
    use_kernel_cache(tmp_path / "kernels")
    return tmp_path / "kernels"


def test_what_is_launched_in_turns_loops_and_branches_is_compiled_and_does_not_run(cache, capsys):
    double, count_down = doubling(), counting_down()
    values = wp.array([1.0, 2.0], dtype=float, device="cpu")
    left = wp.array([3], dtype=int, device="cpu")

    def launch() -> None:
        wp.capture_if(left, on_true=lambda: wp.launch(double, dim=2, inputs=[values]))
        wp.capture_while(left, lambda by: wp.launch(count_down, dim=by, inputs=[left]), by=1)

    load_side_by_side(launch, wp.get_device("cpu"))
    compiled = compiled_modules()
    assert len(compiled) == 2
    assert capsys.readouterr().out.count(LOADED) == 2
    assert kernel_cache().parent == cache
    assert (values.numpy().tolist(), left.numpy().tolist()) == ([1.0, 2.0], [3])
    launch()
    assert (values.numpy().tolist(), left.numpy().tolist()) == ([2.0, 4.0], [0])
    assert compiled_modules() == compiled, "nothing was left to compile"


@pytest.mark.usefixtures("cache")
def test_launches_work_again_after_one_that_breaks():
    launched = wp.launch

    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        load_side_by_side(broken, wp.get_device("cpu"))
    assert wp.launch is launched


def test_a_cache_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write kernels to .*file"):
        use_kernel_cache(tmp_path / "file" / "kernels")


BALL = """<mujoco><option timestep="0.004"/><worldbody>
  <geom type="plane" size="5 5 1"/><geom type="box" size="1 1 0.1" pos="3 0 0"/>
  <body pos="0 0 0.3"><freejoint/><geom size="0.1"/>
    <body pos="0.2 0 0"><joint name="hinge" axis="0 1 0"/>
      <geom type="box" size="0.1 0.1 0.1"/></body></body>
  </worldbody><actuator><motor joint="hinge"/></actuator></mujoco>"""


@pytest.mark.slow  # compiles Warp's kernels once, about half a minute
def test_nothing_of_physics_is_left_to_load_in_its_first_steps(capsys):
    model = mujoco.MjModel.from_xml_string(BALL)
    simulation = WarpSimulation(2, SimulationCfg(), model=model, device="cpu")
    height = simulation.data.qpos[:, 2].clone()
    load_side_by_side(simulation.launch_all, simulation.wp_device)
    assert simulation.data.qpos[:, 2].tolist() == height.tolist()
    capsys.readouterr()
    simulation.step()
    simulation.forward()
    simulation.reset()
    simulation.refresh()
    simulation.recompute_constants(RecomputeLevel.set_const)
    simulation.recompute_inverse_weights()
    assert LOADED not in capsys.readouterr().out
