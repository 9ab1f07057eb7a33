"""View 3: where in the model the damage is, layer by layer and role by role."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import plotly.graph_objects as go
import polars as pl
from plotly.subplots import make_subplots

from dashboard import charts, formats
from dashboard.charts import Row
from dashboard.insights import Insight
from dashboard.insights.comparison import NOTHING
from dashboard.insights.statistics import Z95, gini
from dashboard.results import Results
from dashboard.selection import Selection
from dashboard.views import Absent, View, command_for
from evaluator.frames import ROLES

_MOST_PANELS = 6
_TYPICAL_BITS = 4.5
_NOTABLE = 1.05
_ATTENTION = ("attn_q", "attn_k", "attn_v", "attn_output")
_FEED_FORWARD = ("ffn_gate", "ffn_up", "ffn_down")


@dataclass(frozen=True)
class Measure:
    """The quantity the heatmap shows: its column expression, its name and its unit."""

    value: pl.Expr
    name: str
    short: str


_ATTRIBUTION = Measure(pl.col("attribution_kld"), "KLD when only this part is quantized (nats)", "KLD (nats)")
_ERROR = Measure(
    pl.coalesce("weight_error", "hidden_error"),
    "relative error: of the weights (Frobenius) per role, of the output (L2) in row “layer”",
    "relative error",
)


def measure(layers: pl.DataFrame) -> Measure:
    """Attribution KLD where it was run, else the relative errors of weights and layer outputs."""
    return _ATTRIBUTION if layers["attribution_kld"].is_not_null().any() else _ERROR


def panels(rows: Sequence[Row]) -> list[Row]:
    """Choose the variants to show: the type most methods share, else a spread of one method's types."""
    groups = charts.by_method(rows)
    if len(groups) > 1:
        methods: dict[str, set[str]] = {}
        for row in rows:
            methods.setdefault(row["quant"], set()).add(row["method"])
        most = max(len(found) for found in methods.values())
        if most > 1:
            bits = {row["quant"]: row["bits_per_weight"] for row in rows}
            common = [quant for quant in methods if len(methods[quant]) == most]
            shown = min(common, key=lambda quant: (abs(bits[quant] - _TYPICAL_BITS), quant))
            same = [row for row in rows if row["quant"] == shown]
            return sorted(same, key=lambda row: (row["method"], row["variant_id"]))[:_MOST_PANELS]
        return [
            min(group, key=lambda r: abs(r["bits_per_weight"] - _TYPICAL_BITS)) for group in groups.values()
        ][:_MOST_PANELS]
    ordered = sorted(rows, key=lambda row: (row["bits_per_weight"], row["variant_id"]))
    if len(ordered) <= _MOST_PANELS:
        return ordered
    step = (len(ordered) - 1) / (_MOST_PANELS - 1)
    return [ordered[round(index * step)] for index in range(_MOST_PANELS)]


def _measured(results: Results, selection: Selection) -> tuple[pl.DataFrame, list[Row]]:
    layers = results.layers()
    if layers is None:
        return pl.DataFrame(), []
    shown = measure(layers)
    valued = layers.with_columns(shown.value.alias("value")).filter(pl.col("value").is_not_null())
    ids = set(valued["variant_id"].to_list())
    return valued, [row for row in results.select(selection).to_dicts() if row["variant_id"] in ids]


