"""The first page: which file to run, what is compared, what the numbers mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dash import html
from dash.development.base_component import Component

from dashboard.insights import Insight
from dashboard.insights.advising import Advice
from dashboard.insights.answers import Answers
from dashboard.insights.comparison import change, elsewhere, log_ratio
from dashboard.insights.engine_gap import gap_insight, is_timed, packing_adds
from dashboard.insights.failures import failures
from dashboard.insights.faults import warnings
from dashboard.insights.recommender import PRIMARY, Recommendation, runners_up, usable
from dashboard.insights.summary import takeaways
from dashboard.pages.advice import advice_box
from dashboard.pages.parts import card, empty_notice, insight_list, provisional_note, swatch
from dashboard.results.results import Results
from dashboard.results.rows import Row, one_place
from dashboard.results.scope import Scope
from dashboard.style import formats
from dashboard.style.theme import BASELINE
from dashboard.views import registry

_METHODS = {
    "bartowski": "llama.cpp quants with an importance matrix, measured on a calibration text.",
    "unsloth": "dynamic quants: bits are chosen tensor by tensor, and sensitive tensors get more.",
    "main": "llama.cpp's stock recipes, without an importance matrix.",
}
_METRICS = (
    ("Perplexity (PPL)", "How surprised the model is by the next token, on average. Lower is better."),
    (
        "KLD",
        "How far the whole next-token distribution moved, in nats. It shows changes that average out in PPL.",
    ),
    ("Same top token", "How often the most likely token is the baseline's."),
    ("Δ log p", "Change in log-probability of the token that actually followed."),
    (
        "Size, bits per weight",
        "The size of the download; bits are measured over all tensors, not taken from the type's name.",
    ),
    (
        "1/PPL/MB",
        "Quality per megabyte. It favours small files, so use it only for files that are good enough.",
    ),
)
_BENEFITS = (
    "A smaller download, and less disk space",
    "Less memory, so the model fits on laptops, phones and small GPUs",
    "Often faster decoding, because fewer bytes are read per token",
    "Less energy per answer",
)
_GOALS = (
    "Find the smallest file that still behaves like the original",
    "Show what each method loses, and in which layers and tokens",
    "Separate real differences from noise: every comparison has an error",
)


def headline(scope: Scope) -> str:
    """Return the answer in one sentence: within the user's limits, else for everyday use."""
    return Answers.of(scope).headline


def body(scope: Scope) -> Component:
    """Return the answers, then methods, metrics, benefits, goals and links to the views."""
    answers = Answers.of(scope)
    if scope.frame.is_empty():
        return empty_notice()
    cards = [_answer(scope, item, answers) for item in answers.recommendations]
    if answers.advice is not None:
        cards.insert(0, _limited(scope, answers, answers.advice))
    return html.Div(
        [
            *_broken(scope),
            *_provisional(answers),
            html.Div(cards, className="answers limited" if answers.advice is not None else "answers"),
            html.Div(
                [
                    advice_box(scope, answers),
                    card("Why? Ask a view", [_links()]),
                    card("Methods in this comparison", [_methods(scope.results)]),
                    card("Key metrics", [_metrics(scope)]),
                    card("Why quantize", [_bullets(_BENEFITS)]),
                    card("What this comparison is for", [_bullets(_GOALS)]),
                ],
                className="boxes",
            ),
        ],
        className="page-overview",
    )


def _broken(scope: Scope) -> list[Component]:
    """Return a box that names the selected files that look broken, if any."""
    short = [replace(item, detail="") for item in warnings(scope)]
    return [html.Div(insight_list(short), className="box warnings-box")] if short else []


def _provisional(answers: Answers) -> list[Component]:
    """Return a note that says why the answers are provisional, if they are."""
    if not answers.doubts:
        return []
    return provisional_note(f"{'; '.join(answers.doubts)}. The answers may change")


def _limited(scope: Scope, answers: Answers, advice: Advice) -> Component:
    """Return the card with the answer within the user's limits."""
    title, why = "Within your limits", answers.why_provisional()
    rule = html.P(f"Rule: {advice.rule}", className="answer-rule")
    if advice.best is None:
        return card(title, [html.P(advice.why), rule], "answer primary unmet")
    best = advice.best
    memory = [html.P(advice.memory, className="answer-memory")] if advice.memory else []
    parts = [*_file(scope, best.row, best.price, best.label, as_run=best.as_run), *memory]
    return card(title, [*_badge(why), *parts, rule], f"answer primary{' provisional' if why else ''}")


