"""Draw view 3: where in the model the damage is, by layer and role."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from dashboard.figures import charts, experts, heatmaps
from dashboard.figures.drawing import Drawing
from dashboard.insights import Insight, mixtures
from dashboard.insights.claims import claims_of
from dashboard.insights.comparison import NOTHING, elsewhere
from dashboard.insights.experts import opened
from dashboard.insights.layer_findings import findings
from dashboard.insights.layer_measures import MEASURES, Measure, having, shared
from dashboard.insights.layer_titles import title
from dashboard.insights.layers import Shown, parts, values_of_all
from dashboard.insights.mixes import mixes
from dashboard.insights.picks import Telling
from dashboard.insights.tier import Tier, tier
from dashboard.insights.undrawn import undrawn
from dashboard.results.exported import layers
from dashboard.results.results import Results
from dashboard.results.rows import Row, one_place
from dashboard.results.scope import Scope
from dashboard.style import formats
from dashboard.views import Absent, Option, View, missing
from evaluator.results.files import LAYERS

_ROUTING = {"routing": "other experts", "routers": "router KLD"}


_CAPTIONS = {
    "best": "Most telling: attribution if all drawn files have it, else weight error, else output error.",
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
    routing = [measure for measure in MEASURES if measure.of_routing]
    return frozenset(one.key for one in routing if frame is None or frame[one.column].is_null().all())


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
    """Return the measure and the variants that have it, and how these were chosen; None if there are none."""
    return scope.once("layers chosen", lambda: _chosen(scope))


def _chosen(scope: Scope) -> tuple[Shown, Tier] | None:
    measure, rows = _measured(scope)
    if measure is None or not rows:
        return None
    drawn = tier(VIEW.applied(scope), rows, _MOST_PANELS if measure.of_layers else _panels(scope.results))
    shown = drawn.rows
    if measure.of_layers and len(rows) <= _MOST_STRIPS:
        there = {row["variant_id"] for row in shown}
        shown = [*shown, *(row for row in rows if row["variant_id"] not in there)]
    among = values_of_all(scope.results, rows, measure)
    return Shown(measure, shown, parts(scope.results, shown, measure), among), drawn


def _measured(scope: Scope) -> tuple[Measure | None, list[Row]]:
    """Return the selected measure or the default one, and the files of one model on one device that have it."""
    return scope.once("layers measured", lambda: _having_it(scope))


def _having_it(scope: Scope) -> tuple[Measure | None, list[Row]]:
    asked, selected = _MEASURE.offered(scope.results, scope.selection), one_place(scope.rows)
    measure = next((one for one in MEASURES if one.key == asked), None) or _default(scope, selected)
    return measure, [] if measure is None else having(scope.results, selected, measure)


def _default(scope: Scope, selected: Sequence[Row]) -> Measure | None:
    """Return the most telling measure that all files to draw have; picks do not change it."""
    unpicked = VIEW.applied(scope).narrowed(picked=frozenset())
    known = having(scope.results, selected)
    return shared(scope.results, tier(unpicked, known, _panels(scope.results)).rows)


def _panels(results: Results) -> int:
    """Return how many heatmaps of roles there is room for."""
    frame = results.layers()
    many = frame is not None and frame["role"].n_unique() > _MANY_ROLES
    return _ONE_ROW if many else _MOST_PANELS


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
    if found is not None:
        return title(found[0], scope.selection).text
    measure, _ = _measured(scope)
    what = f"a measured {measure.noun}" if measure is not None else "layer measurements"
    return f"No selected variant has {what}"


def insights(scope: Scope) -> list[Insight]:
    """Describe what the shown values say, then mixtures, then what is shown and what is not."""
    found = chosen(scope)
    if found is None:
        return _lacking(scope) or [NOTHING]
    shown, drawn = found
    parts_of = [findings(shown, scope.selection), mixtures.statements(scope.results, shown.rows)]
    said = parts_of[::-1] if shown.measure.of_routing else parts_of
    passing = scope.rows
    how = drawn.told if len(shown.rows) < len(passing) else []
    lacking = [*_lacking(scope), *_more_telling(scope, shown.measure)]
    about = elsewhere(passing, one_place(passing))
    return [*said[0], *said[1], *how, *about, *lacking, *mixes(scope, shown.rows)]


def _lacking(scope: Scope) -> list[Insight]:
    """Name the files of the drawn model and device that cannot be drawn, because they lack the measure."""
    measure, rows = _measured(scope)
    if measure is None:
        return []
    return undrawn(one_place(scope.rows), rows, f"{measure.noun} was not measured")


def _more_telling(scope: Scope, drawn: Measure) -> list[Insight]:
    """Name the files that have a more telling measure than what is drawn by default, because others lack it."""
    if _MEASURE.offered(scope.results, scope.selection) != "best":
        return []
    selected = one_place(scope.rows)
    found = {
        measure: having(scope.results, selected, measure) for measure in MEASURES[: MEASURES.index(drawn)]
    }
    return [
        Insight(
            f"The {measure.noun} of {formats.listing([str(row['label']) for row in rows])} was measured, too: "
            f"“{_MEASURE.name}: {measure.noun}” shows it.",
            "note",
            "by default the most telling measure that all drawn files have is shown",
        )
        for measure, rows in found.items()
        if rows
    ]


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
