"""Headlines and insights follow the switches of their view, and say only what the numbers bear out."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from mixture_results import make_mixture_results
from results_factory import N_PARAMS, make_results
from variant_rows import NONE, step
from variant_rows import row as variant

from dashboard.insights.answers import Answers
from dashboard.insights.bands import bands
from dashboard.insights.confidence_findings import lost
from dashboard.insights.loss_titles import Fit, cost_of_a_bit, shares_at
from dashboard.insights.token_changes import narrowest
from dashboard.results.results import Results
from dashboard.results.rows import Row
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING, Selection
from dashboard.results.statistics import Estimate
from dashboard.results.token_summaries import DeltaSummary, delta_summary
from dashboard.style import formats
from dashboard.views import View, registry
from dashboard.views.ppl_bits import _costliest_step

VIEWS = {view.id: view for view in registry()}


@pytest.fixture(scope="module")
def three(three_methods: Path) -> Results:
    return Results.open(three_methods)


def words(view: View, results: Results, selection: Selection) -> str:
    said = view.insights(Scope(results, selection))
    parts = [
        view.headline(Scope(results, selection)),
        *(f"{insight.text} {insight.detail}" for insight in said),
    ]
    return "\n".join(parts)


def test_speed_speaks_of_the_phase_shown(three: Results) -> None:
    speed = VIEWS["speed"]
    prefill = words(speed, three, Selection.of(options={"phase": "prefill"}))
    own = Answers.of(Scope(three, EVERYTHING)).chosen
    assert own is not None
    than = f"{own['label']}, the recommended file ({formats.number(own['prefill_tps'])} tokens/s)"
    assert prefill.startswith(f"No file prefills measurably faster than {than}: choose by loss")
    assert "at least 5 prefill repetitions" in prefill
    assert "decod" not in prefill
    decode = words(speed, three, EVERYTHING)
    rate = formats.number(1000 / three.measured["decode_ms_p50"].min())
    assert f"({rate} tokens/s against {formats.number(1000 / own['decode_ms_p50'])} tokens/s)" in decode
    assert not {"ms", "s"} & set(f"{prefill} {decode}".split()), "one unit of speed"
    assert "prefill" not in decode


def test_prefill_is_tied_where_ranges_overlap(tmp_path: Path) -> None:
    results = Results.open(make_results(tmp_path, methods=("main",), quants=("Q4_0", "Q8_0"), windows=4))
    prefill = Selection.of(options={"phase": "prefill"})
    assert VIEWS["speed"].headline(Scope(results, prefill)).endswith(": choose by loss")


@pytest.mark.parametrize(
    ("measure", "name"), [("weight", "weight error"), ("attribution", "KLD of this part")]
)
def test_a_framed_role_is_named_with_its_value(tmp_path: Path, measure: str, name: str) -> None:
    folder = make_results(tmp_path, methods=("main",), quants=("Q4_0",), windows=4, with_attribution=True)
    selection = Selection.of(roles=["attn_v"], options={"measure": measure})
    title = VIEWS["layers"].headline(Scope(Results.open(folder), selection))
    column = "weight_error" if measure == "weight" else "attribution_kld"
    frame = pl.read_parquet(folder / "layers.parquet").filter(pl.col("role").cast(pl.String) == "attn_v")
    mean = formats.number(sum(frame[column]) / frame.height)
    assert title.startswith("Attention values (attn_v): ")
    assert name in title
    assert f"{mean}{' nats' * (measure == 'attribution')} on average, " in title


def choices(view: View) -> tuple[tuple[str, str], ...]:
    return view.options[0].choices


def test_the_layers_caption_says_what_every_measure_is(tmp_path: Path) -> None:
    view = VIEWS["layers"]
    folder = make_mixture_results(tmp_path)
    scopes = [Scope(Results.open(folder), Selection.of(options={"measure": key})) for key, _ in choices(view)]
    for scope, (_, name) in zip(scopes, choices(view), strict=True):
        assert f"{name.lower()}: " in view.captioned(scope).lower()


def test_a_strip_names_its_measure(three: Results) -> None:
    drawn = VIEWS["layers"].figure(Scope(three, Selection.of(options={"measure": "hidden"})))
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


def costliest(*rows: Row) -> str | None:
    found = _costliest_step(Scope(NONE, EVERYTHING), rows)
    return None if found is None else found.text


def test_the_costliest_step_is_priced_with_its_error() -> None:
    rows = (step("Q8", 8, 0.0), step("Q6", 6, 0.01), step("Q4", 4, 0.1))
    # exp(0.09) − 1 = 9.4 %; 1.96 × √2 × 0.001 × exp(0.09) = 0.3 %.
    assert (
        costliest(*rows) == "The costliest step is main Q6 → Q4: +9.4 ± 0.3 % perplexity to save 2.00 bits."
    )


@pytest.mark.parametrize("ratio", [-0.1, 0.0, 0.002])
def test_a_step_that_surely_costs_nothing_is_not_dear(ratio: float) -> None:
    assert costliest(step("Q8", 8, 0.0), step("Q4", 4, ratio)) is None  # ± 0.0028


def test_a_step_is_at_least_a_quarter_bit() -> None:
    near = (step("Q8", 8, 0.0), step("IQ6", 5.99, 0.014), step("Q6", 6, 0.004))
    assert (
        costliest(*near[:2])
        == "The costliest step is main Q8 → IQ6: +1.4 ± 0.3 % perplexity to save 2.01 bits."
    )
    # 0.01 nats for 0.01 bits would be a nat per bit.
    assert costliest(*near[1:]) is None
    assert "Q8 → Q6: +0.4" in (costliest(*near) or "")


def test_a_step_in_several_is_dear_outside_the_bound_of_all() -> None:
    # 0.0030 is outside 1.96 × √2 × 0.001 = 0.0028, inside 2.394 × √2 × 0.001 = 0.0034 of three steps.
    flat = [step(f"Q{bits}", bits, 0.003) for bits in (6, 5, 4)]
    assert costliest(step("Q8", 8, 0.0), flat[0]) is not None
    assert costliest(step("Q8", 8, 0.0), *flat) is None


def test_factors_are_sorted_as_numbers() -> None:
    factors = {"a": Fit([], Estimate(-math.log(10.6), 0.0)), "b": Fit([], Estimate(-math.log(4.2), 0.0))}
    assert "multiplies the divergence by 4.2 to 11, depending" in cost_of_a_bit(factors)


def ridge(label: str, spread: float) -> tuple[Row, DeltaSummary]:
    """Δ log p of 10,000 tokens spread evenly over ±`spread` nats, below zero by a tenth of that."""
    found = delta_summary(np.linspace(-1.1 * spread, 0.9 * spread, 10_001))
    assert found is not None
    return {"label": label, "variant_id": label}, found


def test_the_narrowest_distribution_is_told_by_its_ends() -> None:
    # p1 is 2 % of the half-width above the lower end, p99 as much below the upper one.
    title = narrowest([ridge("a", 1.0), ridge("b", 0.5)])
    middle = "98 % of tokens between −0.54 and +0.44 nats"
    assert title == f"b stays closest to the baseline, token by token: {middle}"
    # The error of a width is 0.0028 of it here.
    tied = narrowest([ridge("a", 1.0), ridge("c", 0.501), ridge("b", 0.5)])
    assert tied.startswith(
        "b and c are tied for closest to the baseline, token by token: 98 % of tokens of b "
    )


def test_sure_tokens_lost_are_the_largest_loss_of_all_variants() -> None:
    loser = (step("Q4", 4, 0.1), Estimate(-0.02, 0.008))
    same = [(step(f"Q{index}", 5, 0.1), Estimate(0.0, 0.008)) for index in range(20)]
    alone = lost(Scope(NONE, EVERYTHING), [loser])
    assert alone is not None
    assert alone.text == "main Q4 loses high-confidence tokens: −2.0 ± 1.6 points."
    # 2.5 errors: the bound of 21 variants is 3.04.
    assert lost(Scope(NONE, EVERYTHING), [loser, *same]) is None


def test_bins_that_grow_do_not_say_where_tokens_went(three: Results) -> None:
    said = words(VIEWS["confidence"], three, EVERYTHING)
    assert " loses the most high-confidence tokens: " in said
    assert "bins that grow, in points: " in said
    assert "go to" not in said


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
    ("error", "title"),
    [
        (0.001, "unsloth is closest; PPL of the baseline / PPL: unsloth 77 %, bartowski 75 % and main 60 %"),
        (
            1.0,
            "unsloth and bartowski are tied; PPL of the baseline / PPL: unsloth 77 %, bartowski 75 % and main 60 %",
        ),
    ],
)
def test_ratios_of_perplexity_are_those_of_measured_files(error: float, title: str) -> None:
    kept = {"unsloth": (0.77, 0.001), "bartowski": (0.75, error), "main": (0.6, 0.001)}
    rows = [
        variant(name, "Q4", 3.0, 1 / share - 1, kld_mean=-math.log(share), kld_se=se)
        for name, (share, se) in kept.items()
    ]
    (band,) = bands(Scope(NONE, EVERYTHING), rows)
    assert shares_at(band) == f"At 3.0 MB (3.00 bits) {title}"


def test_parallel_coordinates_are_told_of_all_variants(tmp_path: Path) -> None:
    quants = ("Q2_K", "Q4_0", "Q6_K", "Q8_0")
    make_results(tmp_path, methods=("bartowski", "main"), quants=quants, windows=4)
    path = tmp_path / "variants.parquet"
    worst = pl.col("variant_id") == "main-q2_k"
    worse = {
        "ln_ppl_ratio": 6.0,
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
    assert "Shown: " in radar
    assert "main Q2_K" not in radar
    assert "Shown:" not in parallel
    assert "Behind on every axis, on some by more than the error: main Q2_K (behind " in parallel
    timed_alone = pl.when(worst).then(pl.lit(1e-3)).otherwise(None)
    pl.read_parquet(path).with_columns(decode_ms_p50=timed_alone).write_parquet(path)
    alone = words(VIEWS["radar"], Results.open(tmp_path), Selection.of(options={"form": "parallel"}))
    assert "main Q2_K (behind" not in alone
