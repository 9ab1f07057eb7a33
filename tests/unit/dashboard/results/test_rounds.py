"""Speeds compared by rounds, against values computed by hand and intervals that hold as often as they say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
import pytest

from dashboard.results.rounds import Rounds

PROMPT = 4


def speed(
    seconds: Mapping[str, Sequence[float | None]], first: int = 0, deep: float | None = None
) -> pl.DataFrame:
    """Return the rows of files with a time per decoded token in each round; None: not timed in it.

    In a round a file is loaded, reads a prompt at twice that time per token, and decodes three tokens, the middle one
    of which takes it; `deep` is the time per token after many more.
    """
    rows = []
    for name, times in seconds.items():
        repetition = 0
        for number, time in enumerate(times, first):
            if time is None:
                continue
            parts = [("load", 0, 1.0, 0), ("prefill", PROMPT, 2 * time * PROMPT, 0)]
            parts += [
                ("decode", 1, time * factor, PROMPT + place) for place, factor in enumerate((1, 0.5, 3))
            ]
            parts += [] if deep is None else [("prefill", 90, 1.0, 7), ("decode", 1, deep, 97)]
            for phase, tokens, took, context in parts:
                rows.append((name, phase, repetition, tokens, took, context, number))
                repetition += 1
    names = ("variant_id", "phase", "repetition", "tokens", "seconds", "context", "round")
    return pl.DataFrame(rows, names, orient="row").with_columns(
        pl.col("context", "tokens", "round").cast(pl.UInt32)
    )


def test_the_noise_is_what_files_and_rounds_do_not_explain() -> None:
    """The second round takes everybody e times as long, and `b` 0.2 (of the ln) more than that."""
    times = {"a": [1.0, math.e], "b": [2.0, 2 * math.exp(1.2)]}
    rounds = Rounds.of(speed(times, deep=99.0), "decode")
    assert rounds.logs == {
        "a": {0: pytest.approx(0), 1: pytest.approx(1)},
        "b": {0: pytest.approx(math.log(2)), 1: pytest.approx(math.log(2) + 1.2)},
    }
    found = rounds.slower("b", "a")
    assert found is not None
    # Residuals are ±0.05 for one degree of freedom: sd 0.1; of a difference of means of two rounds √2 · 0.1 / √2.
    assert (found.value, found.se, found.freedom) == (
        pytest.approx(math.log(2) + 0.1),
        pytest.approx(0.1),
        1,
    )
    back = rounds.slower("a", "b")
    assert back is not None
    assert (back.value, back.se) == (pytest.approx(-found.value), pytest.approx(found.se))
    own = rounds.own("a")
    assert own is not None
    assert (own.value, own.se) == (pytest.approx(0.5), pytest.approx(0.1 / math.sqrt(2)))


def test_prompts_have_rounds_too() -> None:
    times = {"a": [1.0, 1.0], "b": [3.0, 3.0]}
    found = Rounds.of(speed(times), "prefill").slower("b", "a")
    assert found is not None
    assert (found.value, found.se) == (pytest.approx(math.log(3)), pytest.approx(0, abs=1e-9))


def test_a_pair_of_files_alone_is_compared_by_its_differences() -> None:
    """A paired t test: differences 0.1, 0.2 and 0.6 have mean 0.3 and standard deviation √0.07."""
    times = {"a": [1.0, 1.0, 1.0], "b": [math.exp(x) for x in (0.1, 0.2, 0.6)]}
    found = Rounds.of(speed(times), "decode").slower("b", "a")
    assert found is not None
    assert (found.value, found.se, found.freedom) == (
        pytest.approx(0.3),
        pytest.approx(math.sqrt(0.07 / 3)),
        2,
    )


def test_only_rounds_that_timed_both_count() -> None:
    times = {"a": [1.0, 2.0, None, 4.0], "b": [2.0, None, 9.0, 8.0], "c": [None, 1.0, 1.0, 1.0]}
    rounds = Rounds.of(speed(times), "decode")
    found = rounds.slower("b", "a")
    assert found is not None
    assert (found.value, found.freedom) == (pytest.approx(math.log(2)), 1)
    assert rounds.slower("a", "missing") is None
    alone = Rounds.of(pl.concat([speed({"a": [1.0, 1.1]}), speed({"b": [5.0, 5.1]}, first=2)]), "decode")
    assert alone.slower("a", "b") is None
    assert alone.own("a") is not None
    assert Rounds.of(speed({"a": [1.0]}), "decode").own("a") is None


def test_times_without_rounds_are_left_out() -> None:
    earlier = speed({"a": [1.0, 1.0]}).with_columns(round=pl.lit(None, pl.UInt32))
    assert Rounds.of(earlier, "decode").logs == {}
    assert Rounds.of(None, "decode").logs == {}


def test_one_file_in_two_engines() -> None:
    """Of one file alone, noise is what its own rounds differ by."""
    one = Rounds.of(speed({"a": [1.0, math.e]}), "decode")
    other = Rounds.of(speed({"a": [3.0, 3.0]}), "decode")
    found = one.slower("a", "a", other)
    assert found is not None
    assert found.value == pytest.approx(0.5 - math.log(3))
    assert found.se == pytest.approx(math.sqrt(0.5) / math.sqrt(2))


def test_intervals_miss_the_truth_as_often_as_they_say() -> None:
    """Eight files of known speed with noise per file and round, and a drift of the machine: 5 % of intervals miss."""
    rng = np.random.default_rng(5)
    missed = 0
    for _ in range(1000):
        drift = rng.normal(0, 0.3, 3)
        logs = {str(file): dict(enumerate(0.1 * file + drift + rng.normal(0, 0.05, 3))) for file in range(8)}
        found = Rounds(logs).slower("5", "2")
        assert found is not None
        missed += abs(found.value - 0.3) > found.half
    assert 28 <= missed <= 75  # 50 expected; 3.3 and 3.6 standard deviations around it
