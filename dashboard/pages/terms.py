"""Mark the words of statistics in sentences, so that each is explained on hover and on focus."""

from __future__ import annotations

from collections.abc import Sequence

from dash import html
from dash.development.base_component import Component

from dashboard.pages.folds import fold
from dashboard.style.glossary import Term, pieces

Parts = list[str | Component]


def explained(text: str, seen: set[str]) -> Parts:
    """Return the text with each word that is not in `seen` marked; glossary.js shows its meaning."""
    return [part if isinstance(part, str) else _marked(*part) for part in pieces(text, seen)]


def _marked(word: str, term: Term) -> Component:
    return html.Dfn(word, tabIndex=0, className="term", **{"data-meaning": term.meaning})


def word_list(terms: Sequence[Term]) -> list[Component]:
    """Return the words that occur on a page with their meanings, folded; empty without any."""
    if not terms:
        return []
    pairs = [part for term in terms for part in (html.Dt(term.name), html.Dd(term.meaning))]
    return [fold("words", html.Summary("Words on this page"), [html.Dl(pairs, className="metrics")])]
