"""Folders that a run may write to: only the same comparison, no foreign files, one run at a time."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from datetime import UTC, datetime

import numpy as np
import pytest
from results_store_cases import FLOOR, TEXT, manifest, prepare, row, tokens, tokens_path

from evaluator.commands.results_table import inspect_results
from evaluator.results.files import LOCK_NAME, VARIANTS, WRITER_NAME, tokens_of
from evaluator.results.manifest import (
    Protocol,
)
from evaluator.results.reader import read_manifest
from evaluator.results.store import ResultsStore
from evaluator.support.atomic_files import whole_file
from evaluator.support.errors import RequestError


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


def killed(folder):
    """Simulate a run that is killed while it writes a frame, its hidden states and an artifact."""
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
