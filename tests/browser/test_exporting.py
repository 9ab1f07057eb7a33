"""The export menu in a real browser: every button, and the downloaded bytes."""

from __future__ import annotations

import io
import re
import struct
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from driving import Watched, watched
from playwright.sync_api import Browser, Route, expect
from pptx import Presentation

from dashboard.export.document import document
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING
from dashboard.views import charts

pytestmark = pytest.mark.browser

SLUGS = [view.id for view in charts()]
DARK, LIGHT = (0x17, 0x1C, 0x24), (0xFF, 0xFF, 0xFF)
#: Draw every view's slide; return their number and the total length of the drawings.
DRAW_ALL = """async () => {
    const text = await (await fetch('/export/pictures?theme=light')).text();
    const pictures = JSON.parse(text);
    for (const item of pictures) {
        await Plotly.toImage(item.figure, {format: 'png', width: item.width, height: item.height, scale: item.scale});
    }
    return [pictures.length, text.length];
}"""
Take = Callable[[str], tuple[str, bytes]]


@pytest.fixture
def take(full: Watched) -> Take:
    """Open a view and its export menu; clicking an entry returns the name and the bytes of the download."""
    full.open("/ppl-bits")
    full.page.wait_for_selector("#graph .annotation-text-g")
    full.page.click("#export > summary")

    def click(key: str) -> tuple[str, bytes]:
        with full.page.expect_download() as waiting:
            full.page.click(f"[data-export={key}]")
        return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()

    return click


