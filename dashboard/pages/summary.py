"""The summary page: the table per method, takeaways and recommendations, each with its rule."""

from __future__ import annotations

from collections.abc import Sequence

from dash import html
from dash.development.base_component import Component

from dashboard.insights import Insight
from dashboard.insights.answers import Answers
from dashboard.insights.claim_rules import Case
from dashboard.insights.claims import every
from dashboard.insights.comparison import change, elsewhere, log_ratio
from dashboard.insights.faults import warnings
from dashboard.insights.notices import notices
from dashboard.insights.provisional import provisional
from dashboard.insights.summary import OPTIMAL_BOUND, MethodSummary, rules, summarize, takeaways
from dashboard.insights.verdict import Standing, rule, standings
from dashboard.pages.claims import whole_board
from dashboard.pages.parts import card, empty_notice, insight_list, swatch
from dashboard.results.results import Results
from dashboard.results.rows import one_place, type_name
from dashboard.results.scope import Scope
from dashboard.style import formats
from dashboard.style.columns import EFFICIENCY_SCALE

HEADS = ("Method", "Best for", "Limitations", "Optimal bit rate", "PPL", "1/PPL/MB (× 10⁻⁵)")
LEFT_OUT = (
    "A method is not compared if it has no file of the size, or only one no closer than its own smaller file."
)
SIZE_HEADS = (
    "Size",
    "Closest to the baseline",
    "Lead by KLD",
    "Perplexity against the closest",
    "Not compared",
)


def headline(scope: Scope) -> str:
    """Return each method's smallest file within the rule's bound in one sentence."""
    lines = summarize(scope)
    if not lines:
        return "No comparable variant is selected, so there is nothing to summarize"
    bound = f"within {formats.percent(OPTIMAL_BOUND, 0)} of the baseline's perplexity"
    kept = [f"{line.method} {type_name(line.optimal)}" for line in lines if line.by_rule]
    others = [line.method for line in lines if not line.by_rule]
    none = f"; no file of {formats.listing(others)}" if others else ""
    smallest = f"Smallest file {bound}: {formats.listing(kept)}{none}"
    text = smallest if kept else f"No file of {formats.listing(others)} is {bound}"
    return f"Provisional: {text[:1].lower()}{text[1:]}" if provisional(scope) else text


def body(scope: Scope) -> Component:
    """Return the table per method, the methods at equal size, the recommendations and the rules."""
    lines = summarize(scope)
    if not lines:
        return empty_notice()
    answers = Answers.of(scope)
    head = html.Thead(html.Tr([html.Th(name, scope="col") for name in HEADS]))
    table = html.Table(
        [head, html.Tbody([_line(scope.results, line) for line in lines])], className="table summary-table"
    )
    told = [part for name, text in rules(scope).items() for part in (html.Dt(name), html.Dd(text))]
    return html.Div(
        [
            html.Div(table, className="box table-box"),
            *_at_equal_size(scope),
            html.Div(
                [
                    card("Recommendations", [insight_list(answers.in_sentences(scope))]),
                    card("The rules behind the table", [html.Dl(told, className="metrics")]),
                ],
                className="boxes",
            ),
            card(
                "Claims about quantization, tested here",
                whole_board(every(scope), provisional(scope)),
                "wide",
            ),
        ],
        className="page-summary",
    )


def _at_equal_size(scope: Scope) -> list[Component]:
    """Return the methods compared size by size, which the verdicts on every page are based on."""
    bands = Case.of(scope).bands
    if not bands:
        return []
    head = html.Thead(html.Tr([html.Th(name, scope="col") for name in SIZE_HEADS]))
    lines = [_size_line(SIZE_HEADS[1:], line) for line in standings(bands)]
    table = html.Table([head, html.Tbody(lines)], className="table summary-table sizes-table")
    note = html.P(f"Compared {rule(bands)}. {LEFT_OUT}", className="hint")
    return [card("Methods at equal size", [table, note], "table-box")]


def _size_line(heads: Sequence[str], line: Standing) -> Component:
    cells = zip(heads, (line.closest, line.lead, line.perplexity, line.absent), strict=True)
    return html.Tr(
        [html.Th(line.size, scope="row"), *(html.Td(text, **{"data-label": head}) for head, text in cells)]
    )


def _line(results: Results, line: MethodSummary) -> Component:
    row = line.optimal
    name = html.Th([swatch(results.styles[line.method]), f" {line.method}"], scope="row")
    rate = [
        html.Strong(formats.bits(row["bits_per_weight"])),
        html.Br(),
        html.Small(f"{type_name(row)}, {line.chosen}"),
    ]
    efficiency = row["inv_ppl_per_mb"]
    scaled = formats.number(EFFICIENCY_SCALE * efficiency) if efficiency is not None else "not measured"
    ppl = [formats.number(row["ppl"], 4), html.Br(), html.Small(change(log_ratio(row)))]
    cells = [_lines(line.best_for), _lines(line.limitations), rate, ppl, scaled]
    labelled = zip(HEADS[1:], cells, strict=True)
    return html.Tr([name, *(html.Td(cell, **{"data-label": head}) for head, cell in labelled)])


def _lines(texts: tuple[str, ...]) -> list[Component]:
    return [html.Div(text) for text in texts]


def insights(scope: Scope) -> list[Insight]:
    """Return warnings about files, what the run notes, the takeaways, and which model or device they are about."""
    passing = scope.rows
    return [*warnings(scope), *notices(scope), *takeaways(scope), *elsewhere(passing, one_place(passing))]
