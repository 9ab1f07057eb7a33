"""Speed against loss of many files: which are labelled and have bars, and how the title's claim is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import polars as pl
import pytest

from dashboard.figures.callouts import LINE
from dashboard.figures.point_labels import LABEL
from dashboard.insights.answers import Answers
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.style.theme import QUIET
from dashboard.views import registry

SAMPLE = Path(__file__).parents[4] / "sample_results"
MODEL = "SmolLM2-135M-Instruct"
SPEED = next(view for view in registry() if view.id == "speed")
P10, P50, P90 = (f"llamacpp_decode_ms_p{end}" for end in (10, 50, 90))


@pytest.fixture(scope="module")
def results() -> Results:
    return Results.open(SAMPLE)


def files(results: Results) -> dict[str, dict[str, Any]]:
    return {row["variant_id"]: row for row in results.measured.filter(model=MODEL).to_dicts()}


def unbeaten(rows: dict[str, dict[str, Any]]) -> set[str]:
    """Ids of the files than which no other is both as fast and as close, and better in one."""
    places = {name: (row[P50], row["kld_mean"]) for name, row in rows.items()}
    return {
        name
        for name, (time, loss) in places.items()
        if not any(t <= time and k <= loss and (t, k) != (time, loss) for t, k in places.values())
    }


def scope_of(results: Results, *picked: str, **more: Any) -> Scope:
    return Scope(results, Selection.of(models=[MODEL], picked=picked, **more))


def points(figure: go.Figure) -> dict[str, dict[str, Any]]:
    """Opacity, size and lengths of the bars of every file."""
    found = {}
    for trace in figure.data:
        if not trace.customdata or trace.mode != "lines+markers":
            continue
        for i, (name, *_) in enumerate(trace.customdata):
            errors = (trace.error_x, trace.error_y)
            sides = [side for error in errors for side in (error.array, error.arrayminus) if side is not None]
            bars = [side[i] for side in sides]
            found[name] = {"opacity": trace.marker.opacity[i], "bars": bars}
    return found


def labelled(figure: go.Figure, rows: dict[str, dict[str, Any]]) -> set[str]:
    notes = [(note.x, 10**note.y) for note in figure.layout.annotations if note.name == LABEL]
    return {
        name
        for name, row in rows.items()
        if any((1000 / row[P50], row["kld_mean"]) == pytest.approx(place) for place in notes)
    }


def test_of_many_files_the_front_the_recommended_and_the_picked_ones_stand_out(results: Results) -> None:
    rows = files(results)
    assert len(rows) == 34
    beaten = min(set(rows) - unbeaten(rows), key=lambda name: rows[name]["size_bytes"])
    for picked in ((), (beaten,)):
        scope = scope_of(results, *picked)
        chosen = Answers.of(scope).chosen
        assert chosen is not None
        wanted = unbeaten(rows) | {chosen["variant_id"], *picked}
        figure = SPEED.figure(scope)
        assert labelled(figure, rows) == wanted
        barred = {chosen["variant_id"], *picked} if picked else wanted
        for name, point in points(figure).items():
            assert (point["opacity"] == 1) == (name in wanted)
            assert any(point["bars"]) == (name in barred)
        (front,) = [trace for trace in figure.data if trace.name == "Pareto front"]
        assert sorted(front.x) == pytest.approx(sorted(1000 / rows[name][P50] for name in unbeaten(rows)))
        assert "Labelled, with bars: the Pareto front" in SPEED.captioned(scope)


def test_bars_of_the_crowd_have_no_ends(results: Results) -> None:
    """Plotly draws the ends of bars without a length, too, as crosses over the points."""
    figure = SPEED.figure(scope_of(results))
    bars = [bar for trace in figure.data for bar in (trace.error_x, trace.error_y) if bar.array is not None]
    assert {0} <= {bar.width for bar in bars if 0 in bar.array} <= {0}


@pytest.fixture
def earlier(tmp_path: Path) -> Results:
    """Return the sample as if its rounds had no numbers, so that ranges from p10 to p90 count."""
    for path in SAMPLE.iterdir():
        (tmp_path / path.name).symlink_to(path)
    speed = tmp_path / "speed.parquet"
    frame = pl.read_parquet(speed).with_columns(round=pl.lit(None, pl.UInt32))
    speed.unlink()
    frame.write_parquet(speed)
    return Results.open(tmp_path)


def test_what_is_level_by_rounds_is_shaded(results: Results) -> None:
    figure = SPEED.figure(scope_of(results))
    (band,) = [shape for shape in figure.layout.shapes if shape.type == "rect"]
    assert "level with the recommended file" in {note.text for note in figure.layout.annotations}
    assert band.x0 < max(1000 / row[P50] for row in files(results).values()) <= band.x1
    assert "Grey lines" not in SPEED.captioned(scope_of(results))


def test_files_beyond_the_title_s_range_are_seen_to_reach_it(earlier: Results) -> None:
    """The title says that none is measurably faster: those right of the shaded range begin within it."""
    results = earlier
    scope, rows = scope_of(results), files(results)
    chosen = Answers.of(scope).chosen
    assert chosen is not None
    assert SPEED.headline(scope).startswith("No file decodes measurably faster")
    ends = {
        (1000 / row[P90], 1000 / row[P50])
        for name, row in rows.items()
        if 1000 / row[P50] > 1000 / chosen[P10] and name not in unbeaten(rows)
    }
    assert ends
    figure = SPEED.figure(scope)
    (reach,) = [trace for trace in figure.data if trace.mode == "lines" and trace.line.color == QUIET]
    drawn = {(reach.x[i], reach.x[i + 1]) for i in range(0, len(reach.x), 3)}
    assert sorted(drawn) == [pytest.approx(pair) for pair in sorted(ends)]
    (band,) = [shape for shape in figure.layout.shapes if shape.type == "rect"]
    assert all(low < band.x1 for low, _ in drawn)
    assert "Grey lines" in SPEED.captioned(scope)
    left, right = figure.layout.xaxis.range
    assert all(left < low and middle < right for low, middle in ends)


def test_a_few_files_are_all_labelled(results: Results) -> None:
    scope, rows = scope_of(results, methods=["main"]), files(results)
    figure = SPEED.figure(scope)
    own = {name: row for name, row in rows.items() if row["method"] == "main"}
    assert labelled(figure, own) == set(own)
    assert "Labelled" not in SPEED.captioned(scope)
    assert not [trace for trace in figure.data if trace.name == "Pareto front"]


@pytest.mark.parametrize("limits", [{}, {"tps": "11"}])
def test_the_label_of_the_title_s_file_is_not_on_its_bar(results: Results, limits: dict[str, str]) -> None:
    scope = Scope(results, Selection.of(models=["Qwen2.5-Coder-1.5B-Instruct"], options=limits))
    told = [note for note in SPEED.draw(scope).layout["annotations"] if "tokens/s</b>" in note["text"]]
    assert told
    for note in told:
        up = -note["ay"] if note["showarrow"] else note["yshift"]
        assert abs(up) > LINE / 2, f"the bar of {note['text']} runs through it"
