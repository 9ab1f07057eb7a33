"""The slides of a comparison: what is on them and where. The deck and the presentation on screen draw them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from dashboard.export.exhibit import Exhibit, exhibits
from dashboard.export.findings import PLUS_MINUS, Findings, findings, takeaways
from dashboard.export.native import is_native
from dashboard.export.placing import (
    ACROSS,
    BODY,
    CAPTION,
    FOOT,
    HEIGHT,
    SIDE,
    TITLE,
    WIDTH,
    Box,
    over_caption,
    row_heights,
    text_height,
    title_size,
)
from dashboard.export.provenance import facts, footer
from dashboard.export.slide import caption_of, picture, without_pictures
from dashboard.insights import Insight
from dashboard.results.scope import Scope
from dashboard.shell.naming import model_name
from dashboard.style.theme import SURFACES

Tone = Literal["text", "muted"]
Anchor = Literal["top", "middle", "bottom"]
ACCENTS = {"light": "#1769aa", "dark": "#6cb4ee"}
_SHARES = (0.12, 0.19, 0.29, 0.17, 0.12, 0.11)
_SIZE_SHARES = (0.16, 0.19, 0.32, 0.22, 0.11)
_FACT_SHARES = (0.16, 0.84)
#: Type sizes of tables, and of sentences with their details and the space before them, the largest that fits.
_TABLE_SIZES = (16, 14, 12, 11, 10, 9)
_POINT_SIZES = ((28, 18, 36), (24, 16, 24), (20, 14, 16), (18, 13, 12), (16, 12, 8), (14, 11, 6), (12, 10, 4))
_MOST_LINES = 7
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


def slides(
    scope: Scope, pictures: Collection[str], *, editable: bool = False, native: bool = True
) -> list[Slide]:
    """Return the slides: the answer, recommendations, tables, one per view, takeaways, provenance.

    `pictures` are the views that have one. Another view gets its native chart if `native` and PowerPoint can draw
    one, else its insights as text. `editable` adds a slide with the native chart after each picture.
    """
    words, foot, shown = findings(scope), footer(scope), exhibits(scope)
    book = [
        _opening(f"{model_name(scope)}: which quantized version to run", words.answer, foot),
        _points("What to run", words.recommendations, foot),
        *_tables(words, foot),
    ]
    for item in shown:
        its_foot = footer(item.view.applied(scope))
        drawn, charted = item.slug in pictures, native and not item.reason and is_native(item.figure)
        book += _of_view(item, its_foot, drawn=drawn, native=charted, editable=editable)
    told = takeaways(scope, words, [insight for item in shown for insight in item.insights])
    if told:
        book.append(_points("Takeaways", told, foot))
    rows = list(facts(scope).items())
    return [*book, *_table("Where the numbers come from", (), rows, foot, _FACT_SHARES)]


def _tables(words: Findings, foot: str) -> list[Slide]:
    """Return the summary per method, and the methods compared at equal size."""
    made = []
    if words.table:
        made += _table("Summary per method", words.heads, words.table, foot, _SHARES, PLUS_MINUS)
    if words.sizes:
        heads, caption = words.size_heads, words.sizes_compared
        made += _table("Methods at equal size", heads, words.sizes, foot, _SIZE_SHARES, caption)
    return made


def presented(scope: Scope, theme: str) -> dict[str, Any]:
    """Return the slides of the deck with all pictures, as JSON for the screen."""
    drawings = {}
    for item in exhibits(scope):
        laid_out = picture(scope, item, theme, "body")
        size = {"width": laid_out.width, "height": laid_out.height}
        drawings[item.slug] = size | {"figure": laid_out.figure}
    return book_of(scope, theme, drawings) | {"drawings": drawings}


def book_of(scope: Scope, theme: str, pictures: Collection[str]) -> dict[str, Any]:
    """Return the slides as JSON, with their size in inches and their colours; see `slides` for `pictures`."""
    surface = SURFACES[theme]
    colours = {"text": surface.text, "muted": surface.muted, "page": surface.background, "line": surface.grid}
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "colours": colours | {"accent": ACCENTS[theme]},
        "slides": [asdict(slide) for slide in slides(scope, list(pictures), native=False)],
    }


def _of_view(shown: Exhibit, foot: str, *, drawn: bool, native: bool, editable: bool) -> list[Slide]:
    notes = notes_of(shown)
    box, below = over_caption(caption_of(shown))
    caption = _caption(below, caption_of(shown))
    made = []
    if drawn:
        part = Drawn(box, shown.slug, f"{shown.question}. {shown.title}")
        made.append(_titled(shown.title, foot, (part, *caption), notes))
    elif shown.reason:
        made.append(_points(shown.title, [Insight(shown.reason, "unknown")], foot, notes))
    elif not native:
        made.append(_points(shown.title, shown.insights, foot, notes))
    if native and (editable or not drawn):
        more = f"A PowerPoint chart; its data can be edited.\n{notes}"
        texts = without_pictures(caption_of(shown))
        box, below = over_caption(texts)
        made.append(_titled(shown.title, foot, (Native(box, shown), *_caption(below, texts)), more))
    return made


def _caption(box: Box, texts: Sequence[str]) -> tuple[Words, ...]:
    lines = tuple(Line(text, CAPTION, "muted") for text in texts)
    return (Words(box, lines),) if lines else ()


def notes_of(shown: Exhibit) -> str:
    """Return the speaker's notes: the question, the caption, the insights with their numbers, the claims."""
    lines = [shown.question, *filter(None, [shown.picked]), shown.reason or shown.caption, ""]
    lines += [f"• {item.text}" + (f" ({item.detail})" if item.detail else "") for item in shown.insights]
    if shown.claims:
        lines += ["", f"Claims, tested here: {shown.counted}"]
    lines += [f"• {claim.wording}: {claim.text} ({claim.evidence})" for claim in shown.claims]
    return "\n".join(lines).strip()


