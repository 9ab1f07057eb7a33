"""Combine and rank variants over the same tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from dashboard.insights import Insight, Kind
from dashboard.insights.noise import least_divergence
from dashboard.results.results import Results
from dashboard.results.rows import Row, place_in_words, places_apart, with_measured_error
from dashboard.results.scope import Scope
from dashboard.results.statistics import Estimate
from dashboard.style import formats
from evaluator.metrics import columns_of

NOTHING = Insight("No selected variant can be compared.", "unknown")
ONE_METHOD = Insight("Only one method is selected: a comparison needs at least two.", "unknown")


@cache
def _stored() -> dict[str, tuple[str, str]]:
    """Return, for each per-token quantity, the columns of its mean and of that mean's error."""
    known = columns_of("tokens").values()
    return {c.tokens: (c.name, c.error) for c in known if c.tokens and c.error and not c.exponential}


def stored(row: Row, column: str) -> Estimate:
    """Return a per-token mean with its error from the frame; an unknown error is infinite."""
    return with_measured_error(row, *_stored()[column])


def log_ratio(row: Row) -> Estimate:
    """Return ln(PPL / PPL of the baseline) with its paired error."""
    return stored(row, "nll")


def divergence(row: Row) -> Estimate:
    """Return the mean KLD in nats with its error, clustered by window if that was measured."""
    return stored(row, "kld")


def baseline_id(results: Results, row: Row) -> str:
    """Return the id of the baseline that a row is compared with."""
    return str(row["baseline_id"] or results.baseline["variant_id"])


def combine(
    scope: Scope,
    rows: Sequence[Row],
    weights: Mapping[str, float],
    column: str = "nll",
) -> Estimate | None:
    """Return Σ weight × mean of `column` over variants, paired over the same tokens, its error clustered by window.

    `nll` is taken relative to the baseline, so that it is the ln PPL ratio. Without token files the variants count
    as independent, which makes the error of a difference too wide; None if the frame has no values either.
    """
    named = {row["variant_id"]: row for row in rows if row["variant_id"] in weights}
    total = sum(weights.values())
    paired = dict(weights)
    if column == "nll" and abs(total) > 1e-9 and named:
        base = baseline_id(scope.results, next(iter(named.values())))
        paired[base] = paired.get(base, 0.0) - total
    paired_estimate = scope.contrast(paired, column)
    if paired_estimate is not None or column not in _stored():
        return paired_estimate
    value_column = _stored()[column][0]
    if any(named.get(name, {}).get(value_column) is None for name in weights):
        return None
    parts = [(weight, stored(named[name], column)) for name, weight in weights.items()]
    error = math.sqrt(sum((weight * part.se) ** 2 for weight, part in parts))
    value = sum(weight * part.value for weight, part in parts)
    # The variants share their windows, so the combination has no more degrees of freedom than one of them.
    return Estimate(value, error, min((part.freedom for _, part in parts), default=math.inf))


def gap(scope: Scope, first: Row, second: Row, column: str = "nll") -> Estimate | None:
    """Return `first` minus `second` over the same tokens."""
    weights = {first["variant_id"]: 1.0, second["variant_id"]: -1.0}
    return combine(scope, [first, second], weights, column)


def common_range(groups: Mapping[str, Sequence[Row]], along: str) -> tuple[float, float] | None:
    """Return the range of the column `along` that every method covers; None if they share none."""
    if not groups:
        return None
    low = max(min(row[along] for row in group) for group in groups.values())
    high = min(max(row[along] for row in group) for group in groups.values())
    return (low, high) if low < high else None


def minus(first: Mapping[str, float], second: Mapping[str, float], times: float = 1.0) -> dict[str, float]:
    """Return the weights of `first` minus `times` × `second`."""
    names = dict.fromkeys([*first, *second])
    return {name: first.get(name, 0.0) - times * second.get(name, 0.0) for name in names}


