"""What the run itself says that a reader must know: parts not scored, windows too long, times of two machines."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dashboard.insights import Insight
from dashboard.results.scope import Scope
from dashboard.style import formats
from evaluator.results.manifest import Manifest


def notices(scope: Scope) -> list[Insight]:
    """Return the notices of the runs that measured the models at hand, as they wrote them, each as a sentence."""
    told = by_model(scope, lambda run: run.notices)
    return [Insight(f"{whose}{_sentence(text)}", "note") for whose, text in told]


def by_model(scope: Scope, said: Callable[[Manifest], Iterable[str]]) -> list[tuple[str, str]]:
    """Return what runs say of the selected models, after `Model: ` if the others' runs do not say it too."""
    runs = scope.runs
    models: dict[str, list[str]] = {}
    for run in runs:
        for text in dict.fromkeys(said(run)):
            models.setdefault(text, []).append(run.model)
    return [
        ("" if len(names) == len(runs) else f"{formats.listing(names)}: ", text)
        for text, names in models.items()
    ]


def _sentence(text: str) -> str:
    return f"{formats.first_up(text.rstrip('.'))}."
