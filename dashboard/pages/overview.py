"""The texts of the first page: the answers beside its chart; limits, links and explanations below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dash import html
from dash.development.base_component import Component

from dashboard.insights import Insight
from dashboard.insights.advising import Advice
from dashboard.insights.answers import Answers
from dashboard.insights.comparison import elsewhere
from dashboard.insights.failures import failures
from dashboard.insights.faults import warnings
from dashboard.insights.notices import by_model, notices
from dashboard.insights.recommender import NEEDS, PRIMARY, Recommendation
from dashboard.pages.advice import advice_lines, limit_fields
from dashboard.pages.engines import engines_card
from dashboard.pages.folds import fold
from dashboard.pages.parts import card, insight_list, provisional_note, swatch
from dashboard.pages.terms import Parts, explained
from dashboard.results.results import Results
from dashboard.results.rows import Row, one_place
from dashboard.results.scope import Scope
from dashboard.style import formats
from dashboard.style.theme import BASELINE
from dashboard.views import registry
from dashboard.views.home import VIEW

_METHODS = {
    "bartowski": "llama.cpp quants with an importance matrix, measured on a calibration text.",
    "unsloth": "dynamic quants: bits are chosen tensor by tensor, and sensitive tensors get more.",
    "main": "llama.cpp's stock recipes, without an importance matrix.",
    "guided": "types chosen by the loss that each matrix was measured to cause; “evaluator quantize --recipe guided” "
    "makes such files.",
    "guided-k": "as guided, without the IQ types, which llama.cpp decodes more slowly on a CPU.",
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
#: Each need's rule in one line.
_RULES = {
    need: f"Smallest with under +{formats.percent(bound, 0)} perplexity (95 % bound)" for need, bound in NEEDS
}
_GOALS = (
    "Find the smallest file that still behaves like the original",
    "Show what each method loses, and in which layers and tokens",
    "Separate real differences from noise: every comparison has an error",
)


def beside(scope: Scope) -> list[Component]:
    """Return the cards: the headline's answer, the engines side by side for it, then the other needs' answers."""
    answers = Answers.of(scope)
    unlimited = answers.advice is None
    needs = sorted(answers.recommendations, key=lambda item: unlimited and item.need != PRIMARY)
    cards = [_answer(scope, item, answers) for item in needs]
    if answers.advice is not None:
        cards.insert(0, _limited(scope, answers, answers.advice))
    cards[1:1] = engines_card(scope, answers)
    return [*_warned(scope), *_provisional(answers), html.Div(cards, className="answers")]


def below(scope: Scope) -> list[Component]:
    """Return the limits, the links to the views, and what explains methods and numbers, folded."""
    cards = [
        card("Methods in this comparison", [_methods(scope.results)]),
        card("Key metrics", [_metrics(scope)]),
        card("Why quantize", [_bullets(_BENEFITS)]),
        card("What this comparison is for", [_bullets(_GOALS)]),
    ]
    summary = html.Summary("Methods, metrics, and what this comparison is for")
    more = fold("more", summary, [html.Div(cards, className="boxes")], "more")
    return [limit_fields(scope.selection), _links(), more]


def _warned(scope: Scope) -> list[Component]:
    """Return a box that names the selected files that look broken, and what the run notes, if anything."""
    said = [*warnings(scope), *notices(scope), *_about(scope)]
    short = [replace(item, detail="") for item in said]
    return [html.Div(insight_list(short), className="box warnings-box")] if short else []


def _provisional(answers: Answers) -> list[Component]:
    """Return a note that says why the answers are provisional, if they are."""
    if not answers.doubts:
        return []
    return provisional_note(f"{'; '.join(answers.doubts)}. The answers may change")


def _limited(scope: Scope, answers: Answers, advice: Advice) -> Component:
    """Return the card with the answer within the user's limits."""
    title, why = "Within your limits", answers.why_provisional()
    lines = advice_lines(scope, advice)
    if advice.best is None:
        return card(title, lines, "answer primary unmet advice")
    best = advice.best
    parts = [*_badge(why), *_file(scope, best.row, best.price, best.label, explains=True), *lines]
    kind = f"answer primary advice{' provisional' if why else ''}"
    return _pickable(scope, best.row, card(title, parts, kind))


