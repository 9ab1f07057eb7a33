"""How files and answers travel: compressed once, kept by the browser, and none from another machine."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from flask import Flask, Response, abort, request, send_file, send_from_directory

BOOTSTRAP = "/vendor/bootstrap.min.css"
#: Where pages ask for plotly.js.
PLOTLY = "/_dash-component-suites/plotly/package_data/plotly.min.js"
_YEAR = 31_536_000
_PACKED_TYPES = ("text/", "application/json", "application/javascript", "image/svg")
_WORTH_PACKING = 1_000
_LARGE = 1_000_000
_LEVEL = 5
_THIS_MACHINE = ("127.0.0.1", "::1")


def serve_bootstrap(server: Flask) -> None:
    """Serve Bootstrap's stylesheet from the package that carries it, without importing that package."""
    spec = find_spec("flask_bootstrap")
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    folder = (
        Path(places[0], "static", "bootstrap5", "css") if places else Path("bootstrap-flask is not installed")
    )

    def bootstrap() -> Response:
        return send_from_directory(folder, "bootstrap.min.css", max_age=_YEAR)

    server.add_url_rule(BOOTSTRAP, view_func=bootstrap)


def serve_plotly(server: Flask, slim: Path) -> None:
    """Serve the slim plotly.js in the place of the stock one."""

    def plotly() -> Response:
        return send_file(slim, mimetype="text/javascript")

    server.add_url_rule(PLOTLY, view_func=plotly)


def pack_responses(server: Flask) -> None:
    """Compress answers for browsers that take gzip; a file is compressed once and kept in memory.

    A browser on this machine never waits for that: it gets a large file as it is, which is packed meanwhile
    for the next time. Assets carry their time of change in the address, so browsers may keep them for good.
    """
    packed: dict[tuple[str, str], bytes] = {}

    def pack_file(key: tuple[str, str], body: bytes) -> bytes:
        packed[key] = gzip.compress(body, _LEVEL)
        return packed[key]

    def pack(response: Response) -> Response:
        if request.path.startswith("/assets/") and "m" in request.args:
            response.headers["Cache-Control"] = f"public, max-age={_YEAR}, immutable"
        if not _worth_packing(response):
            return response
        response.direct_passthrough = False
        body = response.get_data()
        if len(body) < _WORTH_PACKING:
            return response
        tag, _ = response.get_etag()
        is_file = bool(tag) or request.path.startswith("/_dash-component-suites/")
        key = (request.path, tag or "")
        small = packed.get(key) if is_file else gzip.compress(body, _LEVEL)
        if small is None and len(body) > _LARGE and request.remote_addr in _THIS_MACHINE:
            threading.Thread(target=pack_file, args=(key, body), daemon=True).start()
            return response
        response.set_data(small if small is not None else pack_file(key, body))
        response.headers["Content-Encoding"] = "gzip"
        response.headers.add("Vary", "Accept-Encoding")
        return response

    server.after_request(pack)


def answer_only_as(server: Flask, names: Collection[str]) -> None:
    """Answer with status 400 whatever is asked for under another name than `names`, of hosts without a port.

    Flask has a setting for that, but none of the names in it can be an address of version 6.
    """

    def refuse_others() -> None:
        try:
            asked = urlsplit(f"//{request.host}").hostname
        except ValueError:
            asked = None
        if asked not in names:
            abort(400)

    server.before_request(refuse_others)


def _worth_packing(response: Response) -> bool:
    return (
        response.status_code == 200
        and "gzip" in request.headers.get("Accept-Encoding", "").lower()
        and "Content-Encoding" not in response.headers
        and "Content-Range" not in response.headers
        and response.content_type.startswith(_PACKED_TYPES)
    )
