"""Physics on a GPU: mjlab's Warp simulation, with buffers that cannot overflow unnoticed."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import mujoco_warp
import numpy as np
import torch
import warp as wp
from mjlab.managers.event_manager import RecomputeLevel
from mjlab.sim.sim import Simulation
from mjlab.sim.sim import SimulationCfg as MjlabSimulationCfg
from mjlab.sim.sim_data import TorchArray

from rl_sim_env.compat.mjlab import suspend_gc
from rl_sim_env.compat.mujoco_warp import OverflowType
from rl_sim_env.configuration.limits import check_limits
from rl_sim_env.errors import UserError
from rl_sim_env.simulation.fields import INPUT_FIELDS, restored_model, saved_model
from rl_sim_env.simulation.grid_broadphase import use_grid_broadphase
from rl_sim_env.simulation.hfield_collision import check_height_fields, use_surface_contacts
from rl_sim_env.simulation.kernels import load_side_by_side

HEADROOM = 1.25
"""Factor by which suggested buffer sizes exceed what was needed."""

_CONSTRAINTS = OverflowType.NEFC | OverflowType.NJMAX_NNZ
_CONTACTS = OverflowType.BROADPHASE | OverflowType.NARROWPHASE | OverflowType.CCD
_CONTACT_SENSORS = OverflowType.CONTACT_MATCH
_IMPRECISE_CONTACTS = OverflowType.HFIELD | OverflowType.EPA_HORIZON


@dataclass(kw_only=True)
class SimulationCfg(MjlabSimulationCfg):
    """mjlab's settings of physics and how GPUs find contacts."""

    hfield_contacts: Literal["surface", "convex"] = "surface"
    """``surface`` measures spheres, capsules and boxes against the triangles of the surface, in
    closed form; ``convex`` leaves them to MuJoCo Warp's convex collision with prisms, as all other
    geoms. mjlab's own settings stand for ``convex``. Native MuJoCo has one way, with prisms."""
    static_broadphase: Literal["grid", "pairs"] = "grid"
    """``grid`` looks for what moving geoms may touch of those fixed to the world in a grid over the
    ground, and takes it that these never move or change, in any world; ``pairs`` leaves them to
    MuJoCo Warp, which tests every pair in every step. mjlab's own settings stand for ``pairs``.
    Native MuJoCo has one way, its own."""


