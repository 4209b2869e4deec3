"""A real browser, without a screen and without a GPU."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from rl_sim_env.viewer.player_viewer import PlayerViewer

FLAGS = (
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)

PATIENCE = 120_000
"""How long a page may take on a busy machine [ms]: it renders without a GPU."""

WINDOW = {"width": 1000, "height": 700}


def chromium() -> str:
    """Where it is; skips the test where there is none."""
    pytest.importorskip("playwright", reason="no playwright here: pip install playwright")
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no browser here: apt-get install chromium, or set CHROMIUM to its path")
    return path


@contextlib.contextmanager
def opened() -> Iterator[Browser]:
    """A browser."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


def visit(browser: Browser, viewer: PlayerViewer, **window: int) -> Page:
    """A page of the viewer, once its panel is there."""
    page = browser.new_page(viewport={**WINDOW, **window})
    page.set_default_timeout(PATIENCE)
    page.goto(f"http://{viewer.server.get_host()}:{viewer.server.get_port()}")
    page.get_by_role("tab", name="Drive").wait_for()
    return page


def click_tab(page: Page, name: str) -> None:
    """Open a tab; its own click would wait until a slow scene stands still."""
    box = page.get_by_role("tab", name=name).bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])


@contextlib.contextmanager
def running(viewer: PlayerViewer) -> Iterator[None]:
    """The viewer at work in a thread of its own; what ends it is raised here."""
    errors: list[BaseException] = []

    def work() -> None:
        try:
            viewer.run(catch_sigint=False)
        except BaseException as error:  # whatever it is, the test must see it
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
        assert thread.is_alive(), "the viewer has ended"
    finally:
        viewer.end()
        thread.join()
    if errors:
        raise errors[0]
