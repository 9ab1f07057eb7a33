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

from evaluator.results.hidden_states import HiddenStates
from evaluator.results.manifest import (
    Failure,
    Machine,
    Manifest,
    NoiseFloor,
    Protocol,
    TextRecord,
    read_manifest,
)
from evaluator.results.shared_folder import partial_path
from evaluator.results.store import ResultsStore
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


@pytest.fixture
def store(tmp_path):
    store = ResultsStore(tmp_path / "out")
    store.prepare(manifest(), force=False)
    return store


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
    store.tokens_path("v").unlink()
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
    store.witness(manifest(threads=64))
    assert read_manifest(store.folder).threads == 64


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
        store.write_manifest(manifest(**changes))
        changes, what = {}, "another version"
    with pytest.raises(RequestError, match=what):
        store.prepare(manifest(**changes), force=False)
    assert store.finished("v", "s")


def test_force_replaces_results_but_keeps_other_files(store):
    store.add(row(), tokens(), None)
    (store.folder / "notes.md").write_text("mine")
    store.prepare(manifest(baseline_sha256="other"), force=True)
    assert store.variants().height == 0
    assert not store.tokens_path("v").exists()
    assert (store.folder / "notes.md").read_text() == "mine"


def test_damaged_manifest_asks_for_force(store):
    (store.folder / "manifest.json").write_text("{")
    with pytest.raises(RequestError, match="use --force"):
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
    with pytest.raises(RequestError, match=rf"{name}\.parquet: is damaged; .*{way_out}"):
        store.prepare(manifest(), force=False)
    store.prepare(manifest(), force=True)
    assert store.variants().height == 0


def test_damaged_tokens_name_their_file(store):
    store.add(row(), tokens(), None)
    store.tokens_path("v").write_bytes(b"PAR1")
    with pytest.raises(RequestError, match=r"v\.parquet: is damaged; .*delete it"):
        store.tokens("v")


@pytest.mark.parametrize("lost", ["damaged", "deleted"])
def test_what_lost_its_tokens_is_not_finished(store, lost):
    store.add(row("a"), tokens(), None)
    store.add(row("b"), tokens(), None)
    store.tokens_path("a").write_bytes(b"junk") if lost == "damaged" else store.tokens_path("a").unlink()
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
    with pytest.raises(RequestError, match="is damaged"):
        store.variants()


def test_comparison_that_measured_nothing_gives_way_to_another(store):
    store.release()
    store.prepare(manifest(baseline_sha256="other"), force=False)
    assert read_manifest(store.folder).baseline_sha256 == "other"
    store.add(row(), tokens(), None)
    store.release()
    with pytest.raises(RequestError, match="another baseline"):
        store.prepare(manifest(), force=False)


def claim_elsewhere(folder, prepared, done):
    ResultsStore(folder).prepare(manifest(), force=False)
    prepared.set()
    done.wait(60)


def test_comparison_that_another_process_has_begun_does_not_give_way(tmp_path):
    context = multiprocessing.get_context("spawn")
    prepared, done = context.Event(), context.Event()
    other = context.Process(target=claim_elsewhere, args=(tmp_path / "out", prepared, done))
    other.start()
    assert prepared.wait(60)
    with pytest.raises(RequestError, match="another baseline"):
        ResultsStore(tmp_path / "out").prepare(manifest(baseline_sha256="other"), force=False)
    done.set()
    other.join(60)
    ResultsStore(tmp_path / "out").prepare(manifest(baseline_sha256="other"), force=False)


def test_noise_floor_of_a_comparison_without_rows_is_not_taken_over(store):
    zero = dict.fromkeys(
        ("kld_mean", "kld_se", "kld_p990", "ln_ppl_ratio", "ln_ppl_ratio_se", "same_top_se"), 0
    )
    floor = NoiseFloor(n_tokens=1, n_windows=1, same_top=1, **zero)
    store.write_manifest(manifest(noise_floor=floor))
    assert store.noise_floor() is None
    store.add(row(), tokens(), None)
    assert store.noise_floor() == floor


@pytest.mark.parametrize("force", [False, True])
def test_foreign_folder_is_refused_even_with_force(tmp_path, force):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RequestError, match="holds no results"):
        ResultsStore(tmp_path).prepare(manifest(), force=force)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("trace", [".DS_Store", "Thumbs.db", "desktop.ini"])
