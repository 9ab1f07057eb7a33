"""Notes at the baselines' levels lie on no other text, however many and however close they are."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
from many_models import make_models

from dashboard.figures.labels import overlap
from dashboard.figures.levels import place_notes
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.views import registry

TEXT = "Llama-3.2-1B-Instruct F16 · PPL 7.882 ± 0.98"


def test_a_note_alone_stands_at_the_left_on_the_side_asked_for() -> None:
    below, above = (place_notes([0.5], [TEXT], above=side)[0] for side in (False, True))
    assert (below.above, below.off, below.box[3]) == (False, 0, 0.5)
    assert (above.above, above.off, above.box[1]) == (True, 0, 0.5)
    assert below.left == above.left < 0.01


@pytest.mark.parametrize("heights", [[0.5] * 6, [0.02] * 4, [0.98, 0.97, 0.96], [0.1, 0.9], [0.5, 0.48]])
@pytest.mark.parametrize("above", [True, False])
def test_no_note_lies_on_another(heights: list[float], above: bool) -> None:
    taken = [(0.6, 0.4, 0.8, 0.5)]
    boxes = [note.box for note in place_notes(heights, [TEXT] * len(heights), above=above, taken=taken)]
    assert not any(overlap(a, b) for a, b in combinations([*boxes, *taken], 2))
    assert all(box[1] > -0.1 and box[3] < 1.1 and box[2] <= 1 for box in boxes)


def test_a_note_leaves_points_free_where_it_can() -> None:
    points = [(0.03, 0.48), (0.03, 0.52)]
    note = place_notes([0.5], ["short"], above=True, points=points)[0]
    assert note.is_at_right


@pytest.mark.parametrize("slug", ["ppl-bits", "size"])
def test_baselines_of_several_models_are_named_apart(tmp_path: Path, slug: str) -> None:
    models = ["Llama-3.2-1B-Instruct", "Qwen2.5-0.5B-Instruct", "SmolLM2-135M"]
    results = Results.open(make_models(tmp_path, models, quants=("Q4_0", "Q8_0"), windows=8))
    view = next(view for view in registry() if view.id == slug)
    level = Selection.of(options={"y": "level", "accuracy": "level"})
    notes = [item for item in view.draw(Scope(results, level)).layout["annotations"] if "PPL" in item["text"]]
    assert [next(model for model in models if model in note["text"]) for note in notes] == models
    places = {(note["x"], round(note["y"], 3), note["yanchor"], note["yshift"]) for note in notes}
    assert len(places) == 3
