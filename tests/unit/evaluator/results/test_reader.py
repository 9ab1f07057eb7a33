"""Reading the frames of a results folder, intact or damaged."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from evaluator.results.files import FRAMES, PAIRS, SPEED, VARIANTS, is_written, tokens_of
from evaluator.results.reader import ResultsFileError, read_frame, read_manifest, readable, scan_frame
from evaluator.results.schema import conform

ROUND = {"variant_id": "v", "phase": "load", "repetition": 0, "tokens": 0, "seconds": 1.5, "context": 0}


@pytest.mark.parametrize("file", FRAMES, ids=lambda file: file.name)
def test_an_absent_frame_is_empty_and_has_its_columns(tmp_path, file):
    assert read_frame(tmp_path, file).equals(file.schema.create_empty())
    assert scan_frame(tmp_path, file) is None


@pytest.mark.parametrize("name", ["res[1]", "res*", "what?", "[", "{a,b}", "~", "a%20b"])
def test_a_folder_is_read_by_its_own_name_not_as_a_pattern(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    for folder, seconds in ((name, 1.5), ("res1", 7.0)):
        (tmp_path / folder).mkdir()
        rounds = conform(SPEED.schema, pl.DataFrame([ROUND | {"seconds": seconds}]))
        rounds.write_parquet(tmp_path / folder / SPEED.place)
    scanned = scan_frame(Path(name), SPEED)
    assert scanned is not None
    for frame in (read_frame(Path(name), SPEED), scanned.collect()):
        assert frame["seconds"].to_list() == [1.5]


def test_a_frame_of_other_types_is_brought_to_its_own(tmp_path):
    pl.DataFrame([ROUND | {"mine": "x"}]).write_parquet(tmp_path / SPEED.place)
    expected = ROUND | {"engine": "onnxruntime", "round": None, "mine": "x"}
    scanned = scan_frame(tmp_path, SPEED)
    assert scanned is not None
    for frame in (read_frame(tmp_path, SPEED), scanned.collect()):
        assert frame.to_dicts() == [expected]
        assert frame.schema["repetition"] == pl.UInt32


@pytest.mark.parametrize(
    ("file", "content", "way_out"),
    [
        (VARIANTS, b"PAR1", "run --force"),
        (PAIRS, bytes(900), "delete it"),
        (tokens_of("v"), b"", "delete it"),
    ],
)
def test_damage_names_the_file_and_the_way_out(tmp_path, file, content, way_out):
    path = tmp_path / file.place
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    for read in (read_frame, scan_frame):
        with pytest.raises(ResultsFileError, match=rf"{file.name}: cannot be read: \w") as caught:
            read(tmp_path, file)
        assert caught.value.path == path
        assert way_out in str(caught.value)
        assert "\n" not in caught.value.reason


def test_values_are_checked_where_that_is_asked_for(tmp_path):
    pl.DataFrame([ROUND | {"seconds": -1.0}]).write_parquet(tmp_path / SPEED.place)
    assert read_frame(tmp_path, SPEED)["seconds"].to_list() == [-1]
    with pytest.raises(ResultsFileError, match="column seconds: 1 row with a value below the minimum"):
        read_frame(tmp_path, SPEED, validate=True)


def test_a_manifest_that_is_absent_or_no_text_is_an_error_of_its_file(tmp_path):
    with pytest.raises(ResultsFileError, match=r"manifest\.json: cannot be read: No such file or directory;"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ResultsFileError, match=r"manifest\.json: cannot be read: 'utf-8' codec"):
        read_manifest(tmp_path)


def test_errors_of_other_kinds_pass_through(tmp_path):
    with pytest.raises(KeyError), readable(tmp_path):
        raise KeyError("x")


@pytest.mark.parametrize(
    ("place", "written"),
    [("variants.parquet", True), ("tokens/x.txt", True), (".lock", True), ("a/speed.parquet", False)],
)  # fmt: skip
def test_what_a_run_writes_is_told_from_what_lies_beside_it(tmp_path, place, written):
    assert is_written(tmp_path, tmp_path / place) == written
    assert not is_written(tmp_path, tmp_path.parent / place)
