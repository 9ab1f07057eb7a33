"""From a path and a selection to everything the screen shows: one pure function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import plotly.graph_objects as go
from dash import html
from dash.development.base_component import Component

from dashboard import formats
from dashboard.insights import Insight
from dashboard.insights.comparison import NOTHING
from dashboard.pages import overview, summary
from dashboard.pages.parts import absent_notice, empty_notice
from dashboard.results import Results
from dashboard.selection import Selection
from dashboard.views import View, registry

OVERVIEW, SUMMARY = "overview", "summary"
_TEXT_PAGES: dict[str, tuple[ModuleType, str]] = {
    OVERVIEW: (overview, "Rules decide, errors count: a variant qualifies only when its 95 % bound does."),
    SUMMARY: (summary, "Every cell follows from the measurements by the rules below the table."),
}


@dataclass(frozen=True)
class Page:
    """What the screen shows; either `figure` or `body` fills the centre."""

    slug: str
    eyebrow: str
    title: str
    caption: str
    insights: Sequence[Insight]
    figure: go.Figure | None = None
    body: Component | None = None

    @property
    def filename(self) -> str:
        """Name of the downloaded image, without extension."""
        return f"quantization-{self.slug}"


def slug_of(pathname: str | None) -> str:
    """Return the page of a URL path; the root is the overview."""
    return (pathname or "/").strip("/").lower() or OVERVIEW


def render(results: Results, pathname: str | None, selection: Selection) -> Page:
    """Return the page at `pathname` for what is picked."""
    slug = slug_of(pathname)
    view = next((view for view in registry() if view.id == slug), None)
    if view is not None:
        return _view_page(results, view, selection)
    if slug in _TEXT_PAGES:
        return _text_page(results, selection, slug)
    back = html.P(html.A("Go to the overview", href="/", **{"data-nav": "1"}))
    body = html.Div([html.H2("There is no such page"), back], className="notice")
    return Page("", "Not found", "This address leads nowhere", "", [], body=body)


def _text_page(results: Results, selection: Selection, slug: str) -> Page:
    page, caption = _TEXT_PAGES[slug]
    return Page(
        slug=slug,
        eyebrow=slug.capitalize(),
        title=page.headline(results, selection),
        caption=caption,
        insights=page.insights(results, selection),
        body=page.body(results, selection),
    )


def _view_page(results: Results, view: View, selection: Selection) -> Page:
    eyebrow = f"{view.number} · {view.title}"
    absent = view.absent(results)
    if absent is not None:
        note = [Insight("This was not measured, so nothing can be said about it.", "unknown")]
        return Page(view.id, eyebrow, "Not measured yet", "", note, body=absent_notice(absent))
    if results.select(selection).is_empty():
        note = [NOTHING]
        return Page(view.id, eyebrow, "Nothing to draw", "", note, body=empty_notice())
    return Page(
        slug=view.id,
        eyebrow=eyebrow,
        title=view.headline(results, selection),
        caption=f"{view.caption} {provenance(results)}",
        insights=view.insights(results, selection),
        figure=view.figure(results, selection),
    )


def provenance(results: Results) -> str:
    """Texts, tokens, device and date of the measurement, for a caption."""
    manifest = results.manifest
    texts = formats.listing(sorted({text.domain for text in manifest.texts}), 5)
    when = f"{manifest.started:%Y-%m-%d}"
    return f"Text: {texts}; {formats.count(scored_tokens(results))} scored tokens; {manifest.device}; {when}."


def scored_tokens(results: Results) -> int:
    """Tokens scored for the baseline."""
    return int(str(results.baseline["n_tokens"]))


def status(results: Results, selection: Selection) -> list[str]:
    """Return the parts of the status bar."""
    manifest = results.manifest
    shown, total = results.select(selection).height, results.measured.height
    texts = len(manifest.texts)
    parts = [
        f"{shown} of {total} variants",
        f"{texts} text{'s' if texts != 1 else ''}",
        f"{formats.count(scored_tokens(results))} tokens",
        f"{_device(manifest.device)} · {manifest.machine.cpu}",
        f"measured {manifest.started:%Y-%m-%d}",
    ]
    if manifest.ended is None:
        parts.append("unfinished run")
    if manifest.failures:
        parts.append(f"{len(manifest.failures)} failed")
    return parts


def _device(name: str) -> str:
    return name.upper() if name in {"cpu", "cuda"} else name
