"""Draw view 1: perplexity against bits per weight, or against file size."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.figures import axes, charts
from dashboard.figures.curves import Curves, Spot, Told
from dashboard.figures.distance import Distances, rise
from dashboard.figures.drawing import Drawing
from dashboard.figures.levels import Level, baseline_levels
from dashboard.figures.line_names import with_room
from dashboard.figures.scales import LogScale
from dashboard.insights import Insight
from dashboard.insights.claims import claims_of
from dashboard.insights.comparison import NOTHING, change, elsewhere, gap, log_ratio, tie
from dashboard.insights.curves import below_baseline, bend, monotone, steadiness, within_noise
from dashboard.insights.faults import sound
from dashboard.insights.matching import SAME_BITS
from dashboard.insights.picks import by_column
from dashboard.insights.recommender import within
from dashboard.insights.undrawn import undrawn
from dashboard.insights.verdict import equal_size
from dashboard.results.exported import variants_with
from dashboard.results.rows import (
    SAME_BYTES,
    Row,
    by_method,
    complete,
    front_of,
    one_place,
    ppl_ends,
    type_name,
)
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.results.statistics import Estimate
from dashboard.style import formats
from dashboard.views import Option, View

_SAFE = 0.01
_BITS, _SIZE = "bits_per_weight", "size_bytes"
_X = Option("x", "Across", (("bits", "bits per weight"), ("gb", "file size")))
_Y = Option("y", "Perplexity", (("distance", "above the baseline"), ("level", "as measured")))
_VERTICAL = {True: "perplexity above the baseline (%, log scale)", False: "perplexity (log scale)"}
_LIMIT = "1 % above the baseline"


def figure(scope: Scope) -> Drawing:
    """Draw perplexity, or its distance from the baseline, on a log axis: a line per method, the limit, the front."""
    rows = _measured(scope)
    if not rows:
        return charts.message_figure("No selected variant has a perplexity")
    far, across = _is_distance(scope), _across(rows, scope.selection)
    distances = Distances.of_perplexity(scope, rows, rise)
    x_range, scale = with_room(axes.padded(across, share=0.07), rows), _scale(scope, rows, distances)
    placed = list(zip(rows, across, strict=True))
    spots = {
        row["variant_id"]: distances.spot(row, x) if far else Spot(x, row["ppl"], *ppl_ends(row))
        for row, x in placed
    }
    front = front_of(rows, across, [row["ppl"] for row in rows], SAME_BYTES)
    drawn = Drawing()
    if far:
        distances.draw_floor(drawn, scale)
    Curves(
        scope,
        rows,
        spots,
        x_range,
        scale,
        hover={row["variant_id"]: charts.quality_lines(row) for row in rows},
        front={rows[index]["variant_id"] for index in front},
        told=_told(scope),
        levels=_levels(scope, rows),
        notes_above=far,
    ).draw(drawn)
    drawn.update_xaxes(title_text=_title(rows, scope.selection), range=x_range)
    drawn.update_yaxes(title_text=_VERTICAL[far], **scale.axis)
    return drawn


def _scale(scope: Scope, rows: Sequence[Row], distances: Distances) -> LogScale:
    """Fit the vertical axis to points, intervals and levels."""
    marked = [level.value for level in _levels(scope, rows)]
    if _is_distance(scope):
        return distances.scale(marked)
    return LogScale.of([*(end for row in rows for end in ppl_ends(row)), *marked], margin=0.05)


def _levels(scope: Scope, rows: Sequence[Row]) -> list[Level]:
    """Return the limit that the title is about, and the baselines on an axis of perplexity."""
    if _is_distance(scope):
        return [Level(100 * _SAFE, _LIMIT, is_limit=True)]
    bases = baseline_levels(scope, rows)
    limits = (
        [Level(base.value * (1 + _SAFE), _LIMIT, is_limit=True) for base in bases] if len(bases) == 1 else []
    )
    return [*bases, *limits]


def _told(scope: Scope) -> Told:
    subject = _subject(scope)
    if subject is None:
        return Told()
    row, _ = subject
    return Told(str(row["variant_id"]), {row["variant_id"]: _value_told(scope, subject)})


def _measured(scope: Scope) -> list[Row]:
    """Return the variants with a positive perplexity, and with a distance from the baseline if that is drawn."""
    needed = ("ppl", "ln_ppl_ratio") if _is_distance(scope) else ("ppl",)
    return [row for row in complete(scope.rows, *needed) if row["ppl"] > 0]


def _is_distance(scope: Scope) -> bool:
    return _Y.of(scope.selection) == "distance"


def _along(selection: Selection) -> str:
    """Return the column of the horizontal axis."""
    return _BITS if _X.of(selection) == "bits" else _SIZE


def _across(rows: Sequence[Row], selection: Selection) -> list[float]:
    if _along(selection) == _BITS:
        return [row["bits_per_weight"] for row in rows]
    unit, _ = axes.byte_unit([row["size_bytes"] for row in rows])
    return [row["size_bytes"] / unit for row in rows]


def _title(rows: Sequence[Row], selection: Selection) -> str:
    if _along(selection) == _BITS:
        return "bits per weight (measured)"
    return axes.size_title([row["size_bytes"] for row in rows])


def headline(scope: Scope) -> str:
    """Name the smallest variant within 1 % of the baseline's perplexity at the 95 % bound."""
    subject = _subject(scope)
    if subject is None:
        broken = complete(scope.rows, "ln_ppl_ratio")
        return "Every selected variant looks broken" if broken else "No selected variant has a perplexity"
    (row, safe), value = subject, _value_told(scope, subject)
    if safe:
        return f"{row['label']} is the smallest within 1 % of the baseline's perplexity ({value})"
    nearest = f"nearest: {row['label']}, {value}"
    return f"No file stays within 1 % of the baseline's perplexity (95 % bound); {nearest}"


