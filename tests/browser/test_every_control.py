"""Every control of a page works: one request at most, no errors."""

from __future__ import annotations

import pytest
from driving import ANSWERED, Watched
from playwright.sync_api import Dialog, Locator

from dashboard.shell.address import COMPARE, EXPLORE, OVERVIEW, SUMMARY
from dashboard.shell.filters import LISTS
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
        const list = item.closest('[id^=filter-]')?.id || '';
        const name = `${item.tagName.toLowerCase()} ${item.id} ${item.getAttribute('class') || ''} ${list} ${text}`;
        if (!unlike.has(name)) unlike.set(name, item);
    });
    [...unlike.values()].forEach((item, index) => { item.dataset.control = index; });
    return [...unlike.keys()];
}"""
#: Of the table's rows and headings, and of a list's ticks, one each is clicked: all behave alike.
ALIKE = ("ag-row", "ag-header-cell", *(f"filter-{key} " for key in LISTS))
#: The table is reloaded after each of its controls.
TABLE = pytest.param(EXPLORE, marks=pytest.mark.slow)
#: Off the screen until it has the focus.
UNSEEN = "skip"
#: Milliseconds within which an action sends its request; a click that may be half of a double click waits for that.
ASKED, ASKED_LATER = 180, 500
#: Whether a click may be half of a double click.
TWICE = "legendtoggle"
#: Return the page's eyebrow and title, and close what lies above it.
TOLD = """() => {
    const told = ['eyebrow', 'title'].map(id => document.getElementById(id).innerText);
    document.querySelectorAll('dialog[open]').forEach(dialog => dialog.close());
    return told;
}"""


def controls(seen: Watched, roots: str) -> list[str]:
    """Return the names of the page's controls, which get marked with their numbers."""
    names: list[str] = seen.page.evaluate(FIND, [roots, KINDS + ABOVE_A_PLOT * (roots == SHELL)])
    return names


def use(control: Locator) -> None:
    """Click, choose or type, depending on the control."""
    tag, role, name = control.evaluate(
        "item => [item.tagName + ' ' + (item.type || ''), item.getAttribute('role'), item.id]"
    )
    if tag.startswith("SELECT"):
        control.select_option(index=control.evaluate("item => item.options.length - 1"))
    elif tag in {"INPUT text", "INPUT number"}:
        control.fill("3")
        control.page.keyboard.press("Enter")  # an answer may have replaced the field, which keeps the focus
    elif tag == "INPUT range" or role == "slider":
        control.press("ArrowRight")
    elif name == UNSEEN:
        control.press("Enter")
    else:
        control.click(force=True)


def wanted(names: list[str]) -> list[int]:
    """Return the numbers of the controls to use: all, but only the first of those that are alike."""
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        first.setdefault(next((kind for kind in ALIKE if kind in name), name), index)
    return list(first.values())


def try_all(seen: Watched, path: str, roots: str) -> int:
    """Use the controls of a page, each from the page's initial state; return how many there are."""

    def accept(dialog: Dialog) -> None:
        dialog.accept()

    seen.page.on("dialog", accept)
    seen.open(path)
    seen.shown()
    names = controls(seen, roots)
    for number in wanted(names):
        if seen.page.url != seen.base + path:
            seen.turn(path)
            seen.shown()
        if controls(seen, roots) != names:
            seen.open(path)
            seen.shown()
            assert controls(seen, roots) == names
        control = seen.page.locator(f"[data-control='{number}']")
        if not control.count():  # an answer that came late has replaced what was marked
            assert controls(seen, roots) == names
        before = seen.updates()
        use(control)
        seen.page.wait_for_timeout(ASKED_LATER if TWICE in names[number] else ASKED)
        seen.page.wait_for_function(ANSWERED)
        told = f"{path}: {names[number]!r}"
        assert seen.complaints == [], told
        assert seen.updates() - before <= 1, f"{told} asked {seen.updates() - before} times"
        eyebrow, title = seen.page.evaluate(TOLD)
        assert eyebrow.lower() != "fault", told
        assert title, told
    return len(names)


def test_controls_of_the_shell(full: Watched) -> None:
    assert try_all(full, "/ppl-bits?method=main&pick=main-q4_0", SHELL) > 50


@pytest.mark.parametrize("slug", [OVERVIEW, *(view.id for view in registry()), COMPARE, TABLE, SUMMARY])
def test_controls_of_a_page(full: Watched, slug: str) -> None:
    path = "/" if slug == OVERVIEW else f"/{slug}"
    fewest = {COMPARE: 2, SUMMARY: 0}.get(slug, 3)
    assert try_all(full, path, PAGE) >= fewest
