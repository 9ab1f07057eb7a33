"""What a whole run says about all variants together: domains, confidence, pairs and the noise floor."""

from __future__ import annotations

import io
import json
import os
import shutil
from dataclasses import replace

import polars as pl
import pytest
from rich.console import Console
from tiny_models import write_tiny_llama

from evaluator import metrics
from evaluator.commands.run import inspect_source, run_comparison
from evaluator.comparison.derived_frames import derive
from evaluator.comparison.noise_floor import Bf16Noise
from evaluator.metrics.pairwise import between
from evaluator.planning.config import Comparison, VariantSource
from evaluator.results.manifest import Manifest
from evaluator.results.reader import read_manifest
from evaluator.results.schema import Confidence, Domains, Pairs, with_schema


@pytest.fixture(scope="module")
def measured(tiny_path, tiny_graph, tmp_path_factory):
    """Two lossy variants, the second with twice the noise, measured on two texts of four windows each."""
    folder = tmp_path_factory.mktemp("measured")
    texts = {
        "prose": "The other day the rain in the north ran over the garden wall. ",
        "dialogue": "'Where is the other garden?' he said. 'In the north, over there.' ",
    }
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text * 8)
    for quant, noise in (("Q5_0", 0.01), ("Q4_0", 0.02)):
        write_tiny_llama(folder / f"Tiny-lossy-{quant}.gguf", noise=noise)
    comparison = Comparison(
        baseline=str(tiny_path),
        variants=(VariantSource(method="m", source=str(folder / "Tiny-lossy-*.gguf")),),
        texts=tuple(f"{name}={folder / name}.txt" for name in texts),
        out=folder / "out",
        context=16,
        chunks=4,
        device="cpu",
        threads=1,
        layers=False,
        speed=False,
        engines=("onnxruntime",),
    )
    run(comparison)
    return comparison


@pytest.fixture
def comparison(measured, tmp_path):
    """The same, in a folder that a test may change."""
    shutil.copytree(measured.out, tmp_path / "out")
    return measured.model_copy(update={"out": tmp_path / "out"})


@pytest.fixture
def unmeasured(measured, tmp_path):
    """The same, of which nothing was measured yet."""
    return measured.model_copy(update={"out": tmp_path / "out"})


def run(comparison, *, n_failed=0, **options):
    said = io.StringIO()
    summary = run_comparison(comparison, Console(file=said, width=200), **options)
    assert len(summary["failures"]) == n_failed
    return said.getvalue()


def read(comparison, name):
    return pl.read_parquet(comparison.out / f"{name}.parquet")


def write_manifest(comparison, **changes):
    manifest = read_manifest(comparison.out).model_copy(update=changes)
    (comparison.out / "manifest.json").write_text(manifest.model_dump_json())


def test_frames_about_all_variants_are_written_and_valid(comparison):
    variants = read(comparison, "variants")
    domains, confidence, pairs = (read(comparison, name) for name in ("domains", "confidence", "pairs"))
    for schema, frame in ((Domains, domains), (Confidence, confidence), (Pairs, pairs)):
        assert with_schema(schema, frame).equals(frame)
    assert domains.height == 3 * 2
    assert confidence.height == 3 * 5
    for row in variants.iter_rows(named=True):
        own = domains.filter(pl.col("variant_id") == row["variant_id"])
        assert own["domain"].to_list() == ["dialogue", "prose"]
        assert own["n_tokens"].to_list() == [28, 28]
        if not row["is_baseline"]:
            assert own["kld_mean"].mean() == pytest.approx(row["kld_macro"])
            assert own["kld_mean"].mean() == pytest.approx(row["kld_mean"])  # domains of equal length
    assert variants["kld_macro"].null_count() == 1
    ids = dict(variants.select("quant", "variant_id").iter_rows())
    kld = pairs.row(by_predicate=pl.col("metric") == "kld", named=True)
    difference = dict(variants.select("variant_id", "kld_mean").iter_rows())
    assert {kld["a"], kld["b"]} == {ids["Q4_0"], ids["Q5_0"]}
    assert kld["difference"] == pytest.approx(difference[kld["a"]] - difference[kld["b"]], rel=1e-5)
    assert kld["verdict"] == ("worse" if kld["a"] == ids["Q4_0"] else "better")


def test_the_manifest_states_the_context_that_the_model_was_made_for(comparison):
    assert read_manifest(comparison.out).trained_context == 128


def test_noise_floor_lies_below_real_damage_and_is_no_variant(comparison):
    floor = read_manifest(comparison.out).noise_floor
    variants = read(comparison, "variants")
    assert 0 < floor.kld_mean < variants["kld_mean"].min()
    assert (floor.n_windows, floor.n_tokens) == (8, 56)
    assert floor.same_top > 0.9
    assert variants.height == 3


def test_noise_floor_is_measured_once(comparison, monkeypatch):
    floor = read_manifest(comparison.out).noise_floor
    monkeypatch.setattr(Bf16Noise, "of", lambda file: pytest.fail("measured again"))
    run(comparison)
    assert read_manifest(comparison.out).noise_floor == floor


