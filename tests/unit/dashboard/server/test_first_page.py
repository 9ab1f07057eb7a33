"""What comes with the HTML, and what Dash begins with."""

from __future__ import annotations

import html
import json
import re
import threading
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from flask.testing import FlaskClient
from results_factory import make_results

from dashboard.results.library import Library
from dashboard.server.app import create_app
from dashboard.server.first_page import FirstPage
from dashboard.shell.callbacks import screen

HERE = "http://localhost"


@pytest.fixture(scope="module")
def client(one_method: Path) -> FlaskClient:
    app = create_app(one_method, patience=60)
    return app.server.test_client()


def data(text: str, identity: str) -> Any:
    found = re.search(rf'<script type="application/json" id="{identity}">(.*?)</script>', text, re.DOTALL)
    return json.loads(found[1]) if found else None


def part(layout: dict[str, Any], identity: str) -> dict[str, Any]:
    """Properties of the component with this id."""
    todo: list[Any] = [layout]
    while todo:
        item = todo.pop()
        if isinstance(item, list):
            todo += item
        elif isinstance(item, dict) and "props" in item:
            if item["props"].get("id") == identity:
                return dict(item["props"])
            todo.append(item["props"].get("children"))
    raise AssertionError(identity)


def test_the_html_holds_the_page_and_its_drawing(client: FlaskClient, one_method: Path) -> None:
    text = client.get("/ppl-bits?bits=5-6").get_data(as_text=True)
    answer = screen(Library([one_method]), "/ppl-bits", "?bits=5-6", {})
    assert f"<h1>{html.escape(answer['title'])}</h1>" in text
    drawing = data(text, "first-drawing")
    assert [trace.get("name") for trace in drawing["figure"]["data"]] == [
        trace.get("name") for trace in answer["drawing"]["figure"]["data"]
    ]
    assert set(data(text, "plot-settings")["templates"]) == {"light", "dark"}


def test_a_page_of_text_has_nothing_to_draw(client: FlaskClient) -> None:
    text = client.get("/summary").get_data(as_text=True)
    assert 'id="first-page"' in text
    assert data(text, "first-drawing") is None


def test_dash_begins_with_the_same_page(client: FlaskClient) -> None:
    text = client.get("/ppl-bits?bits=5-6").get_data(as_text=True)
    layout = client.get("/_dash-layout", headers={"Referer": f"{HERE}/ppl-bits?bits=5-6"}).json
    assert layout is not None
    assert part(layout, "drawing")["data"] == data(text, "first-drawing")
    assert part(layout, "location")["pathname"] == "/ppl-bits"
    assert part(layout, "location")["search"] == "?bits=5-6"
    assert part(layout, "filter-bits")["value"] == [5, 6]
    assert part(layout, "tab-ppl-bits")["aria-selected"] == "true"


@pytest.mark.parametrize("referrer", [None, "http://elsewhere.example/ppl-bits", "about:blank"])
def test_an_unknown_page_begins_empty(client: FlaskClient, referrer: str | None) -> None:
    layout = client.get("/_dash-layout", headers={"Referer": referrer} if referrer else {}).json
    assert layout is not None
    assert "pathname" not in part(layout, "location")
    assert part(layout, "title")["children"] is None


def test_neither_an_address_nor_a_folder_can_write_into_the_page(client: FlaskClient, tmp_path: Path) -> None:
    hostile = "</script><script>alert(1)</script>"
    for key in ("method", "pick", "x", "gb", "results"):
        assert "<script>alert" not in client.get(f"/ppl-bits?{key}={hostile}").get_data(as_text=True)
    folder = make_results(tmp_path, methods=("main",), quants=("Q4_0", "Q8_0"), windows=4)
    frame = pl.read_parquet(folder / "variants.parquet")
    method = pl.when("is_baseline").then("method").otherwise(pl.lit(hostile)).alias("method")
    frame.with_columns(method).write_parquet(folder / "variants.parquet")
    served = create_app(folder, patience=30).server.test_client()
    text = served.get(f"/ppl-bits?method={hostile}").get_data(as_text=True)
    assert "&lt;script&gt;alert(1)" in text
    assert "<script>alert" not in text


def test_what_takes_too_long_is_left_to_dash() -> None:
    asked, ended = threading.Event(), threading.Event()

    def slow(_path: str, _query: str) -> dict[str, Any]:
        asked.set()
        ended.wait()
        return {}

    text = FirstPage(slow, patience=0.01).html("/ppl-bits", "")  # would never come back if it waited
    ended.set()
    assert asked.wait(60)
    assert 'id="plot-settings"' in text
    assert "first-page" not in text


def test_what_fails_is_left_to_dash() -> None:
    def broken(_path: str, _query: str) -> dict[str, Any]:
        raise ValueError("broken")

    assert "first-page" not in FirstPage(broken, patience=5).html("/ppl-bits", "")
