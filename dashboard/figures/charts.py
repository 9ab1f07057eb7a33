"""Draw what several views share: the look of methods, hover texts, emphasis, the baseline, the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dashboard.figures.drawing import Drawing
from dashboard.results.results import Results
from dashboard.results.rows import Row, by_method, one_place, place_in_words, plus_minus
from dashboard.results.selection import Selection
from dashboard.style import columns, formats, names
from dashboard.style.theme import BASELINE, QUIET, MethodStyle, translucent
from evaluator.metrics import columns_of

_DASHES = ("solid", "dash", "dot", "dashdot")
_DIMMED = 0.2


@dataclass(frozen=True)
class Series:
    """One curve: a method's variants of one model on one device, with the method's look."""

    name: str
    method: str
    style: MethodStyle
    nth: int
    rows: list[Row]

    @property
    def dash(self) -> str:
        """The line's dash: solid for a method's first model and device."""
        return _DASHES[self.nth % len(_DASHES)]

    def marker(self, size: int = 9) -> dict[str, Any]:
        """Return the points' marker, outlined to separate overlapping points; open for further models or devices."""
        edge = "rgba(255,255,255,0.55)" if self.nth == 0 else self.style.color
        symbol = self.style.symbol if self.nth == 0 else f"{self.style.symbol}-open"
        width = 1 if self.nth == 0 else 2
        return {
            "color": self.style.color,
            "symbol": symbol,
            "size": size,
            "line": {"width": width, "color": edge},
        }

    @property
    def legend(self) -> dict[str, Any]:
        """Settings of the legend entry, one per method so that a click selects it; `meta` has full names."""
        name = names.in_figure(self.method, names.LEGEND)
        entry = {"name": name, "legendgroup": self.method, "showlegend": self.nth == 0}
        return entry | {"meta": {"method": self.method, "series": self.name}}


def series(results: Results, rows: Sequence[Row]) -> list[Series]:
    """Return the curves of `by_method`; models and devices differ by dash, methods by colour and symbol."""
    curves: list[Series] = []
    for name, group in by_method(rows).items():
        method = str(group[0]["method"])
        nth = sum(1 for earlier in curves if earlier.method == method)
        curves.append(Series(name, method, results.styles[method], nth, group))
    return curves


def add_places(figure: Drawing, curves: Sequence[Series]) -> None:
    """Explain dashes and open symbols in the legend if the curves are of several models or devices."""
    places: dict[int, str] = {}
    for curve in curves:
        places.setdefault(curve.nth, curve.name.removeprefix(curve.method).removeprefix(" · "))
    if len(places) < 2:
        return
    for nth, place in places.items():
        neutral = Series(place, "", BASELINE, nth, [])
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="lines+markers",
            name=names.in_figure(place, names.LEGEND),
            line={"color": BASELINE.color, "dash": neutral.dash},
            marker=neutral.marker(8) | {"symbol": "circle" if nth == 0 else "circle-open"},
            hoverinfo="skip",
        )


def emphasis(selection: Selection, shown: Sequence[Row], group: Sequence[Row]) -> dict[str, Any]:
    """Return scatter settings that identify a trace's points and, if a shown variant is picked, dim the others."""
    settings: dict[str, Any] = {"customdata": [[row["variant_id"]] for row in group]}
    if not is_picking(selection, shown):
        return settings
    chosen = [index for index, row in enumerate(group) if row["variant_id"] in selection.picked]
    return settings | {
        "selectedpoints": chosen,
        "selected": {"marker": {"opacity": 1, "size": 13}},
        "unselected": {"marker": {"opacity": _DIMMED}, "textfont": {"color": "rgba(128,140,160,0.45)"}},
    }


def points(curve: Series, selection: Selection, shown: Sequence[Row]) -> dict[str, Any]:
    """Return the scatter settings of all curves' points: legend, hover, and emphasis of picked variants."""
    return {"hoverinfo": "text", "cliponaxis": False} | curve.legend | emphasis(selection, shown, curve.rows)


