"""Statements on routing and on the precision of routers and shared experts."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from mixture_results import make_mixture_results
from results_factory import make_results

from dashboard.insights import Insight
from dashboard.insights.mixtures import statements
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING

ROLE = pl.col("role").cast(pl.String)


def told(folder: Path, **columns: pl.Expr) -> list[Insight]:
    path = folder / "layers.parquet"
    pl.read_parquet(path).with_columns(**columns).write_parquet(path)
    results = Results.open(folder)
    return statements(results, Scope(results, EVERYTHING).rows)


def test_the_layer_whose_routing_changed_most_is_named_with_its_share(tmp_path: Path) -> None:
    folder = make_mixture_results(tmp_path)
    frame = pl.read_parquet(folder / "layers.parquet").filter(pl.col("routing_changed").is_not_null())
    most = frame.sort("routing_changed").row(-1, named=True)
    routing, together = told(folder)[:2]
    share = f"{100 * most['routing_changed']:.3g} %"
    assert routing.text == (
        f"Routing changes most in layer {most['layer']}: {share} of the sampled tokens get other experts."
    )
    assert together.text == "Routing changes more in layers with a larger output error."
    assert "main Q4_0 +1.0" in together.detail


@pytest.mark.parametrize(
    ("hidden", "text"),
    [
        (1.0 - pl.col("hidden_error"), "Routing changes less in layers with a larger output error."),
        (
            (pl.col("layer") % 2).cast(pl.Float64),
            "Where routing changes does not follow the output error in every shown variant.",
        ),
    ],
)
def test_routing_is_compared_with_the_output_error(tmp_path: Path, hidden: pl.Expr, text: str) -> None:
    assert told(make_mixture_results(tmp_path), hidden_error=hidden)[1].text == text


def test_few_layers_are_not_compared(tmp_path: Path) -> None:
    texts = [insight.text for insight in told(make_mixture_results(tmp_path, layers=6))]
    assert texts[0].startswith("Routing changes most in layer 5: ")
    assert not any("output error" in text for text in texts), "five layers have experts"


def test_unchanged_routing_is_said(tmp_path: Path) -> None:
    same = 0.0 * pl.col("routing_changed")
    assert told(make_mixture_results(tmp_path), routing_changed=same)[0].text == (
        "No sampled token gets other experts in any layer."
    )


def test_routers_and_shared_experts_are_compared_with_the_experts(tmp_path: Path) -> None:
    (*_, kept) = told(make_mixture_results(tmp_path))
    assert kept.text == (
        "Routers are kept in high precision; shared experts have more bits than the others in 1 of 2 shown variants."
    )
    assert "main Q4_0: routers F32, shared experts 8.50 bits, experts 4.50 bits" in kept.detail


def test_a_quantized_router_is_told(tmp_path: Path) -> None:
    quantized = pl.when(ROLE == "ffn_gate_inp").then(4.5).otherwise(pl.col("bits_per_weight"))
    alike = pl.when(ROLE.str.contains("exp")).then(4.5).otherwise(quantized)
    (*_, kept) = told(make_mixture_results(tmp_path), bits_per_weight=alike)
    assert kept.text == (
        "No router is kept in high precision; shared experts have no more bits than the others."
    )


def test_nothing_is_said_without_data(tmp_path: Path) -> None:
    assert told(make_results(tmp_path / "dense", methods=("main",), windows=4)) == []
    folder = make_mixture_results(tmp_path / "older")
    path = folder / "layers.parquet"
    older = pl.read_parquet(path).drop("expert_errors", "routing_changed", "routing_kld", "bits_per_weight")
    older.write_parquet(path)
    assert told(folder) == []
