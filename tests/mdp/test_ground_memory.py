"""What is kept of maps: where it is, how high, how long, and that nothing else is shown for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import pytest
import torch

from rl_sim_env.geometry import turned
from rl_sim_env.mdp.exteroception_cfg import MapCfg
from rl_sim_env.mdp.ground_memory import GroundMemory

CFG = MapCfg()
STEP_AT, STEP = 0.75, 0.1
"""Where the ground rises along x, and by how much [m]."""
Pose = tuple[float, float, float]
"""Along x and y [m], and the heading [rad]."""
Ground = Callable[[torch.Tensor], torch.Tensor]
"""Heights of places, shape (..., 2), in the world [m]."""


class Walker:
    """A robot that sees what is from 0.4 m on before it, and whose base goes up and down."""

    def __init__(self, keep: float = 100.0, pose: Pose = (0.0, 0.0, 0.0)) -> None:
        self.memory = GroundMemory(CFG, keep, 1, "cpu")
        forward, left = (torch.tensor(side) for side in CFG.centers())
        y, x = torch.meshgrid(left, forward, indexing="ij")
        self.cells = torch.stack((x.flatten(), y.flatten()), dim=-1)
        self.now = 0.0
        self.pose = pose

    @property
    def places(self) -> torch.Tensor:
        """Of its map's cells in the world, shape (cells, 2)."""
        x, y, yaw = self.pose
        return turned(self.cells, torch.tensor(yaw)) + torch.tensor((x, y))

    def scan(self, ground: Ground = lambda xy: STEP * (xy[:, 0] > STEP_AT)) -> None:
        """Take in a map of where it is; a tenth of a second passes."""
        self._store(ground, self.cells[:, 0] > 0.4)

    def fail(self) -> None:
        """Take in an empty map."""
        self._store(lambda xy: torch.zeros(len(xy)), torch.zeros(CFG.num_cells, dtype=torch.bool))

    def _store(self, ground: Ground, seen: torch.Tensor) -> None:
        x, y, yaw = self.pose
        base = 0.4 + 0.03 * math.sin(20.0 * self.now)
        pose = torch.tensor([[x, y, base, yaw]])
        shown = torch.stack(((ground(self.places) - base) * seen, seen.float()))[None]
        sighted = torch.tensor([self.now])
        self.memory.store(torch.tensor([0]), shown, pose, sighted, pose[:, :3])
        self.now += 0.1

    def walk(self, way: Iterable[Pose]) -> None:
        """Scan wherever it gets to."""
        for self.pose in way:
            self.scan()

    def known(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Places and heights of the cells that it knows, shape (cells, 2) and (cells,)."""
        heights, known = self.memory.recall(self.places[None], torch.tensor([self.now]))
        return self.places[known[0]], heights[0][known[0]]


def _require_the_step(walker: Walker) -> None:
    """It is known about the robot, where it is and as high as it is."""
    places, heights = walker.known()
    assert len(places) > 0.6 * CFG.num_cells
    near = (places - torch.tensor(walker.pose[:2])).norm(dim=-1) < 0.35
    assert near.sum() > 60
    beyond = places[:, 0] - STEP_AT
    is_up = heights > STEP / 2
    torch.testing.assert_close(heights, STEP * is_up, atol=1e-6, rtol=0.0)
    # The nearest of the map's cells, and of the world's: half of one each at most, along each axis.
    sure = beyond.abs() > CFG.resolution * math.sqrt(2.0)
    assert sure.any() and torch.equal(is_up[sure], beyond[sure] > 0.0)
    # Where it seems to be, from what is up of a strip of half a metre to both sides.
    strip = (beyond.abs() < 0.25) & near
    found = 0.25 - 0.5 * is_up[strip].float().mean()
    assert abs(found - (0.25 - 0.5 * (beyond[strip] > 0.0).float().mean())) < CFG.resolution / 2


AHEAD = [(0.05 * step, 0.0, 0.0) for step in range(16)]
"""Until the step is below the base, long out of sight."""


def test_a_step_that_was_walked_past_is_known_where_it_is():
    walker = Walker()
    walker.walk(AHEAD)
    _require_the_step(walker)


def test_it_is_known_after_a_turn_on_the_spot():
    walker = Walker()
    walker.walk(AHEAD)
    for quarter in (math.pi / 8, math.pi / 4, 3 * math.pi / 8, math.pi / 2):
        walker.pose = (0.75, 0.0, quarter)
        _require_the_step(walker)
        walker.scan()
    _require_the_step(walker)


def test_slow_steps_are_not_rounded_away():
    walker = Walker()
    walker.walk((0.05 * step, 0.0, 0.3) for step in range(8))
    # A third of a cell each, which by nearest cells is none.
    walker.walk((0.35 + 0.02 * step, 0.0, 0.3) for step in range(1, 21))
    _require_the_step(walker)


def test_what_was_seen_is_forgotten_after_its_time_and_not_before():
    walker = Walker(keep=2.0)
    walker.scan()
    for now, is_known in ((1.9, True), (2.1, False)):
        walker.now = now
        assert (len(walker.known()[0]) > 0) == is_known


def test_a_later_map_replaces_what_it_shows_and_nothing_else():
    walker = Walker()
    walker.walk(AHEAD[:4])
    places, before = walker.known()
    walker.scan(lambda xy: torch.full((len(xy),), 0.3))
    again, after = walker.known()
    assert torch.equal(places, again)
    is_seen = (places[:, 0] - 0.15) > 0.4 + CFG.resolution
    is_hidden = (places[:, 0] - 0.15) < 0.4 - CFG.resolution
    assert (after[is_seen] - 0.3).abs().max() < 1e-6
    assert torch.equal(after[is_hidden], before[is_hidden])


@pytest.mark.parametrize("way", [(1.0, 0.0), (0.0, -1.0), (-0.8, 0.6)])
def test_cells_of_another_place_are_not_shown(way):
    walker = Walker()
    walker.scan()
    x, y = way
    there = [0.05 * step for step in range(61)]
    for gone in (*there, *reversed(there)):
        walker.pose = (gone * x, gone * y, 0.4)
        walker.fail()
        forward, left = walker.known()[0].unbind(dim=-1)
        # Nothing but what was seen from the start, to a cell.
        assert ((forward > 0.4 - 0.09) & (forward < 0.9 + 0.09)).all()
        assert (left.abs() < 0.48 + 0.09).all()
        if gone == there[-1]:
            assert len(forward) == 0
    # Nor does what has left the window come back.
    assert len(walker.known()[0]) == 0


def test_robots_that_there_are_not_leave_others_alone():
    memory = GroundMemory(CFG, 10.0, 2, "cpu")
    shown = torch.ones(1, 2, CFG.num_cells)
    memory.store(torch.tensor([2]), shown, torch.zeros(1, 4), torch.zeros(1), torch.zeros(1, 3))
    _, known = memory.recall(torch.zeros(2, 1, 2), torch.ones(2))
    assert not known.any()
    memory.store(torch.tensor([1]), shown, torch.zeros(1, 4), torch.zeros(1), torch.zeros(1, 3))
    _, known = memory.recall(torch.zeros(2, 1, 2), torch.ones(2))
    assert known.flatten().tolist() == [False, True]
    memory.reset(torch.tensor([1]))
    assert not memory.recall(torch.zeros(2, 1, 2), torch.ones(2))[1].any()
