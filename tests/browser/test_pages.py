"""Overview, Compare, Explore, help, several folders, and a folder with a run in progress."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import polars as pl
import pytest
from driving import Watched, served, watched
from playwright.sync_api import Browser, expect
from results_factory import make_results

from evaluator.results.files import MANIFEST_NAME
from evaluator.results.reader import read_manifest

pytestmark = pytest.mark.browser


def test_the_overview_answers_with_limits(full: Watched) -> None:
    full.open("/")
    expect(full.page.locator("#title")).to_contain_text("Run ")
    before = full.page.inner_text("#title")
    expect(full.page.locator(".advice")).to_have_count(0)
    full.page.fill("#option-gb", "60 MB")
    full.page.keyboard.press("Enter")
    expect(full.page.locator("#title")).to_contain_text("Within your limits (at most 60.0 MB) run ")
    expect(full.page.locator(".advice")).to_contain_text("at most 60.0 MB")
    expect(full.page.locator("#option-gb")).to_have_value("60 MB")
    full.settle()
    assert full.updates() == 1
    full.page.fill("#option-gb", "0.001")
    full.page.keyboard.press("Enter")
    expect(full.page.locator(".advice")).to_contain_text("No file is that small")
    full.page.fill("#option-gb", "1,000 MB")
    full.page.keyboard.press("Enter")
    expect(full.page.locator(".limit-problem")).to_contain_text("may mean thousands or decimals")
    expect(full.page.locator("#title")).to_contain_text("Run ")
    full.page.fill("#option-gb", "")
    full.page.keyboard.press("Enter")
    expect(full.page.locator(".limit-problem")).to_have_count(0)
    expect(full.page.locator("#title")).to_have_text(before)
    expect(full.page.locator(".answer")).to_have_count(3)
    assert full.complaints == []


def test_a_click_on_an_answer_picks_its_file_and_another_lets_it_go(full: Watched) -> None:
    full.open("/")
    card = full.page.locator(".answer.primary")
    button = card.get_by_role("button")
    expect(button).to_have_text("Pick")
    name = button.get_attribute("data-name")
    card.locator(".answer-why").click()
    expect(full.page).to_have_url(re.compile(rf"[?&]pick={button.get_attribute('data-pick')}(&|$)"))
    expect(button).to_have_text("✓ Picked")
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(full.page.locator("#said")).to_have_text(f"Picked {name}: marked in every view")
    full.turn("/degradation" + full.page.evaluate("window.location.search"))
    expect(full.page.locator("#picked")).to_contain_text(name)
    full.page.go_back()
    expect(button).to_have_text("✓ Picked")
    button.focus()
    full.page.keyboard.press("Enter")
    expect(button).to_have_text("Pick")
    assert "pick=" not in full.page.url
    expect(full.page.locator("#said")).to_have_text(f"Let go of {name}")
    assert full.complaints == []


def test_compare(full: Watched) -> None:
    full.open("/compare?pick=main-q2_k&pick=main-q8_0")
    expect(full.page.locator("#title")).to_contain_text("main Q8_0 is closer to the baseline than main Q2_K")
    expect(full.page.locator("#option-a")).to_have_value("main-q2_k")
    verdicts = full.page.locator(".verdict.decided")
    expect(verdicts.first).to_have_text("B better")
    full.page.select_option("#option-b", "unsloth-q6_k")
    expect(full.page).to_have_url(re.compile(r"/compare\?pick=main-q2_k&pick=main-q8_0&b=unsloth-q6_k"))
    expect(full.page.locator("#title")).to_contain_text("unsloth Q6_K")
    expect(full.page.locator(".context").first).to_be_visible()
    full.settle()
    assert full.updates() == 1
    assert full.complaints == []


def test_explore(full: Watched) -> None:
    full.open("/explore")
    full.page.wait_for_selector(".ag-center-cols-container .ag-row")
    boxes = full.page.locator(".ag-pinned-left-cols-container .ag-checkbox-input")
    expect(boxes.first).to_be_attached()
    boxes.nth(0).click()
    expect(full.page.locator("#chips .chip.picked")).to_have_count(1)
    full.page.locator(".ag-header-cell", has_text="Bits per weight").click()
    boxes.nth(3).click()
    expect(full.page.locator("#chips .chip.picked")).to_have_count(2)
    full.settle()
    assert full.updates() == 2
    with full.page.expect_download() as download:
        full.page.click("#grid-csv")
    lines = Path(download.value.path()).read_text().splitlines()
    assert download.value.suggested_filename.endswith("-variants.csv")
    assert len([line for line in lines if re.search("Q[0-9]_", line)]) == 21
    assert {"size_bytes", "same_top", "kld_mean"} <= set(lines[1].replace('"', "").split(",")), (
        "names of columns"
    )
    assert not re.search(" (MB|%)", "".join(lines[2:])), "numbers as they are"
    expect(full.page.locator(".ag-cell[col-id=size_bytes]").nth(1)).to_contain_text(" MB")
    full.page.keyboard.press("1")
    full.page.wait_for_selector("#graph .annotation-text-g")
    expect(full.page.locator("#chips .chip.picked")).to_have_count(2)
    full.page.click("#tab-explore")
    expect(full.page.locator(".ag-row-selected").first).to_be_visible()
    full.page.keyboard.press("Escape")
    expect(full.page.locator(".ag-row-selected")).to_have_count(0)
    assert full.complaints == []
    assert full.foreign() == []


def test_help_and_folding(full: Watched) -> None:
    full.open("/ppl-bits")
    full.page.keyboard.press("?")
    expect(full.page.locator("#help")).to_be_visible()
    full.page.keyboard.press("1")
    full.page.keyboard.press("Escape")
    expect(full.page.locator("#help")).to_be_hidden()
    full.page.click("#help-toggle")
    full.page.click("#help [data-close]")
    expect(full.page.locator("#help")).to_be_hidden()
    wide = full.page.locator(".stage").bounding_box()
    full.page.keyboard.press("f")
    expect(full.page.locator("#filters")).to_be_hidden()
    wider = full.page.locator(".stage").bounding_box()
    assert wide is not None
    assert wider is not None
    assert wider["width"] > wide["width"] + 150
    full.page.click("#filters-toggle")
    expect(full.page.locator("#filters")).to_be_visible()
    full.settle()
    assert full.updates() == 0


def test_keys_lead_to_pages(full: Watched) -> None:
    full.open("/size?method=main")
    pages = {"0": "", "8": "radar", "c": "compare", "e": "explore", "s": "summary"}
    for key, slug in pages.items():
        full.page.keyboard.press(key)
        expect(full.page).to_have_url(f"{full.base}/{slug}?method=main")


def test_arrows_change_tabs_from_anywhere(full: Watched) -> None:
    full.open("/size")
    full.page.keyboard.press("ArrowRight")
    expect(full.page).to_have_url(f"{full.base}/confidence")
    full.page.keyboard.press("ArrowLeft")
    full.page.keyboard.press("ArrowLeft")
    expect(full.page).to_have_url(f"{full.base}/speed")


def test_switching_folders(browser: Browser, three_methods: Path, one_method: Path) -> None:
    with served(three_methods, one_method) as url, watched(browser, url) as seen:
        seen.open("/ppl-bits?method=unsloth")
        seen.wait_drawn("unsloth")
        seen.page.click("#folders summary")
        seen.page.click("#folders .menu-item:not(.chosen)")
        expect(seen.page.locator("#status")).to_contain_text("5 of 5 variants")
        seen.wait_drawn("main")
        assert seen.page.url == f"{url}/ppl-bits?results={one_method.name}"
        expect(seen.page.locator("#filter-method input")).to_have_count(1)
        seen.page.get_by_label("main").check()
        expect(seen.page).to_have_url(f"{url}/ppl-bits?results={one_method.name}&method=main")
        seen.page.click("#reset")
        expect(seen.page).to_have_url(f"{url}/ppl-bits?results={one_method.name}")
        for status in ("5 of 5 variants", "5 of 5 variants", "7 of 21 variants"):
            seen.page.go_back()
            expect(seen.page.locator("#status")).to_contain_text(status)
            seen.settle()
        assert seen.page.url == f"{url}/ppl-bits?method=unsloth"
        assert seen.updates() == 6
        assert seen.complaints == []


def test_a_run_fills_the_folder_while_it_is_shown(browser: Browser, tmp_path: Path) -> None:
    folder = make_results(tmp_path / "run", methods=("main",), quants=("Q4_0", "Q8_0"), windows=4)
    variants, manifest = pl.read_parquet(folder / "variants.parquet"), read_manifest(folder)

    def run_has(count: int, *, ended: bool = False) -> None:
        update = {} if ended else {"ended": None}
        (folder / MANIFEST_NAME).write_text(
            manifest.model_copy(update={"n_planned": 2, **update}).model_dump_json()
        )
        if count:
            variants.head(count).write_parquet(folder / "partial")
            shutil.move(folder / "partial", folder / "variants.parquet")

    (folder / "variants.parquet").unlink()
    run_has(0)
    with served(folder) as url, watched(browser, url) as seen:
        seen.open("/ppl-bits")
        expect(seen.page.locator("#title")).to_contain_text("has begun")
        run_has(2)
        expect(seen.page.locator("#status")).to_contain_text("run in progress: 1 of 2 measured")
        seen.wait_drawn("main")
        run_has(3)
        expect(seen.page.locator("#status")).to_contain_text("2 of 2 variants")
        run_has(3, ended=True)
        expect(seen.page.locator("#status")).not_to_contain_text("run in progress")
        seen.settle()
        polls = seen.updates()
        seen.page.wait_for_timeout(2500)
        assert seen.updates() == polls, "a finished run is not asked about"
        assert seen.complaints == []


def test_phone_pages_do_not_scroll_sideways(phone: Watched) -> None:
    phone.open("/")
    for path in ("/compare", "/explore", "/summary", "/layers", "/"):
        phone.turn(path)
        phone.settle()
        assert phone.page.evaluate("document.documentElement.scrollWidth") <= 390, path


def test_phone_shows_rows_and_whole_panels(phone: Watched) -> None:
    phone.open("/explore")
    phone.settle()
    row = phone.page.locator(".ag-center-cols-container .ag-row").first
    row.wait_for(state="visible")
    assert row.bounding_box()["height"] > 10
    phone.open("/confidence?share=own")
    phone.plotted()
    panels = phone.page.locator("#graph .subplot.xy, #graph .subplot.x2y2")
    boxes = [panels.nth(index).bounding_box() for index in range(panels.count())]
    assert len(boxes) == 2
    assert all(box["width"] > 100 for box in boxes)


def test_text_does_not_wait_for_the_plotting_library(full: Watched) -> None:
    def asked() -> int:
        return sum("plotly.min.js" in url for url in full.requests)

    full.open("/summary")
    full.page.wait_for_function("window.Plotly !== undefined")
    assert asked() == 1
    full.page.keyboard.press("1")
    full.plotted()
    assert asked() == 1, "what came after the text serves the view"
    assert full.complaints == []


def test_what_an_address_asks_for_in_vain_is_said_once_and_the_rest_stays(full: Watched) -> None:
    full.open("/size?method=mian&quant=Q4_0")
    said = full.page.locator("#unknown")
    expect(said).to_have_text(
        "There is no method “mian” in this folder; did you mean main? All methods are shown."
    )
    assert full.page.url == f"{full.base}/size?quant=Q4_0"
    full.turn("/size?quant=Q8_0")
    expect(said).to_be_empty()
    expect(said).to_be_hidden()
