"""The page in a real browser, which draws with the processor."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    *("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
PATIENCE_MS = 60_000
"""Busy machines draw few pictures a second, and every picture is at most 0.1 s of the walk."""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Tests print nothing."""


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=[*FLAGS])
        yield started
        started.close()


@pytest.fixture
def open_page(browser, address) -> Iterator[Callable[..., Any]]:
    """Opens the page, some files of which may be replaced."""
    contexts = []

    def load(replaced: dict[str, tuple[int, bytes]] | None = None, **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 800, "height": 600}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.errors = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        for name, (status, body) in (replaced or {}).items():

            def answer(route: Any, *, status: int = status, body: bytes = body) -> None:
                route.fulfill(status=status, body=body)

            page.route(f"**/{name}", answer)
        page.goto(address)
        return page

    yield load
    for context in contexts:
        context.close()


def wait_until_alive(page: Any) -> None:
    page.wait_for_selector("#loading.done", state="attached")


def wait_for(page: Any, condition: str) -> None:
    page.wait_for_function(f"() => {condition}")


MASS = "document.querySelector('[data-plot=mass] output').textContent.split(' ').map(parseFloat)"
SECONDS = "parseFloat(document.getElementById('status').textContent)"
METRES = "parseFloat(document.getElementById('status').textContent.split('·')[1])"


def test_the_robot_walks_by_itself_feels_its_load_and_obeys(open_page):
    page = open_page()
    wait_until_alive(page)

    wait_for(page, f"{SECONDS} >= 1 && {METRES} > 0.3")
    assert page.inner_text("#notice") == "It walks by itself until you drive."

    page.fill("#load", "6")
    wait_for(page, f"{MASS}[1] === 6")
    wait_for(page, f"Math.abs({MASS}[0] - 6) < 0.8")

    page.keyboard.press("KeyR")
    page.keyboard.down("KeyW")
    wait_for(page, f"{SECONDS} < 1")
    wait_for(page, f"{METRES} > 0.3")
    page.keyboard.up("KeyW")
    assert page.is_hidden("#notice")
    assert page.input_value("#load") == "6"
    page.check("#grounds input[value=stairs]", force=True)
    assert page.inner_text("#size-value") == "12 cm"
    page.fill("#size", "15")
    wait_for(page, f"{SECONDS} >= 1")
    assert page.errors == []


def test_words_and_colours_are_those_of_the_visitor(open_page):
    page = open_page(
        locale="zh-CN",
        color_scheme="dark",
        has_touch=True,
        is_mobile=True,
        viewport={"width": 390, "height": 700},
    )
    wait_until_alive(page)

    assert page.inner_text("label[for=load]") == "负载"
    assert page.get_attribute("html", "data-theme") == "dark"
    stick = page.locator("#stick").bounding_box()
    page.mouse.move(stick["x"] + stick["width"] / 2, stick["y"] + 10)
    page.mouse.down()
    page.wait_for_selector("#notice", state="hidden")
    page.mouse.up()
    page.click("#language")
    page.click("#theme")
    assert page.inner_text("label[for=load]") == "Load"
    assert page.get_attribute("html", "data-theme") == "light"
    page.reload()
    wait_until_alive(page)
    assert page.inner_text("label[for=load]") == "Load"
    page.click("#fold")
    assert page.is_visible("#boom")
    unnamed = page.eval_on_selector_all(
        "button, input",
        "all => all.filter(e => !(e.ariaLabel || e.textContent || e.labels?.length)).length",
    )
    assert unnamed == 0


def test_on_a_phone_on_its_side_buttons_are_in_sight_and_nothing_covers_the_title(open_page):
    page = open_page(has_touch=True, is_mobile=True, viewport={"width": 844, "height": 390})
    wait_until_alive(page)

    push, title, notice = (
        page.locator(name).bounding_box() for name in ("#push", "header", "#notice")
    )
    assert push["y"] + push["height"] <= 390
    assert notice["y"] >= title["y"] + title["height"]


def test_a_robot_that_falls_is_put_on_its_feet_with_its_load(open_page, site):
    facts = json.loads((site / "scene.json").read_text())
    # What stands counts as fallen.
    facts["fall_angle"] = 0.0
    page = open_page({"scene.json": (200, json.dumps(facts).encode())})
    wait_until_alive(page)
    page.fill("#load", "2")

    wait_for(page, "document.getElementById('notice').textContent.startsWith('It fell')")
    wait_for(page, f"{SECONDS} >= 1")
    wait_for(page, f"{SECONDS} < 1")
    wait_for(page, f"{MASS}[1] === 2")


def test_a_page_that_is_opened_as_a_file_says_what_to_do(browser, site):
    page = browser.new_page()
    page.goto((site / "index.html").as_uri())
    assert "python -m http.server" in page.inner_text("#trouble")
    page.close()


@pytest.mark.parametrize(
    ("name", "status", "body", "words"),
    [
        ("policy.onnx", 404, b"", "policy.onnx: HTTP 404"),
        ("policy.onnx", 200, b"no network", "policy.onnx: "),
        ("model.xml", 200, b"<mujoco><worldbody><geom/></worldbody></mujoco>", "size 0 must be"),
        ("scene.json", 200, b"{}", "scene.json: format undefined, this page reads 2"),
        ("vendor/mujoco.bin", 200, b"nothing", "MuJoCo: "),
    ],
    ids=["no policy", "another policy", "a model without sense", "another format", "no engine"],
)
def test_what_does_not_load_is_named_with_the_reason(open_page, name, status, body, words):
    page = open_page({name: (status, body)})

    page.wait_for_selector("#loading[role=alert]")
    assert words in page.inner_text("#trouble")
    assert page.inner_text("#loading h2") == "The robot does not wake"
