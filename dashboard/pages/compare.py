"""Two variants side by side: metrics with verdicts, tensor types, and the worst tokens in context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import dash_bootstrap_components as dbc
from dash import html
from dash.development.base_component import Component

from dashboard.insights import Insight
from dashboard.insights.compared_pair import chosen, why
from dashboard.insights.comparing import Difference, TensorTypes, differences, tensor_types
from dashboard.insights.engine_gap import gap_insight
from dashboard.insights.failures import failures
from dashboard.insights.faults import warnings
from dashboard.insights.runs_compared import Runs, runs, speed_insight
from dashboard.insights.tokens_in_context import TokenInContext, worst_tokens
from dashboard.pages.cache_types import cache_types
from dashboard.pages.parts import card, notice, swatch
from dashboard.results.engines import in_words
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.style import formats
from evaluator.results.files import VOCABULARY

Row = dict[str, Any]
_TOO_FEW = "Two variants are needed to compare, and this folder holds fewer"


def headline(scope: Scope) -> str:
    """Return which of the two is closer to the baseline, and at what size."""
    pair = chosen(scope)
    if pair is None:
        return _TOO_FEW
    first, second = pair
    kld = _closeness(differences(scope, first, second))
    if kld.leader is not None:
        better, other = (first, second) if kld.leader == 0 else (second, first)
        times = formats.times(better["size_bytes"] / other["size_bytes"])
        size = f"{times} its size" if times else "the same size"
        return f"{better['label']} is closer to the baseline than {other['label']}, at {size}"
    if kld.verdict == "identical":
        return f"{first['label']} and {second['label']} give the same probabilities, token by token"
    if kld.verdict == "tied":
        return f"{first['label']} and {second['label']} are equally far from the baseline, within the error"
    failed = [f"{row['label']} failed: {row['failure']}" for row in pair if row["failure"]]
    if failed:
        return "; ".join(failed)
    return f"{first['label']} and {second['label']} cannot be compared token by token"


def _closeness(metrics: Sequence[Difference]) -> Difference:
    """Return the metric that decides which is closer to the baseline: mean KLD over all tokens in scope."""
    return next(item for item in metrics if item.column == "kld_mean")


def body(scope: Scope) -> Component:
    """Return the two menus, and the tables of metrics, tensor types and tokens."""
    pair = chosen(scope)
    if pair is None:
        return notice("Nothing to compare", [html.P(f"{_TOO_FEW}.")])
    first, second = pair
    boxes = [
        html.Div(_choices(scope, first, second), className="box choices-box"),
        card("Metric by metric", [_metrics(differences(scope, first, second))], "table-box"),
    ]
    compared = runs(scope, first, second)
    if compared:
        boxes.append(
            card("As run in each engine", [_runs(compared), html.P(_NOT_SUMS, className="hint")], "table-box")
        )
    tensors = tensor_types(scope.results, first, second)
    if tensors:
        boxes.append(card("Tensor types by role", [_tensors(tensors)], "table-box"))
    boxes += cache_types(scope, pair)
    tokens = worst_tokens(scope.results, first, second, scope.selection)
    if tokens:
        fault = scope.results.fault(VOCABULARY.name)
        why = f"{fault}." if fault else _NO_TEXT
        texts = scope.results.pieces(str(first["model"]))
        hint = [] if texts else [html.P(f"Token ids instead of text: {why}", className="hint")]
        boxes.append(card("Tokens with the largest KLD", [*hint, _tokens(tokens)], "table-box"))
    return html.Div(boxes, className="page-compare")


_NOT_SUMS = (
    "What an engine adds is its divergence from the file's exact weights; the change is how much further the file is "
    "from the baseline in it. Divergences do not add up, so neither is the difference of the other two values. "
    "Where an engine ran only some of the tokens, the loss over all is the file's own plus the change on those."
)
_NO_TEXT = f"this folder has no {VOCABULARY.name}. Run the same command again to write it."


def _choices(scope: Scope, first: Row, second: Row) -> list[Component]:
    results, reason = scope.results, why(scope)
    options = [
        {"label": f"{row['label']} · {formats.size(row['size_bytes'])}", "value": row["variant_id"]}
        for row in results.measured.sort("label").iter_rows(named=True)
    ]
    menus = [
        html.Div(
            [
                html.Label(
                    [html.Strong(name), " ", swatch(results.styles[row["method"]])], htmlFor=f"option-{key}"
                ),
                dbc.Select(id=f"option-{key}", options=options, value=row["variant_id"], size="sm"),
            ],
            className="choice-row",
        )
        for key, name, row in (("a", "A", first), ("b", "B", second))
    ]
    return [*menus, *([html.P(reason, className="hint")] if reason else [])]


def _table(heads: Sequence[str], lines: Sequence[Component]) -> Component:
    head = html.Thead(html.Tr([html.Th(name, scope="col") for name in heads]))
    return html.Table([head, html.Tbody(lines)], className="table compare-table")


def _metrics(metrics: Sequence[Difference]) -> Component:
    return _table(("Metric", "A", "B", "A − B", "Verdict"), _metric_lines(metrics))


def _runs(compared: Sequence[Runs]) -> Component:
    lines = []
    for run in compared:
        name = html.Th(in_words(run.engine), colSpan=5, scope="rowgroup", className="engine")
        lines += [html.Tr([name]), *_metric_lines(run.lines)]
    return _table(("Measured in the engine", "A", "B", "A against B", "Verdict"), lines)


def _metric_lines(metrics: Sequence[Difference]) -> list[Component]:
    lines = []
    for item in metrics:
        values = [
            html.Td(value, className="leads" if item.leader == place else "")
            for place, value in enumerate(item.values)
        ]
        kind = "verdict" if item.leader is None else "verdict decided"
        cells = [*values, html.Td(item.difference), html.Td(item.verdict, className=kind)]
        lines.append(html.Tr([html.Th(item.metric, scope="row"), *cells]))
    return lines


def _tensors(roles: Sequence[TensorTypes]) -> Component:
    lines = [
        html.Tr(
            [
                html.Th(item.role, scope="row"),
                *(html.Td(_types(types)) for types in item.types),
                html.Td(f"{item.differing} differ" if item.differing else "the same"),
            ],
            className="" if item.differing else "quiet",
        )
        for item in roles
    ]
    return _table(("Role", "A", "B", "Tensors"), lines)


def _types(types: Any) -> str:
    return ", ".join(f"{name} × {count}" if count > 1 else name for name, count in types.items())


def _tokens(tokens: Sequence[TokenInContext]) -> Component:
    lines = []
    for item in tokens:
        text = [html.Span(_shown(item.before)), html.Mark(_shown(item.piece)), html.Span(_shown(item.after))]
        place = f"{item.domain} · window {item.window}, position {item.position}"
        cells = [formats.percent(value) for value in item.probabilities]
        cells += [formats.number(value) for value in item.klds]
        context = html.Td([html.Div(text, className="context"), html.Small(place)])
        lines.append(html.Tr([context, *(html.Td(cell) for cell in cells)]))
    heads = ("… text · token · text", "p baseline", "p A", "p B", "KLD A", "KLD B")
    return _table(heads, lines)


def _shown(text: str) -> str:
    """Show line breaks and tabs as signs; HTML would collapse them."""
    return text.replace("\n", "⏎").replace("\t", "⇥")


def insights(scope: Scope) -> list[Insight]:
    """Count the verdicts, and name the role whose tensor types differ most."""
    pair = chosen(scope)
    if pair is None:
        return [Insight(f"{_TOO_FEW}.", "unknown")]
    first, second = pair
    metrics = differences(scope, first, second)
    tested = [item for item in metrics if item.verdict]
    wins = [[item.metric for item in tested if item.leader == place] for place in (0, 1)]
    named = Selection.of(only=[str(row["variant_id"]) for row in pair])
    result = [*warnings(replace(scope, selection=named)), *failures(pair)]
    for place, row in enumerate(pair):
        if wins[place]:
            text = f"{row['label']} is better in {len(wins[place])} of {len(tested)} tests."
            result.append(Insight(text, "finding", formats.listing(wins[place], 6)))
    tied = [item.metric for item in tested if item.verdict == "tied"]
    if tied:
        are = "is" if len(tied) == 1 else "are"
        text = f"{len(tied)} of {len(tested)} tests {are} tied: the difference is within its error."
        result.append(Insight(text, "tie", formats.listing(tied, 6)))
    same = [item.metric for item in tested if item.verdict == "identical"]
    if same:
        text = f"{len(same)} of {len(tested)} tests give identical values."
        result.append(Insight(text, "tie", formats.listing(same, 6)))
    # The bootstrap is over all tokens.
    if _closeness(metrics).leader is not None and not scope.selection.filters_tokens:
        result += _bootstrap(scope.results, first, second)
    packed = gap_insight(pair, scope.selection)
    speed = speed_insight(runs(scope, first, second))
    result += [insight for insight in (speed, packed) if insight is not None]
    differing = [item for item in tensor_types(scope.results, first, second) if item.differing]
    if differing:
        roles = formats.plural(len(differing), "role")
        most = max(differing, key=lambda item: item.differing)
        which = f"{roles}, most in {most.role}" if len(differing) > 1 else f"{roles}, {most.role}"
        text = f"Their tensor types differ in {which}."
        result.append(Insight(text, "finding", f"A {_types(most.types[0])}; B {_types(most.types[1])}"))
    return result or [Insight("No metric of these two could be tested.", "unknown")]


def _bootstrap(results: Results, first: Row, second: Row) -> list[Insight]:
    """Return the bootstrap's result for the pair, if the folder has it."""
    pairs = results.pairs()
    if pairs is None:
        return []
    names = {str(first["variant_id"]), str(second["variant_id"])}
    for row in pairs.iter_rows(named=True):
        if {row["a"], row["b"]} == names and row["metric"] == "kld" and row["p_better"] is not None:
            share = row["p_better"] if row["a"] == first["variant_id"] else 1 - row["p_better"]
            leader = first if share >= 0.5 else second
            text = f"{leader['label']} has the lower KLD in {formats.percent(max(share, 1 - share))} of resamples."
            source = f"bootstrap over {row['n_windows']} windows, widened for their number, all texts"
            return [Insight(text, "finding", source)]
    return []
