"""Draw view 3: where in the model the damage is, by layer and role."""

from __future__ import annotations

import math
from statistics import fmean, median

from dashboard.figures import charts, experts, heatmaps
from dashboard.figures.drawing import Drawing
from dashboard.insights import Insight, mixtures
from dashboard.insights.claims import claims_of
from dashboard.insights.comparison import NOTHING, elsewhere
from dashboard.insights.experts import opened, worst_of
from dashboard.insights.layer_findings import findings, framed_values
from dashboard.insights.layers import (
    MEASURES,
    Shown,
    depth,
    frame_name,
    framed,
    having,
    measured,
    parts,
    role_means,
)
from dashboard.insights.matching import representatives
from dashboard.insights.mixes import mixes
from dashboard.insights.picks import Telling
from dashboard.results.exported import layers
from dashboard.results.results import Results
from dashboard.results.rows import Row, one_place
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.style import formats
from dashboard.views import Absent, Option, View, missing
from evaluator.results.files import LAYERS

_ROUTING = {"routing": "other experts", "routers": "router KLD"}


_CAPTIONS = {
    "routing": "Other experts: share of the sampled tokens that a layer's router sends to another set of experts "
    "than the baseline's; layers without experts have none.",
    "routers": "Router KLD: mean KL divergence of a layer's router from the baseline's, over all its experts; layers "
    "without experts have none.",
}
_CLOSED = "Click a cell of experts (_exps), which stands for all of them, to see each."
_OPEN = (
    "A column has the experts of a layer by their numbers, the worst on top; colours compare an expert with the mean "
    "of its layer. Click a cell of an outlined column, or press Esc, to close them."
)


def _unmeasured(results: Results) -> frozenset[str]:
    """Return the measures of routing that a folder lacks, as one without experts does."""
    frame = results.layers()
    known = {measure.key for measure in measured(frame)} if frame is not None else set()
    return frozenset(_ROUTING) - known


_MEASURE = Option(
    "measure",
    "Measure",
    (
        ("best", "most telling"),
        ("weight", "weight error"),
        ("hidden", "output error"),
        ("attribution", "attribution"),
        *_ROUTING.items(),
    ),
    withheld=_unmeasured,
)
_MOST_PANELS, _MOST_STRIPS = 6, 30
#: Panels of so many roles leave room for one row of panels.
_MANY_ROLES, _ONE_ROW = 12, 3
_NOTABLE = 1.05


def chosen(scope: Scope) -> Shown | None:
    """Return the measure and the variants that have it; None if there are none.

    The measure is the selected one, by default the most telling one that a chosen variant has.
    """
    frame = scope.results.layers()
    known = measured(frame) if frame is not None else []
    asked = _MEASURE.offered(scope.results, scope.selection)
    candidates = [measure for measure in MEASURES if measure.key == asked] or known
    selected = one_place(scope.rows)
    pairs = ((measure, having(scope.results, selected, measure)) for measure in candidates)
    measure, rows = next(((measure, rows) for measure, rows in pairs if rows), (None, []))
    if frame is None or measure is None:
        return None
    if not measure.of_layers:
        many = frame["role"].n_unique() > _MANY_ROLES
        rows = representatives(rows, scope.selection, _ONE_ROW if many else _MOST_PANELS)
    elif len(rows) > _MOST_STRIPS:
        rows = representatives(rows, scope.selection, _MOST_PANELS)
    return Shown(measure, rows, parts(scope.results, rows, measure))


def figure(scope: Scope) -> Drawing:
    """Draw a heatmap per variant, layers across and roles down; for values of layers one heatmap, variants down.

    The filter of layers and roles is framed and hides nothing here, so that another click can change it. If it is one
    role that stacks experts, a heatmap per variant has these, the worst of every layer on top.
    """
    shown = chosen(scope)
    if shown is None:
        return charts.message_figure("No selected variant has this measure: choose or measure another")
    marked = (scope.selection.layers, scope.selection.roles)
    if shown.measure.of_layers:
        return heatmaps.strips(shown, marked, scope.selection.picked)
    role = opened(shown, scope.selection)
    if role is not None:
        return experts.panels(shown, role, scope.selection.layers)
    return heatmaps.panels(shown, marked, scope.selection.picked)


def headline(scope: Scope) -> str:
    """Write the framed part's value, else name the role with the largest mean over the shown variants."""
    shown = chosen(scope)
    if shown is None:
        return "No selected variant has layer measurements"
    role = opened(shown, scope.selection)
    if role is not None:
        return _of_experts(shown, role, scope.selection)
    if scope.selection.layers or scope.selection.roles:
        return _of_frame(shown, scope.selection)
    return _hardest(shown)


def _hardest(shown: Shown) -> str:
    """Name the role with the largest mean over the shown variants."""
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


