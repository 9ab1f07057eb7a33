"""The slides of a comparison: what is on them and where. The deck and the presentation on screen draw them."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from dashboard.export.exhibit import Exhibit, exhibits
from dashboard.export.findings import findings
from dashboard.export.native import is_native
from dashboard.export.provenance import facts, footer
from dashboard.export.slide import picture
from dashboard.insights import Insight
from dashboard.results.scope import Scope
from dashboard.shell.naming import model_name
from dashboard.style.theme import SURFACES

#: Left, top, width and height, in inches.
Box = tuple[float, float, float, float]
Tone = Literal["text", "muted"]
Anchor = Literal["top", "middle", "bottom"]
WIDTH, HEIGHT = 13.333, 7.5
ACCENTS = {"light": "#1769aa", "dark": "#6cb4ee"}
_SIDE = 0.5
_ACROSS = WIDTH - 2 * _SIDE
_TITLE: Box = (_SIDE, 0.3, _ACROSS, 0.95)
_BODY: Box = (_SIDE, 1.3, _ACROSS, 5.55)
_FOOT: Box = (_SIDE, 6.95, _ACROSS, 0.4)
_SHARES = (0.12, 0.19, 0.29, 0.17, 0.12, 0.11)
_LONG_TITLE = 70
_FEW_LINES, _MOST_LINES = 4, 7
#: Type sizes of tables, the largest that fits; width of a character over it, line height over it, padding in inches.
_SIZES = (16, 14, 12, 11, 9)
_CHARACTER, _LEADING, _PADDING = 0.52, 1.2, 0.1
_POINTS = 72


@dataclass(frozen=True)
class Line:
    """A paragraph: its text, size and space before in points, tone and weight."""

    text: str
    size: int
    tone: Tone = "text"
    bold: bool = False
    before: int = 0


@dataclass(frozen=True)
class Words:
    """Paragraphs in a box."""

    box: Box
    lines: tuple[Line, ...]
    anchor: Anchor = "top"
    kind: str = "words"


@dataclass(frozen=True)
class Rule:
    """A bar in the accent colour."""

    box: Box
    kind: str = "rule"


@dataclass(frozen=True)
class Table:
    """Rows under heads, empty if there are none; `shares` of the width, and the type size in points."""

    box: Box
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    shares: tuple[float, ...]
    size: int
    kind: str = "table"


@dataclass(frozen=True)
class Drawn:
    """A view's picture, as large as fits into the box."""

    box: Box
    slug: str
    description: str
    kind: str = "picture"


@dataclass(frozen=True)
class Native:
    """A chart that PowerPoint draws from data."""

    box: Box
    shown: Exhibit
    kind: str = "chart"


Part = Words | Rule | Table | Drawn | Native


@dataclass(frozen=True)
class Slide:
    """A title, the source of the numbers at the bottom, what is between them, and notes for the speaker."""

    title: Words
    foot: Words
    parts: tuple[Part, ...]
    notes: str = ""


def slides(scope: Scope, pictures: Collection[str], *, editable: bool = False) -> list[Slide]:
    """Return the slides: the answer, recommendations, the summary as a table, one per view, provenance.

    `pictures` are the views that have one. Another view gets its native chart if PowerPoint can draw one, else its
    insights as text. `editable` adds a slide with the native chart after each picture.
    """
    words, foot = findings(scope), footer(scope)
    book = [
        _opening(f"{model_name(scope)}: which quantized version to run", words.answer, foot),
        _points("What to run", words.recommendations, foot),
    ]
    if words.table:
        book.append(_table("Summary per method", words.heads, words.table, foot))
    for shown in exhibits(scope):
        its_foot = footer(shown.view.applied(scope))
        book += _of_view(shown, its_foot, drawn=shown.slug in pictures, editable=editable)
    rows = list(facts(scope).items())
    return [*book, _table("Where the numbers come from", ("", ""), rows, foot, (0.18, 0.82))]


