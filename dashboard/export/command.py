"""`python -m dashboard export`: the same files as the export menu, without a browser session."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
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
from dashboard.results.one_model import one_model
from dashboard.results.results import Results
from dashboard.results.scope import Scope
from dashboard.results.selection import EVERYTHING, Selection
from dashboard.style import formats
from dashboard.style.theme import SURFACES
from dashboard.views import option_keys, registry
from evaluator.support.suggestions import did_you_mean

FORMATS = (".pptx", ".pdf", ".html", ".zip", ".md")
#: Formats that are slides, and so need pictures.
_SLIDES = (".pptx", ".pdf")
_DECK_SCALE = 1.5
#: How many names an error lists; nouns for link keys that are not plain words.
_MOST_NAMED = 8
_NOUNS = {
    "quant": "quant type",
    "domain": "text domain",
    **dict.fromkeys(("only", "pick", "a", "b"), "variant"),
}
#: A link's key for the results folder; here the folder is an argument.
_FOLDER_KEY = "results"


class ExportError(Exception):
    """A request that cannot be fulfilled; the message is one line."""


def export(
    folder: Path, out: Path, query: str = "", theme: str = "light", *, editable: bool = False
) -> list[str]:
    """Write the part of a results folder selected by `query` to `out`; return remarks for the user.

    The suffix of `out` gives the format. Pictures need the extra `slides`. Without it, a ZIP has data and
    reports only, a PDF is refused, and so is a deck unless `editable` asks for PowerPoint's own charts.

    Raises:
        ExportError: suffix, theme or query is unknown, pictures are missing, or the file cannot be written.
        ResultsError: the folder cannot be shown.

    """
    form = out.suffix.lower()
    if form not in FORMATS:
        raise ExportError(f"{out}: the name must end in one of {', '.join(FORMATS)}")
    if theme not in SURFACES:
        raise ExportError(f"--theme {theme}: must be one of {', '.join(SURFACES)}")
    try:
        fits = not out.is_dir() and out.absolute().parent.is_dir()
    except OSError as error:
        raise ExportError(f"{out}: cannot be accessed: {error.strerror or error}") from None
    if not fits:
        raise ExportError(f"{out}: cannot be written: its folder does not exist, or it is a folder itself")
    scope = _scope(query, Results.open(folder))
    remarks: list[str] = []
    if scope.frame.is_empty():
        remarks.append(f"no variant matches --select {query!r}; the file says so instead of showing charts")
    if form == ".html":
        body = document(scope, theme).encode()
    elif form == ".md":
        body = report(scope).encode()
    else:
        needed = form == ".pdf" or (form == ".pptx" and not editable)
        pictures = _pictures(scope, theme, form, remarks, required=needed)
        body = _pack(scope, pictures, theme, form, editable=editable)
    try:
        out.write_bytes(body)
    except OSError as error:
        raise ExportError(f"{out}: cannot be written: {error.strerror}") from None
    return remarks


def _scope(query: str, whole: Results) -> Scope:
    """Return what a query selects: of several models the one that would be shown, else the one that has all values.

    Raises:
        ExportError: the folder does not have a value, or the model does not that would be shown.

    """
    selection = _selection(query, whole)
    part, shown = one_model(selection, whole)
    lacking = _lacking(query, part)
    if not lacking:
        return Scope(part, shown)
    fitting = [model for model in whole.models if not _lacking(query, whole.of_model(model))]
    if len(fitting) == 1:
        return Scope(*one_model(replace(selection, models=frozenset(fitting)), whole))
    key, value = lacking[0]
    having = [model for model in whole.models if value in (values(whole.of_model(model), key) or ())]
    raise ExportError(
        f"--select: {key}={value}: {formats.listing(part.models)} has no such {_NOUNS.get(key, key)}; "
        f"models that have it: {formats.listing(having, _MOST_NAMED)}"
    )


def _pairs(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query.removeprefix("?"), keep_blank_values=True)


def _lacking(query: str, results: Results) -> list[tuple[str, str]]:
    """Return the keys and values of a query that need the folder to have them, and that it does not have."""
    return [
        (key, value)
        for key, value in _pairs(query)
        if (has := values(results, key)) is not None and value not in has
    ]


def _selection(query: str, results: Results) -> Selection:
    """Read a query strictly; ignoring unknown parts, as a page does, would silently export the wrong selection."""
    keys = option_keys()
    choices = {option.key: dict(option.choices) for view in registry() for option in view.options}
    for key, value in _pairs(query):
        pair = urlencode({key: value})
        if key in choices and value not in choices[key]:
            raise ExportError(f"--select: {key}={value}: must be one of {', '.join(choices[key])}")
        if key != _FOLDER_KEY and Selection.from_query(pair, keys) == EVERYTHING:
            raise ExportError(f"--select: {key}={value} is not part of any dashboard link")
        if problem := problems(Selection.from_query(pair, keys)).get(key):
            raise ExportError(f"--select: {key}={value}: {problem}")
    for key, value in _lacking(query, results):
        raise ExportError(f"--select: {key}={value}: {_instead(key, value, values(results, key) or ())}")
    return Selection.from_query(query, keys)


def _instead(key: str, value: str, in_folder: Collection[str]) -> str:
    """Return the end of an error: the value that was probably meant, else the folder's values."""
    noun = _NOUNS.get(key, key)
    if not in_folder:
        return f"this folder has no {noun}"
    if near := did_you_mean(value, sorted(in_folder)):
        return f"this folder has no such {noun}{near}"
    listed = formats.listing(
        sorted(in_folder, key=lambda name: int(name) if key == "layer" else name), _MOST_NAMED
    )
    return f"this folder has no such {noun}; it has {listed}"


def _pictures(scope: Scope, theme: str, form: str, remarks: list[str], *, required: bool) -> dict[str, bytes]:
    layout: Form = "body" if form in _SLIDES else "slide"
    shown = [picture(scope, item, theme, layout) for item in exhibits(scope)]
    try:
        return render(shown, _DECK_SCALE if form == ".pptx" else 1.0, "svg" if form == ".pdf" else "png")
    except RenderError as error:
        if required:
            raise ExportError(
                f"{error}; a deck (.pptx) with --editable has PowerPoint's own charts, which need neither"
            ) from None
        remarks.append(f"written without pictures: {error}")
        return {}


def _pack(
    scope: Scope,
    pictures: dict[str, bytes],
    theme: str,
    form: str,
    *,
    editable: bool,
) -> bytes:
    if form == ".zip":
        return archive(scope, pictures, theme)
    if form == ".pdf":
        from dashboard.export.vector import deck_pdf

        return deck_pdf(scope, pictures, theme)
    from dashboard.export.deck import deck

    return deck(scope, pictures, theme, editable=editable)
