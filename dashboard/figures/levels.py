"""Draw levels across a plot, such as baselines and limits, as dashed lines with notes that do not overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.figures.drawing import Drawing
from dashboard.figures.labels import Box, Point, Ranges, overlap, shares
from dashboard.figures.scales import Scale
from dashboard.results.rows import Row, places_apart, plus_minus
from dashboard.results.scope import Scope
from dashboard.style import formats, names
from dashboard.style.theme import BASELINE

#: Width of a character and height of a line, in shares of a plot of about 550 × 340 pixels.
_CHARACTER, _LINE = 0.0115, 0.046
_EDGE, _LINE_PX = 0.005, 16


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


@dataclass(frozen=True)
class Level:
    """A value on the vertical axis that a line and a note mark; a limit has a dotted line."""

    value: float
    text: str
    is_limit: bool = False


def draw_levels(
    figure: Drawing,
    levels: Sequence[Level],
    scale: Scale,
    across: Sequence[float],
    *,
    points: Sequence[Point] = (),
    taken: Sequence[Box] = (),
    above: bool = False,
) -> list[Box]:
    """Add lines with notes, above the levels or below; return the notes' boxes in shares of the plot.

    `across` is the range of the horizontal axis; `points` and `taken`, which notes avoid, are in shares of the plot.
    """
    texts = [level.text for level in levels]
    heights = [height for _, height in (line[0] for line in level_lines(levels, scale, across))]
    notes = place_notes(heights, texts, above=above, taken=taken, points=points)
    for level, note in zip(levels, notes, strict=True):
        dash = "dot" if level.is_limit else "dash"
        place = {"xref": "x domain", "x0": 0, "x1": 1, "y0": level.value, "y1": level.value}
        figure.add_shape(type="line", **place, line={"color": BASELINE.color, "dash": dash, "width": 1.5})
        right, lines = note.is_at_right, note.off if note.above else -note.off
        figure.add_annotation(
            text=names.in_figure(note.text),
            x=1 - _EDGE if right else note.left,
            xref="paper",
            xanchor="right" if right else "left",
            y=scale.height(level.value),
            yanchor="bottom" if note.above else "top",
            yshift=_LINE_PX * lines,
            showarrow=False,
        )
    return [note.box for note in notes]


def level_lines(levels: Sequence[Level], scale: Scale, across: Sequence[float]) -> list[list[Point]]:
    """Return the lines at levels in shares of the plot."""
    ranges: Ranges = (across, scale.range)
    return [shares([(x, scale.height(level.value)) for x in across], ranges) for level in levels]


def add_note(figure: Drawing, across: Sequence[float], at: float, text: str, *, at_top: bool = True) -> Box:
    """Write a note inside the plot's top or bottom, beside `at` on the horizontal axis; return its box in shares.

    In a narrow window, where other notes may reach below it, a note at the bottom stands above the plot.
    """
    left, right = across
    start, width = (at - left) / (right - left), text_width(text)
    is_right = start + width <= 1
    figure.add_annotation(
        text=text,
        x=at,
        xanchor="left" if is_right else "right",
        yref="paper",
        y=1 if at_top else 0,
        yanchor="top" if at_top else "bottom",
        showarrow=False,
        narrow=None if at_top else {"y": 1, "yanchor": "bottom"},
    )
    begin = start if is_right else start - width
    low = 1 - _LINE if at_top else 0.0
    return begin, low, begin + width, low + _LINE


def baseline_levels(scope: Scope, rows: Sequence[Row], *, inverse: bool = False) -> list[Level]:
    """Return the perplexities, or their inverses, of the baselines of `rows`."""
    bases = [base for base in scope.baselines_of(rows) if _has_level(base)]
    return [
        Level(
            1 / base["ppl"] if inverse else float(base["ppl"]),
            f"{name} · {_level_text(base, inverse=inverse)}",
        )
        for name, base in zip(_names(bases), bases, strict=True)
    ]


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