def size_of(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack_from(">II", png, 16)
    return width, height


def corner(seen: Watched, png: bytes) -> tuple[int, ...]:
    """Return the colour of the first pixel."""
    draw = """async bytes => {
        const bitmap = await createImageBitmap(new Blob([new Uint8Array(bytes)]));
        const canvas = new OffscreenCanvas(1, 1);
        canvas.getContext('2d').drawImage(bitmap, 0, 0);
        return [...canvas.getContext('2d').getImageData(0, 0, 1, 1).data].slice(0, 3);
    }"""
    return tuple(seen.page.evaluate(draw, list(png)))


def test_pictures_of_a_view(full: Watched, take: Take) -> None:
    for key, times in (("png-1", 1), ("png-2", 2), ("png-4", 4)):
        name, png = take(key)
        assert name == "Synthetic-135M-ppl-bits" + (f"@{times}x" if times > 1 else "") + ".png"
        assert size_of(png) == (1280 * times, 720 * times)
    name, svg = take("svg")
    words = "".join(ET.fromstring(svg).itertext()).replace("\u00a0", " ")
    assert name.endswith(".svg")
    assert "bartowski Q8_0 is the smallest within 1 %" in words
    assert "1,536 tokens" in words
    assert not re.search(rb'dy="[0-9.]+em"', svg), "lines have places of their own"
    assert full.complaints == []
    assert full.foreign() == []


def test_pdf_is_the_drawing(full: Watched, take: Take) -> None:
    """One page of 16:9 with embedded fonts and no picture: text can be searched, and lines stay sharp."""
    name, pdf = take("pdf")
    assert name == "Synthetic-135M-ppl-bits.pdf"
    assert pdf.startswith(b"%PDF-1.")
    (width, height) = map(float, re.search(rb"/MediaBox\s*\[0 0 ([\d.]+) ([\d.]+)\]", pdf).groups())  # type: ignore[union-attr]
    assert width / height == pytest.approx(16 / 9, rel=0.01)
    assert b"/FontFile" in pdf
    assert b"/Subtype/Image" not in pdf.replace(b"/Subtype /", b"/Subtype/")
    name, deck = take("pdf-slides")
    assert name == "Synthetic-135M-comparison.pdf"
    assert int(re.search(rb"/Type/Pages/Count (\d+)", deck)[1]) > len(SLUGS)  # type: ignore[index]
    assert full.complaints == []
    assert full.foreign() == []


def test_colours_and_layout_are_free_of_the_screen(full: Watched, take: Take) -> None:
    full.page.click("[data-set=theme][data-value=dark]")
    _, png = take("png-1")
    assert corner(full, png) == DARK
    expect(full.page.locator("html")).to_have_attribute("data-bs-theme", "light")
    full.page.click("[data-set=layout][data-value=screen]")
    box = full.page.locator("#graph .js-plotly-plot").bounding_box()
    assert box is not None
    assert size_of(take("png-1")[1]) == pytest.approx((box["width"], box["height"]), abs=1)


def test_the_switch_of_a_view_holds_for_its_picture(full: Watched) -> None:
    full.open("/radar?form=parallel")
    full.plotted()
    full.page.click("#export > summary")
    for layout in ("slide", "screen"):
        full.page.click(f"[data-set=layout][data-value={layout}]")
        with full.page.expect_download() as waiting:
            full.page.click("[data-export=svg]")
        assert "polarlayer" in Path(waiting.value.path()).read_text()
        assert "angularaxis" not in Path(waiting.value.path()).read_text()


def test_data_of_what_is_selected(full: Watched, take: Take) -> None:
    full.page.locator("#filter-method").get_by_label("main").check()
    full.wait_drawn("main")
    full.page.click("#export > summary")
    name, csv = take("csv")
    assert name == "Synthetic-135M-ppl-bits.csv"
    assert set(pl.read_csv(csv)["method"].to_list()) == {"baseline", "main"}
    _, parquet = take("parquet")
    assert pl.read_parquet(io.BytesIO(parquet)).height == 8


def test_deck_and_zip_of_all_views(full: Watched, take: Take) -> None:
    name, deck = take("pptx")
    assert name == "Synthetic-135M-comparison.pptx"
    slides = Presentation(io.BytesIO(deck)).slides
    blobs = [shape.image.blob for slide in slides for shape in slide.shapes if shape.shape_type == 13]
    assert len(blobs) == len(SLUGS)
    assert {size_of(blob)[0] for blob in blobs} == {1920}
    name, deck = take("pptx-editable")
    assert name == "Synthetic-135M-comparison-editable.pptx"
    charts = Presentation(io.BytesIO(deck)).slides
    assert sum(shape.has_chart for slide in charts for shape in slide.shapes) >= 4
    packed = zipfile.ZipFile(io.BytesIO(take("zip")[1]))
    assert {f"images/Synthetic-135M-{slug}.png" for slug in SLUGS} <= set(packed.namelist())
    assert full.complaints == []


def test_copied_picture(full: Watched, take: Take) -> None:
    full.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    full.page.click("[data-export=copy]")
    expect(full.page.locator("#said")).to_have_text("Copied the picture")
    types = full.page.evaluate("navigator.clipboard.read().then(items => items[0].types)")
    assert types == ["image/png"]


def test_an_export_says_that_it_goes_on_until_it_is_saved(full: Watched, take: Take) -> None:
    page, said = full.page, full.page.locator("#said")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/export/pictures*", hold)
    button = page.locator("[data-export=pptx]")
    button.click()
    expect(said).to_have_text("Drawing the slides…")
    expect(button).to_have_attribute("aria-busy", "true")
    page.wait_for_timeout(5500)
    assert said.evaluate("line => getComputedStyle(line).opacity") == "1", "said as long as it goes on"
    asked = len(full.requests)
    button.dispatch_event("click")
    page.locator("[data-export=md]").dispatch_event("click")
    full.settle()
    assert full.requests[asked:] == [], "another click starts no second export"
    with page.expect_download():
        held[0].continue_()
    expect(said).to_have_text("Saved Synthetic-135M-comparison.pptx")
    expect(button).to_have_attribute("aria-busy", "false")
    expect(said).not_to_have_class(re.compile("shown"))
    assert len(held) == 1


def test_an_export_that_fails_says_why_and_the_next_one_starts(full: Watched, take: Take) -> None:
    page, said = full.page, full.page.locator("#said")
    answers: list[Callable[[Route], None]] = [
        lambda route: route.fulfill(status=409, content_type="text/plain", body="variants.parquet is gone"),
        lambda route: route.fulfill(status=500, content_type="text/html", body="<h1>Internal Server Error"),
        lambda route: route.abort(),
    ]

    def fail(route: Route) -> None:
        answers.pop(0)(route)

    page.route("**/export/report.md*", fail)
    for reason in (
        "variants.parquet is gone",
        "a fault in the dashboard; its terminal says more",
        "the dashboard does not answer",
    ):
        page.click("[data-export=md]")
        expect(said).to_have_text(f"The export failed: {reason}")
    page.unroute("**/export/report.md*")
    assert take("md")[0] == "Synthetic-135M-report.md"


def test_all_views_are_drawn_from_one_request_of_summaries(
    full: Watched, take: Take, three_methods: Path
) -> None:
    """Exports are fast because one request returns all figures, with summaries instead of tokens."""
    variants = pl.read_parquet(three_methods / "variants.parquet").height
    before = len(full.requests)
    drawn, characters = full.page.evaluate(DRAW_ALL)
    asked = [url for url in full.requests[before:] if "/_dash-component-suites/" not in url]
    asked = [url for url in asked if url.startswith("http")]
    assert drawn == len(SLUGS)
    assert asked == [f"{full.base}/export/pictures?theme=light"]
    assert characters < 2_000 * variants * len(SLUGS)


def test_a_text_page_says_that_it_is_no_chart(full: Watched) -> None:
    full.open("/summary")
    full.page.click("#export > summary")
    full.page.click("[data-export=png-1]")
    expect(full.page.locator("#said")).to_contain_text("open one of the views")
    with full.page.expect_download() as waiting:
        full.page.click("[data-export=md]")
    assert waiting.value.suggested_filename == "Synthetic-135M-report.md"


def test_the_html_file_works_without_a_server(
    browser: Browser, full: Watched, take: Take, tmp_path: Path
) -> None:
    name, page = take("html")
    (tmp_path / name).write_bytes(page)
    with watched(browser, "file://") as seen:
        seen.page.goto((tmp_path / name).as_uri())
        for slug in SLUGS:
            expect(seen.page.locator(f"[data-plot={slug}] .main-svg").first).to_be_visible()
        assert seen.page.locator("[data-plot=ppl-bits] .annotation-text-g").count() >= 3
        seen.page.click("#switch")
        assert (
            seen.page.eval_on_selector("body", "body => getComputedStyle(body).backgroundColor")
            == "rgb(23, 28, 36)"
        )
        assert seen.complaints == []
        assert seen.foreign() == []


#: Charts that do not fit a narrow window: wider than it, or with texts that are small or stick out.
UNFIT = """() => [...document.querySelectorAll('[data-plot]')].flatMap(chart => {
    const outer = chart.getBoundingClientRect();
    const texts = [...chart.querySelectorAll('text')];
    const looks = texts.map(text => [text, text.getBoundingClientRect(), getComputedStyle(text)]);
    const isSeen = ([, box, style]) => box.width > 0 && style.visibility === 'visible' && style.opacity > 0;
    const seen = looks.filter(isSeen);
    const bad = seen.filter(([, box, style]) => parseFloat(style.fontSize) < 9
        || box.left < outer.left - 1 || box.right > outer.right + 1);
    return [...bad.map(([text]) => `${chart.dataset.plot}: ${text.textContent}`),
            ...(outer.right > 390 || !seen.length ? [chart.dataset.plot] : [])];
})"""
PANELS = "['yaxis', 'yaxis2'].map(name => document.querySelector('[data-plot=layers]')._fullLayout[name].domain[1])"


def test_the_html_file_has_the_layout_of_a_phone(
    browser: Browser, full: Watched, three_methods: Path, tmp_path: Path
) -> None:
    """Charts fit the width, panels lie below each other, and a wider window has the other form again."""
    page = tmp_path / "page.html"
    page.write_text(document(Scope(Results.open(three_methods), EVERYTHING)), "utf-8")
    with watched(browser, "file://", 390, 844) as seen:
        seen.page.goto(page.as_uri())
        seen.page.wait_for_function("document.querySelectorAll('.main-svg').length > 0")
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= 390
        assert seen.page.evaluate(UNFIT) == []
        first, second = seen.page.evaluate(PANELS)
        assert second < first
        seen.page.set_viewport_size({"width": 1280, "height": 800})
        seen.page.wait_for_function(f"(([first, second]) => first === second)({PANELS})")
        seen.page.set_viewport_size({"width": 390, "height": 844})
        seen.page.wait_for_function(f"(([first, second]) => first > second)({PANELS})")
        seen.page.wait_for_function(f"({UNFIT})().length === 0")
        assert seen.complaints == []
