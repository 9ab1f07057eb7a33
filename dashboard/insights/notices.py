"""What the run itself says that a reader must know: parts not scored, windows too long, times of two machines."""

from __future__ import annotations

from dashboard.insights import Insight
from dashboard.results.scope import Scope


def notices(scope: Scope) -> list[Insight]:
    """Return the notices of the run that measured the model at hand, as it wrote them, each as a sentence."""
    return [Insight(_sentence(text), "note") for text in scope.results.manifest.notices]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
