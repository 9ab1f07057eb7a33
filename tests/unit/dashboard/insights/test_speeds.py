"""What is said of bits and speed, and that it names the file that contradicts it."""

from __future__ import annotations

from typing import Any

from dashboard.insights.speeds import bits_and_speed

#: Bits and tokens per second of six files: fewer bits are faster.
FILES = {"A": (2.0, 60), "B": (3.0, 50), "C": (4.0, 40), "D": (5.0, 30), "E": (6.0, 20), "F": (8.0, 10)}


def told(spread: float = 1.0, **rates: float) -> str:
    rows: list[dict[str, Any]] = [
        {
            "label": label,
            "bits_per_weight": bits,
            "decode_tps_p10": rates.get(label, rate) - spread,
            "decode_tps_p50": rates.get(label, rate),
            "decode_tps_p90": rates.get(label, rate) + spread,
        }
        for label, (bits, rate) in FILES.items()
    ]
    insight = bits_and_speed(rows, "decode", " in llama.cpp")
    assert insight is not None
    return insight.text


def test_fewer_bits_are_faster():
    assert told() == "Fewer bits decode faster in llama.cpp."


def test_the_file_that_is_slowest_beside_one_of_more_bits_is_named():
    assert told(A=35) == "Fewer bits decode faster in llama.cpp, but not always: A is slower than B."
    assert told(A=48, C=25) == "Fewer bits decode faster in llama.cpp, but not always: C is slower than D."


def test_times_that_overlap_are_no_exception():
    assert told(spread=9, A=42) == "Fewer bits decode faster in llama.cpp."


def test_speed_that_does_not_follow_bits():
    assert told(A=5, B=15).startswith("Fewer bits do not mean faster decode in llama.cpp: ")
