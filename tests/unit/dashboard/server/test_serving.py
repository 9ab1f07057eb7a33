"""Answers are compressed for those who take it, and the same after unpacking."""

from __future__ import annotations

import gzip
import time
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from dashboard.server.app import create_app
from dashboard.server.serving import answer_only_as

PLOTLY = "/_dash-component-suites/plotly/package_data/plotly.min.js"
GZIP = {"Accept-Encoding": "gzip, br"}


@pytest.fixture(scope="module")
def client(one_method: Path) -> FlaskClient:
    return create_app(one_method).server.test_client()


@pytest.mark.parametrize(
    "path", ["/_dash-dependencies", "/_dash-layout", "/vendor/bootstrap.min.css", "/assets/base.css?m=1"]
)
def test_packed_and_plain_are_the_same(client: FlaskClient, path: str) -> None:
    plain, packed = client.get(path), client.get(path, headers=GZIP)
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(packed.data) < len(plain.data)
    assert gzip.decompress(packed.data) == plain.data


@pytest.mark.parametrize(
    "path", ["/", "/_dash-layout", "/vendor/bootstrap.min.css", "/assets/base.css", PLOTLY]
)
def test_only_what_is_asked_for_under_an_own_name_is_answered(one_method: Path, path: str) -> None:
    server = create_app(one_method, ahead=True).server
    answer_only_as(server, ("127.0.0.1", "::1"))
    client = server.test_client()
    for host, status in {
        "127.0.0.1:80": 200,
        "[::1]:8050": 200,
        "[::1]": 200,
        "results.example": 400,
        "[::2]": 400,
        "127.0.0.1.example": 400,
        "[::1": 400,
        "": 400,
    }.items():
        assert client.get(path, headers={"Host": host}).status_code == status, host


def test_this_machine_does_not_wait_for_the_packing_of_a_large_file(client: FlaskClient) -> None:
    first = client.get(PLOTLY, headers=GZIP)
    assert "Content-Encoding" not in first.headers
    deadline = time.monotonic() + 300  # it never comes
    while "Content-Encoding" not in client.get(PLOTLY, headers=GZIP).headers:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert gzip.decompress(client.get(PLOTLY, headers=GZIP).data) == first.data


def test_another_machine_gets_a_large_file_packed(one_method: Path) -> None:
    client = create_app(one_method).server.test_client()
    answer = client.get(PLOTLY, headers=GZIP, environ_base={"REMOTE_ADDR": "192.0.2.7"})
    assert answer.headers["Content-Encoding"] == "gzip"


def test_unchanged_files_are_not_sent_again(client: FlaskClient) -> None:
    tag = client.get(PLOTLY).headers["ETag"]
    assert client.get(PLOTLY, headers={"If-None-Match": tag}).status_code == 304
    assert "immutable" in client.get("/assets/shell.js?m=1").headers["Cache-Control"]


def test_nothing_on_the_page_comes_from_elsewhere(client: FlaskClient) -> None:
    page = client.get("/").text
    assert "//cdn" not in page
    assert 'src="http' not in page
    assert 'href="http' not in page
