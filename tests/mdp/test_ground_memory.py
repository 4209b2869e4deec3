"""What is kept of maps: where it is, how high, how long, and that nothing else is shown for it."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytest
import torch

from rl_sim_env.geometry import turned
from rl_sim_env.mdp.exteroception_cfg import MapCfg
from rl_sim_env.mdp.ground_memory import GroundMemory

CFG = MapCfg()
BASE_HEIGHT = 0.4
STEP_AT, STEP = 0.75, 0.1
"""Where the ground rises along x, and by how much [m]."""
Pose = tuple[float, float, float]
"""Along x and y [m], and the heading [rad]."""


class Walker:
    """A robot that sees what is from 0.4 m on before it, and scans wherever it stops."""

    def __init__(self, keep: float = 100.0, pose: Pose = (0.0, 0.0, 0.0)) -> None:
        self.memory = GroundMemory(CFG, keep, 1, "cpu")
        forward, left = (torch.tensor(side) for side in CFG.centers())
        y, x = torch.meshgrid(left, forward, indexing="ij")
        self.cells = torch.stack((x.flatten(), y.flatten()), dim=-1)
        self.now = 0.0
        self._pose = pose

    @property
    def places(self) -> torch.Tensor:
        """Of its map's cells in the world, shape (cells, 2)."""
        x, y, yaw = self._pose
        return turned(self.cells, torch.tensor(yaw)) + torch.tensor((x, y))

    def scan(self, ground=lambda xy: STEP * (xy[:, 0] > STEP_AT)) -> None:
        heights = ground(self.places) - BASE_HEIGHT
        seen = self.cells[:, 0] > 0.4
        x, y, yaw = self._pose
        pose = torch.tensor([[x, y, BASE_HEIGHT, yaw]])
        shown = torch.stack((heights * seen, seen.float()))[None]
        sighted = torch.tensor([self.now])
        self.memory.store(torch.tensor([0]), shown, pose, sighted, pose[:, :3])
        self.now += 0.1

    def walk(self, way: Iterable[Pose], *, blind: bool = False) -> None:
        for self._pose in way:
            self.scan(*((lambda xy: torch.full((len(xy),), math.nan),) if blind else ()))

    def known(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Places and heights of the cells that it knows, shape (cells, 2) and (cells,)."""
        heights, known = self.memory.recall(self.places[None], torch.tensor([self.now]))
        return self.places[known[0]], heights[0][known[0]]


def _require_the_step(walker: Walker) -> None:
    """It is known about the robot, where it is and as high as it is."""
    places, heights = walker.known()
    assert len(places) > 0.6 * CFG.num_cells
    near = (places - torch.tensor(walker._pose[:2])).norm(dim=-1) < 0.35
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
        walker._pose = (0.75, 0.0, quarter)
        _require_the_step(walker)
        walker.scan()
    _require_the_step(walker)


def test_slow_steps_are_not_rounded_away():
    walker = Walker()
    x, y, heading = AHEAD[-1][0] - 0.4, 0.0, 0.3
    walker.walk((0.05 * step, 0.0, heading) for step in range(8))
    # A third of a cell each, which by nearest cells is none.
    walker.walk((x + 0.02 * step, y, heading) for step in range(1, 21))
    _require_the_step(walker)


def test_what_is_above_the_ground_does_not_move_with_the_base():
    walker = Walker()
    walker.scan()
    _, before = walker.known()
    heights, known = walker.memory.recall(walker.places[None], torch.tensor([walker.now]))
    assert known.any() and torch.equal(heights[0][known[0]], before)
    assert {round(height, 5) for height in before.tolist()} == {0.0, STEP}


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
    walker = Walker(pose=(0.0, 0.0, 0.4))
    walker.scan()
    known = len(walker.known()[0])
    for step in range(1, 61):
        x, y = (0.05 * step * part for part in way)
        walker._pose = (x, y, 0.4)
        # Nothing new, so that whatever is shown is old.
        seen_from_start = turned(walker.places, torch.tensor(-0.4))
        places, _ = walker.known()
        from_start = turned(places, torch.tensor(-0.4))
        in_map = (from_start[:, 0] > 0.4 - 0.09) & (from_start[:, 1].abs() < 0.48 + 0.09)
        assert in_map.all() and (from_start[:, 0] < 0.9 + 0.09).all()
        assert len(places) <= known and len(seen_from_start) == CFG.num_cells
        _store_nothing(walker)
    assert len(walker.known()[0]) == 0


def test_the_way_back_shows_no_more_than_was_left_in_the_window():
    walker = Walker()
    walker.scan()
    for x in (*(0.1 * step for step in range(31)), *(3.0 - 0.1 * step for step in range(31))):
        walker._pose = (x, 0.0, 0.0)
        _store_nothing(walker)
    assert len(walker.known()[0]) == 0


def _store_nothing(walker: Walker) -> None:
    x, y, yaw = walker._pose
    pose = torch.tensor([[x, y, BASE_HEIGHT, yaw]])
    nothing = torch.zeros(1, 2, CFG.num_cells)
    walker.memory.store(torch.tensor([0]), nothing, pose, torch.tensor([walker.now]), pose[:, :3])
    walker.now += 0.1


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
