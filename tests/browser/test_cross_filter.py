"""Picks and filters made in one view apply to all views, with one request each, and are in the address."""

from __future__ import annotations

import json
import re

import pytest
from driving import PLOT, Watched
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

#: A method's name at the end of its line.
NAME = "#graph .annotation-text-g"
CODE = "384 of 1,536 tokens"


def legend(seen: Watched, name: str) -> str:
    """Return the position of a legend entry, after the legend is drawn."""
    seen.plotted()
    seen.page.wait_for_selector(".legendtext")
    seen.settle()
    entries = seen.page.eval_on_selector_all(".legendtext", "all => all.map(e => e.textContent)")
    return f".legendtoggle >> nth={entries.index(name)}"


def test_a_click_picks_and_a_second_lets_go(full: Watched) -> None:
    full.open("/ppl-bits")
    full.click_marker("main-q4_0")
    expect(full.page).to_have_url(f"{full.base}/ppl-bits?pick=main-q4_0")
    expect(full.page.locator("#chips .chip.picked")).to_have_count(1)
    full.settle()
    assert full.updates() == 1
    selected = f"{PLOT}._fullData.filter(t => t.name === 'main' && t.customdata)[0].selectedpoints"
    assert full.page.evaluate(selected) == [2]
    full.page.keyboard.press("2")
    full.click_marker("unsloth-q8_0")
    expect(full.page).to_have_url(f"{full.base}/degradation?pick=main-q4_0&pick=unsloth-q8_0")
    full.settle()
    full.click_marker("main-q4_0")
    expect(full.page).to_have_url(f"{full.base}/degradation?pick=unsloth-q8_0")
    full.settle()
    assert full.updates() == 4
    full.page.keyboard.press("Escape")
    expect(full.page).to_have_url(f"{full.base}/degradation")
    assert full.complaints == []


@pytest.mark.parametrize("way", ["double click", "Reset axes", "Escape"])
def test_the_whole_chart_of_the_page_that_is_there_is_shown_again(full: Watched, way: str) -> None:
    full.open("/ppl-bits")
    full.plotted()
    full.page.keyboard.press("2")
    full.plotted()
    ranges = f"['xaxis', 'yaxis', 'yaxis2'].map(axis => {PLOT}._fullLayout[axis].range)"
    whole = full.page.evaluate(ranges)
    place = full.marker("unsloth-q8_0")
    x, y = place["x"] - 150, place["y"] - 150
    full.page.mouse.move(x, y)
    full.page.mouse.down()
    full.page.mouse.move(x + 80, y + 60, steps=4)
    full.page.mouse.up()
    full.page.wait_for_function(
        f"JSON.stringify({ranges}) !== {json.dumps(json.dumps(whole))}.replaceAll(' ', '')"
    )
    full.settle()
    if way == "double click":
        full.page.mouse.dblclick(x, y)
    elif way == "Escape":
        full.page.keyboard.press("Escape")
    else:
        full.page.click(f".modebar-btn[data-title='{way}']")
    full.page.wait_for_function(
        f"JSON.stringify({ranges}) === {json.dumps(json.dumps(whole))}.replaceAll(' ', '')"
    )
    assert full.updates() == 1
    assert full.complaints == []


def test_the_tools_of_the_radar_do_not_cover_its_legend(full: Watched) -> None:
    full.open("/radar")
    full.plotted()
    tools = full.page.locator("#graph .modebar").bounding_box()
    assert tools is not None
    entries = full.page.eval_on_selector_all(
        ".legendtext",
        "all => all.map(entry => entry.getBoundingClientRect()).map(box => [box.right, box.top])",
    )
    assert len(entries) >= 4
    below = tools["y"] + tools["height"]
    assert all(right < tools["x"] or top > below for right, top in entries)


def test_a_box_picks_what_is_inside(full: Watched) -> None:
    full.open("/ppl-bits?y=level")
    first, last = full.marker("main-q8_0"), full.marker("main-q6_k")
    full.page.hover("#graph")
    full.page.click(".modebar-btn[data-val=select]")
    full.page.wait_for_function(f"{PLOT}._fullLayout.dragmode === 'select'")
    full.settle()
    left, right = sorted((first["x"], last["x"]))
    full.page.mouse.move(left - 25, first["y"] - 70)
    full.page.mouse.down()
    full.page.mouse.move(right + 25, first["y"] + 30, steps=4)
    full.page.mouse.up()
    expect(full.page.locator("#chips .chip.picked")).to_have_count(6)
    full.settle()
    assert full.updates() == 1
    assert "pick=bartowski-q8_0" in full.page.url
    full.page.click("#keep-picked")
    expect(full.page.locator("#status")).to_contain_text("6 of 21 variants")
    expect(full.page.locator("#chips .chip.picked")).to_have_count(0)
    full.page.click("#tab-size")
    expect(full.page.locator("#status")).to_contain_text("6 of 21 variants")
    full.page.click("#chips .chip")
    expect(full.page.locator("#status")).to_contain_text("21 of 21 variants")
    assert full.complaints == []


def name_at_line(seen: Watched, name: str) -> str:
    """Return the method's name at the end of its line, after the plot is drawn."""
    seen.plotted()
    seen.settle()
    return f"#graph .annotation-text-g:has-text('{name}')"


