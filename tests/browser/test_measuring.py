"""From the screen to a run: a tiny model is measured by clicking, and folders are opened."""

from __future__ import annotations

import base64
import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from driving import Watched, served, watched
from playwright.sync_api import Browser, expect
from tiny_models import write_tiny_llama

from dashboard.local.routes import Local
from dashboard.local.runner import Runner

pytestmark = pytest.mark.browser

#: Milliseconds that a tiny run may take on a busy machine.
RUN = 300_000
#: Drops files, given as {name: base64}, onto the page.
DROP = """files => {
    const carried = new DataTransfer();
    for (const [name, text] of Object.entries(files)) {
        const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
        carried.items.add(new File([bytes], name));
    }
    for (const kind of ["dragover", "drop"])
        document.body.dispatchEvent(new DragEvent(kind, {dataTransfer: carried, bubbles: true, cancelable: true}));
}"""
#: What a page of another site can send without asking first; the answer is not for it to read.
FOREIGN = """async base => {
    for (const name of ["start", "state", "open"])
        for (const type of ["text/plain", "application/x-www-form-urlencoded"])
            await fetch(base + "/local/" + name, {
                method: "POST", mode: "no-cors", credentials: "include", headers: {"Content-Type": type},
                body: JSON.stringify({command: "demo", values: {}, folder: "/"}),
            }).catch(() => null);
    return fetch(base + "/local/start", {
        method: "POST", headers: {"Content-Type": "application/json", "X-Dashboard-Key": "x"}, body: "{}",
    }).then(() => "answered", () => "refused");
}"""


@pytest.fixture(scope="module")
def local() -> Local:
    return Local(runner=Runner())


@pytest.fixture(scope="module")
def url(one_method: Path, local: Local) -> Iterator[str]:
    with served(one_method, local=local) as base:
        yield base


@pytest.fixture
def seen(browser: Browser, url: str) -> Iterator[Watched]:
    with watched(browser, url) as page:
        yield page


@pytest.fixture
def admitted(seen: Watched, local: Local) -> Watched:
    """The page Measure, opened by the link with the key."""
    seen.open(f"/measure#key={local.access.key}")
    expect(seen.page.locator("#measure-start")).to_be_enabled()
    assert local.access.key not in seen.page.url
    return seen


def test_a_tiny_model_is_measured_stopped_and_resumed(admitted: Watched, tmp_path: Path) -> None:
    page = admitted.page
    model = write_tiny_llama(tmp_path / "Tiny-F32.gguf")
    page.fill("#measure-run-baseline", str(tmp_path))
    page.get_by_role("button", name="Browse for Baseline").click()
    page.get_by_role("button", name="Tiny-F32.gguf").click()
    expect(page.locator("#measure-run-baseline")).to_have_value(str(model))
    page.fill("#measure-run-variant0", str(model))
    page.fill(".method-name", "main")
    page.fill("#measure-run-out", str(tmp_path / "its results"))
    page.fill("#measure-run-context", "32")
    page.fill("#measure-run-engines", "onnxruntime")
    page.get_by_text("More options").first.click()
    page.check("#measure-run-no_speed")
    line = page.locator("#measure-line")
    expect(line).to_contain_text(f"--baseline={model} --variant=main={model} --text=builtin")
    expect(line).to_contain_text(f"'--out={tmp_path / 'its results'}' --context=32 --no-speed")
    page.click("#measure-start")
    heading, log = page.locator(".run h2"), page.locator(".run .log")
    expect(heading).to_have_text("Measuring")
    expect(page.locator("#measure-start")).to_be_disabled()
    page.reload()
    expect(page.locator("#measure-run-baseline")).to_have_value(str(model))
    expect(log).to_contain_text("baseline F32:", timeout=RUN)
    page.click("#measure-stop")
    expect(heading).to_have_text("Stopped; what was finished is kept", timeout=RUN)
    page.click("#measure-resume")
    expect(heading).to_have_text("Measured", timeout=RUN)
    expect(page.locator(".files li")).to_have_text([re.compile("m.* F32.*scored"), re.compile("noise floor")])
    page.get_by_role("link", name="See the results").click()
    expect(page).to_have_url(re.compile(r"/\?results=its%20results$"))
    expect(page.locator("#stage")).to_contain_text("main F32")
    expect(page.locator("#folders")).to_contain_text("its results")
    assert admitted.complaints == []


