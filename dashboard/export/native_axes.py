"""Axes of PowerPoint charts: bounds, steps and number formats, which PowerPoint cannot take from the figure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pptx.dml.color import RGBColor
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls
from pptx.util import Pt

from dashboard.figures.axes import nice_step
from dashboard.style.theme import Surface

_STEPS = 10
#: Decades from which a log axis has powers of 10; fewer have powers of 2, and very few are drawn on a linear axis.
_FEW_DECADES, _LEAST_DECADES = 1.5, 0.5
#: Decades by which an error bar may stick out of a log axis, instead of a decade more.
_CUT = 0.1
_LOG = (", log scale", " (log scale)")
_THOUSAND = 1000


@dataclass(frozen=True)
class Extent:
    """What an axis shows: the lowest and highest point, and the lowest and highest end of error bars."""

    first: float
    last: float
    low: float
    high: float


@dataclass(frozen=True)
class Scale:
    """An axis from `low` to `high`: in steps of `step`, or if `base` is not 0, on a log scale of powers of it."""

    low: float
    high: float
    step: float
    base: int = 0

    def holds(self, value: float) -> bool:
        """Return whether a value lies on the axis, apart from its ends."""
        return self.low < value < self.high

    def ends_and(self, share: float) -> tuple[float, float, float]:
        """Return the lower end, the place at a share of the axis, and the upper end."""
        if self.base:
            return self.low, self.low * (self.high / self.low) ** share, self.high
        return self.low, self.low + share * (self.high - self.low), self.high

    def share(self, value: float) -> float:
        """Return how far along the axis a value is: 0 at its lower end and 1 at its upper."""
        if self.base:
            return math.log(value / self.low) / math.log(self.high / self.low) if value > 0 else 0.0
        return (value - self.low) / (self.high - self.low)

    @property
    def number_format(self) -> str:
        """PowerPoint's format of the numbers at the axis."""
        if self.base:
            return "General"
        places = max(0, -math.floor(math.log10(self.step)))
        whole = "#,##0" if self.high >= _THOUSAND else "0"
        return f"{whole}.{'0' * places}" if places else whole

    def set_on(self, axis: Any) -> None:
        """Apply the scale to a value axis."""
        axis.minimum_scale, axis.maximum_scale = self.low, self.high
        axis.major_unit = self.base or self.step
        axis.tick_labels.number_format = self.number_format
        axis.tick_labels.number_format_is_linked = False
        if self.base:
            # python-pptx has no API for it; the schema requires it first.
            log_base = parse_xml(f'<c:logBase {nsdecls("c")} val="{self.base}"/>')
            axis._element.scaling.insert(0, log_base)


def scale_of(plotly_axis: Any, extent: Extent | None) -> Scale | None:
    """Return a figure's axis with readable bounds around what it shows; None if the figure sets no range.

    Without an extent, as for bars, the figure's range is taken.
    """
    if not plotly_axis.range:
        return None
    low, high = sorted(float(end) for end in plotly_axis.range)
    is_log = plotly_axis.type == "log"
    if is_log:
        low, high = 10**low, 10**high
    if extent is None:
        return _log(low, high, low, high) if is_log else _linear(low, high)
    low, high = max(low, extent.low), min(high, extent.high)
    if not is_log or high <= low * 10**_LEAST_DECADES:
        return _linear(low, high)
    return _log(low, high, max(low, extent.first), min(high, extent.last))


def _linear(low: float, high: float) -> Scale:
    """Widen the ends to steps of 1, 2 or 5."""
    step = nice_step((high - low or abs(high) or 1.0) / _STEPS)
    return Scale(math.floor(low / step) * step, math.ceil(high / step) * step, step)


def _log(low: float, high: float, first: float, last: float) -> Scale:
    """Widen the ends to powers of 10, or over few decades to 1, 2 or 5 × 10ⁿ times a power of 2."""
    if math.log10(high / low) < _FEW_DECADES:
        start = _below(low)
        return Scale(start, start * 2.0 ** math.ceil(math.log2(high / start) - 1e-9), 2, base=2)
    bottom = min(math.floor(math.log10(low) + _CUT), math.floor(math.log10(first)))
    top = max(math.ceil(math.log10(high) - _CUT), math.ceil(math.log10(last)))
    return Scale(10.0**bottom, 10.0**top, 10, base=10)


def _below(value: float) -> float:
    """Return the largest of 1, 2, 5 × 10ⁿ that is not above a value."""
    power = 10.0 ** math.floor(math.log10(value))
    return max(power * factor for factor in (1, 2, 5) if power * factor <= value * (1 + 1e-9))


def title_of(plotly_axis: Any, scale: Scale | None) -> str:
    """Return an axis's title, without “log scale” where the scale is linear."""
    text = str(plotly_axis.title.text or "")
    if scale is None or scale.base:
        return text
    for words in _LOG:
        text = text.replace(words, "")
    return text


def rgb(color: str) -> RGBColor:
    """Return `#rrggbb` as PowerPoint's colour."""
    return RGBColor.from_string(color.removeprefix("#").upper())


def style_axis(axis: Any, title: str, surface: Surface) -> None:
    """Give an axis its colours, type sizes and title."""
    axis.format.line.color.rgb = rgb(surface.axis)
    axis.has_major_gridlines = True
    axis.major_gridlines.format.line.color.rgb = rgb(surface.grid)
    axis.tick_labels.font.size = Pt(12)
    axis.tick_labels.font.color.rgb = rgb(surface.muted)
    if title:
        axis.has_title = True
        axis.axis_title.text_frame.text = title
        run = axis.axis_title.text_frame.paragraphs[0].runs[0]
        run.font.size, run.font.bold, run.font.color.rgb = Pt(13), False, rgb(surface.text)
