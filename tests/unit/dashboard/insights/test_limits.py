"""Limits as people type them."""

import pytest

from dashboard.insights.advising import Need
from dashboard.insights.limits import need, problems
from dashboard.results.selection import Selection


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [
        ("6", 6e9),
        ("6 GB", 6e9),
        ("6GB", 6e9),
        ("6g", 6e9),
        ("6,5 GB", 6.5e9),
        (" 6.5 gb ", 6.5e9),
        ("100 MB", 100e6),
        ("600MB", 600e6),
        ("512 MiB", 512 * 1024**2),
        ("1.5 GiB", 1.5 * 1024**3),
        ("0,25 TB", 250e9),
    ],
)
def test_room_is_read_with_its_unit(text: str, n_bytes: float) -> None:
    selection = Selection.of(options={"gb": text})
    assert need(selection).budget_gb == pytest.approx(n_bytes / 1e9)
    assert problems(selection) == {}


def test_speed_and_quality_are_read_with_their_units() -> None:
    found = need(Selection.of(options={"tps": "20 tokens/s", "rise": "2,5 %"}))
    assert (found.min_tps, found.floor) == (20, pytest.approx(0.025))


@pytest.mark.parametrize(
    "text", ["20", "20/s", "20 / s", "20 tok/s", "20 tokens / sec", "20 T/S", "20 tokens per second"]
)
def test_speed_is_read_however_it_is_written(text: str) -> None:
    assert need(Selection.of(options={"tps": text})).min_tps == 20


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("16k", 16384),
        ("16K tokens", 16384),
        ("1.5k", 1536),
        ("1m", 1048576),
        ("16384", 16384),
        ("8,192 tokens", 8192),
        ("1,048,576", 1048576),
        ("131.072", 131072),
        ("1", 1),
    ],
)
def test_a_context_is_read_in_tokens_of_which_a_k_is_1024(text: str, tokens: int) -> None:
    selection = Selection.of(options={"context": text})
    assert need(selection) == Need(context=tokens)
    assert problems(selection) == {}


@pytest.mark.parametrize(
    ("key", "text", "says"),
    [
        ("gb", "1,000 MB", "may mean thousands or decimals: write it without a comma"),
        ("gb", "small", "“small” is not understood: write 6 GB or 600 MB"),
        ("gb", "6 GW", "is not understood"),
        ("gb", "6 GB 2", "is not understood"),
        ("gb", "-3", "is not understood"),
        ("gb", "nan", "is not understood"),
        ("gb", "1.000.000 MB", "is not understood"),
        ("gb", "0 MB", "must be above 0: write 6 GB or 600 MB"),
        ("context", "long", "“long” is not understood: write 4k or 4,096"),
        ("context", "16 GB", "is not understood"),
        ("context", "0.1", "must be above 0: write 4k or 4,096"),
        ("tps", "20 s", "is not understood"),
        ("tps", "fast", "“fast” is not understood: write 20"),
        ("rise", "3 GB", "“3 GB” is not understood: write 3 %"),
    ],
)
def test_what_is_not_understood_is_no_limit_and_said(key: str, text: str, says: str) -> None:
    selection = Selection.of(options={key: text})
    assert need(selection) == Need()
    assert says in problems(selection)[key]
