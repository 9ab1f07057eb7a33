"""Which of two files is faster: by rounds that timed both, else by whether the ranges of repetitions overlap."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from variant_rows import NoTokens

from dashboard.insights.speed_order import (
    bars_of,
    fastest,
    is_faster,
    judged_by,
    lead,
    level_with,
    range_of,
    shortest_time,
    speed_error,
    with_rates,
)
from dashboard.results.rows import Row

#: Median ms per token of three files that are timed in turn; single tokens vary by a third.
TIMES = {"quick": 70.0, "middle": 80.0, "slow": 81.0}


class Timed(NoTokens):
    """Results with the rounds of `TIMES`, numbered from `first` by file; `noise` is the sd of the ln in a round."""

    def __init__(self, noise: float = 0.02, **first: int) -> None:
        rng, rows = np.random.default_rng(3), []
        for name, ms in TIMES.items():
            for number in range(3):
                seconds = ms / 1000 * math.exp(0.1 * number + noise * rng.normal())
                start = first.get(name, 0)
                for phase, tokens, took, context in (
                    ("prefill", 4, seconds, 0),
                    ("decode", 1, 0.7 * seconds, 4),
                    ("decode", 1, seconds, 5),
                    ("decode", 1, 1.3 * seconds, 6),
                ):
                    rows.append((name, "llama.cpp", phase, tokens, took, context, start + number))
        names = ("variant_id", "engine", "phase", "tokens", "seconds", "context", "round")
        types = dict.fromkeys(("tokens", "context", "round"), pl.UInt32)
        self._frame = pl.DataFrame(rows, names, orient="row", schema_overrides=types)

    def speed(self, engine: str) -> Any:
        return self._frame.filter(engine=engine)


def row(name: str) -> Row:
    """Return a file's row; its p10–p90 range overlaps those of all others."""
    ms = TIMES[name]
    return {
        "variant_id": name,
        "run_engine": "llama.cpp",
        "run_decode_ms_p10": 0.7 * ms,
        "run_decode_ms_p50": ms,
        "run_decode_ms_p90": 1.3 * ms,
        "run_prefill_tps": 4000 / ms,
    }


ROWS = [row(name) for name in TIMES]
QUICK, MIDDLE, SLOW = ROWS


def results(**options: Any) -> Any:
    return Timed(**options)


def test_rounds_tell_files_apart_whose_single_tokens_overlap() -> None:
    found = results()
    assert is_faster(found, QUICK, MIDDLE)
    assert not is_faster(found, MIDDLE, QUICK)
    assert not is_faster(found, MIDDLE, SLOW)
    assert fastest(found, ROWS) == [QUICK]
    assert judged_by(found, ROWS) == "rounds timed in turn"


def test_files_of_other_rounds_are_compared_by_their_ranges() -> None:
    found = results(slow=3)
    assert lead(found, QUICK, SLOW) is None
    assert not is_faster(found, QUICK, SLOW)
    assert fastest(found, ROWS) == [QUICK, SLOW]
    assert judged_by(found, ROWS) == "rounds timed in turn, where they were not by p10–p90"
    assert judged_by(found, [QUICK, SLOW]) == "p10–p90"


def test_of_other_rounds_the_wider_range_counts() -> None:
    """The bars of the medians may lie apart while the ranges of single tokens do not."""
    found, names = results(slow=3), ("decode_tps_low", "decode_tps_p50", "decode_tps_high")
    quick = QUICK | dict(zip(names, (14.2, 1000 / 70, 14.4), strict=True))
    slow = SLOW | dict(zip(names, (12.2, 1000 / 81, 12.4), strict=True))
    assert not is_faster(found, quick, slow)
    assert range_of(found, slow, "decode")[1] == pytest.approx(1000 / (0.7 * 81))
    # Alike in all repetitions of a round, but not from round to round.
    steady = SLOW | {"run_decode_ms_p10": 81.0, "run_decode_ms_p90": 81.0}
    (rated,) = with_rates(found, [steady], "decode")
    assert range_of(found, steady, "decode") == pytest.approx((rated[names[0]], rated[names[2]]))
    assert rated[names[0]] < 1000 / 82


def test_noise_as_large_as_the_difference_ties() -> None:
    assert fastest(results(noise=0.2), ROWS) == ROWS


def test_the_more_files_the_larger_a_lead_must_be() -> None:
    found = results(noise=0.02)
    ahead = lead(found, QUICK, MIDDLE)
    assert ahead is not None
    enough = next(n for n in range(1, 10**6) if ahead.reach(n) > ahead.value)
    assert is_faster(found, QUICK, MIDDLE, among=enough - 1)
    assert not is_faster(found, QUICK, MIDDLE, among=enough)


def test_ends_are_of_the_median_by_rounds() -> None:
    found = results()
    (rated,) = with_rates(found, [QUICK], "decode")
    low, middle, high = (rated[name] for name in ("decode_tps_low", "decode_tps_p50", "decode_tps_high"))
    assert middle == pytest.approx(1000 / 70)
    assert low * high == pytest.approx(middle**2)
    assert middle / 1.1 < low < middle < high < 1.1 * middle
    error, shortest = speed_error(found, QUICK), shortest_time(found, QUICK)
    assert error == pytest.approx(1000 / low - 70)
    assert shortest == pytest.approx(1000 / high)
    assert bars_of(found, ROWS, "decode") == "95 %"
    (read,) = with_rates(found, [QUICK], "prefill")
    assert read["prefill_low"] < read["run_prefill_tps"] < read["prefill_high"]


def test_without_rounds_ends_are_percentiles() -> None:
    found: Any = NoTokens()
    (rated,) = with_rates(found, [QUICK], "decode")
    assert rated["decode_tps_low"] == pytest.approx(1000 / 91)
    assert rated["decode_tps_high"] == pytest.approx(1000 / 49)
    assert speed_error(found, QUICK) == pytest.approx(21)
    assert shortest_time(found, QUICK) == pytest.approx(49)
    assert speed_error(found, QUICK | {"run_decode_ms_p10": None}) is None
    assert bars_of(found, ROWS, "decode") == "p10–p90"
    assert level_with(found, rated, [MIDDLE], "decode") is None
    assert range_of(found, rated, "decode") == (pytest.approx(1000 / 91), pytest.approx(1000 / 49))


def test_the_level_range_ends_where_files_differ() -> None:
    found = results()
    rated = with_rates(found, ROWS, "decode")
    low, high = level_with(found, rated[1], [rated[0], rated[2]], "decode")
    assert low < rated[2]["decode_tps_p50"] < rated[1]["decode_tps_p50"] < high < rated[0]["decode_tps_p50"]
