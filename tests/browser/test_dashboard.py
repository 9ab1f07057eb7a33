"""The dashboard in a real browser: drawing, addresses, keyboard, theme, and one request per action."""

from __future__ import annotations

import re

import pytest
from driving import PLOT as PLOT_ELEMENT
from driving import Watched
from playwright.sync_api import expect

from dashboard.style.theme import SURFACES
from dashboard.views import registry

pytestmark = pytest.mark.browser

PLOT = "#graph .main-svg"


def background(seen: Watched) -> str:
    colour: str = seen.page.eval_on_selector("body", "body => getComputedStyle(body).backgroundColor")
    return colour


def test_every_tab_draws_from_this_machine_alone(full: Watched) -> None:
    full.open("/")
    expect(full.page.locator(".answer")).to_have_count(3)
    for view in registry():
        full.page.click(f"#tab-{view.id}")
        expect(full.page.locator("#eyebrow")).to_contain_text(view.title)
        expect(full.page.locator(PLOT).first).to_be_visible()
        expect(full.page.locator("#insights .insight").first).to_be_visible()
        assert full.page.url == f"{full.base}/{view.id}"
    full.page.click("#tab-summary")
    expect(full.page.locator(".summary-table").first.locator("tbody tr")).to_have_count(3)
    full.settle()
    assert full.complaints == []
    assert full.foreign() == []


def test_one_request_per_action(full: Watched) -> None:
    full.open("/")
    full.settle()
    assert full.updates() == 0
    actions = [
        lambda: full.page.click("#tab-ppl-bits"),
        lambda: full.page.get_by_label("main").check(),
        lambda: full.page.click("#tab-degradation"),
        lambda: full.page.get_by_label("Q4_0").check(),
        lambda: full.page.keyboard.press("5"),
        lambda: full.page.click("#reset"),
        full.page.go_back,
    ]
    for done, action in enumerate(actions, start=1):
        action()
        full.settle()
        assert full.updates() == done
    full.page.click("#theme-toggle")
    full.settle()
    assert full.updates() == len(actions), "the theme is the browser's own business"


def test_deep_link_restores_tab_and_filters(full: Watched) -> None:
    full.open("/degradation?method=main&bits=3-5")
    expect(full.page.locator("#tab-degradation")).to_have_attribute("aria-selected", "true")
    expect(full.page.locator("#filter-method input:checked")).to_have_count(1)
    expect(full.page.locator("#bits-text")).to_have_text("3.00–5.00")
    expect(full.page.locator("#status")).to_contain_text("3 of 21 variants")
    expect(full.page.locator(PLOT).first).to_be_visible()
    assert full.drawn() == ["main"]
    assert full.page.url.endswith("/degradation?method=main&bits=3-5")


def test_filters_redraw_write_the_address_and_survive_tabs_and_history(full: Watched) -> None:
    full.open("/ppl-bits")
    full.page.wait_for_selector("#graph .annotation-text-g")
    assert len(full.drawn()) == 3
    full.page.get_by_label("unsloth").check()
    expect(full.page.locator("#status")).to_contain_text("7 of 21 variants")
    full.wait_drawn("unsloth")
    expect(full.page).to_have_url(f"{full.base}/ppl-bits?method=unsloth")
    expect(full.page.locator("#tab-size")).to_have_attribute("href", "/size?method=unsloth")
    full.page.click("#tab-size")
    expect(full.page).to_have_url(f"{full.base}/size?method=unsloth")
    expect(full.page.locator("#status")).to_contain_text("7 of 21 variants")
    full.page.go_back()
    expect(full.page.locator("#tab-ppl-bits")).to_have_attribute("aria-selected", "true")
    expect(full.page.get_by_label("unsloth")).to_be_checked()
    full.page.click("#reset")
    expect(full.page).to_have_url(f"{full.base}/ppl-bits")
    expect(full.page.get_by_label("unsloth")).not_to_be_checked()


def test_bits_slider_from_the_keyboard(full: Watched) -> None:
    full.open("/size")
    full.page.locator("#filter-bits [role=slider]").first.focus()
    full.page.keyboard.press("ArrowRight")
    expect(full.page).to_have_url(re.compile(r"/size\?bits=2\.65-8\.65"))


def test_keyboard(full: Watched) -> None:
    full.open("/")
    tabs = full.page.locator("#tabs [role=tab]")
    expect(full.page.locator("#tab-overview")).to_have_attribute("tabindex", "0")
    full.page.focus("#tab-overview")
    for key, slug in (("ArrowRight", "ppl-bits"), ("End", "summary"), ("ArrowRight", "overview")):
        full.page.keyboard.press(key)
        expect(full.page.locator(f"#tab-{slug}")).to_be_focused()
        expect(full.page.locator(f"#tab-{slug}")).to_have_attribute("aria-selected", "true")
    full.page.keyboard.press("ArrowLeft")
    full.page.keyboard.press("Home")
    expect(full.page.locator("#tab-overview")).to_be_focused()
    full.page.keyboard.press("7")
    expect(full.page).to_have_url(f"{full.base}/delta-logp")
    expect(full.page.locator("#eyebrow")).to_contain_text("7 · ")
    assert tabs.evaluate_all("all => all.filter(t => t.tabIndex === 0).length") == 1


