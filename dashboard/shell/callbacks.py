"""The callbacks: one on the server that draws an address, one that asks whether a run has added to the folder,
and the browser's own. The address is the only state: whatever a person does changes it, in the browser, and
the server answers each new address once.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State, html, no_update

from dashboard.pages.claims import board
from dashboard.pages.parts import insight_panel, provisional_note
from dashboard.pages.terms import explained, word_list
from dashboard.results.folder import EmptyRunError, ResultsError
from dashboard.results.library import Library
from dashboard.results.memo import Memo
from dashboard.results.one_model import one_model
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.shell import filters
from dashboard.shell.address import EXPLORE, MEASURE, Address
from dashboard.shell.answer_targets import TARGETS
from dashboard.shell.measured import status
from dashboard.shell.render import Page, failed, not_shown, render, standing
from dashboard.shell.toolbar import chip_bar, find_list, option_bar, source
from dashboard.shell.unknown_values import checked
from dashboard.style import formats

_LOG = logging.getLogger(__name__)
#: Pages kept per model; one may take a megabyte.
_MOST_PAGES = 16
_FILTERS = (*(f"filter-{key}" for key in filters.LISTS), "filter-bits")


def register_callbacks(app: Dash, library: Library, *, measures: bool = False) -> None:
    """Connect the shell to the folders: every action of a person is one request to the server.

    Args:
        app: the application.
        library: the folders.
        measures: whether there is a page to measure files.
    """
    _register_show(app, library, measures=measures)
    _register_poll(app, library)
    browser = (
        ("shell", "address", Output("address", "id"), [Input("address", "data")]),
        (
            "shell",
            "filters",
            Output("address", "id", allow_duplicate=True),
            [*(Input(identity, "value") for identity in _FILTERS), State("address", "data")],
        ),
        (
            "shell",
            "rows",
            Output("address", "id", allow_duplicate=True),
            [Input("grid", "selectedRows"), State("address", "data")],
        ),
        ("shell", "theme", Output("theme", "data"), [Input("theme-toggle", "n_clicks")]),
        ("plot", "draw", Output("drawing", "id"), [Input("drawing", "data"), Input("theme", "data")]),
    )
    for namespace, name, outputs, inputs in browser:
        later = name in {"filters", "rows"}
        app.clientside_callback(
            ClientsideFunction(namespace, name), outputs, inputs, prevent_initial_call=later
        )


def _register_show(app: Dash, library: Library, *, measures: bool) -> None:
    outputs = {name: Output(*place) for name, place in TARGETS.items()}
    register = app.callback(
        output=outputs,
        inputs={
            "pathname": Input("location", "pathname"),
            "search": Input("location", "search"),
            "_version": Input("version", "data"),
            "before": State("address", "data"),
        },
        prevent_initial_call=True,
    )

    def show(pathname: str, search: str, _version: str, before: Mapping[str, Any] | None) -> dict[str, Any]:
        told = screen(library, pathname, search, before or {}, measures=measures)
        return dict.fromkeys(outputs, no_update) | told

    register(show)


def screen(
    library: Library,
    pathname: str | None,
    search: str | None,
    before: Mapping[str, Any],
    *,
    measures: bool = False,
) -> dict[str, Any]:
    """Return what an address changes on the screen.

    Args:
        library: the folders.
        pathname, search: the address.
        before: the `address` of the screen that is there.
        measures: whether there is a page to measure files.
    """
    address = Address.parse(pathname, search)
    if address.folder and library.name_of(address.folder) != address.folder:
        address = Address(address.slug, address.selection)
    version = _version(library, address.folder)
    told: dict[str, Any] = {
        "asked": f"{pathname or '/'}{search or ''}",
        "slug": address.slug,
        "query": address.query,
        "folder": address.folder,
        "version": version,
    }
    new_folder = before.get("version") != version
    if measures and address.slug == MEASURE:
        return _standing(library, address, told, before)
    try:
        whole = library.at(address.folder)
    except ResultsError as error:
        manifest = error.manifest if isinstance(error, EmptyRunError) else None
        told |= {"panel": {}, "model": manifest.model if manifest else ""}
        said = "nothing measured yet" if manifest else "not readable"
        return _without_results(library, address, not_shown(address.slug, str(error), manifest), told, said)
    results, selection = one_model(address.selection, whole)
    address, unknown = checked(search, address.with_selection(selection), results, library)
    told |= {"model": formats.listing(results.models), "models": results.models}
    told |= {"query": address.query, "picked": sorted(address.selection.picked)}
    page = _drawn(results, pathname, address)
    if "drawing" in page:
        page = page | {"drawing": page["drawing"] | {"key": f"{version} {address.href}"}}
    shown = filters.values(address.selection, results)
    told |= {"panel": shown, "bounds": [*filters.bits_bounds(results), filters.BITS_STEP]}
    changed = page | {
        "address": told,
        "unknown": unknown,
        "status": [html.Span(part) for part in status(Scope(results, address.selection))],
        "chips": chip_bar(results, address),
        "options": option_bar(address, results),
        "bits-text": filters.bits_text(shown["bits"]),
        **{f"value-{key}": value for key, value in shown.items()},
    }
    if address.slug == EXPLORE and _only_picks_changed(before, told):
        changed["body"] = no_update
    if not new_folder and before.get("models") == results.models:
        return changed
    return changed | _of_folder(library, address, results)


def _standing(
    library: Library, address: Address, told: dict[str, Any], before: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the page that measures files; what a person typed there stays when the folder changes."""
    told |= {"panel": {}, "model": ""}
    shown = _without_results(library, address, standing(address.slug), told, "")
    return shown | ({"body": no_update} if before.get("slug") == address.slug else {})


