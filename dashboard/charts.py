"""Drawing that several views share: hover texts, the baseline, method traces, labels that do not collide."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from dashboard import formats
from dashboard.insights.statistics import Z95
from dashboard.results import Results
from dashboard.theme import BASELINE, MethodStyle, translucent

Row = dict[str, Any]
_MOST_LABELS = 14


def complete(rows: Sequence[Row], *columns: str) -> list[Row]:
    """Return the rows in which every named column is measured and finite."""
    return [r for r in rows if all(r[c] is not None and math.isfinite(r[c]) for c in columns)]


def by_method(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows per method, methods by name, rows by bits per weight."""
    groups: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda r: (r["method"], r["bits_per_weight"], r["variant_id"])):
        groups.setdefault(row["method"], []).append(row)
    return groups


def marker(style: MethodStyle, size: int = 9) -> dict[str, Any]:
    """Return a method's marker, outlined so that overlapping points stay apart."""
    return {
        "color": style.color,
        "symbol": style.symbol,
        "size": size,
        "line": {"width": 1, "color": "rgba(255,255,255,0.55)"},
    }


def error_bars(
    style: MethodStyle, values: Sequence[float], minus: Sequence[float] | None = None
) -> dict[str, Any]:
    """Return Plotly error bars in a method's colour."""
    bars: dict[str, Any] = {"type": "data", "array": list(values), "color": translucent(style.color, 0.75)}
    if minus is not None:
        bars |= {"arrayminus": list(minus), "symmetric": False}
    return bars | {"thickness": 1.3, "width": 3}


def half_widths(rows: Sequence[Row], column: str) -> list[float]:
    """±1.96 standard errors; 0 where the error was not measured."""
    return [Z95 * (row[column] or 0.0) for row in rows]


def quality_lines(row: Row) -> str:
    """Return the lines of a hover text that every view of quality shows."""
    lines = [
        f"<b>{row['label']}</b>",
        f"{formats.bits(row['bits_per_weight'])} per weight · {formats.size(row['size_bytes'])}",
    ]
    if row["ppl"] is not None:
        error = f" ± {formats.number(Z95 * row['ppl_se'], 2)}" if row["ppl_se"] is not None else ""
        lines.append(f"PPL {formats.number(row['ppl'], 4)}{error}")
    if row["ln_ppl_ratio"] is not None and not row["is_baseline"]:
        error = (
            f" ± {formats.percent(Z95 * row['ln_ppl_ratio_se'], 2)}"
            if row["ln_ppl_ratio_se"] is not None
            else ""
        )
        lines.append(f"PPL change {formats.percent_change(row['ln_ppl_ratio'])}{error}")
        lines.append(f"relative accuracy {formats.percent(math.exp(-row['ln_ppl_ratio']), 2)}")
    if row["kld_mean"] is not None:
        error = row["kld_se_clustered"] if row["kld_se_clustered"] is not None else row["kld_se"]
        spread = f" ± {formats.number(Z95 * error, 2)}" if error is not None else ""
        lines.append(f"mean KLD {formats.number(row['kld_mean'])}{spread} nats")
    if row["same_top"] is not None:
        lines.append(f"same top token {formats.percent(row['same_top'])}")
    return "<br>".join(lines)


def add_baseline_level(
    figure: go.Figure, results: Results, row: int | None = None, col: int | None = None
) -> None:
    """Return the baseline's PPL as a dashed line with its ±1.96 standard error band."""
    base = results.baseline
    ppl, error = base["ppl"], base["ppl_se"]
    if not isinstance(ppl, float):
        return
    place = {} if row is None else {"row": row, "col": col}
    if isinstance(error, float):
        band = {"fillcolor": BASELINE.color, "opacity": 0.13, "line_width": 0, "layer": "below"}
        figure.add_hrect(y0=ppl - Z95 * error, y1=ppl + Z95 * error, **band, **place)
    figure.add_hline(y=ppl, line={"color": BASELINE.color, "dash": "dash", "width": 1.5}, **place)
    figure.add_annotation(
        text=f"baseline {base['quant']} · {formats.number(ppl, 4)}",
        x=0.005,
        xref="paper",
        y=math.log10(ppl),
        yanchor="bottom",
        xanchor="left",
        showarrow=False,
        **place,
    )


def bits_range(rows: Sequence[Row]) -> list[float]:
    """Return the axis range of bits per weight around the points."""
    values = [row["bits_per_weight"] for row in rows] or [2.0, 8.0]
    margin = max(0.35, 0.06 * (max(values) - min(values)))
    return [min(values) - margin, max(values) + margin]


