"""The export menu's routes: figures for the browser to draw, files to save, and decks and ZIPs of drawn pictures.

Each takes the screen's query, so it exports what is selected.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import get_args

from flask import Flask, Request, Response, request
from plotly.utils import PlotlyJSONEncoder
from werkzeug.exceptions import HTTPException

from dashboard.export.archive import archive
from dashboard.export.data import FRAMES, DataFormat, encode
from dashboard.export.document import document
from dashboard.export.exhibit import Exhibit, exhibit, exhibits
from dashboard.export.markdown import report
from dashboard.export.slide import Form, picture
from dashboard.export.svg import SvgError
from dashboard.export.uploads import MOST_IN_ALL, UploadError, drawings, pictures, require_same_origin
from dashboard.results.folder import ResultsError
from dashboard.results.library import Library
from dashboard.results.one_model import one_model
from dashboard.results.scope import Scope
from dashboard.shell.address import Address
from dashboard.shell.naming import file_stem, model_name
from dashboard.style.theme import SURFACES
from dashboard.views import View, charts

PREFIX = "/export"
#: Query keys that these routes add to the screen's; no view may have an option with such a name.
OWN_KEYS = _THEME, _LAYOUT, _EDITABLE = ("theme", "layout", "editable")
_TYPES = {
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "md": "text/markdown",
    "html": "text/html",
    "zip": "application/zip",
    "pdf": "application/pdf",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}


def register_exports(server: Flask, library: Library) -> None:
    """Add the routes under `/export/` to the server."""

    def shown() -> Scope:
        address = Address.parse("/", request.query_string.decode("utf-8", "replace"))
        return Scope(*one_model(address.selection, library.at(address.folder)))

    def one_picture(slug: str) -> Response:
        scope = shown()
        return _pictures(scope, [exhibit(scope, _view(slug))])

    def all_pictures() -> Response:
        scope = shown()
        return _pictures(scope, exhibits(scope))

    def slides() -> Response:
        from dashboard.export.slides import presented  # here, because it loads python-pptx

        body = json.dumps(presented(shown(), _theme()), cls=PlotlyJSONEncoder)
        return Response(body, mimetype="application/json")

    def data(slug: str, form: str) -> Response:
        scope = shown()
        for offered in get_args(DataFormat):
            if form == offered:
                frame = FRAMES[slug] if slug in FRAMES else _view(slug).data
                body = encode(frame(scope), offered)
                return _file(body, file_stem(scope, slug), form)
        raise UploadError(f"{form[:20]!r} is not a data format; use csv or parquet", 404)

    def page() -> Response:
        scope = shown()
        return _file(
            document(scope, _theme()),
            file_stem(scope, "report"),
            "html",
        )

    def markdown() -> Response:
        scope = shown()
        return _file(report(scope), file_stem(scope, "report"), "md")

    def made_of_pictures(make: Callable[..., bytes], form: str) -> Response:
        sent = _sent(drawings if form == "pdf" else pictures)
        scope = shown()
        editable = form == "pptx" and request.args.get(_EDITABLE) == "1"
        body = make(scope, sent, _theme(), **({"editable": True} if editable else {}))
        return _file(body, file_stem(scope, "comparison-editable" if editable else "comparison"), form)

    def one_pdf() -> Response:
        from dashboard.export.vector import picture_pdf

        (slug, svg), *_ = _sent(drawings).items()
        scope = shown()
        title = f"{model_name(scope)}: {_view(slug).titled(scope)}"
        return _file(picture_pdf(slug, svg, title), file_stem(scope, slug), "pdf")

    gets: dict[str, Callable[..., Response]] = {
        "/picture/<slug>": one_picture,
        "/pictures": all_pictures,
        "/slides": slides,
        "/data/<slug>.<form>": data,
        "/report.html": page,
        "/report.md": markdown,
    }
    for path, function in gets.items():
        server.add_url_rule(PREFIX + path, f"export {path}", _guarded(function), methods=["GET"])
    server.add_url_rule(f"{PREFIX}/picture.pdf", "export picture", _guarded(one_pdf), methods=["POST"])
    for form, make in (("pptx", _deck), ("pdf", _deck_pdf), ("zip", archive)):
        function = _guarded(lambda make=make, form=form: made_of_pictures(make, form))
        server.add_url_rule(f"{PREFIX}/comparison.{form}", f"export {form}", function, methods=["POST"])


def _guarded(answer: Callable[..., Response]) -> Callable[..., Response]:
    """Turn errors into responses with one line of text."""

    @wraps(answer)
    def guarded(**parts: str) -> Response:
        try:
            return answer(**parts)
        except UploadError as error:
            return Response(str(error), error.status, mimetype="text/plain")
        except SvgError as error:
            return Response(f"a drawing {error}", 400, mimetype="text/plain")
        except ResultsError as error:
            return Response(str(error), 409, mimetype="text/plain")
        except HTTPException as error:
            return Response(error.description or error.name, error.code or 400, mimetype="text/plain")

    return guarded


def _deck(scope: Scope, pngs: dict[str, bytes], theme: str, **options: bool) -> bytes:
    from dashboard.export.deck import deck

    return deck(scope, pngs, theme, **options)


def _deck_pdf(scope: Scope, svgs: dict[str, bytes], theme: str) -> bytes:
    from dashboard.export.vector import deck_pdf

    return deck_pdf(scope, svgs, theme)


def _sent(read: Callable[[Request], dict[str, bytes]]) -> dict[str, bytes]:
    """Read the pictures of a request from the dashboard's own page."""
    request.max_content_length = MOST_IN_ALL
    require_same_origin(request)
    return read(request)


def _pictures(scope: Scope, shown: list[Exhibit]) -> Response:
    form: Form = "body" if request.args.get(_LAYOUT) == "body" else "slide"
    laid_out = [picture(scope, item, _theme(), form) for item in shown]
    body = [
        {
            "slug": item.slug,
            "filename": item.stem,
            "title": exhibited.title,
            "width": item.width,
            "height": item.height,
            "scale": item.scale,
            "figure": item.figure,
        }
        for item, exhibited in zip(laid_out, shown, strict=True)
    ]
    return Response(json.dumps(body, cls=PlotlyJSONEncoder), mimetype="application/json")


def _view(slug: str) -> View:
    view = next((view for view in charts() if view.id == slug), None)
    if view is None:
        raise UploadError(f"there is no view {slug[:40]!r}", 404)
    return view


def _theme() -> str:
    name = request.args.get(_THEME, "")
    return name if name in SURFACES else next(iter(SURFACES))


def _file(body: bytes | str, stem: str, form: str) -> Response:
    response = Response(body, mimetype=_TYPES[form])
    response.headers["Content-Disposition"] = f'attachment; filename="{stem}.{form}"'
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
