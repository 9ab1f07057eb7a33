"""Order insights by importance: what a reader must know, what decides, what explains.

0. Which of several models or devices the page is about.
1. `caution`: a file that looks broken, a bad surprise.
2. `finding` and `tie`, by the size of the effect: the natural log of the ratio of losses or errors that the sentence
   compares, such as 0.69 for twice as much. Sentences without one follow in the order of their view.
3. `unknown`: what the data do not decide.
4. `note`: how it was measured and drawn, and commands.
"""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.insights import Insight

_SEVERITY = {"caution": 0, "finding": 1, "tie": 1, "unknown": 2, "note": 3}
#: So many are shown; the others are folded.
SHOWN = 3


def by_importance(insights: Sequence[Insight]) -> list[Insight]:
    """Return the insights, the most important first; equally important ones keep their order."""
    return sorted(insights, key=lambda item: (not item.about, _SEVERITY[item.kind], -item.effect))