def test_theme_persists(full: Watched) -> None:
    full.open("/ppl-bits")
    light = background(full)
    full.page.click("#theme-toggle")
    expect(full.page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    dark = background(full)
    assert dark != light
    full.page.wait_for_selector("#graph .xtitle")
    full.page.wait_for_function(
        "getComputedStyle(document.querySelector('#graph .xtitle')).fill === 'rgb(228, 233, 240)'"
    )
    full.page.reload()
    expect(full.page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    assert background(full) == dark


def test_the_theme_holds_for_what_was_drawn_ahead_of_dash(full: Watched) -> None:
    full.open("/ppl-bits")
    full.plotted()
    full.page.get_by_label("main").check()
    full.wait_drawn("main")
    for theme in ("dark", "light", "dark"):
        full.page.click("#theme-toggle")
        color = SURFACES[theme].text
        full.page.wait_for_function(f"{PLOT_ELEMENT}._fullLayout.font.color === '{color}'")
        full.settle()
        assert full.drawn() == ["main"]
    full.page.click("#tab-size")
    full.plotted()
    assert full.page.evaluate(f"{PLOT_ELEMENT}._fullLayout.font.color") == SURFACES["dark"].text
    assert full.drawn() == ["main"]


def test_a_server_that_is_gone_is_said(full: Watched) -> None:
    full.open("/ppl-bits")
    full.plotted()
    expect(full.page.locator("#lost")).to_be_hidden()
    full.page.route("**/_dash-update-component*", lambda route: route.abort())
    full.page.keyboard.press("3")
    expect(full.page.locator("#lost")).to_be_visible()
    full.page.unroute("**/_dash-update-component*")
    full.page.click("#lost button")
    expect(full.page.locator("#eyebrow")).to_contain_text("Impact per layer")
    expect(full.page.locator("#lost")).to_be_hidden()


def test_the_table_comes_when_it_is_called_for_at_once(full: Watched) -> None:
    full.open("/")
    full.page.click("#tab-explore")
    expect(full.page.locator(".ag-row").first).to_be_visible()
    assert sum("dash_ag_grid" in url and "async" not in url for url in full.requests) == 1
    assert full.complaints == []


def test_one_draw_per_action(full: Watched) -> None:
    full.open("/ppl-bits")
    full.plotted()
    full.page.evaluate(
        f"{PLOT_ELEMENT}.on('plotly_afterplot', () => {{ window.draws = (window.draws || 0) + 1; }})"
    )
    full.settle()
    for action in ("#tab-size", "#tab-speed", "#tab-ppl-bits", "#filter-method input >> nth=0"):
        full.page.evaluate("window.draws = 0")
        full.page.click(action)
        full.page.wait_for_function("window.draws > 0")
        full.settle()
        assert full.page.evaluate("window.draws") == 1, action


def test_filtering_keeps_the_graph_in_place(full: Watched) -> None:
    full.open("/ppl-bits")
    full.page.wait_for_selector("#graph .annotation-text-g")
    full.page.eval_on_selector("#graph .js-plotly-plot", "plot => { plot.dataset.kept = 'yes' }")
    full.page.get_by_label("main").check()
    full.wait_drawn("main")
    assert full.page.eval_on_selector("#graph .js-plotly-plot", "plot => plot.dataset.kept") == "yes"


def test_no_cloud_button_and_a_sensible_file_name(full: Watched) -> None:
    full.open("/ppl-bits")
    full.page.wait_for_selector(".modebar-btn", state="attached")
    titles = full.page.eval_on_selector_all(".modebar-btn", "all => all.map(b => b.dataset.title || '')")
    assert not any("hare" in title or "loud" in title for title in titles)
    with full.page.expect_download() as download:
        full.page.hover("#graph")
        full.page.click(".modebar-btn[data-title*=PNG], .modebar-btn[data-title*=png]")
    assert download.value.suggested_filename == "Synthetic-135M-ppl-bits.png"


def test_filters_that_leave_nothing_show_the_way_out(full: Watched) -> None:
    full.open("/ppl-bits?bits=0-1")
    expect(full.page.locator(".notice")).to_contain_text("No variant matches")
    full.page.click("[data-reset]")
    expect(full.page.locator("#status")).to_contain_text("21 of 21 variants")
    expect(full.page.locator(PLOT).first).to_be_visible()


def test_what_was_not_measured_names_the_command(sparse: Watched) -> None:
    for slug, show in (("layers", sparse.open), ("speed", sparse.turn)):
        show(f"/{slug}")
        expect(sparse.page.locator(".command")).to_contain_text("python -m evaluator run")
    assert sparse.complaints == []


def test_unknown_address_leads_back(full: Watched) -> None:
    full.open("/nowhere")
    full.page.click(".notice a")
    expect(full.page.locator("#tab-overview")).to_have_attribute("aria-selected", "true")


def test_phone(phone: Watched) -> None:
    phone.open("/ppl-bits")
    phone.page.wait_for_selector("#graph .annotation-text-g")
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= 390
    expect(phone.page.locator("#filters")).to_be_hidden()
    phone.page.click("#filters-toggle")
    expect(phone.page.locator("#filters")).to_be_visible()
