"""Values of columns as they are written, by unit, against texts written by hand."""

import math

import pytest

from dashboard.style import columns
from evaluator.metrics import columns_of
from evaluator.metrics.columns import Column

KNOWN = columns_of()


@pytest.mark.parametrize(
    ("name", "measured", "sentence", "short", "cell"),
    [
        ("ppl", 12.3456, "12.35", "12.35", "12.35"),
        ("kld_mean", 0.409551, "0.410 nats", "0.41", "0.410"),
        ("same_top", 0.66465, "66.5 %", "66.5 %", "66.5 %"),
        ("delta_p_mean", 1.234, "+1.2 points", "+1.2 points", "1.23"),
        ("delta_p_rms", 15.371, "15.4 points", "15.4 points", "15.4"),
        ("size_bytes", 88_200_000, "88.2 MB", "88.2 MB", "88.2 MB"),
        ("bits_per_weight", 5.1394, "5.14 bits", "5.14 bits", "5.14"),
        ("inv_ppl_per_mb", 3.217e-5, "3.22 × 10⁻⁵", "3.22 × 10⁻⁵", "0.0000322"),
        ("decode_ms_p50", 7.7823, "7.78 ms per token", "7.78 ms", "7.78"),
        ("prefill_tps", 562.67, "563 tokens/s", "563 tokens/s", "563"),
        ("load_s", 0.19456, "0.195 s", "0.195 s", "0.195"),
        ("n_params", 134_515_008, "134,515,008", "134,515,008", "134,515,008"),
    ],
)
def test_a_value_by_its_unit(name: str, measured: float, sentence: str, short: str, cell: str) -> None:
    column = KNOWN[name]
    assert columns.value(column, measured) == sentence
    assert columns.short(column, measured) == short
    assert columns.cell(column, measured) == cell


def test_a_share_has_as_many_decimals_as_asked_for() -> None:
    assert columns.cell(KNOWN["same_top"], 0.66468, places=2) == "66.47 %"


def test_an_error_stands_before_the_unit() -> None:
    assert columns.value(KNOWN["kld_mean"], 0.0639, " ± 0.0025") == "0.0639 ± 0.0025 nats"


@pytest.mark.parametrize(
    ("name", "change", "half", "text"),
    [
        ("ppl", math.log(1.02), 0.001, "+2.0 ± 0.1 %"),
        ("kld_mean", 0.0173, 0.0025, "+0.0173 ± 0.0025 nats"),
        ("same_top", -0.034, 0.01, "−3.4 ± 1.0 points"),
        ("delta_p_mean", 2.5, 0.5, "+2.50 ± 0.50 points"),
        ("kld_p990", -0.25, math.inf, "−0.250 nats"),
    ],
)
def test_a_difference_by_its_unit(name: str, change: float, half: float, text: str) -> None:
    assert columns.difference(KNOWN[name], change, half) == text


def test_a_tooltip_says_name_meaning_unit_and_direction() -> None:
    column = Column("x_mean", "X", "mean of x", "nats", better="lower")
    assert columns.tooltip(column) == "x_mean: mean of x, nats, lower is better"
    assert columns.tooltip(Column("x", "X", "an x")) == "x: an x"
