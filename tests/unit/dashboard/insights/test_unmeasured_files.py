"""Limits of which it is not known whether a file meets them: its memory or speed was not measured."""

from __future__ import annotations

import pytest
from run_in_llama import CACHES, FILES, MEMORY, Folder, alone, told
from variant_rows import row

from dashboard.insights.advising import Need, advise
from dashboard.insights.candidates import Candidates

#: Q8 is closer than Q5 and within a quarter more memory, and Q4 is farther.
THREE = [
    row("a", name, size, loss, decode_ms_p50=20.0)
    for name, size, loss in (("Q4", 7, 0.03), ("Q5", 8, 0.02), ("Q8", 9, 0.001))
]


def untimed(*quants: str) -> Candidates:
    return alone([item | {"run_decode_ms_p50": None} if item["quant"] in quants else item for item in THREE])


@pytest.mark.parametrize(
    ("quants", "said"),
    [
        (("Q8", "Q4"), "; 2 files whose speed is not measured do not count"),
        (("Q4",), "; 1 file whose speed is not measured does not count"),
        ((), "below the limit"),
    ],
)
def test_files_without_a_speed_do_not_count_and_that_is_said(quants: tuple[str, ...], said: str) -> None:
    among = untimed(*quants)
    assert Need(min_tps=1).rule(among).endswith(said)
    assert "speed" not in Need(budget_gb=1).rule(among)
    slow = advise(among, Need(min_tps=1000)).why
    assert slow.startswith(f"No {'timed ' if quants else ''}file is that fast: the fastest, a ")


def test_an_untimed_file_may_be_closer_than_the_best_timed_one() -> None:
    assert (
        advise(untimed("Q8"), Need(min_tps=1)).next_step == "With up to 2.0 MB more, no timed file is closer."
    )
    slower = alone([*THREE[:2], THREE[2] | {"run_decode_ms_p50": 2000.0}])
    assert advise(slower, Need(min_tps=1)).next_step == "With up to 2.0 MB more, no file is closer."


def test_a_file_of_unknown_memory_may_be_closer() -> None:
    only_five = Folder([values for values in MEMORY if values[0] == "a-Q5"], CACHES)
    found = told(only_five, [FILES[0], FILES[1] | {"size_bytes": 10_200_000}], budget_gb=0.0105, context=8192)
    assert found.next_step == "With up to 2.6 MB more, no file of known memory is closer."


def test_limits_that_conflict_among_known_files_may_be_met_by_an_untimed_one() -> None:
    among = untimed("Q4")
    assert advise(among, Need(min_tps=1, budget_gb=0.0075)).why.endswith(
        "but no file is known to meet them all."
    )
    assert advise(untimed("Q8"), Need(min_tps=1, floor=0.01, budget_gb=0.0075)).why.endswith(
        "but no file meets them all."
    )


def test_a_context_longer_than_all_measured_is_not_known() -> None:
    found = told(context=8193)
    assert found.best is None
    assert found.why == (
        "The memory is not known for a context that long: the longest measured is 8,192 tokens."
    )
    assert "not known for a context that long" in told(budget_gb=1.0, context=8193).why


def test_files_without_memory_do_not_count_and_that_is_said() -> None:
    only_five = Folder([values for values in MEMORY if values[0] == "a-Q5"], CACHES)
    found = told(only_five, budget_gb=1.0, context=8192)
    assert found.best.label == "a Q5 with f16 cache"
    assert found.rule.endswith("; 1 file whose memory is not known does not count")
    assert "does not count" not in told(only_five, min_tps=1.0).rule
    assert "does not count" not in told(budget_gb=1.0, context=8192).rule
