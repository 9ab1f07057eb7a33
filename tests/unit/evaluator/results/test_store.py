"""Writing a results folder: complete files, finished variants, readable frames."""

from __future__ import annotations

import contextlib
import io
import resource
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from results_store_cases import manifest, row, tokens, tokens_path

from evaluator.results.files import SPEED
from evaluator.results.hidden_states import HiddenStates
from evaluator.results.manifest import Failure
from evaluator.results.reader import read_manifest
from evaluator.support.errors import RequestError


@contextlib.contextmanager
def files_of_at_most(n_bytes):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_added_variant_is_read_back_and_replaced_by_its_successor(store):
    store.add(row("a"), tokens(), None)
    store.add(row("b"), tokens(), None)
    store.add(row("a", ppl=5.0), tokens(2.0), None)
    assert dict(store.variants().select("variant_id", "ppl").iter_rows()) == {"a": 5.0, "b": 9.0}
    assert store.tokens("a")["nll"].to_list() == [2.0]


def test_columns_of_a_family_added_later_are_kept(store):
    store.add(row("a"), tokens(), None)
    store.add(row("b").with_columns(new_metric=pl.lit(0.5)), tokens(), None)
    assert dict(store.variants().select("variant_id", "new_metric").iter_rows()) == {"a": None, "b": 0.5}


def test_finished_means_same_bytes_and_tokens_present(store):
    assert not store.finished("v", "s")
    store.add(row(), tokens(), None)
    assert store.finished("v", "s")
    assert not store.finished("v", "other bytes")
    assert not store.finished("w", "s")
    tokens_path(store, "v").unlink()
    assert not store.finished("v", "s")


def test_failing_write_leaves_the_old_file_and_no_partial(store, monkeypatch):
    store.add(row(), tokens(), None)
    before = sorted(path for path in store.folder.rglob("*"))

    def half(path, _):
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OSError, match="No space"):
        store.add(row(ppl=1.0), tokens(3.0), None)
    assert sorted(store.folder.rglob("*")) == before
    assert store.tokens("v")["nll"].to_list() == [1.0]
    assert store.variants()["ppl"].to_list() == [9.0]


def test_full_disk_is_an_operating_system_error(store):
    """A polars error would be taken for a fault of the measured file."""
    with files_of_at_most(2000), pytest.raises(OSError, match="too large"):
        store.add(row(), tokens(), None)
    assert store.variants().height == 0
    store.add(row(), tokens(), None)
    assert store.variants().height == 1


def test_same_comparison_goes_on_with_what_is_there(store):
    store.add(row(), tokens(), None)
    store.prepare(manifest(threads=64), force=False)
    assert store.finished("v", "s")
    assert read_manifest(store.folder).threads == 1