def figure(results: Results, selection: Selection) -> go.Figure:
    """Draw a heatmap per variant, layers across and roles down, on one colour scale."""
    valued, rows = _measured(results, selection)
    if not rows:
        return charts.message_figure("No selected variant has layer measurements")
    shown = panels(rows)
    columns = 1 if len(shown) <= 3 else 2
    lines = -(-len(shown) // columns)
    drawn = make_subplots(
        rows=lines,
        cols=columns,
        shared_xaxes=True,
        shared_yaxes=True,
        vertical_spacing=0.24 / lines if lines > 1 else 0,
        horizontal_spacing=0.03,
        subplot_titles=[f"{r['label']} · {formats.bits(r['bits_per_weight'])}" for r in shown],
    )
    roles = [role for role in ROLES if role in set(valued["role"].cast(pl.String).to_list())]
    depth = int(valued["layer"].cast(pl.Int64).max() or 0)  # type: ignore[arg-type]  # an Int64 column's maximum
    for index, row in enumerate(shown):
        cells = valued.filter(pl.col("variant_id") == row["variant_id"]).to_dicts()
        place = {"row": index // columns + 1, "col": index % columns + 1}
        drawn.add_trace(_heatmap(cells, roles, depth, str(row["label"])), **place)
    legend = measure(valued)
    drawn.update_layout(
        coloraxis={"colorbar": {"title": {"text": legend.short, "side": "right"}, "tickformat": ".2~g"}},
        plot_bgcolor="rgba(128,136,150,0.16)",
        margin={"t": 30},
    )
    step = max(1, (depth + 1) // (8 if columns == 1 else 5))
    ticks = list(range(0 if step < 3 else step, depth + 1, step))
    drawn.update_xaxes(tickvals=[-1, *ticks], ticktext=["emb", *map(str, ticks)], showgrid=False, tickangle=0)
    drawn.update_yaxes(autorange="reversed", showgrid=False, tickfont={"size": 9}, dtick=1, ticks="")
    drawn.update_annotations(font={"size": 12})
    for column in range(1, columns + 1):
        drawn.update_xaxes(title_text="layer", row=lines, col=column)
    return drawn


def _heatmap(cells: Sequence[Row], roles: Sequence[str], depth: int, label: str) -> go.Heatmap:
    layers = list(range(-1, depth + 1))
    value = {(cell["role"], cell["layer"]): cell for cell in cells}
    grid = [[value.get((role, layer)) for layer in layers] for role in roles]
    return go.Heatmap(
        x=layers,
        y=list(roles),
        z=[[cell["value"] if cell else None for cell in line] for line in grid],
        text=[[_hover(cell, label) if cell else "" for cell in line] for line in grid],
        hoverinfo="text",
        hoverongaps=False,
        coloraxis="coloraxis",
        xgap=1,
        ygap=1,
    )


def _hover(cell: Row, label: str) -> str:
    place = "embedding and head" if cell["layer"] < 0 else f"layer {cell['layer']}"
    lines = [f"<b>{label}</b>", f"{place} · {cell['role']}", formats.number(cell["value"])]
    if cell["quant_type"]:
        bits = f" · {formats.bits(cell['bits_per_weight'])}" if cell["bits_per_weight"] is not None else ""
        lines.append(f"type {cell['quant_type']}{bits}")
    if cell["cosine"] is not None:
        lines.append(f"cosine {formats.number(cell['cosine'], 5)}")
    return "<br>".join(lines)


def headline(results: Results, selection: Selection) -> str:
    """Name the role with the largest mean value among the shown variants."""
    valued, rows = _measured(results, selection)
    if not rows:
        return "No selected variant has layer measurements"
    means = _role_means(valued, [row["variant_id"] for row in panels(rows)])
    if not means:
        return "Only whole layers were measured, no single roles"
    worst = max(means, key=lambda role: means[role])
    typical = median(means.values())
    what = measure(valued).short
    if typical <= 0:
        return f"{worst} has the largest mean {what} of the shown variants"
    factor = means[worst] / typical
    if factor < _NOTABLE:
        return f"No role's mean {what} is more than 5 % above the median role's"
    times = f", {formats.number(factor, 3)} × the median role's"
    return f"{worst} has the largest mean {what} of the shown variants{times}"


def _role_means(valued: pl.DataFrame, ids: Sequence[str]) -> dict[str, float]:
    inside = valued.filter(pl.col("variant_id").is_in(list(ids)), pl.col("role").cast(pl.String) != "layer")
    means = inside.group_by("role").agg(pl.col("value").mean()).sort("role")
    return {str(role): float(value) for role, value in means.iter_rows()}


def insights(results: Results, selection: Selection) -> list[Insight]:
    """Attention against feed-forward, concentration over depth, early and last layers."""
    valued, rows = _measured(results, selection)
    if not rows:
        return [NOTHING]
    shown = panels(rows)
    found = [_attention(valued, shown, measure(valued).short), *_concentration(valued, shown)]
    if len(shown) < len(rows):
        text = f"{len(shown)} of {len(rows)} selected variants are shown."
        found.append(Insight(text, "caution", "the type that most methods share; filter to see another one"))
    return found


def _attention(valued: pl.DataFrame, shown: Sequence[Row], what: str) -> Insight:
    """Attention against feed-forward: mean over cells, compared per layer."""
    verdicts = {"attention": [], "feed-forward": [], "neither": []}  # type: dict[str, list[str]]
    for row in shown:
        cells = valued.filter(pl.col("variant_id") == row["variant_id"], pl.col("layer") >= 0)
        role = pl.col("role").cast(pl.String)
        means = [pl.col("value").filter(role.is_in(part)).mean() for part in (_ATTENTION, _FEED_FORWARD)]
        per_layer = cells.group_by("layer").agg((means[0] - means[1]).alias("gap"))["gap"].drop_nulls()
        if per_layer.len() < 3:
            continue
        mean, spread = float(per_layer.mean()), float(per_layer.std())  # type: ignore[arg-type]  # floats
        error = Z95 * spread / per_layer.len() ** 0.5
        winner = "attention" if mean > error else "feed-forward" if mean < -error else "neither"
        verdicts[winner].append(str(row["label"]))
    if not any(verdicts.values()):
        return Insight("Attention and feed-forward were not both measured in enough layers.", "unknown")
    winner = max(verdicts, key=lambda name: len(verdicts[name]))
    count = f"{len(verdicts[winner])} of {sum(map(len, verdicts.values()))} shown variants"
    detail = f"mean {what} per layer, ±1.96 standard errors over layers; {count}"
    if winner == "neither":
        return Insight("Attention and feed-forward weights cannot be told apart in error.", "tie", detail)
    return Insight(f"The {winner} weights carry the larger error.", "finding", detail)


def _concentration(valued: pl.DataFrame, shown: Sequence[Row]) -> list[Insight]:
    """Per shown variant: Gini over layers; then the first third and the last tenth against the rest."""
    inequality, early, late = [], [], []
    for row in shown:
        cells = valued.filter(pl.col("variant_id") == row["variant_id"], pl.col("layer") >= 0)
        inner = cells.filter(pl.col("role").cast(pl.String) != "layer")
        depth = (inner if inner.height else cells).group_by("layer").agg(pl.col("value").mean()).sort("layer")
        values = depth["value"].to_list()
        share = gini(values)
        if share is None or len(values) < 6:
            continue
        third, tenth = len(values) // 3, max(1, len(values) // 10)
        inequality.append((row["label"], share))
        early.append(_ratio(values[:third], values[third:]))
        late.append(_ratio(values[-tenth:], values[:-tenth]))
    if not inequality:
        return [Insight("Too few layers were measured to say how the error spreads over depth.", "unknown")]
    least, most = min(inequality, key=lambda item: item[1]), max(inequality, key=lambda item: item[1])
    even = "evenly" if most[1] < 0.2 else "unevenly"
    detail = f"Gini coefficient over layers {formats.number(least[1], 2)} to {formats.number(most[1], 2)}"
    text = f"The error spreads {even} over the layers; {most[0]} is the most concentrated."
    found = [Insight(text, "finding", f"{detail}; under 0.2 counts as even")]
    for name, ratios in (("first third of the layers", early), ("last tenth of the layers", late)):
        text = f"The {name} has {_span(ratios)} the error of the rest."
        found.append(Insight(text, "finding", "mean over roles, per shown variant"))
    return found


def _ratio(part: Sequence[float], rest: Sequence[float]) -> float:
    below = sum(rest) / len(rest)
    return sum(part) / len(part) / below if below else 0.0


def _span(ratios: Sequence[float]) -> str:
    low, high = formats.number(min(ratios), 3), formats.number(max(ratios), 3)
    return f"{low} ×" if low == high else f"{low} to {high} ×"


def _absent(results: Results) -> Absent | None:
    if results.layers() is not None:
        return None
    return Absent("errors per layer and role (layers.parquet); run without --no-layers", command_for(results))


VIEW = View(
    id="layers",
    number=3,
    tab="Layers",
    title="Impact per layer and role",
    caption=f"{_ATTRIBUTION.name} where attribution was run, else {_ERROR.name}. "
    "One colour scale for all panels; “emb” holds embedding and head; grey was not measured.",
    headline=headline,
    figure=figure,
    insights=insights,
    absent=_absent,
)