def is_picking(selection: Selection, shown: Sequence[Row]) -> bool:
    """Return whether one of the shown variants is picked, so that the others are dimmed."""
    return any(row["variant_id"] in selection.picked for row in shown)


def line(curve: Series, selection: Selection, shown: Sequence[Row]) -> dict[str, Any]:
    """Return a curve's line, faint if only variants of other curves are picked."""
    faint = is_picking(selection, shown) and not is_picking(selection, curve.rows)
    return {
        "color": translucent(curve.style.color, 0.15 if faint else 0.6),
        "width": 1.8,
        "dash": curve.dash,
    }


def error_bars(
    style: MethodStyle, values: Sequence[float], minus: Sequence[float] | None = None, alpha: float = 0.55
) -> dict[str, Any]:
    """Return Plotly error bars in a method's colour."""
    bars: dict[str, Any] = {"type": "data", "array": list(values), "color": translucent(style.color, alpha)}
    if minus is not None:
        bars |= {"arrayminus": list(minus), "symmetric": False}
    return bars | {"thickness": 1.2, "width": 3}


def quality_lines(row: Row) -> str:
    """Return the hover text that all views of quality share."""
    known = columns_of()
    lines = [
        f"<b>{names.in_figure(row['label'])}</b>",
        f"{formats.bits(row['bits_per_weight'])} per weight · {formats.size(row['size_bytes'])}",
    ]
    paired = row["ln_ppl_ratio"] is not None and not row["is_baseline"]
    if row["ppl"] is not None:
        # The level's own error is left out of a comparison: the texts move all variants together.
        level = "" if paired else plus_minus(row, "ppl", "ppl_se")
        lines.append(f"PPL {columns.value(known['ppl'], row['ppl'], level)}")
    if paired:
        spread = plus_minus(row, "ln_ppl_ratio", "ln_ppl_ratio_se")
        ratio = columns.value(known["ln_ppl_ratio"], row["ln_ppl_ratio"], spread)
        lines.append(f"ln PPL ratio {ratio} ({formats.percent_change(row['ln_ppl_ratio'])})")
        lines.append(f"{formats.percent(math.exp(-row['ln_ppl_ratio']), 2)} of the baseline's accuracy")
    if row["kld_mean"] is not None:
        spread = plus_minus(row, "kld_mean", "kld_se")
        lines.append(f"mean KLD {columns.value(known['kld_mean'], row['kld_mean'], spread)}")
    if row["same_top"] is not None:
        lines.append(f"same top token {columns.value(known['same_top'], row['same_top'])}")
    return "<br>".join(lines)


def level_line(height: float) -> dict[str, Any]:
    """Return the shape of a dashed line across the plot at the baseline's level."""
    place = {"xref": "x domain", "x0": 0, "x1": 1, "y0": height, "y1": height}
    return {"type": "line", **place, "line": {"color": BASELINE.color, "dash": "dash", "width": 1.5}}


def add_front(
    figure: Drawing, rows: Sequence[Row], x: Sequence[float], y: Sequence[float], shape: str = "hv"
) -> None:
    """Draw the Pareto front of `rows` (see `front_of`) as a step line, named after its model and device."""
    ordered = sorted(zip(x, y, strict=True))
    place = names.in_figure(place_in_words(one_place(rows)[0], rows), names.LEGEND)
    figure.add_scatter(
        x=[point[0] for point in ordered],
        y=[point[1] for point in ordered],
        mode="lines",
        line={"color": QUIET, "width": 5, "shape": shape},
        name=" · ".join(filter(None, ["Pareto front", place])),
        hoverinfo="skip",
    )


def message_figure(text: str) -> Drawing:
    """Return a figure that only shows why there is nothing to draw."""
    figure = Drawing()
    figure.add_annotation(
        text=text, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False, font={"size": 14}
    )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return figure
