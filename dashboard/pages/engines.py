"""The card on the first page with the engines side by side for one file."""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component

from dashboard.insights.answers import Answers
from dashboard.insights.engines_of_file import Cell, file_in_engines
from dashboard.pages.folds import fold
from dashboard.pages.parts import swatch
from dashboard.results.engines import in_words
from dashboard.results.scope import Scope
from dashboard.style import formats


def engines_card(scope: Scope, answers: Answers) -> list[Component]:
    """Return a folded table of the picked or recommended file in each engine; empty for a folder of one engine."""
    found = file_in_engines(scope, answers)
    if found is None:
        return []
    lines = {
        ("Loss as run", "mean KLD from the baseline's exact weights, nats per token"): "loss",
        ("Running adds", "mean KLD from the file's own exact weights, nats per token"): "added",
        ("Decode, tokens/s", "median and p10–p90 after the prompt"): "decode",
        ("Prefill, tokens/s", "median"): "prefill",
        (
            f"Memory at {formats.count(found.context)} tokens",
            "weights, each once, cache and buffers",
        ): "memory",
    }
    head = html.Tr([html.Td(), *(html.Th(in_words(run.engine), scope="col") for run in found.runs)])
    body = [
        html.Tr([html.Th(name, scope="row", title=what), *(_cell(getattr(run, key)) for run in found.runs)])
        for (name, what), key in lines.items()
    ]
    sign = swatch(scope.results.styles[found.row["method"]])
    parts: list[Component] = [
        html.P([sign, f" {found.row['label']}"], className="answer-name"),
        html.Table([html.Thead(head), html.Tbody(body)], className="engines-table"),
        *([html.P(found.told, className="answer-note")] if found.told else []),
    ]
    title = html.Summary(html.H2("The same file in each engine"))
    return [fold("engines", title, parts, "box answer engines")]


def _cell(cell: Cell) -> Component:
    return html.Td([cell.text, *([html.Small(cell.below)] if cell.below else [])])
