"""What users get who install the package without its checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

from pages import ROOT

_BUILD = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"


def test_a_wheel_holds_all_files_of_the_package(tmp_path: Path) -> None:
    # A copy, because the build leaves folders beside the package.
    source = tmp_path / "source"
    ignored = shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
    shutil.copytree(ROOT / "source" / "rl_sim_env", source, ignore=ignored)
    files = {
        path.relative_to(source).as_posix()
        for path in (source / "rl_sim_env").rglob("*")
        if path.is_file()
    }
    subprocess.run(
        [sys.executable, "-c", _BUILD, str(tmp_path)], cwd=source, check=True, capture_output=True
    )
    (wheel,) = tmp_path.glob("*.whl")

    names = ZipFile(wheel).namelist()
    assert files - set(names) == set()
    # The terms go where the package goes, in the words of the repository.
    (terms,) = (name for name in names if name.endswith("/LICENSE"))
    assert ZipFile(wheel).read(terms) == (ROOT / "LICENSE").read_bytes()
