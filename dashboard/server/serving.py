"""Which files are served, under which names of this machine."""

from __future__ import annotations

from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import plotly
from flask import Flask, Response, abort, request, send_file, send_from_directory

from dashboard.figures.slim_plotly import slim_file

BOOTSTRAP = "/vendor/bootstrap.min.css"
PLOTLY = "/vendor/plotly.min.js"
_YEAR = 31_536_000


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


def serve_plotly(server: Flask) -> None:
    """Serve the slim plotly.js, or plotly.py's own where there is none."""
    file = slim_file() or Path(plotly.__file__).with_name("package_data") / "plotly.min.js"

    def plotly_js() -> Response:
        return send_file(file, mimetype="text/javascript")

    server.add_url_rule(PLOTLY, view_func=plotly_js)


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
