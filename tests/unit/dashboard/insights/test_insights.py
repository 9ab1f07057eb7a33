"""Findings and rules against variants written by hand."""

import math
from typing import Any

import pytest
from variant_rows import BAD, GOOD, NONE, row

from dashboard.insights.claim_rules import Case
from dashboard.insights.comparison import combine, rank_files
from dashboard.insights.curves import below_baseline, bend, monotone, steadiness, within_noise
from dashboard.insights.matching import one_type, representatives
from dashboard.insights.summary import BY_RULE, CLOSEST, PAST_KNEE, _one_fits_all, optimal, table
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.results.statistics import Estimate

ALL = Selection()


def case(rows: list[dict[str, Any]]) -> Case:
    return Case(Scope(NONE, ALL), rows)


def test_order_over_bits() -> None:
    finding = monotone(Scope(NONE, ALL), GOOD)
    assert finding.kind == "finding"
    assert "a ρ = −1.0" in finding.detail


def test_a_step_the_wrong_way_is_named_only_outside_its_error() -> None:
    rows = [row("a", "Q2", 3, 0.1), row("a", "Q4", 5, 0.12), row("a", "Q8", 8, 0.001)]
    caution = monotone(Scope(NONE, ALL), rows)
    assert caution.kind == "caution"
    # ln 1.12 − ln 1.10 = 0.0180; two independent errors of 0.001 make 1.96 × 0.00141 = 0.0028.
    assert "a Q4 is worse than the smaller Q2 by 0.0180 ± 0.0028 nats" in caution.text
    rows[1]["ln_ppl_ratio_se"] = 0.05
    assert monotone(Scope(NONE, ALL), rows).kind == "finding"


def test_two_variants_show_no_trend() -> None:
    assert monotone(Scope(NONE, ALL), GOOD[:2]) is None


def test_combine_without_tokens_counts_variants_as_independent() -> None:
    found = combine(Scope(NONE, ALL), GOOD, {"a-Q2": 1.0, "a-Q4": -1.0})
    assert found == Estimate(pytest.approx(math.log(1.5 / 1.02)), pytest.approx(math.sqrt(2) * 0.001))
    assert combine(Scope(NONE, ALL), GOOD, {"a-Q2": 1.0}, "bin4") is None
    assert combine(Scope(NONE, ALL), GOOD, {"absent": 1.0}) is None


def test_rank_orders_and_says_how_far_behind() -> None:
    fours = {"a": GOOD[1], "b": BAD[1]}
    found = rank_files(Scope(NONE, ALL), fours)
    assert found is not None
    assert list(found.values) == ["a", "b"]
    assert found.gaps["b"].value == pytest.approx(math.log(1.06 / 1.02))
    assert found.behind
    assert not found.tied
    worst_first = rank_files(Scope(NONE, ALL), fours, largest=True)
    assert worst_first is not None
    assert worst_first.best == "b"
    assert worst_first.gaps["a"].value > 0
    assert rank_files(Scope(NONE, ALL), {"a": GOOD[1]}) is None


def test_steadiness() -> None:
    found = steadiness(Scope(NONE, ALL), [*GOOD, *BAD])
    assert found is not None
    assert found.ranking.best == "a"
    assert found.flat == ""
    # From 8 to 3 bits: ln(1.5 / 1.001) of a, ln(1.9 / 1.001) of b.
    assert found.ranking.values["a"].value == pytest.approx(math.log(1.5 / 1.001))
    assert found.ranking.gaps["b"].value == pytest.approx(math.log(1.9 / 1.5))
    assert steadiness(Scope(NONE, ALL), GOOD) is None


def test_a_flat_curve_is_not_steady_where_the_largest_file_is_bad() -> None:
    flat = [row("c", "Q2", 3, 0.4), row("c", "Q4", 5, 0.3), row("c", "Q8", 8, 0.25)]
    found = steadiness(Scope(NONE, ALL), [*GOOD, *flat])
    assert found is not None
    assert found.ranking.best == "c"
    # ln(1.25 / 1.001) = 0.2221; two independent errors of 0.001.
    assert found.flat == "its largest file, c Q8, loses 0.2221 ± 0.0028 nats more than a Q8"


def test_a_flat_curve_is_not_steady_where_all_its_files_are_bad() -> None:
    flat = [row("c", "Q2", 3, 0.6), row("c", "Q8", 8, 0.009, se=0.01)]
    steep = [row("a", "Q2", 3, 0.5), row("a", "Q8", 8, 0.001, se=0.2)]
    found = steadiness(
        Scope(NONE, ALL), [*steep, *[flat[0], flat[1] | {"ln_ppl_ratio": 0.1, "ln_ppl_ratio_se": 0.2}]]
    )
    assert found is not None
    assert found.ranking.best == "c"
    assert found.flat.startswith("its smallest file, c Q2, loses 0.0645 ± 0.0028 nats more than a Q2")


def test_bend_of_a_broken_line() -> None:
    rows = [row("a", f"Q{bits}", bits, math.expm1(max(0.01, 0.2 * (5 - bits)))) for bits in range(2, 10)]
    finding = bend(rows)
    assert finding is not None
    assert finding.kind == "finding"
    assert "a 4.9 bits" in finding.text or "a 5.0 bits" in finding.text
    assert bend(GOOD) is None


