"""Claims say of ties that they cannot be told, as the insights beside them do."""

from typing import Any

import pytest
from variant_rows import NONE

from dashboard.insights.claim_rules import Case
from dashboard.insights.claims.layers import concentrated
from dashboard.insights.claims.radar import no_lead, no_sweep
from dashboard.insights.claims.speed import _accurate, _fastest, _middle
from dashboard.insights.leaders import (
    DECODE,
    EFFICIENCY,
    FIDELITY,
    MEMORY,
    PERPLEXITY,
    SIZE,
    contenders,
    leaders,
)
from dashboard.insights.speed_order import fastest
from dashboard.results.rows import Row
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING


def row(method: str, **more: Any) -> Row:
    """A variant of 4.5 bits; errors of KLD and of perplexity are 0.01, so 0.028 apart is tied."""
    return {
        "variant_id": method,
        "run_engine": "onnxruntime",
        "baseline_id": "base",
        "model": "m",
        "device": "cpu",
        "method": method,
        "label": method,
        "quant": "Q4_0",
        "bits_per_weight": 4.5,
        "size_bytes": 1000,
        "run_peak_rss_bytes": 2000,
        "ln_ppl_ratio": 0.1,
        "ln_ppl_ratio_se": 0.01,
        "kld_mean": 0.1,
        "kld_se": 0.01,
        "same_top": 0.8,
        "same_top_se": 0.01,
        "inv_ppl_per_mb": 1.0,
        "run_decode_ms_p10": 9.0,
        "run_decode_ms_p50": 10.0,
        "run_decode_ms_p90": 11.0,
        **more,
    }


def names(found: dict[str, list[Row]]) -> dict[str, list[str]]:
    return {metric: [item["method"] for item in rows] for metric, rows in found.items()}


def test_contenders_are_the_best_and_who_is_tied_with_it() -> None:
    rows = [
        row("a", kld_mean=0.2, size_bytes=990, run_peak_rss_bytes=2030, same_top=0.79),
        row("b", kld_mean=0.19, inv_ppl_per_mb=1.1, run_peak_rss_bytes=2010),
        row(
            "c",
            same_top=0.7,
            size_bytes=999.9,
            run_decode_ms_p50=12.0,
            run_decode_ms_p10=11.5,
            run_decode_ms_p90=13.0,
        ),
    ]
    found = names(contenders(Scope(NONE, EVERYTHING), rows))
    assert sorted(found[PERPLEXITY]) == ["a", "b", "c"]
    assert found[FIDELITY] == ["c"]
    assert found["same top token"] == ["b", "a"]
    assert found[SIZE] == ["a", "c"], "b is 1.01 % larger"
    assert found[MEMORY] == ["c", "b"]
    assert found[DECODE] == ["a", "b"]
    assert found[EFFICIENCY] == ["b"], "tied by perplexity with the others, but not by size"
    assert {
        metric for metric, best in leaders(Scope(NONE, EVERYTHING), rows).items() if best is not None
    } == {
        FIDELITY,
        EFFICIENCY,
    }
    assert contenders(Scope(NONE, EVERYTHING), rows[:1]) == {}


def test_efficiency_is_tied_where_perplexity_and_size_are() -> None:
    rows = [row("a", inv_ppl_per_mb=1.2), row("b"), row("c", ln_ppl_ratio=0.2, inv_ppl_per_mb=1.195)]
    assert names(contenders(Scope(NONE, EVERYTHING), rows))[EFFICIENCY] == ["a", "c", "b"]
    apart = [row("a", inv_ppl_per_mb=1.2), row("b"), row("c", ln_ppl_ratio=0.2, inv_ppl_per_mb=1.1)]
    assert names(contenders(Scope(NONE, EVERYTHING), apart))[EFFICIENCY] == ["a", "b"]


@pytest.mark.parametrize(
    ("found", "verdict", "words"),
    [
        ({"KLD": ["a"], DECODE: ["b"]}, "holds", "behind the best by each of: KLD and decode speed"),
        ({"KLD": ["a"], DECODE: ["b", "main"]}, "unknown", "main is tied with the best by decode speed"),
        ({"KLD": ["a"], DECODE: ["a", "b"]}, "holds", "KLD and decode speed"),
        ({"KLD": ["a"], DECODE: ["a"], SIZE: ["b", "main"]}, "holds", "within 1 % of it by file size"),
        ({"KLD": ["main"], SIZE: ["a", "main"]}, "fails", "main is best by KLD"),
        ({"KLD": ["a"]}, "untestable", "Missing: the decode speed of every method's file."),
        ({}, "untestable", "Missing: a metric"),
    ],
)
def test_leading_on_nothing_means_being_behind_everywhere(
    found: dict[str, list[str]], verdict: str, words: str
) -> None:
    claim = no_lead("main", found)
    assert claim.verdict == verdict
    assert words in claim.evidence


