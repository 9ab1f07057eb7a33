"""A file that cannot be read is told of on the first page, and by the view that needs it."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest
from results_factory import make_results

from dashboard.export.exhibit import exhibit
from dashboard.results.library import Library
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING
from dashboard.shell.callbacks import screen
from dashboard.shell.render import render
from dashboard.views import registry
from evaluator.results.schema import Pairs, Speed, with_schema

VIEWS = {view.id: view for view in registry()}
FILES = ("layers.parquet", "pairs.parquet", "speed.parquet", "vocabulary.parquet")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_results(tmp_path / "results", methods=("main",), quants=("Q4_0", "Q8_0"), windows=4)


def skipped(folder: Path) -> list[str]:
    """What the first drawing of the first page says it left out."""
    said = [insight.text for insight in render(Results.open(folder), "/", EVERYTHING).insights]
    return sorted(text.split()[1] for text in said if text.startswith("Skipped: "))


def test_a_sound_folder_has_no_problems(folder: Path) -> None:
    Pairs.create_empty().write_parquet(folder / "pairs.parquet")
    assert skipped(folder) == []


def test_the_first_page_tells_of_every_damaged_file(folder: Path) -> None:
    for name in (*FILES, "tokens/main-q4_0.parquet"):
        (folder / name).write_bytes(b"nonsense")
    assert skipped(folder) == sorted((*FILES, "main-q4_0.parquet"))


def test_the_view_names_the_file(folder: Path) -> None:
    (folder / "layers.parquet").write_bytes(b"nonsense")
    (folder / "tokens" / "baseline-f16.parquet").write_bytes(b"nonsense")
    results = Results.open(folder)
    for slug, name in (("layers", "layers.parquet"), ("confidence", "baseline-f16.parquet")):
        page = render(results, slug, EVERYTHING)
        assert page.title == "Cannot be read"
        told = str(page.body)
        assert f"{name} cannot be read: " in told
        assert "--no-layers" not in told
        assert f"{name} cannot be read: " in exhibit(Scope(results, EVERYTHING), VIEWS[slug]).reason
    (folder / "layers.parquet").unlink()
    page = render(Results.open(folder), "layers", EVERYTHING)
    assert page.title == "Not measured yet"
    assert "run without --no-layers" in str(page.body)


def test_speeds_and_texts_that_cannot_be_read_are_not_called_missing(folder: Path) -> None:
    for name in ("speed.parquet", "vocabulary.parquet"):
        (folder / name).write_bytes(b"nonsense")
    results = Results.open(folder)
    said = VIEWS["speed"].insights(Scope(results, EVERYTHING))
    assert any("repetitions cannot be read" in item.text and "speed.parquet" in item.detail for item in said)
    assert "vocabulary.parquet cannot be read" in str(render(results, "compare", EVERYTHING).body)


def test_damage_inside_the_repetitions_is_told_and_the_rest_is_drawn(folder: Path) -> None:
    path = folder / "speed.parquet"
    with_schema(Speed, pl.read_parquet(path)).write_parquet(path)
    body = path.read_bytes()
    path.write_bytes(body[:4] + bytes(len(body) // 3) + body[4 + len(body) // 3 :])
    results = Results.open(folder)
    assert any("speed.parquet cannot be read" in problem for problem in results.problems)
    scope = Scope(results, EVERYTHING)
    assert VIEWS["speed"].draw(scope).data
    assert any("cannot be read" in item.text for item in VIEWS["speed"].insights(scope))


def test_damage_inside_a_file_is_told_when_it_is_read(folder: Path) -> None:
    path = folder / "tokens" / "main-q4_0.parquet"
    body = path.read_bytes()
    path.write_bytes(body[:4] + bytes(len(body) // 2) + body[4 + len(body) // 2 :])
    results = Results.open(folder)
    assert results.problems == [], "the columns are there"
    render(results, "/delta-logp", EVERYTHING)
    said = render(results, "/", EVERYTHING).insights
    assert any("main-q4_0.parquet cannot be read" in insight.text for insight in said)


def test_a_page_drawn_before_damage_was_found_is_drawn_again(folder: Path) -> None:
    library = Library([folder])

    def said() -> str:
        return str(screen(library, "/", "", {})["insights"])

    assert "cannot be read" not in said()
    library.at("")._frames.faults["main-q4_0.parquet"] = "main-q4_0.parquet cannot be read: broken"
    assert "Skipped: main-q4_0.parquet cannot be read: broken." in said()


def test_every_page_names_a_file_that_turned_out_damaged(folder: Path) -> None:
    path = folder / "tokens" / "main-q4_0.parquet"
    body = path.read_bytes()
    path.write_bytes(body[:4] + bytes(len(body) // 2) + body[4 + len(body) // 2 :])
    library = Library([folder])
    for page in ("/delta-logp", "/size"):
        assert "skipped: main-q4_0.parquet cannot be read" in str(screen(library, page, "", {})["status"]), (
            page
        )


def test_opening_many_variants_reads_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a file of tokens only the columns are read, once, however many files there are."""
    folder = make_results(tmp_path / "many", methods=("main",), quants=("Q4_0",), windows=2)
    path = folder / "variants.parquet"
    frame = pl.read_parquet(path)
    copies = [
        frame.filter(~pl.col("is_baseline")).with_columns(pl.format("copy-{}", pl.lit(n)).alias("variant_id"))
        for n in range(105)
    ]
    pl.concat([frame, *copies]).write_parquet(path)
    for n in range(105):
        shutil.copy(folder / "tokens" / "main-q4_0.parquet", folder / "tokens" / f"copy-{n}.parquet")
    opened = Results.open(folder)
    assert opened.problems == []
    again = Results(folder, opened.manifest, opened.variants)
    scanned: list[Path] = []
    scan = pl.scan_parquet

    def counted(path: Path, *, glob: bool) -> pl.LazyFrame:
        scanned.append(path)
        return scan(path, glob=glob)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("tokens are read")

    for ask in (again.layers, again.pairs, again.kv_cache, again.memory):
        ask()
    again.pieces(opened.manifest.model)
    again.speed("onnxruntime")
    monkeypatch.setattr(pl, "scan_parquet", counted)
    monkeypatch.setattr(pl, "read_parquet", refuse)
    monkeypatch.setattr(pl.LazyFrame, "collect", refuse)
    again._frames.look_at_every_file(again.variants["variant_id"])
    assert sorted(scanned) == sorted((folder / "tokens").iterdir())
