"""Draw view 3: where in the model the damage is, by layer and role."""

from __future__ import annotations

from statistics import fmean

from dashboard.figures import charts, experts, heatmaps
from dashboard.figures.drawing import Drawing
from dashboard.insights import Insight, mixtures
from dashboard.insights.claims import claims_of
from dashboard.insights.comparison import NOTHING, elsewhere
from dashboard.insights.experts import opened
from dashboard.insights.layer_findings import findings
from dashboard.insights.layer_titles import title
from dashboard.insights.layers import MEASURES, Measure, Shown, having, measured, parts, values_of_all
from dashboard.insights.mixes import mixes
from dashboard.insights.picks import Telling
from dashboard.insights.tier import Tier, tier
from dashboard.results.exported import layers
from dashboard.results.results import Results
from dashboard.results.rows import Row, one_place
from dashboard.results.scope import Scope
from dashboard.views import Absent, Option, View, missing
from evaluator.results.files import LAYERS

_ROUTING = {"routing": "other experts", "routers": "router KLD"}


_CAPTIONS = {
    "best": "Most telling: attribution if it was measured, else weight error, else output error.",
    "weight": "Weight error: relative error of a part's weights.",
    "hidden": "Output error: relative error of a layer's output.",
    "attribution": "Attribution: KLD when only this part is quantized.",
    "routing": "Other experts: share of the sampled tokens that a layer's router sends to another set of experts "
    "than the baseline's; layers without experts have none.",
    "routers": "Router KLD: mean KL divergence of a layer's router from the baseline's, over all its experts; layers "
    "without experts have none.",
}
_PANELS = (
    "All panels share one colour scale over all files that pass the filters, so that neither picks nor clicks "
    "change it. “emb” is embedding and head. Titles name the usual tensor type, cells a different one (or its bits) "
    "where there is room."
)
_STRIPS = "Files with fewer bits are on top."
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
_MOST_PANELS, _MOST_STRIPS = 6, 40
#: Panels of so many roles leave room for one row of panels.
_MANY_ROLES, _ONE_ROW = 12, 3


def chosen(scope: Scope) -> tuple[Shown, Tier] | None:
    """Return the measure and the variants that have it, and how these were chosen; None if there are none.

    The measure is the selected one, by default the most telling one that a chosen variant has.
    """
    return scope.once("layers chosen", lambda: _chosen(scope))


def _chosen(scope: Scope) -> tuple[Shown, Tier] | None:
    measure, rows = _measured(scope)
    frame = scope.results.layers()
    if frame is None or measure is None:
        return None
    many = not measure.of_layers and frame["role"].n_unique() > _MANY_ROLES
    drawn = tier(VIEW.applied(scope), rows, _ONE_ROW if many else _MOST_PANELS)
    shown = drawn.rows
    if measure.of_layers and len(rows) <= _MOST_STRIPS:
        there = {row["variant_id"] for row in shown}
        shown = [*shown, *(row for row in rows if row["variant_id"] not in there)]
    among = values_of_all(scope.results, rows, measure)
    return Shown(measure, shown, parts(scope.results, shown, measure), among), drawn


def _measured(scope: Scope) -> tuple[Measure | None, list[Row]]:
    """Return the measure, and the files of one model on one device that have it."""
    frame = scope.results.layers()
    known = measured(frame) if frame is not None else []
    asked = _MEASURE.offered(scope.results, scope.selection)
    candidates = [measure for measure in MEASURES if measure.key == asked] or known
    selected = one_place(scope.rows)
    pairs = ((measure, having(scope.results, selected, measure)) for measure in candidates)
    return next(((measure, rows) for measure, rows in pairs if rows), (None, []))


def figure(scope: Scope) -> Drawing:
    """Draw a heatmap per variant, layers across and roles down; for values of layers one heatmap, variants down.

    The filter of layers and roles is framed and hides nothing here, so that another click can change it. If it is one
    role that stacks experts, a heatmap per variant has these, the worst of every layer on top.
    """
    found = chosen(scope)
    if found is None:
        return charts.message_figure("No selected variant has this measure: choose or measure another")
    shown, drawn = found
    marked = (scope.selection.layers, scope.selection.roles)
    told, picked = title(shown, scope.selection).cells, scope.selection.picked
    if shown.measure.of_layers:
        return heatmaps.strips(shown, marked, picked, told)
    role = opened(shown, scope.selection)
    if role is not None:
        return experts.panels(shown, role, scope.selection.layers)
    recommended = str(drawn.middle["variant_id"]) if drawn.middle is not None else ""
    return heatmaps.panels(shown, marked, picked, told, recommended)


def headline(scope: Scope) -> str:
    """Write the framed part's value, else name the role with the largest mean over the shown variants."""
    found = chosen(scope)
    if found is None:
        return "No selected variant has layer measurements"
    return title(found[0], scope.selection).text


def insights(scope: Scope) -> list[Insight]:
    """Describe what the shown values say, then mixtures, then what is shown and what is not."""
    found = chosen(scope)
    if found is None:
        return [NOTHING]
    shown, drawn = found
    parts_of = [findings(shown, scope.selection), mixtures.statements(scope.results, shown.rows)]
    said = parts_of[::-1] if shown.measure.of_routing else parts_of
    passing = scope.rows
    how = drawn.told if len(shown.rows) < len(passing) else []
    return [*said[0], *said[1], *how, *elsewhere(passing, one_place(passing)), *mixes(scope, shown.rows)]


def noted(scope: Scope) -> str:
    """Return what the drawn measure is, how panels or strips are read, and what a cell of experts shows."""
    found = chosen(scope)
    if found is None:
        return ""
    shown, _ = found
    known = _CAPTIONS[shown.measure.key] if _MEASURE.offered(scope.results, scope.selection) == "best" else ""
    if shown.measure.of_layers:
        return " ".join(filter(None, [known, _STRIPS]))
    if opened(shown, scope.selection):
        return _OPEN
    stacked = any(part.experts for part in shown.parts.values())
    return " ".join(filter(None, [known, _PANELS, _CLOSED if stacked else ""]))


def _absent(results: Results) -> Absent | None:
    if results.layers() is not None:
        return None
    what = f"errors per layer and role ({LAYERS.name})"
    return missing(results, what, [LAYERS.name], "run without --no-layers")


def _tells(scope: Scope) -> Telling:
    """Tell the mean of the shown measure over a variant's parts."""
    measure, _ = _measured(scope)
    if measure is None:
        return Telling("", lambda _row: "")

    def mean(row: Row) -> str:
        values = parts(scope.results, [row], measure)[row["variant_id"]].values
        return measure.written(fmean(values.values())) if values else ""

    return Telling(f"mean {measure.noun}", mean)


VIEW = View(
    id="layers",
    tells=_tells,
    number=3,
    tab="Layers",
    title="Impact per layer and role",
    caption="",
    captions=_CAPTIONS,
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
