"""Names that a stranger chose: what looks like a script, markup or a template stays text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from driving import Watched, served, watched
from playwright.sync_api import Browser, expect
from results_factory import make_results

from dashboard.views import registry
from evaluator.manifest import MANIFEST_NAME, read_manifest

pytestmark = pytest.mark.browser
MODEL = "Tiny</title><script>window.PWN=1</script>{%scripts%}"


@pytest.fixture(scope="module")
def hostile_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = make_results(tmp_path_factory.mktemp("hostile"), quants=("Q4_0", "Q8_0"), windows=4)
    manifest = read_manifest(folder).model_copy(update={"model": MODEL})
    (folder / MANIFEST_NAME).write_text(manifest.model_dump_json())
    with served(folder, patience=60) as url:
        yield url


@pytest.fixture
def hostile(browser: Browser, hostile_url: str) -> Iterator[Watched]:
    with watched(browser, hostile_url) as seen:
        yield seen


def test_no_name_runs_as_a_script(hostile: Watched) -> None:
    for path in ("/", *(f"/{view.id}" for view in registry())):
        hostile.open(path)
        expect(hostile.page.locator("#source strong")).to_have_text(MODEL)
        assert hostile.page.title() == f"{MODEL} · quantization comparison"
        assert hostile.page.evaluate("window.PWN") is None, path
    assert hostile.complaints == []
