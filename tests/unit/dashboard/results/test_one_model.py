"""Of a folder with several models one is shown, with its own manifest and names."""

from __future__ import annotations

from datetime import timedelta

import pytest
from many_models import make_models

from dashboard.export.command import export
from dashboard.results.library import Library
from dashboard.results.one_model import one_model
from dashboard.results.results import Results
from dashboard.results.selection import EVERYTHING, Selection
from dashboard.shell.callbacks import screen
from evaluator.results.files import MANIFEST_NAME
from evaluator.results.manifest import joined
from evaluator.results.reader import read_manifest


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Models Beta, measured first, and Alpha, of which the run goes on, each with a note of its own."""
    folder = make_models(tmp_path_factory.mktemp("models"), ("Beta", "Alpha"))
    manifest = read_manifest(folder)
    ids = {name: manifest.baseline_id.replace("Beta", name) for name in ("Beta", "Alpha")}
    first, second = (
        manifest.model_copy(
            update={"model": name, "baseline_id": ids[name], "baseline_note": f"about {name}"}
        )
        for name in ids
    )
    second = second.model_copy(update={"ended": None, "started": manifest.started + timedelta(days=1)})
    (folder / MANIFEST_NAME).write_text(joined([first, second]).model_dump_json())
    return folder


@pytest.fixture(scope="module")
def whole(folder):
    return Results.open(folder)


def test_the_first_measured_is_shown_by_default(whole):
    part, selection = one_model(EVERYTHING, whole)
    assert whole.models == ["Beta", "Alpha"]
    assert selection.to_query() == "model=Beta"
    assert part.models == ["Beta"]
    assert part.manifest.baseline_note == "about Beta"
    assert part.baseline["variant_id"] == part.manifest.baseline_id
    assert not any("Beta" in label for label in part.labels.values())
    assert all("Beta" in label or "Alpha" in label for label in whole.labels.values())


def test_a_selected_one_has_its_own_manifest_rows_and_frames(whole):
    part, _ = one_model(Selection.of(["Alpha"]), whole)
    assert part.manifest.baseline_note == "about Alpha"
    assert set(part.variants["model"]) == {"Alpha"}
    assert set(part.variants["variant_id"]) >= set(part.layers()["variant_id"])
    assert part.layers().height < whole.layers().height
    assert part.styles == whole.styles
    assert part is one_model(Selection.of(["Alpha"]), whole)[0]


def test_several_selected_are_shown_together(whole):
    selection = Selection.of(["Alpha", "Beta"])
    assert one_model(selection, whole) == (whole, selection)


@pytest.mark.parametrize("field", ["only", "picked"])
def test_a_named_variant_decides_the_model(whole, field):
    (variant,) = whole.measured.filter(model="Alpha")["variant_id"].to_list()[:1]
    part, selection = one_model(Selection.of(**{field: [variant]}), whole)
    assert (part.models, getattr(selection, field)) == (["Alpha"], {variant})


def test_compared_variants_decide_the_model(whole):
    first, second = whole.measured.filter(model="Alpha")["variant_id"].to_list()[:2]
    part, selection = one_model(Selection.of(options={"a": first, "b": second}), whole)
    assert (part.models, dict(selection.options)) == (["Alpha"], {"a": first, "b": second})


def test_a_folder_with_one_model_is_shown_as_it_is(three_methods):
    results = Results.open(three_methods)
    assert one_model(EVERYTHING, results) == (results, EVERYTHING)


def test_the_screen_says_which_and_offers_the_other(folder):
    shown = screen(Library([folder]), "/", "", {})
    assert shown["address"]["query"] == "model=Beta"
    assert shown["address"]["model"] == "Beta"
    assert [option["value"] for option in shown["options-model"]] == ["Beta", "Alpha"]
    assert (shown["value-model"], shown["hidden-model"]) == (["Beta"], False)
    assert "about Beta" in str(shown["insights"])
    assert "about Alpha" not in str(shown["insights"])
    assert "model:" not in str(shown["chips"])
    assert shown["poll"] is False
    later = screen(Library([folder]), "/", "?model=Alpha", shown["address"])
    assert "about Alpha" in str(later["insights"])
    assert "options-quant" in later


def test_notes_and_days_of_several_are_told_by_model(folder):
    shown = screen(Library([folder]), "/", "?model=Alpha&model=Beta", {})
    for name in ("Alpha", "Beta"):
        assert f"{name}: about {name}." in str(shown["insights"])
    first, second = (f"{run.started:%Y-%m-%d}" for run in read_manifest(folder).each)
    assert f"measured {first} and {second}" in str(shown["status"])
    assert "run in progress" in str(shown["status"])


def test_exports_are_about_the_same_model(folder, tmp_path):
    export(folder, tmp_path / "all.md")
    content = (tmp_path / "all.md").read_text()
    assert "about Beta" in content
    assert "about Alpha" not in content


def test_folders_of_earlier_versions_have_no_manifest_of_the_second(tmp_path):
    folder = make_models(tmp_path / "old", ("One", "Two"), windows=2)
    part = Results.open(folder).of_model("Two")
    assert part.baseline["model"] == "Two"
