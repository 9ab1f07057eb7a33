"""Creates the Dash application for one results folder."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from dash import Dash
from flask import Response, send_from_directory

from dashboard.callbacks import register_callbacks
from dashboard.layout import shell
from dashboard.paths import assets_folder
from dashboard.results import Results

_BOOTSTRAP = "/vendor/bootstrap.min.css"
_YEAR = 31_536_000
_INDEX = """<!DOCTYPE html>
<html lang="en">
  <head>
    {%metas%}
    <title>{%title%}</title>
    {%favicon%}
    <script src="/assets/boot-theme.js"></script>
    {%css%}
  </head>
  <body>
    {%app_entry%}
    <footer>{%config%}{%scripts%}{%renderer%}</footer>
  </body>
</html>"""


def create_app(results_folder: Path) -> Dash:
    """Build the application; nothing is served yet, and nothing it serves lies off this machine.

    Raises:
        ResultsError: the folder cannot be shown.

    """
    results = Results.open(results_folder)
    app = Dash(
        "dashboard",
        title=f"{results.manifest.model} · quantization comparison",
        update_title="",
        assets_folder=str(assets_folder()),
        assets_ignore="boot-.*",
        external_stylesheets=[_BOOTSTRAP],
        index_string=_INDEX,
        serve_locally=True,
        add_log_handler=False,
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
    )
    _serve_bootstrap(app)
    app.layout = shell(results)
    register_callbacks(app, results)
    return app


def _serve_bootstrap(app: Dash) -> None:
    """Serve Bootstrap's stylesheet from the package that carries it, without importing that package."""
    spec = find_spec("flask_bootstrap")
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    folder = (
        Path(places[0], "static", "bootstrap5", "css") if places else Path("bootstrap-flask is not installed")
    )

    def bootstrap() -> Response:
        return send_from_directory(folder, "bootstrap.min.css", max_age=_YEAR)

    app.server.add_url_rule(_BOOTSTRAP, view_func=bootstrap)
