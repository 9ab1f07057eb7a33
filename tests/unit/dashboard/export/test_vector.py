"""PDFs hold vectors and text: no picture of them, and nothing that a text could run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from dashboard.export.slides import presented
from dashboard.export.svg import SvgError
from dashboard.export.vector import deck_pdf, picture_pdf
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING, Selection
from dashboard.views import charts

SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="300" height="100"><path d="M0 0L300 100" stroke="red"/>'
    b'<text x="9" y="50" style="font-family: Arial; font-size: 20px">words</text></svg>'
)


def pages(pdf: bytes) -> int:
    return len(re.findall(rb"/Type\s*/Page\b", pdf))


def has_pictures(pdf: bytes) -> bool:
    return re.search(rb"/Subtype\s*/Image\b", pdf) is not None


def test_a_picture_is_one_page_of_vectors_and_fonts() -> None:
    pdf = picture_pdf("size", SVG, "A <b> #title")
    assert pages(pdf) == 1
    assert not has_pictures(pdf)
    assert b"/FontFile" in pdf
    box = re.search(rb"/MediaBox\s*\[0 0 ([\d.]+) ([\d.]+)\]", pdf)
    assert box is not None
    assert float(box[1]) / float(box[2]) == pytest.approx(3, rel=1e-3)


@pytest.mark.parametrize("selection", [EVERYTHING, Selection.of(methods=["nobody"])])
@pytest.mark.parametrize("drawn", [True, False])
def test_the_deck_has_the_slides_of_the_screen(
    three_methods: Path, selection: Selection, *, drawn: bool
) -> None:
    scope = Scope(Results.open(three_methods), selection)
    drawings = {view.id: SVG for view in charts()} if drawn else {}
    pdf = deck_pdf(scope, drawings, "dark")
    assert pages(pdf) == len(presented(scope, "dark")["slides"])
    assert not has_pictures(pdf)


def test_a_drawing_that_cannot_be_read_is_named() -> None:
    with pytest.raises(SvgError, match="cannot be set"):
        picture_pdf("size", SVG.replace(b"<path", b'<image href="other.png"/><path'), "title")


def test_the_dashboard_starts_without_typst() -> None:
    code = "import sys, dashboard.server.app, dashboard.export.routes; sys.exit('typst' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=300, check=False).returncode == 0
