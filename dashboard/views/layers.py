"""Draw view 3: where in the model the damage is, by layer and role."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean, median
from typing import TypeVar

from dashboard.figures import charts, heatmaps
from dashboard.figures.drawing import Drawing
from dashboard.insights import Insight, Kind
from dashboard.insights.claims import claims_of
from dashboard.insights.comparison import NOTHING, elsewhere
from dashboard.insights.layers import (
    EVEN,
    HIDDEN,
    MEASURES,
    Measure,
    Values,
    attention_share,
    cells,
    concentration,
    depth,
    first_third,
    frame_name,
    framed,
    having,
    kinds,
    last_part,
    measured,
    role_means,
)
from dashboard.insights.matching import representatives
from dashboard.results.exported import layers
from dashboard.results.results import Results
from dashboard.results.rows import Row, one_place
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.results.statistics import Estimate
from dashboard.style import formats
from dashboard.views import Absent, Option, View, missing
from evaluator.results.files import LAYERS

_MEASURE = Option(
    "measure",
    "Measure",
    (
        ("best", "most telling"),
        ("weight", "weight error"),
        ("hidden", "output error"),
        ("attribution", "attribution"),
    ),
)
_MOST_PANELS, _MOST_STRIPS = 6, 30
_NOTABLE = 1.05
_MOST_NOTES = 3
_SLIGHT = math.log(1.1)
_T = TypeVar("_T")


@dataclass(frozen=True)
class Shown:
    """What is drawn: the measure, the variants (one panel each), and their values by id."""

    measure: Measure
    rows: list[Row]
    values_of: Mapping[str, Values]


def chosen(scope: Scope) -> Shown | None:
    """Return the measure and the variants that have it; None if there are none.

    The measure is the selected one, by default the most telling one that a chosen variant has.
    """
    layers = scope.results.layers()
    known = measured(layers) if layers is not None else []
    asked = _MEASURE.of(scope.selection)
    candidates = [measure for measure in MEASURES if measure.key == asked] or known
    selected = one_place(scope.rows)
    pairs = ((measure, having(scope.results, selected, measure)) for measure in candidates)
    measure, rows = next(((measure, rows) for measure, rows in pairs if rows), (None, []))
    if measure is None:
        return None
    if measure is not HIDDEN or len(rows) > _MOST_STRIPS:
        rows = representatives(rows, scope.selection, _MOST_PANELS)
    return Shown(measure, rows, cells(scope.results, rows, measure))


def figure(scope: Scope) -> Drawing:
    """Draw a heatmap per variant, layers across and roles down; for output errors one heatmap, variants down.

    The filter of layers and roles is framed and hides nothing here, so that another click can change it.
    """
    shown = chosen(scope)
    if shown is None:
        return charts.message_figure("No selected variant has this measure: choose or measure another")
    marked = (scope.selection.layers, scope.selection.roles)
    if shown.measure is HIDDEN:
        return heatmaps.strips(shown.rows, shown.values_of, shown.measure, marked)
    types = kinds(scope.results, shown.rows)
    return heatmaps.panels(shown.rows, shown.values_of, types, shown.measure, marked)


def headline(scope: Scope) -> str:
    """Write the framed part's value, else name the role with the largest mean over the shown variants."""
    shown = chosen(scope)
    if shown is None:
        return "No selected variant has layer measurements"
    if scope.selection.layers or scope.selection.roles:
        return _of_frame(shown, scope.selection)
    means = role_means(shown.values_of)
    if not means:
        return _deepest(shown)
    if len(means) == 1:
        ((role, value),) = means.items()
        return f"{role}, the only role measured: {shown.measure.worded(value)} on average"
    worst = max(means, key=lambda role: means[role])
    typical = median(means.values())
    factor = means[worst] / typical if typical > 0 else math.inf
    if factor < _NOTABLE:
        return f"No role is more than 5 % above the median role's {shown.measure.noun}"
    times = f": {formats.number(factor, 2)} × the median role's {shown.measure.noun}"
    return f"{worst} is hit hardest{times if math.isfinite(factor) else ''}"


