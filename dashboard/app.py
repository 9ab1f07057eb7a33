"""Creates the Dash application for the results folders that are served."""

from __future__ import annotations

import json
from pathlib import Path

from dash import Dash

from dashboard.callbacks import register_callbacks
from dashboard.export.routes import register_exports
from dashboard.layout import shell
from dashboard.library import Library
from dashboard.opening import EmptyRunError
from dashboard.paths import assets_folder
from dashboard.serving import BOOTSTRAP, PLOTLY, pack_responses, serve_bootstrap, serve_plotly
from dashboard.views import registry

_INDEX = """<!DOCTYPE html>
<html lang="en">
  <head>
    {%metas%}
    <title>{%title%}</title>
    {%favicon%}
    <script src="/assets/boot-theme.js"></script>
    <script>
      /* A page that draws fetches and parses plotly.js beside Dash's own files, not after them. */
      if (PLOTTING.includes(location.pathname.replace(/^\\/+|\\/+$/g, "").toLowerCase())) {
        document.head.append(Object.assign(document.createElement("script"), { id: "plotly", src: "PLOTLY" }));
      }
    </script>
    {%css%}
  </head>
  <body>
    {%app_entry%}
    <div>{%config%}{%scripts%}{%renderer%}</div>
  </body>
</html>"""


def create_app(*folders: Path) -> Dash:
    """Build the application; nothing is served yet, and nothing it serves lies off this machine.

    Args:
        folders: results folders, at least one; the first is shown unless an address names another.

    Raises:
        ResultsError: a folder cannot be shown.

    """
    library = Library(folders)
    models = [model for name in library.names if (model := _model(library, name))]
    app = Dash(
        "dashboard",
        title=f"{models[0] if models else 'Quantization comparison'} · quantization comparison",
        update_title="",
        assets_folder=str(assets_folder()),
        assets_ignore="boot-.*",
        external_stylesheets=[BOOTSTRAP],
        index_string=_INDEX.replace("PLOTTING", json.dumps([view.id for view in registry()])).replace(
            "PLOTLY", PLOTLY
        ),
        serve_locally=True,
        add_log_handler=False,
        suppress_callback_exceptions=True,
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
    )
    serve_bootstrap(app.server)
    serve_plotly(app.server)
    pack_responses(app.server)
    register_exports(app.server, library)
    app.layout = shell()
    register_callbacks(app, library)
    return app


def _model(library: Library, name: str) -> str:
    """Return a folder's model; of a run that has finished nothing yet too."""
    try:
        return library.at(name).manifest.model
    except EmptyRunError as error:
        return error.manifest.model
