"""Few stops of Tab: a group of choices is one, with the arrow keys inside."""

from __future__ import annotations

import pytest
from driving import Watched
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

#: The group that has the focus: a list of the panel, a switch of the view, the tools, or the element itself.
WHERE = """() => {
    const element = document.activeElement;
    const group = element.closest("#filters fieldset, .segments, .tools, #tabs, .links");
    return (group && (group.id || group.className)) || element.id || element.className || element.tagName;
}"""


def stops(seen: Watched, until: str) -> list[str]:
    """Press Tab from the top of the page until the stop `until`; return all stops."""
    found: list[str] = []
    while until not in found and len(found) < 80:
        seen.page.keyboard.press("Tab")
        found.append(seen.page.evaluate(WHERE))
    return found


def test_few_stops_from_the_top_to_the_chart(full: Watched) -> None:
    full.open("/speed")
    full.plotted()
    full.settle()
    before = stops(full, "graph-place")
    assert before[0] == "skip"
    assert before[-1] == "graph-place"
    assert len(before) <= 16
    grouped = [name for name in before if name.startswith("group-") and name != "group-bits"]
    assert {"group-method", "group-quant", "group-domain", "group-bin", "tabs", "tools"} <= set(before)
    assert len(grouped) == len(set(grouped))
    assert before.count("tools") == 1


def test_arrows_go_through_a_group_and_space_ticks(full: Watched) -> None:
    full.open("/size")
    full.plotted()
    full.settle()
    stops(full, "group-method")
    expect(full.page.locator("#filter-method input").first).to_be_focused()
    for key, index in (("ArrowDown", 1), ("ArrowRight", 2), ("ArrowDown", 0), ("End", 2), ("ArrowUp", 1)):
        full.page.keyboard.press(key)
        expect(full.page.locator("#filter-method input").nth(index)).to_be_focused()
    full.page.keyboard.press("Space")
    expect(full.page).to_have_url(f"{full.base}/size?method=main")
    full.settle()
    full.page.keyboard.press("Tab")
    assert full.page.evaluate(WHERE) == "group-quant"
    full.page.keyboard.press("Shift+Tab")
    expect(full.page.locator("#filter-method input").nth(1)).to_be_focused()
    assert full.complaints == []


def test_switches_and_tools_take_the_arrows_too(full: Watched) -> None:
    full.open("/size")
    full.plotted()
    full.settle()
    stops(full, "segments")
    chosen = full.page.locator("#options .choice.chosen")
    expect(chosen).to_be_focused()
    full.page.keyboard.press("ArrowRight")
    expect(full.page.locator("#options .choice:not(.chosen)")).to_be_focused()
    full.page.keyboard.press("Enter")
    expect(full.page).to_have_url(f"{full.base}/size?accuracy=level")
    full.page.focus("#filters-toggle")
    full.page.keyboard.press("End")
    expect(full.page.locator("#help-toggle")).to_be_focused()
    full.page.keyboard.press("ArrowRight")
    expect(full.page.locator("#filters-toggle")).to_be_focused()
    expect(full.page).to_have_url(f"{full.base}/size?accuracy=level")
