"""Explore's columns are chosen in a menu; the address and the saved table follow."""

from __future__ import annotations

from pathlib import Path

import pytest
from driving import Watched
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def test_the_table_and_its_csv_follow_the_menu(full: Watched) -> None:
    full.open("/explore?columns=ppl.kld_mean")
    heads = full.page.locator(".ag-header-cell[col-id]:visible")
    expect(full.page.locator(".ag-header-cell[col-id=kld_mean]")).to_be_visible()
    expect(full.page.locator(".ag-header-cell[col-id=same_top]")).to_have_count(0)
    full.page.focus("#columns-menu > summary")
    full.page.keyboard.press("Enter")
    choice = full.page.locator("[data-column=same_top]")
    expect(choice).to_have_attribute("aria-pressed", "false")
    choice.focus()
    full.page.keyboard.press("Enter")
    expect(full.page.locator(".ag-header-cell[col-id=same_top]")).to_be_visible()
    expect(full.page.locator("#columns-menu")).to_have_attribute("open", "")
    full.page.keyboard.press("Escape")
    expect(full.page.locator("#columns-menu")).not_to_have_attribute("open", "")
    expect(heads.first).to_be_visible()
    with full.page.expect_download() as waiting:
        full.page.click("#grid-csv")
    _groups, first, *_ = Path(waiting.value.path()).read_text("utf-8-sig").splitlines()
    assert {name.strip('"') for name in first.split(",")} == {"label", "ppl", "kld_mean", "same_top"}
    full.page.keyboard.press("Control+z")
    expect(full.page.locator(".ag-header-cell[col-id=same_top]")).to_have_count(0)
    full.page.click("#columns-menu > summary")
    full.page.click("[data-columns=usual]")
    expect(full.page).to_have_url(f"{full.base}/explore")
    assert full.complaints == []
