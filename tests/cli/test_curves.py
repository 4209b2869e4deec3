"""Training curves as a picture."""

from __future__ import annotations

import pytest
from torch.utils.tensorboard import SummaryWriter

from rl_sim_env.cli.curves import PANELS, main


def test_the_curves_of_a_run_become_a_picture(tmp_path, capsys):
    with SummaryWriter(str(tmp_path)) as writer:
        for tag, _ in list(PANELS.values())[:-1]:  # one curve may be missing
            for iteration in range(3):
                writer.add_scalar(tag, iteration, iteration)
    main([str(tmp_path), "--output", str(tmp_path / "curves.png")])
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_without_curves_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main([str(tmp_path)])
    assert end.value.code == 2
    assert "no TensorBoard curves" in capsys.readouterr().err
