"""From a path and a selection to everything the screen shows: one pure function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from dash import html
from dash.development.base_component import Component

from dashboard.insights import Claim, Insight
from dashboard.insights.comparison import NOTHING
from dashboard.insights.failures import note
from dashboard.insights.faults import warnings
from dashboard.pages import compare, explore, overview, summary
from dashboard.pages.parts import absent_notice, empty_notice, notice
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.shell.address import COMPARE, EXPLORE, OVERVIEW, SUMMARY, Address
from dashboard.shell.naming import file_stem
from dashboard.style import formats
from dashboard.style.names import LEGEND, in_figure
from dashboard.views import Pick, View, command_for, registry
from evaluator.results.manifest import Manifest

_TEXT_PAGES: dict[str, tuple[ModuleType, str]] = {
    OVERVIEW: (overview, "A file qualifies only if even its pessimistic estimate, the 95 % bound, passes."),
    COMPARE: (
        compare,
        "Differences are paired over the same tokens; ± is half a 95 % interval, clustered by window.",
    ),
    EXPLORE: (explore, "Every measured column. Rows that are ticked are picked in every view."),
    SUMMARY: (summary, "Every cell follows from the measurements by the rules below the table."),
}


@dataclass(frozen=True)
class Page:
    """What the screen shows; either `figure`, as plotly.js takes it, or `body` fills the centre.

    `pick` says what a click in the figure means, `methods` which legend entries are filters of methods,
    `filename` what a picture of it is called, without extension.
    """

    slug: str
    eyebrow: str
    title: str
    caption: str
    insights: Sequence[Insight]
    figure: dict[str, Any] | None = None
    body: Component | None = None
    claims: Sequence[Claim] = ()
    pick: Pick = "variant"
    methods: list[str] = field(default_factory=list)
    filename: str = ""


def render(results: Results, pathname: str | None, selection: Selection) -> Page:
    """Return the page at `pathname` for what is picked."""
    scope = Scope(results, selection)
    slug = Address.parse(pathname, None).slug
    view = next((view for view in registry() if view.id == slug), None)
    if results.measured.is_empty() and (view is not None or slug in _TEXT_PAGES):
        return _baseline_only(results, slug)
    if view is not None:
        return _view_page(scope, view)
    if slug in _TEXT_PAGES:
        return _text_page(scope, slug)
    back = html.P(html.A("Go to the overview", href="/", **{"data-nav": "1"}))
    body = notice("There is no such page", [back])
    return Page("", "Not found", "This address leads nowhere", "", [], body=body)


def not_shown(slug: str, reason: str, manifest: Manifest | None) -> Page:
    """Return the page of a folder that cannot be shown, or in which a run has finished nothing yet."""
    if manifest is None:
        body = notice("This folder cannot be shown", [html.P(reason)])
        return Page(slug, "Results", "Nothing can be shown", "", [], body=body)
    texts = formats.listing(sorted({text.domain for text in manifest.texts}), 5)
    parts = [
        html.P(f"Started {manifest.started:%Y-%m-%d %H:%M} UTC on {manifest.device}; texts: {texts}."),
        html.P("The baseline is measured first. Every variant appears here by itself when it is finished."),
    ]
    body = notice("Nothing is measured yet", parts)
    return Page(slug, "Results", f"A run for {manifest.model} has begun", "", [], body=body)


def _baseline_only(results: Results, slug: str) -> Page:
    """Return the page of a folder without variants: of a run that has just begun, or one where none succeeded."""
    base = results.baseline
    level = formats.number(base["ppl"], 4)
    parts: list[Component] = [html.P(f"The baseline, {base['label']}, has a perplexity of {level}.")]
    if results.manifest.ended is None:
        title = "The baseline is measured, the variants follow"
        parts.append(html.P("Each appears here by itself when it is finished."))
    else:
        title = "This folder holds a baseline and no variant"
        failures = [html.Li(f"{item.source}: {item.reason}") for item in results.manifest.failures]
        reasons = [html.P("These could not be measured:"), html.Ul(failures)] if failures else []
        parts += [*reasons, html.P("Measure variants into it; the baseline is not measured twice:")]
        parts.append(html.Pre(html.Code(command_for(results)), className="command"))
    return Page(slug, "Results", title, "", [], body=notice("There is nothing to compare yet", parts))


def failed(slug: str, error: Exception) -> Page:
    """Return the page that stands in for one whose drawing went wrong."""
    parts = [
        html.P("This is a fault of the dashboard. The other pages, and these results, are not affected."),
        html.Pre(html.Code(f"{type(error).__name__}: {error}"), className="command"),
    ]
    return Page(
        slug, "Fault", "This page cannot be drawn", "", [], body=notice("Something went wrong", parts)
    )


def _text_page(scope: Scope, slug: str) -> Page:
    page, caption = _TEXT_PAGES[slug]
    body = page.body(scope)  # first: what cannot be read while it is made is told beside it
    return Page(
        slug=slug,
        eyebrow=slug.capitalize(),
        title=page.headline(scope),
        caption=caption,
        insights=page.insights(scope),
        body=body,
    )


def _view_page(scope: Scope, view: View) -> Page:
    eyebrow = f"{view.number} · {view.titled(scope.selection)}"
    absent = view.absent(scope.results)
    if absent is not None:
        why = "cannot be read" if absent.fault else "was not measured"
        said = [Insight(f"This {why}, so nothing can be said about it.", "unknown")]
        return Page(view.id, eyebrow, absent.title, "", said, body=absent_notice(absent))
    rows = scope.rows
    if not rows:
        return Page(view.id, eyebrow, "Nothing to draw", "", [NOTHING], body=empty_notice())
    drawn = view.draw(scope)
    failed_files = view.left_out(rows, drawn)
    if len(failed_files) == len(rows):
        return _all_failed(view, eyebrow, failed_files)
    figure = drawn.to_plotly_json()
    if scope.selection.methods:
        _add_left_out(figure, scope)
    return Page(
        slug=view.id,
        eyebrow=eyebrow,
        title=view.headline(scope),
        caption=f"{note(failed_files)}{view.described(scope.selection)} {provenance(view.applied(scope))}",
        insights=[*warnings(scope), *view.insights(scope)],
        figure=figure,
        claims=view.claims(scope),
        pick=view.pick,
        methods=scope.results.methods,
        filename=file_stem(scope, view.id),
    )


def _all_failed(view: View, eyebrow: str, names: Sequence[str]) -> Page:
    """Return the page of a view whose every selected file was measured and failed."""
    said = [Insight(f"{name}.", "caution") for name in names]
    body = notice("There is nothing to draw", [html.Ul([html.Li(name) for name in names])])
    return Page(view.id, eyebrow, "Every selected file failed", "", said, body=body)


def _add_left_out(figure: dict[str, Any], scope: Scope) -> None:
    """Keep methods that the filter leaves out in a legend of methods, faint: a click brings them back."""
    traces = figure["data"]
    entries = [
        trace for trace in traces if trace["type"] == "scatter" and trace.get("showlegend") is not False
    ]
    if not set(map(_method, entries)) & scope.selection.methods:
        return
    for method in scope.results.methods:
        if method not in scope.selection.methods:
            style = scope.results.styles[method]
            sign = {"color": style.color, "symbol": style.symbol, "size": 9}
            entry = {
                "type": "scatter",
                "x": [None],
                "y": [None],
                "name": in_figure(method, LEGEND),
                "marker": sign,
            }
            traces.append(entry | {"visible": "legendonly", "meta": {"method": method}})
    ranks = {method: 1000 + index for index, method in enumerate(scope.results.methods)}
    for trace in traces:
        if (method := _method(trace)) in ranks:
            trace["legendrank"] = ranks[method]


def _method(trace: Mapping[str, Any]) -> str:
    """Return the method that a trace's legend entry stands for; empty where it stands for none."""
    return str((trace.get("meta") or {}).get("method", ""))


