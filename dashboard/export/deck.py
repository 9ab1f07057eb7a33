"""A PowerPoint deck: the answer, recommendations, the summary as a table, one slide per view, provenance."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from pptx import Presentation
from pptx.enum.shapes import MSO_SHAPE
from pptx.enum.text import MSO_ANCHOR, PP_ALIGN
from pptx.opc.constants import RELATIONSHIP_TYPE
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls, qn
from pptx.util import Inches, Pt

from dashboard.export.exhibit import Exhibit, exhibits
from dashboard.export.findings import findings
from dashboard.export.native import add_chart, is_native, rgb
from dashboard.export.provenance import facts, footer
from dashboard.insights import Insight
from dashboard.results.scope import Scope
from dashboard.shell.naming import model_name
from dashboard.style.theme import SURFACES, Surface

_WIDTH, _HEIGHT, _SIDE = Inches(13.333), Inches(7.5), Inches(0.5)
_ACROSS = _WIDTH - 2 * _SIDE
_BODY_TOP, _BODY_HEIGHT = Inches(1.3), Inches(5.55)
_TITLE_ONLY = 5
_BAR = {"light": "#1769aa", "dark": "#6cb4ee"}
_SHARES = (0.12, 0.19, 0.29, 0.17, 0.12, 0.11)
#: PowerPoint's "No Style, No Grid"; other styles draw their own coloured lines.
_NO_STYLE = "{2D5ABB26-0587-4C30-8999-92F81FD0307C}"
#: The pictures' typeface too, see `slide.FONT`.
_TYPEFACE = "Arial"
_LONG_TITLE = 70
_FEW_LINES, _MOST_LINES = 4, 7


def deck(
    scope: Scope,
    pictures: Mapping[str, bytes],
    theme: str = "light",
    *,
    editable: bool = False,
) -> bytes:
    """Build the deck from PNGs by view.

    A view without a picture gets its native chart if PowerPoint can draw one, else its insights as text.
    `editable` adds a slide with the native chart after each picture.
    """
    book = _Book(SURFACES[theme], _BAR[theme], footer(scope))
    words = findings(scope)
    book.opening(f"{model_name(scope)}: which quantized version to run", words.answer)
    book.points("What to run", words.recommendations)
    if words.table:
        book.table("Summary per method", words.heads, words.table)
    for shown in exhibits(scope):
        book.foot = footer(shown.view.applied(scope))
        _view_slides(book, shown, pictures.get(shown.slug), editable=editable)
    book.foot = footer(scope)
    book.table("Where the numbers come from", ("", ""), list(facts(scope).items()), (0.18, 0.82))
    return book.to_bytes()


def _view_slides(book: _Book, shown: Exhibit, png: bytes | None, *, editable: bool) -> None:
    notes = notes_of(shown)
    native = not shown.reason and is_native(shown.figure)
    if png is not None:
        book.picture(shown.title, png, shown.question, notes)
    elif shown.reason:
        book.points(shown.title, [Insight(shown.reason, "unknown")], notes)
    elif not native:
        book.points(shown.title, shown.insights, notes)
    if native and (editable or png is None):
        book.chart(shown, notes)


def notes_of(shown: Exhibit) -> str:
    """Return the speaker's notes: the question, the caption, the insights with their numbers, the claims."""
    lines = [shown.question, *filter(None, [shown.picked]), shown.reason or shown.caption, ""]
    lines += [f"• {item.text}" + (f" ({item.detail})" if item.detail else "") for item in shown.insights]
    if shown.claims:
        lines += ["", f"Claims, tested here: {shown.counted}"]
    lines += [f"• {claim.wording}: {claim.text} ({claim.evidence})" for claim in shown.claims]
    return "\n".join(lines).strip()


