"""What maps have shown of the ground around robots, kept for a while."""

from __future__ import annotations

import math

import torch

from rl_sim_env.geometry import turned
from rl_sim_env.mdp.exteroception_cfg import MapCfg
from rl_sim_env.mdp.line_of_sight import read_maps

_NEVER = -math.inf
"""When a cell was seen that is not known [s]."""


class GroundMemory:
    """Cells of the world around each robot, as odometry has it: they neither turn nor move with it.

    A grid that moved along would be resampled again and again, and by nearest cells a motion of
    less than half a cell is none. These cells stay where they are; the window that is kept of them
    moves. It is a torus, as in mapping software: a cell has the same slot wherever the window is,
    and what comes in on one side takes the slots of what goes out on the other. All maps of the
    grid fit into it, however the robot is turned.

    Args:
        cfg: The maps.
        keep: How long a cell stays known that has been seen [s].
        num_envs: Number of robots.
        device: Where it is kept.
    """

    def __init__(self, cfg: MapCfg, keep: float, num_envs: int, device: str) -> None:
        self._cfg, self._keep = cfg, keep
        reach = math.hypot(*(max(map(abs, side)) for side in cfg.centers()))
        self._half = math.ceil(reach / cfg.resolution) + 1
        self._side = 2 * self._half + 1
        self._slots = torch.arange(self._side, device=device)[:, None]
        # The row behind the last takes what is stored of robots that there are not.
        shape = (num_envs + 1, self._side**2)
        self._heights = torch.zeros(shape, device=device)
        self._sighted = torch.full(shape, _NEVER, device=device)
        self._first = torch.zeros(num_envs + 1, 2, dtype=torch.long, device=device)

    def reset(self, ids: torch.Tensor | slice) -> None:
        """Forget all that some robots have seen."""
        self._sighted[:-1][ids] = _NEVER

    def state_dict(self) -> dict[str, torch.Tensor]:
        """What is known, since when, and the first cell of each window."""
        return {
            "heights": self._heights[:-1],
            "sighted": self._sighted[:-1],
            "first": self._first[:-1],
        }

    def store(
        self,
        rows: torch.Tensor,
        shown: torch.Tensor,
        pose: torch.Tensor,
        sighted: torch.Tensor,
        position: torch.Tensor,
    ) -> None:
        """Take in what maps of some robots show, and move their windows to where these are.

        Cells ask for the nearest of the map: were those of the map to tell where they belong, it
        would be left to chance which of two in one cell counts.

        Args:
            rows: The robots, shape (B,); their number stands for none.
            shown: Heights over the base, and whether they are seen, shape (B, 2, map cells).
            pose: Position [m] and heading [rad] of the base at the scan, shape (B, 4).
            sighted: Time of the scan [s], shape (B,).
            position: Of the base now, in the world [m], shape (B, 3).
        """
        first = self._cell_at(position[:, :2]) - self._half
        cells = self._window(first)
        x, y = (cells * self._cfg.resolution).unbind(dim=-1)
        places = torch.stack(torch.broadcast_tensors(x[:, None], y[:, :, None]), dim=-1)
        ahead = turned(places.flatten(1, 2) - pose[:, None, :2], -pose[:, 3:])
        found, seen = read_maps(self._cfg, shown, ahead)
        is_seen = seen > 0.5
        # Slots that are another cell's now.
        is_new = cells != self._window(self._first[rows])
        is_new = (is_new[:, None, :, 0] | is_new[:, :, None, 1]).flatten(1)
        before = self._sighted[rows].masked_fill(is_new, _NEVER)
        self._sighted[rows] = torch.where(is_seen, sighted[:, None], before)
        self._heights[rows] = torch.where(is_seen, found + pose[:, 2:3], self._heights[rows])
        self._first[rows] = first

    def recall(self, places: torch.Tensor, now: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What is known at places around all robots.

        Args:
            places: In the world [m], shape (num_envs, points, 2).
            now: Their times [s], shape (num_envs,).

        Returns:
            Heights as those of :meth:`store` would be over a base at height 0 [m], and whether they
            are known, bool. Shape (num_envs, points) each.
        """
        cells = self._cell_at(places)
        within = cells - self._first[:-1, None]
        inside = ((within >= 0) & (within < self._side)).all(dim=-1)
        column, row = cells.remainder(self._side).unbind(dim=-1)
        slot = row * self._side + column
        age = now[:, None] - self._sighted[:-1].gather(1, slot)
        return self._heights[:-1].gather(1, slot), inside & (age < self._keep)

    def _cell_at(self, places: torch.Tensor) -> torch.Tensor:
        """Cells of the world, counted along x and y, at places in it [m]; shape as they have."""
        return (places / self._cfg.resolution).round().long()

    def _window(self, first: torch.Tensor) -> torch.Tensor:
        """Which cell each slot has along x and y, (B, side, 2), of windows from a cell on."""
        return first[:, None] + (self._slots - first[:, None]).remainder(self._side)
