"""Explain the words of statistics that sentences use, and find them in a text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Term:
    """A word with its meaning in one or two sentences, and the other spellings under which it occurs."""

    name: str
    meaning: str
    spellings: tuple[str, ...] = ()


TERMS = (
    Term(
        "perplexity",
        "How surprised the model is by the next token, on average: the exponential of the mean loss per token. Lower "
        "is better.",
        ("PPL",),
    ),
    Term(
        "KLD",
        "Kullback–Leibler divergence: how far the probabilities of all next tokens moved from the baseline's. 0 "
        "means not at all. It also shows changes that average out in perplexity.",
        ("KL divergence",),
    ),
    Term(
        "attribution",
        "The KLD that one part of a file causes alone: its matrix is quantized and all others are the baseline's.",
    ),
    Term(
        "nats",
        "The unit of losses and divergences, with natural logarithms. A loss of 0.01 nats per token is about 1 % of "
        "perplexity.",
    ),
    Term("same top token", "How often the variant's most likely next token is the baseline's."),
    Term(
        "bits per weight",
        "8 × bytes of all tensors / number of weights, measured from the file, not taken from the type's name.",
    ),
    Term(
        "1/PPL per MB",
        "1 / perplexity / megabytes of the file (10⁶ bytes). It favours small files, so it says little without a "
        "bound on quality.",
        ("1/PPL/MB",),
    ),
    Term("Δ log p", "Log-probability of the token that followed: the variant's minus the baseline's."),
    Term(
        "95 %",
        "Intervals made this way contain the true value for 95 of 100 such texts. A difference counts if its "
        "interval excludes 0.",
    ),
    Term(
        "95 % bound",
        "The pessimistic end of the 95 % interval: the loss is below it unless the text was unusually kind.",
        ("95 % upper bound", "pessimistic estimate"),
    ),
    Term(
        "paired",
        "Both files scored the same tokens and their differences are averaged, so that a hard text does not count "
        "against one of them.",
    ),
    Term(
        "clustered",
        "The error is computed over windows, not tokens, because tokens of one window are alike. That makes "
        "it wider.",
    ),
    Term(
        "noise floor",
        "What rounding the baseline's own weights to bf16 does. Smaller differences do not count.",
    ),
    Term(
        "rank correlation",
        "Spearman's ρ: 1 if two orders are the same, −1 if they are opposite.",
        ("Spearman",),
    ),
    Term("Gini coefficient", "How unevenly values are spread: 0 if all are equal, 1 if one has everything."),
    Term("interquartile range", "The width of the middle half of the values."),
    Term("p10–p90", "The range without the lowest and the highest tenth of the values.", ("p10 and p90",)),
    Term("p1 to p99", "The range without the lowest and the highest hundredth of the values.", ("p1–p99",)),
    Term("Pareto front", "The files that no other file beats in both quantities at once."),
    Term("F test", "Whether two straight lines fit better than one by more than chance."),
    Term("entropy", "How evenly shares are spread, in nats: 0 if one has everything."),
    Term(
        "resamples", "The same comparison on windows drawn anew, with repetition, many times.", ("bootstrap",)
    ),
    Term(
        "importance matrix",
        "How much each weight is used on a calibration text. Quantizers that have one keep those weights closer.",
    ),
)


@cache
def _by_spelling() -> dict[str, Term]:
    return {spelling.lower(): term for term in TERMS for spelling in (term.name, *term.spellings)}


@cache
def _pattern() -> re.Pattern[str]:
    """Match the longest spelling first, as a whole word."""
    longest = sorted(_by_spelling(), key=lambda spelling: (-len(spelling), spelling))
    return re.compile(rf"(?<![\w/])(?:{'|'.join(map(re.escape, longest))})(?![\w/])", re.IGNORECASE)


def pieces(text: str, seen: set[str]) -> list[str | tuple[str, Term]]:
    """Split a text at the words that are explained here for the first time.

    `seen` has the names of those explained before, and grows.
    """
    parts: list[str | tuple[str, Term]] = []
    end = 0
    for match in _pattern().finditer(text):
        term = _by_spelling()[match.group().lower()]
        if term.name in seen:
            continue
        seen.add(term.name)
        parts += [text[end : match.start()], (match.group(), term)]
        end = match.end()
    return [part for part in (*parts, text[end:]) if part]


def used(texts: Iterable[str]) -> list[Term]:
    """Return the terms that occur in the texts, in the order of `TERMS`."""
    seen: set[str] = set()
    for text in texts:
        pieces(text, seen)
    return [term for term in TERMS if term.name in seen]
