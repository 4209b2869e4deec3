"""A model that reads a map through convolutions, too: at first it is as without."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from rsl_rl.models import MLPModel
from tensordict import TensorDict

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


@pytest.mark.parametrize(
    ("groups", "settings"),
    [(["frame"], {}), (GROUPS, {"grid": (FORWARD, LEFT + 4)}), (GROUPS, {"map_group": "frame"})],
    ids=["not read", "another grid", "no map"],
)
def test_what_is_no_map_is_refused(groups: list[str], settings: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"settings\.map_group .* settings\.grid"):
        _model(MapModel, groups, **{**SETTINGS, **settings})
