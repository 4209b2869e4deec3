from __future__ import annotations

import pytest
import tyro
from texts import write_amp_text

from rl_sim_env.cli.motions import MotionsCommand
from rl_sim_env.errors import UserError
from rl_sim_env.motions.clip import MotionClip
from rl_sim_env.motions.inspect import duty_factor, stride_frequency
from rl_sim_env.robots.go1 import GO1


def run(*argv: object) -> None:
    tyro.cli(MotionsCommand, args=[str(word) for word in argv]).run()


def test_generate_inspect_and_replay(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    run("generate", "--output", tmp_path / "clips")
    trot, diagram = tmp_path / "clips" / "trot_1.0.npz", tmp_path / "footfalls.png"
    run("inspect", trot, tmp_path / "clips" / "stand.npz", "--diagram", diagram)
    assert diagram.read_bytes().startswith(b"\x89PNG")
    run("replay", trot)
    printed = capsys.readouterr().out
    assert "trot_1.0" in printed and "BSD-3-Clause" in printed


def test_import_writes_a_clip(tmp_path):
    run("generate", "--output", tmp_path)
    clip = MotionClip.load(tmp_path / "trot_0.6.npz")
    text = write_amp_text(tmp_path / "trot.txt", clip)
    made = tmp_path / "imported.npz"
    run("import", text, "--format", "amp-for-hardware", "--output", made, "--licence", "mine")
    assert MotionClip.load(made).licence == "mine"
    with pytest.raises(UserError, match="laikago"):
        run(
            *("import", text, "--format", "amp-for-hardware", "--output", made),
            *("--licence", "mine", "--recorded_on", "lassie"),
        )


def test_a_motion_of_one_of_our_robots_is_brought_onto_another(tmp_path, clip):
    text, made = write_amp_text(tmp_path / "trot.txt", clip), tmp_path / "imported.npz"
    run(
        *("import", text, "--format", "amp-for-hardware", "--output", made, "--licence", "mine"),
        *("--recorded_on", "grq20_v2d3", "--robot", "go1"),
    )
    imported = MotionClip.load(made)
    assert (imported.joint_names, imported.foot_names) == (GO1.leg_joints, GO1.feet)
    # Legs of another length go as far in proportion.
    share = imported.root_lin_vel[:, 0].mean() / clip.root_lin_vel[:, 0].mean()
    assert share == pytest.approx(2 * 0.213 / 0.57, rel=0.02)
    contact = imported.foot_contact[:, [1, 0, 3, 2]]
    assert (contact == clip.foot_contact[1:-1]).mean() > 0.8


@pytest.mark.parametrize("command", ["generate", "inspect", "replay"])
def test_an_unknown_robot_lists_ours(command):
    with pytest.raises(UserError, match=r"unknown robot 'lassie'.*go1"):
        run(command, "--robot", "lassie")


def test_diagram_of_unknown_kind_is_refused(tmp_path, clip):
    clip.save(tmp_path / "clip.npz")
    with pytest.raises(UserError, match="diagram"):
        run("inspect", tmp_path / "clip.npz", "--diagram", tmp_path / "falls.nonsense")


def test_gait_figures_are_measured_from_the_contacts(clips):
    walk = clips["walk_0.4"]
    assert duty_factor(walk) == pytest.approx(0.73, abs=0.02)
    assert stride_frequency(walk) == pytest.approx(4 / walk.duration, rel=1e-6)
    assert stride_frequency(clips["stand"]) == 0.0
