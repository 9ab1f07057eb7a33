"""Turn a path and a selection into a page: a pure function, testable without Dash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

from dash import html
from dash.development.base_component import Component

from dashboard.insights import Claim, Insight
from dashboard.insights.comparison import NOTHING, placed
from dashboard.insights.failures import note
from dashboard.insights.faults import warnings
from dashboard.insights.picks import sentence
from dashboard.insights.provisional import provisional
from dashboard.pages import compare, explore, measure, overview, summary
from dashboard.pages.parts import absent_notice, command, empty_notice, notice
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.shell.address import COMPARE, EXPLORE, OVERVIEW, SUMMARY, Address
from dashboard.shell.measured import provenance
from dashboard.shell.naming import file_stem
from dashboard.style import formats
from dashboard.style.glossary import Term, used
from dashboard.style.names import LEGEND, in_figure
from dashboard.views import Pick, View, charts, command_for
from evaluator.results.manifest import Manifest

_TEXT_PAGES: dict[str, tuple[ModuleType, str]] = {
    COMPARE: (
        compare,
        "Differences are paired over the same tokens; ± is half a 95 % interval, clustered by window.",
    ),
    EXPLORE: (explore, "Every measured column. Ticked rows are picked in every view."),
    SUMMARY: (summary, "Every cell is computed from the measurements by the rules below the table."),
}


@dataclass(frozen=True)
class Page:
    """The content of the screen; the centre shows `figure` (plotly.js's JSON), `body`, or one above the other.

    `beside` comes above the insights. `picked` is the line about the picked variants. `pick` says what a click in the
    figure selects, `methods` which legend entries filter methods, and `filename` is the name of its picture, without
    extension. `provisional` says why what the page states may change, if it may.
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
    picked: str = ""
    beside: Sequence[Component] = ()
    provisional: str = ""

    @property
    def terms(self) -> list[Term]:
        """The words of statistics on the page."""
        said = [part for item in self.insights for part in (item.text, item.detail)]
        return used([self.title, self.caption, *said, *(claim.evidence for claim in self.claims)])


def render(results: Results, pathname: str | None, selection: Selection) -> Page:
    """Return the page at `pathname` for a selection, with the sizes of the folder's files in one unit."""
    with formats.in_one_unit(results.variants["size_bytes"]):
        return _rendered(results, pathname, selection)


def _rendered(results: Results, pathname: str | None, selection: Selection) -> Page:
    scope = Scope(results, selection)
    slug = Address.parse(pathname, None).slug
    view = next((view for view in charts() if view.id == slug), None)
    if results.measured.is_empty() and (view is not None or slug in _TEXT_PAGES):
        return _baseline_only(results, slug)
    if slug == OVERVIEW and view is not None:
        return _first_page(scope, view)
    if view is not None:
        return _view_page(scope, view)
    if slug in _TEXT_PAGES:
        return _text_page(scope, slug)
    back = html.P(html.A("Go to the overview", href="/", **{"data-nav": "1"}))
    body = notice("There is no such page", [back])
    return Page("", "Not found", "Page not found", "", [], body=body)


def not_shown(slug: str, reason: str, manifest: Manifest | None) -> Page:
    """Return the page of a folder that cannot be read, or whose run has no finished variant yet."""
    if manifest is None:
        body = notice("This folder cannot be shown", [html.P(reason)])
        return Page(slug, "Results", "Nothing can be shown", "", [], body=body)
    texts = formats.listing(sorted({text.domain for text in manifest.texts}), 5)
    parts = [
        html.P(f"Started {manifest.started:%Y-%m-%d %H:%M} UTC on {manifest.device}; texts: {texts}."),
        html.P("The baseline is measured first. Variants appear here as they finish."),
    ]
    body = notice("Nothing is measured yet", parts)
    return Page(slug, "Results", f"A run for {manifest.model} has begun", "", [], body=body)


def standing(slug: str) -> Page:
    """Return the page that measures files, which shows no folder."""
    return Page(slug, "Measure", measure.TITLE, measure.CAPTION, [], body=measure.body())


def _baseline_only(results: Results, slug: str) -> Page:
    """Return the page of a folder without variants: its run has just begun, or every variant failed."""
    base = results.baseline
    level = formats.number(base["ppl"], 4)
    parts: list[Component] = [html.P(f"The baseline, {base['label']}, has a perplexity of {level}.")]
    if results.manifest.ended is None:
        title = "The baseline is measured, the variants follow"
        parts.append(html.P("They appear here as they finish."))
    else:
        title = "This folder holds a baseline and no variant"
        failures = [html.Li(f"{item.source}: {item.reason}") for item in results.manifest.failures]
        reasons = [html.P("These could not be measured:"), html.Ul(failures)] if failures else []
        parts += [*reasons, html.P("Add variants to it; the baseline is not measured again:")]
        parts.append(command(command_for(results)))
    return Page(slug, "Results", title, "", [], body=notice("There is nothing to compare yet", parts))


def failed(slug: str, error: Exception) -> Page:
    """Return the page shown if drawing a page raised `error`."""
    parts = [
        html.P("This is a bug in the dashboard. Other pages and the results are not affected."),
        html.Pre(html.Code(f"{type(error).__name__}: {error}"), className="command"),
    ]
    return Page(
        slug, "Fault", "This page cannot be drawn", "", [], body=notice("Something went wrong", parts)
    )


def _first_page(scope: Scope, view: View) -> Page:
    """Return the chart with the answers beside it and the limits below; without a chart, the texts alone."""
    if scope.frame.is_empty():
        return Page(view.id, view.title, view.headline(scope), "", [NOTHING], body=empty_notice())
    page = _view_page(scope, view)
    parts = [page.body] if page.body is not None else []
    body = html.Div([*parts, *overview.below(scope)], className="page-overview")
    beside = overview.beside(scope)  # says why the answers are provisional
    insights = overview.insights(scope)  # last, because files that turn out unreadable here are named
    title = placed(view.headline(scope), insights)
    return replace(page, title=title, beside=beside, provisional="", insights=insights, body=body)


def _text_page(scope: Scope, slug: str) -> Page:
    page, caption = _TEXT_PAGES[slug]
    body = page.body(scope)  # first, because files that turn out unreadable here are named in the insights
    insights = page.insights(scope)
    return Page(
        slug=slug,
        eyebrow=slug.capitalize(),
        title=placed(page.headline(scope), insights),
        caption=caption,
        insights=insights,
        body=body,
        picked=sentence(scope),
        provisional=provisional(scope),
    )


def _view_page(scope: Scope, view: View) -> Page:
    eyebrow = f"{view.number} · {view.titled(scope)}" if view.number else view.titled(scope)
    absent = view.absent(scope.results)
    if absent is not None:
        why = "cannot be read" if absent.fault else "were not measured"
        insights = [Insight(f"The data of this view {why}.", "unknown")]
        return Page(view.id, eyebrow, absent.title, "", insights, body=absent_notice(absent))
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
    insights = view.insights(scope)
    return Page(
        slug=view.id,
        eyebrow=eyebrow,
        title=placed(view.headline(scope), insights),
        caption=f"{note(failed_files)}{view.captioned(scope)} {provenance(view.applied(scope))}",
        insights=[*warnings(scope), *insights],
        figure=figure,
        claims=view.claims(scope),
        pick=view.pick,
        methods=scope.results.methods,
        filename=file_stem(scope, view.id),
        picked=view.about_picks(scope),
        provisional=provisional(scope),
    )


def _all_failed(view: View, eyebrow: str, names: Sequence[str]) -> Page:
    """Return the page of a view all of whose selected files failed."""
    insights = [Insight(f"{name}.", "caution") for name in names]
    body = notice("There is nothing to draw", [html.Ul([html.Li(name) for name in names])])
    return Page(view.id, eyebrow, "Every selected file failed", "", insights, body=body)


def _add_left_out(figure: dict[str, Any], scope: Scope) -> None:
    """Add the methods that the filter excludes to a legend, greyed out, so that a click restores them.

    Only to figures that name methods, in their legend or at the ends of lines.
    """
    traces = figure["data"]
    if not {_method(trace) for trace in traces if trace["type"] == "scatter"} & scope.selection.methods:
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
    """Return the method of a trace's legend entry, or an empty string."""
    return str((trace.get("meta") or {}).get("method", ""))