def test_names_at_lines_and_legend_entries_filter_methods(full: Watched) -> None:
    full.open("/ppl-bits")
    full.page.click(name_at_line(full, "main"))
    full.wait_drawn("bartowski", "unsloth")
    expect(full.page.get_by_label("bartowski")).to_be_checked()
    expect(full.page.get_by_label("main")).not_to_be_checked()
    full.page.click(legend(full, "main"))
    full.wait_drawn("bartowski", "main", "unsloth")
    expect(full.page).to_have_url(f"{full.base}/ppl-bits")
    full.settle()
    assert full.updates() == 2
    full.page.dblclick(name_at_line(full, "unsloth"))
    full.wait_drawn("unsloth")
    expect(full.page).to_have_url(f"{full.base}/ppl-bits?method=unsloth")
    full.settle()
    assert full.updates() == 3, "a double click is one action"
    full.page.click("#reset")
    full.turn("/confidence?share=own")
    full.page.dblclick(legend(full, "0.5–0.75"))
    expect(full.page).to_have_url(f"{full.base}/confidence?bin=2&share=own")
    full.settle()
    assert full.updates() == 6
    assert full.complaints == []


def test_a_domain_recomputes_every_view(full: Watched) -> None:
    full.open("/ppl-bits")
    full.page.wait_for_selector(NAME)
    before = full.page.inner_text("#insights")
    full.page.get_by_label("code").check()
    expect(full.page.locator("#status")).to_contain_text(CODE)
    expect(full.page.locator("#caption")).to_contain_text(CODE)
    assert full.page.inner_text("#insights") != before
    full.page.keyboard.press("7")
    expect(full.page.locator("#caption")).to_contain_text(CODE)
    full.page.click("#tab-summary")
    expect(full.page.locator("#status")).to_contain_text(CODE)
    full.settle()
    assert full.updates() == 3
    full.page.click("#chips .chip")
    expect(full.page.locator("#status")).to_contain_text("1,536 tokens")
    expect(full.page.get_by_label("code")).not_to_be_checked()


def test_a_bar_of_confidence_filters_tokens(full: Watched) -> None:
    full.open("/confidence?share=own")
    full.plotted()
    full.page.wait_for_selector("#graph .bars .point path")
    box = full.page.locator("#graph .bars .point path").first.bounding_box()
    assert box is not None
    full.click_point(box["x"] + 5, box["y"] + 5)
    expect(full.page).to_have_url(re.compile(r"/confidence\?bin=\d&share=own$"))
    expect(full.page.locator("#chips")).to_contain_text("confidence: ")
    expect(full.page.locator("#filter-bin input:checked")).to_have_count(1)
    full.settle()
    assert full.updates() == 1
    full.page.keyboard.press("Escape")
    expect(full.page).to_have_url(f"{full.base}/confidence?share=own")


def test_a_cell_of_the_heatmap_filters_layers(full: Watched) -> None:
    full.open("/layers")
    full.plotted()
    plot = full.page.locator("#graph .draglayer .nsewdrag").first.bounding_box()
    assert plot is not None
    full.click_point(plot["x"] + 0.5 * plot["width"], plot["y"] + 0.3 * plot["height"])
    expect(full.page).to_have_url(re.compile(r"/layers\?layer=\d+&role=\w+$"))
    expect(full.page.locator("#chips .chip")).to_have_count(2)
    full.settle()
    assert full.updates() == 1
    assert full.complaints == []


def test_find_picks_by_name(full: Watched) -> None:
    full.open("/size")
    full.settle()
    full.page.keyboard.press("/")
    full.page.keyboard.type("unsloth q6")
    full.page.keyboard.press("Enter")
    expect(full.page).to_have_url(f"{full.base}/size?pick=unsloth-q6_k")
    expect(full.page.locator("#find")).to_have_value("")
    full.page.keyboard.press("/")
    full.page.keyboard.type("no such")
    full.page.keyboard.press("Enter")
    expect(full.page.locator(".find")).to_have_class(re.compile("unknown"))
    full.settle()
    assert full.updates() == 1


def test_a_copied_link_restores_tab_filters_picks_and_switches(full: Watched) -> None:
    query = "?method=main&bits=3-7&domain=code&pick=main-q4_0&x=size"
    full.open(f"/ppl-bits{query}")
    full.page.wait_for_selector(NAME)
    link = full.page.url
    full.page.click("#copy-link")
    with full.page.context.new_page() as other:
        other.goto(link)
        other.wait_for_selector(NAME)
        expect(other.locator("#tab-ppl-bits")).to_have_attribute("aria-selected", "true")
        expect(other.locator("#chips .chip.picked")).to_have_count(1)
        expect(other.locator("#filter-domain input:checked")).to_have_count(1)
        assert other.inner_text("#caption") == full.page.inner_text("#caption")


def test_switches_of_a_view_are_links(full: Watched) -> None:
    full.open("/ppl-bits")
    chosen = full.page.locator("#options .choice.chosen")
    other = full.page.locator("#options .choice:not(.chosen)").first
    name = other.inner_text()
    other.click()
    expect(chosen.filter(has_text=name)).to_have_count(1)
    assert full.page.url.endswith("?y=level")
    full.settle()
    assert full.updates() == 1


def test_chips_clicked_before_an_answer_are_all_let_go(full: Watched) -> None:
    full.open("/size?method=main&quant=Q4_0&domain=code")
    expect(full.page.locator("#chips .chip")).to_have_count(3)
    full.page.evaluate("document.querySelectorAll('#chips .chip').forEach(chip => chip.click())")
    expect(full.page.locator("#status")).to_contain_text("21 of 21 variants")
    expect(full.page.locator("#chips .chip")).to_have_count(0)
    assert full.page.url == f"{full.base}/size"
    assert full.complaints == []
