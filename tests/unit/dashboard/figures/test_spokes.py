"""The radar with picks: what is drawn without them stays, in its look, and the picked files are added."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.views import registry

SAMPLE = Path(__file__).parents[4] / "sample_results"
RADAR = next(view for view in registry() if view.id == "radar")
MODELS = ("SmolLM2-135M-Instruct", "Qwen2.5-Coder-1.5B-Instruct")


def looks(results: Results, model: str, *picked: str, **more: Any) -> dict[str, tuple[Any, ...]]:
    """Colour, dash and symbol of every file's line."""
    figure = RADAR.figure(Scope(results, Selection.of(models=[model], picked=picked, **more)))
    return {
        trace.meta["variant_id"]: (trace.line.color, trace.line.dash, trace.marker.symbol)
        for trace in figure.data
        if trace.meta
    }


@pytest.mark.parametrize("methods", [[], ["guided"]])
@pytest.mark.parametrize("model", MODELS)
def test_picks_are_added_and_the_others_stay_as_they_are(model: str, methods: list[str]) -> None:
    results = Results.open(SAMPLE)
    rows = Scope(results, Selection.of(models=[model], methods=methods)).rows
    before = looks(results, model, methods=methods)
    others = [row["variant_id"] for row in rows if row["variant_id"] not in before]
    for picked in (others[:1], others[-1:], others[:4]):
        after = looks(results, model, *picked, methods=methods)
        assert set(after) == {*before, *picked}
        assert {name: after[name] for name in before} == before


def test_values_at_the_axes_stay_and_the_caption_says_whose_they_are() -> None:
    results = Results.open(SAMPLE)

    def drawn(*picked: str) -> tuple[dict[str, str], str]:
        scope = Scope(results, Selection.of(models=[MODELS[0]], picked=picked))
        axis = RADAR.figure(scope).layout.polar.angularaxis
        return dict(zip(axis.tickvals, axis.ticktext, strict=True)), RADAR.captioned(scope)

    texts, caption = drawn()
    assert "without picks" not in caption
    scope = Scope(results, Selection.of(models=[MODELS[0]]))
    smallest = min(scope.rows, key=lambda row: row["size_bytes"])
    more, with_pick = drawn(smallest["variant_id"])
    assert set(texts) <= set(more)
    plain = {name: text.replace("<b>", "").replace("</b>", "") for name, text in more.items()}
    assert all(plain[name] == text.replace("<b>", "").replace("</b>", "") for name, text in texts.items())
    assert "Values at the axes: of the files that are drawn without picks" in with_pick