@pytest.mark.parametrize("options", [{}, {"force": True}])
def test_missing_noise_floor_is_measured_when_the_run_is_resumed(comparison, options):
    manifest, tokens = read_manifest(comparison.out), sorted((comparison.out / "tokens").iterdir())
    write_manifest(comparison, noise_floor=None)
    run(comparison, **options)
    assert read_manifest(comparison.out).noise_floor == manifest.noise_floor
    assert sorted((comparison.out / "tokens").iterdir()) == tokens


def test_failed_noise_floor_is_a_warning(unmeasured, monkeypatch):
    def broken(_):
        raise MemoryError("no room")

    monkeypatch.setattr(Bf16Noise, "of", broken)
    assert "noise floor: MemoryError no room" in run(unmeasured)
    assert read_manifest(unmeasured.out).noise_floor is None
    assert read(unmeasured, "variants").height == 3


def test_manifest_of_an_older_run_has_no_floor(comparison):
    older = read_manifest(comparison.out).model_dump(mode="json", exclude={"noise_floor"})
    assert Manifest.model_validate(older).noise_floor is None


def test_frames_that_were_lost_are_written_again(comparison):
    pairs = read(comparison, "pairs")
    (comparison.out / "pairs.parquet").unlink()
    run(comparison)
    assert read(comparison, "pairs").equals(pairs)


def test_frame_that_was_damaged_is_written_again(comparison):
    pairs = read(comparison, "pairs")
    (comparison.out / "pairs.parquet").write_bytes(b"PAR1")
    run(comparison)
    assert read(comparison, "pairs").equals(pairs)


def test_frames_that_do_not_know_a_variant_are_written_again(comparison):
    """As another run leaves them that began to compare before this variant was there."""
    whole = {name: read(comparison, name) for name in ("domains", "confidence", "pairs")}
    lacking = read(comparison, "variants").filter(quant="Q4_0")["variant_id"][0]
    for name, frame in whole.items():
        part = frame.filter(pl.all_horizontal(pl.col(pl.String) != lacking))
        assert part.height < frame.height
        part.write_parquet(comparison.out / f"{name}.parquet")
    run(comparison)
    for name, frame in whole.items():
        assert read(comparison, name).equals(frame)


def test_variant_without_finite_tokens_is_compared_once_and_no_more(unmeasured, tmp_path, monkeypatch):
    """A variant that gives no finite token has no row to be found by."""
    nothing = write_tiny_llama(tmp_path / "Tiny-lossy-Q3_K.gguf", noise=float("nan"))
    sources = (*unmeasured.variants, VariantSource(method="m", source=str(nothing)))
    three = unmeasured.model_copy(update={"variants": sources})
    derivations = []

    def counted(store):
        derivations.append(1)
        derive(store)

    monkeypatch.setattr("evaluator.comparison.run.derive", counted)
    run(three, n_failed=1)
    assert len(derivations) == 1
    run(three, n_failed=1)
    assert len(derivations) == 1
    assert read(three, "variants").filter(quant="Q3_K")["n_nonfinite"].to_list() == [56]


def test_frames_older_than_a_variant_are_written_again(comparison):
    """As a run leaves them that was killed after its last variant."""
    pairs = read(comparison, "pairs")
    pairs.clear().write_parquet(comparison.out / "pairs.parquet")
    os.utime(comparison.out / "pairs.parquet", ns=(0, 0))
    run(comparison)
    assert read(comparison, "pairs").equals(pairs)


def test_inspect_compares_each_variant_with_the_next_smaller(comparison):
    facts, table = inspect_source(str(comparison.out))
    sizes = [row["size_bytes"] for row in facts["variants"]]
    assert sizes == sorted(sizes, reverse=True)
    order = [row["variant_id"] for row in facts["variants"] if not row["is_baseline"]]
    pairs = read(comparison, "pairs")
    assert [(row["a"], row["b"], row["metric"]) for row in facts["neighbours"]] == [
        (*order, "ln_ppl"),
        (*order, "kld"),
    ]
    assert facts["neighbours"][1] == between(pairs, *order, "kld")
    said = io.StringIO()
    Console(file=said, width=300).print(table)
    assert facts["neighbours"][1]["verdict"] + ": " in said.getvalue()
    assert "bf16" in said.getvalue()
    json.dumps(facts)


def test_metric_that_fails_leaves_null_and_a_warning(unmeasured, monkeypatch):
    entries = dict(metrics.METRIC_FAMILIES)

    def broken(_):
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(
        metrics.METRIC_FAMILIES,
        "_entries",
        entries | {"divergence": replace(entries["divergence"], measure=broken)},
    )
    assert "metric family divergence failed: ZeroDivisionError: by nothing" in run(unmeasured)
    variants = read(unmeasured, "variants")
    assert variants["kld_mean"].null_count() == 3
    assert variants["ppl"].null_count() == 0
    assert read(unmeasured, "domains")["kld_mean"].null_count() == 6
