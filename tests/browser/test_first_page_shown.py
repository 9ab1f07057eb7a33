"""A visit from its first moment: the plot before Dash, and Dash in its place."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from driving import PLOT, Watched
from playwright.sync_api import Route, expect

pytestmark = pytest.mark.browser

RENDERER = "**/dash-renderer/**"
PLOTLY = "**/plotly.min.js"
FIRST = "**/first-drawing/**"
BOX = """() => {
    const box = document.querySelector('#graph').getBoundingClientRect();
    return [box.x, box.y, box.width, box.height].map(Math.round);
}"""


def abort(route: Route) -> None:
    route.abort()


def empty(route: Route) -> None:
    route.fulfill(body="", content_type="text/javascript")


def broken(route: Route) -> None:
    route.fulfill(status=500, body="broken")


def never(_route: Route) -> None:
    """Leave the request without an answer."""


@pytest.mark.parametrize("path", ["/ppl-bits", "/"])
def test_the_plot_is_there_before_dash_and_stays(full: Watched, path: str) -> None:
    waiting: list[Route] = []
    held = True

    def hold(route: Route) -> None:
        if held:
            waiting.append(route)
        else:
            route.continue_()

    full.page.route(RENDERER, hold)
    full.page.goto(f"{full.base}{path}?method=main", wait_until="commit")
    full.page.wait_for_selector("#first-page .js-plotly-plot .point")
    full.page.evaluate(f"{PLOT}.on('plotly_afterplot', () => {{ window.redrawn = true }})")
    full.page.evaluate(f"window.before = {PLOT}")
    box = full.page.evaluate(BOX)
    held = False
    for route in waiting:
        route.continue_()
    full.page.wait_for_selector("#graph-place .js-plotly-plot .point")
    expect(full.page.locator("#first-page")).to_have_count(0)
    expect(full.page.locator("#status")).to_contain_text("variants")
    full.settle()
    assert full.page.evaluate(f"window.before === {PLOT}")
    assert full.page.evaluate(BOX) == pytest.approx(box, abs=1), "nothing moves"
    assert not full.page.evaluate("window.redrawn"), "the same drawing is not drawn again"
    assert full.updates() == 1
    assert full.drawn() == ["main"]
    assert full.complaints == []
    full.click_marker("main-q4_0")
    expect(full.page.locator("#chips .chip.picked")).to_have_count(1)


@pytest.mark.parametrize("answer", [never, broken, abort])
def test_dash_does_without_a_first_drawing(full: Watched, answer: Callable[[Route], None]) -> None:
    full.page.route(FIRST, answer)
    full.page.goto(full.base + "/ppl-bits", wait_until="commit")
    full.plotted()
    expect(full.page.locator("#first-page")).to_have_count(0)
    assert full.drawn() == ["bartowski", "main", "unsloth"]


def test_who_goes_back_while_the_page_loads_gets_the_earlier_page(full: Watched) -> None:
    full.open("/degradation")
    full.page.click("#tab-size")
    full.plotted()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    full.page.route("**/_dash-dependencies", hold)
    full.page.reload(wait_until="commit")
    with full.page.expect_response("**/_dash-layout"):
        pass
    full.page.go_back(wait_until="commit")
    full.page.unroute("**/_dash-dependencies")
    expect(full.page.locator("#eyebrow")).to_contain_text("Degradation")
    full.plotted()
    assert full.page.url == f"{full.base}/degradation"


def test_keys_before_dash_do_no_harm(full: Watched) -> None:
    full.page.route("**/_dash-layout", lambda route: None)
    full.page.goto(full.base + "/summary")
    full.page.wait_for_function("window.dash_clientside?.shell")
    for key in ("t", "f", "/", "?", "Escape", "3"):
        full.page.keyboard.press(key)
    assert full.complaints == []


@pytest.mark.parametrize("answer", [abort, empty])
def test_a_page_without_plotly_still_starts(full: Watched, answer: Callable[[Route], None]) -> None:
    full.page.route(PLOTLY, answer)
    full.open("/ppl-bits")
    expect(full.page.locator("#first-page")).to_have_count(0)
    full.page.click("#tab-summary")
    expect(full.page.locator(".summary-table").first.locator("tbody tr")).to_have_count(3)
    full.page.click("#tab-size")
    expect(full.page.locator(".plot-problem")).to_be_visible()
    full.page.unroute(PLOTLY)
    full.page.click("#tab-ppl-bits")
    full.plotted()
    expect(full.page.locator(".plot-problem")).to_have_count(0)
