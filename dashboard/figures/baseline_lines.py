"""Draw the baselines' levels as dashed lines with notes that do not overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.figures import charts
from dashboard.figures.drawing import Drawing
from dashboard.figures.labels import Box, Point, overlap, shares
from dashboard.results.rows import Row, places_apart, plus_minus
from dashboard.results.scope import Scope
from dashboard.style import formats, names

#: Width of a character and height of a line, in shares of a plot of about 550 × 340 pixels.
_CHARACTER, _LINE = 0.0115, 0.046
_EDGE, _LINE_PX = 0.005, 16
Ranges = tuple[Sequence[float], Sequence[float]]


@dataclass(frozen=True)
class Note:
    """A text at a level: left and bottom in shares of the plot, and its distance from the level in text lines."""

    text: str
    left: float
    bottom: float
    above: bool
    off: int

    @property
    def box(self) -> Box:
        """Edges of the text: left, bottom, right, top."""
        return self.left, self.bottom, self.left + text_width(self.text), self.bottom + _LINE

    @property
    def is_at_right(self) -> bool:
        """Whether the text ends at the right edge of the plot."""
        return self.box[2] >= 1 - 2 * _EDGE and self.left > _EDGE


def text_width(text: str) -> float:
    """Return the width of a text in shares of the plot."""
    return _CHARACTER * len(text)


def place_notes(
    heights: Sequence[float],
    texts: Sequence[str],
    *,
    above: bool,
    taken: Sequence[Box] = (),
    points: Sequence[Point] = (),
) -> list[Note]:
    """Place a note at every height, in shares of the plot: at the left, above or below the level as asked, if free.

    Else further right or on the other side, or if all that is taken, a line or more away. No note overlaps another
    one or a `taken` box; each covers as few `points` and levels as possible.
    """
    placed: list[Note] = []
    for height, text in zip(heights, texts, strict=True):
        boxes = [*taken, *(note.box for note in placed)]

        def cost(spot: Note, boxes: Sequence[Box] = boxes, own: float = height) -> tuple[int, ...]:
            left, bottom, right, top = spot.box
            hidden = sum(left < x < right and bottom < y < top for x, y in points)
            struck = sum(bottom < other < top for other in heights if other != own)
            outside = bottom < -_LINE or top > 1 + _LINE
            return outside, any(overlap(spot.box, box) for box in boxes), spot.off, hidden + struck

        placed.append(min(_spots(text, height, len(heights) + 1, above=above), key=cost))
    return placed


def _spots(text: str, height: float, most: int, *, above: bool) -> list[Note]:
    """Places for a note, the best first."""
    room = max(0.0, 1 - 2 * _EDGE - text_width(text))
    return [
        Note(text, _EDGE + along * room, height + (off if side else -off - 1) * _LINE, side, off)
        for off in range(most)
        for side in (above, not above)
        for along in (0.0, 1.0, 0.25, 0.5, 0.75)
    ]


class BaselineLines:
    """The shown variants' baselines in a plot of perplexity on a log axis, or of its inverse."""

    def __init__(
        self,
        scope: Scope,
        rows: Sequence[Row],
        ranges: Ranges,
        *,
        points: Sequence[Point] = (),
        taken: Sequence[Box] = (),
        inverse: bool = False,
    ) -> None:
        """Compute the levels of the baselines of `rows`, and places for their notes.

        `ranges` are those of the axes, of the log axis in decades, and `points` lie in them; `taken` are boxes in
        shares of the plot.
        """
        bases = [base for base in scope.baselines_of(rows) if _has_level(base)]
        self._ranges, self._inverse = ranges, inverse
        self.values = [1 / base["ppl"] if inverse else float(base["ppl"]) for base in bases]
        bottom, top = ranges[1]
        heights = [(self._on_axis(value) - bottom) / (top - bottom) for value in self.values]
        texts = [
            f"{name} · {_level_text(base, inverse=inverse)}"
            for name, base in zip(_names(bases), bases, strict=True)
        ]
        self.notes = place_notes(heights, texts, above=inverse, taken=taken, points=shares(points, ranges))

    def _on_axis(self, value: float) -> float:
        return value if self._inverse else math.log10(value)

    @property
    def lines(self) -> list[list[Point]]:
        """The levels and the middle of every note in axis units, for labels to avoid."""
        (left, right), (bottom, top) = self._ranges
        across = [[(x, self._on_axis(value)) for x in (left, right)] for value in self.values]
        for note in self.notes:
            middle = bottom + (note.bottom + _LINE / 2) * (top - bottom)
            across.append([(left + end * (right - left), middle) for end in (note.box[0], note.box[2])])
        return across

    def draw(self, figure: Drawing) -> None:
        """Add the lines and the notes."""
        for value, note in zip(self.values, self.notes, strict=True):
            figure.add_shape(**charts.level_line(value))
            right, lines = note.is_at_right, note.off if note.above else -note.off
            figure.add_annotation(
                text=names.in_figure(note.text),
                x=1 - _EDGE if right else note.left,
                xref="paper",
                xanchor="right" if right else "left",
                y=self._on_axis(value),
                yanchor="bottom" if note.above else "top",
                yshift=_LINE_PX * lines,
                showarrow=False,
            )


def _has_level(base: Row) -> bool:
    return bool(base["ppl"]) and base["ppl"] > 0 and math.isfinite(base["ppl"])


def _names(bases: Sequence[Row]) -> list[str]:
    """Name baselines by the properties in which they differ."""
    apart = places_apart(bases)
    if not apart:
        return [names.short(f"baseline {base['quant']}", names.TITLE) for base in bases]
    parts = [
        [base["model"], base["quant"], *([formats.device_name(base["device"])] if "device" in apart else [])]
        for base in bases
    ]
    return [names.short(" ".join(part), names.TITLE) for part in parts]


def _level_text(base: Row, *, inverse: bool) -> str:
    if inverse:
        return f"1/PPL {formats.number(1 / base['ppl'])}"
    return f"PPL {formats.number(base['ppl'], 4)}{plus_minus(base, 'ppl', 'ppl_se')}"
