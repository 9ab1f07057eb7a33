"""Answers that come late, and what a person does meanwhile: a later address stands."""

from __future__ import annotations

import pytest
from driving import PLOT, Watched
from playwright.sync_api import Route, expect

pytestmark = pytest.mark.browser

#: Keep the addresses that scripts write.
NOTE_WRITTEN = """() => {
    window.written = [];
    for (const name of ['pushState', 'replaceState']) {
        const write = window.history[name];
        window.history[name] = function (...given) {
            window.written.push(given[2]);
            return write.apply(this, given);
        };
    }
}"""


def test_an_answer_to_an_earlier_address_is_not_drawn(full: Watched) -> None:
    full.open("/ppl-bits")
    full.plotted()

    held: list[Route] = []

    def hold(route: Route) -> None:
        if "method=main" in (route.request.post_data or ""):
            held.append(route)
        else:
            route.continue_()

    full.page.route("**/_dash-update-component*", hold)
    full.page.evaluate("window.address.change((params) => params.append('method', 'main'))")
    full.settle()
    full.page.evaluate("window.address.change((params) => params.delete('method'))")
    full.settle()
    assert len(held) == 1
    held[0].continue_()
    full.page.wait_for_timeout(1000)
    assert full.drawn() == ["bartowski", "main", "unsloth"]
    assert full.page.url == f"{full.base}/ppl-bits"
    assert full.complaints == []


def test_an_action_right_after_the_drawing_is_not_taken_back(full: Watched) -> None:
    """Dash carries the answer on after it is drawn; what a person did meanwhile stands."""
    full.open("/ppl-bits")
    full.plotted()
    pick = "window.address.change((params) => params.append('pick', 'main-q4_0'))"
    full.page.evaluate(f"{PLOT}.once('plotly_afterplot', () => {pick})")
    full.page.evaluate(NOTE_WRITTEN)
    full.page.evaluate("window.address.change((params) => params.append('method', 'main'))")
    expect(full.page.locator("#chips .chip.picked")).to_have_count(1)
    full.settle()
    with_method, with_pick = "/ppl-bits?method=main", "/ppl-bits?method=main&pick=main-q4_0"
    assert full.page.evaluate("window.written") == [with_method, with_pick]
    assert full.page.url == full.base + with_pick
    assert full.updates() == 2
    assert full.complaints == []


def test_an_action_while_dash_carries_an_answer_is_not_taken_back(full: Watched) -> None:
    """A key that was pressed during the drawing is told between it and what else the answer changes."""
    full.open("/ppl-bits?pick=main-q4_0")
    full.plotted()
    full.settle()
    full.page.evaluate(NOTE_WRITTEN)
    full.page.evaluate("""() => {
        const { plot } = window.dash_clientside;
        const draw = plot.draw;
        plot.draw = function (...given) {
            plot.draw = draw;
            const drawn = draw.apply(this, given);
            document.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', bubbles: true }));
            return drawn;
        };
        window.address.change((params) => params.append('method', 'main'));
    }""")
    expect(full.page.locator("#chips .chip.picked")).to_have_count(0)
    full.settle()
    with_both, with_method = "/ppl-bits?pick=main-q4_0&method=main", "/ppl-bits?method=main"
    assert full.page.evaluate("window.written") == [with_both, with_method]
    assert full.page.url == full.base + with_method
    assert full.updates() == 2
    assert full.complaints == []
