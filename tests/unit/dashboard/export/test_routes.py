"""What the export addresses answer, and what they refuse."""

from __future__ import annotations

import io
import json
import re
import struct
import zlib
from pathlib import Path

import polars as pl
import pytest
from flask.testing import FlaskClient
from pptx import Presentation
from werkzeug.test import TestResponse

from dashboard.export import uploads
from dashboard.export.routes import OWN_KEYS
from dashboard.server.app import create_app
from dashboard.views import charts, option_keys

ORIGIN = {"Origin": "http://localhost"}
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="200" height="100"><path d="M0 0L9 9"/></svg>'


def pages_of(pdf: bytes) -> list[tuple[float, float]]:
    """Return the widths and heights of a PDF's pages in points."""
    boxes = re.findall(rb"/MediaBox\s*\[\s*0 0 ([\d.]+) ([\d.]+)\s*\]", pdf)
    return [(float(width), float(height)) for width, height in boxes]


def png(width: int = 2, height: int = 2) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = zlib.compress(b"".join(b"\0" + b"\x80" * width for _ in range(height)))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def client(three_methods: Path, one_method: Path) -> FlaskClient:
    return create_app(three_methods, one_method).server.test_client()


def post(
    client: FlaskClient, fields: list[tuple[str, bytes]], path: str = "pptx", **headers: str
) -> TestResponse:
    form: dict[str, list[object]] = {}
    for name, body in fields:
        form.setdefault(name, []).append((io.BytesIO(body), "x.png"))
    return client.post(
        f"/export/{path if '.' in path else f'comparison.{path}'}?method=main",
        data=form,
        headers={**ORIGIN, **headers},
        content_type="multipart/form-data",
    )


def test_figures_follow_the_address(client: FlaskClient) -> None:
    found = json.loads(client.get("/export/pictures?method=main&theme=dark").data)
    assert [item["slug"] for item in found] == [view.id for view in charts()]
    one = json.loads(client.get("/export/picture/size?method=main&theme=dark").data)
    assert one[0] == next(item for item in found if item["slug"] == "size")
    assert one[0]["figure"] != json.loads(client.get("/export/picture/size?theme=dark").data)[0]["figure"]
    assert (
        "title" not in json.loads(client.get("/export/picture/size?layout=body").data)[0]["figure"]["layout"]
    )


def test_switches_of_a_view_hold_in_either_layout(client: FlaskClient) -> None:
    """No view's option is called like one of the export's own, which would overrule it."""
    assert not set(OWN_KEYS) & (option_keys() | {"results"})
    for layout in ("slide", "body"):
        answer = client.get(f"/export/picture/radar?form=parallel&layout={layout}")
        kinds = {trace["type"] for trace in json.loads(answer.data)[0]["figure"]["data"]}
        assert "scatterpolar" not in kinds


def test_data_of_the_folder_in_the_address(client: FlaskClient, one_method: Path) -> None:
    answer = client.get(f"/export/data/size.csv?results={one_method.name}")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="Synthetic-135M-size.csv"'
    assert pl.read_csv(answer.data)["variant_id"].len() == 6
    assert client.get("/export/data/size.exe").status_code == 404
    assert client.get("/export/data/nowhere.csv").status_code == 404
    assert client.get("/export/picture/nowhere").status_code == 404


def test_reports(client: FlaskClient) -> None:
    assert client.get("/export/report.md?method=main").text.startswith("# Synthetic")
    assert client.get("/export/report.html").mimetype == "text/html"


def test_deck_of_pictures(client: FlaskClient) -> None:
    answer = post(client, [("size", png()), ("speed", png())])
    assert answer.status_code == 200
    slides = Presentation(io.BytesIO(answer.data)).slides
    assert sum(shape.shape_type == 13 for slide in slides for shape in slide.shapes) == 2


def test_pdfs_of_drawings(client: FlaskClient) -> None:
    """One view is a page of the drawing's shape; all of them are the slides, of which those not sent are text."""
    one = post(client, [("size", SVG)], "picture.pdf")
    assert one.headers["Content-Disposition"] == 'attachment; filename="Synthetic-135M-size.pdf"'
    assert pages_of(one.data) == [pytest.approx((960, 480), abs=0.1)]
    deck = post(client, [("size", SVG)], "pdf")
    shown = client.get("/export/slides?method=main").json
    assert pages_of(deck.data) == [pytest.approx((960, 540), abs=0.1)] * len(shown["slides"])


@pytest.mark.parametrize("path", ["picture.pdf", "pdf"])
def test_drawings_that_load_something_are_refused(client: FlaskClient, path: str) -> None:
    outside = SVG.replace(b"<path", b'<image href="../variants.parquet" width="9" height="9"/><path')
    for body in (outside, png(), b"", SVG.replace(b"svg", b"html")):
        answer = post(client, [("size", body)], path)
        assert answer.status_code == 400
        assert "\n" not in answer.text
    assert post(client, [("size", SVG)], path, Origin="http://evil.example").status_code == 403


@pytest.mark.parametrize(
    "origin", ["", "null", "http://evil.example", "http://localhost.evil", "file://localhost"]
)
def test_other_origins_are_refused(client: FlaskClient, origin: str) -> None:
    assert post(client, [("size", png())], Origin=origin).status_code == 403


def test_a_browser_that_says_cross_site_is_refused(client: FlaskClient) -> None:
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert post(client, [("size", png())], **headers).status_code == 403


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [("../../etc", png())],
        [("size", b"")],
        [("size", b"GIF89a" + bytes(80))],
        [("size", png()[:-4])],
        [("size", png().replace(b"IHDR", b"JUNK"))],
        [("size", png() + b"<script>")],
        [("size", png(uploads._LONGEST_SIDE + 1, 1))],
        [("size", png()), ("size", png())],
        [("size", png()[:30] + png()[-8:])],
        [("size", png()[:45] + b"\0" + png()[46:])],
    ],
    ids=["nothing", "path", "empty", "gif", "cut", "header", "tail", "huge", "twice", "hollow", "checksum"],
)
@pytest.mark.parametrize("path", ["pptx", "zip"])
def test_hostile_pictures_are_refused_in_one_line(
    client: FlaskClient, fields: list[tuple[str, bytes]], path: str
) -> None:
    answer = post(client, fields, path)
    assert answer.status_code == 400
    assert answer.text
    assert "\n" not in answer.text


def test_the_plain_and_the_editable_deck_have_names_of_their_own(client: FlaskClient) -> None:
    names = []
    for query in ("", "editable=1"):
        form = {"size": (io.BytesIO(png()), "x.png")}
        address = f"/export/comparison.pptx?{query}"
        answer = client.post(address, data=form, headers=ORIGIN, content_type="multipart/form-data")
        assert answer.status_code == 200
        names.append(answer.headers["Content-Disposition"].partition("filename=")[2])
    assert names == ['"Synthetic-135M-comparison.pptx"', '"Synthetic-135M-comparison-editable.pptx"']


def test_too_much_is_refused(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MOST_PER_PICTURE", 50)
    assert post(client, [("size", png())]).status_code == 413
    monkeypatch.undo()
    body = [("size", bytes(uploads.MOST_IN_ALL + 1))]
    assert post(client, body).status_code == 413