def test_folder_that_a_file_manager_looked_into_is_taken(tmp_path, trace):
    (tmp_path / trace).write_bytes(b"how the window was")
    ResultsStore(tmp_path).prepare(manifest(), force=False)
    assert {path.name for path in tmp_path.iterdir()} >= {trace, "manifest.json"}


@pytest.mark.parametrize("inner", ["", "below"])
def test_file_in_place_of_the_folder_is_refused(tmp_path, inner):
    (tmp_path / "out").write_text("file")
    with pytest.raises(RequestError):
        ResultsStore(tmp_path / "out" / inner).prepare(manifest(), force=False)


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


def add_many(folder, prefix):
    store = ResultsStore(folder)
    for number in range(8):
        store.add(row(f"{prefix}{number}"), tokens(), None)
        timing = {"phase": "load", "tokens": 0, "seconds": float(number), "context": 0}
        store.add_timings("shared", pl.DataFrame([timing]))


def test_rows_that_several_processes_add_at_once_are_all_kept(store):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=add_many, args=(store.folder, prefix)) for prefix in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    expected = {f"{prefix}{number}" for prefix in "ab" for number in range(8)}
    assert set(store.variants()["variant_id"]) == expected
    assert store.timings("shared")["repetition"].to_list() == list(range(16))


def test_traces_of_a_dead_writer_are_removed_and_those_of_a_living_one_stay(store):
    target = store.folder / "tokens" / "v.parquet"
    mine = partial_path(target)
    dead = mine.with_name(mine.name.replace(f"-{os.getpid()}.", "-99999999."))
    elsewhere, old = (mine.with_name(f".{target.name}.{host}-1.partial") for host in ("there", "then"))
    for path in (mine, dead, elsewhere, old):
        path.write_bytes(b"half")
    for path in (mine, old):
        os.utime(path, (0, 0))
    store.prepare(manifest(), force=False)
    assert [path.exists() for path in (mine, dead, elsewhere, old)] == [True, False, True, False]


def test_scratch_of_a_dead_run_is_removed_and_that_of_a_living_one_stays(store):
    with store.scratch("artifacts") as mine:
        dead = mine.with_name(mine.name.replace(f"-{os.getpid()}.", "-99999999."))
        elsewhere, old = (mine.with_name(f".artifacts.{host}-1.partial") for host in ("there", "then"))
        for folder in (dead, elsewhere, old):
            folder.mkdir()
            (folder / "weights.bin").write_bytes(b"gigabytes")
        os.utime(old, (0, 0))
        store.prepare(manifest(), force=False)
        assert [path.exists() for path in (mine, dead, elsewhere, old)] == [True, False, True, False]
    assert not mine.exists()


def test_folder_of_a_run_that_died_before_its_manifest_is_taken(tmp_path):
    partial_path(tmp_path / "manifest.json").write_text("{")
    (tmp_path / ".lock").touch()
    ResultsStore(tmp_path).prepare(manifest(), force=False)
    assert read_manifest(tmp_path).model == "M"


def test_failures_of_other_runs_into_the_folder_stay_and_own_ones_are_judged_anew(store):
    theirs, mine = Failure(source="theirs.gguf", reason="cut"), Failure(source="mine.gguf", reason="cut")
    store.finish(manifest(failures=[theirs, mine]), ())
    store.prepare(manifest(started=datetime(2026, 1, 1, tzinfo=UTC)), force=False)
    assert read_manifest(store.folder).failures == [theirs, mine]
    store.finish(manifest(started=datetime(2026, 1, 1, tzinfo=UTC)), {"mine.gguf"})
    there = read_manifest(store.folder)
    assert (there.failures, there.started.year) == ([theirs], 2025)


def test_hidden_states_outlive_the_file_once_they_are_in_use(tmp_path):
    values = np.ones((3, 2), np.float32)
    writing = HiddenStates(tmp_path / "b.hidden.npy")
    writing.put(0, 1, values)
    writing.seal()
    reading = HiddenStates(tmp_path / "b.hidden.npy")
    assert reading.complete((1, 3))
    reading.discard()
    assert list(tmp_path.iterdir()) == []
    np.testing.assert_array_equal(next(iter(writing)), values)
