"""Every control of a page works: one request at most, no errors."""

from __future__ import annotations

import pytest
from driving import Watched
from playwright.sync_api import Dialog, Locator

from dashboard.shell.address import COMPARE, EXPLORE, OVERVIEW, SUMMARY
from dashboard.views import registry

pytestmark = pytest.mark.browser

#: Controls of the shell, and those above a plot, are the same everywhere, so they are tested on one page.
SHELL, PAGE = "#shell", "#stage, .insights-panel"
KINDS = "a[href], button, summary, input, select, .legendtoggle, .ag-header-cell, .ag-row"
ABOVE_A_PLOT = ", .modebar-btn"
#: Mark visible, clickable elements with numbers; menus are opened first, to include their entries.
FIND = """([roots, kinds]) => {
    document.querySelectorAll('details').forEach(menu => { menu.open = true; });
    const found = [...document.querySelectorAll(roots)]
        .flatMap(root => [...root.querySelectorAll(kinds)])
        .filter(item => !item.disabled && item.getClientRects().length)
        .filter(item => getComputedStyle(item).visibility !== 'hidden');
    const unlike = new Map();
    found.forEach(item => {
        const text = (item.textContent || item.dataset.title || item.value || item.id || '').trim().slice(0, 40);
        const name = `${item.tagName.toLowerCase()} ${item.id} ${item.getAttribute('class') || ''} ${text}`;
        if (!unlike.has(name)) unlike.set(name, item);
    });
    [...unlike.values()].forEach((item, index) => { item.dataset.control = index; });
    return [...unlike.keys()];
}"""
NOT_TRIED = ("ag-row", "ag-header-cell")
#: How many of the table's rows and headings are clicked; all behave alike.
MOST_ALIKE = 1
#: The table is reloaded after each of its controls.
TABLE = pytest.param(EXPLORE, marks=pytest.mark.slow)
#: Milliseconds within which an action sends its request.
ANSWERED = 180


def controls(seen: Watched, roots: str) -> list[str]:
    """Return the names of the page's controls, which get marked with their numbers."""
    names: list[str] = seen.page.evaluate(FIND, [roots, KINDS + ABOVE_A_PLOT * (roots == SHELL)])
    return names


def use(control: Locator) -> None:
    """Click, choose or type, depending on the control."""
    tag = control.evaluate("item => item.tagName + ' ' + (item.type || '')")
    if tag.startswith("SELECT"):
        control.select_option(index=control.evaluate("item => item.options.length - 1"))
    elif tag in {"INPUT text", "INPUT number"}:
        control.fill("3")
        control.press("Enter")
    elif tag == "INPUT range" or control.get_attribute("role") == "slider":
        control.press("ArrowRight")
    else:
        control.click(force=True)


def wanted(names: list[str]) -> list[int]:
    """Return the numbers of the controls to use: all, but only a few of those repeated in rows."""
    counts = dict.fromkeys(NOT_TRIED, 0)
    chosen = []
    for index, name in enumerate(names):
        kind = next((kind for kind in NOT_TRIED if kind in name), None)
        if kind is not None:
            counts[kind] += 1
            if counts[kind] > MOST_ALIKE:
                continue
        chosen.append(index)
    return chosen


def try_all(seen: Watched, path: str, roots: str) -> int:
    """Use every control of a page, each from the page's initial state; return how many there were."""

    def accept(dialog: Dialog) -> None:
        dialog.accept()

    seen.page.on("dialog", accept)
    seen.open(path)
    seen.shown()
    names = controls(seen, roots)
    numbers = wanted(names)
    for number in numbers:
        if seen.page.url != seen.base + path:
            seen.turn(path)
            seen.shown()
        if controls(seen, roots) != names:
            seen.open(path)
            seen.shown()
            assert controls(seen, roots) == names
        before = seen.updates()
        use(seen.page.locator(f"[data-control='{number}']"))
        seen.page.wait_for_timeout(ANSWERED)
        told = f"{path}: {names[number]!r}"
        assert seen.complaints == [], told
        assert seen.updates() - before <= 1, f"{told} asked {seen.updates() - before} times"
        assert seen.page.locator("#eyebrow").inner_text().lower() != "fault", told
        assert seen.page.locator("#title").inner_text(), told
        seen.page.evaluate("document.querySelectorAll('dialog[open]').forEach(dialog => dialog.close())")
    return len(numbers)


def test_controls_of_the_shell(full: Watched) -> None:
    assert try_all(full, "/ppl-bits?method=main&pick=main-q4_0", SHELL) > 50


@pytest.mark.parametrize("slug", [OVERVIEW, *(view.id for view in registry()), COMPARE, TABLE, SUMMARY])
def test_controls_of_a_page(full: Watched, slug: str) -> None:
    path = "/" if slug == OVERVIEW else f"/{slug}"
    fewest = {COMPARE: 2, SUMMARY: 0}.get(slug, 3)
    assert try_all(full, path, PAGE) >= fewest