@pytest.mark.parametrize(
    ("main", "bartowski", "verdict"),
    [
        (0.33, 0.30, "fails"),
        (0.30, 0.10, "holds"),
        (0.15, 0.10, "fails"),
        (0.10, 0.30, "fails"),
        (0.33, 0.19, "unknown"),
        (0.21, 0.10, "unknown"),
    ],
)
def test_damage_is_concentrated_or_even_by_the_bound_of_the_insight(
    main: float, bartowski: float, verdict: str
) -> None:
    assert concentrated(main, bartowski, "e").verdict == verdict


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ({"KLD": ["a"], DECODE: ["b"]}, "holds"),
        (
            {"KLD": ["a", "b"], DECODE: ["b", "c"], SIZE: ["a", "c"]},
            "holds",
        ),  # nobody is among the first of all
        ({"KLD": ["a"], DECODE: ["a"]}, "fails"),
        ({"KLD": ["a"], DECODE: ["a", "b"]}, "unknown"),
        ({"KLD": ["a"]}, "untestable"),
        ({}, "untestable"),
    ],
)
def test_sweeping_means_being_the_best_by_every_metric(found: dict[str, list[str]], verdict: str) -> None:
    assert no_sweep(found).verdict == verdict


def timed(method: str, low: float, middle: float, high: float) -> Row:
    return row(method, run_decode_ms_p10=low, run_decode_ms_p50=middle, run_decode_ms_p90=high)


@pytest.mark.parametrize(
    ("ours", "first", "verdict"),
    [
        # "a" has the lowest median and a wide range; "b" is surely faster than ours
        ((9.5, 10.3, 11.8), ["a", "b"], "fails"),
        ((8.0, 8.5, 9.0), ["a", "b", "unsloth"], "unknown"),
        ((1.0, 2.0, 3.0), ["unsloth"], "holds"),
    ],
)
def test_who_is_slower_than_anybody_is_not_the_fastest(
    ours: tuple[float, float, float], first: list[str], verdict: str
) -> None:
    rows = [timed("a", 7.0, 7.78, 10.2), timed("b", 6.8, 7.8, 8.7), timed("unsloth", *ours)]
    assert [item["method"] for item in fastest(NONE, rows)] == first
    assert _fastest(Case(Scope(NONE, EVERYTHING), rows), rows).verdict == verdict


SLOW = {"run_decode_ms_p10": 19.0, "run_decode_ms_p50": 20.0, "run_decode_ms_p90": 21.0}
QUICK = {"run_decode_ms_p10": 1.0, "run_decode_ms_p50": 2.0, "run_decode_ms_p90": 3.0}


@pytest.mark.parametrize(
    ("main", "verdict"),
    [
        (SLOW | {"kld_mean": 0.1001}, "unknown"),  # 0.0001 ± 0.028 behind
        (SLOW | {"kld_mean": 0.2}, "holds"),
        (SLOW | {"kld_mean": 0.0}, "fails"),
        ({"run_decode_ms_p50": 9.99, "kld_mean": 0.2}, "unknown"),  # fastest by 0.01 ms inside the ranges
        ({"run_decode_ms_p50": 10.01, "kld_mean": 0.2}, "unknown"),
        (QUICK | {"kld_mean": 0.2}, "fails"),
    ],
)
def test_the_middle_is_behind_by_more_than_the_errors(main: dict[str, float], verdict: str) -> None:
    rows = [row("bartowski"), row("main", **main), row("unsloth")]
    claim = _middle(Case(Scope(NONE, EVERYTHING), rows), rows)
    assert claim.verdict == verdict
    assert "fastest" in claim.evidence


def at_times(method: str, files: dict[float, float]) -> list[Row]:
    """Files by decode time in ms, whose spread is 3 ms, with their KLD."""
    return [
        row(
            method,
            variant_id=f"{method}-{ms}",
            kld_mean=kld,
            run_decode_ms_p10=ms - 3,
            run_decode_ms_p50=ms,
            run_decode_ms_p90=ms + 3,
        )
        for ms, kld in files.items()
    ]


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [
        ({10: 0.9, 20: 0.9, 30: 0.9}, "fails"),  # behind at every limit, whoever is the best there
        ({10: 0.9, 20: 0.9, 23: 0.0, 30: 0.0}, "unknown"),  # the best from 23 ms on
        ({10: 0.0, 20: 0.0, 30: 0.0}, "holds"),
    ],
)
def test_a_claim_of_equal_speed_stands_if_it_does_at_limits_nearby(
    ours: dict[float, float], verdict: str
) -> None:
    """The limit is 21 ms, and 18 and 24 within the error; the second method is the best from 23 ms on."""
    others = [*at_times("a", {10: 0.5, 20: 0.4, 31: 0.1}), *at_times("b", {12: 0.6, 23: 0.1, 30: 0.1})]
    rows = [*at_times("bartowski", ours), *others]
    case = Case(Scope(NONE, EVERYTHING), rows)
    assert _accurate(case, rows).verdict == verdict
