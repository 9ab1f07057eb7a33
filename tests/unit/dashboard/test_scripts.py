"""A page waits only for the scripts that it needs."""

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from dashboard.app import create_app


@pytest.fixture(scope="module")
def client(one_method: Path) -> FlaskClient:
    return create_app(one_method).server.test_client()


@pytest.mark.parametrize("path", ["/", "/ppl-bits", "/explore/more"])
def test_scripts_that_the_page_does_not_need(client: FlaskClient, path: str) -> None:
    text = client.get(path).get_data(as_text=True)
    assert '<script nomodule src="/_dash-component-suites/dash/deps/polyfill@' in text
    assert (
        '<script type="text/plain" id="table-script" data-src="/_dash-component-suites/dash_ag_grid/' in text
    )
    assert "dash_table/" not in text
    assert text.count('<script src="/_dash-component-suites/dash/dash-renderer/') == 1


def test_the_page_with_the_table_has_its_script(client: FlaskClient) -> None:
    text = client.get("/explore").get_data(as_text=True)
    assert '<script src="/_dash-component-suites/dash_ag_grid/' in text
    assert "table-script" not in text
