"""The first page: which file to run, what is compared, what the numbers mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dash import html
from dash.development.base_component import Component

from dashboard import formats
from dashboard.charts import Row, one_place
from dashboard.insights import Insight
from dashboard.insights.claims import every
from dashboard.insights.comparison import elsewhere
from dashboard.insights.faults import sound, warnings
from dashboard.insights.recommender import PRIMARY, Recommendation, recommend, runners_up
from dashboard.insights.summary import takeaways
from dashboard.pages.advice import advice_box
from dashboard.pages.parts import card, claims_table, empty_notice, insight_list, swatch
from dashboard.results import Results
from dashboard.selection import Selection
from dashboard.theme import BASELINE
from dashboard.views import registry

_METHODS = {
    "bartowski": "llama.cpp quants made with an importance matrix: a calibration text shows what matters.",
    "unsloth": "dynamic quants: the number of bits is chosen tensor by tensor, sensitive ones get more.",
    "main": "llama.cpp's stock recipes, without an importance matrix.",
}
_METRICS = (
    ("Perplexity (PPL)", "How surprised the model is by the next token, on average. Lower is better."),
    (
        "KLD",
        "How far the whole next-token distribution moved, in nats. Sees what PPL averages away.",
    ),
    ("Same top token", "How often the most likely token is the one the baseline would choose."),
    ("Δ log p", "Change in log-probability of the token that actually followed, token by token."),
    (
        "Size, bits per weight",
        "The file you download; bits are measured over all tensors, not the type's nominal ones.",
    ),
    ("1/PPL/MB", "Quality per megabyte. It favours small files, so read it above a quality floor."),
    ("Decode time", "Milliseconds per generated token of the packed model on the device named below."),
)
_BENEFITS = (
    "A smaller download, and less disk",
    "Less memory while running, so it fits on laptops, phones and small GPUs",
    "Often faster decoding, because fewer bytes move per token",
    "Less energy per answer",
)
_GOALS = (
    "Find the smallest file that still behaves like the original",
    "Say what each method loses, and in which layers and tokens",
    "Tell real differences from noise: every comparison carries its error",
)


def headline(results: Results, selection: Selection) -> str:
    """Return the everyday answer in one sentence."""
    answer = next(item for item in recommend(_rows(results, selection)) if item.need == PRIMARY)
    if answer.row is None and results.select(selection).height:
        return "Which file to run cannot be said: no selected file is both compared and sound"
    if answer.row is None:
        return "Which file to run cannot be said: nothing selected was compared with the baseline"
    if answer.met:
        return f"Run {answer.row['label']}: {formats.size(answer.row['size_bytes'])}, {answer.why}"
    return f"No file is safe for everyday use by the stated rule; {answer.row['label']} comes closest"


def _rows(results: Results, selection: Selection) -> list[Row]:
    """Return the variants that the answers choose between: neither files of another model nor broken ones."""
    return sound(results, one_place(results.select(selection).to_dicts()))


def body(results: Results, selection: Selection) -> Component:
    """Answers first; then methods, metrics, benefits, goals and links to the views."""
    if results.select(selection).is_empty():
        return empty_notice()
    rows, wrong = _rows(results, selection), warnings(results, selection)
    answers = [_answer(results, selection, item, rows) for item in recommend(rows)]
    claims = claims_table(every(results, selection))
    return html.Div(
        [
            *(
                [
                    html.Div(
                        insight_list([replace(item, detail="") for item in wrong]),
                        className="box warnings-box",
                    )
                ]
                if wrong
                else []
            ),
            html.Div(answers, className="answers"),
            html.Div(
                [
                    advice_box(results, selection, rows),
                    card("Why? Ask a view", [_links()]),
                    card("Methods in this comparison", [_methods(results)]),
                    card("Key metrics", [_metrics()]),
                    card("Why quantize", [_bullets(_BENEFITS)]),
                    card("What this comparison is for", [_bullets(_GOALS)]),
                    card("Claims about quantization, put to the test here", [claims], "wide"),
                ],
                className="boxes",
            ),
        ],
        className="page-overview",
    )


def _answer(results: Results, selection: Selection, item: Recommendation, rows: Sequence[Row]) -> Component:
    if item.row is None:
        return card(item.need, [html.P(item.why)], "answer")
    row = item.row
    facts = f"{formats.size(row['size_bytes'])} · {formats.bits(row['bits_per_weight'])}"
    same = f", same top token {formats.percent(row['same_top'])}" if row["same_top"] is not None else ""
    rivals = [rival["label"] for rival in runners_up(results, selection, rows, row)]
    tied = (
        [html.P(f"Tied by KLD at this size: {formats.listing(rivals)}", className="answer-tied")]
        if rivals
        else []
    )
    name = html.P([swatch(results.styles[row["method"]]), f" {row['label']}"], className="answer-name")
    details = [html.P(facts, className="answer-facts"), html.P(f"{item.why}{same}", className="answer-why")]
    rule = html.P(f"Rule: {item.rule}", className="answer-rule")
    kind = " primary" if item.need == PRIMARY else ""
    return card(item.need, [name, *details, *tied, rule], f"answer{kind}" + ("" if item.met else " unmet"))


def _methods(results: Results) -> Component:
    items = []
    for method in results.methods:
        count = results.measured.filter(results.measured["method"] == method).height
        text = _METHODS.get(method.lower(), "the label under which these files were measured.")
        name = [swatch(results.styles[method]), html.Strong(f" {method}"), f" ({count}) "]
        items.append(html.Li([*name, html.Span(text)]))
    base = results.baseline
    sign = [swatch(BASELINE), html.Strong(f" baseline {base['quant']} ")]
    items.append(html.Li([*sign, html.Span("the reference every variant is compared with, token by token.")]))
    return html.Ul(items, className="plain")


def _metrics() -> Component:
    pairs = [part for name, text in _METRICS for part in (html.Dt(name), html.Dd(text))]
    return html.Dl(pairs, className="metrics")


def _bullets(texts: Sequence[str]) -> Component:
    return html.Ul([html.Li(text) for text in texts], className="bullets")


def _links() -> Component:
    items = [
        html.A(
            [html.Span(str(view.number), className="key"), view.title],
            href=f"/{view.id}",
            **{"data-nav": "1"},
        )
        for view in registry()
    ]
    items.append(html.A([html.Span("Σ", className="key"), "Summary"], href="/summary", **{"data-nav": "1"}))
    return html.Div(items, className="links")


def insights(results: Results, selection: Selection) -> list[Insight]:
    """Takeaways, and what a reader must know about the measurement."""
    passing = results.select(selection).to_dicts()
    found = [*takeaways(results, selection), *elsewhere(passing, one_place(passing))]
    note = results.manifest.baseline_note
    if note:
        found.append(Insight(f"About the baseline: {note}", "caution"))
    for failure in results.manifest.failures:
        found.append(Insight(f"{failure.source} could not be measured: {failure.reason}", "caution"))
    found += [Insight(f"Skipped: {problem}.", "caution") for problem in results.problems]
    nonfinite = int(results.variants["n_nonfinite"].sum())
    if nonfinite:
        found.append(
            Insight(f"{formats.count(nonfinite)} values were not finite and are left out.", "caution")
        )
    return found