def _of_experts(shown: Shown, role: str, selection: Selection) -> str:
    """Name the worst expert of a role in the framed layers."""
    worst = {
        name: expert
        for name, part in shown.parts.items()
        if (expert := worst_of(framed(part.experts, selection.layers, {role}))) is not None
    }
    if not worst:
        return f"No expert of {role} has a finite error"
    name = max(worst, key=lambda name: worst[name].error)
    expert = worst[name]
    who = f"{shown.labels[name]}: expert" if len(shown.rows) > 1 else "Expert"
    what = f"relative weight error {formats.number(expert.error)}{expert.times}"
    return f"{who} {expert.number} of {expert.place} is hit hardest: {what}"


def _of_frame(shown: Shown, selection: Selection) -> str:
    """Compare the mean of the framed part with the overall mean."""
    name = frame_name(selection.layers, selection.roles)
    inside = framed_values(shown, selection)
    part = [value for values in inside.values() for value in values.values()]
    if not part:
        return f"{name}: the shown variants have no {shown.measure.name} there"
    whole = fmean(value for values in shown.values_of.values() for value in values.values())
    factor = f", {formats.number(fmean(part) / whole, 2)} × the overall mean" if whole > 0 else ""
    return f"{name}: {shown.measure.worded(fmean(part))}{' on average' * (len(part) > 1)}{factor}"


def _deepest(shown: Shown) -> str:
    """Say how a measure of layers grows from the first to the last; for routing, where it changes most."""
    if shown.measure.of_routing:
        values_of = {name: values for name, values in shown.values_of.items() if values}
        most = max(values_of, key=lambda name: max(values_of[name].values()))
        layer, _ = cell = max(values_of[most], key=lambda cell: (values_of[most][cell], -cell[0]))
        value = shown.measure.in_a_sentence(values_of[most][cell])
        return f"{shown.labels[most]} changes routing most in layer {layer}: {value}"
    row = shown.rows[0]
    values = depth(shown.values_of[row["variant_id"]])
    if len(values) < 2 or values[0] <= 0:
        return f"Output errors of {len(shown.rows)} variants, layer by layer"
    growth = formats.number(values[-1] / values[0], 2)
    return f"{row['label']}: the output error of the last layer is {growth} × the first's"


def insights(scope: Scope) -> list[Insight]:
    """Describe what the shown values say, then mixtures, then what is not shown."""
    shown = chosen(scope)
    if shown is None:
        return [NOTHING]
    parts_of = [findings(shown, scope.selection), mixtures.statements(scope.results, shown.rows)]
    said = parts_of[::-1] if shown.measure.of_routing else parts_of
    passing = scope.rows
    return [*said[0], *said[1], *elsewhere(passing, one_place(passing)), *mixes(scope, shown.rows)]


def noted(scope: Scope) -> str:
    """Return the caption of a measure of routing, and what a cell of experts or an open one shows."""
    shown = chosen(scope)
    if shown is None:
        return ""
    if shown.measure.of_routing:
        return _CAPTIONS[shown.measure.key]
    if opened(shown, scope.selection):
        return _OPEN
    return _CLOSED if any(part.experts for part in shown.parts.values()) else ""


def _absent(results: Results) -> Absent | None:
    if results.layers() is not None:
        return None
    what = f"errors per layer and role ({LAYERS.name})"
    return missing(results, what, [LAYERS.name], "run without --no-layers")


def _tells(scope: Scope) -> Telling:
    """Tell the mean of the shown measure over a variant's parts."""
    shown = chosen(scope)
    if shown is None:
        return Telling("", lambda _row: "")

    def mean(row: Row) -> str:
        values = parts(scope.results, [row], shown.measure)[row["variant_id"]].values
        return shown.measure.written(fmean(values.values())) if values else ""

    return Telling(f"mean {shown.measure.noun}", mean)


VIEW = View(
    id="layers",
    tells=_tells,
    number=3,
    tab="Layers",
    title="Impact per layer and role",
    caption="Weight error: relative error of a part's weights. Output error: relative error of a layer's output. "
    "Attribution: KLD when only this part is quantized. Most telling: attribution if it was measured, else "
    "weight error, else output error. All panels share one colour scale. “emb” is embedding and head; hatched cells "
    "were not measured, and a line runs through layers without a part; titles name the usual tensor type, cells a "
    "different one (or its bits).",
    headline=headline,
    draw=figure,
    insights=insights,
    noted=noted,
    data=layers,
    absent=_absent,
    options=(_MEASURE,),
    pick="layer",
    ignores=frozenset({"domains", "bins"}),
    unfiltered="Text and confidence filters do not affect this view: weight errors do not depend on tokens, and the "
    "other errors were measured once, on all texts.",
    claims=claims_of("layers"),
)