def _titled(title: str, foot: str, parts: tuple[Part, ...], notes: str = "") -> Slide:
    heading = Line(title, title_size(title), bold=True)
    source = Words(FOOT, (Line(foot, 10, "muted"),))
    return Slide(Words(TITLE, (heading,), "middle"), source, parts, notes)


def _opening(title: str, answer: str, foot: str) -> Slide:
    left, across = SIDE + 0.35, ACROSS - 0.35
    heading = Words((left, 2.0, across, 1.4), (Line(title, 36, bold=True),), "bottom")
    parts = (Rule((SIDE, 2.1, 0.09, 2.7)), Words((left, 3.55, across, 1.6), (Line(answer, 24),)))
    return replace(_titled(title, foot, parts), title=heading)


def _points(title: str, insights: Sequence[Insight], foot: str, notes: str = "") -> Slide:
    """Return a slide of sentences with their details and remarks, in the largest type that fits."""
    for sizes in _POINT_SIZES:
        lines = _sentences(insights[:_MOST_LINES], *sizes)
        if sum(text_height(line.text, line.size) + line.before / _POINTS for line in lines) <= BODY[3]:
            break
    return _titled(title, foot, (Words(BODY, tuple(lines)),), notes)


def _sentences(insights: Sequence[Insight], size: int, smaller: int, before: int) -> list[Line]:
    lines = []
    for index, item in enumerate(insights):
        lines.append(Line(item.text, size, before=before if index else 0))
        if item.detail:
            lines.append(Line(item.detail, smaller, "muted"))
        lines += [Line(remark, smaller) for remark in item.remarks]
    return lines


def _table(
    title: str,
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    foot: str,
    shares: Sequence[float],
    caption: str = "",
) -> list[Slide]:
    """Return a table in the largest type that fits, on several slides if it does not fit in the smallest."""
    texts = [caption] if caption else []
    box, below = over_caption(texts)
    head = [tuple(heads)] if heads else []

    def height(some: Sequence[Sequence[str]], size: int) -> float:
        return sum(row_heights([*head, *some], shares, size, box[3]))

    size = next((size for size in _TABLE_SIZES if height(rows, size) <= box[3]), _TABLE_SIZES[-1])
    pages: list[list[tuple[str, ...]]] = [[]]
    for row in rows:
        if pages[-1] and height([*pages[-1], row], size) > box[3]:
            pages.append([])
        pages[-1].append(tuple(row))
    names = (
        [title] if len(pages) == 1 else [f"{title} ({n} of {len(pages)})" for n in range(1, len(pages) + 1)]
    )
    return [
        _titled(
            name,
            foot,
            (Table(box, tuple(heads), tuple(page), tuple(shares), size), *_caption(below, texts)),
        )
        for name, page in zip(names, pages, strict=True)
    ]
