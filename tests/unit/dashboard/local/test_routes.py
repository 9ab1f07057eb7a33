"""Only the dashboard's own page, on this machine, with this start's key, may act."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from dashboard.local import access
from dashboard.local.access import KEY_HEADER, Access
from dashboard.local.options import Options
from dashboard.local.routes import Local
from dashboard.local.runner import Runner
from dashboard.server.app import create_app

NAMES = ["open", "browse", "drop", "describe", "preview", "start", "stop", "state"]
Post = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def local(options: Options) -> Local:
    return Local(runner=Runner(), options=options)


@pytest.fixture
def client(one_method: Path, local: Local) -> FlaskClient:
    return create_app(one_method, local=local).server.test_client()


@pytest.fixture
def post(client: FlaskClient, local: Local) -> Post:
    """Send JSON as the page does, with changes of the headers; None leaves one out."""

    def send(name: str, body: object = None, **changed: str | None) -> tuple[int, dict[str, Any]]:
        usual = {
            "Host": "127.0.0.1:8050",
            "Origin": "http://127.0.0.1:8050",
            "Sec-Fetch-Site": "same-origin",
            "Content-Type": "application/json",
            KEY_HEADER: local.access.key,
        }
        headers = {key: value for key, value in (usual | changed).items() if value is not None}
        answer = client.post(f"/local/{name}", data=json.dumps(body or {}), headers=headers)
        return answer.status_code, answer.get_json() or {}

    return send


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Origin", None),
        ("Origin", "null"),
        ("Origin", "http://evil.example"),
        ("Origin", "http://127.0.0.1:9999"),
        ("Origin", "http://localhost:8050"),
        ("Origin", "file://127.0.0.1:8050"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Host", "evil.example:8050"),
        ("Host", "127.0.0.1.evil.example"),
        ("Host", "["),
        (KEY_HEADER, None),
        (KEY_HEADER, ""),
        (KEY_HEADER, "x" * 43),
        (KEY_HEADER, "é"),
    ],
)
def test_others_are_refused(post: Post, local: Local, name: str, header: str, value: str | None) -> None:
    status, said = post(name, **{header: value})
    assert status in (400, 401, 403)
    assert said["error"]
    assert local.runner is not None
    assert local.runner.state() == {"state": "idle"}


def test_a_host_name_that_was_pointed_here_is_refused_with_its_own_origin(post: Post) -> None:
    named = {"Host": "evil.example:8050", "Origin": "http://evil.example:8050"}
    assert post("state", **named)[0] == 403
    assert post("state", Host="localhost:8050", Origin="http://localhost:8050")[0] == 200
    assert post("state", Host="[::1]:8050", Origin="http://[::1]:8050")[0] == 200


def test_another_machine_is_refused(client: FlaskClient, local: Local) -> None:
    headers = {"Origin": "http://127.0.0.1", "Host": "127.0.0.1", KEY_HEADER: local.access.key}
    for sender, status in {"192.0.2.7": 403, "": 403, "::1": 200, "127.0.0.1": 200}.items():
        answer = client.post(
            "/local/state", json={}, headers=headers, environ_overrides={"REMOTE_ADDR": sender}
        )
        assert answer.status_code == status, sender


@pytest.mark.parametrize("name", [*NAMES, "enter"])
def test_nothing_but_posts(client: FlaskClient, name: str) -> None:
    """Whatever else is got, here too, is the empty frame of a page."""
    for method in ("put", "delete", "patch"):
        assert getattr(client, method)(f"/local/{name}").status_code == 405, method
    assert client.get(f"/local/{name}").mimetype == "text/html"


@pytest.mark.parametrize("name", [name for name in NAMES if name != "drop"])
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_nothing_but_json(post: Post, name: str, kind: str) -> None:
    assert post(name, **{"Content-Type": kind})[0] == 415


@pytest.mark.parametrize("body", ["[]", "3", '"x"', "{", "", "null", '{"a": "' + "x" * 300_000 + '"}'])
def test_what_is_no_object_is_refused(client: FlaskClient, local: Local, body: str) -> None:
    headers = {"Origin": "http://127.0.0.1", "Host": "127.0.0.1", KEY_HEADER: local.access.key}
    answer = client.post("/local/browse", data=body, headers=headers, content_type="application/json")
    assert answer.status_code in (400, 413)
    assert answer.get_json()["error"]


def test_a_page_does_not_hold_the_key(client: FlaskClient, local: Local) -> None:
    for path in ("/", "/measure", "/_dash-layout", "/_dash-dependencies"):
        assert local.access.key not in client.get(path, headers={"Host": "127.0.0.1"}).text


def test_no_page_frames_this_one(client: FlaskClient, one_method: Path) -> None:
    for path in ("/", "/local/state", "/assets/base.css"):
        answer = client.get(path, headers={"Host": "127.0.0.1"})
        assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'none'"
    plain = create_app(one_method).server.test_client()
    assert "Content-Security-Policy" not in plain.get("/").headers, "others may show what only shows"


def test_a_ticket_is_good_once_and_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    given = Access()
    ticket = given.new_ticket()
    assert given.redeem(ticket) == given.key
    for other in (ticket, "", None, 3, given.key):
        with pytest.raises(Exception, match="used before"):
            given.redeem(other)
    late = given.new_ticket()
    now = access.time.monotonic()
    monkeypatch.setattr(access.time, "monotonic", lambda: now + 1000)
    with pytest.raises(Exception, match="used before"):
        given.redeem(late)


def test_the_ticket_needs_no_key_but_the_own_page(post: Post, local: Local) -> None:
    ticket = local.access.new_ticket()
    assert post("enter", {"ticket": ticket}, Origin="http://evil.example")[0] == 403
    assert post("enter", {"ticket": ticket}, **{KEY_HEADER: None}) == (200, {"key": local.access.key})
    assert post("enter", {"ticket": ticket})[0] == 403


def test_options_and_the_command(post: Post) -> None:
    status, told = post("describe")
    assert status == 200
    names = [option["name"] for option in told["commands"]["run"]["options"]]
    assert {"baseline", "kv_cache", "force"} <= set(names)
    assert not {"progress", "as_json"} & set(names)
    status, told = post("preview", {"command": "run", "values": {"baseline": "a b.gguf"}})
    assert told == {"line": "python -m evaluator run '--baseline=a b.gguf'"}
    assert post("start", {"command": "quantize", "values": {}})[0] == 400
    assert post("start", {"command": "run", "values": {"shell": "x"}})[0] == 400
    assert post("stop")[0] == 409


def test_where_nothing_is_measured_only_folders_are_opened(one_method: Path) -> None:
    served = create_app(one_method, local=Local()).server
    here = {rule.rule for rule in served.url_map.iter_rules() if rule.rule.startswith("/local/")}
    assert here == {"/local/open", "/local/browse", "/local/drop", "/local/enter"}
    plain = create_app(one_method).server
    assert not [rule for rule in plain.url_map.iter_rules() if rule.rule.startswith("/local/")]
    assert "tab-measure" not in plain.test_client().get("/_dash-layout").text


def test_a_folder_is_opened_and_listed(post: Post, three_methods: Path, tmp_path: Path) -> None:
    status, told = post("open", {"folder": str(three_methods)})
    assert status == 200
    assert post("open", {"folder": f" {three_methods}/ "})[1] == told
    status, said = post("open", {"folder": str(tmp_path)})
    assert status == 400
    assert str(tmp_path) in said["error"]
    for folder in (None, "", 3, "a\0b", "~nobody-of-that-name/x"):
        assert post("open", {"folder": folder})[0] == 400


def test_only_names_that_may_be_meant_are_listed(post: Post, tmp_path: Path) -> None:
    for name in ("b.gguf", "A.GGUF", "secret.key", ".hidden.gguf", "t.txt"):
        (tmp_path / name).touch()
    for name in ("sub", ".ssh", "done"):
        (tmp_path / name).mkdir()
    (tmp_path / "done" / "manifest.json").touch()
    status, seen = post("browse", {"folder": str(tmp_path), "wanted": "model"})
    assert status == 200
    assert (seen["folders"], seen["files"]) == (["done", "sub"], ["A.GGUF", "b.gguf"])
    assert seen["parent"] == str(tmp_path.parent)
    assert post("browse", {"folder": str(tmp_path / "b.gguf"), "wanted": "text"})[1]["files"] == ["t.txt"]
    seen = post("browse", {"folder": str(tmp_path / "new"), "wanted": "results"})[1]
    assert (seen["folder"], seen["results"], seen["files"]) == (str(tmp_path), ["done"], [])
    for wanted in ("", "any", None, ["model"]):
        assert post("browse", {"folder": str(tmp_path), "wanted": wanted})[0] == 400


def drop(client: FlaskClient, local: Local, files: dict[str, bytes]) -> tuple[int, dict[str, Any]]:
    headers = {"Origin": "http://127.0.0.1", "Host": "127.0.0.1", KEY_HEADER: local.access.key}
    form = {name: (io.BytesIO(content), Path(name).name) for name, content in files.items()}
    answer = client.post("/local/drop", data=form, headers=headers, content_type="multipart/form-data")
    return answer.status_code, answer.get_json()


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder.parent)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("zipped", [False, True])
def test_dropped_files_are_opened(client: FlaskClient, local: Local, one_method: Path, zipped: bool) -> None:
    files = contents(one_method)
    if zipped:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        files = {"packed.zip": buffer.getvalue()}
    status, told = drop(client, local, files)
    assert status == 200, told
    page = client.get(f"/first-drawing/ppl-bits?results={told['name']}", headers={"Host": "127.0.0.1"})
    assert page.status_code == 200
    assert b"drawing" in page.data
    local.close()


def test_dropped_names_lead_nowhere_else(
    client: FlaskClient, local: Local, one_method: Path, tmp_path: Path
) -> None:
    files = contents(one_method)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"../../../../{tmp_path}/{name}", content)
        archive.writestr(f"{tmp_path}/evil.parquet", b"x")
        archive.writestr("../tokens/../../evil.parquet", b"x")
    status, _ = drop(client, local, {"packed.zip": buffer.getvalue()})
    assert status == 200
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "files",
    [
        {"a.txt": b"x"},
        {"r/variants.parquet": b"x"},
        {"r/manifest.json": b"{}"},
        {"x.zip": b"PK no zip"},
        {"a/manifest.json": b"{}", "b/manifest.json": b"{}"},
    ],
)
def test_what_is_no_results_folder_is_said(
    client: FlaskClient, local: Local, files: dict[str, bytes]
) -> None:
    status, said = drop(client, local, files)
    assert status == 400
    assert said["error"]
