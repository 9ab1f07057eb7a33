"""A folder measured on several devices: they are filtered like models, and the notes name what can be filtered."""

from __future__ import annotations

from pathlib import Path

import pytest
from several_devices import make_devices

from dashboard.export.command import export
from dashboard.insights.comparison import elsewhere
from dashboard.results.library import Library
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.shell import filters, measured
from dashboard.shell.address import Address
from dashboard.shell.callbacks import screen

CUDA = Selection.of(devices=["cuda"])


@pytest.fixture(scope="module")
def devices(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("devices")
    options = {"methods": ("bartowski", "main"), "quants": ("Q4_0", "Q8_0"), "windows": 8}
    return Results.open(make_devices(folder, **options))


def test_the_address_holds_devices() -> None:
    assert Selection.from_query("?device=cuda&model=m").to_query() == "model=m&device=cuda"
    assert Selection.from_query("device=cuda") == CUDA


def test_a_device_filters_variants_and_their_baselines(devices: Results) -> None:
    assert set(devices.select(CUDA)["device"]) == {"cuda"}
    assert devices.select(CUDA).height == devices.measured.height // 2
    assert devices.baselines(CUDA)["variant_id"].to_list() == ["baseline-f16-cuda"]
    assert devices.baselines(Selection()).height == 2


def test_a_baseline_of_another_device_stays_with_those_it_serves(devices: Results, tmp_path: Path) -> None:
    kept = devices.variants.filter(devices.variants["variant_id"] != "baseline-f16-cuda")
    kept = kept.with_columns(baseline_id=kept["baseline_id"].replace("baseline-f16-cuda", "baseline-f16"))
    borrowed = Results(devices.folder, devices.manifest, kept)
    assert borrowed.baselines(CUDA)["variant_id"].to_list() == ["baseline-f16"]


def test_the_panel_offers_devices_where_there_are_several(devices: Results, three_methods: Path) -> None:
    one = Results.open(three_methods)
    assert filters.visible(devices, devices)["device"]
    assert not filters.visible(one, one)["device"]
    shown = screen(Library([devices.folder]), "/ppl-bits", "?device=cuda", {})
    assert [option["value"] for option in shown["options-device"]] == ["cpu", "cuda"]
    assert shown["value-device"] == ["cuda"]
    assert "device: CUDA" in str(shown["chips"])
    assert "This is about" not in str(shown["insights"])
    assert "device" not in Address.parse(*_removing(shown, "device")).selection.to_query()


def _removing(shown: dict[str, object], name: str) -> list[str]:
    chips = [chip for chip in shown["chips"] if f"{name}:" in str(chip)]  # type: ignore[attr-defined]
    return [*chips[0].href.split("?"), ""][:2]


def test_captions_name_the_device_of_what_is_shown(devices: Results) -> None:
    assert "CUDA" in measured.provenance(Scope(devices, CUDA))
    assert "CPU" not in measured.provenance(Scope(devices, CUDA))
    assert "CPU (Synthetic CPU) and CUDA" in measured.provenance(Scope(devices, Selection()))


def test_an_export_takes_a_device(devices: Results, tmp_path: Path) -> None:
    assert export(devices.folder, tmp_path / "a.md", "device=cuda") == []
    assert "CPU" not in (tmp_path / "a.md").read_text().split("## Variants")[1].split("##", 1)[0]


def place(model: str, device: str) -> dict[str, object]:
    return {"model": model, "device": device}


@pytest.mark.parametrize(
    ("rows", "text", "detail"),
    [
        (
            [place("a", "cpu"), place("b", "cpu")],
            "about a alone: filter by model to",
            "1 variant of another model passes",
        ),
        (
            [place("a", "cpu"), place("a", "cuda"), place("a", "cuda")],
            "about CPU alone: filter by device to",
            "2 variants of another device pass",
        ),
        (
            [place("a", "cpu"), place("b", "cuda")],
            "about a on CPU alone: filter by model or device to",
            "1 variant of another model or device passes",
        ),
    ],
)
def test_the_note_names_what_differs(rows: list[dict[str, object]], text: str, detail: str) -> None:
    (note,) = elsewhere(rows, rows[:1])
    assert text in note.text
    assert detail in note.detail
    assert elsewhere(rows[:1], rows[:1]) == []
