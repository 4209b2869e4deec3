"""Films and replays from the page."""

from __future__ import annotations

import imageio_ffmpeg
import pytest

from rl_sim_env.errors import UserError
from rl_sim_env.viewer.play_viewer import PlayViewer
from rl_sim_env.viewer.record_panel import KINDS, RecordPanel
from rl_sim_env.viewer.recorder import FILM_SIZE, GIF_SIZE


@pytest.fixture
def viewer(policy_player, server, tmp_path):
    policy_player.reset()
    viewer = PlayViewer(policy_player, server)
    viewer.setup()
    viewer.record = RecordPanel(viewer.view, policy_player, tmp_path / "films")
    yield viewer
    viewer.close()
    policy_player.env.velocity_command.steer(None)


def record(viewer: PlayViewer, kind: str, *, steps: int):
    viewer.record.kind.value = kind
    viewer.record.start()
    for _ in range(steps):
        viewer.advance()
        viewer.show()
    return viewer.record.stop()


@pytest.mark.usefixtures("opengl")
@pytest.mark.parametrize(
    ("kind", "size", "frames"), (("film (MP4)", FILM_SIZE, 5), ("film (GIF)", GIF_SIZE, 3))
)
def test_a_film_lasts_as_long_as_what_it_shows(viewer, kind, size, frames):
    path = record(viewer, kind, steps=10)
    reader = imageio_ffmpeg.read_frames(str(path))
    facts = next(reader)
    assert facts["size"] == size
    assert len(list(reader)) / facts["fps"] == pytest.approx(frames / facts["fps"])
    assert frames / facts["fps"] == pytest.approx(0.2, abs=0.05)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_replay_is_one_page_with_all_pictures(viewer):
    short = record(viewer, "replay (HTML)", steps=1).stat().st_size
    path = record(viewer, "replay (HTML)", steps=30)
    assert path.read_text()[:200].lstrip().lower().startswith("<!doctype html")
    assert path.stat().st_size > short


def test_recordings_of_one_second_have_names_of_their_own(viewer):
    paths = [record(viewer, "replay (HTML)", steps=1) for _ in range(3)]
    assert sorted(paths[0].parent.iterdir()) == sorted(set(paths)) and len(set(paths)) == 3


@pytest.mark.usefixtures("opengl")
def test_what_is_not_saved_leaves_nothing(viewer):
    for kind in KINDS:
        viewer.record.kind.value = kind
        viewer.record.start()
        viewer.advance()
        viewer.close()
        assert viewer.record.recorder is None
    assert list(viewer.record._folder.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(viewer, tmp_path):
    (tmp_path / "file").touch()
    panel = RecordPanel(viewer.view, viewer.player, tmp_path / "file" / "films")
    with pytest.raises(UserError, match="cannot be made"):
        panel.start()
    assert panel.recorder is None
