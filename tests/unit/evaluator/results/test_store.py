"""The results folder: whole files, one comparison, nothing foreign touched."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import resource
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from evaluator.commands.results_table import inspect_results
from evaluator.results.files import LOCK_NAME, VARIANTS, WRITER_NAME, tokens_of
from evaluator.results.hidden_states import HiddenStates
from evaluator.results.manifest import (
    Failure,
    Machine,
    Manifest,
    NoiseFloor,
    Protocol,
    TextRecord,
)
from evaluator.results.reader import read_manifest
from evaluator.results.store import ResultsStore
from evaluator.support.atomic_files import whole_file
from evaluator.support.errors import RequestError

TEXT = TextRecord(domain="d", name="t.txt", sha256="t", n_bytes=9, n_tokens=9, windows=1)


def manifest(**changes):
    settings = {
        "model": "M", "baseline_id": "m-base", "baseline_sha256": "b", "device": "cpu", "provider": "CPU",
        "threads": 1, "protocol": Protocol(), "texts": [TEXT], "packages": {},
        "machine": Machine(platform="p", cpu="c", logical_cores=1, memory_bytes=1),
        "started": datetime(2025, 1, 1, tzinfo=UTC),
    }  # fmt: skip
    return Manifest(**settings | changes)


def row(variant_id="v", sha256="s", ppl=9.0):
    text = dict.fromkeys(("model", "method", "quant", "source", "device", "provider"), "x")
    numbers = {
        "n_params": 1,
        "size_bytes": 1,
        "bits_per_weight": 4.5,
        "n_tokens": 1,
        "n_nonfinite": 0,
        "ppl": ppl,
    }
    return pl.DataFrame([{"variant_id": variant_id, "sha256": sha256, "is_baseline": False} | text | numbers])


def tokens(nll=1.0):
    return pl.DataFrame({"window": [0], "position": [5], "token": [7], "domain": ["d"], "nll": [nll]})


@contextlib.contextmanager
def files_of_at_most(n_bytes):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


FLOOR = NoiseFloor(
    n_tokens=1, n_windows=1, same_top=1,
    **dict.fromkeys(("kld_mean", "kld_se", "kld_p990", "ln_ppl_ratio", "ln_ppl_ratio_se", "same_top_se"), 0),
)  # fmt: skip


@pytest.fixture
def store(tmp_path):
    with ResultsStore(tmp_path / "out") as store:
        store.prepare(manifest(), force=False)
        yield store


def prepare(folder, force=False, **changes):
    """A run into `folder` that ends at once."""
    with ResultsStore(folder) as store:
        store.prepare(manifest(**changes), force=force)


def tokens_path(store, variant_id):
    return store.folder / tokens_of(variant_id).place


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
    """Not one of the frame library, which would pass for a fault of the file that is measured."""
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


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"baseline_sha256": "other"}, "baseline"),
        ({"protocol": Protocol(context=1024, first_scored=512)}, "protocol"),
        ({"texts": [TEXT.model_copy(update={"sha256": "u"})]}, "set of texts"),
        ({"schema_version": 99}, None),
    ],
)
def test_other_comparison_is_refused_and_nothing_is_touched(store, changes, what):
    store.add(row(), tokens(), None)
    if what is None:
        store.update_manifest(**changes)
        changes, what = {}, "another version"
    with pytest.raises(RequestError, match=what):
        store.prepare(manifest(**changes), force=False)
    assert store.finished("v", "s")


def test_force_replaces_results_but_keeps_other_files(store):
    store.add(row(), tokens(), None)
    (store.folder / "notes.md").write_text("mine")
    store.prepare(manifest(baseline_sha256="other"), force=True)
    assert store.variants().height == 0
    assert not tokens_path(store, "v").exists()
    assert (store.folder / "notes.md").read_text() == "mine"


def test_damaged_manifest_asks_for_force(store):
    (store.folder / "manifest.json").write_text("{")
    with pytest.raises(RequestError, match=r"manifest\.json: cannot be read: .*run --force"):
        store.prepare(manifest(), force=False)
    store.prepare(manifest(), force=True)
    assert read_manifest(store.folder).model == "M"


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


@pytest.mark.parametrize("lost", ["damaged", "deleted"])
def test_what_lost_its_tokens_is_not_finished(store, lost):
    store.add(row("a"), tokens(), None)
    store.add(row("b"), tokens(), None)
    tokens_path(store, "a").write_bytes(b"junk") if lost == "damaged" else tokens_path(store, "a").unlink()
    assert store.without_tokens() == {"a"}
    assert (store.finished("a", "s"), store.finished("b", "s")) == (False, True)


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


def test_comparison_that_measured_nothing_gives_way_to_another(store):
    store.update_manifest(noise_floor=FLOOR)
    store.prepare(manifest(), force=False)
    assert store.manifest.noise_floor == FLOOR
    store.prepare(manifest(baseline_sha256="other"), force=False)
    there = read_manifest(store.folder)
    assert (there.baseline_sha256, there.noise_floor) == ("other", None)
    store.add(row(), tokens(), None)
    with pytest.raises(RequestError, match="another baseline"):
        store.prepare(manifest(), force=False)


def test_folder_in_use_is_refused_until_it_is_let_go(store):
    with pytest.raises(RequestError, match=rf"out: another run is writing here \(pid {os.getpid()} since 2"):
        prepare(store.folder, force=True)
    (store.folder / WRITER_NAME).unlink()
    with pytest.raises(
        RequestError, match="another run is writing here; wait for it, or choose another --out"
    ):
        prepare(store.folder)
    store.__exit__()
    prepare(store.folder, threads=64)
    assert not (store.folder / WRITER_NAME).exists()


def test_folder_in_use_may_be_read(store):
    store.add(row(), tokens(), None)
    facts, _ = inspect_results(store.folder)
    assert [variant["variant_id"] for variant in facts["variants"]] == ["v"]


@pytest.mark.parametrize("exists", [False, True])
def test_a_run_that_begins_nothing_leaves_nothing(tmp_path, exists):
    folder = tmp_path / "out"
    if exists:
        folder.mkdir()
    with ResultsStore(folder):
        assert folder.is_dir()
    assert folder.exists() == exists
    assert list(tmp_path.rglob("*")) == [folder] * exists


@pytest.mark.parametrize("force", [False, True])
def test_foreign_folder_is_refused_even_with_force(tmp_path, force):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RequestError, match="holds no results"):
        prepare(tmp_path, force=force)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("trace", [".DS_Store", "Thumbs.db", "desktop.ini"])
def test_folder_that_a_file_manager_looked_into_is_taken(tmp_path, trace):
    (tmp_path / trace).write_bytes(b"how the window was")
    prepare(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} >= {trace, "manifest.json"}


@pytest.mark.parametrize("inner", ["", "below"])
def test_file_in_place_of_the_folder_is_refused(tmp_path, inner):
    (tmp_path / "out").write_text("file")
    with pytest.raises(RequestError):
        prepare(tmp_path / "out" / inner)


def test_hidden_states_are_trusted_only_when_sealed(tmp_path):
    path, values = tmp_path / "work" / "b.hidden.npy", np.arange(6, dtype=np.float32).reshape(3, 2)
    writing = HiddenStates(path)
    writing.put(0, 2, values)
    assert not HiddenStates(path).complete((2, 3))
    writing.put(1, 2, values + 10)
    writing.seal()
    assert HiddenStates(path).complete((2, 3))
    assert not HiddenStates(path).complete((3, 3))
    np.testing.assert_array_equal(np.stack(list(HiddenStates(path))), [values, values + 10])


def killed(folder):
    """A run that ends like by `kill -9` while it writes a frame, its hidden states and an artifact."""
    with ResultsStore(folder) as store, contextlib.ExitStack() as stack:
        store.prepare(manifest(), force=False)
        (stack.enter_context(store.scratch("artifacts")) / "weights.bin").write_bytes(b"gigabytes")
        store.hidden_states("b").put(0, 2, np.ones((3, 2), np.float32))
        for file in (VARIANTS, tokens_of("v")):
            stack.enter_context(whole_file(folder / file.place)).write_bytes(b"half")
        os._exit(9)


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path):
    folder = tmp_path / "out"
    process = multiprocessing.get_context("spawn").Process(target=killed, args=(folder,))
    process.start()
    process.join(60)
    assert process.exitcode == 9
    left = {path.name.split(".")[1] for path in folder.rglob("*.partial")}
    assert left == {"artifacts", "b", "v", "variants"}
    (folder / ".x.gguf.1-a.partial").mkdir()  # of another command
    with ResultsStore(folder) as store:
        store.prepare(manifest(), force=False)
        store.finish(datetime(2025, 1, 2, tzinfo=UTC), (), ())
    there = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    assert there == {LOCK_NAME, "manifest.json", "tokens", ".x.gguf.1-a.partial"}


def test_folder_of_a_run_that_died_before_its_manifest_is_taken(tmp_path):
    for name in (".manifest.json.1-a.partial", LOCK_NAME, WRITER_NAME):
        (tmp_path / name).touch()
    prepare(tmp_path)
    assert read_manifest(tmp_path).model == "M"


def test_failures_of_other_runs_into_the_folder_stay_and_own_ones_are_judged_anew(store):
    theirs, mine = Failure(source="theirs.gguf", reason="cut"), Failure(source="mine.gguf", reason="cut")
    ended = datetime(2025, 1, 2, tzinfo=UTC)
    store.finish(ended, [theirs, mine], {"theirs.gguf", "mine.gguf"})
    assert read_manifest(store.folder).ended == ended
    store.prepare(manifest(started=datetime(2026, 1, 1, tzinfo=UTC)), force=False)
    there = read_manifest(store.folder)
    assert (there.failures, there.ended) == ([theirs, mine], None)
    store.finish(ended, (), {"mine.gguf"})
    there = read_manifest(store.folder)
    assert (there.failures, there.started.year) == ([theirs], 2025)
