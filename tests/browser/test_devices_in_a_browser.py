"""The panel lists devices if a folder has several, and a tick is one request."""

from __future__ import annotations

from pathlib import Path

import pytest
from driving import served, watched
from playwright.sync_api import Browser, expect
from several_devices import make_devices

pytestmark = pytest.mark.browser


def test_a_device_is_ticked_and_let_go(browser: Browser, tmp_path: Path) -> None:
    folder = make_devices(tmp_path / "both", methods=("main",), quants=("Q4_0", "Q8_0"), windows=8)
    with served(folder) as url, watched(browser, url) as seen:
        seen.open("/ppl-bits")
        seen.plotted()
        expect(seen.page.locator("#group-model")).to_be_hidden()
        expect(seen.page.locator("#insights")).to_contain_text("filter by device")
        seen.page.get_by_label("CUDA").check()
        expect(seen.page).to_have_url(f"{url}/ppl-bits?device=cuda")
        expect(seen.page.locator("#status")).to_contain_text("2 of 4 variants")
        expect(seen.page.locator("#insights")).not_to_contain_text("filter by device")
        seen.settle()
        assert seen.updates() == 1
        seen.page.get_by_label("CUDA").uncheck()
        expect(seen.page).to_have_url(f"{url}/ppl-bits")
        assert seen.complaints == []
