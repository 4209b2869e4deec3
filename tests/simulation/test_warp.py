from __future__ import annotations

import mujoco
import pytest
import torch
from mjlab.managers.event_manager import RecomputeLevel
from mjlab.sim.sim import SimulationCfg

from rl_sim_env.compat.torch import pytree
from rl_sim_env.errors import UserError
from rl_sim_env.simulation import WarpSimulation

pytestmark = pytest.mark.slow  # compiles Warp's kernels once, about half a minute

# Four balls over a plane: four contacts of four constraints each once they have landed.
BALLS = (
    '<mujoco><worldbody><geom type="plane" size="5 5 1"/>'
    + "".join(f'<body pos="{x} 0 0.11"><freejoint/><geom size="0.1"/></body>' for x in range(4))
    + "</worldbody></mujoco>"
)
LAND = 0.099


def _balls(**sizes: int) -> WarpSimulation:
    model = mujoco.MjModel.from_xml_string(BALLS)
    simulation = WarpSimulation(2, SimulationCfg(**sizes), model=model, device="cpu")
    simulation.data.qpos[:, 2::7] = 0.2
    return simulation


def _land(simulation: WarpSimulation, world: int) -> None:
    simulation.data.qpos[world, 2::7] = LAND
    simulation.step()


def test_enough_room_is_no_error() -> None:
    simulation = _balls(nconmax=8, njmax=64)
    _land(simulation, world=0)
    simulation.check_overflow()


def test_dropped_contacts_name_the_setting_and_a_size_that_will_do() -> None:
    simulation = _balls(nconmax=1, njmax=64)
    _land(simulation, world=0)
    with pytest.raises(
        UserError, match=r"up to 2 contacts per world, room for 1.*sim.nconmax to 3"
    ):
        simulation.check_overflow()


def test_dropped_constraints_name_the_setting_and_a_size_that_will_do() -> None:
    simulation = _balls(nconmax=8, njmax=8)
    _land(simulation, world=1)
    with pytest.raises(UserError, match=r"up to 16 constraints.*room for 8.*sim.njmax to 20"):
        simulation.check_overflow()


def test_an_overflow_outlives_the_reset_of_its_world() -> None:
    simulation = _balls(nconmax=8, njmax=8)
    _land(simulation, world=1)
    simulation.reset(torch.tensor([1]))
    simulation.step()
    with pytest.raises(UserError, match="up to 16 constraints"):
        simulation.check_overflow()


def test_recomputed_constants_follow_the_mass() -> None:
    simulation = _balls()
    simulation.expand_model_fields(("body_mass", "body_subtreemass"))
    simulation.model.body_mass[1, 2] += 1.0
    before = simulation.model.body_subtreemass[:, 0].clone()
    simulation.recompute_constants(RecomputeLevel.none)
    torch.testing.assert_close(simulation.model.body_subtreemass[:, 0], before)
    simulation.recompute_constants(RecomputeLevel.set_const)
    torch.testing.assert_close(
        simulation.model.body_subtreemass[:, 0] - before, torch.tensor([0.0, 1.0])
    )


def test_deferred_inverse_weights_follow_the_mass_when_asked() -> None:
    simulation = _balls()
    simulation.expand_model_fields(("body_mass", "body_subtreemass", "body_invweight0"))
    simulation.defers_inverse_weights = True
    before = simulation.model.body_invweight0[:, 2, 0].clone()
    simulation.model.body_mass[1, 2] *= 2.0
    simulation.recompute_constants(RecomputeLevel.set_const)
    assert simulation.model.body_subtreemass[1, 0] > simulation.model.body_subtreemass[0, 0]
    torch.testing.assert_close(simulation.model.body_invweight0[:, 2, 0], before)
    simulation.recompute_inverse_weights()
    torch.testing.assert_close(
        simulation.model.body_invweight0[:, 2, 0], before * torch.tensor([1.0, 0.5])
    )


ARM = """<mujoco><worldbody><geom type="plane" size="5 5 1"/>
  <body pos="0 0 0.3"><freejoint/><geom size="0.1"/>
    <body pos="0.2 0 0"><joint name="hinge" axis="0 1 0"/><geom size="0.05" pos="0.1 0 0"/></body>
  </body></worldbody>
  <actuator><motor joint="hinge" gear="2"/></actuator></mujoco>"""


def test_a_saved_state_goes_on_as_it_was_in_worlds_of_other_masses() -> None:
    model = mujoco.MjModel.from_xml_string(ARM)

    def make(num_worlds: int = 2) -> WarpSimulation:
        simulation = WarpSimulation(num_worlds, SimulationCfg(), model=model, device="cpu")
        simulation.expand_model_fields(("body_mass", "geom_friction"))
        return simulation

    first = make()
    first.model.body_mass[1, 2] = 3.0
    first.data.ctrl[0] = 1.5
    first.step()
    saved = pytree.tree_map_only(torch.Tensor, torch.clone, first.state_dict())
    assert saved["model"]["body_mass"]["columns"].tolist() == [2]
    assert not len(saved["model"]["geom_friction"]["columns"])
    second = make()
    second.model.body_mass[0, 1] = 9.0
    second.load_state_dict(saved)
    for simulation in (first, second):
        simulation.step()
    for name in ("qpos", "qvel", "time"):
        torch.testing.assert_close(getattr(second.data, name)[:], getattr(first.data, name)[:])
    with pytest.raises(ValueError, match="another simulation"):
        make(3).load_state_dict(saved)


def test_a_refresh_gives_the_poses_velocities_and_forces_of_a_forward() -> None:
    model = mujoco.MjModel.from_xml_string(ARM)
    simulation = WarpSimulation(2, SimulationCfg(), model=model, device="cpu")
    simulation.step()
    data = simulation.data
    data.qpos[0, :3] = torch.tensor([1.0, 2.0, 3.0])
    data.qvel[0] = torch.arange(7) / 10.0
    data.ctrl[0] = 1.5
    names = ("xpos", "xquat", "xipos", "geom_xpos", "subtree_com", "cvel", "actuator_force")
    simulation.refresh()
    refreshed = {name: getattr(data, name).clone() for name in names}
    assert refreshed["xpos"][0, 1].tolist() == [1.0, 2.0, 3.0]
    assert refreshed["actuator_force"].flatten().tolist() == [1.5, 0.0]
    simulation.forward()
    for name in names:
        torch.testing.assert_close(refreshed[name], getattr(data, name).clone(), msg=name)


def test_reset_worlds_go_on_alike_wherever_they_were() -> None:
    model = mujoco.MjModel.from_xml_string(ARM)
    simulation = WarpSimulation(2, SimulationCfg(), model=model, device="cpu")

    def end(steps_before: int) -> dict[str, torch.Tensor]:
        simulation.data.ctrl[:] = 1.5
        for _ in range(steps_before):
            simulation.step()
        simulation.reset()
        simulation.data.qpos[:, 2] = LAND
        simulation.step()
        return {name: getattr(simulation.data, name).clone() for name in ("qpos", "qvel", "qacc")}

    first, second = end(1), end(200)
    for name, value in first.items():
        assert torch.equal(second[name], value), name
