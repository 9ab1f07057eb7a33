"""Present mode: the slides of the exported deck, full screen."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from driving import Watched
from playwright.sync_api import expect
from pptx import Presentation

pytestmark = pytest.mark.browser


def test_the_slides_are_those_of_the_deck(full: Watched) -> None:
    full.open("/ppl-bits?pick=main-q4_0&method=main")
    full.plotted()
    full.settle()
    asked = len(full.requests)
    address = full.page.url
    full.page.keyboard.press("p")
    slide = full.page.locator(".present .slide")
    expect(slide).to_be_visible()
    assert sum("/export/slides" in url for url in full.requests[asked:]) == 1
    shown = []
    number = full.page.locator(".slide-number")
    count = int(number.inner_text().split(" / ")[1])
    for index in range(count):
        expect(number).to_have_text(f"{index + 1} / {count}")
        images = slide.locator("img")
        if images.count():
            full.page.wait_for_function("document.querySelector('.slide img').naturalWidth > 0")
        alt = images.first.get_attribute("alt") if images.count() else ""
        shown.append((slide.locator("h2").inner_text(), alt))
        full.page.keyboard.press("ArrowRight")
    expect(number).to_have_text(f"{count} / {count}")
    full.page.keyboard.press("Home")
    expect(number).to_have_text(f"1 / {count}")
    full.page.keyboard.press("Escape")
    expect(full.page.locator(".present")).to_have_count(0)
    assert full.page.url == address, "Escape leaves the slides and nothing else"
    full.page.click("#export > summary")
    with full.page.expect_download() as waiting:
        full.page.click("[data-export=pptx]")
    book = Presentation(io.BytesIO(Path(waiting.value.path()).read_bytes()))
    exported = []
    for page in book.slides:
        pictures = [
            shape._element.nvPicPr.cNvPr.get("descr") for shape in page.shapes if hasattr(shape, "image")
        ]
        exported.append((page.shapes.title.text_frame.text, pictures[0] if pictures else ""))
    assert shown == exported
    assert full.complaints == []
    assert full.foreign() == []


def test_a_button_starts_and_the_slides_fill_a_phone(phone: Watched) -> None:
    phone.open("/")
    phone.page.click("#present-toggle")
    slide = phone.page.locator(".present .slide")
    box = slide.bounding_box()
    assert box is not None
    assert box["width"] == pytest.approx(390, abs=1)
    phone.page.get_by_role("button", name="Next slide (→)").click()
    expect(phone.page.locator(".slide-number")).to_contain_text("2 / ")
    phone.page.get_by_role("button", name="Leave (Esc)").click()
    expect(phone.page.locator(".present")).to_have_count(0)


def test_slides_that_take_long_are_announced_and_can_be_cancelled(full: Watched) -> None:
    full.open("/ppl-bits")
    full.plotted()
    page, said = full.page, full.page.locator("#said")
    page.route("**/export/slides*", lambda route: None)
    page.keyboard.press("p")
    expect(said).to_have_text("Drawing the slides… (Escape cancels)")
    page.keyboard.press("Escape")
    expect(said).to_have_text("No slides: cancelled")
    expect(page.locator(".present")).to_have_count(0)
    page.unroute("**/export/slides*")
    page.keyboard.press("p")
    expect(page.locator(".present .slide")).to_be_visible()
