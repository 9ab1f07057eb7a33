"""What is said beside a picture is what the picture shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from results_factory import make_results

from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.shell.measured import status
from dashboard.views import registry
from evaluator.results.files import MANIFEST_NAME
from evaluator.results.reader import read_manifest

VIEWS = {view.id: view for view in registry()}


@pytest.mark.parametrize("scale", ["linear", "symlog"])
def test_every_ridge_is_drawn_to_its_ends(three_methods: Path, scale: str) -> None:
    results = Results.open(three_methods)
    drawn = VIEWS["delta-logp"].draw(Scope(results, Selection.of(options={"scale": scale, "lanes": "every"})))
    low, high = drawn.layout["xaxis"]["range"]
    ridges = [trace for trace in drawn.data if trace.get("fill") == "toself"]
    assert len(ridges) == 21
    for ridge in ridges:
        last = ridge["x0"] + ridge["dx"] * (len(ridge["y"]) - 1)
        assert low <= ridge["x0"] + ridge["dx"] <= last - ridge["dx"] <= high
    ticks = drawn.layout["xaxis"].get("tickvals", [])
    assert all(low <= tick <= high for tick in ticks)
    assert bool(ticks) == (scale == "symlog")


def test_texts_of_a_domain_are_counted(tmp_path: Path) -> None:
    folder = make_results(tmp_path, methods=("main",), quants=("Q4_0",), windows=4)
    manifest = read_manifest(folder)
    first, second, *others = manifest.texts
    texts = [first, second.model_copy(update={"domain": first.domain}), *others]
    (folder / MANIFEST_NAME).write_text(manifest.model_copy(update={"texts": texts}).model_dump_json())
    results = Results.open(folder)
    assert "2 of 4 texts" in status(Scope(results, Selection.of(domains=[first.domain])))
    assert "1 of 4 texts" in status(Scope(results, Selection.of(domains=[others[0].domain])))
    assert "4 texts" in status(Scope(results, Selection()))
