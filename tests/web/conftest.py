"""A site of a shipped policy; what runs it is not on every machine."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rl_sim_env.web.packages import packages_folder
from rl_sim_env.web.site import write_site
from shipped import shipped


@pytest.fixture(scope="session")
def packages() -> Path:
    folder = packages_folder()
    if not folder.is_dir():
        pytest.skip(f"no npm packages in {folder}: make web installs them")
    return folder


@pytest.fixture(scope="session")
def site(packages, tmp_path_factory) -> Path:
    """Folder of the page of the robot with a boom."""
    folder = tmp_path_factory.mktemp("site")
    write_site(folder, *shipped("grq20_v2d3"), packages)
    return folder


@pytest.fixture(scope="session")
def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("no node")
    return found
