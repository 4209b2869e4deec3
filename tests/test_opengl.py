"""The choice of OpenGL."""

from __future__ import annotations

import os

import pytest

from rl_sim_env import opengl


@pytest.fixture
def undecided(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv(opengl.VARIABLE, raising=False)


def chosen() -> str | None:
    opengl.choose_opengl()
    return os.environ.get(opengl.VARIABLE)


def test_user_decides(monkeypatch):
    monkeypatch.setenv(opengl.VARIABLE, "glfw")
    assert chosen() == "glfw"


@pytest.mark.usefixtures("undecided")
def test_nothing_is_chosen_where_nothing_can_be_loaded(monkeypatch):
    monkeypatch.setattr(opengl, "_LIBRARIES", {"egl": (("NoSuchLibrary",),)})
    assert chosen() == "disabled"


@pytest.mark.usefixtures("undecided")
def test_first_kind_is_chosen_whose_libraries_can_all_be_loaded(monkeypatch):
    kinds = {
        "egl": (("c",), ("NoSuchLibrary",)),
        "osmesa": (("NoSuchLibrary", "c"), ("m",)),
        "glfw": (("c",),),
    }
    monkeypatch.setattr(opengl, "_LIBRARIES", kinds)
    assert chosen() == "osmesa"
