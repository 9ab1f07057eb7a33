"""Labels at points: in the method's colour of the theme, off points and lines."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import pytest

from dashboard.figures import point_labels
from dashboard.figures.drawing import Drawing
from dashboard.figures.point_labels import LABEL, Labelled
from dashboard.style.theme import LIGHT, contrast, template

RANGES = ((0.0, 10.0), (0.0, 10.0))
BLUE = "#0072b2"


def written(items: list[Labelled], **avoided: Any) -> list[dict[str, Any]]:
    drawn = Drawing()
    point_labels.write(drawn, items, RANGES, **avoided)
    notes: list[dict[str, Any]] = drawn.layout.get("annotations", [])
    return notes


def item(x: float, y: float, text: str, rank: int = 1, **more: Any) -> Labelled:
    return Labelled((x, y), point_labels.label(text, rank), BLUE, **more)


def test_a_label_asks_the_theme_for_its_method_s_colour() -> None:
    (note,) = written([item(5, 5, "Q4_K_M")])
    assert (note["name"], note["text"], note["x"], note["y"]) == (LABEL, "Q4_K_M", 5, 5)
    drawn = go.Figure(layout={"template": template("light"), "annotations": [note]})
    looks = {look.name: look.font.color for look in drawn.layout.template.layout.annotations}
    assert contrast(looks[note["templateitemname"]], LIGHT.background) >= 4.5


def test_bold_labels_escape_names_and_have_room_for_a_ring() -> None:
    plain, ringed = (
        point_labels.label("<b>", 0),
        point_labels.label("<b>", 0, bold=True, more=" · <", ringed=True),
    )
    assert plain.text == "&lt;b&gt;"
    assert ringed.text == "<b>&lt;b&gt;</b> · &lt;"
    assert ringed.radius > plain.radius


def test_labels_avoid_lines_other_points_and_each_other() -> None:
    (alone,) = written([item(5, 5, "Q4_K_M")])
    assert alone["xshift"] > 0
    assert alone["yshift"] == 0
    (moved,) = written([item(5, 5, "Q4_K_M")], lines=[[(0.0, 0.5), (1.0, 0.5)]])
    assert moved["yshift"] != 0
    (other,) = written([item(5, 5, "Q4_K_M")], points=[(5.5, 5)])
    assert other["xshift"] < 0
    first, second = written([item(5, 5, "Q4_K_M", 2), item(5, 5, "Q5_K_M", 0)])
    assert first["text"] == "Q5_K_M", "the lower rank comes first, and stays where others are hidden"
    assert (first["xshift"], first["yshift"]) != (second["xshift"], second["yshift"])


def test_faint_labels_and_texts_with_their_own_look() -> None:
    (faint,) = written([item(5, 5, "Q4", is_faint=True)])
    assert faint["opacity"] == pytest.approx(0.7)
    (own,) = written([item(5, 5, "main", look={"name": "main", "captureevents": True})])
    assert own["name"] == "main"
    assert "templateitemname" not in own
