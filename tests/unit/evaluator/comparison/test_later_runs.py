"""Later runs into a folder add to what is there, and leave alone what they did not measure."""

from __future__ import annotations

import io

import gguf
import polars as pl
import pytest
from rich.console import Console
from tiny_comparisons import tiny_comparison
from tiny_models import write_tiny_llama

from evaluator.commands.run import run_comparison
from evaluator.planning.config import VariantSource
from evaluator.results.reader import read_manifest
from evaluator.results.schema import IN_ENGINES
from evaluator.support.errors import SourceError

Q4_0, Q8_0 = gguf.GGMLQuantizationType.Q4_0, gguf.GGMLQuantizationType.Q8_0


@pytest.fixture
def comparison(tiny_path, tiny_graph, text_path, tmp_path):
    """One variant, two windows, layers and no speed."""
    variant = write_tiny_llama(tmp_path / "Tiny-Q4_0.gguf", ggml_type=Q4_0)
    return tiny_comparison(tiny_path, variant, text_path, tmp_path / "out", chunks=2)


def run(comparison, **changes):
    summary = run_comparison(comparison.model_copy(update=changes), Console(file=io.StringIO()))
    assert summary["failures"] == []
    return summary


def frame(comparison, name):
    return pl.read_parquet(comparison.out / f"{name}.parquet")


def row_of(comparison, quant):
    return frame(comparison, "variants").row(by_predicate=pl.col("quant") == quant, named=True)


def test_times_stay_when_another_variant_is_added(comparison, tmp_path):
    """The baseline is scored anew then, because its hidden states are not kept between runs."""
    run(comparison, speed=True)
    before, speed = row_of(comparison, "F32"), frame(comparison, "speed")
    other = write_tiny_llama(tmp_path / "Tiny-Q8_0.gguf", ggml_type=Q8_0)
    both = (*comparison.variants, VariantSource(method="m", source=str(other)))
    assert before["variant_id"] in run(comparison, variants=both)["measured"]
    after = row_of(comparison, "F32")
    assert before["decode_ms_p50"] is not None
    assert [after[name] for name in IN_ENGINES] == [before[name] for name in IN_ENGINES]
    assert frame(comparison, "speed").equals(speed)


def test_layers_that_were_left_out_are_measured_later(comparison):
    run(comparison, layers=False)
    assert not (comparison.out / "layers.parquet").exists()
    variant = row_of(comparison, "Q4_0")["variant_id"]
    assert variant in run(comparison)["measured"]
    assert set(frame(comparison, "layers")["variant_id"]) == {variant}
    assert run(comparison)["measured"] == []


def test_layers_that_were_left_out_of_an_attribution_are_measured_later(comparison):
    run(comparison, layers=False, attribution=True)
    before, variant = frame(comparison, "layers"), row_of(comparison, "Q4_0")
    assert before["quant_type"].null_count() == before.height
    assert variant["variant_id"] in run(comparison)["measured"]
    after = frame(comparison, "layers")
    matrices = after.filter(pl.col("role") != "layer")
    assert after.height > matrices.height == matrices["weight_error"].count()
    places = ["layer", "role", "attribution_kld"]
    assert matrices.select(places).sort(places).equals(before.select(places).sort(places))
    assert (
        row_of(comparison, "Q4_0")["attribution_additivity"] == variant["attribution_additivity"] is not None
    )
    assert run(comparison, attribution=True)["measured"] == []


def test_layers_of_a_replaced_file_are_dropped(comparison, tmp_path):
    run(comparison, attribution=True)
    assert frame(comparison, "layers")["attribution_kld"].count() > 0
    write_tiny_llama(tmp_path / "Tiny-Q4_0.gguf", ggml_type=Q8_0)
    run(comparison, layers=False)
    assert frame(comparison, "layers").height == 0
    assert row_of(comparison, "Q4_0")["attribution_additivity"] is None


def test_who_measured_stays_said_when_a_run_finds_everything_there(comparison):
    run(comparison, baseline_note="rescaled", threads=1)
    run(comparison, threads=2)
    manifest = read_manifest(comparison.out)
    assert (manifest.threads, manifest.baseline_note, manifest.n_planned) == (1, "rescaled", 1)
    run(comparison, threads=2, speed=True)
    assert read_manifest(comparison.out).threads == 2


def test_a_file_keeps_the_name_that_it_has_when_its_namesake_is_left_out(comparison, tmp_path):
    files = []
    for folder, kind in (("x", Q4_0), ("y", Q8_0)):
        (tmp_path / folder).mkdir()
        files.append(write_tiny_llama(tmp_path / folder / "Tiny-Q4_0.gguf", ggml_type=kind))
    sources = [VariantSource(method="n", source=str(file)) for file in files]
    run(comparison, variants=tuple(sources))
    before = frame(comparison, "variants").sort("variant_id")
    assert run(comparison, variants=(sources[1],))["measured"] == []
    assert frame(comparison, "variants").sort("variant_id").equals(before)
    assert read_manifest(comparison.out).n_planned == 2


@pytest.mark.parametrize("quant", ["F32", "Q4_0"])
def test_a_variant_with_damaged_tokens_is_measured_anew(comparison, quant):
    run(comparison)
    variant = row_of(comparison, quant)["variant_id"]
    path = comparison.out / "tokens" / f"{variant}.parquet"
    before, domains = pl.read_parquet(path), frame(comparison, "domains")
    path.write_bytes(b"junk")
    said = io.StringIO()
    summary = run_comparison(comparison, Console(file=said, width=200))
    assert variant in summary["measured"]
    assert f"{variant}: its tokens are damaged or missing; measuring it again" in said.getvalue()
    assert pl.read_parquet(path).equals(before)
    assert frame(comparison, "domains").equals(domains)


def test_a_variant_with_damaged_tokens_that_is_not_asked_for_holds_nobody_up(comparison, tmp_path):
    run(comparison)
    lost = row_of(comparison, "Q4_0")["variant_id"]
    (comparison.out / "tokens" / f"{lost}.parquet").write_bytes(b"junk")
    other = write_tiny_llama(tmp_path / "Tiny-Q8_0.gguf", ggml_type=Q8_0)
    run(comparison, variants=(VariantSource(method="m", source=str(other)),))
    assert lost not in set(frame(comparison, "domains")["variant_id"])
    assert run(comparison)["measured"][-1] == lost
    assert lost in set(frame(comparison, "domains")["variant_id"])


def test_a_comparison_whose_baseline_failed_leaves_the_folder_to_another_one(comparison, tmp_path):
    nothing = write_tiny_llama(tmp_path / "Tiny-F16.gguf", noise=float("nan"))
    with pytest.raises(SourceError, match="has a usable value"):
        run(comparison, baseline=str(nothing))
    assert len(run(comparison)["measured"]) == 2
