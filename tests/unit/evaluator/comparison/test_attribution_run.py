"""`run --attribution`: rows, resume, and what the frames hold afterwards."""

from __future__ import annotations

import sys

import polars as pl
import pytest
from tiny_models import write_tiny_llama

from evaluator import cli
from evaluator.comparison.attribution_run import with_attribution
from evaluator.comparison.layers.attribution import Attribution
from evaluator.results.schema import Layers


@pytest.fixture(scope="module")
def results(tiny_path, tmp_path_factory):
    """Two variants, run without attribution first and with it afterwards."""
    folder = tmp_path_factory.mktemp("run")
    for seed in (1, 2):
        write_tiny_llama(folder / f"v{seed}-F32.gguf", noise=0.005 * seed)
    text = folder / "prose.txt"
    text.write_text("The other day the rain in the north ran over the garden wall. " * 8, encoding="utf-8")
    flags = [
        *("--baseline", tiny_path, "--variant", f"m={folder / 'v*.gguf'}", "--text", text),
        *("--out", folder / "out", "--context", 16, "--device", "cpu", "--threads", 2, "--no-speed"),
    ]
    run(*flags)
    before = pl.read_parquet(folder / "out" / "layers.parquet")
    run(*flags, "--attribution")
    return before, folder / "out"


def run(*flags):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["evaluator", "run", *map(str, flags)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
    assert not caught.value.code


def test_scoring_alone_leaves_attribution_null_and_fills_the_drift(results):
    before, _ = results
    layers = before.filter(pl.col("role") == "layer")
    assert before["attribution_kld"].null_count() == before.height
    assert layers.height == 2 * 2
    less, more = layers.sort("variant_id", "layer").partition_by("variant_id", maintain_order=True)
    assert (more["hidden_error"] > 1.5 * less["hidden_error"]).all()
    assert (more["cosine"] < less["cosine"]).all()
    assert less["hidden_error"].min() > 0
    assert before.filter(pl.col("role") != "layer")["hidden_error"].null_count() == 2 * 15


def test_attribution_is_added_to_what_was_measured(results):
    before, out = results
    after = pl.read_parquet(out / "layers.parquet")
    keys = ["variant_id", "layer", "role"]
    same = [name for name in before.columns if name != "attribution_kld"]
    assert after.select(same).sort(keys).equals(before.select(same).sort(keys))
    causes = after.filter(pl.col("role") != "layer")
    assert causes["attribution_kld"].null_count() == 0
    by_variant = causes.group_by("variant_id").agg(pl.col("attribution_kld").sum()).sort("variant_id")
    assert by_variant["attribution_kld"][1] > 2 * by_variant["attribution_kld"][0] > 0


def test_additivity_is_kept_per_variant(results):
    variants = pl.read_parquet(results[1] / "variants.parquet").sort("is_baseline")
    assert variants["attribution_additivity"].is_null().to_list() == [False, False, True]
    assert 0.3 < variants["attribution_additivity"].min() < 3


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_tensor_without_a_row_gets_one_and_what_is_not_finite_is_null(value):
    found = Attribution({(0, "attn_q"): 0.5, (1, "attn_q"): value}, 1.0)
    rows = with_attribution(Layers.create_empty(), "v", found)
    assert rows["attribution_kld"].to_list() == [0.5, None]
    assert rows["layer"].to_list() == [0, 1]