def _of_frame(shown: Shown, selection: Selection) -> str:
    """Compare the mean of the framed part with the overall mean."""
    name = frame_name(selection.layers, selection.roles)
    inside = _framed(shown, selection)
    part = [value for values in inside.values() for value in values.values()]
    if not part:
        return f"{name}: the shown variants have no {shown.measure.name} there"
    whole = fmean(value for values in shown.values_of.values() for value in values.values())
    factor = f", {formats.number(fmean(part) / whole, 2)} × the overall mean" if whole > 0 else ""
    return f"{name}: {shown.measure.worded(fmean(part))}{' on average' * (len(part) > 1)}{factor}"


def _framed(shown: Shown, selection: Selection) -> dict[str, Values]:
    return {
        name: framed(values, selection.layers, selection.roles) for name, values in shown.values_of.items()
    }


def _deepest(shown: Shown) -> str:
    """Say how the output error grows from the first to the last layer."""
    row = shown.rows[0]
    values = depth(shown.values_of[row["variant_id"]])
    if len(values) < 2 or values[0] <= 0:
        return f"Output errors of {len(shown.rows)} variants, layer by layer"
    growth = formats.number(values[-1] / values[0], 2)
    return f"{row['label']}: the output error of the last layer is {growth} × the first's"


def insights(scope: Scope) -> list[Insight]:
    """Describe the framed part, attention against feed-forward, concentration, depth, and mixed types."""
    shown = chosen(scope)
    if shown is None:
        return [NOTHING]
    candidates = [
        _frame(shown, scope.selection),
        _attention(shown),
        _concentration(shown),
        *_parts(shown),
        _raised(scope.results, shown),
    ]
    passing = scope.rows
    shown_insights = [insight for insight in candidates if insight is not None]
    return [*shown_insights, *elsewhere(passing, one_place(passing))]


def _frame(shown: Shown, selection: Selection) -> Insight | None:
    """Write the framed part's mean for every shown variant, lowest first."""
    means = {name: fmean(part.values()) for name, part in _framed(shown, selection).items() if part}
    if not means or not (selection.layers or selection.roles):
        return None
    labels = {str(row["variant_id"]): str(row["label"]) for row in shown.rows}
    ordered = sorted(means, key=lambda name: (means[name], labels[name]))
    values = formats.listing([f"{labels[name]} {formats.number(means[name])}" for name in ordered], 6)
    text = f"{frame_name(selection.layers, selection.roles)}: {values}."
    detail = f"mean {shown.measure.title} in the frame; the insights below are about all layers and roles"
    return Insight(text, "finding", detail)


def _attention(shown: Shown) -> Insight | None:
    """Compare attention with feed-forward by the log ratio of mean values over layers."""
    values = _by_variant(shown, attention_share)
    if not values:
        return None
    detail = f"attention / feed-forward by {shown.measure.noun}: {_ratios(values)}"
    if all(value.low > 0 for value in values.values()):
        slightly = " slightly" if all(value.value < _SLIGHT for value in values.values()) else ""
        return Insight(f"Attention is hit{slightly} harder than feed-forward.", "finding", detail)
    if all(value.high < 0 for value in values.values()):
        return Insight("Feed-forward is hit harder than attention.", "finding", detail)
    if all(not value.differs_from_zero for value in values.values()):
        return Insight("Attention and feed-forward are hit equally, within the error.", "tie", detail)
    text = "Whether attention or feed-forward is hit harder depends on the variant."
    return Insight(text, "finding", detail)


def _by_variant(shown: Shown, of: Callable[[Values], _T | None]) -> dict[str, _T]:
    """Apply `of` to the values of every shown variant, leaving out None."""
    results_of = {str(row["variant_id"]): of(shown.values_of[row["variant_id"]]) for row in shown.rows}
    return {name: value for name, value in results_of.items() if value is not None}