def test_the_error_sentence_is_shown(admitted: Watched, tmp_path: Path) -> None:
    page = admitted.page
    page.fill("#measure-run-baseline", str(tmp_path / "no.gguf"))
    page.fill("#measure-run-variant0", "x.gguf")
    page.fill(".method-name", "main")
    page.fill("#measure-run-out", str(tmp_path / "out"))
    page.click("#measure-start")
    expect(page.locator(".run h2")).to_have_text("The measurement failed", timeout=RUN)
    expect(page.locator(".run .run-error")).to_contain_text("no.gguf: no such file")
    page.get_by_label("Tokens per window").fill("many")
    expect(page.locator(".request .run-error")).to_have_text("Tokens per window: many is not a whole number")
    page.get_by_role("button", name="Try the demo").click()
    expect(page.locator("#measure-line")).to_have_text("python -m evaluator demo")


def test_without_the_key_one_is_asked_for_it(seen: Watched, local: Local) -> None:
    page = seen.page
    seen.open("/measure")
    expect(page.locator(".doorway")).to_contain_text("This browser has no key yet")
    page.fill(".doorway input", f"{seen.base}/#key=wrong")
    page.get_by_role("button", name="Let in").click()
    expect(page.locator(".doorway")).to_be_visible()
    page.fill(".doorway input", f"{seen.base}/#key={local.access.key}")
    page.get_by_role("button", name="Let in").click()
    expect(page.locator("#measure-start")).to_be_visible()


def test_a_ticket_lets_one_browser_in(seen: Watched, local: Local) -> None:
    seen.open(f"/measure#ticket={local.access.new_ticket()}")
    expect(seen.page.locator("#measure-start")).to_be_visible()
    assert "ticket" not in seen.page.url


def test_another_page_starts_nothing(seen: Watched, sparse_url: str, local: Local) -> None:
    seen.page.goto(f"{sparse_url}/assets/icon.svg")
    before = local.runner.state() if local.runner else {}
    assert seen.page.evaluate(FOREIGN, seen.base) == "refused"
    after = local.runner.state() if local.runner else {}
    assert after == before


def test_folders_are_opened_by_path_and_by_dropping(
    admitted: Watched, three_methods: Path, tmp_path: Path
) -> None:
    page, said = admitted.page, admitted.page.locator(".opening .said")
    page.click("#open-toggle")
    page.fill("#open-folder", str(tmp_path))
    page.locator(".opening .primary").click()
    expect(said).to_contain_text(str(tmp_path))
    expect(said).to_have_css("opacity", "1")
    page.fill("#open-folder", str(three_methods))
    page.locator(".opening .primary").click()
    expect(page).to_have_url(re.compile(rf"/\?results={three_methods.name}"))
    expect(page.locator(".opening")).to_be_hidden()
    page.evaluate(DROP, {"Q4.gguf": ""})
    expect(said).to_contain_text("enter their paths on the page Measure")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in (path for path in three_methods.rglob("*") if path.is_file()):
            archive.write(path, path.relative_to(three_methods))
    page.evaluate(DROP, {"dropped one.zip": base64.b64encode(packed.getvalue()).decode()})
    expect(page).to_have_url(re.compile(r"/\?results=dropped%20one"))
    expect(page.locator("#folders")).to_contain_text("dropped one")


@pytest.mark.parametrize(("width", "height"), [(1500, 950), (390, 844)])
def test_the_page_fits_and_axe_finds_nothing(
    browser: Browser, url: str, local: Local, width: int, height: int
) -> None:
    with watched(browser, url, width, height) as seen:
        seen.open(f"/measure#key={local.access.key}")
        expect(seen.page.locator("#measure-start")).to_be_visible()
        seen.page.get_by_text("More options").first.click()
        assert seen.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        for _ in ("light", "dark"):
            found = Axe().run(seen.page, options={"resultTypes": ["violations"]}).response["violations"]
            assert [item["id"] for item in found if item["impact"] in {"serious", "critical"}] == []
            seen.page.click("#theme-toggle")


def test_where_it_is_not_offered_nothing_shows_it(sparse: Watched) -> None:
    sparse.open("/measure")
    expect(sparse.page.locator("#title")).to_have_text("Page not found")
    assert sparse.page.locator("#tab-measure, #open-toggle").count() == 0
    sparse.page.evaluate(DROP, {"manifest.json": ""})
    assert sparse.page.locator(".opening").count() == 0
