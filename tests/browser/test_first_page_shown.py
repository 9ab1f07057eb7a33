"""A visit from its first moment: the page that comes with the HTML, the plot before Dash, and Dash in their place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from driving import PLOT, Watched, served, watched
from playwright.sync_api import Browser, Route, expect

pytestmark = pytest.mark.browser

RENDERER = "**/dash-renderer/**"
PLOTLY = "**/plotly.min.js"
#: Texts on the page and where they stand, without those of the plot, of menus and of what only a reader hears.
TEXTS = """root => [...document.querySelectorAll(root + ' .shell *')]
    .filter(element => !element.children.length && element.textContent.trim() && element.getClientRects().length)
    .filter(element => !element.closest('.js-plotly-plot, dialog, .menu-list, .unseen, datalist, .grid'))
    .map(element => {
        const box = element.getBoundingClientRect();
        return [element.textContent.trim(), ...[box.x, box.y, box.width, box.height].map(Math.round)].join(' | ');
    })"""
PATHS = ["/", "/layers", "/summary", "/compare", "/ppl-bits?method=main&bits=3-5&pick=main-q4_0"]


@pytest.fixture(scope="module")
def patient_url(three_methods: Path) -> Iterator[str]:
    """A server whose HTML waits for its page, however slow the machine."""
    with served(three_methods, patience=60) as url:
        yield url


@pytest.fixture
def patient(browser: Browser, patient_url: str) -> Iterator[Watched]:
    with watched(browser, patient_url) as seen:
        yield seen


def abort(route: Route) -> None:
    route.abort()


@pytest.mark.parametrize("path", PATHS)
def test_the_html_shows_what_dash_shows(browser: Browser, patient_url: str, path: str) -> None:
    with watched(browser, patient_url) as early, watched(browser, patient_url) as late:
        early.page.route(RENDERER, abort)
        early.page.goto(patient_url + path)
        early.page.wait_for_selector("#first-page")
        late.open(path)
        late.page.wait_for_selector("#filter-bits [role=slider]")
        assert early.page.evaluate(TEXTS, "#first-page") == late.page.evaluate(TEXTS, "#react-entry-point")


def test_the_plot_is_there_before_dash_and_stays(patient: Watched) -> None:
    waiting: list[Route] = []
    held = True

    def hold(route: Route) -> None:
        if held:
            waiting.append(route)
        else:
            route.continue_()

    patient.page.route(RENDERER, hold)
    patient.page.goto(patient.base + "/ppl-bits", wait_until="commit")
    patient.page.wait_for_selector("#first-page .js-plotly-plot .point")
    patient.page.evaluate(f"{PLOT}.on('plotly_afterplot', () => {{ window.redrawn = true }})")
    patient.page.evaluate(f"window.before = {PLOT}")
    held = False
    for route in waiting:
        route.continue_()
    patient.page.wait_for_selector("#graph-place .js-plotly-plot .point")
    expect(patient.page.locator("#first-page")).to_have_count(0)
    patient.settle()
    assert patient.page.evaluate(f"window.before === {PLOT}")
    assert not patient.page.evaluate("window.redrawn"), "the same drawing is not drawn again"
    assert patient.updates() == 0, "Dash begins with this page"
    assert patient.complaints == []
    patient.click_marker("main-q4_0")
    expect(patient.page.locator("#chips")).to_contain_text("1 picked")


def test_who_goes_back_while_the_page_loads_gets_the_earlier_page(patient: Watched) -> None:
    patient.open("/degradation")
    patient.page.click("#tab-size")
    patient.plotted()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    patient.page.route("**/_dash-dependencies", hold)
    patient.page.reload(wait_until="commit")
    with patient.page.expect_response("**/_dash-layout"):
        pass
    patient.page.go_back(wait_until="commit")
    patient.page.unroute("**/_dash-dependencies")
    expect(patient.page.locator("#eyebrow")).to_contain_text("Degradation")
    patient.plotted()
    assert patient.page.url == f"{patient.base}/degradation"


def test_keys_before_dash_do_no_harm(patient: Watched) -> None:
    patient.page.route("**/_dash-layout", lambda route: None)
    patient.page.goto(patient.base + "/summary")
    patient.page.wait_for_function("window.dash_clientside?.shell")
    for key in ("t", "f", "/", "?", "Escape", "3"):
        patient.page.keyboard.press(key)
    assert patient.complaints == []


def test_a_page_that_is_not_ready_is_brought_by_dash(browser: Browser, three_methods: Path) -> None:
    with served(three_methods, patience=0) as url, watched(browser, url) as seen:
        seen.open("/ppl-bits")
        seen.plotted()
        assert seen.complaints == []


def test_without_a_referrer_dash_asks_for_the_page(patient: Watched) -> None:
    def silent(route: Route) -> None:
        route.fulfill(response=route.fetch(headers={"accept": "application/json"}))

    patient.page.route("**/_dash-layout", silent)
    patient.open("/degradation?method=main")
    patient.plotted()
    patient.settle()
    assert patient.updates() == 1
    assert patient.drawn() == ["main"]
    assert patient.complaints == []


def empty(route: Route) -> None:
    route.fulfill(body="", content_type="text/javascript")


@pytest.mark.parametrize("answer", [abort, empty])
def test_a_page_without_plotly_still_starts(patient: Watched, answer: Callable[[Route], None]) -> None:
    patient.page.route(PLOTLY, answer)
    patient.open("/ppl-bits")
    expect(patient.page.locator("#first-page")).to_have_count(0)
    patient.page.click("#tab-summary")
    expect(patient.page.locator(".summary-table tbody tr")).to_have_count(3)
    patient.page.click("#tab-size")
    expect(patient.page.locator(".plot-problem")).to_be_visible()
    patient.page.unroute(PLOTLY)
    patient.page.click("#tab-ppl-bits")
    patient.plotted()
    expect(patient.page.locator(".plot-problem")).to_have_count(0)


def test_without_scripts_the_page_can_be_read(browser: Browser, patient_url: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(patient_url + "/summary")
    expect(page.locator(".summary-table tbody tr")).to_have_count(3)
    context.close()