class _Book:
    """A presentation in one theme; every slide has a title, and `foot`, the source of its numbers, at the bottom."""

    def __init__(self, surface: Surface, accent: str, foot: str) -> None:
        self._surface, self._accent, self.foot = surface, accent, foot
        self._file = Presentation()
        self._file.slide_width, self._file.slide_height = _WIDTH, _HEIGHT
        # python-pptx has no API for the theme's typefaces.
        look = self._file.slide_master.part.part_related_by(RELATIONSHIP_TYPE.THEME)
        look._blob = look.blob.replace(b'"Calibri"', f'"{_TYPEFACE}"'.encode())

    def to_bytes(self) -> bytes:
        buffer = io.BytesIO()
        self._file.save(buffer)
        return buffer.getvalue()

    def opening(self, title: str, answer: str) -> None:
        slide = self._slide()
        bar = slide.shapes.add_shape(MSO_SHAPE.RECTANGLE, _SIDE, Inches(2.1), Inches(0.09), Inches(2.7))
        bar.fill.solid()
        bar.fill.fore_color.rgb = rgb(self._accent)
        bar.line.fill.background()
        left, across = _SIDE + Inches(0.35), _ACROSS - Inches(0.35)
        self._title(slide, (left, Inches(2.0), across, Inches(1.4)), title, 36, MSO_ANCHOR.BOTTOM)
        self._text(slide, (left, Inches(3.55), across, Inches(1.6)), answer, 22)

    def points(self, title: str, insights: Sequence[Insight], notes: str = "") -> None:
        slide = self._titled(title, notes)
        frame = self._text(slide, (_SIDE, _BODY_TOP, _ACROSS, _BODY_HEIGHT), "", 18)
        shown = insights[:_MOST_LINES]
        few = len(shown) <= _FEW_LINES
        for index, item in enumerate(shown):
            main = frame.paragraphs[0] if index == 0 else frame.add_paragraph()
            self._run(main, item.text, 24 if few else 18, self._surface.text)
            main.space_before = Pt((24 if few else 12) if index else 0)
            if item.detail:
                self._run(frame.add_paragraph(), item.detail, 16 if few else 13, self._surface.muted)

    def picture(self, title: str, png: bytes, question: str, notes: str) -> None:
        slide = self._titled(title, notes)
        drawn = slide.shapes.add_picture(io.BytesIO(png), _SIDE, _BODY_TOP, width=_ACROSS)
        if drawn.height > _BODY_HEIGHT:
            drawn.width, drawn.height = round(drawn.width * _BODY_HEIGHT / drawn.height), _BODY_HEIGHT
        drawn.left = round((_WIDTH - drawn.width) / 2)
        drawn._element.nvPicPr.cNvPr.set("descr", f"{question}. {title}")

    def chart(self, shown: Exhibit, notes: str) -> None:
        slide = self._titled(shown.title, f"A PowerPoint chart; its data can be edited.\n{notes}")
        add_chart(slide, shown.figure, (_SIDE, _BODY_TOP, _ACROSS, _BODY_HEIGHT), self._surface)

    def table(
        self,
        title: str,
        heads: Sequence[str],
        rows: Sequence[Sequence[str]],
        shares: Sequence[float] = _SHARES,
    ) -> None:
        slide = self._titled(title)
        headed = any(heads)
        lines = [heads, *rows] if headed else list(rows)
        height = Inches(0.36) * len(lines)
        table = slide.shapes.add_table(len(lines), len(heads), _SIDE, _BODY_TOP, _ACROSS, height).table
        table._tbl.tblPr.find(qn("a:tableStyleId")).text = _NO_STYLE
        table.first_row, table.horz_banding = headed, False
        size = 16 if len(lines) <= _FEW_LINES + 1 else 11
        for column, share in zip(table.columns, shares, strict=True):
            column.width = round(_ACROSS * share)
        for index, line in enumerate(lines):
            strong = headed and index == 0
            for place, text in enumerate(line):
                self._cell(table.cell(index, place), text, size, strong=strong or place == 0, head=strong)

    def _cell(self, cell: Any, text: str, size: int, *, strong: bool, head: bool) -> None:
        surface = self._surface
        cell.fill.solid()
        cell.fill.fore_color.rgb = rgb(self._accent if head else surface.background)
        self._underline(cell)
        color = surface.background if head else surface.text
        self._run(cell.text_frame.paragraphs[0], text, size, color, bold=strong)

    def _underline(self, cell: Any) -> None:
        """Draw the line under a cell, which python-pptx has no API for; the schema requires it before the fill."""
        color = self._surface.grid.removeprefix("#")
        line = f'<a:lnB {nsdecls("a")} w="9525"><a:solidFill><a:srgbClr val="{color}"/></a:solidFill></a:lnB>'
        cell._tc.get_or_add_tcPr().insert(0, parse_xml(line))

    def _titled(self, title: str, notes: str = "") -> Any:
        slide = self._slide()
        size = 26 if len(title) <= _LONG_TITLE else 22
        self._title(slide, (_SIDE, Inches(0.3), _ACROSS, Inches(0.95)), title, size)
        if notes:
            slide.notes_slide.notes_text_frame.text = notes
        return slide

    def _slide(self) -> Any:
        slide = self._file.slides.add_slide(self._file.slide_layouts[_TITLE_ONLY])
        slide.background.fill.solid()
        slide.background.fill.fore_color.rgb = rgb(self._surface.background)
        box = (_SIDE, Inches(6.95), _ACROSS, Inches(0.4))
        self._text(slide, box, self.foot, 10, self._surface.muted)
        return slide

    def _title(
        self,
        slide: Any,
        box: Sequence[int],
        text: str,
        size: int,
        anchor: MSO_ANCHOR = MSO_ANCHOR.MIDDLE,
    ) -> None:
        """Fill the layout's title placeholder, which outlines and screen readers use."""
        shape = slide.shapes.title
        shape.left, shape.top, shape.width, shape.height = box
        frame = shape.text_frame
        frame.word_wrap, frame.vertical_anchor = True, anchor
        frame.margin_left = frame.margin_right = 0
        frame.paragraphs[0].alignment = PP_ALIGN.LEFT
        self._run(frame.paragraphs[0], text, size, self._surface.text, bold=True)

    def _text(self, slide: Any, box: Sequence[int], text: str, size: int, color: str = "") -> Any:
        frame = slide.shapes.add_textbox(*box).text_frame
        frame.word_wrap = True
        frame.margin_left = frame.margin_right = 0
        if text:
            self._run(frame.paragraphs[0], text, size, color or self._surface.text)
        return frame

    def _run(self, paragraph: Any, text: str, size: int, color: str, *, bold: bool = False) -> None:
        run = paragraph.add_run()
        run.text = text
        run.font.size, run.font.bold, run.font.color.rgb = Pt(size), bold, rgb(color)
