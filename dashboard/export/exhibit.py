"""A view for export: its finding, figure and evidence, or the reason why there is none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from dashboard.figures import charts
from dashboard.insights import Claim, Insight
from dashboard.insights.comparison import placed
from dashboard.insights.failures import note
from dashboard.insights.faults import warnings
from dashboard.insights.order import by_importance
from dashboard.insights.provisional import provisional
from dashboard.insights.tally import Tally
from dashboard.results.scope import Scope
from dashboard.style import formats
from dashboard.views import View
from dashboard.views import charts as all_charts

_NO_MATCH = "No variant matches these filters, so there is nothing to draw."


@dataclass(frozen=True)
class Exhibit:
    """One view for one selection.

    `heading` is the view's title, `title` the finding, `caption` says what is drawn, and `picked` names the picked
    variants with what the view shows of them. If `reason` is not empty, there is nothing to draw and `figure` is
    empty. `provisional` says why it may change, if it may.
    """

    view: View
    heading: str
    title: str
    caption: str
    figure: go.Figure
    insights: Sequence[Insight] = ()
    claims: Sequence[Claim] = ()
    reason: str = ""
    picked: str = ""
    provisional: str = ""

    @property
    def counted(self) -> str:
        """The claims' counts by verdict, as a sentence."""
        return Tally.of(self.claims).told(self.provisional)

    @property
    def slug(self) -> str:
        """The view's id."""
        return self.view.id

    @property
    def question(self) -> str:
        """The view's number, if it has one, and title."""
        number = f"{self.view.number} · " if self.view.number else ""
        return f"{number}{self.heading}{' · provisional' if self.provisional else ''}"


def exhibits(scope: Scope) -> list[Exhibit]:
    """Return the exhibits of the first page's chart and of all views, by number."""
    return [exhibit(scope, view) for view in all_charts()]


def exhibit(scope: Scope, view: View) -> Exhibit:
    """Return a view's exhibit, with sizes in one unit; if there is nothing to draw, one with the reason."""
    with formats.in_one_unit(scope.results.variants["size_bytes"]):
        return _exhibit(scope, view)


def _exhibit(scope: Scope, view: View) -> Exhibit:
    absent = view.absent(scope.results)
    if absent is not None:
        fault = f" {absent.fault}." if absent.fault else ""
        reason = f"This view needs {absent.what}.{fault} Measure it with: {absent.command}"
        return _placeholder(view, absent.heading, reason)
    rows = scope.rows
    if not rows:
        return _placeholder(view, "Nothing to draw", _NO_MATCH)
    drawn = view.draw(scope)
    failed = view.left_out(rows, drawn)
    if len(failed) == len(rows):
        return _placeholder(view, "Every selected file failed", f"{formats.listing(failed)}.")
    insights = view.insights(scope)
    return Exhibit(
        view=view,
        heading=view.titled(scope),
        title=formats.unbroken(placed(view.headline(scope), insights)),
        caption=note(failed) + _without_gestures(view.captioned(scope)),
        picked=view.about_picks(scope),
        figure=drawn.checked(),
        insights=by_importance([*warnings(scope), *(i for i in insights if not i.command)]),
        claims=view.claims(scope),
        provisional=provisional(scope),
    )


def _without_gestures(caption: str) -> str:
    """Remove sentences about clicking, which does nothing outside the dashboard."""
    return " ".join(part for part in re.split(r"(?<=[.]) (?=[A-Z])", caption) if "click" not in part.lower())


def _placeholder(view: View, title: str, reason: str) -> Exhibit:
    return Exhibit(
        view, view.title, f"{title}: {view.title}", "", charts.message_figure("").checked(), reason=reason
    )
