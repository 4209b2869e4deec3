"""Other policies on the page."""

from __future__ import annotations

from pathlib import Path

import pytest

from rl_sim_env.errors import UserError
from rl_sim_env.viewer.policy_panel import PERIOD, PolicyPanel, PolicySource
from rl_sim_env.viewer.view import View


class Shelf:
    """A folder of checkpoints, and what was taken from it."""

    def __init__(self, folder: Path, server) -> None:
        self.folder = folder
        self.walking: list[str] = []
        self.asked = []
        self.add("model_1.pt")
        source = PolicySource(folder / "model_1.pt", self.load)
        self.panel = PolicyPanel(View(server, self.asked.append), source, self.walking.append)
        self.now = 0.0

    def add(self, name: str) -> None:
        (self.folder / name).touch()

    def load(self, path: Path):
        if not path.is_file():
            raise UserError(f"{path}: no such file")
        return path.name

    def look(self) -> None:
        self.now += PERIOD
        self.panel.update(self.now)
        while self.asked:
            self.asked.pop(0)()


@pytest.fixture
def shelf(tmp_path, server) -> Shelf:
    return Shelf(tmp_path, server)


def test_new_checkpoints_are_listed_and_taken_when_wanted(shelf):
    shelf.add("model_20.pt")
    shelf.add("model_3.pt")
    shelf.add("notes.txt")
    shelf.look()
    assert shelf.panel.choice.options == ("model_20.pt", "model_3.pt", "model_1.pt")
    assert shelf.walking == [] and shelf.panel.choice.value == "model_1.pt"
    shelf.panel.newest.value = True
    shelf.look()
    shelf.look()
    assert shelf.walking == ["model_20.pt"]
    shelf.add("model_100.pt")
    shelf.look()
    assert shelf.walking == ["model_20.pt", "model_100.pt"]
    assert shelf.panel.choice.value == "model_100.pt"


def test_a_training_is_watched_from_the_start(tmp_path, server):
    (tmp_path / "model_1.pt").touch()
    source = PolicySource(tmp_path / "model_1.pt", lambda path: path.name, watch=True)
    taken = []
    panel = PolicyPanel(View(server, lambda change: change()), source, taken.append)
    (tmp_path / "model_2.pt").touch()
    panel.update(PERIOD)
    assert taken == ["model_2.pt"]


def test_a_checkpoint_that_vanishes_is_told_and_the_policy_walks_on(shelf):
    shelf.add("model_2.pt")
    shelf.look()
    shelf.panel.ask_for("model_2.pt")
    (shelf.folder / "model_2.pt").unlink()
    with pytest.raises(UserError, match=r"model_2\.pt: no such file"):
        shelf.asked.pop()()
    assert shelf.walking == [] and shelf.panel.choice.value == "model_1.pt"
    shelf.folder.joinpath("model_1.pt").unlink()
    shelf.folder.rmdir()
    shelf.look()


def test_a_page_cannot_ask_for_other_files(shelf):
    shelf.panel.ask_for("../../etc/passwd")
    assert not shelf.asked


def test_another_policy_walks_on_where_the_first_one_was(policy_player):
    policy_player.reset()
    for _ in range(3):
        policy_player.advance()
    before = policy_player.env.robot.data.root_link_pos_w.clone()
    policy_player.exchange(policy_player.policy)
    assert policy_player.env.robot.data.root_link_pos_w.equal(before)
    assert policy_player.env.episode_length_buf.tolist() == [3, 3]
    policy_player.advance()
