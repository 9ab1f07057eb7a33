"""Show which variants are picked: frames around bars and rows, names beside points."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from dashboard.figures.drawing import Drawing
from dashboard.results.rows import Row
from dashboard.style.names import TITLE, in_figure
from dashboard.style.theme import MARK

_HALF_ROW = 0.47


def frame_rows(drawn: Drawing, rows: Iterable[float], across: Mapping[str, Any]) -> None:
    """Frame rows of bars or cells by their numbers on the y axis; `across` gives the x ends and the axes."""
    for row in rows:
        down = {"y0": row - _HALF_ROW, "y1": row + _HALF_ROW}
        drawn.add_shape(type="rect", line={"color": MARK, "width": 2.5}, **down, **across)


def name_beside(drawn: Drawing, row: Row, place: Sequence[Any], color: str, **anchors: Any) -> None:
    """Write a variant's name in its method's colour beside a point (x, y)."""
    text = f"<b>{in_figure(row['label'], TITLE)}</b>"
    look = {"showarrow": False, "templateitemname": color, "visible": True}
    drawn.add_annotation(x=place[0], y=place[1], text=text, **look, **anchors)


def tick(row: Row, picked: Collection[str]) -> str:
    """Return a variant's name for an axis, bold if it is picked."""
    name = in_figure(row["label"], TITLE)
    return f"<b>{name}</b>" if row["variant_id"] in picked else name