def _without_results(
    library: Library, address: Address, page: Page, told: dict[str, Any], said: str
) -> dict[str, Any]:
    """Return a page that shows nothing of a folder, with `said` in the status bar."""
    return (
        _page(page)
        | filters.nothing()
        | {
            "address": told,
            "unknown": "",
            "find-list": [],
            "poll": not library.running(address.folder),
            "source": source(library, address, None),
            "status": [html.Span(said)] if said else [],
            "chips": [],
        }
    )


def _drawn(results: Results, pathname: str | None, address: Address) -> dict[str, Any]:
    """Return the page, or one that says it failed: a fault in one view leaves the others usable.

    Pages are kept, because a visit asks for its first one twice, and a person goes back. One that is drawn after a
    file turned out to be unusable says so, and is another.
    """
    pages: Memo[dict[str, Any]] = results.memoized("pages", lambda: Memo(_MOST_PAGES))
    asked = (pathname or "/", address.selection)
    try:
        return pages.get((*asked, *results.problems), lambda: _page(render(results, *asked)))
    except Exception as error:
        _LOG.exception("%s cannot be drawn", address.href)
        return _page(failed(address.slug, error))


def _version(library: Library, folder: str) -> str:
    """What a folder's pages depend on, besides the address."""
    return f"{folder}\n{library.version(folder)}"


def _page(page: Page) -> dict[str, Any]:
    parts: dict[str, Any] = {
        "eyebrow": f"{page.eyebrow} · provisional" if page.provisional else page.eyebrow,
        "title": formats.unbroken(page.title),
        "picked": page.picked,
        "caption": explained(page.caption, set()),
        "insights": [*provisional_note(page.provisional), *insight_panel(page.insights)],
        "claims": [*board(page.claims, page.provisional), *word_list(page.terms)],
        "options": [],
        "body": page.body,
        "beside": list(page.beside),
        "stage": "stage shows-body",
    }
    if page.figure is not None:
        parts |= {
            "stage": f"stage shows-graph view-{page.slug}" + " shows-home" * (page.body is not None),
            "drawing": {
                "figure": page.figure,
                "slug": page.slug,
                "filename": page.filename,
                "pick": page.pick,
                "methods": page.methods,
            },
        }
    return parts


def _of_folder(library: Library, address: Address, results: Results) -> dict[str, Any]:
    """Return what only another folder or model, or new files in it, change."""
    whole = library.at(address.folder)
    low, high = filters.bits_bounds(results)
    parts: dict[str, Any] = {f"options-{key}": value for key, value in filters.offers(results, whole).items()}
    parts |= {f"hidden-{key}": not visible for key, visible in filters.visible(results, whole).items()}
    parts |= {"bits-min": low, "bits-max": high, "source": source(library, address, results)}
    return parts | {"find-list": find_list(results), "poll": not library.running(address.folder)}


def _only_picks_changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether the table on the screen is the one to show: replacing it would lose its scroll and sorting."""
    if any(before.get(key) != now[key] for key in ("slug", "version")):
        return False
    old, new = (
        {pair for pair in str(state["query"]).split("&") if pair and not pair.startswith("pick=")}
        for state in (before, now)
    )
    return old == new


def _register_poll(app: Dash, library: Library) -> None:
    register = app.callback(
        Output("version", "data"),
        Input("poll", "n_intervals"),
        State("address", "data"),
        prevent_initial_call=True,
    )

    def poll(_ticks: int, address: Mapping[str, Any] | None) -> object:
        folder = str((address or {}).get("folder", ""))
        version = _version(library, folder)
        return no_update if address and address.get("version") == version else version

    register(poll)
