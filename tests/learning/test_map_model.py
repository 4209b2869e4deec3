"""A model that reads a map through convolutions, too: at first it is as without."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from rsl_rl.models import MLPModel
from tensordict import TensorDict

from rl_sim_env.cuda_graphs import HostReads
from rl_sim_env.errors import UserError
from rl_sim_env.learning.growth import grown
from rl_sim_env.learning.map_model import MapModel

FORWARD, LEFT = 12, 8
GROUPS = ["frame", "ground"]
SETTINGS = {"map_group": "ground", "grid": (FORWARD, LEFT), "map_width": 16}


def _model(kind: type[MLPModel], groups: list[str] = GROUPS, **settings: Any) -> MLPModel:
    torch.manual_seed(0)
    widths = {"frame": 3, "ground": FORWARD * LEFT}
    example = TensorDict({name: torch.zeros(1, of) for name, of in widths.items()}, batch_size=[1])
    arguments = ({"actor": groups}, "actor", 2)
    return kind(example, *arguments, hidden_dims=(32, 16), activation="elu", **settings)


def _read(batch: int) -> TensorDict:
    groups = {"frame": torch.randn(batch, 3), "ground": torch.randn(batch, FORWARD * LEFT)}
    return TensorDict(groups, batch_size=[batch])


def test_it_begins_as_the_model_without_convolutions() -> None:
    plain, seeing, read = _model(MLPModel), _model(MapModel, **SETTINGS), _read(5)
    seeing.load_state_dict(grown(plain.state_dict(), seeing.state_dict())[0])
    torch.testing.assert_close(seeing(read), plain(read))


def test_both_it_and_what_convolutions_make_of_the_map_learn() -> None:
    model, read = _model(MapModel, **SETTINGS), _read(5)
    model.mlp.get_parameter("0.weight").data.fill_(0.1)
    model(read).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_cells_side_by_side_on_the_ground_are_so_in_the_picture() -> None:
    model, read = _model(MapModel, **SETTINGS), _read(1)
    fine: list[torch.Tensor] = []
    model.map_head[0].register_forward_hook(lambda _, __, out: fine.append(out[0, 0]))
    model(read)
    at_left, at_forward = 5, 7
    read["ground"][0, at_left * FORWARD + at_forward] += 1.0
    model(read)
    changed = (fine[1] - fine[0]).nonzero()
    assert changed.amin(dim=0).tolist() == [at_left - 1, at_forward - 1]
    assert changed.amax(dim=0).tolist() == [at_left + 1, at_forward + 1] and len(changed) == 9


@pytest.mark.parametrize("axes", [(0,), (1,), (4, 3)], ids=str)
def test_any_number_of_robots_is_read(axes: tuple[int, ...]) -> None:
    model, read = _model(MapModel, **SETTINGS), _read(math.prod(axes))
    shaped = {name: of.unflatten(0, axes) for name, of in read.items()}
    torch.testing.assert_close(model(shaped), model(read).unflatten(0, axes))


def test_a_gpu_can_record_it() -> None:
    model, read = _model(MapModel, **SETTINGS), _read(5)
    with HostReads() as reads:
        model(read).square().sum().backward()
    assert not reads.places


def test_sides_need_not_be_even() -> None:
    seeing = _model(MapModel, **{**SETTINGS, "grid": (32, 3)})
    assert seeing(_read(2)).shape == (2, 2)


@pytest.mark.parametrize(
    ("groups", "settings", "told"),
    [
        (["frame"], {}, r"agent\.actor\.settings\.map_group is 'ground', .*obs_groups: frame;"),
        (GROUPS, {"grid": (FORWARD, 9)}, r"agent\.actor\.settings\.grid is 12 x 9, .* 96 cells"),
        (GROUPS, {"map_group": "frame"}, r"settings\.grid is 12 x 8, but 'frame' has 3 cells"),
        (GROUPS, {"grid": 24}, r"agent\.actor\.settings\.grid is 24; it must be of type tuple"),
    ],
    ids=["not read", "another grid", "no map", "no grid"],
)
def test_what_is_no_map_is_refused(groups: list[str], settings: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        _model(MapModel, groups, **{**SETTINGS, **settings})
