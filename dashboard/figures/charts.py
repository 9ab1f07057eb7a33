"""Draw what several views share: the look of methods, hover texts, and emphasis."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from dashboard.figures.drawing import Drawing
from dashboard.results.results import Results
from dashboard.results.rows import Row, by_method, plus_minus
from dashboard.results.selection import Selection
from dashboard.style import columns, formats, names
from dashboard.style.theme import BASELINE, MethodStyle, translucent
from evaluator.metrics import columns_of

_DASHES = ("solid", "dash", "dot", "dashdot")
_DIMMED = 0.2
#: Pixels by which points of a Pareto front are larger, and others smaller.
_FRONT = 2


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

    def marker(self, size: int = 9, front: Collection[str] = ()) -> dict[str, Any]:
        """Return the points' marker, outlined to separate overlapping points; open for further models or devices.

        Variants in `front` are larger, and the others smaller.
        """
        edge = "rgba(255,255,255,0.55)" if self.nth == 0 else self.style.color
        symbol = self.style.symbol if self.nth == 0 else f"{self.style.symbol}-open"
        sizes = [size + (_FRONT if row["variant_id"] in front else -_FRONT) for row in self.rows]
        return {
            "color": self.style.color,
            "symbol": symbol,
            "size": sizes if front else size,
            "opacity": 1,  # Plotly fades markers of several sizes
            "line": {"width": 1 if self.nth == 0 else 2, "color": edge},
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


def line(curve: Series, selection: Selection, shown: Sequence[Row], alpha: float = 1) -> dict[str, Any]:
    """Return a curve's line of some opacity, faint if only variants of other curves are picked."""
    faint = is_picking(selection, shown) and not is_picking(selection, curve.rows)
    return {
        "color": translucent(curve.style.color, 0.15 if faint else alpha),
        "width": 1.5,
        "dash": curve.dash,
    }


def error_bars(
    style: MethodStyle, values: Sequence[float], minus: Sequence[float] | None = None, alpha: float = 0.75
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
        lines.append(f"{columns.PPL_SHARE} {formats.percent(math.exp(-row['ln_ppl_ratio']), 2)}")
    if row["kld_mean"] is not None:
        spread = plus_minus(row, "kld_mean", "kld_se")
        lines.append(f"mean KLD {columns.value(known['kld_mean'], row['kld_mean'], spread)}")
    if row["same_top"] is not None:
        lines.append(f"same top token {columns.value(known['same_top'], row['same_top'])}")
    return "<br>".join(lines)


def message_figure(text: str) -> Drawing:
    """Return a figure that only shows why there is nothing to draw."""
    figure = Drawing()
    figure.add_annotation(
        text=text, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False, font={"size": 14}
    )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return figure
