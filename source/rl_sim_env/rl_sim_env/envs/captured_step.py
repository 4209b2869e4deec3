"""A control step recorded once as a CUDA graph, and replayed ever after."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from rl_sim_env.envs.host_reads import HostReads
from rl_sim_env.errors import UserError
from rl_sim_env.simulation import WarpSimulation

_logger = logging.getLogger(__name__)

_WARM_UP_STEPS = 3
"""Steps that run as they are before one is recorded: first calls allocate and compile."""


class CapturedStep:
    """Runs a function of the actions on the device: at first as it is, then from its recording.

    A step that waits for the host, or copies from it, cannot be recorded. It goes on running as it
    is, and a warning names the lines.

    Args:
        body: The step: actions to results. Everything it keeps from step to step lives in tensors
            that it writes in place.
        sim: The physics that it runs.

    Raises:
        UserError: The recording failed in a way that the look for such places did not foresee.
    """

    def __init__(self, body: Callable[[torch.Tensor], Any], sim: WarpSimulation) -> None:
        self._body = body
        self._sim = sim
        self._graph: torch.cuda.CUDAGraph | None = None
        self._steps = 0
        self._places: set[str] = set()
        self._action = torch.empty(0)
        self._results: Any = None

    def __call__(self, action: torch.Tensor) -> Any:
        """One step; its results are the caller's to keep."""
        if self._graph is not None:
            self._action.copy_(action)
            self._graph.replay()
            return pytree.tree_map_only(torch.Tensor, torch.clone, self._results)
        self._steps += 1
        if self._places or self._steps < _WARM_UP_STEPS:
            return self._body(action)
        if self._steps == _WARM_UP_STEPS:
            return self._check(action)
        self._record(action)
        return self(action)

    def _check(self, action: torch.Tensor) -> Any:
        """Run a step and look for what a recording could not hold."""
        with HostReads() as reads:
            results = self._body(action)
        self._places = reads.places
        if self._places:
            _logger.warning(
                "the control step is not recorded as a CUDA graph and runs several times slower, "
                "because it waits for the host here: %s. Write these terms without such reads.",
                "; ".join(sorted(self._places)),
            )
        return results

    def _record(self, action: torch.Tensor) -> None:
        self._action = action.clone()
        graph = torch.cuda.CUDAGraph()
        stream = torch.cuda.Stream(self._action.device)
        stream.wait_stream(torch.cuda.current_stream(self._action.device))
        try:
            with (
                torch.cuda.graph(graph, stream=stream),
                self._sim.recording(),
                NumbersOnDevice(),
            ):
                self._results = self._body(self._action)
        except RuntimeError as error:
            raise UserError(
                f"the control step cannot be recorded as a CUDA graph: {_first_cause(error)}; "
                "write that line without copies between host and device, or set "
                "env.capture_step=False"
            ) from error
        self._graph = graph


class NumbersOnDevice(TorchFunctionMode):
    """While active, ``tensor[ids] = number`` takes the number from the tensor's own device.

    Torch would copy it from the host, which a recording cannot hold.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation."""
        if func is torch.Tensor.__setitem__ and isinstance(args[2], bool | int | float):
            target, place, number = args
            args = target, place, target.new_full((), number)
        return func(*args, **(kwargs or {}))


def _first_cause(error: BaseException) -> str:
    """What went wrong first, and in which line outside torch.

    A recording that breaks off fails once more when it is closed.
    """
    while error.__context__ is not None:
        error = error.__context__
    frames = traceback.extract_tb(error.__traceback__)
    frame = [f for f in frames if "/torch/" not in f.filename][-1]
    return f"{str(error).partition(chr(10))[0]} at {frame.filename}:{frame.lineno}"
