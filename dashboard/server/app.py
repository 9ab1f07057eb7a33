"""Creates the Dash application for the results folders that are served."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path
from string import Template
from urllib.parse import quote

from dash import Dash
from flask import Flask, Response, request

from dashboard.export.routes import register_exports
from dashboard.local.routes import Local, register_local
from dashboard.results.folder import EmptyRunError
from dashboard.results.library import Library
from dashboard.server.serving import BOOTSTRAP, PLOTLY, serve_bootstrap, serve_plotly
from dashboard.shell.answer_targets import TARGETS
from dashboard.shell.callbacks import register_callbacks, screen
from dashboard.shell.layout import GRAPH_CONFIG, shell
from dashboard.shell.paths import assets_folder
from dashboard.shell.script_data import script_data
from dashboard.style.theme import templates
from dashboard.views import charts

#: An answer is drawn before Dash has carried it to the components.
_RENDERER = "var renderer = new DashRenderer({ request_post: window.plot.answered });"
#: What stands in a `template` does not run by itself: boot.js runs what the page needs of it.
_INDEX = Template("""<!DOCTYPE html>
<html lang="en">
  <head>
    {%metas%}
    <title>Quantization comparison</title>
    <link rel="icon" href="data:image/svg+xml,$icon">
    <script src="/assets/boot.js"></script>
    {%css%}
  </head>
  <body>
    <div id="first-page" class="first-page shell" inert aria-hidden="true">
      <header class="toolbar">
        <a class="product"><span class="mark"></span><span>Quantization comparison</span></a>
        <div class="tools"><a class="tool">?</a></div>
      </header>
      <nav><div class="tabs"><a class="view-tab">Overview</a></div></nav>
      <div class="workspace">
        <aside class="panel filters"></aside>
        <main><div class="stage shows-body">
          <div class="stage-head">
            <div class="stage-above"><p class="eyebrow"></p><div class="options"></div></div>
            <h1 class="title"></h1>
            <p class="unknown"></p>
            <p class="picked"></p>
          </div>
          <div class="canvas"><div class="graph graph-place"></div></div>
          <p class="caption"></p>
        </div></main>
        <aside class="panel insights-panel"></aside>
      </div>
      <footer class="status"><div class="facts">…</div></footer>
    </div>
    {%app_entry%}
    <div id="lost" class="lost" role="alert" hidden>
      The server does not answer. Is it still running? <button type="button" class="tool">Try again</button>
    </div>
    <script type="application/json" id="plot-settings">$settings</script>
    <script src="/assets/address.js"></script>
    <script src="/assets/labels.js"></script>
    <script src="/assets/narrow.js"></script>
    <script src="/assets/room.js"></script>
    <script src="/assets/plot.js"></script>
    {%config%}
    <template id="dash-scripts">{%scripts%}{%renderer%}</template>
  </body>
</html>""")

_DRAWN_FIRST = ("stage", "eyebrow", "options", "title", "unknown", "picked", "caption", "drawing")


def create_app(*folders: Path, local: Local | None = None) -> Dash:
    """Build the application; nothing is served yet, and nothing it serves lies off this machine.

    Args:
        folders: results folders, at least one; the first is shown unless an address names another.
        local: what the screen may do on this machine; by default it only shows.

    Raises:
        ResultsError: a folder cannot be shown.

    """
    library = Library(folders)
    for name in library.names:
        with suppress(EmptyRunError):
            library.at(name)
    app = Dash(
        "dashboard",
        update_title="",
        assets_folder=str(assets_folder()),
        assets_ignore=r"^(boot|address|labels|narrow|plot|room)\.js$",
        external_stylesheets=[BOOTSTRAP],
        index_string=_index(),
        serve_locally=True,
        add_log_handler=False,
        suppress_callback_exceptions=True,
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
    )
    measures = local is not None and local.runner is not None
    app.layout = partial(shell, opens=local is not None, measures=measures)
    app.renderer = _RENDERER
    serve_bootstrap(app.server)
    serve_plotly(app.server)
    register_exports(app.server, library)
    register_callbacks(app, library, measures=measures)
    if local is not None:
        register_local(app.server, library, local)
    _serve_first_drawing(app.server, library)
    return app


def _serve_first_drawing(server: Flask, library: Library) -> None:
    """Serve what a page draws to its script, which does not wait for Dash to ask, in the form of Dash's answers."""

    def first_drawing(path: str = "") -> Response:
        answer = screen(library, f"/{path}", f"?{request.query_string.decode('latin-1')}", {})
        parts = _DRAWN_FIRST if "drawing" in answer else ()
        shown = {name: {TARGETS[name][1]: answer[name]} for name in parts}
        return Response(script_data(shown), mimetype="application/json")

    for rule in ("/first-drawing/", "/first-drawing/<path:path>"):
        server.add_url_rule(rule, view_func=first_drawing)


def _index() -> str:
    """Return the page, with the places that Dash fills."""
    # Inside the page: browsers fetch an icon anew at every change of the address.
    icon = quote((assets_folder() / "icon.svg").read_text("utf-8"))
    settings = {"templates": templates(), "config": GRAPH_CONFIG, "plotly": PLOTLY}
    settings["views"] = [view.id for view in charts()]
    settings["options"] = {
        option.key: {"name": option.name, "choices": dict(option.choices)}
        for view in charts()
        for option in view.options
    }
    return _INDEX.substitute(icon=icon, settings=script_data(settings))
