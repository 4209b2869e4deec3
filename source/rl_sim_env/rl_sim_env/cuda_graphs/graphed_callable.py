"""A function on the device, captured once as a CUDA graph and replayed ever after."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from rl_sim_env.compat.torch import pytree
from rl_sim_env.cuda_graphs.host_reads import HostReads
from rl_sim_env.errors import UserError

_logger = logging.getLogger(__name__)

_WARM_UP_CALLS = 3
"""Calls that run as they are before one is captured: first calls allocate and compile."""

Tree = Any
"""Tensors in nested containers; what is no tensor must be the same in every call."""


class GraphedCallable:
    """Runs a function of tensors: at first as it is, then from its CUDA graph.

    Named after :func:`torch.cuda.make_graphed_callables`, which serves modules alone.

    A function that waits for the host, or copies from it, cannot be captured. It goes on running as
    it is, and a warning names the lines.

    Args:
        body: The function. Tensors have the same shapes in every call, and everything it keeps from
            call to call lives in tensors that it writes in place.
        what: What it does, for messages: "the control step".
        setting: Setting that turns the capture off, for messages.
        around: Makes the context that a capture needs besides torch's own.
        own_stream: Whether the first calls run on the stream of the capture. Gradients need that:
            torch adds them up on the stream where it first met their parameters.

    Raises:
        UserError: The capture failed in a way that the look for such places did not foresee.
    """

    def __init__(
        self,
        body: Callable[[Tree], Tree],
        *,
        what: str,
        setting: str,
        around: Callable[[], AbstractContextManager[None]] = nullcontext,
        own_stream: bool = False,
    ) -> None:
        self._body = body
        self._what = what
        self._setting = setting
        self._around = around
        self._warm_up = self._on_own_stream if own_stream else nullcontext
        self._stream: torch.cuda.Stream | None = None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._calls = 0
        self._places: set[str] = set()
        self._inputs: Tree = None
        self._results: Tree = None

    def __call__(self, inputs: Tree) -> Tree:
        """Run it once; the results are the caller's to keep."""
        if self._graph is not None:
            return self._replay(inputs)
        self._calls += 1
        if self._places or self._calls < _WARM_UP_CALLS:
            with self._warm_up():
                return self._body(inputs)
        if self._calls == _WARM_UP_CALLS:
            return self._check(inputs)
        self._capture(inputs)
        return self._replay(inputs)

    def forget(self) -> None:
        """Give up what is captured, and its memory; the next calls begin anew.

        A group of processes cannot end before: NCCL waits for graphs that hold an exchange of
        its own, for ever if they are left to the garbage collector.
        """
        if self._graph is not None:
            self._graph.reset()
        self._graph = self._inputs = self._results = None
        self._calls = 0

    def _check(self, inputs: Tree) -> Tree:
        """Run it and look for what a graph could not hold."""
        with self._warm_up(), HostReads() as reads:
            results = self._body(inputs)
        self._places = reads.places
        if self._places:
            _logger.warning(
                "%s is not captured as a CUDA graph and runs several times slower, because it "
                "waits for the host here: %s. Write these lines without such reads.",
                self._what,
                "; ".join(sorted(self._places)),
            )
        return results

    def _capture(self, inputs: Tree) -> None:
        self._inputs = pytree.tree_map_only(torch.Tensor, torch.clone, inputs)
        graph, stream = torch.cuda.CUDAGraph(), self._get_stream()
        stream.wait_stream(torch.cuda.current_stream())
        try:
            with torch.cuda.graph(graph, stream=stream), self._around(), NumbersOnDevice():
                self._results = self._body(self._inputs)
        except RuntimeError as error:
            raise UserError(
                f"{self._what} cannot be captured as a CUDA graph: {_first_cause(error)}; write "
                f"that line without copies between host and device, or set {self._setting}=False"
            ) from error
        self._graph = graph

    def _replay(self, inputs: Tree) -> Tree:
        assert self._graph is not None
        for mine, given in zip(*map(pytree.tree_leaves, (self._inputs, inputs)), strict=True):
            if torch.is_tensor(mine):
                mine.copy_(given)
        self._graph.replay()
        return pytree.tree_map_only(torch.Tensor, torch.clone, self._results)

    @contextmanager
    def _on_own_stream(self) -> Iterator[None]:
        mine, callers = self._get_stream(), torch.cuda.current_stream()
        mine.wait_stream(callers)
        with torch.cuda.stream(mine):
            yield
        callers.wait_stream(mine)

    def _get_stream(self) -> torch.cuda.Stream:
        if self._stream is None:
            self._stream = torch.cuda.Stream()
        return self._stream


class NumbersOnDevice(TorchFunctionMode):
    """While active, ``tensor[ids] = number`` takes the number from the tensor's own device.

    Torch would copy it from the host, which a graph cannot hold.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation."""
        if func is torch.Tensor.__setitem__ and isinstance(args[2], bool | int | float):
            target, place, number = args
            args = target, place, target.new_full((), number)
        return func(*args, **(kwargs or {}))


def _first_cause(error: BaseException) -> str:
    """What went wrong first, and in which line outside torch.

    A capture that breaks off fails once more when it is closed.
    """
    while error.__context__ is not None:
        error = error.__context__
    frames = traceback.extract_tb(error.__traceback__)
    frame = [f for f in frames if "/torch/" not in f.filename][-1]
    return f"{str(error).partition(chr(10))[0]} at {frame.filename}:{frame.lineno}"