def presented(scope: Scope, theme: str) -> dict[str, Any]:
    """Return the slides of the deck with all pictures, as JSON for the screen."""
    shown = exhibits(scope)
    surface = SURFACES[theme]
    drawings = {}
    for item in shown:
        laid_out = picture(scope, item, theme, "body")
        size = {"width": laid_out.width, "height": laid_out.height}
        drawings[item.slug] = size | {"figure": laid_out.figure}
    colours = {"text": surface.text, "muted": surface.muted, "page": surface.background, "line": surface.grid}
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "colours": colours | {"accent": ACCENTS[theme]},
        "slides": [asdict(slide) for slide in slides(scope, list(drawings))],
        "drawings": drawings,
    }


def _of_view(shown: Exhibit, foot: str, *, drawn: bool, editable: bool) -> list[Slide]:
    notes = notes_of(shown)
    native = not shown.reason and is_native(shown.figure)
    made = []
    if drawn:
        part = Drawn(_BODY, shown.slug, f"{shown.question}. {shown.title}")
        made.append(_titled(shown.title, foot, (part,), notes))
    elif shown.reason:
        made.append(_points(shown.title, [Insight(shown.reason, "unknown")], foot, notes))
    elif not native:
        made.append(_points(shown.title, shown.insights, foot, notes))
    if native and (editable or not drawn):
        more = f"A PowerPoint chart; its data can be edited.\n{notes}"
        made.append(_titled(shown.title, foot, (Native(_BODY, shown),), more))
    return made


def notes_of(shown: Exhibit) -> str:
    """Return the speaker's notes: the question, the caption, the insights with their numbers, the claims."""
    lines = [shown.question, *filter(None, [shown.picked]), shown.reason or shown.caption, ""]
    lines += [f"• {item.text}" + (f" ({item.detail})" if item.detail else "") for item in shown.insights]
    if shown.claims:
        lines += ["", f"Claims, tested here: {shown.counted}"]
    lines += [f"• {claim.wording}: {claim.text} ({claim.evidence})" for claim in shown.claims]
    return "\n".join(lines).strip()


def _titled(title: str, foot: str, parts: tuple[Part, ...], notes: str = "") -> Slide:
    heading = Line(title, 26 if len(title) <= _LONG_TITLE else 22, bold=True)
    source = Words(_FOOT, (Line(foot, 10, "muted"),))
    return Slide(Words(_TITLE, (heading,), "middle"), source, parts, notes)


def _opening(title: str, answer: str, foot: str) -> Slide:
    left, across = _SIDE + 0.35, _ACROSS - 0.35
    heading = Words((left, 2.0, across, 1.4), (Line(title, 36, bold=True),), "bottom")
    parts = (Rule((_SIDE, 2.1, 0.09, 2.7)), Words((left, 3.55, across, 1.6), (Line(answer, 22),)))
    return replace(_titled(title, foot, parts), title=heading)


def _points(title: str, insights: Sequence[Insight], foot: str, notes: str = "") -> Slide:
    shown = insights[:_MOST_LINES]
    few = len(shown) <= _FEW_LINES
    lines = []
    for index, item in enumerate(shown):
        lines.append(Line(item.text, 24 if few else 18, before=(24 if few else 12) if index else 0))
        if item.detail:
            lines.append(Line(item.detail, 16 if few else 13, "muted"))
    return _titled(title, foot, (Words(_BODY, tuple(lines)),), notes)


def _table(
    title: str,
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    foot: str,
    shares: Sequence[float] = _SHARES,
) -> Slide:
    shown = tuple(heads) if any(heads) else ()
    sizes = _SIZES if len(rows) + bool(shown) <= _FEW_LINES + 1 else _SIZES[-2:]
    lines = [*([shown] if shown else []), *rows]
    size = next((size for size in sizes if _height(lines, shares, size) <= _BODY[3]), sizes[-1])
    return _titled(title, foot, (Table(_BODY, shown, tuple(map(tuple, rows)), tuple(shares), size),))


def _height(lines: Sequence[Sequence[str]], shares: Sequence[float], size: int) -> float:
    """Estimate a table's height in inches."""
    total = 0.0
    for line in lines:
        fits = [(share * _ACROSS - 2 * _PADDING) * _POINTS / (_CHARACTER * size) for share in shares]
        most = max(math.ceil(max(len(text), 1) / room) for text, room in zip(line, fits, strict=True))
        total += most * _LEADING * size / _POINTS + _PADDING
    return total
