"""A panel reads quickly: three insights, numbers on demand, words explained on hover, claims that unfold."""

from pathlib import Path

import pytest
from driving import Watched, served, watched
from playwright.sync_api import Browser, FloatRect, Locator, expect

from dashboard.views import registry

pytestmark = pytest.mark.browser


def test_numbers_are_shown_on_demand_and_stay_on_the_next_page(full: Watched) -> None:
    full.open("/size")
    numbers = full.page.locator("#insights .insight-detail")
    expect(numbers.first).to_be_hidden()
    expect(full.page.locator("#insights > .insights > .insight")).to_have_count(3)
    full.page.keyboard.press("n")
    expect(numbers.first).to_be_visible()
    expect(full.page.locator("#numbers-toggle")).to_have_attribute("aria-pressed", "true")
    full.page.click("#tab-degradation")
    expect(full.page).to_have_url(f"{full.base}/degradation")
    expect(numbers.first).to_be_visible()
    full.page.click("#numbers-toggle")
    expect(numbers.first).to_be_hidden()


def test_a_word_is_explained_on_focus_and_on_hover_and_escape_closes_only_that(full: Watched) -> None:
    full.open("/ppl-bits?pick=none")
    word, meaning = full.page.locator("#insights .term:visible").first, full.page.locator("#meaning")
    word.focus()
    expect(meaning).to_be_visible()
    expect(meaning).to_have_text(word.get_attribute("data-meaning") or "")
    expect(word).to_have_attribute("aria-describedby", "meaning")
    box, width = meaning.bounding_box(), full.page.viewport_size
    assert box is not None
    assert width is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width["width"]
    address = full.page.url
    full.page.keyboard.press("Escape")
    expect(meaning).to_be_hidden()
    assert full.page.url == address
    word.hover()
    expect(meaning).to_be_visible()
    full.page.mouse.move(0, 0)
    full.page.locator("#title").hover()
    word.blur()
    expect(meaning).to_be_hidden()


def test_what_unfolds_below_the_edge_comes_into_view(full: Watched) -> None:
    full.open("/")
    fold = full.page.locator("details.more")
    fold.locator("summary").click()
    term = fold.locator("dt").first
    expect(term).to_be_in_viewport()
    box, caption = term.bounding_box(), full.page.locator("#caption").bounding_box()
    assert box is not None
    assert caption is not None
    assert box["y"] + box["height"] <= caption["y"], "the area that scrolls ends at the caption"


def test_claims_unfold_by_keyboard(full: Watched) -> None:
    full.open("/degradation")
    line = full.page.locator("#claims .claim").first
    expect(line.locator(".insight-detail")).to_be_hidden()
    line.locator("summary").focus()
    full.page.keyboard.press("Enter")
    expect(line.locator(".insight-detail")).to_be_visible()


def test_the_summary_shows_the_claims_of_all_views(full: Watched) -> None:
    full.open("/summary")
    expect(full.page.locator(".claims-group")).to_have_count(9)
    expect(full.page.locator("#body .claims-count")).to_contain_text("cannot be tested here")


def test_what_was_unfolded_or_folded_stays_so_when_it_is_drawn_anew(
    browser: Browser, two_engines: Path
) -> None:
    with served(two_engines) as url, watched(browser, url) as seen:
        seen.open("/")
        folds = {name: seen.page.locator(f"[data-fold={name}]") for name in ("engines", "more", "insights")}
        for fold in folds.values():
            fold.locator("summary").click()
        seen.turn("/?rise=5")
        for fold in folds.values():
            expect(fold).to_have_attribute("open", "")
        folds["engines"].locator("summary").click()
        seen.turn("/?rise=5&method=main")
        expect(folds["engines"]).not_to_have_attribute("open", "")
        expect(folds["more"]).to_have_attribute("open", "")
        seen.turn("/size")
        expect(folds["insights"]).not_to_have_attribute("open", "")
        seen.turn("/")
        expect(folds["insights"]).to_have_attribute("open", "")


def test_a_title_keeps_its_distance_from_the_switches_above_it(full: Watched) -> None:
    full.page.set_viewport_size({"width": 1024, "height": 768})
    full.open("/")
    for view in registry():
        full.turn(f"/{view.id}")
        switches = full.page.locator("#options .segments")
        lower = max((box["y"] + box["height"] for box in boxes(switches)), default=0)
        (title,) = boxes(full.page.locator("#title"))
        assert title["y"] >= lower + 4, view.id


def boxes(found: Locator) -> list[FloatRect]:
    return [box for item in found.all() if (box := item.bounding_box()) is not None]
