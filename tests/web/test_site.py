"""The folder that ``rl-sim-env web`` writes."""

from __future__ import annotations

import json
import re
import resource
from pathlib import Path

import pytest

from pages import ROOT
from rl_sim_env.cli import main
from rl_sim_env.errors import UserError
from rl_sim_env.evaluation.grid import TERRAINS
from rl_sim_env.web.packages import PAGE, install_packages, packages_folder
from rl_sim_env.web.site import size_on_the_line, write_site
from shipped import shipped

POLICY = ROOT / "policies" / "grq20_v2d3" / "policy.onnx"


def test_the_folder_is_complete_and_names_no_other_place(site, packages):
    texts = [file for file in site.iterdir() if file.suffix in (".html", ".js", ".css", ".json")]
    for file in texts:
        content = file.read_text()
        assert "http:" not in content and "https:" not in content, file.name
        assert str(ROOT) not in content and str(packages) not in content, file.name
    facts = json.loads((site / "scene.json").read_text())
    for name, size in facts["sizes"].items():
        assert next(site.rglob(name)).stat().st_size == size
    licenses = (site / "vendor" / "LICENSES.txt").read_text()
    for words in ("Apache License", "Microsoft", "three.js authors", "@mujoco/mujoco 3.14.0"):
        assert words in licenses


def test_a_robot_without_meshes_leaves_none_of_the_one_before(site, packages, tmp_path):
    for robot in ("go1", "grq20_v2d3"):
        write_site(tmp_path, *shipped(robot), packages)
    assert {file.name for file in tmp_path.iterdir()} == {file.name for file in site.iterdir()}
    assert "meshes.bin" not in json.loads((tmp_path / "scene.json").read_text())["sizes"]


def test_it_comes_within_five_seconds_on_20_megabits(site):
    assert size_on_the_line(site) * 8 / 20e6 < 4.0


def test_the_program_writes_it_and_says_how_to_look(packages, tmp_path, capsys):
    main(["web", str(POLICY), "--output", str(tmp_path / "site")])

    printed = capsys.readouterr().out
    assert f"--directory {tmp_path / 'site'}" in printed
    assert (tmp_path / "site" / "policy.onnx").read_bytes() == POLICY.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.onnx"], "none.onnx: no such file"),
        ([str(ROOT / "LICENSE"), "--output", str(ROOT / "LICENSE")], "is a file"),
        ([str(POLICY), "--mjcf", "none.xml"], "--mjcf none.xml: no such file"),
    ],
)
def test_a_slip_is_told_in_one_line(arguments, words, capsys):
    with pytest.raises(SystemExit):
        main(["web", *arguments])
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("name", ("policy.onnx", "model_1668.pt"))
def test_a_policy_that_sees_is_refused_before_anything_is_installed(
    name, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("RL_SIM_ENV_CACHE", str(tmp_path))
    policy = ROOT / "policies" / "grq20_v2d3_vit" / name
    with pytest.raises(SystemExit):
        main(["web", str(policy), "--output", str(tmp_path / "site")])
    assert f"{name}: this policy sees" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_a_damaged_policy_is_refused(packages, tmp_path, capsys):
    broken = tmp_path / "policy.onnx"
    content = bytearray(POLICY.read_bytes())
    content[len(content) // 2] ^= 1
    broken.write_bytes(content)
    with pytest.raises(SystemExit):
        main(["web", str(broken), "--output", str(tmp_path / "site")])
    assert "damaged" in capsys.readouterr().err


def test_a_disk_that_is_full_is_told_with_the_file_that_did_not_fit(packages, tmp_path):
    folder = tmp_path / "site"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(UserError, match=f"{folder}/.* make room"):
            write_site(folder, *shipped("grq20_v2d3"), packages)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_without_npm_it_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RL_SIM_ENV_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit):
        main(["web", str(POLICY), "--output", str(tmp_path / "site")])
    told = capsys.readouterr().err
    assert "no npm: install Node.js" in told and len(told.splitlines()) == 1


def test_where_npm_fails_its_reason_is_told(tmp_path, monkeypatch, capsys):
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error network is down' >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("RL_SIM_ENV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(SystemExit):
        main(["web", str(POLICY), "--output", str(tmp_path / "site")])
    assert "network is down" in capsys.readouterr().err
    assert not [*Path(tmp_path / "cache" / "page").iterdir()]


def test_of_two_programs_that_install_packages_the_first_one_wins(tmp_path, monkeypatch):
    monkeypatch.setenv("RL_SIM_ENV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    folder = packages_folder()
    npm = tmp_path / "npm"
    npm.write_text(
        f"#!/bin/sh\nmkdir -p {folder} node_modules\n"
        f"echo first > {folder}/mujoco\necho second > node_modules/mujoco\n"
    )
    npm.chmod(0o755)
    assert install_packages() == folder and (folder / "mujoco").read_text() == "first\n"
    assert [each.name for each in folder.parent.parent.iterdir()] == [folder.parent.name]


def test_packages_are_installed_once(tmp_path, monkeypatch):
    monkeypatch.setenv("RL_SIM_ENV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\nmkdir node_modules && echo whole > node_modules/mujoco\n")
    npm.chmod(0o755)
    folder = install_packages()
    npm.unlink()
    assert install_packages() == folder and (folder / "mujoco").read_text() == "whole\n"


def test_grounds_have_the_names_of_the_report():
    terrain, texts = (PAGE.joinpath(name).read_text() for name in ("terrain.js", "texts.js"))
    kinds = re.findall(r"^  (\w+): (?:null|{ least)", terrain, flags=re.MULTILINE)
    english = dict(re.findall(r'^  (\w+): "(.*)",$', texts.partition("const ZH")[0], re.MULTILINE))
    assert len(kinds) == 5 and {english[kind].lower() for kind in kinds} <= set(TERRAINS)
