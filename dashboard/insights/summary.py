"""The summary table: what each method is best for, where it ends, its best bit rate; by stated rules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dashboard import formats
from dashboard.charts import Row, by_method, complete
from dashboard.insights import Insight
from dashboard.insights.comparison import at_equal_bits, common_bits, log_ratio, rank_methods
from dashboard.insights.recommender import PRIMARY, closest, recommend, smallest_within

OPTIMAL_BOUND = 0.03
EFFICIENCY_SCALE = 1e5
_HEAVY = 0.10
RULES = {
    "Best for": "quality: lowest perplexity ratio in the middle of the bits all methods cover, alone "
    "outside the error; small files: smallest file under +10 % perplexity (95 % bound); speed: "
    "lowest decode time of the methods' chosen variants, outside p10–p90.",
    "Limitations": f"types that cost over {formats.percent(_HEAVY, 0)} perplexity even at their 95 % lower "
    "bound; a method that is behind at equal bits; what was not measured.",
    "Optimal bit rate": f"the smallest variant whose perplexity rise has a 95 % upper bound under "
    f"{formats.percent(OPTIMAL_BOUND, 0)}; where there is none, the knee: farthest below the line from the "
    "smallest to the largest variant in bits and ln PPL, both scaled to 0–1.",
    "PPL, 1/PPL/MB": "of the variant at the optimal bit rate; MB = 10⁶ bytes, written × 10⁻⁵.",
}


@dataclass(frozen=True)
class MethodSummary:
    """One line of the table; `optimal` is the variant at the best bit rate, `by_rule` whether by rule."""

    method: str
    optimal: Row
    by_rule: bool
    best_for: tuple[str, ...]
    limitations: tuple[str, ...]


def knee(rows: Sequence[Row]) -> Row | None:
    """Find the point farthest below the chord from the fewest to the most bits; None under three points."""
    ordered = sorted(rows, key=lambda row: row["bits_per_weight"])
    if len(ordered) < 3:
        return None
    x = [row["bits_per_weight"] for row in ordered]
    y = [row["ln_ppl_ratio"] for row in ordered]
    wide, tall = x[-1] - x[0], y[0] - y[-1]
    if wide <= 0 or tall <= 0:
        return None
    below = [1 - (a - x[0]) / wide - (b - y[-1]) / tall for a, b in zip(x, y, strict=True)]
    return ordered[max(range(len(ordered)), key=lambda index: below[index])]


def optimal(rows: Sequence[Row]) -> tuple[Row, bool] | None:
    """Return a method's best bit rate by the stated rule, and whether it keeps the bound."""
    chosen = smallest_within(rows, OPTIMAL_BOUND)
    if chosen is not None:
        return chosen, True
    fallback = knee(rows) or closest(rows)
    return (fallback, False) if fallback is not None else None


def summarize(rows: Sequence[Row]) -> list[MethodSummary]:
    """Return the table for rows of the variants frame without the baseline; methods by name."""
    usable = complete(rows, "ln_ppl_ratio", "ppl")
    groups = by_method(usable)
    chosen = {method: found for method, group in groups.items() if (found := optimal(group)) is not None}
    quality = _quality(usable, groups)
    strengths = _strengths(usable, groups, {method: row for method, (row, _) in chosen.items()}, quality)
    return [
        MethodSummary(
            method,
            row,
            by_rule,
            tuple(strengths.get(method, [])) or (_no_strength(groups),),
            tuple(_limitations(method, groups[method], quality)) or ("none by these rules",),
        )
        for method, (row, by_rule) in chosen.items()
    ]


@dataclass(frozen=True)
class _Quality:
    best: str
    tied: tuple[str, ...]
    behind: dict[str, float]


def _quality(rows: Sequence[Row], groups: dict[str, list[Row]]) -> _Quality | None:
    shared = common_bits(groups) if len(groups) > 1 else None
    if shared is None:
        return None
    values = at_equal_bits(rows, sum(shared) / 2)
    best, tied, _ = rank_methods(values)
    behind = {
        method: value.value - values[best].value
        for method, value in values.items()
        if method != best and method not in tied
    }
    return _Quality(best, tuple(tied), behind)


