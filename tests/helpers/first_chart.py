"""What the first page's chart shows: places of files, the ring, texts, the legend, the line of memory."""

from __future__ import annotations

from typing import Any

from dashboard.figures.drawing import Drawing


def files(figure: Drawing) -> dict[str, dict[str, Any]]:
    """Each drawn variant's place, opacity and symbol."""
    found = {}
    for trace in figure.data:
        for index, data in enumerate(trace.get("customdata") or []):
            marker = trace["marker"]
            found[data[0]] = {
                "x": trace["x"][index],
                "y": trace["y"][index],
                "opacity": marker["opacity"][index],
                "bar": trace["error_y"]["array"][index],
            }
    return found


def ring(figure: Drawing) -> tuple[float, float] | None:
    rings = [
        trace
        for trace in figure.data
        if trace["marker"]["symbol"] == "circle-open" and trace.get("showlegend") is False
    ]
    return (rings[0]["x"][0], rings[0]["y"][0]) if rings else None


def texts(figure: Drawing) -> list[str]:
    return [note["text"] for note in figure.layout["annotations"]]


def legend(figure: Drawing) -> list[tuple[str, str, str]]:
    """The name, dash and symbol of each entry."""
    listed = [trace for trace in figure.data if trace.get("showlegend") is not False]
    assert figure.layout["showlegend"] == bool(listed)
    return [(trace["name"], trace["line"]["dash"], trace["marker"]["symbol"]) for trace in listed]


def line(figure: Drawing) -> float | None:
    at = [shape["x0"] for shape in figure.layout["shapes"] if shape.get("name") == "memory"]
    return at[0] if at else None
