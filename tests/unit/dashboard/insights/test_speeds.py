"""What is said of bits and speed, and that it names the file that contradicts it."""

from __future__ import annotations

from typing import Any

from variant_rows import NONE, row

from dashboard.insights.speeds import bits_and_speed, equal_speed, four_bits, tell_equal_speed
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING

#: Bits and tokens per second of six files: fewer bits are faster.
FILES = {"A": (2.0, 60), "B": (3.0, 50), "C": (4.0, 40), "D": (5.0, 30), "E": (6.0, 20), "F": (8.0, 10)}


def told(spread: float = 1.0, **rates: float) -> str:
    rows: list[dict[str, Any]] = [
        {
            "variant_id": label,
            "label": label,
            "run_engine": "onnxruntime",
            "bits_per_weight": bits,
            "decode_tps_p50": per_second,
            "run_decode_ms_p10": 1000 / (per_second + spread),
            "run_decode_ms_p50": 1000 / per_second,
            "run_decode_ms_p90": 1000 / (per_second - spread),
        }
        for label, (bits, rate) in FILES.items()
        for per_second in [rates.get(label, rate)]
    ]
    insight = bits_and_speed(Scope(NONE, EVERYTHING), rows, "decode")
    assert insight is not None
    return insight.text


def test_fewer_bits_are_faster():
    assert told() == "Fewer bits decode faster here."


def test_the_file_that_is_slowest_beside_one_of_more_bits_is_named():
    assert told(A=35) == "Fewer bits decode faster here, but not always: A is slower than B."
    assert told(A=48, C=25) == "Fewer bits decode faster here, but not always: C is slower than D."


def test_times_that_overlap_are_no_exception():
    assert told(spread=9, A=42) == "Fewer bits decode faster here."


def test_speed_that_does_not_follow_bits():
    assert told(A=5, B=15).startswith("Fewer bits do not mean faster decode here: ")


def of_method(method: str, *times: float) -> list[dict[str, Any]]:
    return [row(method, f"Q{place}", 8 - place, 0.01, decode_ms_p50=ms) for place, ms in enumerate(times)]


def test_a_method_of_one_file_does_not_narrow_the_speeds_that_are_compared():
    rows = [*of_method("a", 10, 20, 30), *of_method("b", 12, 20, 40)]
    scope = Scope(NONE, EVERYTHING)
    found = equal_speed(scope, [*rows, *of_method("c", 9)])
    assert found is not None
    assert found.limit == 21
    assert set(found.chosen) == {"a", "b", "c"}
    beyond = equal_speed(scope, [*rows, *of_method("c", 50)])
    assert beyond is not None
    assert set(beyond.chosen) == {"a", "b"}
    assert equal_speed(scope, [*of_method("a", 10, 11), *of_method("c", 9)]) is None


def closest(first: float, last: float) -> str:
    """What is said at 21 ms per token, where only `a` has a better file, and the error of the speeds is 2 ms.

    `first` is the KLD of b's file that fits 19 ms, beside 0.5 of a's, and `last` of that which fits 23 ms, beside
    0.1 of a's.
    """
    files = {
        "a": [(10.0, 0.5), (20.0, 0.1), (30.0, 0.001)],
        "b": [(12.0, first), (22.5, last), (40.0, 0.001)],
    }
    rows = [
        row(
            method,
            f"Q{ms}",
            4,
            0.1,
            decode_ms_p10=ms - 2,
            decode_ms_p50=ms,
            decode_ms_p90=ms + 2,
            kld_mean=kld,
        )
        for method, timed in files.items()
        for ms, kld in timed
    ]
    insight = tell_equal_speed(Scope(NONE, EVERYTHING), rows)
    assert insight is not None
    return insight.text


def test_a_method_that_is_the_closest_only_at_some_limits_is_not_for_certain():
    beginning = "Of the files that decode 47.6 tokens/s or faster, no method is the closest for certain: "
    limits = "limits of 43.5–52.6 tokens/s, within the error of the speeds, "  # 1000 / 23 and 1000 / 19
    assert closest(0.6, 0.02) == f"{beginning}{limits}give different ones."
    assert closest(0.5001, 0.3) == f"{beginning}{limits}do not all put a ahead.", "tied at 19 ms"
    assert closest(0.6, 0.3) == "At 47.6 tokens/s or faster a is closest to the baseline."


def test_one_variant_of_four_bits_is_no_plural():
    one, other = row("a", "Q4", 4.5, 0.01), row("b", "Q4", 4.6, 0.02)
    told = [four_bits(rows, [one]) for rows in ([one], [one, other], [row("a", "Q8", 8.5, 0.01)])]
    assert [item.text if item else "" for item in told] == [
        "On the Pareto front: a Q4, the only variant of 4 to 5 bits.",
        "On the Pareto front, of 2 variants of 4 to 5 bits: a Q4.",
        "",
    ]
