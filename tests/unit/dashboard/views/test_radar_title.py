"""The radar's title against its insights, which name every leader with its axes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from dashboard.results.one_model import one_model
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.views import registry

SAMPLE = Path(__file__).parents[4] / "sample_results"
RADAR = next(view for view in registry() if view.id == "radar")
TITLE = re.compile(
    r"(?:Only (?P<alone>.+) leads, on|No variant leads everywhere: (?P<most>.+) leads on) "
    r"(?P<count>\d+) of \d+ axes(?:: (?P<axes>.+))?"
)


@pytest.mark.parametrize(
    ("methods", "form"),
    [((), "radar"), ((), "parallel"), (("bartowski", "main"), "radar"), (("unsloth", "guided"), "parallel"),
     (("guided",), "radar"), (("main",), "radar"), (("main", "guided", "bartowski"), "radar")],
)  # fmt: skip
def test_the_title_says_who_leads_where_and_whether_alone(methods: Sequence[str], form: str) -> None:
    selection = Selection.of(methods=methods, options={"form": form})
    scope = Scope(*one_model(selection, Results.open(SAMPLE)))
    told = [re.fullmatch(r"(.+) leads on (.+)\.", insight.text) for insight in RADAR.insights(scope)]
    leaders = {found[1]: found[2] for found in told if found}
    title = TITLE.fullmatch(RADAR.headline(scope))
    assert title is not None
    named = title["alone"] or title["most"]
    axes = re.split(", | and ", leaders[named])
    assert int(title["count"]) == len(axes)
    assert title["axes"] == (leaders[named] if len(axes) <= 2 else None)
    assert bool(title["alone"]) == (len(leaders) == 1)
