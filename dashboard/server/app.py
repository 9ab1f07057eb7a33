"""Creates the Dash application for the results folders that are served."""

from __future__ import annotations

import sys
from pathlib import Path

from dash import Dash

from dashboard.export.routes import register_exports
from dashboard.figures.slim_plotly import slim_file
from dashboard.results.folder import EmptyRunError
from dashboard.results.library import Library
from dashboard.server.first_page import PATIENCE, FirstPage
from dashboard.server.paths import assets_folder
from dashboard.server.scripts import OWN, LighterDash
from dashboard.server.serving import BOOTSTRAP, pack_responses, serve_bootstrap, serve_plotly
from dashboard.shell.callbacks import draw_ahead, register_callbacks, screen
from dashboard.shell.page_cache import PageCache

#: Seconds that a computing thread keeps the interpreter from another one.
_GIVE_WAY = 0.0005
#: An answer is drawn before Dash has carried it to the components.
_RENDERER = "var renderer = new DashRenderer({ request_post: window.plot.answered });"
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
    <div id="lost" class="lost" role="alert" hidden>
      The server does not answer. Is it still running? <button type="button" class="tool">Try again</button>
    </div>
    <div>
      {%config%}{%scripts%}{%renderer%}
    </div>
  </body>
</html>"""


def create_app(*folders: Path, ahead: bool = False, patience: float = PATIENCE) -> Dash:
    """Build the application; nothing is served yet, and nothing it serves lies off this machine.

    Args:
        folders: results folders, at least one; the first is shown unless an address names another.
        ahead: draw the first folder's pages in a thread, before anybody asks for them.
        patience: seconds that the HTML of a page waits for what the page shows; later, Dash brings that.

    Raises:
        ResultsError: a folder cannot be shown.

    """
    # What is computed ahead in threads gives way at once to an answer that somebody waits for.
    sys.setswitchinterval(_GIVE_WAY)
    library = Library(folders)
    models = [model for name in library.names if (model := _model(library, name))]
    slim = slim_file()
    pages = PageCache()
    app = LighterDash(
        "dashboard",
        title=f"{models[0] if models else 'Quantization comparison'} · quantization comparison",
        update_title="",
        assets_folder=str(assets_folder()),
        assets_ignore=OWN,
        external_stylesheets=[BOOTSTRAP],
        index_string=_INDEX,
        first_page=FirstPage(lambda path, query: screen(library, path, query, {}, pages), patience),
        serve_locally=True,
        add_log_handler=False,
        suppress_callback_exceptions=True,
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
    )
    app.renderer = _RENDERER
    serve_bootstrap(app.server)
    if slim is not None:
        serve_plotly(app.server, slim)
    pack_responses(app.server)
    register_exports(app.server, library)
    register_callbacks(app, library, pages)
    if ahead:
        draw_ahead(library, pages)
    return app


def _model(library: Library, name: str) -> str:
    """Return a folder's model; of a run that has finished nothing yet too."""
    try:
        return library.at(name).manifest.model
    except EmptyRunError as error:
        return error.manifest.model
