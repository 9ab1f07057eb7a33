"""`python -m dashboard export`: the same files as from the screen's menu, without a browser session."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from dashboard.export.archive import archive
from dashboard.export.document import document
from dashboard.export.exhibit import exhibits
from dashboard.export.markdown import report
from dashboard.export.rendering import RenderError, render
from dashboard.export.slide import Form, picture
from dashboard.insights.limits import problems
from dashboard.results.known_values import values
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING, Selection
from dashboard.style import formats
from dashboard.style.theme import SURFACES
from dashboard.views import option_keys, registry
from evaluator.support.suggestions import did_you_mean

FORMATS = (".pptx", ".html", ".zip", ".md")
_DECK_SCALE = 1.5
#: How many names a refusal lists, and what keys of a link stand for where their name does not say it.
_MOST_NAMED = 8
_NOUNS = {
    "quant": "quant type",
    "domain": "text domain",
    **dict.fromkeys(("only", "pick", "a", "b"), "variant"),
}
#: A link's key for the results folder; here the folder is an argument.
_FOLDER_KEY = "results"


class ExportError(Exception):
    """A request that cannot be met; the message is one line."""


def export(
    folder: Path, out: Path, query: str = "", theme: str = "light", *, editable: bool = False
) -> list[str]:
    """Write what `query` selects of a results folder to `out`, by its suffix; return remarks for the user.

    Pictures need the extra `slides`. Without it a ZIP holds the data and reports only; a deck is made of
    PowerPoint's own charts when `editable` asks for them, and refused otherwise.

    Raises:
        ExportError: suffix, theme or query is unknown, pictures are missing, or the file cannot be written.
        ResultsError: the folder cannot be shown.

    """
    form = out.suffix.lower()
    if form not in FORMATS:
        raise ExportError(f"{out}: the name must end in one of {', '.join(FORMATS)}")
    if theme not in SURFACES:
        raise ExportError(f"--theme {theme}: must be one of {', '.join(SURFACES)}")
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise ExportError(f"{out}: cannot be written: there is no such folder, or it is one itself")
    results = Results.open(folder)
    scope = Scope(results, _selection(query, results))
    remarks: list[str] = []
    if scope.frame.is_empty():
        remarks.append(f"no variant matches --select {query!r}; the file says so in place of every view")
    if form == ".html":
        body = document(scope, theme).encode()
    elif form == ".md":
        body = report(scope).encode()
    else:
        drawn = _drawn(scope, theme, form, remarks, required=form == ".pptx" and not editable)
        body = _bound(scope, drawn, theme, form, editable=editable)
    try:
        out.write_bytes(body)
    except OSError as error:
        raise ExportError(f"{out}: cannot be written: {error.strerror}") from None
    return remarks


def _selection(query: str, results: Results) -> Selection:
    """Read a query strictly: a page may ignore what it does not know, a file would quietly hold something else."""
    keys = option_keys()
    choices = {option.key: dict(option.choices) for view in registry() for option in view.options}
    for key, value in parse_qsl(query.removeprefix("?"), keep_blank_values=True):
        pair = urlencode({key: value})
        if key in choices and value not in choices[key]:
            raise ExportError(f"--select: {key}={value}: must be one of {', '.join(choices[key])}")
        if key != _FOLDER_KEY and Selection.from_query(pair, keys) == EVERYTHING:
            raise ExportError(f"--select: {key}={value} is no part of a dashboard's link")
        if problem := problems(Selection.from_query(pair, keys)).get(key):
            raise ExportError(f"--select: {key}={value}: {problem}")
        there = values(results, key)
        if there is not None and value not in there:
            raise ExportError(f"--select: {key}={value}: {_instead(key, value, there)}")
    return Selection.from_query(query, keys)


def _instead(key: str, value: str, there: Collection[str]) -> str:
    """Say what was probably meant, else what there is."""
    noun = _NOUNS.get(key, key)
    if not there:
        return f"this folder holds no {noun}"
    if near := did_you_mean(value, sorted(there)):
        return f"this folder holds no such {noun}{near}"
    listed = formats.listing(
        sorted(there, key=lambda name: int(name) if key == "layer" else name), _MOST_NAMED
    )
    return f"this folder holds no such {noun}; it holds {listed}"


def _drawn(scope: Scope, theme: str, form: str, remarks: list[str], *, required: bool) -> dict[str, bytes]:
    layout: Form = "body" if form == ".pptx" else "slide"
    shown = [picture(scope, item, theme, layout) for item in exhibits(scope)]
    try:
        return render(shown, _DECK_SCALE if form == ".pptx" else 1.0)
    except RenderError as error:
        if required:
            raise ExportError(
                f"{error}; with --editable a deck of PowerPoint's own charts needs neither"
            ) from None
        remarks.append(f"written without pictures: {error}")
        return {}


def _bound(
    scope: Scope,
    drawn: dict[str, bytes],
    theme: str,
    form: str,
    *,
    editable: bool,
) -> bytes:
    if form == ".zip":
        return archive(scope, drawn, theme)
    from dashboard.export.deck import deck

    return deck(scope, drawn, theme, editable=editable)
