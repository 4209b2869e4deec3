from __future__ import annotations

import pytest

from rl_sim_env.cli.settings import main


def test_settings_are_listed_as_they_may_be_written_behind_a_command(capsys):
    main(["gamma", "algorithm"])
    assert "agent.algorithm.gamma=0.99\n" in capsys.readouterr().out


def test_a_word_that_no_path_has_is_told_with_the_nearest_name(capsys):
    with pytest.raises(SystemExit):
        main(["gama"])
    assert "no setting has gama in its path; gama: did you mean gamma?" in capsys.readouterr().err
