"""Training curves as a picture."""

from __future__ import annotations

import pytest
from torch.utils.tensorboard import SummaryWriter

from rl_sim_env.cli.curves import main, panels_of


def test_the_curves_of_a_run_become_a_picture(tmp_path, capsys):
    with SummaryWriter(str(tmp_path)) as writer:
        for panel in panels_of(tmp_path)[:-1]:  # one curve may be missing
            for iteration in range(3):
                writer.add_scalar(panel.metric, iteration, iteration)
    main([str(tmp_path)])
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_that_was_resumed_goes_on_where_it_stopped(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("matplotlib.axes.Axes.plot", lambda self, x, y: drawn.append((x, y)))
    tag = panels_of(tmp_path)[0].metric
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder, begin in zip(folders, (600.0, 9000.0), strict=True):
        with SummaryWriter(str(folder)) as writer:
            for minute in range(3):
                writer.add_scalar(tag, begin, minute, walltime=begin + 60.0 * minute)
    main([*map(str, folders), "--output", str(tmp_path / "curves.png")])
    assert drawn[0] == ([0.0, 1.0, 2.0, 2.0, 3.0, 4.0], [600.0] * 3 + [9000.0] * 3)


def test_what_a_run_has_no_curve_of_gets_no_panel(tmp_path, monkeypatch):
    titles = []
    monkeypatch.setattr(
        "matplotlib.axes.Axes.set_title", lambda self, title, **_: titles.append(title)
    )
    here = panels_of(tmp_path)[0]
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_scalar(here.metric, 1.0, 0)
    main([str(tmp_path)])
    assert titles == [here.title]


def test_a_run_without_any_of_the_curves_is_refused(tmp_path, capsys):
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_scalar("something/else", 1.0, 0)
    with pytest.raises(SystemExit):
        main([str(tmp_path)])
    assert "hold nothing that is drawn" in capsys.readouterr().err


def test_a_folder_is_no_place_for_a_picture(tmp_path, capsys):
    with SummaryWriter(str(tmp_path)):
        pass
    for output in (tmp_path, tmp_path / "curves"):
        with pytest.raises(SystemExit):
            main([str(tmp_path), "--output", str(output)])
        assert "give a file for the picture" in capsys.readouterr().err


def test_no_folder_is_refused(capsys):
    with pytest.raises(SystemExit):
        main([])
    assert "give the folder of a run" in capsys.readouterr().err


def test_a_folder_without_curves_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main([str(tmp_path)])
    assert end.value.code == 2
    assert "no TensorBoard curves" in capsys.readouterr().err
