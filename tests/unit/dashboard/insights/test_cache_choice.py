"""What types of the cache add, save and cost, and where another one wins at equal memory."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest
from cache_results import FIVE, FOUR, LOSSES, make_cache_results

from dashboard.insights.cache_choice import Setting, headline, statements, wins
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from evaluator.results.schema import Memory, frame_of

#: Bytes at 4,096 tokens: a file of 81.84375 or 96.01875 MB, and 40.96 MB of f16 or 21.76 MB of q8_0.
FOUR_F16, FIVE_F16 = 122_803_750, 136_978_750


def scope_of(folder: Path, losses: Mapping[str, Mapping[str, float | None]] = LOSSES) -> Scope:
    return Scope(Results.open(make_cache_results(folder, losses)))


def test_a_larger_file_with_a_smaller_cache_wins(tmp_path: Path) -> None:
    scope = scope_of(tmp_path)
    setting = Setting.of(scope, "kld", 4096)
    first, *others = wins(scope, setting)
    assert (first.better["variant_id"], first.better["cache_type"]) == (FIVE, "q8_0")
    assert (first.other["variant_id"], first.other["cache_type"]) == (FOUR, "f16")
    assert (first.low, first.high) == (FOUR_F16, FIVE_F16)
    assert others == []
    title = "main Q5_K_M with q8_0 cache beats main Q4_K_M with f16 from 122.8 MB to 137.0 MB (4k context)"
    assert headline(scope, setting) == title
    assert statements(scope, setting)[1].text == f"{title.removesuffix(' (4k context)')}."


def test_a_lead_within_the_error_of_the_files_difference_is_no_win(tmp_path: Path) -> None:
    scope = scope_of(tmp_path, LOSSES | {FOUR: {"f16": 0.0605, "q8_0": 0.061, "q4_0": 0.09}})
    setting = Setting.of(scope, "kld", 4096)
    assert wins(scope, setting) == []
    assert headline(scope, setting) == (
        "At 4k context, no other cache than f16 wins at equal memory by more than the error"
    )
    assert statements(scope, setting)[1].kind == "tie"


def test_a_file_does_not_beat_itself_with_the_usual_cache(tmp_path: Path) -> None:
    kinds = {"f16": 0.16, "q8_0": 0.05}
    scope = scope_of(tmp_path, {FOUR: kinds})
    assert wins(scope, Setting.of(scope, "kld", 4096)) == []


def test_the_same_with_perplexity(tmp_path: Path) -> None:
    scope = scope_of(tmp_path, {FOUR: {"f16": 1.5, "q8_0": 1.5}, FIVE: {"f16": 0.6, "q8_0": 0.61}})
    setting = Setting.of(scope, "ppl", 4096)
    assert headline(scope, setting).startswith("main Q5_K_M with q8_0 cache beats main Q4_K_M with f16 from")
    added = next(item for item in statements(scope, setting) if item.text.startswith("Added"))
    # 8.61 / 8.6 and 9.5 / 9.5: the mean of the logarithms is 0.00058.
    assert added.text == "Added to the perplexity against f16: q8_0 +0.06 % (0.00 % to +0.12 %)."


def test_what_each_type_adds_saves_and_takes(tmp_path: Path) -> None:
    scope = scope_of(tmp_path)
    said = [item.text for item in statements(scope, Setting.of(scope, "kld", 4096))]
    assert said[0].startswith(
        "By memory, the best cache is q4_0 from 93.4 MB (main Q4_K_M), q8_0 from 103.6 MB"
    )
    assert said[0].endswith("and f16 from 137.0 MB (main Q5_K_M).")
    assert said[2:] == [
        "Added to the mean KLD from the baseline against f16: q8_0 +0.0015 nats (+0.0010 to +0.0020) and "
        "q4_0 +0.035 nats (+0.030 to +0.040).",
        "Saved per 1,000 tokens against f16: q8_0 4.7 MB (47 %) and q4_0 7.2 MB (72 %).",
        "Decode time against f16: q8_0 1.10 × and q4_0 1.20 ×.",
        "Decode time after 4,096 tokens against f16: q8_0 0.900 × and q4_0 0.800 ×.",
    ]


def test_the_filter_of_tokens_does_not_change_losses_as_run(tmp_path: Path) -> None:
    scope = scope_of(tmp_path)
    unsure = Scope(scope.results, Selection.of(bins=[0]))
    setting = Setting.of(unsure, "kld", 4096)
    assert headline(unsure, setting) == headline(scope, Setting.of(scope, "kld", 4096))


def memory_rows(variant_id: str, buffers: int | None) -> list[dict[str, object]]:
    """Return what a file takes up to 32,768 tokens, in which the cache grows to 100 to 400 MB."""
    return [
        {
            "variant_id": variant_id,
            "engine": "llama.cpp",
            "cache_type": kind,
            "context": context,
            "weights_bytes": 90_000_000,
            "cache_bytes": size * context // 32_768,
            "compute_bytes": buffers,
        }
        for kind, size in (("f16", 400_000_000), ("q8_0", 200_000_000), ("q4_0", 100_000_000))
        for context in (0x1000, 0x8000)
    ]


def test_memory_is_the_measured_one_with_buffers(tmp_path: Path) -> None:
    folder = make_cache_results(tmp_path)
    rows = [row for name in (FOUR, FIVE) for row in memory_rows(name, 7_000_000)]
    frame_of(Memory, rows).write_parquet(folder / "memory.parquet")
    scope = Scope(Results.open(folder))
    setting = Setting.of(scope, "kld", 16_384)
    found = {(row["variant_id"], row["cache_type"]): setting.bytes_of(row) for row in setting.rows}
    assert found[FIVE, "q8_0"] == 90e6 + 100e6 + 7e6
    assert setting.counted == "file, cache and buffers"
    saved = next(item for item in statements(scope, setting) if item.text.startswith("Saved"))
    assert saved.detail == "at 16k context: q8_0 100.0 MB and q4_0 150.0 MB; mean over files"
    assert Setting.of(scope, "kld", 131_072).counted == "file and cache"


@pytest.mark.parametrize(("names", "buffers"), [((FOUR,), 7_000_000), ((FOUR, FIVE), None)])
def test_memory_of_some_files_or_without_buffers_is_not_mixed_with_others(
    tmp_path: Path, names: tuple[str, ...], buffers: int | None
) -> None:
    folder = make_cache_results(tmp_path)
    rows = [row for name in names for row in memory_rows(name, buffers)]
    frame_of(Memory, rows).write_parquet(folder / "memory.parquet")
    setting = Setting.of(Scope(Results.open(folder)), "kld", 4096)
    four = next(row for row in setting.rows if (row["variant_id"], row["cache_type"]) == (FOUR, "f16"))
    assert setting.bytes_of(four) == FOUR_F16
    assert setting.counted == "file and cache"


def test_one_type_alone(tmp_path: Path) -> None:
    scope = scope_of(tmp_path, {name: {"f16": kinds["f16"]} for name, kinds in LOSSES.items()})
    setting = Setting.of(scope, "kld", 4096)
    assert headline(scope, setting) == "Files with f16 cache take 122.8 MB to 137.0 MB (4k context)"
    assert len(statements(scope, setting)) == 1


@pytest.mark.parametrize("losses", [{FOUR: {"f16": None}}, {}])
def test_without_a_loss(tmp_path: Path, losses: Mapping[str, Mapping[str, float | None]]) -> None:
    scope = scope_of(tmp_path, losses or LOSSES)
    if not losses:
        scope = scope.narrowed(quants=frozenset({"Q2_K"}))
    setting = Setting.of(scope, "kld", 4096)
    assert headline(scope, setting) == "No selected variant was run with types of the cache"
    assert statements(scope, setting) == []


def test_without_times_nothing_is_said_about_them(tmp_path: Path) -> None:
    path = make_cache_results(tmp_path) / "kv_cache.parquet"
    nothing = pl.lit(None, pl.Float64)
    frame = pl.read_parquet(path).with_columns(decode_ms_p50=nothing, decode_deep_ms_p50=nothing)
    frame.write_parquet(path)
    scope = Scope(Results.open(tmp_path))
    assert not [item for item in statements(scope, Setting.of(scope, "kld", 4096)) if "Decode" in item.text]