def _ratios(values: Mapping[str, Estimate]) -> str:
    """Write the range of ratios over variants with the widest ends of their intervals."""
    low, high = min(v.value for v in values.values()), max(v.value for v in values.values())
    ends = [formats.number(math.exp(end), 3) for end in (low, high)]
    span = ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"
    least, most = min(v.low for v in values.values()), max(v.high for v in values.values())
    return f"{span} × (95 % {formats.number(math.exp(least), 3)}–{formats.number(math.exp(most), 3)})"


def _concentration(shown: Shown) -> Insight | None:
    known = _by_variant(shown, lambda values: concentration(depth(values)))
    if not known:
        text = "How the damage spreads over the layers is unknown: fewer than six were measured."
        return Insight(text, "unknown")
    most, least = max(known, key=lambda name: known[name]), min(known, key=lambda name: known[name])
    label = next(row["label"] for row in shown.rows if row["variant_id"] == most)
    even = "evenly" if known[most] < EVEN else "unevenly"
    text = f"The damage spreads {even} over the layers; {label} is the most concentrated."
    ends = [formats.number(known[name], 2) for name in (least, most)]
    span = ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"
    return Insight(text, "finding", f"Gini coefficient over layers {span}; under {EVEN} counts as even")


def _parts(shown: Shown) -> list[Insight]:
    parts = []
    for name, of in (
        ("first third of the layers", first_third),
        ("last tenth of the layers, with the head,", last_part),
    ):
        values = _by_variant(shown, of)
        if not values:
            continue
        more = all(value.low > 0 for value in values.values())
        less = all(value.high < 0 for value in values.values())
        how = "is hit harder than" if more else "is hit less than"
        if not (more or less):
            how = "does not measurably differ from"
        kind: Kind = "finding" if more or less else "tie"
        detail = f"{shown.measure.noun} of this part / the rest: {_ratios(values)}"
        parts.append(Insight(f"The {name} {how} the rest.", kind, detail))
    return parts


def _raised(results: Results, shown: Shown) -> Insight | None:
    """Name the parts whose type differs from their variant's usual one."""
    types_of = kinds(results, shown.rows)
    known = [(str(row["label"]), types) for row in shown.rows if (types := types_of[row["variant_id"]])]
    mixed = [(label, types) for label, types in known if len(set(types.values())) > 1]
    if not known:
        return None
    if not mixed:
        return Insight("Every shown variant has all its tensors in one type.", "finding")
    notes = []
    for label, types in mixed[:_MOST_NOTES]:
        usual = heatmaps.usual_type(types)
        other = Counter((role, kind) for (_, role), kind in types.items() if kind != usual)
        parts = ", ".join(f"{role} {kind} in {count}" for (role, kind), count in other.most_common(3))
        notes.append(f"{label}: mostly {usual}; {parts}")
    text = f"{len(mixed)} of {len(known)} shown variants mix tensor types."
    return Insight(text, "finding", ". ".join(notes))


def _absent(results: Results) -> Absent | None:
    if results.layers() is not None:
        return None
    what = f"errors per layer and role ({LAYERS.name})"
    return missing(results, what, [LAYERS.name], "run without --no-layers")


VIEW = View(
    id="layers",
    number=3,
    tab="Layers",
    title="Impact per layer and role",
    caption="Weight error: relative error of a part's weights. Output error: relative error of a layer's output. "
    "Attribution: KLD when only this part is quantized. Most telling: attribution if it was measured, else "
    "weight error, else output error. All panels share one colour scale. “emb” is embedding and head; hatched cells "
    "were not measured; titles name the usual tensor type, cells a different one (or its bits).",
    headline=headline,
    draw=figure,
    insights=insights,
    data=layers,
    absent=_absent,
    options=(_MEASURE,),
    pick="layer",
    ignores=frozenset({"domains", "bins"}),
    unfiltered="Text and confidence filters do not affect this view: weight errors do not depend on tokens, and the "
    "other errors were measured once, on all texts.",
    claims=claims_of("layers"),
)
