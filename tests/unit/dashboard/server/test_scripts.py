"""A page runs its own first scripts, then those of Dash that it needs."""

import html
import json
import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from results_factory import make_results

from dashboard.server.app import create_app
from dashboard.server.scripts import FIRST, put_together
from dashboard.server.serving import PLOTLY
from evaluator.results.files import MANIFEST_NAME
from evaluator.results.reader import read_manifest

ASSETS = Path(__file__).resolve().parents[4] / "assets"
LATER = '<script type="text/later" src="/_dash-component-suites/'
PRELOAD = '<link rel="preload" as="script" href="/_dash-component-suites/'


@pytest.fixture(scope="module")
def client(one_method: Path) -> FlaskClient:
    return create_app(one_method).server.test_client()


@pytest.mark.parametrize("path", ["/", "/ppl-bits", "/explore/more"])
def test_scripts_that_the_page_does_not_need(client: FlaskClient, path: str) -> None:
    text = client.get(path).get_data(as_text=True)
    assert '<script nomodule type="text/later" src="/_dash-component-suites/dash/deps/polyfill@' in text
    assert (
        '<script type="text/plain" id="table-script" data-src="/_dash-component-suites/dash_ag_grid/' in text
    )
    assert "dash_table/" not in text
    assert text.count(LATER + "dash/dash-renderer/") == 1
    assert text.count(PRELOAD + "dash/dash-renderer/") == 1


def test_the_page_with_the_table_has_its_script(client: FlaskClient) -> None:
    text = client.get("/explore").get_data(as_text=True)
    assert LATER + "dash_ag_grid/" in text
    assert "table-script" not in text


def test_dash_waits_for_the_first_scripts(client: FlaskClient) -> None:
    text = client.get("/ppl-bits").get_data(as_text=True)
    run = re.findall(r'<script (?:id="plotly" )?src="([^"?]+)', text)
    assert [Path(source).name for source in run] == ["boot-theme.js", "plotly.min.js", *FIRST]
    assert '<script id="_dash-renderer" type="text/later">' in text
    for name in FIRST:
        source = re.findall(rf'src="(/assets/{name}\?m=[^"]+)"', text)
        assert len(source) == 1, "Dash does not load it again"
        assert "immutable" in client.get(source[0]).headers["Cache-Control"]


def test_a_page_of_text_does_not_wait_for_plotly(client: FlaskClient) -> None:
    assert 'id="plotly"' not in client.get("/summary").get_data(as_text=True)


def test_the_icon_asks_for_nothing(client: FlaskClient) -> None:
    icons = re.findall('<link rel="icon" href="([^"]+)">', client.get("/").get_data(as_text=True))
    assert len(icons) == 1
    assert icons[0].startswith("data:image/svg+xml;base64,")


def test_our_styles_are_in_the_page_and_those_for_small_screens_last(client: FlaskClient) -> None:
    text = client.get("/").get_data(as_text=True)
    assert re.findall(r'rel="stylesheet" href="([^"]+)"', text) == ["/vendor/bootstrap.min.css"]
    styles = re.findall("<style>(.*?)</style>", text, re.DOTALL)
    assert len(styles) == 1
    last = (ASSETS / "small-screens.css").read_text("utf-8")
    assert styles[0].endswith(last)


def test_a_models_name_is_text_in_the_title(tmp_path: Path) -> None:
    folder = make_results(tmp_path / "named", methods=("main",), quants=("Q4_0", "Q8_0"), windows=4)
    name = "Tiny</title><script>window.PWN=1</script>{%scripts%}"
    manifest = read_manifest(folder).model_copy(update={"model": name})
    (folder / MANIFEST_NAME).write_text(manifest.model_dump_json())
    text = create_app(folder, patience=60).server.test_client().get("/").get_data(as_text=True)
    title = re.findall("<title>(.*?)</title>", text, re.DOTALL)
    assert [html.unescape(found) for found in title] == [f"{name} · quantization comparison"]
    assert "<script>window.PWN" not in text


def test_a_place_inside_a_part_stays_as_it_is() -> None:
    parts = {"title": "{%scripts%} and {%other%}", "scripts": "{%title%}"}
    assert put_together("{%title%}|{%scripts%}", parts) == "{%scripts%} and {%other%}|{%title%}"


def test_plots_are_told_where_plotly_is(client: FlaskClient) -> None:
    settings = re.findall('id="plot-settings">(.*?)</script>', client.get("/").get_data(as_text=True))
    assert json.loads(settings[0])["plotly"] == PLOTLY
    assert PLOTLY not in (ASSETS / "plot.js").read_text("utf-8")