def _value_told(scope: Scope, subject: tuple[Row, bool]) -> str:
    """Return the number that the title gives of the file it names: its size, or its rise of perplexity."""
    row, safe = subject
    along = _along(scope.selection)
    if not safe:
        return formats.percent_change(row["ln_ppl_ratio"], 1)
    return formats.bits(row[along]) if along == _BITS else formats.size(row[along])


def _subject(scope: Scope) -> tuple[Row, bool] | None:
    """Return the variant that the title names, and whether it is within 1 %; None without variants."""
    compared = complete(scope.rows, "ln_ppl_ratio")
    rows = sound(scope.results, one_place(compared))
    safe, along = within(rows, _SAFE), _along(scope.selection)
    if safe:
        return min(safe, key=lambda row: (row[along], row["variant_id"])), True
    nearest = min(rows, key=lambda row: (row["ln_ppl_ratio"], row["variant_id"]), default=None)
    return None if nearest is None else (nearest, False)


def insights(scope: Scope) -> list[Insight]:
    """Describe methods at equal size, the order over bits, the bend, steadiness, the costliest step, and noise.

    Insights about bits are shown only with an axis of bits.
    """
    passing = complete(scope.rows, "ln_ppl_ratio")
    kept = one_place(passing)
    rows = sound(scope.results, kept)
    if not rows:
        return [NOTHING]
    over_bits = [
        monotone(scope, rows),
        bend(rows),
        _steadiest(scope, rows),
    ]
    candidates = [
        equal_size(scope, rows, "bits" if _along(scope.selection) == _BITS else "size"),
        *(over_bits if _along(scope.selection) == _BITS else []),
        _costliest_step(scope, rows),
        within_noise(rows),
        below_baseline(rows),
    ]
    lacking = undrawn(scope.rows, _measured(scope), "no perplexity was measured")
    return [*(insight for insight in candidates if insight is not None), *elsewhere(passing, kept), *lacking]


