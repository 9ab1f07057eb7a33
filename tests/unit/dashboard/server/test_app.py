"""The page that every address begins with, and the first drawing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from dashboard.results.library import Library
from dashboard.server.app import create_app
from dashboard.server.serving import PLOTLY
from dashboard.shell.callbacks import screen
from dashboard.shell.script_data import script_data


@pytest.fixture(scope="module")
def client(one_method: Path) -> FlaskClient:
    return create_app(one_method).server.test_client()


@pytest.mark.parametrize("path", ["/ppl-bits", "/"])
def test_the_first_drawing_has_the_form_of_dashs_answer(
    client: FlaskClient, one_method: Path, path: str
) -> None:
    expected = screen(Library([one_method]), path, "?bits=5-6", {})
    got = client.get(f"/first-drawing{path}?bits=5-6").json
    assert got == {
        "stage": {"className": expected["stage"]},
        "eyebrow": {"children": expected["eyebrow"]},
        "options": {"children": json.loads(script_data(expected["options"]))},
        "title": {"children": expected["title"]},
        "picked": {"children": ""},
        "unknown": {"children": ""},
        "caption": {"children": json.loads(script_data(expected["caption"]))},
        "drawing": {"data": json.loads(script_data(expected["drawing"]))},
    }


@pytest.mark.parametrize("path", ["/summary", "/explore", "/compare", "/nothing/of/this"])
def test_a_page_of_text_has_no_first_drawing(client: FlaskClient, path: str) -> None:
    assert client.get(f"/first-drawing{path}").json == {}


def test_scripts_of_dash_wait_in_a_template(client: FlaskClient) -> None:
    text = client.get("/ppl-bits").get_data(as_text=True)
    template = re.findall('<template id="dash-scripts">(.*?)</template>', text, re.DOTALL)
    assert len(template) == 1
    run = re.findall('<script src="([^"]+)"', text.replace(template[0], ""))
    assert run == [
        "/assets/boot.js",
        "/assets/address.js",
        "/assets/labels.js",
        "/assets/narrow.js",
        "/assets/room.js",
        "/assets/plot.js",
    ]
    assert "dash_renderer" in template[0]
    assert "/assets/shell.js" in template[0]
    assert not any(source in template[0] for source in run), "Dash does not load them again"


def test_plots_are_told_where_plotly_is(client: FlaskClient) -> None:
    text = client.get("/").get_data(as_text=True)
    settings = json.loads(re.findall('id="plot-settings">(.*?)</script>', text)[0])
    assert settings["plotly"] == PLOTLY
    assert set(settings["templates"]) == {"light", "dark"}
    assert "layers" in settings["views"]
    assert "summary" not in settings["views"], "a page of text does not wait for plotly.js"


def test_the_icon_asks_for_nothing(client: FlaskClient) -> None:
    icons = re.findall('<link rel="icon" href="([^"]+)">', client.get("/").get_data(as_text=True))
    assert len(icons) == 1
    assert icons[0].startswith("data:image/svg+xml,")


def test_styles_for_small_screens_come_last(client: FlaskClient) -> None:
    sheets = re.findall(r'rel="stylesheet" href="([^"?]+)', client.get("/").get_data(as_text=True))
    assert (sheets[0], sheets[-1]) == ("/vendor/bootstrap.min.css", "/assets/small-screens.css")


@pytest.mark.parametrize("key", ["method", "pick", "x", "gb", "results"])
def test_an_address_cannot_write_into_the_page(client: FlaskClient, key: str) -> None:
    hostile = f"?{key}=</script><script>alert(1)</script>"
    assert "alert(1)" not in client.get(f"/ppl-bits{hostile}").get_data(as_text=True)
    answer = client.get(f"/first-drawing/ppl-bits{hostile}")
    assert answer.content_type == "application/json"
    assert "<script" not in answer.get_data(as_text=True)


def test_data_cannot_end_the_script_it_stands_in() -> None:
    text = script_data({"name": "</script>\u2028"})
    assert "<" not in text
    assert "\u2028" not in text
    assert json.loads(text) == {"name": "</script>\u2028"}