def decades(low: float, high: float) -> list[float]:
    """Tick values 1, 2, 5 × 10ⁿ that lie between two positive numbers."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1.0, 2.0, 5.0) if last - first <= 4 else (1.0,)
    ticks = [step * 10.0**power for power in range(first, last + 1) for step in steps]
    return [tick for tick in ticks if low <= tick <= high]


def log_axis(values: Sequence[float], margin: float = 0.08) -> dict[str, Any]:
    """Range and readable ticks of a log axis around positive values."""
    logs = [math.log10(value) for value in values if value > 0] or [0.0]
    pad = max(0.03, margin * (max(logs) - min(logs)))
    low, high = min(logs) - pad, max(logs) + pad
    axis: dict[str, Any] = {"type": "log", "range": [low, high]}
    ticks = decades(10**low, 10**high)
    if len(ticks) < 3:
        step = _nice_step((10**high - 10**low) / 5)
        first = math.ceil(10**low / step)
        ticks = [step * index for index in range(first, math.floor(10**high / step) + 1)]
    return axis | {"tickvals": ticks, "ticktext": [f"{tick:.12g}" for tick in ticks]}


def _nice_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (1.0, 2.0, 5.0, 10.0) if step * power >= rough)


def place_labels(points: Sequence[tuple[float, float]], texts: Sequence[str]) -> list[tuple[str, str]]:
    """For each point (in 0–1 of the plot) a text and a Plotly `textposition` without collisions.

    Greedy, in the given order: the first of eight sides whose box is free, corners first because error bars
    run straight up and down; no side free means no text.
    """
    wide, tall = 0.0115, 0.042
    boxes = [(x - 0.012, y - 0.018, x + 0.012, y + 0.018) for x, y in points]
    placed: list[tuple[str, str]] = []
    for (x, y), text in zip(points, texts, strict=True):
        if not text:
            placed.append(("", "top center"))
            continue
        width = wide * len(text)
        spots = {
            "top right": (x + 0.008, y + 0.016),
            "top left": (x - 0.008 - width, y + 0.016),
            "bottom right": (x + 0.008, y - 0.016 - tall),
            "bottom left": (x - 0.008 - width, y - 0.016 - tall),
            "middle right": (x + 0.016, y - tall / 2),
            "middle left": (x - 0.016 - width, y - tall / 2),
            "top center": (x - width / 2, y + 0.02),
            "bottom center": (x - width / 2, y - 0.02 - tall),
        }
        for side, (left, bottom) in spots.items():
            box = (left, bottom, left + width, bottom + tall)
            inside = left >= -0.01 and box[2] <= 1.01 and bottom >= -0.01 and box[3] <= 1.03
            if inside and not any(_overlap(box, other) for other in boxes):
                boxes.append(box)
                placed.append((text, side))
                break
        else:
            placed.append(("", "top center"))
    return placed


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def labels_by_row(
    rows: Sequence[Row],
    xs: Sequence[float],
    ys: Sequence[float],
    x_range: Sequence[float],
    y_range: Sequence[float],
) -> dict[str, tuple[str, str]]:
    """Quant labels with their sides, keyed by variant; ranges are in the units of `xs` and `ys`."""
    points = [
        ((x - x_range[0]) / (x_range[1] - x_range[0]), (y - y_range[0]) / (y_range[1] - y_range[0]))
        for x, y in zip(xs, ys, strict=True)
    ]
    placed = place_labels(points, _label_texts(rows, ys))
    return {row["variant_id"]: label for row, label in zip(rows, placed, strict=True)}


def labelled(group: Sequence[Row], labels: dict[str, tuple[str, str]]) -> dict[str, Any]:
    """Scatter settings that write the labels of `labels_by_row` at a method's points; hover shows text only."""
    return {
        "text": [labels[row["variant_id"]][0] for row in group],
        "textposition": [labels[row["variant_id"]][1] for row in group],
        "textfont": {"size": 11},
        "hoverinfo": "text",
        "cliponaxis": False,
    }


def _label_texts(rows: Sequence[Row], ys: Sequence[float]) -> list[str]:
    """Every quant type; where that crowds the plot, one label per type, at its highest point."""
    if len(rows) <= _MOST_LABELS:
        return [row["quant"] for row in rows]
    highest: dict[str, int] = {}
    for index, row in enumerate(rows):
        best = highest.setdefault(row["quant"], index)
        highest[row["quant"]] = index if ys[index] > ys[best] else best
    return [row["quant"] if highest[row["quant"]] == index else "" for index, row in enumerate(rows)]


def message_figure(text: str) -> go.Figure:
    """Return a figure that only says why there is nothing to draw."""
    figure = go.Figure()
    figure.add_annotation(
        text=text, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False, font={"size": 14}
    )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return figure
