"""How numbers are written, at the ends of what floats hold."""

import itertools
import math
import re
from collections.abc import Callable

import pytest
from results_factory import make_manifest

from dashboard.style import formats
from evaluator.results.manifest import Machine, Precision

FORMATTERS: list[Callable[[float | None], str]] = [
    formats.number,
    formats.signed,
    formats.percent,
    formats.percent_change,
    formats.size,
    formats.bits,
    formats.times,
    lambda value: formats.ends([1.0 if value is None else value]),
    lambda value: formats.with_error(value, 0.1),
    lambda value: formats.with_error(1.5, value),
    lambda value: formats.percent_change(0.01, 1, math.inf if value is None else value),
]
EXTREMES = (0.0, -0.0, 1e38, -1e38, 1e-38, -1e-38, 1e300, math.nan, math.inf, -math.inf, None)


def test_a_capital_first_letter_leaves_the_others() -> None:
    assert [formats.first_up(text) for text in ("mean KLD", "Q4_K_M", "")] == ["Mean KLD", "Q4_K_M", ""]


def test_ends_that_read_the_same_are_one_number() -> None:
    assert formats.ends([1.49, 1.2, 3.4], 2) == "1.2–3.4"
    assert formats.ends([1.501, 1.502], 2) == "1.5"


@pytest.mark.parametrize(("formatter", "value"), [*itertools.product(FORMATTERS, EXTREMES)])
def test_every_formatter_takes_every_value(
    formatter: Callable[[float | None], str], value: float | None
) -> None:
    text = formatter(value)
    assert not re.search(r"\d{9}", text), "nobody reads so many digits"
    assert not re.search(r"nan|inf|-|e[+\d]", text)
    assert not re.search(rf"{formats.MINUS}0(\.0+)?(?![.\d])", text), "zero has no sign"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (formats.number(6.076e37), "6.08 × 10³⁷"),
        (formats.number(-1.5e-7), "−1.50 × 10⁻⁷"),
        (formats.number(9.999), "10.0"),
        (formats.number(999_999.6, 3), "1000000"),
        (formats.number(0.0001234), "0.000123"),
        (formats.signed(math.inf), "n/a"),
        (formats.with_error(-0.001, 3.0), "0.0 ± 3.0"),
        (formats.with_error(1.5, 0.0996), "1.50 ± 0.10"),
        (formats.with_error(math.nan, 0.1), "n/a"),
        (formats.percent(-0.0001), "0.0 %"),
        (formats.percent(0.9967, 0), "99.7 %"),
        (formats.percent(0.99999, 0), "99.99 %"),
        (formats.percent(1.0, 0), "100 %"),
        (formats.percent(0.994, 0), "99 %"),
        (formats.percent(1e38), "1.00 × 10⁴⁰ %"),
        (formats.percent_change(-1e-6, 1, 0.001), "0.0 ± 0.1 %"),
        (formats.percent_change(-4e-4, 1, 4e-4), "−0.04 ± 0.04 %"),
        (formats.percent_change(-4e-5, 1, 4e-5), "no change within 0.01 %"),
        (formats.percent_change(0.0, 1, 0.0), "no change within 0.1 %"),
        (formats.percent_change(0.02, 1, 4e-5), "+2.02 ± 0.01 %"),
        (formats.with_error(-0.004, 0.012), "−0.004 ± 0.012"),
        (formats.with_error(-0.0004, 0.012), "0.000 ± 0.012"),
        (formats.with_error(0.0004, 0.012, plus=True), "0.000 ± 0.012"),
        (formats.with_error(0.04, 0.012, plus=True), "+0.040 ± 0.012"),
        (formats.with_error(-0.04, 0.012, plus=True), "−0.040 ± 0.012"),
        (formats.with_error(3.0, math.inf, plus=True), "+3.00"),
        (formats.percent_change(math.log(1.019), 1, 0.006), "+1.9 ± 0.6 %"),
        (formats.percent_change(math.log(6e35), 1), "+6.00 × 10³⁷ %"),
        (formats.percent_change(1e9), "more than +1.0 × 10³⁰⁶ %"),
        (formats.size(0), "0 bytes"),
        (formats.size(999), "999 bytes"),
        (formats.size(12_345), "12.3 kB"),
        (formats.size(100_000_000), "100.0 MB"),
        (formats.size(1_500_000_000_000), "1.50 TB"),
        (formats.times(math.nan), ""),
    ],
)
def test_numbers_in_words(text: str, expected: str) -> None:
    assert text == expected


@pytest.mark.parametrize(
    ("device", "precisions", "text"),
    [
        ("cpu", {}, "CPU (Fast Chip)"),
        ("cpu", {"cuda": "float16"}, "CPU (Fast Chip)"),
        ("cuda", {"cuda": "float32"}, "CUDA (Big GPU)"),
        ("cuda", {"cuda": "float16"}, "CUDA (Big GPU), half precision"),
    ],
)
def test_a_device_with_its_own_chip(device: str, precisions: dict[str, Precision], text: str) -> None:
    machine = Machine(
        platform="Linux", cpu="Fast Chip", logical_cores=2, memory_bytes=1, gpus=["Big GPU", "Big GPU"]
    )
    manifest = make_manifest(8, 4).model_copy(
        update={"device": device, "machine": machine, "precisions": precisions}
    )
    assert formats.device(manifest) == text


@pytest.mark.parametrize(
    ("n_bytes", "alone", "beside_large"),
    [
        (676.3e6, "676.3 MB", "0.676 GB"),
        (1.65e9, "1.65 GB", "1.65 GB"),
        (9.9e6, "9.9 MB", "9.9 MB"),
        (-12e6, "−12.0 MB", "−0.012 GB"),
        (math.nan, "n/a", "n/a"),
    ],
)
def test_sizes_beside_a_large_one_are_in_gigabytes(n_bytes: float, alone: str, beside_large: str) -> None:
    assert formats.size(n_bytes) == alone
    with formats.in_one_unit([1e6, None, 1e9]):
        assert formats.size(n_bytes) == beside_large
        with formats.in_one_unit([1e6]):
            assert formats.size(n_bytes) == alone
    assert formats.size(n_bytes) == alone


def test_a_quantity_stays_on_one_line() -> None:
    text = formats.unbroken(
        "Run main Q8_0: 1.89 GB, +1.9 ± 0.7 % perplexity, 11.3 tokens/s; 2 files, 5.76 bits"
    )
    assert text.split(" ") == [
        "Run", "main", "Q8_0:", "1.89\u00a0GB,", "+1.9\u00a0±\u00a00.7\u00a0%", "perplexity,", "11.3\u00a0tokens/s;",
        "2", "files,", "5.76\u00a0bits",
    ]  # fmt: skip


def test_a_range_has_its_unit_once() -> None:
    assert formats.span("4.80 bits", "5.00 bits") == "4.80–5.00 bits"
    assert formats.span("0.999 MB", "1.01 GB") == "0.999 MB–1.01 GB"
    assert formats.span("5.00 bits", "5.00 bits") == "5.00 bits"


def test_one_thing_is_no_plural() -> None:
    assert [formats.plural(count, "file") for count in (0, 1, 2)] == ["0 files", "1 file", "2 files"]
