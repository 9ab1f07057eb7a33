"""Findings and rules against variants written by hand."""

import math
from typing import Any

import pytest

from dashboard.insights.comparison import matched_bits, monotone, steadiest, within_noise
from dashboard.insights.recommender import recommend, runners_up, smallest_within
from dashboard.insights.summary import knee, optimal, summarize, takeaways


class NoTokens:
    """Results without token files: comparisons fall back on the rows."""

    def paired(self, *_names: str) -> None:
        return None


def row(method: str, quant: str, bits: float, rise: float, se: float = 0.001, **more: Any) -> dict[str, Any]:
    """A variant whose perplexity is `rise` (a share) above a baseline of 10."""
    ratio = math.log1p(rise)
    return {
        "variant_id": f"{method}-{quant}",
        "label": f"{method} {quant}",
        "method": method,
        "quant": quant,
        "bits_per_weight": bits,
        "size_bytes": int(bits * 1e6),
        "ppl": 10 * (1 + rise),
        "ppl_se": 0.1,
        "ln_ppl_ratio": ratio,
        "ln_ppl_ratio_se": se,
        "kld_mean": max(ratio, 1e-4),
        "kld_se": 0.0005,
        "kld_se_clustered": None,
        "inv_ppl_per_mb": 1 / (10 * (1 + rise)) / bits,
        "decode_ms_p10": None,
        "decode_ms_p50": None,
        "decode_ms_p90": None,
        **more,
    }


GOOD = [row("a", "Q2", 3, 0.5), row("a", "Q4", 5, 0.02), row("a", "Q8", 8, 0.001)]
BAD = [row("b", "Q2", 3, 0.9), row("b", "Q4", 5, 0.06), row("b", "Q8", 8, 0.001)]


def test_order_over_bits() -> None:
    (finding,) = monotone(NoTokens(), GOOD)  # type: ignore[arg-type]
    assert finding.kind == "finding"
    assert "ρ = −1.0" in finding.detail


def test_a_step_the_wrong_way_is_named_only_outside_its_error() -> None:
    rows = [row("a", "Q2", 3, 0.1), row("a", "Q4", 5, 0.12), row("a", "Q8", 8, 0.001)]
    (caution,) = monotone(NoTokens(), rows)  # type: ignore[arg-type]
    assert caution.kind == "caution"
    assert "Q4 is worse than the smaller Q2" in caution.text
    assert "+1.8 %" in caution.text
    rows[1]["ln_ppl_ratio_se"] = 0.05
    (quiet,) = monotone(NoTokens(), rows)  # type: ignore[arg-type]
    assert quiet.kind == "finding"


def test_two_variants_show_no_trend() -> None:
    (unknown,) = monotone(NoTokens(), GOOD[:2])  # type: ignore[arg-type]
    assert unknown.kind == "unknown"


def test_equal_bits() -> None:
    finding = matched_bits([*GOOD, *BAD])
    assert finding.kind == "finding"
    assert "At 3.00 bits" in finding.text
    assert "a loses least" in finding.text


def test_equal_bits_inside_the_error_is_a_tie() -> None:
    noisy = [variant | {"ln_ppl_ratio_se": 0.5} for variant in BAD]
    assert matched_bits([*GOOD, *noisy]).kind == "tie"


def test_equal_bits_needs_two_methods_and_a_common_range() -> None:
    assert matched_bits(GOOD).kind == "unknown"
    assert matched_bits([row("a", "Q2", 3, 0.1), row("b", "Q8", 8, 0.1)]).kind == "unknown"


def test_steadiest() -> None:
    found = steadiest([*GOOD, *BAD])
    assert found is not None
    assert found.text.startswith("a is the steadiest")
    assert steadiest(GOOD) is None


def test_within_noise() -> None:
    tie = within_noise([*GOOD, row("c", "Q8", 8, 0.001, se=0.01)])
    assert tie.kind == "tie"
    assert "a Q8" in tie.text
    assert "c Q8" in tie.text
    assert within_noise(GOOD[:2]).kind == "finding"


def test_smallest_within_uses_the_upper_bound() -> None:
    assert smallest_within(GOOD, 0.03) is GOOD[1]
    # +2 % measured, but exp(ln 1.02 + 1.96 × 0.01) − 1 = 4.0 %: not sure.
    unsure = [GOOD[1] | {"ln_ppl_ratio_se": 0.01}, GOOD[2]]
    assert smallest_within(unsure, 0.03) is GOOD[2]
    assert smallest_within(GOOD[:1], 0.03) is None


def test_recommendations() -> None:
    answers = {answer.need: answer for answer in recommend([*GOOD, *BAD])}
    assert answers["Nearly lossless"].row is GOOD[2]
    assert answers["Everyday use"].row is GOOD[1]
    assert answers["Tight on memory"].row is GOOD[1]
    assert all(answer.met for answer in answers.values())


def test_recommendation_when_nothing_keeps_the_rule() -> None:
    answers = recommend([GOOD[0], BAD[0]])
    assert not any(answer.met for answer in answers)
    assert {answer.row["label"] for answer in answers if answer.row} == {"a Q2"}
    assert all(answer.row is None for answer in recommend([]))


def test_runners_up_are_tied_and_no_larger() -> None:
    rival = row("b", "Q4", 5, 0.0205)
    assert runners_up([*GOOD, rival, BAD[0]], GOOD[1]) == [rival]


def test_knee() -> None:
    assert knee(GOOD) is GOOD[1]
    assert knee(GOOD[:2]) is None


def test_optimal_bit_rate() -> None:
    assert optimal(GOOD) == (GOOD[1], True)
    heavy = [row("a", "Q2", 3, 0.9), row("a", "Q4", 5, 0.2), row("a", "Q8", 8, 0.1)]
    assert optimal(heavy) == (heavy[1], False)
    assert optimal([]) is None


def test_summary_of_two_methods() -> None:
    first, second = summarize([*GOOD, *BAD])
    assert (first.method, first.optimal["quant"], first.by_rule) == ("a", "Q4", True)
    assert first.best_for == ("quality at equal bits", "small files (Q4)")
    assert "over 10 % perplexity lost with Q2" in first.limitations
    assert second.best_for == ("no lead outside the errors",)
    assert second.optimal["quant"] == "Q8"
    assert any("against a at equal bits" in text for text in second.limitations)


def test_summary_of_speed() -> None:
    fast = GOOD[1] | {"decode_ms_p10": 9.0, "decode_ms_p50": 10.0, "decode_ms_p90": 11.0}
    slow = BAD[2] | {"decode_ms_p10": 18.0, "decode_ms_p50": 20.0, "decode_ms_p90": 22.0}
    first, _ = summarize([fast, GOOD[2], BAD[1], slow])
    assert "speed (Q4)" in first.best_for


def test_summary_of_one_method_says_so() -> None:
    (line,) = summarize(GOOD)
    assert line.best_for == ("cannot be said: only one method",)
    assert takeaways(GOOD)[0].kind == "unknown"


@pytest.mark.parametrize("rows", [[], [row("a", "Q4", 5, 0.1) | {"ln_ppl_ratio": None}]])
def test_nothing_to_summarize(rows: list[dict[str, Any]]) -> None:
    assert takeaways(rows)[0].kind == "unknown"
