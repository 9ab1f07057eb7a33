"""View 4's title says what a faster file gains and loses, or that speed does not separate the files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from results_factory import make_results

from dashboard.insights import Insight, speed_titles
from dashboard.insights.answers import Answers
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.style import formats
from dashboard.views import registry

SPEED = next(view for view in registry() if view.id == "speed")
OWN, OTHER = "main-q8_0", "main-q4_0"
#: p10, median and p90 in ms: 50 tokens/s; about as fast; twice as fast.
SLOW, LIKE_SLOW, FAST = (19.0, 20.0, 21.0), (18.0, 19.0, 20.0), (9.0, 10.0, 11.0)
Times = tuple[float, float, float]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("speeds")
    return make_results(made, methods=("main",), quants=("Q4_0", "Q8_0"), with_layers=False)


def scope(folder: Path, own: Times, other: Times, **filters: Any) -> Scope:
    """Q8_0 is the recommended file, Q4_0 the other."""
    path = folder / "variants.parquet"
    times = {OWN: own, OTHER: other}
    changes = [
        pl.coalesce(
            *(pl.when(pl.col("variant_id") == name).then(values[place]) for name, values in times.items()),
            pl.col(f"decode_ms_p{percent}"),
        ).alias(f"decode_ms_p{percent}")
        for place, percent in enumerate((10, 50, 90))
    ]
    pl.read_parquet(path).with_columns(changes).write_parquet(path)
    return Scope(Results.open(folder), Selection.of(**filters))


def shaded(scope: Scope) -> tuple[list[tuple[float, float]], set[str]]:
    """Ranges that are shaded, and all notes."""
    layout = SPEED.draw(scope).layout
    bands = [(shape["x0"], shape["x1"]) for shape in layout.get("shapes", []) if shape["type"] == "rect"]
    return bands, {note["text"] for note in layout["annotations"]}


def test_what_a_faster_file_gains_and_loses(folder: Path) -> None:
    found = scope(folder, SLOW, FAST)
    assert Answers.of(found).chosen["variant_id"] == OWN  # type: ignore[index]  # there is one
    own, other = (next(row for row in found.rows if row["variant_id"] == name) for name in (OWN, OTHER))
    ratio = formats.number(other["kld_mean"] / own["kld_mean"])
    assert SPEED.headline(found) == (
        "main Q4_0 decodes 2.00 × as fast as the recommended main Q8_0 (100 tokens/s against 50.0 tokens/s), "
        f"at {ratio} × its loss"
    )
    bands, notes = shaded(found)
    assert bands == [(pytest.approx(50), pytest.approx(100))]
    assert "2.00 × as fast" in notes


def test_speed_that_does_not_separate_files(folder: Path) -> None:
    found = scope(folder, SLOW, LIKE_SLOW)
    than = "main Q8_0, the recommended file (50.0 tokens/s)"
    assert SPEED.headline(found) == f"No file decodes measurably faster than {than}: choose by loss"
    bands, notes = shaded(found)
    assert bands == [(pytest.approx(1000 / 21), pytest.approx(1000 / 19))]
    assert "p10–p90 of the recommended file" in notes


def test_a_recommended_file_that_is_the_fastest(folder: Path) -> None:
    found = scope(folder, FAST, SLOW)
    assert SPEED.headline(found) == "main Q8_0, the recommended file, also decodes fastest, 100 tokens/s"
    assert shaded(found)[0] == []


def test_one_file_is_no_superlative(folder: Path) -> None:
    assert SPEED.headline(scope(folder, SLOW, FAST, only=[OTHER])) == "main Q4_0 decodes 100 tokens/s"


def test_without_a_recommended_file_the_fastest_is_named(folder: Path) -> None:
    """No file has 1 MB."""
    limits = {"gb": "1 MB"}
    assert (
        SPEED.headline(scope(folder, SLOW, FAST, options=limits)) == "main Q4_0 decodes fastest, 100 tokens/s"
    )
    tied = "No file decodes measurably faster than main Q4_0 (52.6 tokens/s): choose by loss"
    assert SPEED.headline(scope(folder, SLOW, LIKE_SLOW, options=limits)) == tied


def test_of_files_as_fast_as_the_fastest_the_closest_is_named(tmp_path: Path) -> None:
    """Q4_0 decodes 100 tokens/s and Q6_K about as many; Q8_0 decodes 50 and is recommended."""
    made = make_results(tmp_path, methods=("main",), quants=("Q4_0", "Q6_K", "Q8_0"), with_layers=False)
    frame = pl.read_parquet(made / "variants.parquet")
    mine = pl.col("variant_id") == "main-q6_k"
    times = dict(zip(("decode_ms_p10", "decode_ms_p50", "decode_ms_p90"), (9.5, 10.5, 11.5), strict=True))
    frame.with_columns(
        *(pl.when(mine).then(value).otherwise(pl.col(name)).alias(name) for name, value in times.items()),
        # Without a perplexity it cannot be recommended.
        pl.when(mine).then(None).otherwise(pl.col("ln_ppl_ratio")).alias("ln_ppl_ratio"),
    ).write_parquet(made / "variants.parquet")
    title = SPEED.headline(scope(made, SLOW, FAST))
    assert title.startswith("main Q6_K decodes 1.90 × as fast as the recommended main Q8_0 (95.2 tokens/s ")


def test_the_shaded_range_of_files_of_which_one_was_timed_in_other_rounds(tmp_path: Path) -> None:
    """Q4_0 was timed in turn with Q8_0, the recommended file, and is as fast in each round; Q6_K later."""
    made = make_results(tmp_path, methods=("main",), quants=("Q4_0", "Q6_K", "Q8_0"), with_layers=False)
    later = pl.when(pl.col("variant_id") == "main-q6_k").then(5).otherwise(0)
    seconds = 0.6 + 0.1 * pl.col("repetition") + 0.001 * pl.col("seconds")
    pl.read_parquet(made / "speed.parquet").with_columns(
        seconds=seconds, context=pl.lit(512), round=(pl.col("repetition") + later).cast(pl.UInt32)
    ).write_parquet(made / "speed.parquet")
    variants = pl.read_parquet(made / "variants.parquet")
    variants.with_columns(decode_ms_p10=20.0, decode_ms_p50=21.0, decode_ms_p90=22.0).write_parquet(
        made / "variants.parquet"
    )
    found = scope(made, SLOW, SLOW)
    assert "measurably faster than main Q8_0, the recommended file" in SPEED.headline(found)
    ((low, high),), notes = shaded(found)
    assert 49 < low < 50 < high < 51
    assert "level with the recommended file" in notes


def said(scope: Scope) -> Insight:
    return next(item for item in SPEED.insights(scope) if "orth running for decode speed" in item.text)


def test_only_measurably_faster_files_are_worth_running_for_speed(folder: Path) -> None:
    faster = said(scope(folder, SLOW, FAST))
    assert (faster.kind, faster.text) == ("finding", "Worth running for decode speed: main Q4_0.")
    assert faster.detail.startswith("measurably faster than main Q8_0; ")
    level = said(scope(folder, SLOW, LIKE_SLOW))
    none = "No file is worth running for decode speed alone: none is measurably faster than main Q8_0."
    assert (level.kind, level.text) == ("tie", none)
    fastest = said(scope(folder, FAST, SLOW))
    assert (fastest.kind, fastest.text) == ("finding", "Worth running for decode speed: main Q8_0.")


@pytest.mark.parametrize("phase", ["decode", "prefill"])
def test_what_all_variants_lack_is_said(tmp_path: Path, phase: str) -> None:
    """The folder has times and no token files, so that a filter of texts leaves no divergence."""
    made = make_results(tmp_path, methods=("main",), quants=("Q4_0",), with_layers=False)
    shutil.rmtree(made / "tokens")
    shown = {"phase": phase}
    found = Scope(Results.open(made), Selection.of(domains=["code"], options=shown))
    lacking = f"No selected variant with a {phase} time has a mean KLD over the filtered tokens"
    assert SPEED.headline(found) == lacking
    assert lacking in {note["text"] for note in SPEED.draw(found).layout["annotations"]}
    column = {"decode": "decode_ms_p50", "prefill": "prefill_tps"}[phase]
    frame = pl.read_parquet(made / "variants.parquet")
    for missing, said in (
        ("kld_mean", f"No selected variant with a {phase} time has a mean KLD"),
        (column, f"No selected variant has a {phase} time"),
    ):
        frame.with_columns(pl.lit(None, pl.Float64).alias(missing)).write_parquet(made / "variants.parquet")
        assert SPEED.headline(Scope(Results.open(made), Selection.of(options=shown))) == said


def test_files_that_look_broken_are_not_called_untimed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed_titles, "sound", lambda _results, _rows: [])
    assert SPEED.headline(scope(folder, SLOW, FAST)) == "Every selected variant looks broken"