def _answer(scope: Scope, item: Recommendation, answers: Answers) -> Component:
    rule = html.P(_RULES[item.need], className="answer-rule", title=f"Rule: {item.rule}")
    if item.row is None:
        return card(item.need, [html.P(item.why), rule], "answer")
    if answers.advice is not None and not item.met and not item.contenders:
        return card(item.need, [html.P("No file within your limits meets the rule."), rule], "answer unmet")
    primary = item.need == PRIMARY and answers.advice is None
    notes = [*answers.remarks(scope, item)]
    notes += [f"Provisional: {item.doubt}"] if item.doubt and not answers.doubts else []
    lines = [html.P(note, className="answer-note") for note in notes]
    why = answers.why_provisional(item)
    kind = " primary" if primary else ""
    kind += ("" if item.met else " unmet") + (" provisional" if why else "")
    parts = _file(scope, item.row, item.why, explains=primary)
    return _pickable(scope, item.row, card(item.need, [*_badge(why), *parts, *lines, rule], f"answer{kind}"))


def _pickable(scope: Scope, row: Row, answer: Component) -> Component:
    """Add the button that picks the file of a card; a click elsewhere on the card does the same (answers.js)."""
    is_picked = row["variant_id"] in scope.selection.picked
    name = "✓ Picked" if is_picked else "Pick"
    told = {"aria-pressed": "true" if is_picked else "false", "aria-label": f"{name} {row['label']}"}
    button = html.Button(
        name,
        type="button",
        className="tool pick",
        title="Show this file in every view; again to let go",
        **{**told, "data-pick": row["variant_id"], "data-name": row["label"]},
    )
    answer.children = [button, *answer.children]
    answer.className += " pickable" + " picked" * is_picked
    return answer


def _file(scope: Scope, row: Row, why: str, name: str = "", *, explains: bool) -> list[Component]:
    """Return a file's name, its size and what it loses, with the words of it explained on hover if asked."""
    sign = swatch(scope.results.styles[row["method"]])
    top = row.get("same_top")
    kept = "" if top is None else f", same top token {formats.percent(top, 0)}"
    loss: Parts = [f" · {why}{kept}"]
    if explains:
        loss = explained(f" · {why}{kept}", set())
    return [
        html.P([sign, f" {name or row['label']}"], className="answer-name"),
        html.P([html.Strong(formats.size(row["size_bytes"])), *loss], className="answer-why"),
    ]


def _badge(why_provisional: str) -> list[Component]:
    if not why_provisional:
        return []
    return [html.Span("Provisional", className="badge-provisional", title=why_provisional)]


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
    time = ("Decode speed", f"Generated tokens per second{where}, on the device named below.")
    pairs = [part for name, text in (*_METRICS, time) for part in (html.Dt(name), html.Dd(text))]
    return html.Dl(pairs, className="metrics")


def _bullets(texts: Sequence[str]) -> Component:
    return html.Ul([html.Li(text) for text in texts], className="bullets")


def _links() -> Component:
    """Return one line of links to the views."""
    items = [
        html.A(
            [html.Span(str(view.number), className="key"), html.Span(view.tab)],
            href=f"/{view.id}",
            title=view.title,
            **{"data-nav": "1"},
        )
        for view in registry()
    ]
    return html.Nav(items, className="links", **{"aria-label": "The views"})


def insights(scope: Scope) -> list[Insight]:
    """Return warnings, what the chart shows, and remarks about the measurement."""
    return [*warnings(scope), *_provisional_insight(scope), *VIEW.insights(scope), *_remarks(scope)]


def notes(scope: Scope) -> list[Insight]:
    """Return warnings and remarks about the measurement, for exports that have the chart elsewhere."""
    return [*warnings(scope), *_provisional_insight(scope), *_remarks(scope)]


def _provisional_insight(scope: Scope) -> list[Insight]:
    why = Answers.of(scope).why_provisional()
    return [Insight(f"The answers are provisional: {why}.", "caution")] if why else []


def _remarks(scope: Scope) -> list[Insight]:
    """Say which files failed, which model or device the answers are about, and what could not be measured or read."""
    passing = scope.rows
    result = [*failures(passing), *elsewhere(passing, one_place(passing))]
    result += _about(scope)
    for run in scope.runs:
        for failure in run.failures:
            result.append(Insight(f"{failure.source} could not be measured: {failure.reason}", "caution"))
    return result + [Insight(f"Skipped: {problem}.", "caution") for problem in scope.results.problems]


def _about(scope: Scope) -> list[Insight]:
    """Say how the files came about, if the run noted it: the first sentence, with the rest as detail."""
    told = []
    for whose, text in by_model(scope, lambda run: filter(None, [run.baseline_note])):
        first, _, rest = text.partition(". ")
        told.append(Insight(f"{whose}{first.rstrip('.')}.", "note", rest))
    return told
