"""Headlines and insights follow the switches of their view, and say only what the numbers bear out."""

from __future__ import annotations

import math
from pathlib import Path

import polars as pl
import pytest
from results_factory import N_PARAMS, make_results

from dashboard import formats
from dashboard.insights.comparison import Ranking
from dashboard.insights.statistics import Estimate
from dashboard.results import Results
from dashboard.selection import EVERYTHING, Selection
from dashboard.views import View, registry
from dashboard.views.degradation import _kept_at

VIEWS = {view.id: view for view in registry()}


@pytest.fixture(scope="module")
def three(three_methods: Path) -> Results:
    return Results.open(three_methods)


def words(view: View, results: Results, selection: Selection) -> str:
    said = view.insights(results, selection)
    parts = [view.headline(results, selection), *(f"{insight.text} {insight.detail}" for insight in said)]
    return "\n".join(parts)


def test_speed_speaks_of_the_phase_shown(three: Results) -> None:
    speed = VIEWS["speed"]
    prefill = words(speed, three, Selection.of(options={"phase": "prefill"}))
    fastest = three.measured.sort("prefill_tps", descending=True).row(0, named=True)
    rate = formats.number(fastest["prefill_tps"])
    assert prefill.startswith(f"{fastest['label']} prefills fastest, {rate} tokens per second; ")
    assert "at least 5 prefill repetitions" in prefill
    assert "decod" not in prefill
    assert "ms" not in prefill.split()
    decode = words(speed, three, EVERYTHING)
    assert "decodes fastest" in decode
    assert "ms per token" in decode
    assert "prefill" not in decode


def test_prefill_of_the_fastest_is_tied_only_where_ranges_overlap(tmp_path: Path) -> None:
    results = Results.open(make_results(tmp_path, methods=("main",), quants=("Q4_0", "Q8_0"), windows=4))
    prefill = Selection.of(options={"phase": "prefill"})
    assert VIEWS["speed"].headline(results, prefill).endswith("; 1 more are within its spread")


@pytest.mark.parametrize(
    ("measure", "name"), [("weight", "weight error"), ("attribution", "KLD of this part")]
)
def test_a_single_role_is_named_with_its_value(tmp_path: Path, measure: str, name: str) -> None:
    folder = make_results(tmp_path, methods=("main",), quants=("Q4_0",), windows=4, with_attribution=True)
    selection = Selection.of(roles=["attn_v"], options={"measure": measure})
    title = VIEWS["layers"].headline(Results.open(folder), selection)
    column = "weight_error" if measure == "weight" else "attribution_kld"
    frame = pl.read_parquet(folder / "layers.parquet").filter(pl.col("role").cast(pl.String) == "attn_v")
    assert title.startswith("attn_v, the only role shown: ")
    assert name in title
    assert formats.number(sum(frame[column]) / frame.height) in title
    assert title.endswith("nats on average") == (measure == "attribution")


def test_the_layers_caption_says_what_every_measure_is() -> None:
    view = VIEWS["layers"]
    names = [text for _, text in view.options[0].choices]
    assert all(f"{name}: " in view.caption.lower() for name in names)


def test_a_strip_names_its_measure(three: Results) -> None:
    drawn = VIEWS["layers"].figure(three, Selection.of(options={"measure": "hidden"}))
    assert drawn.data[0].customdata[0][0][3].startswith("relative output error 0.")


def altered(folder: Path, **columns: pl.Expr) -> Results:
    """Two variants of `main` with other values in the variants frame; the baseline keeps its own."""
    make_results(folder, methods=("main",), quants=("Q4_0", "Q8_0"), windows=4)
    path = folder / "variants.parquet"
    frame = pl.read_parquet(path)
    changes = {
        name: pl.when("is_baseline").then(pl.col(name)).otherwise(values) for name, values in columns.items()
    }
    frame.with_columns(**changes).write_parquet(path)
    return Results.open(folder)


def test_a_variant_equal_to_the_baseline_diverges_nowhere(tmp_path: Path) -> None:
    make_results(tmp_path, methods=("main",), quants=("Q8_0",), windows=4)
    assert "diverges most" in words(VIEWS["confidence"], Results.open(tmp_path), EVERYTHING)
    path = tmp_path / "tokens" / "main-q8_0.parquet"
    zero = pl.lit(0.0, dtype=pl.Float32)
    pl.read_parquet(path).with_columns(kld=zero).write_parquet(path)
    assert "diverges" not in words(VIEWS["confidence"], Results.open(tmp_path), EVERYTHING)


@pytest.mark.parametrize(("smaller", "told"), [(0.1, True), (-0.1, False), (0.0, False)])
def test_a_step_that_gains_is_not_dear(tmp_path: Path, smaller: float, told: bool) -> None:
    rise = pl.when(pl.col("quant") == "Q4_0").then(smaller).otherwise(0.0)
    results = altered(tmp_path, ln_ppl_ratio=rise)
    assert ("dearest step" in words(VIEWS["ppl-bits"], results, EVERYTHING)) == told


@pytest.mark.parametrize(
    ("share", "how"),
    [
        (0.25, "4.0 × smaller"),
        (0.95, "5 % smaller"),
        (0.998, "0.20 % smaller"),
        (1.0, "no smaller"),
        (1.1, "no smaller"),
    ],
)
def test_a_file_hardly_smaller_is_so_in_per_cent(tmp_path: Path, share: float, how: str) -> None:
    whole = N_PARAMS * 16 // 8
    results = altered(tmp_path, size_bytes=pl.lit(round(whole * share)))
    assert f", is {how} than the baseline." in words(VIEWS["size"], results, EVERYTHING)


@pytest.mark.parametrize(
    ("second", "share"), [(0.75, "75 to 77 %"), (0.7699, "about 77 %")], ids=["apart", "alike"]
)
def test_tied_methods_keep_a_range(second: float, share: str) -> None:
    kept = {"unsloth": 0.77, "bartowski": second, "main": 0.6}
    values = {method: Estimate(-math.log(value), 0.0) for method, value in kept.items()}
    best = values["unsloth"]
    errors = {"bartowski": 1.0, "main": 0.001}
    gaps = {method: Estimate(values[method].value - best.value, errors[method]) for method in errors}
    title = _kept_at(3.0, Ranking(values, gaps))
    assert title == f"At 3.00 bits unsloth and bartowski keep {share} of the accuracy, main 60 %"


def test_parallel_coordinates_are_told_of_all_variants(tmp_path: Path) -> None:
    quants = ("Q2_K", "Q4_0", "Q6_K", "Q8_0")
    make_results(tmp_path, methods=("bartowski", "main"), quants=quants, windows=4)
    path = tmp_path / "variants.parquet"
    worst = pl.col("variant_id") == "main-q2_k"
    worse = {
        "ln_ppl_ratio": 9.0,
        "kld_mean": 9.0,
        "same_top": 0.0,
        "size_bytes": 10**12,
        "inv_ppl_per_mb": 1e-12,
        "decode_ms_p50": 1e6,
    }
    changes = {
        name: pl.when(worst).then(pl.lit(value)).otherwise(pl.col(name)) for name, value in worse.items()
    }
    pl.read_parquet(path).with_columns(**changes).write_parquet(path)
    results = Results.open(tmp_path)
    radar = words(VIEWS["radar"], results, EVERYTHING)
    parallel = words(VIEWS["radar"], results, Selection.of(options={"form": "parallel"}))
    assert "Shown: bartowski Q4_0 and main Q4_0." in radar
    assert "main Q2_K" not in radar
    assert "Shown:" not in parallel
    assert "Beaten on every axis: main Q2_K (by " in parallel