def test_within_noise() -> None:
    tie = within_noise([*GOOD, row("c", "Q8", 8, 0.001, se=0.01)])
    assert tie is not None
    assert tie.kind == "tie"
    assert "a Q8" in tie.text
    assert "c Q8" in tie.text
    assert within_noise(GOOD[:2]) is None
    assert within_noise([row("a", "Q8", 8, 0.001) | {"ln_ppl_ratio_se": None}]) is None


def test_a_perplexity_below_the_baselines_is_no_tie() -> None:
    rows = [row("a", "Q8", 8, 0.0), row("b", "Q8", 8, -0.01), row("c", "Q8", 8, -0.02)]
    tie, lower = within_noise(rows), below_baseline(rows)
    assert tie is not None
    assert tie.text == "Same perplexity as the baseline, within the error: a Q8."
    assert lower is not None
    assert lower.text == "Perplexity is lower than the baseline's for b Q8 and c Q8."
    assert lower.detail.startswith("c Q8: −2.0 ± 0.2 %;")  # 1.96 × 0.001 × 0.98 = 0.19 %
    assert below_baseline(rows[:1]) is None


def test_of_many_equals_some_seem_to_be_below_the_baseline() -> None:
    # 2.2 errors below: outside one interval (1.96), inside that of three (2.394).
    one = row("a", "Q8", 8, math.expm1(-0.0022))
    assert below_baseline([one]) is not None
    rows = [one, row("b", "Q8", 8, 0.0), row("c", "Q8", 8, 0.0)]
    assert below_baseline(rows) is None
    tie = within_noise(rows)
    assert tie is not None
    assert "a Q8, b Q8 and c Q8" in tie.text


def test_representatives() -> None:
    both = [*GOOD, *BAD]
    assert [r["label"] for r in representatives(both, ALL, 6)] == ["a Q4", "b Q4"]
    assert [r["label"] for r in representatives(both, Selection.of(picked=["b-Q8"]), 6)] == ["b Q8"]
    assert representatives(GOOD, ALL, 2) == [GOOD[0], GOOD[2]]
    assert one_type([GOOD[0], BAD[2]]) == [GOOD[0], BAD[2]]


def test_optimal_bit_rate() -> None:
    assert optimal(GOOD) == (GOOD[1], BY_RULE)
    heavy = [row("a", "Q2", 3, 0.9), row("a", "Q4", 5, 0.2), row("a", "Q8", 8, 0.1)]
    assert optimal(heavy) == (heavy[2], CLOSEST)  # three points are no curve
    bent = [row("a", f"Q{bits}", bits, math.expm1(max(0.11, 0.2 * (5.3 - bits)))) for bits in range(2, 10)]
    assert optimal(bent) == (bent[3], PAST_KNEE)  # the lines meet at 4.75 bits
    straight = [row("a", f"Q{bits}", bits, math.expm1(0.2 - bits / 100)) for bits in range(2, 10)]
    assert optimal(straight) == (straight[-1], CLOSEST)
    assert optimal([]) is None


def test_summary_of_two_methods() -> None:
    first, second = table(case([*GOOD, *BAD]))
    assert (first.method, first.optimal["quant"], first.by_rule) == ("a", "Q4", True)
    assert first.best_for == ("quality up to 5.0 bits (Q4)", "small files (Q4)")
    assert "perplexity up by over 10 % with Q2" in first.limitations
    assert second.best_for == ("no lead beyond the error",)
    assert second.optimal["quant"] == "Q8"
    assert "behind a at 2 of 3 sizes compared" in second.limitations


def test_a_single_leader_leads_by_the_rules_of_the_table() -> None:
    found = _one_fits_all(table(case([*GOOD, *BAD])))
    assert (
        found.text == "By the summary's rules only a leads: quality up to 5.0 bits (Q4) and small files (Q4)."
    )
    assert "equal size" in found.detail
    tied = [variant | {"method": "b", "variant_id": f"b{variant['variant_id']}"} for variant in GOOD]
    nobody = _one_fits_all([line for line in table(case([*GOOD, *tied])) if line.method == "b"] * 2)
    assert nobody.kind == "tie"
    assert nobody.text == "By the summary's rules no method leads by more than the error."


def test_summary_of_speed() -> None:
    fast = GOOD[1] | {"run_decode_ms_p10": 9.0, "run_decode_ms_p50": 10.0, "run_decode_ms_p90": 11.0}
    slow = BAD[2] | {"run_decode_ms_p10": 18.0, "run_decode_ms_p50": 20.0, "run_decode_ms_p90": 22.0}
    first, _ = table(case([fast, GOOD[2], BAD[1], slow]))
    assert "speed (Q4)" in first.best_for


def test_summary_of_one_method_says_so() -> None:
    (line,) = table(case(GOOD))
    assert line.best_for == ("not comparable: only one method",)


@pytest.mark.parametrize("rows", [[], [row("a", "Q4", 5, 0.1) | {"ln_ppl_ratio": None}]])
def test_nothing_to_summarize(rows: list[dict[str, Any]]) -> None:
    assert table(case(rows)) == []
