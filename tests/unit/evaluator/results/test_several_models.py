"""A results folder with two models: each has its own manifest and rows, and a run touches only its model's."""

from __future__ import annotations

import polars as pl
import pytest
from results_store_cases import FLOOR, manifest, row, tokens, tokens_path

from evaluator.commands.results_table import inspect_results
from evaluator.results.files import LAYERS, VOCABULARY
from evaluator.results.manifest import Protocol
from evaluator.results.reader import read_frame, read_manifest
from evaluator.results.schema import Layers, conform
from evaluator.support.errors import RequestError

OTHER = {"model": "N", "baseline_id": "n-base", "baseline_sha256": "c"}


def layers(variant_id):
    place = {"variant_id": [variant_id], "layer": [0], "role": ["attn_q"], "quant_type": ["Q4_0"]}
    return conform(Layers, pl.DataFrame(place))


def pieces(model):
    return pl.DataFrame({"model": [model], "token": [7], "piece": [model]})


@pytest.fixture
def both(store):
    """The store of a folder that holds model M with variant v, prepared for model N, which has variant w."""
    store.update_manifest(noise_floor=FLOOR, baseline_note="about M")
    store.add(row(), tokens(), layers("v"))
    store.write_vocabulary(pieces("M"))
    store.prepare(manifest(**OTHER, baseline_note="about N"), force=False)
    store.add(row("w", model="N"), tokens(), layers("w"))
    store.write_vocabulary(pieces("N"))
    return store


def models(store):
    """Model → the variants and the note that the folder has of it."""
    notes = {item.model: item.baseline_note for item in read_manifest(store.folder).each}
    rows = store.variants()
    return {
        model: (rows.filter(model=model)["variant_id"].to_list(), notes.get(model))
        for model in {*notes, *rows["model"]}
    }


def test_each_model_has_its_own_manifest_in_the_order_of_measuring(both):
    first, second = read_manifest(both.folder).each
    assert (first.model, first.baseline_id, first.noise_floor) == ("M", "m-base", FLOOR)
    assert (second.model, second.baseline_id, second.noise_floor) == ("N", "n-base", None)
    assert models(both) == {"M": (["v"], "about M"), "N": (["w"], "about N")}
    assert both.measured("N") == {"w": ("x", "s")}
    assert set(both.measured()) == {"v", "w"}


def test_both_keep_the_texts_of_their_tokens(both):
    both.write_vocabulary(pieces("N"))
    assert sorted(read_frame(both.folder, VOCABULARY)["piece"]) == ["M", "N"]


def test_either_goes_on_where_it_was(both):
    both.prepare(manifest(), force=False)
    assert (both.manifest.baseline_note, both.manifest.noise_floor) == ("about M", FLOOR)
    both.update_manifest(baseline_note="more about M")
    both.prepare(manifest(**OTHER), force=False)
    assert models(both) == {"M": (["v"], "more about M"), "N": (["w"], "about N")}


@pytest.mark.parametrize(("forced", "kept"), [("M", ("N", ["w"], "about N")), ("N", ("M", ["v"], "about M"))])
def test_force_removes_only_the_models_own(both, forced, kept):
    model, ids, note = kept
    both.prepare(manifest(**(OTHER if forced == "N" else {}), texts=[]), force=True)
    assert models(both) == {model: (ids, note), forced: ([], None)}
    assert [item.model for item in read_manifest(both.folder).each] == ["M", "N"]
    assert read_frame(both.folder, LAYERS)["variant_id"].to_list() == ids
    assert [tokens_path(both, name).exists() for name in ("v", "w")] == [forced == "N", forced == "M"]


@pytest.mark.parametrize("name", ["layers", "speed", "kv_cache", "memory", "vocabulary"])
def test_force_keeps_the_other_model_though_a_frame_that_runs_write_again_is_damaged(both, name):
    (both.folder / f"{name}.parquet").write_bytes(b"junk")
    both.prepare(manifest(), force=True)
    assert models(both) == {"M": ([], None), "N": (["w"], "about N")}
    assert tokens_path(both, "w").exists()
    both.write_vocabulary(pieces("M"))
    assert "M" in set(read_frame(both.folder, VOCABULARY)["piece"])


def test_another_baseline_of_a_model_is_refused(both):
    with pytest.raises(RequestError, match="holds a comparison with another baseline"):
        both.prepare(manifest(**OTHER | {"baseline_sha256": "d"}), force=False)
    assert models(both) == {"M": (["v"], "about M"), "N": (["w"], "about N")}


def test_windows_of_another_length_are_refused(both):
    protocol = Protocol(context=1024, first_scored=512)
    with pytest.raises(RequestError, match="holds M with windows of 512 tokens"):
        both.prepare(manifest(model="O", baseline_sha256="o", protocol=protocol), force=False)


def test_a_model_of_which_nothing_was_measured_leaves_no_manifest(store):
    store.prepare(manifest(**OTHER), force=False)
    assert [item.model for item in read_manifest(store.folder).each] == ["N"]


def test_inspect_shows_a_table_per_model(both):
    facts, shown = inspect_results(both.folder)
    assert [str(table.title) for table in shown.renderables] == ["M", "N"]
    assert len(facts["variants"]) == 2
