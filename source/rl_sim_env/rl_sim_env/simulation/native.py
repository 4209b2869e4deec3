"""Physics on the CPU: native MuJoCo for every world, on a pool of threads.

mjlab's managers, entities and sensors read and write a simulation through named tensors. Here these
tensors are views of mjbatch's arrays, so the same task code runs without a copy. The state behind
them is double precision, of which a tensor shows the rounded value; writing that value back changes
nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import mujoco
import mujoco_warp
import numpy as np
import torch
from mjbatch import Batch
from mjlab.managers.event_manager import RecomputeLevel
from mjlab.sensor.sensor_context import SensorContext
from mjlab.sim.sim import Simulation
from mjlab.utils.nan_guard import NanGuard

from rl_sim_env.errors import UserError
from rl_sim_env.hardware import available_cores
from rl_sim_env.simulation.fields import (
    COMPILED_SHORTCUTS,
    CONSTANT_INPUT_FIELDS,
    DERIVED_CONSTANT_FIELDS,
    DERIVED_FIELDS,
    FRAME_FIELDS,
    INPUT_FIELDS,
    PER_WORLD_FIELDS,
    SHARED_FIELDS,
    ZERO_AFTER_RESET,
    Fields,
    changed_worlds,
    restored_model,
    saved_model,
    shaped,
    single_precision,
)
from rl_sim_env.simulation.hfield_collision import check_height_fields

NUM_THREADS_VARIABLE = "RL_SIM_ENV_NUM_THREADS"
"""Environment variable: number of physics threads of this process, at least 1."""

FRAME_MARGIN = 0.1
"""How far a randomised centre of mass may lie from the model's, m."""

_OVERFLOW_WARNINGS = [
    int(mujoco.mjtWarning.mjWARN_CONTACTFULL),
    int(mujoco.mjtWarning.mjWARN_CNSTRFULL),
]