def provenance(scope: Scope) -> str:
    """Texts, tokens, device and date of the measurement, for a caption."""
    manifest = scope.results.manifest
    domains = scope.selection.domains & set(scope.results.domains) or set(scope.results.domains)
    texts = formats.listing(sorted(domains), 5)
    tokens = tokens_in_words(scope)
    return f"Text: {texts}; scored: {tokens}; {measured_on(scope)}; {manifest.started:%Y-%m-%d}."


def measured_on(scope: Scope) -> str:
    """Name the devices of the selected variants."""
    names = sorted(set(scope.frame["device"].to_list())) or [""]
    return formats.listing([formats.device(scope.results.manifest, name) for name in names])


def scored_tokens(results: Results) -> int:
    """Tokens scored for the baseline."""
    return int(results.baseline["n_tokens"])


def tokens_in_words(scope: Scope) -> str:
    """Count the scored tokens; of a part, say of how many."""
    total = f"{formats.count(scored_tokens(scope.results))} tokens"
    if not scope.selection.filters_tokens:
        return total
    return f"{formats.count(int(scope.baseline_of(scope.results.baseline)['n_tokens']))} of {total}"


def status(scope: Scope) -> list[str]:
    """Return the parts of the status bar."""
    manifest = scope.results.manifest
    shown, total = scope.frame.height, scope.results.measured.height
    texts = len(manifest.texts)
    named = f"{texts} text{'s' if texts != 1 else ''}"
    chosen = sum(text.domain in scope.selection.domains for text in manifest.texts)
    parts = [
        f"{shown} of {total} variants",
        f"{chosen} of {named}" if scope.selection.domains else named,
        tokens_in_words(scope),
        measured_on(scope),
        f"measured {manifest.started:%Y-%m-%d}",
    ]
    if manifest.ended is None:
        of_planned = f" of {manifest.n_planned}" if manifest.n_planned else ""
        parts.append(f"run in progress: {total}{of_planned} measured")
    if manifest.failures:
        parts.append(f"{len(manifest.failures)} failed")
    return parts
