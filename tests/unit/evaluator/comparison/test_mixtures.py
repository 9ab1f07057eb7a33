"""A comparison of mixtures of experts from files to the results folder."""

from __future__ import annotations

import io
import shutil

import gguf
import polars as pl
import pytest
from rich.console import Console
from tiny_comparisons import tiny_comparison
from tiny_mixtures import write_tiny_mixture

from evaluator.commands.run import run_comparison
from evaluator.models.gguf.reader import open_gguf
from evaluator.results.reader import read_manifest

pytestmark = pytest.mark.usefixtures("exporting_here")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Scores a copy, a lossy variant, and one with another number of experts per token."""
    folder = tmp_path_factory.mktemp("mixtures")
    baseline = write_tiny_mixture(folder / "Tiny-F32.gguf")
    variants = folder / "variants"
    variants.mkdir()
    shutil.copy(baseline, variants / "Tiny-Q8_0.gguf")
    write_tiny_mixture(variants / "Tiny-Q4_0.gguf", ggml_type=gguf.GGMLQuantizationType.Q4_0)
    used = {"expert_used_count": (3, gguf.GGUFValueType.UINT32)}
    write_tiny_mixture(variants / "Tiny-Q5_0.gguf", metadata=used)
    text = folder / "text.txt"
    text.write_text("the thing in the inner theatre is thinner than a rather thin thing. " * 20)
    said = io.StringIO()
    comparison = tiny_comparison(baseline, variants / "*.gguf", text, folder / "out")
    asked = comparison.model_copy(update={"attribution": True, "speed": True})
    summary = run_comparison(asked, Console(file=said, width=400))
    return summary, folder / "out", said.getvalue(), baseline


def test_copy_diverges_by_nothing_and_the_lossy_one_by_something(run):
    rows = {row["quant"]: row for row in run[0]["variants"]}
    assert (rows["Q8_0"]["kld_mean"], rows["Q8_0"]["same_top"]) == (0.0, 1.0)
    assert rows["Q8_0"]["ppl"] == rows["F32"]["ppl"]
    assert rows["Q4_0"]["kld_mean"] > 1e-5


def test_other_router_is_not_comparable(run):
    (failure,) = run[0]["failures"]
    assert failure["source"].endswith("Tiny-Q5_0.gguf")
    assert failure["reason"] == "layer 0's feed forward experts's router's used is 3, the baseline's is 2"


def test_layers_have_the_experts_tensors(run):
    layers = pl.read_parquet(run[1] / "layers.parquet")
    lossy = layers.filter(pl.col("variant_id").str.contains("q4_0") & (pl.col("layer") == 1))
    roles = set(open_gguf(run[3]).tensors)
    expected = {name.split(".")[2] for name in roles if name.startswith("blk.1.ffn")} - {"ffn_norm"}
    measured = lossy.filter(pl.col("weight_error").is_not_null())
    assert expected <= set(measured["role"].cast(str))
    routers = pl.col("role").cast(str).str.contains("gate_inp")
    assert (measured.filter(routers)["weight_error"] == 0).all()
    experts = pl.col("role").cast(str).str.ends_with("_exps")
    assert measured.filter(experts)["weight_error"].is_between(0.01, 0.2).all()
    assert measured.filter(experts)["attribution_kld"].min() > 0
    copy = layers.filter(pl.col("variant_id").str.contains("q8_0"))
    assert set(copy["hidden_error"].drop_nulls()) == {0.0}
    assert set(copy["attribution_kld"].drop_nulls()) == {0.0}
    assert lossy["hidden_error"].max() > 1e-3


def test_routing_of_the_copy_is_the_baseline_s_and_of_the_lossy_one_another(run):
    layers = pl.read_parquet(run[1] / "layers.parquet").filter(pl.col("role").cast(str) == "layer")
    copy, lossy = (layers.filter(pl.col("variant_id").str.contains(kind)) for kind in ("q8_0", "q4_0"))
    for name in ("routing_changed", "routing_kld"):
        assert copy[name].to_list() == [0.0, 0.0]
        assert (lossy[name] > 0).all()
    assert (lossy["routing_changed"] < 0.5).all()


def test_noise_floor_is_measured(run):
    assert read_manifest(run[1]).noise_floor.kld_mean > 0


def test_speed_and_the_engine_gap_are_measured(run):
    for row in pl.read_parquet(run[1] / "variants.parquet").to_dicts():
        assert min(row["decode_ms_p50"], row["prefill_tps"], row["load_s"]) > 0
        assert row["peak_rss_bytes"] > row["artifact_bytes"] > 0
        assert row["deploy_kld_mean"] is None if row["is_baseline"] else abs(row["deploy_kld_mean"]) < 0.1
