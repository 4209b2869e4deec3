from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch
from mjlab.managers.event_manager import RecomputeLevel
from mjlab.sim.sim import MujocoCfg, Simulation, SimulationCfg

from rl_sim_env.errors import UserError
from rl_sim_env.simulation import NativeSimulation
from rl_sim_env.simulation.native import FRAME_MARGIN, NUM_THREADS_VARIABLE

NUM_WORLDS = 6

# A trunk with two swinging legs on ground of many boxes, so that bodies are tested against trees of
# bounding boxes. The trunk's frames coincide, which MuJoCo's compiler takes note of.
ROBOT = """
<mujoco>
  <worldbody>
    {ground}
    <body name="trunk" pos="0 0 0.5">
      <freejoint/>
      <geom name="trunk" type="box" size="0.3 0.1 0.05" mass="10"/>
      <geom name="bumper" type="sphere" size="0.04" pos="0.3 0 0" mass="0"/>
      <site name="imu" pos="0.1 0 0"/>
      <body name="leg" pos="0.2 0 0">
        <joint name="hip" axis="0 1 0" damping="0.1"/>
        <geom type="capsule" size="0.02" fromto="0 0 -0.05 0 0 -0.3" mass="1"/>
      </body>
      <body name="tail" pos="-0.2 0 0">
        <joint name="tail" axis="0 1 0" damping="0.1"/>
        <geom type="capsule" size="0.02" fromto="0 0 -0.05 0 0 -0.3" mass="1"/>
      </body>
    </body>
  </worldbody>
  <actuator><motor joint="hip"/><motor joint="tail"/></actuator>
  <sensor><gyro site="imu"/><accelerometer site="imu"/></sensor>
</mujoco>
"""
PLANE = '<geom type="plane" size="5 5 1"/>'
PAVEMENT = "".join(
    f'<geom type="box" size="0.1 0.1 0.5" pos="{x / 5} {y / 5} -0.5"/>'
    for x in range(-5, 6)
    for y in range(-5, 6)
)


def make_simulation(
    ground: str = PLANE, num_envs: int = NUM_WORLDS, cls: type[Simulation] = NativeSimulation
) -> Simulation:
    model = mujoco.MjModel.from_xml_string(ROBOT.format(ground=ground))
    cfg = SimulationCfg(mujoco=MujocoCfg(timestep=0.005))
    return cls(num_envs, cfg, model=model, device="cpu")


@pytest.fixture
def simulation() -> Simulation:
    return make_simulation()


def derived(simulation: Simulation) -> dict[str, torch.Tensor]:
    names = ("xpos", "xipos", "xmat", "cvel", "subtree_com", "site_xpos", "sensordata", "qacc")
    return {name: getattr(simulation.data, name).clone() for name in names}


