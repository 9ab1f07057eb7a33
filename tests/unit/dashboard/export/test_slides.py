"""The presentation on screen and the exported deck have the same slides."""

from __future__ import annotations

import io
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from plotly.utils import PlotlyJSONEncoder
from pptx import Presentation
from pptx.util import Inches

from dashboard.export.deck import deck
from dashboard.export.exhibit import exhibit
from dashboard.export.markdown import report
from dashboard.export.placing import BODY, row_heights, text_height
from dashboard.export.slide import picture
from dashboard.export.slides import Table, _table, presented
from dashboard.insights.answers import Answers
from dashboard.pages import overview
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.server.app import create_app
from dashboard.views import charts

#: The smallest PNG: one grey pixel.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
    "3a7e9b550000000a49444154789c6368000000820081dd436af40000000049454e44ae426082"
)
SELECTIONS = {
    "all": Selection(),
    "picked": Selection.of(picked=["main-q4_0"], domains=["code"]),
    "nothing": Selection.of(methods=["nobody"]),
}


@pytest.fixture(scope="module")
def results(three_methods: Path) -> Results:
    return Results.open(three_methods)


def in_deck(slide: Any) -> list[object]:
    """Return a slide's texts, tables and pictures: what it shows and where, in inches."""
    found: list[object] = [("title", slide.shapes.title.text_frame.text)]
    for shape in slide.shapes:
        place = [round(length / Inches(1), 2) for length in (shape.left, shape.top, shape.width)]
        if shape.has_text_frame and shape != slide.shapes.title and shape.text_frame.text:
            found.append(("words", place, [part.text for part in shape.text_frame.paragraphs]))
        elif shape.has_table:
            found.append(("table", place, [[cell.text for cell in row.cells] for row in shape.table.rows]))
        elif shape.shape_type is not None and hasattr(shape, "image"):
            found.append(("picture", shape._element.nvPicPr.cNvPr.get("descr")))
    return sorted(found, key=str)


def on_screen(slide: dict[str, Any]) -> list[object]:
    found: list[object] = [("title", "".join(line["text"] for line in slide["title"]["lines"]))]
    for part in [slide["foot"], *slide["parts"]]:
        place = [round(length, 2) for length in part["box"][:3]]
        if part["kind"] == "words":
            found.append(("words", place, [line["text"] for line in part["lines"]]))
        elif part["kind"] == "table":
            rows = [list(row) for row in part["rows"]]
            found.append(("table", place, [list(part["heads"]), *rows] if part["heads"] else rows))
        elif part["kind"] == "picture":
            found.append(("picture", part["description"]))
    return sorted(found, key=str)


@pytest.mark.parametrize("name", SELECTIONS)
def test_the_screen_presents_the_deck(results: Results, name: str) -> None:
    scope = Scope(results, SELECTIONS[name])
    pictures = {view.id: PNG for view in charts()}
    exported = [in_deck(slide) for slide in Presentation(io.BytesIO(deck(scope, pictures))).slides]
    shown = [on_screen(slide) for slide in presented(scope, "light")["slides"]]
    assert len(shown) > len(charts())
    assert shown == exported


def test_its_pictures_are_the_exported_ones(results: Results) -> None:
    scope = Scope(results, SELECTIONS["picked"])
    answer = presented(scope, "dark")
    for view in charts():
        expected = picture(scope, exhibit(scope, view), "dark", "body")
        drawing = answer["drawings"][view.id]
        assert (drawing["width"], drawing["height"]) == (expected.width, expected.height)
        drawn, laid_out = (
            json.dumps(item, cls=PlotlyJSONEncoder) for item in (drawing["figure"], expected.figure)
        )
        assert drawn == laid_out


def test_tables_stay_above_the_source(results: Results) -> None:
    for slide in presented(Scope(results), "light")["slides"]:
        for part in slide["parts"]:
            assert part["box"][1] + part["box"][3] <= slide["foot"]["box"][1]
            if part["kind"] == "table":
                assert 9 <= part["size"] <= 16


def test_nothing_overlaps_on_a_slide(results: Results) -> None:
    """Title, chart or table, caption and source lie one below the other."""
    for slide in presented(Scope(results), "light")["slides"][1:]:
        boxes = [part["box"] for part in (slide["title"], *slide["parts"], slide["foot"])]
        for above, below in pairwise(boxes):
            assert above[1] + above[3] <= below[1] + 1e-9


def test_charts_fill_their_boxes(results: Results) -> None:
    answer = presented(Scope(results), "light")
    drawn = [part for slide in answer["slides"] for part in slide["parts"] if part["kind"] == "picture"]
    for part in drawn:
        drawing = answer["drawings"][part["slug"]]
        _, _, across, tall = part["box"]
        assert drawing["width"] / drawing["height"] == pytest.approx(across / tall, rel=0.01)
        assert across > 12
        assert tall > 4


def test_long_tables_go_on_on_further_slides() -> None:
    rows = [(f"file {index}", "word " * 60) for index in range(40)]
    made = _table("Files", ("File", "Text"), rows, "source", (0.2, 0.8), "a caption")
    assert len(made) > 1
    tables = [part for slide in made for part in slide.parts if isinstance(part, Table)]
    assert [row for table in tables for row in table.rows] == rows
    assert made[0].title.lines[0].text == f"Files (1 of {len(made)})"
    for table in tables:
        assert sum(row_heights([table.heads, *table.rows], table.shares, table.size, 1.0)) <= table.box[3]


def test_the_route_gives_the_slides_of_an_address(three_methods: Path) -> None:
    client = create_app(three_methods).server.test_client()
    answer = client.get("/export/slides?method=main&pick=main-q4_0&theme=dark").json
    assert answer["slides"][-1]["title"]["lines"][0]["text"] == "Where the numbers come from"
    assert "picked: main Q4_0" in answer["slides"][0]["foot"]["lines"][0]["text"]
    assert answer["colours"]["page"] == "#171c24"


def notes_of_cards(scope: Scope) -> set[str]:
    """What the cards of the first page say under their files, apart from rules and what is provisional."""
    cards = [part for part in overview.beside(scope)[-1].children if "engines" not in part.className]
    notes = [
        line.children
        for card in cards
        for line in card.children
        if getattr(line, "className", "") == "answer-note"
    ]
    return {text for text in notes if not text.startswith(("Provisional", "weights "))}


@pytest.mark.parametrize("options", [{}, {"gb": "90 MB", "tps": "60"}, {"gb": "1 MB"}])
def test_what_cards_note_is_on_the_slide_and_fits(two_engines: Path, options: dict[str, str]) -> None:
    scope = Scope(Results.open(two_engines), Selection.of(options=options))
    (slide,) = (
        slide
        for slide in presented(scope, "light")["slides"]
        if slide["title"]["lines"][0]["text"] == "What to run"
    )
    (words,) = slide["parts"]
    texts = {line["text"] for line in words["lines"]}
    noted = notes_of_cards(scope)
    assert noted <= texts
    assert noted or Answers.of(scope).chosen is None
    for note in noted:
        assert f"  - {note}" in re.sub(r"\\(.)", r"\1", report(scope)), "without the escapes of Markdown"
    height = sum(text_height(line["text"], line["size"]) + line["before"] / 72 for line in words["lines"])
    assert height <= BODY[3]