class WarpSimulation(Simulation):
    """mjlab's simulation, which also keeps account of its buffers and graphs one more call.

    MuJoCo Warp drops the contacts and constraints that find no room. What every step needed is
    recorded on the device; :meth:`check_overflow` reads the record.

    Attributes:
        defers_inverse_weights: Whether recomputing constants leaves the inverse weights of bodies
            and joints to :meth:`recompute_inverse_weights`. They say nothing but how soft contacts
            and joint limits are, and take longer to compute than a step of physics.
    """

    defers_inverse_weights = False
    _are_kernels_loaded = False

    def _finish_init(self) -> None:
        check_height_fields(self.mj_model)
        if isinstance(self.cfg, SimulationCfg):
            check_limits(self.cfg, "sim")
            if self.cfg.hfield_contacts == "surface":
                use_surface_contacts(self.wp_model, self.mj_model)
            if self.cfg.static_broadphase == "grid":
                use_grid_broadphase(self.wp_model, self.mj_model)
        # The kernels' own messages would come once per world and step.
        self.wp_model.opt.warn_overflow = False
        super()._finish_init()
        data = self.wp_data
        self._overflow, self._num_constraints = map(wp.to_torch, (data.overflow, data.nefc))
        # Collision candidates and contacts have buffers of the same size, shared by all worlds.
        self._num_contacts = tuple(map(wp.to_torch, (data.ncollision, data.nacon)))
        self._seen_overflow = torch.zeros_like(self._overflow)
        self._peak_constraints = torch.zeros_like(self._num_constraints)
        self._peak_contacts = torch.zeros_like(self._num_contacts[0])

    def create_graph(self) -> None:
        """Capture mjlab's graphs anew, and forget our own."""
        if self.use_cuda_graph and not self._are_kernels_loaded:
            with suspend_gc():
                load_side_by_side(self.launch_all, self.wp_device)
            self._are_kernels_loaded = True
        super().create_graph()
        self._graphs: dict[Callable[..., None], wp.Graph] = {}

    def step(self) -> None:
        """Advance every world by one physics step."""
        super().step()
        # After the next reset a world's flags are gone. In place, so that a graph can hold this.
        self._seen_overflow.bitwise_or_(self._overflow)
        torch.maximum(self._peak_constraints, self._num_constraints, out=self._peak_constraints)
        for count in self._num_contacts:
            torch.maximum(self._peak_contacts, count, out=self._peak_contacts)

    def state_dict(self) -> dict[str, Any]:
        """What the next step depends on, and how the worlds' models differ."""
        return {
            "data": {name: field[:] for name, field in self._state_fields().items()},
            "model": saved_model(self._model_fields(), self.get_default_field),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from :meth:`state_dict` of as many worlds.

        Raises:
            ValueError: It is of other worlds or fields; nothing has changed.
        """
        fields, saved = self._state_fields(), state.get("data", {})
        shapes, saved_shapes = (
            {name: tuple(of.shape) for name, of in each.items()} for each in (fields, saved)
        )
        if shapes != saved_shapes:
            raise ValueError("their physics is that of another simulation")
        models = self._model_fields()
        values = restored_model(models, self.get_default_field, state["model"])
        # Written to by index: a TorchArray then does so on Warp's stream.
        for name, field in fields.items():
            field[:] = saved[name].to(self.device)
        for name, field in models.items():
            field[:] = values[name]
        # As a step ends: contacts are those of the next physics step.
        self.refresh()

    def _model_fields(self) -> dict[str, TorchArray]:
        """Fields of the model that worlds have of their own."""
        return {name: getattr(self.model, name) for name in sorted(self.expanded_fields)}

    def _state_fields(self) -> dict[str, TorchArray]:
        """Fields of the data that the next step depends on, but those of nothing."""
        names = (*INPUT_FIELDS, "time")
        present = [name for name in names if getattr(self.wp_data, name).size]
        return {name: getattr(self.data, name) for name in present}

    def launch_all(self) -> None:
        """Launch every kernel of physics: for compiling them, not for what they compute."""
        model, data = self.wp_model, self.wp_data
        mujoco_warp.step(model, data)
        mujoco_warp.reset_data(model, data, reset=self._reset_mask_wp)
        mujoco_warp.set_const(model, data)
        _refresh(model, data)

    def recompute_constants(self, level: RecomputeLevel) -> None:
        """Recompute the constants derived from masses, frames and default positions.

        Args:
            level: Which constants to recompute.
        """
        if level == RecomputeLevel.none:
            return
        if self.defers_inverse_weights:
            level = RecomputeLevel.set_const_fixed
        self._launch(getattr(mujoco_warp, level.name))

    def recompute_inverse_weights(self) -> None:
        """Bring up to date what :attr:`defers_inverse_weights` has left out."""
        self._launch(mujoco_warp.set_const_0)

    def refresh(self) -> None:
        """Bring poses, velocities, centres of mass and the drives' forces up to date.

        Contacts, sensors and accelerations stay those of the last physics step; a whole
        ``forward()`` would look for contacts and solve for forces that nobody reads.
        """
        self._launch(_refresh)

    def _launch(self, function: Callable[..., None]) -> None:
        """Run a function of model and data from a graph of its own.

        Without one, launching hundreds of small kernels takes longer than all the rest of a reset.
        """
        with wp.ScopedDevice(self.wp_device):
            if not self.use_cuda_graph:
                function(self.wp_model, self.wp_data)
                return
            if function not in self._graphs:
                with suspend_gc(), wp.ScopedCapture() as capture:
                    function(self.wp_model, self.wp_data)
                assert capture.graph is not None
                self._graphs[function] = capture.graph
            wp.capture_launch(self._graphs[function])

    @contextmanager
    def capturing(self) -> Iterator[None]:
        """Launch kernels one by one on torch's current stream, which is being captured.

        A graph of a whole control step holds the kernels of physics, not graphs of its own.
        """
        # Otherwise writes to a field go to Warp's own stream, which is not captured.
        arrays = [self._reset_mask]
        for bridge in (self._model_bridge, self._data_bridge):
            arrays += [a for a in bridge._wrapped_cache.values() if isinstance(a, TorchArray)]
        for array in arrays:
            array._torch_stream = None
        stream = wp.stream_from_torch(torch.cuda.current_stream(torch.device(self.device)))
        uses_graphs, self.use_cuda_graph = self.use_cuda_graph, False
        try:
            with (
                wp.ScopedStream(stream, sync_enter=False),
                wp.ScopedCapture(stream=stream, external=True),
            ):
                yield
        finally:
            self.use_cuda_graph = uses_graphs

    def check_overflow(self) -> None:
        """Report contacts or constraints that were dropped since the simulation began.

        Reads from the device: for once an iteration, not once a step.

        Raises:
            UserError: If there were any, naming the setting to raise and a value that will do.
        """
        seen = OverflowType(int(np.bitwise_or.reduce(self._seen_overflow.cpu().numpy())))
        if seen & _CONSTRAINTS:
            needed, capacity = int(self._peak_constraints.max()), self.wp_data.njmax
            raise _overflow_error("constraints in a world", "sim.njmax", needed, capacity)
        if seen & _CONTACTS:
            needed = math.ceil(int(self._peak_contacts) / self.num_envs)
            capacity = self.wp_data.naconmax // self.num_envs
            raise _overflow_error("contacts per world", "sim.nconmax", needed, capacity)
        if seen & _CONTACT_SENSORS:
            capacity = self.cfg.contact_sensor_maxmatch
            raise _overflow_error(
                "contacts at a sensor", "sim.contact_sensor_maxmatch", capacity, capacity
            )
        if seen & _IMPRECISE_CONTACTS:
            warnings.warn(
                f"MuJoCo Warp: {seen & _IMPRECISE_CONTACTS!r}: a geom covered more cells of a "
                "height field than are considered, or a contact was found imprecisely",
                RuntimeWarning,
                stacklevel=2,
            )


def _refresh(model: mujoco_warp.Model, data: mujoco_warp.Data) -> None:
    mujoco_warp.kinematics(model, data)
    mujoco_warp.com_pos(model, data)
    mujoco_warp.com_vel(model, data)
    mujoco_warp.fwd_actuation(model, data)


def _overflow_error(what: str, setting: str, needed: int, capacity: int) -> UserError:
    # Some buffers fill up before the count that is recorded here says so.
    value = math.ceil(max(needed, capacity) * HEADROOM)
    return UserError(
        f"physics dropped contacts: up to {needed} {what}, room for {capacity}; set {setting} to "
        f"{value} or more"
    )
