"""Draw several panels in rows and columns, with titles and shared axes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dashboard.figures.drawing import Drawing
from dashboard.style.names import broken

#: Longest line of an axis title in a narrow window, in characters.
_NARROW_TITLE = 44


class Panels(Drawing):
    """Panels from left to right and down, numbered from 0; each has a horizontal and a vertical axis.

    Only the lowest axis of a column and, with `share_rows`, the first of a row has tick labels, and the others
    follow it. plotly.py's subplots would leave a column without labels if its lowest place has no panel.
    """

    def __init__(
        self, count: int, most_columns: int, *, gap: tuple[float, float], share_rows: bool = True
    ) -> None:
        """Lay out the axes.

        Args:
            count: panels, at least one.
            most_columns: panels side by side at most.
            gap: between columns and between rows, as shares of the width and of the height.
            share_rows: whether panels side by side have one vertical axis.
        """
        super().__init__()
        self._titles: range = range(0)
        self.columns = min(most_columns, count)
        self._rows = -(-count // self.columns)
        self._across = _spans(self.columns, gap[0])
        self._down = _spans(self._rows, gap[1])[::-1]
        self._count = count
        for cell in range(count):
            row, column = divmod(cell, self.columns)
            lowest, leftmost = self.lowest[column], row * self.columns if share_rows else cell
            x: dict[str, Any] = {"domain": self._across[column], "anchor": _name("y", cell)}
            y: dict[str, Any] = {"domain": self._down[row], "anchor": _name("x", cell)}
            self.update_xaxes(cells=[cell], **x, **_following("x", cell, lowest))
            self.update_yaxes(cells=[cell], **y, **_following("y", cell, leftmost))

    @property
    def lowest(self) -> list[int]:
        """The lowest panel of every column, from left to right."""
        steps = (self._count - 1 - column for column in range(self.columns))
        return [column + step // self.columns * self.columns for column, step in enumerate(steps)]

    @property
    def first_column(self) -> range:
        """The leftmost panel of every row, downwards."""
        return range(0, self._count, self.columns)

    def place(self, index: int) -> dict[str, str]:
        """Return the settings that put a trace into a panel: its axes, such as `x2` and `y2` for the second."""
        return {"xaxis": _name("x", index), "yaxis": _name("y", index)}

    def add_titles(self, titles: Sequence[str], size: int) -> None:
        """Write a centred title above each panel; `size` is the font size in pixels."""
        before = len(self.layout.get("annotations", ()))
        self._titles = range(before, before + len(titles))
        for index, text in enumerate(titles):
            row, column = divmod(index, self.columns)
            self.add_annotation(
                text=text,
                x=sum(self._across[column]) / 2,
                y=self._down[row][1],
                xref="paper",
                yref="paper",
                xanchor="center",
                yanchor="bottom",
                showarrow=False,
                font={"size": size},
            )

    def stack(self, each: int, margins: tuple[int, int], gap: int = 68) -> None:
        """Put the panels below each other in a narrow window, each with its ticks; the last has the axis title.

        Args:
            each: height of a panel in pixels.
            margins: above the first and below the last panel, in pixels.
            gap: between panels, in pixels.
        """
        whole = self._count * (each + gap) - gap
        spans = _spans(self._count, gap / whole)[::-1]
        titles = (self.layout[_axis("x", cell)].get("title", {}).get("text", "") for cell in self.lowest)
        title = next(filter(None, titles), "")
        for cell, span in enumerate(spans):
            shown = broken(title, _NARROW_TITLE) if cell == self._count - 1 else ""
            across = {"domain": [0.0, 1.0], "title": {"text": shown}}
            self.update_xaxes(cells=[cell], narrow=True, showticklabels=True, **across)
            self.update_yaxes(cells=[cell], narrow=True, showticklabels=True, domain=span)
        for annotation, span in zip(self._titles, spans, strict=False):
            self.update_narrow(annotations={str(annotation): {"x": 0.5, "y": span[1]}})
        self.update_narrow(height=whole + sum(margins), margin={"t": margins[0], "b": margins[1]})

    def update_xaxes(
        self, *, cells: Iterable[int] | None = None, narrow: bool = False, **settings: Any
    ) -> None:
        """Set attributes of the horizontal axes of `cells`, or of all; if `narrow`, those in a narrow window."""
        self._update_axes("x", cells, settings, narrow=narrow)

    def update_yaxes(
        self, *, cells: Iterable[int] | None = None, narrow: bool = False, **settings: Any
    ) -> None:
        """Set attributes of the vertical axes of `cells`, or of all; if `narrow`, those in a narrow window."""
        self._update_axes("y", cells, settings, narrow=narrow)

    def _update_axes(
        self, way: str, cells: Iterable[int] | None, settings: dict[str, Any], *, narrow: bool
    ) -> None:
        update = self.update_narrow if narrow else self.update_layout
        for cell in range(self._count) if cells is None else cells:
            update(**{_axis(way, cell): settings})


def _name(kind: str, index: int) -> str:
    """Return plotly.js's name of a panel's axis; the first has no number."""
    return kind if index == 0 else f"{kind}{index + 1}"


def _axis(way: str, index: int) -> str:
    """Return the name of a panel's axis in the layout, such as `xaxis2` for the second."""
    return _name(f"{way}axis", index)


def _following(kind: str, index: int, first: int) -> dict[str, Any]:
    """Return the settings of an axis that follows that of the panel `first`, the only one with labels."""
    return {} if index == first else {"matches": _name(kind, first), "showticklabels": False}


def _spans(count: int, gap: float) -> list[list[float]]:
    """Return start and end of `count` equal parts of 0 to 1, `gap` apart."""
    size = (1 - gap * (count - 1)) / count
    starts = [index * (size + gap) for index in range(count)]
    return [[start, min(start + size, 1.0)] for start in starts]