def _strengths(
    rows: Sequence[Row], groups: dict[str, list[Row]], chosen: dict[str, Row], quality: _Quality | None
) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    if len(groups) < 2:
        return found
    if quality is not None and not quality.tied:
        found.setdefault(quality.best, []).append("quality at equal bits")
    small = smallest_within(rows, _HEAVY)
    if small is not None:
        found.setdefault(small["method"], []).append(f"small files ({small['quant']})")
    timed = complete(list(chosen.values()), "decode_ms_p50", "decode_ms_p90")
    if len(timed) > 1:
        fastest, second = sorted(timed, key=lambda row: row["decode_ms_p50"])[:2]
        slow = second["decode_ms_p10"] if second["decode_ms_p10"] is not None else second["decode_ms_p50"]
        if fastest["decode_ms_p90"] < slow:
            found.setdefault(fastest["method"], []).append(f"speed ({fastest['quant']})")
    return found


def _no_strength(groups: dict[str, list[Row]]) -> str:
    return "cannot be said: only one method" if len(groups) < 2 else "no lead outside the errors"


def _limitations(method: str, group: Sequence[Row], quality: _Quality | None) -> list[str]:
    found = []
    if quality is not None and method in quality.behind:
        points = formats.percent_change(quality.behind[method], 1)
        found.append(f"{points} perplexity against {quality.best} at equal bits")
    heavy = [row["quant"] for row in group if math.expm1(log_ratio(row).low) > _HEAVY]
    if heavy:
        found.append(f"over {formats.percent(_HEAVY, 0)} perplexity lost with {formats.listing(heavy, 5)}")
    if not complete(group, "decode_ms_p50"):
        found.append("speed not measured")
    return found


def takeaways(rows: Sequence[Row]) -> list[Insight]:
    """Return What the table comes down to."""
    lines = summarize(rows)
    if not lines:
        return [Insight("Nothing is selected, so there is nothing to summarize.", "unknown")]
    found = [_one_fits_all(lines), *_sweet_spot(lines)]
    usable = complete(rows, "ln_ppl_ratio", "kld_mean")
    eight = [row for row in usable if row["bits_per_weight"] >= 7.5]
    if eight:
        worst = max(eight, key=lambda row: log_ratio(row).high)
        bound = formats.percent_change(log_ratio(worst).high)
        text = f"8 bits: perplexity rises by at most {bound} ({worst['label']})."
        found.append(Insight(text, "finding", "95 % upper bound over variants of 7.5 bits and more"))
    return found


def _one_fits_all(lines: Sequence[MethodSummary]) -> Insight:
    if len(lines) == 1:
        text = f"Only {lines[0].method} is here: methods cannot be compared with one."
        return Insight(text, "unknown", "measure a second publisher's files of the same model to compare")
    leaders = [line.method for line in lines if line.best_for[0] != "no lead outside the errors"]
    if len(leaders) == 1:
        return Insight(f"{leaders[0]} leads wherever one method leads.", "finding", "rules: see Best for")
    if leaders:
        return Insight(
            f"No method leads everywhere: {formats.listing(leaders)} each lead somewhere.", "finding"
        )
    return Insight("No method leads outside the errors.", "tie")


def _sweet_spot(lines: Sequence[MethodSummary]) -> list[Insight]:
    kept = [line for line in lines if line.by_rule]
    if not kept:
        bound = formats.percent(OPTIMAL_BOUND, 0)
        text = f"No variant stays under +{bound} perplexity; the table names each method's knee instead."
        return [Insight(text, "caution", "the 95 % upper bound decides")]
    bits = sorted(line.optimal["bits_per_weight"] for line in kept)
    low, high = formats.number(bits[0], 2), formats.number(bits[-1], 2)
    span = low if low == high else f"{low} to {high}"
    bound = formats.percent(OPTIMAL_BOUND, 0)
    text = f"The smallest bit rate that costs under {bound} perplexity is {span} bits."
    return [Insight(text, "finding", f"{len(kept)} of {len(lines)} methods have one")]


def recommendations(rows: Sequence[Row]) -> list[Insight]:
    """Return the recommender's answers as sentences, the everyday one first."""
    found = []
    for answer in sorted(recommend(rows), key=lambda item: item.need != PRIMARY):
        if answer.row is None:
            continue
        kind = "finding" if answer.met else "caution"
        text = f"{answer.need}: {answer.row['label']} ({formats.size(answer.row['size_bytes'])})."
        found.append(
            Insight(text, "finding" if kind == "finding" else "caution", f"{answer.why}; rule: {answer.rule}")
        )
    return found or [Insight("No recommendation: nothing was compared with the baseline.", "unknown")]
