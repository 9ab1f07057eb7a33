"""Claims of view 3 are judged by a measure that the compared files share, and say which and of which types."""

from __future__ import annotations

import math
from pathlib import Path

import polars as pl
import pytest
from results_factory import make_results

from dashboard.insights import Claim
from dashboard.insights.claims import every
from dashboard.insights.claims.layers import harder
from dashboard.results.one_model import one_model
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.results.statistics import Estimate

SAMPLE = Path(__file__).parents[5] / "sample_results"
QUANTS = ("Q4_K_M", "Q8_0")


def folder_with(folder: Path, attributed: tuple[str, ...], layers_of: tuple[str, ...]) -> Results:
    """Return a folder whose layers frame has the methods `layers_of`, and attributions of `attributed`."""
    path = make_results(folder, quants=QUANTS, windows=4, with_attribution=True) / "layers.parquet"
    method = pl.col("variant_id").str.split("-").list.first()
    kept = pl.when(method.is_in(attributed)).then(pl.col("attribution_kld")).otherwise(None)
    frame = pl.read_parquet(path).filter(method.is_in(layers_of)).with_columns(attribution_kld=kept)
    frame.write_parquet(path)
    return Results.open(folder)


def judged(results: Results, selection: Selection | None = None) -> dict[str, Claim]:
    claims = dict(every(Scope(results, selection or Selection())))["layers"]
    return {claim.text.split()[0]: claim for claim in claims}


ALL = ("bartowski", "main", "unsloth")


def test_an_attribution_of_one_method_stops_no_claim(tmp_path: Path) -> None:
    some, none = (
        judged(folder_with(tmp_path / str(len(methods)), methods, ALL)) for methods in (("main",), ())
    )
    assert some == none
    assert "untestable" not in {claim.verdict for claim in some.values()}
    assert "attention / feed-forward by weight error, Q4_K_M" in some["Attention"].evidence
    assert all(method in some["Attention"].evidence for method in ALL)


def test_an_attribution_of_all_methods_decides(tmp_path: Path) -> None:
    claims = judged(folder_with(tmp_path, ALL, ALL))
    assert all(" by attribution, Q4_K_M" in claim.evidence for claim in claims.values())


def test_a_method_without_measured_layers_is_named(tmp_path: Path) -> None:
    claims = judged(folder_with(tmp_path, (), ("main", "unsloth")))
    assert claims["main's"].verdict == "untestable"
    assert (
        claims["main's"].evidence == "Missing: weight error of a file of bartowski: run without --no-layers."
    )
    assert claims["Attention"].evidence.endswith(" Not measured of bartowski.")
    assert "bartowski" not in claims["unsloth's"].evidence


@pytest.mark.parametrize("model", ["Qwen2.5-Coder-1.5B-Instruct", "SmolLM2-135M-Instruct"])
def test_the_sample_is_judged_by_what_all_its_files_have(model: str) -> None:
    part, selection = one_model(Selection.of(models=[model]), Results.open(SAMPLE))
    claims = judged(part, selection)
    assert all(" by weight error" in claim.evidence for claim in claims.values())
    assert "untestable" not in {claim.verdict for claim in claims.values()}
    assert " by weight error, UD-" in claims["unsloth's"].evidence, "of the files that the sentence is about"
    assert "UD-" not in claims["main's"].evidence


@pytest.mark.parametrize(
    ("ratios", "verdict", "words"),
    [
        ({"a": (0.2, 0.01), "b": (0.03, 0.01)}, "holds", "e"),
        ({"a": (0.2, 0.01), "b": (-0.2, 0.01)}, "fails", "e"),
        ({"a": (0.2, 0.01), "b": (0.0, 0.06)}, "unknown", "e"),  # up to e^0.12 = 1.12 ×
        ({"a": (0.2, 0.01), "b": (0.0, 0.04)}, "fails", "e The interval of b excludes 1.10 ×."),
        ({"a": (0.0, 0.04), "b": (0.0, 0.01)}, "fails", "e The interval of a and b excludes 1.10 ×."),
        ({"a": (0.0, math.inf)}, "unknown", "e"),
    ],
)
def test_what_is_hit_no_more_than_slightly_harder_is_decided(
    ratios: dict[str, tuple[float, float]], verdict: str, words: str
) -> None:
    """Log ratios with their errors; 95 % intervals are 1.96 errors wide on each side."""
    values = {method: Estimate(*ratio) for method, ratio in ratios.items()}
    below = {method: value.times(-1) for method, value in values.items()}
    claim, turned = harder("c", values, "e", more=True), harder("c", below, "e", more=False)
    assert (claim.verdict, claim.evidence) == (verdict, words)
    assert (turned.verdict, turned.evidence) == (verdict, words.replace("1.10", "0.909"))
