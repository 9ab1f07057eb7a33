"""Back undoes exactly the last change of page, filter, pick or switch; Forward redoes it."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qsl, urlsplit

import pytest
from driving import ANSWERED, Watched
from playwright.sync_api import expect

Action = Callable[[Watched], None]


def cell(seen: Watched) -> None:
    """Click a cell of the layers' first panel."""
    seen.plotted()
    box = seen.page.locator(
        "#graph .cartesianlayer .subplot.xy .hm image, #graph .heatmaplayer"
    ).first.bounding_box()
    assert box is not None
    seen.click_point(box["x"] + 0.6 * box["width"], box["y"] + 0.5 * box["height"])


#: A user's actions, in order.
ACTIONS: dict[str, Action] = {
    "page": lambda seen: seen.page.click("#tab-ppl-bits"),
    "method": lambda seen: seen.page.get_by_label("main").check(),
    "option": lambda seen: seen.page.get_by_role("button", name="file size").click(),
    "domain": lambda seen: seen.page.get_by_label("dialogue").check(),
    "pick": lambda seen: seen.click_marker("main-q4_0"),
    "keep": lambda seen: seen.page.click("#keep-picked"),
    "chip": lambda seen: seen.page.locator("#chips .chip", has_text="only").click(),
    "layers": lambda seen: seen.page.keyboard.press("3"),
    "cell": cell,
    "explore": lambda seen: seen.page.click("#tab-explore"),
    "row": lambda seen: seen.page.locator(".ag-pinned-left-cols-container .ag-checkbox-input").first.click(),
    "reset": lambda seen: seen.page.click("#reset"),
}


def spelled(url: str) -> tuple[str, list[tuple[str, str]]]:
    """Split an address into parts; the server orders the query differently from the browser."""
    parts = urlsplit(url)
    return parts.path, sorted(parse_qsl(parts.query))


def reached(seen: Watched, url: str) -> None:
    """Wait until the browser is at the address, stays there, and its screen is shown."""
    seen.page.wait_for_url(lambda address: spelled(address) == spelled(url))
    seen.settle()
    seen.page.wait_for_function(ANSWERED)
    assert spelled(seen.page.url) == spelled(url)
    path, parts = spelled(url)
    if path == "/explore":  # the table reports its ticks only once it has drawn them
        ticked = seen.page.locator(".ag-pinned-left-cols-container .ag-row-selected")
        expect(ticked).to_have_count(sum(key == "pick" for key, _ in parts))


def test_back_undoes_one_change_at_a_time_and_forward_does_it_again(full: Watched) -> None:
    full.open("/")
    full.settle()
    addresses = [full.page.url]
    for name, action in ACTIONS.items():
        action(full)
        full.page.wait_for_function(f"window.location.href !== {addresses[-1]!r}", timeout=10_000)
        full.settle()
        assert spelled(full.page.url) != spelled(addresses[-1]), name
        addresses.append(full.page.url)
    for url in reversed(addresses[:-1]):
        full.page.go_back()
        reached(full, url)
    for url in addresses[1:]:
        full.page.go_forward()
        reached(full, url)
    assert full.complaints == []


def test_back_brings_the_controls_and_the_drawing_with_it(full: Watched) -> None:
    full.open("/ppl-bits")
    full.plotted()
    full.page.get_by_label("main").check()
    full.wait_drawn("main")
    full.page.get_by_label("Q4_0").check()
    expect(full.page.locator("#status")).to_contain_text("1 of 21 variants")
    full.page.go_back()
    expect(full.page.locator("#status")).to_contain_text("7 of 21 variants")
    expect(full.page.get_by_label("Q4_0")).not_to_be_checked()
    expect(full.page.get_by_label("main")).to_be_checked()
    full.page.go_back()
    full.wait_drawn("bartowski", "main", "unsloth")
    assert full.page.url == f"{full.base}/ppl-bits"
    full.page.go_forward()
    full.wait_drawn("main")
    full.page.reload()
    full.wait_drawn("main")
    expect(full.page.get_by_label("main")).to_be_checked()
    full.page.go_back()
    full.wait_drawn("bartowski", "main", "unsloth")


def test_steps_of_the_slider_are_one_change(full: Watched) -> None:
    full.open("/size")
    full.plotted()
    slider = full.page.locator("#filter-bits [role=slider]").first
    slider.focus()
    full.page.evaluate("window.performance.now = () => 1000")  # all steps at one moment, on any machine
    for lower in ("2.65", "2.7", "2.75", "2.8"):
        full.page.keyboard.press("ArrowRight")
        expect(full.page).to_have_url(f"{full.base}/size?bits={lower}-8.65")
        expect(full.page.locator("#bits-text")).to_have_text(f"{float(lower):.2f}–8.65")
    full.settle()
    full.page.evaluate("window.performance.now = () => 9000")
    full.page.keyboard.press("ArrowRight")
    expect(full.page).to_have_url(f"{full.base}/size?bits=2.85-8.65")
    full.page.go_back()
    reached(full, f"{full.base}/size?bits=2.8-8.65")
    full.page.go_back()
    reached(full, f"{full.base}/size")
    expect(full.page.locator("#bits-text")).to_have_text("2.60–8.65")


@pytest.mark.parametrize("query", ["role=attn_v&layer=5", "method=nobody"])
def test_another_spelling_of_an_address_is_no_change(full: Watched, query: str) -> None:
    full.open("/")
    full.settle()
    full.page.goto(f"{full.base}/size?{query}")
    full.plotted()
    full.settle()
    full.page.go_back()
    reached(full, f"{full.base}/")
