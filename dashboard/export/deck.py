"""A PowerPoint deck: the slides of `slides.py`, drawn with python-pptx."""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import singledispatchmethod
from typing import Any

from pptx import Presentation
from pptx.enum.shapes import MSO_SHAPE
from pptx.enum.text import MSO_ANCHOR, PP_ALIGN
from pptx.opc.constants import RELATIONSHIP_TYPE
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls, qn
from pptx.util import Inches, Pt

from dashboard.export.native import add_chart
from dashboard.export.native_axes import rgb
from dashboard.export.placing import HEIGHT, WIDTH, Box, row_heights
from dashboard.export.slides import (
    ACCENTS,
    Drawn,
    Line,
    Native,
    Rule,
    Slide,
    Table,
    Words,
    slides,
)
from dashboard.results.scope import Scope
from dashboard.style.theme import SURFACES

_TITLE_ONLY = 5
#: PowerPoint's "No Style, No Grid"; other styles draw their own coloured lines.
_NO_STYLE = "{2D5ABB26-0587-4C30-8999-92F81FD0307C}"
#: The pictures' typeface too, see `slide.FONT`.
_TYPEFACE = "Arial"
_ANCHORS = {"top": MSO_ANCHOR.TOP, "middle": MSO_ANCHOR.MIDDLE, "bottom": MSO_ANCHOR.BOTTOM}


def deck(
    scope: Scope,
    pictures: Mapping[str, bytes],
    theme: str = "light",
    *,
    editable: bool = False,
) -> bytes:
    """Build the deck from PNGs by view; see `slides` for views without one, and for `editable`."""
    book = _Book(theme, pictures)
    for slide in slides(scope, pictures, editable=editable):
        book.add(slide)
    return book.to_bytes()


def _emu(box: Box) -> tuple[int, int, int, int]:
    left, top, width, height = (Inches(length) for length in box)
    return left, top, width, height


class _Book:
    """A presentation in one theme, with the PNGs of views by name."""

    def __init__(self, theme: str, pictures: Mapping[str, bytes]) -> None:
        self._surface, self._accent, self._pictures = SURFACES[theme], ACCENTS[theme], pictures
        self._file = Presentation()
        self._file.slide_width, self._file.slide_height = Inches(WIDTH), Inches(HEIGHT)
        # python-pptx has no API for the theme's typefaces.
        look = self._file.slide_master.part.part_related_by(RELATIONSHIP_TYPE.THEME)
        look._blob = look.blob.replace(b'"Calibri"', f'"{_TYPEFACE}"'.encode())

    def to_bytes(self) -> bytes:
        buffer = io.BytesIO()
        self._file.save(buffer)
        return buffer.getvalue()

    def add(self, shown: Slide) -> None:
        slide = self._file.slides.add_slide(self._file.slide_layouts[_TITLE_ONLY])
        slide.background.fill.solid()
        slide.background.fill.fore_color.rgb = rgb(self._surface.background)
        self._draw(shown.foot, slide)
        self._title(slide, shown.title)
        for part in shown.parts:
            self._draw(part, slide)
        if shown.notes:
            slide.notes_slide.notes_text_frame.text = shown.notes

    def _title(self, slide: Any, words: Words) -> None:
        """Fill the layout's title placeholder, which outlines and screen readers use."""
        shape = slide.shapes.title
        shape.left, shape.top, shape.width, shape.height = _emu(words.box)
        self._fill(shape.text_frame, words)
        shape.text_frame.paragraphs[0].alignment = PP_ALIGN.LEFT

    @singledispatchmethod
    def _draw(self, part: object, slide: Any) -> None:
        raise TypeError(f"a slide cannot show {type(part).__name__}")

    @_draw.register
    def _(self, part: Words, slide: Any) -> None:
        self._fill(slide.shapes.add_textbox(*_emu(part.box)).text_frame, part)

    @_draw.register
    def _(self, part: Rule, slide: Any) -> None:
        bar = slide.shapes.add_shape(MSO_SHAPE.RECTANGLE, *_emu(part.box))
        bar.fill.solid()
        bar.fill.fore_color.rgb = rgb(self._accent)
        bar.line.fill.background()

    @_draw.register
    def _(self, part: Drawn, slide: Any) -> None:
        left, top, across, height = _emu(part.box)
        png = io.BytesIO(self._pictures[part.slug])
        drawn = slide.shapes.add_picture(png, left, top, width=across)
        if drawn.height > height:
            drawn.width, drawn.height = round(drawn.width * height / drawn.height), height
        drawn.left = left + round((across - drawn.width) / 2)
        drawn._element.nvPicPr.cNvPr.set("descr", part.description)

    @_draw.register
    def _(self, part: Native, slide: Any) -> None:
        add_chart(slide, part.shown.figure, _emu(part.box), self._surface)

    @_draw.register
    def _(self, part: Table, slide: Any) -> None:
        lines = [part.heads, *part.rows] if part.heads else list(part.rows)
        left, top, across, _ = _emu(part.box)
        heights = row_heights(lines, part.shares, part.size, part.box[3])
        whole = Inches(sum(heights))
        table = slide.shapes.add_table(len(lines), len(part.shares), left, top, across, whole).table
        for row, height in zip(table.rows, heights, strict=True):
            row.height = Inches(height)
        table._tbl.tblPr.find(qn("a:tableStyleId")).text = _NO_STYLE
        table.first_row, table.horz_banding = bool(part.heads), False
        for column, share in zip(table.columns, part.shares, strict=True):
            column.width = round(across * share)
        for index, line in enumerate(lines):
            head = bool(part.heads) and index == 0
            for place, text in enumerate(line):
                self._cell(table.cell(index, place), text, part.size, strong=head or place == 0, head=head)

    def _cell(self, cell: Any, text: str, size: int, *, strong: bool, head: bool) -> None:
        surface = self._surface
        cell.fill.solid()
        cell.fill.fore_color.rgb = rgb(self._accent if head else surface.background)
        self._underline(cell)
        color = surface.background if head else surface.text
        self._run(cell.text_frame.paragraphs[0], Line(text, size, bold=strong), color)

    def _underline(self, cell: Any) -> None:
        """Draw the line under a cell, which python-pptx has no API for; the schema requires it before the fill."""
        color = self._surface.grid.removeprefix("#")
        line = f'<a:lnB {nsdecls("a")} w="9525"><a:solidFill><a:srgbClr val="{color}"/></a:solidFill></a:lnB>'
        cell._tc.get_or_add_tcPr().insert(0, parse_xml(line))

    def _fill(self, frame: Any, words: Words) -> None:
        frame.word_wrap, frame.vertical_anchor = True, _ANCHORS[words.anchor]
        frame.margin_left = frame.margin_right = 0
        for index, line in enumerate(words.lines):
            paragraph = frame.paragraphs[0] if index == 0 else frame.add_paragraph()
            if line.before:
                paragraph.space_before = Pt(line.before)
            if line.text:
                tones = {"text": self._surface.text, "muted": self._surface.muted}
                self._run(paragraph, line, tones[line.tone])

    def _run(self, paragraph: Any, line: Line, color: str) -> None:
        run = paragraph.add_run()
        run.text = line.text
        run.font.size, run.font.bold, run.font.color.rgb = Pt(line.size), line.bold, rgb(color)