def _steadiest(scope: Scope, rows: Sequence[Row]) -> Insight | None:
    steady = steadiness(scope, rows)
    if steady is None:
        return None
    ranking = steady.ranking
    detail = f"rise of perplexity {steady.where}, between files of about the same bits: "
    detail += "; ".join(f"{method} {change(rise)}" for method, rise in ranking.values.items())
    if steady.flat:
        text = f"{ranking.best}'s curve is flat, but {ranking.best} is not steady: {steady.flat}."
        return Insight(text, "caution", detail)
    if ranking.tied:
        return Insight(f"Steadiness {steady.where}: {tie(ranking)}.", ranking.undecided, detail)
    return Insight(f"{ranking.best} is the steadiest {steady.where}.", "finding", detail)


def _costliest_step(scope: Scope, rows: Sequence[Row]) -> Insight | None:
    """Name the step down a method's curve that costs most per bit saved; None if none costs more than its error."""
    steps = _steps(rows)
    # Computed as the gain going up, whose contrasts `inversions` has already cached.
    gains = [(low, high, gap(scope, high, low)) for low, high in steps]
    costs = [(low, high, gain.times(-1)) for low, high, gain in gains if gain is not None]
    sure = [step for step in costs if step[2].value > step[2].reach(len(steps))]
    if not sure:
        return None
    lower, higher, cost = max(sure, key=_per_bit)
    in_bits = _along(scope.selection) == _BITS
    less = formats.size(higher[_SIZE] - lower[_SIZE])
    saved = formats.bits(_saved(lower, higher)) if in_bits else less
    step = f"{higher['label']} → {type_name(lower)}: {change(cost)} perplexity to save {saved}"
    text = f"The costliest step is {step}."
    least = f"per bit, among steps of at least {SAME_BITS} bits; paired, 95 %"
    return Insight(text, "finding", f"{least}; {lower['label']} is at {change(log_ratio(lower))} in total")


def _steps(rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Return steps from every variant to its method's next smaller one at least a quarter bit below."""
    steps = []
    for group in by_method(rows).values():
        for higher in group:
            lower = [row for row in group if _saved(row, higher) >= SAME_BITS]
            steps += [(lower[-1], higher)] if lower else []
    return steps


def _saved(lower: Row, higher: Row) -> float:
    return float(higher["bits_per_weight"] - lower["bits_per_weight"])


def _per_bit(step: tuple[Row, Row, Estimate]) -> float:
    lower, higher, cost = step
    return cost.value / _saved(lower, higher)


def _noted(scope: Scope) -> str:
    """Explain the lower edge of the axis if a file stands there."""
    rows = _measured(scope)
    if not rows or not _is_distance(scope):
        return ""
    distances = Distances.of_perplexity(scope, rows, rise)
    return distances.in_words(_scale(scope, rows, distances))


VIEW = View(
    id="ppl-bits",
    number=1,
    tab="PPL · bits",
    title="Perplexity against bits per weight",
    caption="Bars: 95 % intervals of the distance from the baseline, paired over the same tokens and clustered by "
    "window. Large points: no smaller file has a lower perplexity. Ringed: the file in the title.",
    captions={
        "bits": "Bits are measured from the file's tensors, not taken from the type's name.",
        "gb": "File size is that of the download.",
        "distance": "The vertical axis is the rise of perplexity (lower is better).",
        "level": "The vertical axis is the perplexity of the scored tokens (lower is better); the ± beside the "
        "baseline is the error of its own: other texts would move all points together.",
    },
    noted=_noted,
    headline=headline,
    draw=figure,
    insights=insights,
    data=variants_with("ppl", "ln_ppl_ratio"),
    options=(_Y, _X),
    tells=by_column("ppl"),
    titles={"gb": "Perplexity against file size"},
    claims=claims_of("ppl-bits"),
)
