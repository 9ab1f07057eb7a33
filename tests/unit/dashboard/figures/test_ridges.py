"""View 7: siblings side by side, with the title's values at their marks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dashboard.figures.drawing import Drawing
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.results.token_summaries import to_symlog
from dashboard.views import registry

VIEW = next(view for view in registry() if view.id == "delta-logp")


def lanes(drawn: Drawing) -> dict[str, float]:
    """Height of the marks of every variant."""
    return {
        name: y
        for trace in drawn.data
        for (name,), y in zip(trace.get("customdata") or (), trace["y"], strict=False)
    }


def densities(drawn: Drawing) -> list[np.ndarray]:
    return [trace["y"] for trace in drawn.data if trace.get("fill") == "toself"]


def test_every_file_has_a_lane_and_siblings_are_neighbours(three_methods: Path) -> None:
    results = Results.open(three_methods)
    quants = {row["variant_id"]: row["quant"] for row in results.measured.to_dicts()}
    drawn = VIEW.draw(Scope(results, Selection()))
    heights = lanes(drawn)
    assert len(set(heights.values())) == len(heights) == 6
    order = [quants[name] for name in sorted(heights, key=lambda name: heights[name])]
    assert order[0] == order[1] == order[2] != order[3] == order[4] == order[5]
    assert len(drawn.layout["yaxis"]["ticktext"]) == 6
    every = VIEW.draw(Scope(results, Selection.of(options={"lanes": "every"})))
    assert len(lanes(every)) == results.measured.height
    assert [len(lanes(VIEW.draw(Scope(results, Selection.of(methods=[m]))))) for m in results.methods] == [
        7,
        7,
        7,
    ]


def test_densities_stay_in_their_lanes(three_methods: Path) -> None:
    for scale in ("linear", "symlog"):
        options = {"lanes": "every", "scale": scale}
        drawn = densities(VIEW.draw(Scope(Results.open(three_methods), Selection.of(options=options))))
        feet = sorted(float(y[0]) for y in drawn)
        assert min(np.diff(feet)) > 0.999
        assert max(float(y.max() - y[0]) for y in drawn) == pytest.approx(0.78, abs=1e-5)


@pytest.mark.parametrize("scale", ["linear", "symlog"])
@pytest.mark.parametrize("lanes_shown", ["near", "every"])
def test_the_title_s_values_stand_at_its_marks(three_methods: Path, scale: str, lanes_shown: str) -> None:
    results = Results.open(three_methods)
    scope = Scope(results, Selection.of(options={"scale": scale, "lanes": lanes_shown}))
    title, drawn = VIEW.headline(scope), VIEW.draw(scope)
    assert title.startswith("At ")
    notes = [note for note in drawn.layout["annotations"] if note["text"].startswith("<b>")]
    assert len(notes) == 2
    for note in notes:
        assert note["text"].removeprefix("<b>").removesuffix("</b>") in title
    (name,) = {variant for variant, y in lanes(drawn).items() if y == notes[0]["y"] == notes[1]["y"]}
    assert results.labels[name] in title
    summary = scope.delta(name)
    assert summary is not None
    wanted = np.array([summary.percentiles[mark].value for mark in (1.0, 99.0)])
    assert [note["x"] for note in notes] == pytest.approx(
        list(to_symlog(wanted) if scale == "symlog" else wanted)
    )
    bold = [text for text in drawn.layout["yaxis"]["ticktext"] if text.startswith("<b>")]
    assert all(text.removeprefix("<b>").removesuffix("</b>") in title for text in bold)


def test_the_caption_is_of_the_scale_and_the_files_that_are_drawn(three_methods: Path) -> None:
    results = Results.open(three_methods)
    said = {
        value: VIEW.described(Scope(results, Selection.of(options=options)))
        for value, options in {
            "near": {}, "every": {"lanes": "every"}, "symlog": {"scale": "symlog"},
        }.items()
    }  # fmt: skip
    assert "At most 8 files" in said["near"]
    assert "At most 8 files" not in said["every"]
    assert "middle 99 %" in said["near"]
    assert "middle 99.9 %" in said["symlog"]
    few = VIEW.described(Scope(results, Selection.of(methods=["main"])))
    assert "At most 8 files" not in few, "all that pass the filters are drawn"