def _answer(scope: Scope, item: Recommendation, answers: Answers) -> Component:
    rule = html.P(f"Rule: {item.rule}", className="answer-rule")
    if item.row is None:
        return card(item.need, [html.P(item.why), rule], "answer")
    if answers.advice is not None and not item.met and not item.contenders:
        return card(item.need, [html.P("No file within your limits meets the rule."), rule], "answer unmet")
    rivals = [rival["label"] for rival in runners_up(scope, answers.rows, item.row)]
    notes = [f"Tied by KLD at this size: {formats.listing(rivals)}"] if rivals else []
    notes += [f"Undecided: {formats.listing(_contenders(item))}"] if item.contenders else []
    notes += [f"Provisional: {item.doubt}"] if item.doubt and not answers.doubts else []
    lines = [html.P(note, className="answer-tied") for note in notes]
    why = answers.why_provisional(item)
    kind = " primary" if item.need == PRIMARY and answers.advice is None else ""
    kind += ("" if item.met else " unmet") + (" provisional" if why else "")
    parts = _file(scope, item.row, item.why)
    return card(item.need, [*_badge(why), *parts, *lines, rule], f"answer{kind}")


def _file(scope: Scope, row: Row, why: str, name: str = "", *, as_run: bool = False) -> list[Component]:
    """Return a file's name, its size, what it loses, and what running it adds if the loss is not that `as_run`."""
    added = is_timed(row) and not as_run
    facts = f"{formats.size(row['size_bytes'])} · {formats.bits(row['bits_per_weight'])}"
    of_weights = row["same_top"] is not None and not as_run
    same = f", same top token {formats.percent(row['same_top'])}" if of_weights else ""
    return [
        html.P(
            [swatch(scope.results.styles[row["method"]]), f" {name or row['label']}"], className="answer-name"
        ),
        html.P(facts, className="answer-facts"),
        html.P(f"{why}{same}", className="answer-why"),
        *([html.P(packing_adds(row, scope.selection), className="answer-gap")] if added else []),
    ]


def _badge(why_provisional: str) -> list[Component]:
    if not why_provisional:
        return []
    return [html.Span("Provisional", className="badge-provisional", title=why_provisional)]


def _contenders(item: Recommendation) -> list[str]:
    """Name the smallest file that more text may show to meet the rule, with what it loses."""
    return [f"{row['label']} ({change(log_ratio(row))}) may meet the rule too" for row in item.contenders[:1]]


def _methods(results: Results) -> Component:
    items = []
    for method in results.methods:
        count = results.measured.filter(results.measured["method"] == method).height
        text = _METHODS.get(method.lower(), "the label given to these files in the run.")
        name = [swatch(results.styles[method]), html.Strong(f" {method}"), f" ({count}) "]
        items.append(html.Li([*name, html.Span(text)]))
    base = results.baseline
    sign = [swatch(BASELINE), html.Strong(f" baseline {base['quant']} ")]
    items.append(html.Li([*sign, html.Span("the reference for every variant, token by token.")]))
    return html.Ul(items, className="plain")


def _metrics(scope: Scope) -> Component:
    where = scope.in_engine or " of the packed model"
    time = ("Decode time", f"Milliseconds per generated token{where}, on the device named below.")
    pairs = [part for name, text in (*_METRICS, time) for part in (html.Dt(name), html.Dd(text))]
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


def insights(scope: Scope) -> list[Insight]:
    """Return warnings, takeaways, and remarks about the measurement."""
    passing = scope.rows
    rows = one_place(passing)
    why = Answers.of(scope).why_provisional()
    result = warnings(scope)
    result += [Insight(f"The answers are provisional: {why}.", "caution")] if why else []
    result += failures(passing)
    result += takeaways(scope) if usable(rows) or not rows else []
    packed = gap_insight(rows, scope.selection)
    result += [packed] if packed is not None else []
    result += elsewhere(passing, rows)
    first, _, rest = (scope.results.manifest.baseline_note or "").partition(". ")
    if first:
        result.append(Insight(f"About the baseline: {first.rstrip('.')}.", "note", rest))
    for failure in scope.results.manifest.failures:
        result.append(Insight(f"{failure.source} could not be measured: {failure.reason}", "caution"))
    result += [Insight(f"Skipped: {problem}.", "caution") for problem in scope.results.problems]
    return result