def damaged(content, way):
    if way == "cut short":
        return content[: len(content) // 2]
    if way == "zeroed":
        return bytes(len(content))
    other = io.BytesIO()
    pl.DataFrame({"something": [1]}).write_parquet(other)
    return other.getvalue()


@pytest.mark.parametrize("way", ["cut short", "zeroed", "replaced by another frame"])
@pytest.mark.parametrize("name", ["variants", "layers", "speed"])
def test_damaged_frame_is_said_before_anything_is_measured(store, name, way):
    timing = {"phase": "load", "tokens": 0, "seconds": 1.0, "context": 0}
    store.add(row(), tokens(), pl.DataFrame({"variant_id": ["v"], "layer": [0], "role": ["attn_q"]}))
    store.add_timings("v", pl.DataFrame([timing]))
    path = store.folder / f"{name}.parquet"
    path.write_bytes(damaged(path.read_bytes(), way))
    way_out = "run --force" if name == "variants" else "delete it"
    with pytest.raises(RequestError, match=rf"{name}\.parquet: cannot be read: .*{way_out}"):
        store.prepare(manifest(), force=False)
    store.prepare(manifest(), force=True)
    assert store.variants().height == 0


def test_damaged_tokens_name_their_file(store):
    store.add(row(), tokens(), None)
    tokens_path(store, "v").write_bytes(b"PAR1")
    with pytest.raises(RequestError, match=r"v\.parquet: cannot be read: .*delete it"):
        store.tokens("v")


def test_failures_of_other_sources_are_kept_unless_their_files_are_replaced(store, tmp_path):
    for name in ("there", "repaired"):
        (tmp_path / name).touch()
    sources = [str(tmp_path / name) for name in ("there", "renamed", "repaired", "elsewhere/gone")]
    planned = [str(tmp_path / name) for name in ("new", "repaired")]
    ended = datetime(2026, 1, 2, tzinfo=UTC)
    store.finish(ended, [Failure(source=source, reason="truncated") for source in sources], sources)
    store.finish(ended, [Failure(source=planned[0], reason="other")], planned)
    failures = read_manifest(store.folder).failures
    assert [failure.source for failure in failures] == [sources[0], sources[3], planned[0]]


@pytest.mark.parametrize("lost", ["damaged", "deleted"])
def test_what_lost_its_tokens_is_not_finished(store, lost):
    store.add(row("a"), tokens(), None)
    store.add(row("b"), tokens(), None)
    tokens_path(store, "a").write_bytes(b"junk") if lost == "damaged" else tokens_path(store, "a").unlink()
    assert store.without_tokens() == {"a"}
    assert (store.finished("a", "s"), store.finished("b", "s")) == (False, True)


def test_rounds_are_counted_over_the_whole_folder(store):
    timing = pl.DataFrame([{"phase": "load", "tokens": 0, "seconds": 1.0, "context": 0}])
    store.add(row("a"), tokens(), None)
    store.add(row("b"), tokens(), None)
    assert store.next_round() == 0
    store.add_timings("a", timing, in_round=0)
    store.add_timings("a", timing, "llama.cpp", 4)
    assert store.next_round() == 5
    store.add_timings("b", timing, in_round=5)
    assert store.rows(SPEED, "a").select("engine", "repetition", "round").rows() == [
        ("onnxruntime", 0, 0),
        ("llama.cpp", 0, 4),
    ]


def test_timings_that_are_gone_are_not_taken_for_measured(store):
    store.add(row("a"), tokens(), None)
    timing = {"phase": "load", "tokens": 0, "seconds": 1.0, "context": 0}
    store.add_timings("a", pl.DataFrame([timing]))
    store.set_columns("a", {"decode_ms_p50": 3.0})
    assert store.untimed() == set()
    (store.folder / "speed.parquet").unlink()
    assert store.untimed() == {"a"}


def test_frame_without_columns_that_may_be_null_has_them_as_null(store):
    store.add(row("a"), tokens(), None)
    path = store.folder / "variants.parquet"
    older = pl.read_parquet(path).drop("kld_mean").with_columns(pl.col("n_tokens").cast(pl.Int16))
    older.write_parquet(path)
    assert store.variants()["kld_mean"].to_list() == [None]
    assert store.variants().schema["n_tokens"] == pl.Int64
    older.with_columns(n_tokens=pl.lit("many")).write_parquet(path)
    with pytest.raises(RequestError, match="cannot be read: conversion"):
        store.variants()


def test_hidden_states_are_trusted_only_when_sealed(tmp_path):
    path, values = tmp_path / "work" / "b.hidden.npy", np.arange(6, dtype=np.float32).reshape(3, 2)
    writing = HiddenStates(path)
    writing.put(0, 2, values)
    assert not HiddenStates(path).complete((2, 3))
    writing.put(1, 2, values + 10)
    writing.seal()
    assert HiddenStates(path).complete((2, 3))
    assert not HiddenStates(path).complete((3, 3))
    np.testing.assert_array_equal(HiddenStates(path).values(), [values, values + 10])


def test_failures_of_other_runs_into_the_folder_stay_and_own_ones_are_judged_anew(store):
    theirs, mine = Failure(source="theirs/a.gguf", reason="cut"), Failure(source="mine.gguf", reason="cut")
    ended = datetime(2025, 1, 2, tzinfo=UTC)
    store.finish(ended, [theirs, mine], {"theirs/a.gguf", "mine.gguf"})
    assert read_manifest(store.folder).ended == ended
    store.prepare(manifest(started=datetime(2026, 1, 1, tzinfo=UTC)), force=False)
    there = read_manifest(store.folder)
    assert (there.failures, there.ended) == ([theirs, mine], None)
    store.finish(ended, (), {"mine.gguf"})
    there = read_manifest(store.folder)
    assert (there.failures, there.started.year) == ([theirs], 2025)
