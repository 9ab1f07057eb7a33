"""What is served, and under which names."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from dashboard.server.app import create_app
from dashboard.server.serving import PLOTLY, answer_only_as


@pytest.fixture(scope="module")
def client(one_method: Path) -> FlaskClient:
    return create_app(one_method).server.test_client()


@pytest.mark.parametrize(
    "path",
    ["/", "/_dash-layout", "/vendor/bootstrap.min.css", "/assets/base.css", PLOTLY, "/first-drawing/size"],
)
def test_only_what_is_asked_for_under_an_own_name_is_answered(one_method: Path, path: str) -> None:
    server = create_app(one_method).server
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


def test_unchanged_files_are_not_sent_again(client: FlaskClient) -> None:
    tag = client.get(PLOTLY).headers["ETag"]
    assert client.get(PLOTLY, headers={"If-None-Match": tag}).status_code == 304


def test_nothing_on_the_page_comes_from_elsewhere(client: FlaskClient) -> None:
    page = client.get("/").text
    assert "//cdn" not in page
    assert 'src="http' not in page
    assert 'href="http' not in page
