"""The page as a user sees it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from browser import PATIENCE, click_tab, opened, running, visit
from rl_sim_env.mdp.events import get_load
from rl_sim_env.viewer.drive_panel import THIS
from rl_sim_env.viewer.play_viewer import PlayViewer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser():
    with opened() as browser:
        yield browser


@pytest.fixture
def viewer(policy_player, server) -> Iterator[PlayViewer]:
    policy_player.reset()
    viewer = PlayViewer(policy_player, server)
    with running(viewer):
        yield viewer
    policy_player.env.velocity_command.steer(None)


@pytest.fixture
def page(browser, viewer):
    page = visit(browser, viewer)
    yield page
    page.close()


def wait_until(page, condition) -> None:
    """Wait for the simulation to do what the page asked for."""
    for _ in range(PATIENCE // 100):
        if condition():
            return
        page.wait_for_timeout(100)
    pytest.fail("it never came true")


def box_of(page, text: str) -> dict[str, float]:
    """Where a text is; some are written anew in every picture, and for a moment nowhere."""
    boxes = []

    def is_somewhere() -> bool:
        boxes.append(page.get_by_text(text, exact=False).first.bounding_box())
        return boxes[-1] is not None

    wait_until(page, is_somewhere)
    return boxes[-1]


def test_score_driving_and_load_are_seen_at_once_and_do_not_hide_the_robot(page):
    page.get_by_text("velocity error").wait_for()
    for text in ("not fallen", "forward [m/s]", "extra mass [kg]"):
        box = box_of(page, text)
        assert box["y"] + box["height"] < 700, f"{text} is below the fold"
    assert page.get_by_text("Rewards").count() == 0
    panel = box_of(page, "velocity error")
    canvas = page.locator("canvas").first.bounding_box()
    assert canvas["x"] + canvas["width"] <= panel["x"], "the panel stands beside the scene"
    assert canvas["width"] > 500


def opens(page, tab: str, text: str) -> bool:
    """Click on a tab; a line above it that comes or goes may have moved it away."""
    click_tab(page, tab)
    page.wait_for_timeout(1000)
    return page.get_by_text(text).first.is_visible()


def test_every_tab_shows_what_it_promises(page, viewer):
    wait_until(page, lambda: viewer.steps > 20)
    for tab, texts in {
        "Belief": ("CoM x", "with its 95 % interval"),
        "Gait": ("Feet on the ground", "cost of transport", "Highest torque", "joint speed"),
        "Ground": ("flat",),
        "Record": ("Record as",),
    }.items():
        wait_until(page, lambda tab=tab, text=texts[0]: opens(page, tab, text))
        for text in texts:
            page.get_by_text(text).first.wait_for()


def test_a_load_that_is_typed_hangs_there(page, viewer, policy_player):
    row = page.get_by_text("extra mass [kg]").locator("xpath=ancestor::*[.//input][1]")
    box = row.locator("input").last
    box.fill("9.5")
    box.press("Enter")
    wait_until(page, lambda: abs(float(get_load(policy_player.env)[0]) - 9.5) < 1e-3)
    assert get_load(policy_player.env)[1] < 9.0, "the other robot keeps its own"


def test_keys_drive_and_pause(page, viewer, policy_player):
    page.locator("canvas").first.dispatch_event("pointerdown")
    page.keyboard.press("i")
    wait_until(page, lambda: viewer.drive.mode.value == THIS)
    page.keyboard.press("p")
    wait_until(page, lambda: viewer.pace.paused)
    page.get_by_text("paused").wait_for()
    steps = viewer.steps
    page.keyboard.press("n")
    wait_until(page, lambda: viewer.steps == steps + 1)


def test_a_gamepad_drives_while_any_tab_is_open_and_the_page_has_a_name(page, viewer):
    assert page.title() == "rl_sim_env"
    assert page.get_by_label("gamepad").is_hidden()
    click_tab(page, "Gait")
    pad = "[null, { connected: true, axes: [0.05, -0.5, 1, 0] }]"
    page.evaluate(f"navigator.getGamepads = () => {pad}")
    most = [slider.max for slider in viewer.drive.sliders]
    wanted = pytest.approx((0.5 * most[0], 0.0, -most[2]))
    wait_until(page, lambda: viewer.drive.command == wanted)
    wait_until(page, lambda: viewer.drive.mode.value == THIS)
    page.evaluate("navigator.getGamepads = () => []")
    wait_until(page, lambda: viewer.drive.command == (0.0, 0.0, 0.0))


def test_a_browser_that_leaves_in_mid_drag_stops_nothing(browser, viewer):
    page = visit(browser, viewer)
    box = page.get_by_role("slider").first.bounding_box()
    page.mouse.move(box["x"], box["y"])
    page.mouse.down()
    page.mouse.move(box["x"] + 20, box["y"])
    page.close()
    steps = viewer.steps
    other = visit(browser, viewer)
    wait_until(other, lambda: viewer.steps > steps + 5)
    other.close()
