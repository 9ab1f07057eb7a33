"""The board of claims: a count, and one line per claim that unfolds to its evidence."""

from __future__ import annotations

from collections.abc import Sequence

from dash import html
from dash.development.base_component import Component

from dashboard.insights import Claim
from dashboard.insights.tally import MEANING, Tally
from dashboard.pages.folds import fold
from dashboard.pages.terms import explained
from dashboard.views import registry

_SIGNS = {"holds": "✓", "fails": "✗", "unknown": "?", "untestable": "–"}


def board(claims: Sequence[Claim], provisional: str = "") -> list[Component]:
    """Return a view's claims under a heading with their count; empty if there are none.

    `provisional` says why they may change, if they may.
    """
    if not claims:
        return []
    head = html.Div(html.H2("Claims, tested here"), className="panel-head claims-head")
    count = html.P(Tally.of(claims).told(provisional), className="claims-count", title=MEANING)
    return [head, count, *_rows(claims, set())]


def whole_board(judged: Sequence[tuple[str, Sequence[Claim]]], provisional: str = "") -> list[Component]:
    """Return the claims of all views with the count of all of them, and per view; the summary's own come last."""
    views = {view.id: view for view in registry()}
    order = {name: index for index, name in enumerate(views)}
    ordered = sorted(judged, key=lambda item: order.get(item[0], len(order)))
    everything = Tally.of(claim for _, claims in ordered for claim in claims)
    total = everything.told(provisional)
    seen: set[str] = set()
    groups = []
    for name, claims in ordered:
        view = views.get(name)
        link: Component | str = "Summary"
        if view:
            link = html.A(f"{view.number} · {view.tab}", href=f"/{view.id}", **{"data-nav": "1"})
        head = html.H3([link, html.Small(f" {Tally.of(claims).words}")])
        groups.append(html.Section([head, *_rows(claims, seen)], className="claims-group"))
    told = html.P([html.Strong(total), f" {MEANING}"], className="claims-count")
    return [told, html.Div(groups, className="claims-groups")]


def _rows(claims: Sequence[Claim], seen: set[str]) -> list[Component]:
    """Return a line per claim; those that cannot be tested are folded together at the end, each with the reason."""
    apart = [claim for claim in claims if claim.verdict == "untestable"]
    rows = [_row(claim, seen) for claim in claims if claim not in apart]
    if apart:
        name = f"{len(apart)} cannot be tested here"
        why = "\n".join(f"{claim.text} {claim.evidence}" for claim in apart)
        inner = [_row(claim, seen) for claim in apart]
        rows.append(
            fold(f"untested {apart[0].text}", html.Summary(name, title=why), inner, "fold claims-apart")
        )
    return rows


def _row(claim: Claim, seen: set[str]) -> Component:
    sign = html.Span(_SIGNS[claim.verdict], className="insight-sign", **{"aria-hidden": "true"})
    verdict = html.Span(f"{claim.wording}: ", className="unseen")
    evidence = html.P(explained(claim.evidence, seen), className="insight-detail")
    untested = claim.verdict == "untestable"
    told = f"{claim.wording}. {claim.evidence}" if untested else claim.wording
    head = html.Summary([sign, verdict, claim.text], title=told)
    kind = f"claim claim-{claim.verdict}"
    return fold(claim.text, head, [evidence], kind, unfolded=untested)
