"""The frames of a stacked observation group over a rollout, each kept once."""

from __future__ import annotations

import torch


class FrameRecord:
    """Keeps what a group of stacked frames showed in every step, without the repetitions.

    Its tensor stays where it is, so that a CUDA graph may read it.

    Args:
        num_envs: Number of environments N.
        num_steps: Control steps of a rollout T.
        length: Frames in a stack L; 1 for a group without history.
        width: Elements of a frame.
        device: Where the frames live.

    Attributes:
        frames: The L - 1 frames before the rollout, then one of each step.
            Shape (L - 1 + T, N, width).
    """

    def __init__(self, num_envs: int, num_steps: int, length: int, width: int, device: str) -> None:
        self._length = length
        self.frames = torch.zeros(length - 1 + num_steps, num_envs, width, device=device)

    def add(self, step: int, stack: torch.Tensor) -> None:
        """Keep the frames of a step.

        Args:
            step: Place of the step in the rollout.
            stack: Frames that were shown, oldest first, shape (N, L, width).
        """
        if step == 0:
            self.frames[: self._length] = stack.transpose(0, 1)
        else:
            self.frames[self._length - 1 + step] = stack[:, -1]

    def stacks(self, begins: torch.Tensor, envs: torch.Tensor) -> torch.Tensor:
        """What the group showed, over the whole time of some environments.

        Args:
            begins: Whether a step is the first of its episode, shape (T, B).
            envs: Which environments, shape (B,).

        Returns:
            Stacked frames, shape (T, B, L width).
        """
        return self.frames[self._read_in(begins), envs[:, None]].flatten(2)

    def _read_in(self, begins: torch.Tensor) -> torch.Tensor:
        """Which of the frames were shown in each step, oldest first; shape (T, B, L)."""
        newest = torch.arange(self._length - 1, len(self.frames), device=begins.device)
        # An episode's first frame stands for those that there were before it.
        first = torch.where(begins, newest[:, None], 0).cummax(dim=0).values
        ages = torch.arange(self._length - 1, -1, -1, device=begins.device)
        return torch.maximum((newest[:, None] - ages)[:, None], first[:, :, None])
