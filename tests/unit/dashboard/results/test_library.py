"""Folders are opened on first use, again when a run adds to them, and told apart by name."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest
from results_factory import make_results

from dashboard.results.folder import EmptyRunError, ResultsError
from dashboard.results.library import Library
from dashboard.results.results import Results
from dashboard.results.selection import EVERYTHING, Selection
from dashboard.shell.callbacks import screen
from evaluator.results.files import MANIFEST_NAME
from evaluator.results.manifest import Failure, Manifest
from evaluator.results.reader import read_manifest
from evaluator.support.atomic_files import whole_file


def make(folder: Path) -> Path:
    return make_results(folder, methods=("main",), quants=("Q4_0", "Q8_0"), windows=4)


def rewrite(folder: Path, **changes: object) -> Manifest:
    manifest = read_manifest(folder).model_copy(update=changes)
    (folder / MANIFEST_NAME).write_text(manifest.model_dump_json())
    return manifest


def test_names_are_told_apart(tmp_path: Path) -> None:
    folders = [tmp_path / "x" / "results", tmp_path / "y" / "results", tmp_path / "other"]
    assert Library(folders).names == ["x/results", "y/results", "other"]
    assert Library(folders).name_of("no such") == "x/results"


def test_a_folder_is_added_under_a_name_of_its_own(tmp_path: Path) -> None:
    library = Library([make(tmp_path / "a")])
    names = [library.add(make(tmp_path / place)) for place in ("b", "x/a", "x/x/a")]
    assert names == ["b", "x/a", str(tmp_path / "x" / "x" / "a")]
    assert library.names == ["a", *names]
    assert library.add(tmp_path / "x" / ".." / "b") == "b", "it is there already"
    assert library.at("x/a").folder == tmp_path / "x" / "a"
    with pytest.raises(ResultsError):
        library.add(tmp_path)
    begun = make(tmp_path / "begun")
    (begun / "variants.parquet").unlink()
    rewrite(begun, ended=None)
    assert library.add(begun) == "begun", "its run has measured nothing yet"
    assert library.names == ["a", *names, "begun"]


def test_a_folder_that_requests_add_at_once_is_served_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, folder, n_requests = Library([make(tmp_path / "a")]), make(tmp_path / "b"), 5
    all_open, opened = threading.Barrier(n_requests), Results.open

    def open_at_once(folder: Path) -> Results:
        results = opened(folder)
        all_open.wait()
        return results

    monkeypatch.setattr(Results, "open", open_at_once)
    with ThreadPoolExecutor(n_requests) as requests:
        assert list(requests.map(library.add, [folder] * n_requests)) == ["b"] * n_requests
    assert library.names == ["a", "b"]


def test_opened_once_and_again_after_a_change(tmp_path: Path) -> None:
    folder = make(tmp_path / "a")
    library = Library([folder])
    first = library.at("")
    assert library.at("a") is first
    before = library.version("a")
    path = folder / "variants.parquet"
    pl.read_parquet(path).filter(pl.col("variant_id") != "main-q8_0").write_parquet(path)
    assert library.version("a") != before
    assert library.at("a").measured.height == 1


def test_token_files_that_arrive_later_are_noticed(tmp_path: Path) -> None:
    folder = make(tmp_path / "a")
    shutil.move(folder / "tokens", tmp_path / "tokens")
    library = Library([folder])
    assert library.at("a").bins("main-q8_0", EVERYTHING) is None
    versions = [library.version("a")]
    (folder / "tokens").mkdir()
    for path in sorted((tmp_path / "tokens").iterdir()):
        shutil.copyfile(path, folder / "tokens" / path.name)
        versions.append(library.version("a"))
    assert len(set(versions)) == 4, "each file counts: the baseline's and two variants'"
    assert library.at("a").bins("main-q8_0", EVERYTHING) is not None
    (folder / "tokens" / "main-q8_0.parquet").write_bytes(b"damaged")
    assert library.version("a") != versions[-1], "also in its place, which leaves the folder's time as it is"


def test_a_token_file_is_noticed_when_it_is_whole(tmp_path: Path) -> None:
    folder = make(tmp_path / "a")
    library = Library([folder])
    opened = library.at("a")
    with whole_file(folder / "tokens" / "main-q4_0.parquet") as partial:
        partial.write_bytes((folder / "tokens" / "main-q8_0.parquet").read_bytes())
        assert library.at("a") is opened
    assert library.at("a") is not opened


def test_what_a_click_may_ask_for_is_computed_once(tmp_path: Path) -> None:
    library = Library([make(tmp_path / "a")])
    results = library.at("a")
    parts = [Selection.of(domains=[name]) for name in results.domains] + [Selection.of(bins=[0])]
    for selection in parts:
        assert results.select(selection).height == results.measured.height
    assert all(part.token_filter in results._recomputed for part in parts)


def test_a_run_that_has_finished_nothing(tmp_path: Path) -> None:
    folder = make(tmp_path / "a")
    begun = rewrite(folder, ended=None, n_planned=2)
    shutil.move(folder / "variants.parquet", tmp_path / "later.parquet")
    library = Library([folder])
    with pytest.raises(EmptyRunError):
        library.at("")
    assert library.running("")
    shown = screen(library, "/ppl-bits", "", {})
    assert "has begun" in shown["title"]
    assert shown["find-list"] == shown["options-method"] == [], "nothing of another folder stays"
    assert shown["hidden-method"]
    assert shown["address"]["model"] == begun.model
    assert shown["poll"] is False
    shutil.move(tmp_path / "later.parquet", folder / "variants.parquet")
    then = screen(library, "/ppl-bits", "", shown["address"])
    assert "drawing" in then
    assert {option["value"] for option in then["options-method"]} == {"main"}
    assert "run in progress: 2 of 2 measured" in [part.children for part in then["status"]]
    rewrite(folder, ended=read_manifest(make(tmp_path / "b")).ended)
    assert screen(library, "/ppl-bits", "", then["address"])["poll"] is True
    assert not library.running("")


def test_only_the_baseline_is_measured_yet(tmp_path: Path) -> None:
    folder = make(tmp_path / "a")
    rewrite(folder, ended=None)
    path = folder / "variants.parquet"
    pl.read_parquet(path).filter("is_baseline").write_parquet(path)
    for address in ("/", "/ppl-bits", "/compare", "/explore", "/summary"):
        shown = screen(Library([folder]), address, "", {})
        assert shown["title"] == "The baseline is measured, the variants follow"
        assert shown["poll"] is False


def test_a_folder_in_which_no_variant_could_be_measured(tmp_path: Path) -> None:
    folder = make(tmp_path / "a")
    rewrite(folder, failures=[Failure(source="broken.gguf", reason="tensor blk.0 is missing")])
    path = folder / "variants.parquet"
    pl.read_parquet(path).filter("is_baseline").with_columns(ppl=pl.lit(None, pl.Float64)).write_parquet(path)
    for address in ("/", "/layers", "/summary"):
        shown = screen(Library([folder]), address, "", {})
        assert shown["title"] == "This folder holds a baseline and no variant"
        said = str(shown["body"])
        assert "broken.gguf: tensor blk.0 is missing" in said
        assert f"--out {folder}" in said


def test_a_folder_that_broke_is_said_not_raised(tmp_path: Path) -> None:
    folder = make(tmp_path / "a")
    library = Library([folder])
    shown = screen(library, "/", "", {})
    (folder / "variants.parquet").write_bytes(b"no parquet")
    with pytest.raises(ResultsError):
        library.at("")
    after = screen(library, "/", "", shown["address"])
    assert after["title"] == "Nothing can be shown"
    assert after["poll"] is True