@dataclass(frozen=True)
class Ranking:
    """Ranked methods: `values`, best first, and `gaps`, how far each other method is behind the best.

    Gaps are positive and paired over the same tokens if there are token files, in the units of the quantity.
    `tied` and `behind` allow for the best being chosen from the data and for this being one of `among` rankings.
    A gap must exceed `floor` by more than its error.
    """

    values: dict[str, Estimate]
    gaps: dict[str, Estimate]
    floor: float = 0.0
    among: int = 1

    @property
    def best(self) -> str:
        """The method with the best value."""
        return next(iter(self.values))

    @property
    def tied(self) -> list[str]:
        """Methods that are tied with the best."""
        worse = self.behind
        return [method for method in self.gaps if method not in worse]

    @property
    def behind(self) -> dict[str, Estimate]:
        """Methods that are worse than the best by more than the error.

        All of them, if each gap exceeds its own 95 % interval: naming a sole best is wrong most often with two
        methods (Gutmann & Maymin 1987, "Is the Selected Population the Best?"). Else those whose gap exceeds the
        interval that holds for all pairs together, as the worst of many equal methods seems far behind by chance.
        """
        pairs = math.comb(len(self.values), 2)
        alone = all(self._stands_out(gap, self.among) for gap in self.gaps.values())
        comparisons = self.among if alone else self.among * pairs
        return {method: gap for method, gap in self.gaps.items() if self._stands_out(gap, comparisons)}

    def _stands_out(self, gap: Estimate, comparisons: int) -> bool:
        return gap.value - gap.reach(comparisons) > self.floor

    @property
    def identical(self) -> bool:
        """Whether all that are tied with the best have its values, token by token, as the same weights do."""
        return bool(self.tied) and all(self.gaps[method].identical for method in self.tied)

    @property
    def undecided(self) -> Kind:
        """`tie` if all errors were measured, else `unknown`."""
        return "tie" if all(gap.has_error for gap in self.gaps.values()) else "unknown"


def rank_mixtures(
    scope: Scope,
    rows: Sequence[Row],
    mixtures: Mapping[str, Mapping[str, float]],
    column: str = "nll",
    *,
    largest: bool = False,
    among: int = 1,
) -> Ranking | None:
    """Rank methods by a combination of variants for each; None for fewer than two comparable methods.

    KLD differences within the noise floor do not count.
    """
    sign = -1.0 if largest else 1.0
    estimates = {method: combine(scope, rows, mix, column) for method, mix in mixtures.items()}
    values = {method: value for method, value in estimates.items() if value is not None}
    if len(values) < 2:
        return None
    ordered = dict(sorted(values.items(), key=lambda item: (sign * item[1].value, item[0])))
    best, *others = ordered
    gaps = {}
    for method in others:
        weights = (
            minus(mixtures[best], mixtures[method]) if largest else minus(mixtures[method], mixtures[best])
        )
        behind = combine(scope, rows, weights, column)
        if behind is not None:
            gaps[method] = behind
    compared = {method: value for method, value in ordered.items() if method == best or method in gaps}
    floor = least_divergence(scope, rows) if column == "kld" else 0.0
    return Ranking(compared, gaps, floor, among) if gaps else None


def rank_files(
    scope: Scope,
    files: Mapping[str, Row],
    column: str = "nll",
    *,
    largest: bool = False,
    among: int = 1,
) -> Ranking | None:
    """Rank one file per name; None for fewer than two comparable files."""
    mixtures = {name: {str(row["variant_id"]): 1.0} for name, row in files.items()}
    rows = list(files.values())
    return rank_mixtures(scope, rows, mixtures, column, largest=largest, among=among)


def tie(ranking: Ranking) -> str:
    """Name the methods identical to the best, tied with it, or undecided because an error was not measured."""
    tied = formats.listing([ranking.best, *ranking.tied])
    if ranking.identical:
        return f"{tied} are identical"
    if ranking.undecided == "tie":
        return f"{tied} are tied"
    return f"{tied} are undecided, because the error was not measured"


def nats(estimate: Estimate) -> str:
    """Write an estimate in nats with its 95 % half-width."""
    return f"{formats.with_error(estimate.value, estimate.half)} nats"


def change(estimate: Estimate) -> str:
    """Write an ln PPL ratio as a change in per cent with its 95 % half-width."""
    return formats.percent_change(estimate.value, 1, estimate.half)


def elsewhere(rows: Sequence[Row], kept: Sequence[Row]) -> list[Insight]:
    """Say which model or device the insights are about, if the filters pass several, and how to see another."""
    if len(kept) == len(rows) or not kept:
        return []
    keys = " or ".join(places_apart(rows))
    count = len(rows) - len(kept)
    variants, passing = ("variants", "pass") if count > 1 else ("variant", "passes")
    others = f"{count} {variants} of another {keys} {passing} the filters"
    place = place_in_words(kept[0], rows)
    text = f"This is about {place} alone: filter by {keys} to see another."
    return [Insight(text, "caution", others, about=place)]


def placed(title: str, insights: Sequence[Insight]) -> str:
    """Return a title that names the model or device that `insights` are about, if the filters pass several."""
    place = next((insight.about for insight in insights if insight.about), "")
    return title if all(part in title for part in place.split(" on ")) else f"{place}: {title}"
