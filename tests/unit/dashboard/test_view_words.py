"""Headlines and insights follow the switches of their view, and say only what the numbers bear out."""

from __future__ import annotations

from pathlib import Path

import pytest
from results_factory import make_results

from dashboard import formats
from dashboard.results import Results
from dashboard.selection import EVERYTHING, Selection
from dashboard.views import View, registry

VIEWS = {view.id: view for view in registry()}


@pytest.fixture(scope="module")
def three(three_methods: Path) -> Results:
    return Results.open(three_methods)


def words(view: View, results: Results, selection: Selection) -> str:
    said = view.insights(results, selection)
    parts = [view.headline(results, selection), *(f"{insight.text} {insight.detail}" for insight in said)]
    return "\n".join(parts)


def test_speed_speaks_of_the_phase_shown(three: Results) -> None:
    speed = VIEWS["speed"]
    prefill = words(speed, three, Selection.of(options={"phase": "prefill"}))
    fastest = three.measured.sort("prefill_tps", descending=True).row(0, named=True)
    rate = formats.number(fastest["prefill_tps"])
    assert prefill.startswith(f"{fastest['label']} prefills fastest, {rate} tokens per second; ")
    assert "at least 5 prefill repetitions" in prefill
    assert "decod" not in prefill
    assert "ms" not in prefill.split()
    decode = words(speed, three, EVERYTHING)
    assert "decodes fastest" in decode
    assert "ms per token" in decode
    assert "prefill" not in decode


def test_prefill_of_the_fastest_is_tied_only_where_ranges_overlap(tmp_path: Path) -> None:
    results = Results.open(make_results(tmp_path, methods=("main",), quants=("Q4_0", "Q8_0"), windows=4))
    prefill = Selection.of(options={"phase": "prefill"})
    assert VIEWS["speed"].headline(results, prefill).endswith("; 1 more are within its spread")
