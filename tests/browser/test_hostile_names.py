"""Untrusted names stay text, even if they look like scripts, markup or templates."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from driving import PLOT, Watched, served, watched
from playwright.sync_api import Browser, Locator, expect
from results_factory import make_results

from dashboard.views import registry
from evaluator.results.files import MANIFEST_NAME
from evaluator.results.reader import read_manifest

pytestmark = pytest.mark.browser
METHODS = {
    "bartowski": "<i>evil</i> %{x}",
    "main": "my_company_quantizer_with_calibration_v2",
    "unsloth": "=1+1",
}
MODEL = "Tiny</title><script>window.PWN=1</script>{%scripts%}"


@pytest.fixture(scope="module")
def hostile_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = make_results(
        tmp_path_factory.mktemp("hostile"), methods=tuple(METHODS), quants=("Q4_0", "Q8_0"), windows=4
    )
    path = folder / "variants.parquet"
    quant = pl.col("quant").replace("Q8_0", "Q8_" + "L" * 117)
    named = pl.read_parquet(path).with_columns(pl.col("method").replace(METHODS), quant, model=pl.lit(MODEL))
    named.write_parquet(path)
    manifest = read_manifest(folder).model_copy(update={"model": MODEL})
    (folder / MANIFEST_NAME).write_text(manifest.model_dump_json())
    with served(folder) as url:
        yield url


@pytest.fixture
def hostile(browser: Browser, hostile_url: str) -> Iterator[Watched]:
    with watched(browser, hostile_url) as seen:
        yield seen


def test_no_name_runs_as_a_script(hostile: Watched) -> None:
    hostile.open("/")
    for path in ("/summary", *(f"/{view.id}" for view in registry()), "/"):
        hostile.turn(path)
        expect(hostile.page.locator("#source strong")).to_have_text(MODEL)
        expect(hostile.page).to_have_title(f"{MODEL} · quantization comparison")
        assert hostile.page.evaluate("window.PWN") is None, path
    assert hostile.complaints == []


def test_names_at_lines_say_what_lists_say_and_filter_by_the_whole_name(hostile: Watched) -> None:
    hostile.open("/ppl-bits")
    hostile.plotted()
    names = hostile.page.locator("#graph .annotation-text-g")
    said = " ".join(names.all_text_contents())
    assert "<i>evil</i> %{x}" in said
    assert "my_company_q…tion_v2" in said
    names.filter(has_text="my_company").click()
    expect(hostile.page).to_have_url(re.compile(r"method=%3C.*&method=%3D1%2B1$"))
    legend = hostile.page.locator("#graph .legendtext")
    expect(legend.filter(has_text="my_company_quantizer…ibration_v2")).to_have_count(1)
    hostile.page.locator("#graph .legendtoggle").nth(
        legend.all_text_contents().index("my_company_quantizer…ibration_v2")
    ).click()
    expect(hostile.page).to_have_url(f"{hostile.base}/ppl-bits")


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1440, 900), (390, 844)])
def test_long_names_stay_in_their_places(browser: Browser, hostile_url: str, width: int, height: int) -> None:
    with watched(browser, hostile_url, width, height) as seen:
        seen.open("/")
        seen.settle()
        cards = [box["width"] for box in map(Locator.bounding_box, seen.page.locator(".answer").all()) if box]
        assert min(cards) > 0.7 * max(cards)
        stage = seen.page.locator(".stage").bounding_box()
        for part in ("#title", ".boxes > .box"):
            for box in map(Locator.bounding_box, seen.page.locator(part).all()):
                assert box["x"] + box["width"] <= stage["x"] + stage["width"]
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        if width > 390:
            panel = seen.page.locator("#filters")
            assert panel.evaluate("element => element.scrollWidth <= element.clientWidth")
        for slug in ("confidence", "delta-logp"):
            seen.turn(f"/{slug}")
            seen.plotted()
            assert seen.page.evaluate(f"{PLOT}._fullLayout._size.w") > min(350, 0.4 * width), slug


def test_a_saved_table_holds_no_formula(hostile: Watched) -> None:
    hostile.open("/explore")
    hostile.page.wait_for_selector(".ag-center-cols-container .ag-row")
    with hostile.page.expect_download() as download:
        hostile.page.click("#grid-csv")
    text = Path(download.value.path()).read_text()
    assert "\"'=1+1" in text
    assert '"=1+1' not in text
    _groups, heads, *_, line = csv.reader(text.splitlines())
    assert float(dict(zip(heads, line, strict=True))["bits_per_weight"]) > 1