def assert_identical(actual: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    for name, value in expected.items():
        assert torch.equal(actual[name], value), name


# -------------------------------------------------------------------- fields


def test_writes_reach_physics_and_results_come_back(simulation) -> None:
    simulation.data.qvel[2, 0] = 1.0
    simulation.step()
    moved = simulation.data.qpos[:, 0]
    assert moved[2] == pytest.approx(0.005, rel=1e-2)
    assert moved[[0, 1, 3, 4, 5]].abs().max() < 1e-3


def test_matrices_have_two_dimensions(simulation) -> None:
    assert simulation.data.xmat.shape == (NUM_WORLDS, 4, 3, 3)
    assert simulation.data.site_xmat.shape == (NUM_WORLDS, 1, 3, 3)
    assert simulation.model.geom_aabb.shape == (NUM_WORLDS, 5, 2, 3)


def test_fields_are_single_precision_and_per_world(simulation) -> None:
    assert simulation.data.qpos.dtype == simulation.model.body_mass.dtype == torch.float32
    assert simulation.model.body_mass.shape == (NUM_WORLDS, 4)
    assert simulation.model.geom_bodyid.shape == (5,)
    assert simulation.data.nworld == NUM_WORLDS


@pytest.mark.parametrize("proxy", ["data", "model"])
def test_fields_cannot_be_replaced(simulation, proxy: str) -> None:
    with pytest.raises(AttributeError, match="write into it"):
        getattr(simulation, proxy).qpos0 = torch.zeros(1)


def test_unknown_fields_are_attribute_errors(simulation) -> None:
    assert not hasattr(simulation.data, "no_such_field")
    assert not hasattr(simulation.model, "no_such_field")


def test_derived_field_asked_for_late_is_filled(simulation) -> None:
    simulation.data.qpos[:, 0] = 1.5
    simulation.forward()
    assert simulation.data.geom_xpos[:, 1, 0] == pytest.approx(1.5)


def test_expanding_keeps_addresses_of_data(simulation) -> None:
    before = {name: getattr(simulation.data, name).data_ptr() for name in ("qpos", "sensordata")}
    simulation.expand_model_fields(("body_mass", "geom_friction"))
    simulation.recompute_constants(RecomputeLevel.set_const)
    simulation.step()
    assert {name: getattr(simulation.data, name).data_ptr() for name in before} == before


def test_expanded_field_stays_the_same_tensor(simulation) -> None:
    simulation.expand_model_fields(("body_mass",))
    mass = simulation.model.body_mass
    simulation.expand_model_fields(("body_mass", "dof_damping"))
    assert simulation.model.body_mass.data_ptr() == mass.data_ptr()


@pytest.mark.parametrize("field", ["no_such_field", "geom_size"])
def test_fields_that_cannot_differ_between_worlds_are_refused(simulation, field: str) -> None:
    with pytest.raises(UserError, match=field):
        simulation.expand_model_fields((field,))


def test_defaults_survive_randomisation(simulation) -> None:
    simulation.expand_model_fields(("body_mass",))
    simulation.model.body_mass[:] = 99.0
    assert simulation.get_default_field("body_mass").tolist() == [0.0, 10.0, 1.0, 1.0]


# -------------------------------------------------------------------- forward


def test_lazy_forward_equals_full_forward() -> None:
    lazy, full = make_simulation(), make_simulation()
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        ctrl = torch.rand(NUM_WORLDS, 2, generator=generator)
        reset = torch.randperm(NUM_WORLDS, generator=generator)[:2]
        push, force = torch.rand(2, generator=generator)
        for simulation in (lazy, full):
            simulation.data.ctrl[:] = ctrl
            simulation.step()
            simulation.forward()
            simulation.reset(reset)
            simulation.data.qvel[reset[0], 1] = push
            simulation.data.xfrc_applied[3, 1, 2] = force
        lazy.forward()
        full._batch.forward()
        assert_identical(derived(lazy), derived(full))


def test_forward_computes_only_what_changed(simulation) -> None:
    simulation.step()
    simulation.forward()
    # Marks every world's result; a computation overwrites the mark.
    simulation.data.xpos[:] = 7.0
    simulation.data.qvel[1, 0] += 1.0
    simulation.data.ctrl[2, 0] = 0.5
    simulation.reset(torch.tensor([4]))
    simulation.forward()
    marked = (simulation.data.xpos == 7.0).flatten(1).all(dim=1)
    assert marked.tolist() == [True, False, False, True, False, True]


def test_forward_computes_worlds_with_new_constants(simulation) -> None:
    simulation.expand_model_fields(("body_mass", "body_ipos"))
    simulation.recompute_constants(RecomputeLevel.set_const)
    simulation.forward()
    simulation.data.xpos[:] = 7.0
    simulation.model.body_mass[3, 1] += 1.0
    simulation.recompute_constants(RecomputeLevel.set_const)
    simulation.forward()
    marked = (simulation.data.xpos == 7.0).flatten(1).all(dim=1)
    assert marked.tolist() == [True, True, True, False, True, True]


def test_forward_after_step_computes_every_world(simulation) -> None:
    simulation.step()
    simulation.data.xpos[:] = 7.0
    simulation.forward()
    assert not (simulation.data.xpos == 7.0).all(dim=-1).any()


# -------------------------------------------------------------------- constants


def randomise_bodies(simulation: Simulation, worlds: list[int]) -> None:
    simulation.model.body_mass[worlds, 1] *= 1.5
    simulation.model.body_ipos[worlds, 1, 0] += 0.05


def constants(simulation: Simulation) -> dict[str, torch.Tensor]:
    names = ("body_subtreemass", "body_invweight0", "dof_invweight0", "actuator_acc0")
    return {name: getattr(simulation.model, name).clone() for name in names}


def test_recomputing_changed_worlds_equals_recomputing_all() -> None:
    partial, full = make_simulation(), make_simulation()
    for simulation in (partial, full):
        simulation.expand_model_fields(("body_mass", "body_ipos"))
        for worlds in ([0, 3], [3, 5]):
            randomise_bodies(simulation, worlds)
            simulation.recompute_constants(RecomputeLevel.set_const)
    full._batch.set_const()
    for name, value in constants(full).items():
        torch.testing.assert_close(constants(partial)[name], value, rtol=1e-6, atol=1e-9)
    assert partial.model.body_subtreemass[:, 1].tolist() == pytest.approx(
        [17.0, 12.0, 12.0, 24.5, 12.0, 17.0]
    )


def test_recomputing_without_randomised_fields_does_nothing(simulation) -> None:
    simulation.recompute_constants(RecomputeLevel.set_const)
    assert simulation.expanded_fields == set()


def test_recomputing_without_changes_computes_nothing(simulation) -> None:
    simulation.expand_model_fields(("body_mass", "body_ipos"))
    randomise_bodies(simulation, [1])
    simulation.recompute_constants(RecomputeLevel.set_const)
    simulation.model.body_subtreemass[:] = -1.0
    simulation.recompute_constants(RecomputeLevel.set_const)
    assert (simulation.model.body_subtreemass == -1.0).all()


def test_constants_are_those_of_the_masses_whatever_these_were_before() -> None:
    # A mass that single precision rounds.
    model = mujoco.MjModel.from_xml_string(
        ROBOT.format(ground=PLANE).replace('mass="10"', 'mass="9.1"')
    )
    changed, unchanged = (NativeSimulation(2, SimulationCfg(), model, "cpu") for _ in range(2))
    for simulation in (changed, unchanged):
        simulation.expand_model_fields(("body_mass",))
    changed.model.body_mass[:] *= 1.1
    changed.recompute_constants(RecomputeLevel.set_const)
    changed.model.body_mass[:] = unchanged.model.body_mass
    for simulation in (changed, unchanged):
        simulation.recompute_constants(RecomputeLevel.set_const)
    assert_identical(constants(changed), constants(unchanged))


def test_a_randomised_center_of_mass_changes_the_motion(simulation) -> None:
    simulation.expand_model_fields(("body_ipos", "body_mass"))
    simulation.model.body_ipos[1, 1, 0] += 0.1
    simulation.forward()
    assert simulation.data.xipos[:2, 1, 0].tolist() == pytest.approx([0.0, 0.1], abs=1e-6)
    simulation.recompute_constants(RecomputeLevel.set_const)
    simulation.forward()
    # Held up at the origin of the trunk, only the second one tips over.
    simulation.data.qfrc_applied[:, 2] = simulation.mj_model.body_subtreemass[1] * 9.81
    simulation.step()
    pitch_rate = simulation.data.qvel[:2, 4].abs()
    assert pitch_rate[1] > 0.1 > 1e-4 > pitch_rate[0]


def test_contacts_survive_a_randomised_center_of_mass() -> None:
    # The trunk falls flat onto ground of many geoms; with boxes that move along with the centre of
    # mass it would sink in.
    simulation = make_simulation(ground=PAVEMENT)
    simulation.expand_model_fields(("body_ipos", "body_mass"))
    simulation.model.body_ipos[:, 1, 2] += torch.linspace(-0.09, 0.09, NUM_WORLDS)
    simulation.recompute_constants(RecomputeLevel.set_const)
    simulation.data.qpos[:, 7:] = torch.pi / 2
    simulation.data.qpos[:, 2] = 0.08
    for _ in range(200):
        simulation.step()
    assert simulation.data.qpos[:, 2].min() > 0.04


def test_a_center_of_mass_beyond_the_margin_is_refused(simulation) -> None:
    simulation.expand_model_fields(("body_ipos",))
    simulation.model.body_ipos[2, 1, 1] += 2 * FRAME_MARGIN
    with pytest.raises(UserError, match=r"body_ipos.*0\.20 m"):
        simulation.recompute_constants(RecomputeLevel.set_const)


# -------------------------------------------------------------------- reset


def test_a_push_written_before_a_reset_does_not_survive_it(simulation) -> None:
    simulation.step()
    simulation.data.qvel[:, 0] = 3.0
    simulation.reset(torch.tensor([1, 4]))
    simulation.forward()
    simulation.step()
    moving = simulation.data.qvel[:, 0] > 1.0
    assert moving.tolist() == [True, False, True, True, False, True]


def test_a_push_written_after_a_reset_acts(simulation) -> None:
    simulation.reset(torch.tensor([1]))
    simulation.data.qvel[1, 0] = 3.0
    simulation.forward()
    simulation.step()
    assert simulation.data.qvel[1, 0] > 2.9


def test_reset_worlds_start_as_new_ones(simulation) -> None:
    fresh = make_simulation()
    generator = torch.Generator().manual_seed(0)
    for _ in range(30):
        simulation.data.ctrl[:] = torch.rand(NUM_WORLDS, 2, generator=generator)
        simulation.data.xfrc_applied[:, 1] = torch.rand(NUM_WORLDS, 6, generator=generator)
        simulation.step()
    simulation.reset()
    for each in (simulation, fresh):
        each.forward()
        each.step()
        each.forward()
    assert_identical(derived(simulation), derived(fresh))
    assert torch.equal(simulation.data.time, fresh.data.time)


def test_a_reset_leaves_nothing_behind_what_is_shown(simulation) -> None:
    fresh = make_simulation()
    simulation.data.qpos[:, 7] = 0.3
    simulation.data.qvel[:, 6] = 1e-7
    simulation.step()
    # In double precision it has moved.
    assert (simulation.data.qpos[:, 7] == torch.tensor(0.3)).all()
    for each in (simulation, fresh):
        each.reset()
        each.data.qpos[:, 7] = 0.3
        each.forward()
    assert torch.equal(simulation.state_dict()["states"], fresh.state_dict()["states"])


def test_reset_goes_to_a_worlds_own_default_position(simulation) -> None:
    simulation.expand_model_fields(("qpos0",))
    simulation.model.qpos0[3, 7] = 0.3
    simulation.reset()
    assert simulation.data.qpos[:, 7].tolist() == pytest.approx([0, 0, 0, 0.3, 0, 0])


# -------------------------------------------------------------------- failures


def test_nan_stays_visible_and_a_reset_clears_it(simulation, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    simulation.data.qpos[2, 1] = torch.nan
    for _ in range(3):
        simulation.step()
    simulation.forward()
    broken = simulation.data.qpos.isnan().any(dim=1)
    assert broken.tolist() == [False, False, True, False, False, False]
    simulation.reset(torch.tensor([2]))
    for _ in range(3):
        simulation.step()
    simulation.forward()
    assert simulation.data.qpos.isfinite().all()
    assert all(value.isfinite().all() for value in derived(simulation).values())
    assert list(Path.cwd().iterdir()) == [], "MuJoCo left a log file"


def test_contacts_that_find_no_memory_are_reported() -> None:
    model = mujoco.MjModel.from_xml_string(
        '<mujoco><size memory="32K"/><worldbody><geom type="plane" size="1 1 1"/>'
        + "".join(
            f'<body pos="{x} {y} 0.09"><freejoint/><geom type="box" size="0.1 0.1 0.1"/></body>'
            for x in range(4)
            for y in range(4)
        )
        + "</worldbody></mujoco>"
    )
    simulation = NativeSimulation(2, SimulationCfg(), model=model, device="cpu")
    simulation.step()
    with pytest.raises(UserError, match=r"2 of 2 worlds .* memory"):
        simulation.check_overflow()


def test_no_overflow_is_reported_without_one(simulation) -> None:
    simulation.step()
    simulation.check_overflow()


def test_a_failing_world_is_named(simulation) -> None:
    def fail(ids: np.ndarray | None = None) -> None:
        raise RuntimeError("sim 4: stack overflow")

    with pytest.raises(UserError, match="sim 4"):
        simulation._compute(fail)


@pytest.mark.parametrize("text", ["0", "-1", "many", "2.5", ""])
def test_bad_thread_counts_are_refused(text: str, monkeypatch) -> None:
    monkeypatch.setenv(NUM_THREADS_VARIABLE, text)
    with pytest.raises(UserError, match=NUM_THREADS_VARIABLE):
        make_simulation()


def test_thread_count_is_taken_from_the_environment(monkeypatch) -> None:
    monkeypatch.setenv(NUM_THREADS_VARIABLE, "1")
    assert make_simulation()._batch.num_threads == 1


def test_processes_of_a_host_share_its_cores(monkeypatch) -> None:
    monkeypatch.delenv(NUM_THREADS_VARIABLE, raising=False)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1000000")
    assert make_simulation()._batch.num_threads == 1


def test_warp_internals_are_refused_by_name(simulation) -> None:
    with pytest.raises(UserError, match="wp_data"):
        _ = simulation.wp_data
    with pytest.raises(UserError, match="wp_model"):
        _ = simulation.wp_model


def test_results_do_not_depend_on_the_number_of_threads(monkeypatch) -> None:
    results = []
    for threads in ("1", "2"):
        monkeypatch.setenv(NUM_THREADS_VARIABLE, threads)
        simulation = make_simulation(ground=PAVEMENT)
        simulation.data.qvel[:, 0] = torch.linspace(0, 1, NUM_WORLDS)
        for _ in range(50):
            simulation.step()
        simulation.forward()
        results.append(derived(simulation))
    assert_identical(*results)
