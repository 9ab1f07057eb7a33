"""Curves of hand-written rows: where points, bars, names and the ring stand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from dashboard.figures.curves import Curves, Spot, Told
from dashboard.figures.drawing import Drawing
from dashboard.figures.point_labels import LABEL
from dashboard.figures.scales import LogScale
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.style.theme import method_styles

SPOTS = {
    "a-2": Spot(2.0, 50.0, 40.0, 60.0),
    "a-4": Spot(4.0, 5.0, 0.001, 9.0),
    "a-8": Spot(8.0, -0.1, -0.3, 0.4),
    "b-4": Spot(4.0, 5.0, 4.0, 6.0),
}


class _Results:
    """What curves ask of results."""

    styles = method_styles(["alpha", "main"])


def row(variant_id: str) -> dict[str, Any]:
    method = {"a": "alpha", "b": "main"}[variant_id[0]]
    bits = float(variant_id[-1])
    place = {"model": "m", "device": "cpu", "twin": None}
    return {
        "variant_id": variant_id,
        "method": method,
        "quant": f"Q{bits:.0f}",
        "bits_per_weight": bits,
    } | place


def drawn(picked: tuple[str, ...] = (), told: Told = Told("b-4", {"b-4": "4.00 bits"})) -> Drawing:  # noqa: B008
    scope: Any = Scope(_Results(), Selection.of(picked=picked))  # type: ignore[arg-type]  # what is asked of it
    figure, rows = Drawing(), [row(name) for name in SPOTS]
    scale = LogScale.of([spot.y for spot in SPOTS.values()], least=0.2)
    hover = {name: f"hover {name}" for name in SPOTS}
    Curves(scope, rows, SPOTS, [1.0, 11.0], scale, hover, front={"a-2"}, told=told).draw(figure)
    return figure


def traces(figure: Drawing, **wanted: object) -> list[dict[str, Any]]:
    return [trace for trace in figure.data if all(trace.get(name) == value for name, value in wanted.items())]


def labels(figure: Drawing) -> list[dict[str, Any]]:
    return [note for note in figure.layout["annotations"] if note["name"] == LABEL]


def test_a_method_is_one_line_and_has_no_legend_entry() -> None:
    (alpha,) = traces(drawn(), name="alpha")
    assert (alpha["x"], alpha["y"]) == ([2.0, 4.0], [50.0, 5.0])
    assert alpha["mode"] == "lines+markers"
    assert alpha["showlegend"] is False


def test_bars_end_at_the_intervals_or_at_the_edge_of_the_axis() -> None:
    figure = drawn()
    (alpha,) = traces(figure, name="alpha")
    assert alpha["error_y"]["array"] == pytest.approx([10, 4])
    above, cut = alpha["error_y"]["arrayminus"]
    assert above == pytest.approx(10)
    assert 5 - cut > 0.001, "a bar that reaches zero is cut off"
    (edge,) = traces(figure, name="≤ 0.20: at the edge of the log axis")
    assert edge["customdata"] == [["a-8"]]
    assert edge["y"][0] < 0.2
    assert edge["y"][0] + edge["error_y"]["array"][0] == pytest.approx(0.4)
    assert edge["marker"]["symbol"][0].endswith("-open")


def test_a_dotted_line_leads_to_the_edge() -> None:
    figure = drawn()
    (edge,) = traces(figure, name="≤ 0.20: at the edge of the log axis")
    (dotted,) = traces(figure, mode="lines")
    assert dotted["x"] == [4.0, 8.0, None]
    assert dotted["y"] == [5.0, edge["y"][0], None]
    assert dotted["line"]["dash"] == "dot"


def test_the_front_has_larger_points() -> None:
    (alpha,) = traces(drawn(), name="alpha")
    front, other = alpha["marker"]["size"]
    assert front > other


def test_the_file_in_the_title_is_ringed_labelled_and_on_top() -> None:
    """Of two points at one place, the last that is drawn is hovered."""
    figure = drawn()
    last, ring = figure.data[-1], figure.data[-2]
    assert (last["x"], last["y"], last["hovertext"]) == ([4.0], [5.0], ["hover b-4"])
    assert last["customdata"] == [["b-4"]]
    assert (ring["x"], ring["y"], ring["marker"]["symbol"]) == ([4.0], [5.0], "circle-open")
    (told,) = [note for note in labels(figure) if "4.00 bits" in note["text"]]
    assert (told["text"], told["x"], told["y"]) == (
        "<b>Q4 · 4.00 bits</b>",
        4.0,
        pytest.approx(math.log10(5)),
    )
    assert told is labels(figure)[0]


def test_labels_have_the_colours_of_their_methods() -> None:
    figure = drawn()
    colors = {note["x"]: note["templateitemname"] for note in labels(figure)}
    assert {colors[2.0], colors[8.0]} == {_Results.styles["alpha"].color}
    assert labels(figure)[0]["templateitemname"] == _Results.styles["main"].color


def test_names_stand_at_the_right_ends_of_lines() -> None:
    notes = {note["name"]: note for note in drawn().layout["annotations"] if note["name"] != LABEL}
    assert set(notes) == {"alpha", "main"}
    assert "<b>alpha</b>" in notes["alpha"]["text"]
    assert notes["alpha"]["x"] == pytest.approx(8.15), "0.015 of ten bits from the end"
    assert all(note["captureevents"] for note in notes.values())


def test_what_the_title_says_of_a_method_follows_its_name() -> None:
    notes = drawn(told=Told(endings={"alpha": "× 3.2 per bit"})).layout["annotations"]
    (alpha,) = (note["text"] for note in notes if note["name"] == "alpha")
    assert alpha.endswith("<b>alpha</b> × 3.2 per bit")
    figure = drawn(told=Told())
    assert not [trace for trace in figure.data if trace.get("marker", {}).get("symbol") == "circle-open"]


def test_a_picked_file_is_labelled_and_the_others_are_dimmed() -> None:
    figure = drawn(picked=("a-4",))
    (alpha,) = traces(figure, name="alpha")
    assert alpha["selectedpoints"] == [1]
    own = [note for note in labels(figure) if note["templateitemname"] == _Results.styles["alpha"].color]
    assert {note["x"]: note.get("opacity", 1) for note in own} == {2.0: 0.7, 4.0: 1, 8.0: 0.7}