class NativeSimulation(Simulation):
    """mjlab's simulation interface over native MuJoCo, for ``device="cpu"``.

    Derived fields follow MuJoCo's rule: after :meth:`step` they lag the state by one physics step,
    after :meth:`forward` they agree with it. NaN in a world's state stays there, for terminations
    to see, and a reset clears it. MuJoCo's warnings are counted per world (see
    :meth:`check_overflow`) instead of going to the console and a log file.

    The number of threads is :data:`NUM_THREADS_VARIABLE`, or else this process's share of the
    cores.
    """

    # ---------------------------------------------------------------- construction

    def _init_with_model(self, model: mujoco.MjModel) -> None:
        if self.device != "cpu":
            raise UserError(f"device {self.device!r}: native physics runs on 'cpu' only")
        check_height_fields(model)
        # Otherwise a world with NaN jumps back to its initial state without notice.
        model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
        _loosen_bounding_boxes(model)
        _silence_warnings()
        self._mj_model = model
        self._mj_data = mujoco.MjData(model)
        mujoco.mj_forward(model, self._mj_data)
        self._batch = Batch(model, self.num_envs, _num_threads())
        self._warning_counts = self._batch.bind("warning")
        self._states = torch.from_numpy(self._batch.bind("state"))
        self._expanded_views: dict[str, torch.Tensor] = {}
        self._data_bridge = Fields(self._bind_data_field, nworld=self.num_envs)
        self._model_bridge = Fields(self._model_field)
        self._sensor_context = None
        self.use_cuda_graph = False
        self.nan_guard = NanGuard(self.cfg.nan_guard, self.num_envs, model)

        self._inputs = {name: self._bind(name) for name in INPUT_FIELDS}
        for name in DERIVED_FIELDS:
            self._bind(name)
        self._inputs_at_forward = {name: view.clone() for name, view in self._inputs.items()}
        self._constant_inputs_at_recompute: dict[str, torch.Tensor] = {}
        # Worlds whose derived fields are out of date whatever their inputs say.
        self._stale = torch.ones(self.num_envs, dtype=torch.bool)
        self.forward()

    def _init_with_variants(self, spec: mujoco.MjSpec, variant_info: list) -> NoReturn:
        entities = ", ".join(prefix.rstrip("/") for prefix, _ in variant_info)
        raise UserError(
            f"scene.entities ({entities}): native physics has no mesh variants; give each entity "
            "one mesh or run on a GPU"
        )

    def create_graph(self) -> None:
        """Do nothing: there are no graphs on a CPU."""

    @property
    def wp_model(self) -> mujoco_warp.Model:
        """Not available on the CPU.

        Raises:
            UserError: Always.
        """
        raise UserError("sim.wp_model: native physics has no Warp model; run on a GPU")

    @property
    def wp_data(self) -> mujoco_warp.Data:
        """Not available on the CPU.

        Raises:
            UserError: Always.
        """
        raise UserError("sim.wp_data: native physics has no Warp data; run on a GPU")

    def set_sensor_context(self, ctx: SensorContext) -> NoReturn:
        """Refuse sensors that cast rays or render.

        Raises:
            UserError: Always.
        """
        names = ", ".join(sensor.cfg.name for sensor in (*ctx.camera_sensors, *ctx.raycast_sensors))
        raise UserError(
            f"scene.sensors ({names}): native physics neither casts rays nor renders; read ground "
            "heights from a HeightMap or run on a GPU"
        )

    # ---------------------------------------------------------------- fields

    def _bind(self, name: str) -> torch.Tensor:
        dtype = np.asarray(getattr(self._mj_data, name)).dtype
        return shaped(torch.from_numpy(self._batch.bind(name, single_precision(dtype))), name)

    def _bind_data_field(self, name: str) -> torch.Tensor:
        view = self._bind(name)
        if name not in INPUT_FIELDS and name not in DERIVED_FIELDS:
            # A derived field first asked for now holds nothing yet.
            self._compute(self._batch.forward)
        return view

    def _model_field(self, name: str) -> Any:
        if name in self._expanded_views:
            return self._expanded_views[name]
        value = getattr(self._mj_model, name)
        if not isinstance(value, np.ndarray):
            return value
        tensor = torch.tensor(value, dtype=torch.float32 if value.dtype == np.float64 else None)
        if name in PER_WORLD_FIELDS:
            tensor = shaped(tensor[None], name)
            tensor = tensor.expand(self.num_envs, *tensor.shape[1:])
        return tensor

    def expand_model_fields(self, fields: tuple[str, ...]) -> None:
        """Give every world its own values of some model fields.

        Raises:
            UserError: If a field does not exist or is shared by all worlds.
        """
        for name in fields:
            if not hasattr(self._mj_model, name):
                raise UserError(f"model field {name!r}: no such field; see mujoco.MjModel")
            if name in SHARED_FIELDS:
                raise UserError(
                    f"model field {name!r}: native physics shares it among all worlds; leave out "
                    "the event that randomises it or run on a GPU"
                )
        new_fields = set(fields) - self._expanded_views.keys()
        if not new_fields:
            return
        for name in new_fields:
            self._expand(name)
        if FRAME_FIELDS & new_fields:
            for name in COMPILED_SHORTCUTS:
                self._batch.expand(name)[:] = 0
        self._expanded_fields |= new_fields
        self._model_bridge.clear_cache()
        self._stale.fill_(True)

    def _expand(self, name: str) -> None:
        dtype = single_precision(getattr(self._mj_model, name).dtype)
        view = shaped(torch.from_numpy(self._batch.expand(name, dtype)), name)
        self._expanded_views[name] = view
        if name in CONSTANT_INPUT_FIELDS:
            # Rounded inputs have other constants than the compiler's: all worlds are to recompute.
            self._constant_inputs_at_recompute[name] = torch.full_like(view, torch.nan)

    # ---------------------------------------------------------------- saved state

    def state_dict(self) -> dict[str, Any]:
        """The worlds' states in double precision, and how their models differ."""
        return {
            "states": self._states,
            "model": saved_model(self._randomized_fields, self.get_default_field),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from :meth:`state_dict` of as many worlds, to the bit.

        Raises:
            ValueError: It is of other worlds or fields; nothing has changed.
        """
        if state["states"].shape != self._states.shape:
            raise ValueError("their physics is that of another simulation")
        fields = self._randomized_fields
        values = restored_model(fields, self.get_default_field, state["model"])
        for name, field in fields.items():
            field.copy_(values[name])
        self.recompute_constants(RecomputeLevel.set_const)
        self._states.copy_(state["states"])
        # Fields show a state once something was computed from it, which leaves it as it is.
        self._compute(self._batch.forward)
        for name, at_forward in self._inputs_at_forward.items():
            at_forward.copy_(self._inputs[name])
        self._stale.fill_(False)

    @property
    def _randomized_fields(self) -> dict[str, torch.Tensor]:
        """Model fields that worlds have of their own and nothing else determines."""
        names = sorted(self._expanded_views.keys() - set(DERIVED_CONSTANT_FIELDS))
        return {name: self._expanded_views[name] for name in names}

    # ---------------------------------------------------------------- physics

    def step(self) -> None:
        """Advance every world by one physics step."""
        with self.nan_guard.watch(self.data):
            self._compute(self._batch.step)
        self._stale.fill_(True)

    def forward(self) -> None:
        """Bring the derived fields of every world up to date.

        Only worlds that need it are computed: those that were stepped or reset, whose state,
        control or forces were written or whose constants were recomputed since their derived fields
        were last up to date.
        """
        worlds = self._stale | changed_worlds(self._inputs, self._inputs_at_forward)
        if worlds.any():
            self._compute(self._batch.forward, worlds)
            for name, at_forward in self._inputs_at_forward.items():
                at_forward.copy_(self._inputs[name])
            self._stale.fill_(False)

    def refresh(self) -> None:
        """Bring poses, velocities, centres of mass and the drives' forces up to date.

        There is no cheaper way than a whole ``forward()``.
        """
        self.forward()

    def recompute_constants(self, level: RecomputeLevel) -> None:
        """Recompute the constants derived from masses, frames and default positions.

        Only worlds with such a field written since the last call are computed.

        Args:
            level: Anything but ``none`` recomputes all constants.

        Raises:
            UserError: If a centre of mass is farther than :data:`FRAME_MARGIN` from the model's.
        """
        before = self._constant_inputs_at_recompute
        if level == RecomputeLevel.none or not before:
            return
        # A constant that a recomputation expands by itself would be double precision for good.
        self.expand_model_fields(DERIVED_CONSTANT_FIELDS)
        worlds = changed_worlds(self._expanded_views, before)
        if not worlds.any():
            return
        self._check_centers_of_mass()
        self._compute(self._batch.set_const, worlds)
        for name, at_recompute in before.items():
            at_recompute.copy_(self._expanded_views[name])
        self._stale |= worlds

    def reset(self, env_ids: torch.Tensor | slice | None = None) -> None:
        """Put worlds at rest in their default state; the next forward() computes the rest.

        Args:
            env_ids: Indices of the worlds; None for all.
        """
        worlds = slice(None) if env_ids is None else env_ids
        # Behind a shown value, digits of the last episode would outlive the writing of that value.
        self._states[worlds] = self._states[worlds].float().double()
        data, model = self.data, self.model
        data.qpos[worlds] = model.qpos0[worlds]
        for name in ZERO_AFTER_RESET:
            getattr(data, name)[worlds] = 0
        data.eq_active[worlds] = model.eq_active0.to(data.eq_active.dtype)
        if self._mj_model.nmocap:
            is_mocap = self._mj_model.body_mocapid >= 0
            mocap_bodies = np.flatnonzero(is_mocap)[self._mj_model.body_mocapid[is_mocap].argsort()]
            data.mocap_pos[worlds] = model.body_pos[:, mocap_bodies][worlds]
            data.mocap_quat[worlds] = model.body_quat[:, mocap_bodies][worlds]
        self._stale[worlds] = True

    def check_overflow(self) -> None:
        """Report contacts or constraints that MuJoCo dropped for want of memory.

        Raises:
            UserError: If that happened in any world since the simulation began.
        """
        dropped = self._warning_counts[:, _OVERFLOW_WARNINGS, 1].any(axis=1)
        if dropped.any():
            raise UserError(
                f"native physics: {dropped.sum()} of {self.num_envs} worlds (first: "
                f'{dropped.argmax()}) ran out of memory for contacts; add <size memory="64M"/> to '
                "the robot's MJCF, or raise it"
            )

    def _compute(
        self, computation: Callable[..., None], worlds: torch.Tensor | None = None
    ) -> None:
        """Run one of the batch's computations on the worlds of a mask, or all."""
        ids = None if worlds is None else worlds.numpy()
        try:
            computation(ids)
        except RuntimeError as error:
            raise UserError(
                f"native physics: {error}; check that world's masses, positions and forces, or, if "
                'it is about memory, add <size memory="64M"/> to the robot\'s MJCF'
            ) from error

    def _check_centers_of_mass(self) -> None:
        if "body_ipos" in self._expanded_views:
            offset = self.model.body_ipos - self.get_default_field("body_ipos")
            farthest = offset.norm(dim=-1).amax()
            if farthest > FRAME_MARGIN:
                raise UserError(
                    f"body_ipos: a centre of mass lies {farthest:.2f} m from the model's, native "
                    f"physics finds contacts up to {FRAME_MARGIN} m; narrow its event's range"
                )


def _num_threads() -> int:
    text = os.environ.get(NUM_THREADS_VARIABLE)
    if text is None:
        processes_here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # set by torchrun
        return max(1, available_cores() // processes_here)
    if not text.isdecimal() or int(text) == 0:
        raise UserError(f"{NUM_THREADS_VARIABLE}={text!r}: expected a whole number from 1 up")
    return int(text)


def _silence_warnings() -> None:
    """Keep MuJoCo from writing a log file into the working directory for every unstable world."""
    log = mujoco.MjLogConfig.get()
    log.logto_file = False
    log.logto_console = False
    log.set()


def _loosen_bounding_boxes(model: mujoco.MjModel) -> None:
    """Make the bounding boxes of moving bodies hold for any inertial frame near the model's.

    MuJoCo attaches a body's tree of bounding boxes to its inertial frame and compiles it once for
    all worlds. Moving that frame, as randomised masses do, would move the boxes off the geoms and
    lose contacts with ground of many geoms. A cube about the frame's origin bounds any rotation.
    """
    for body in np.flatnonzero(model.body_weldid):
        start = model.body_bvhadr[body]
        for node in range(start, start + model.body_bvhnum[body]):
            center, half_size = model.bvh_aabb[node].reshape(2, 3)
            reach = np.linalg.norm(center) + np.linalg.norm(half_size) + FRAME_MARGIN
            center[:], half_size[:] = 0.0, reach
