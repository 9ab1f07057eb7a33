"""One HTML file that works offline: every view with hover, zoom and legend, and all texts."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, Template, select_autoescape
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from dashboard.export.exhibit import Exhibit, exhibits
from dashboard.export.findings import findings
from dashboard.export.provenance import facts, footer
from dashboard.figures.slim_plotly import slim_file
from dashboard.insights.summary import rules
from dashboard.results.scope import Scope
from dashboard.shell.layout import GRAPH_CONFIG
from dashboard.shell.naming import model_name
from dashboard.shell.paths import assets_folder
from dashboard.shell.script_data import script_data
from dashboard.style.glossary import TERMS
from dashboard.style.theme import SURFACES, templates

_TEMPLATE = "document.html"
#: The page's own scripts that fit a chart to a narrow window.
_SCRIPTS = ("narrow.js", "labels.js")


def document(scope: Scope, theme: str = "light") -> str:
    """Return the page; it starts in `theme` and has a button for the other."""
    shown = exhibits(scope)
    plots = {item.slug: _plot(item) for item in shown if not item.reason}
    return _page().render(
        model=model_name(scope),
        words=findings(scope),
        exhibits=shown,
        rules=rules(scope),
        facts=facts(scope),
        footer=footer(scope),
        terms=TERMS,
        theme=theme,
        surfaces=SURFACES,
        plotly=Markup(_script(_plotly())),  # noqa: S704  # the package's own code
        scripts=Markup(_script(_scripts())),  # noqa: S704  # the package's own code
        plots=script_data(plots),
        templates=script_data(templates()),
        config=script_data({**GRAPH_CONFIG, "responsive": True}),
    )


def _plot(shown: Exhibit) -> dict[str, object]:
    figure: dict[str, object] = shown.figure.to_plotly_json()
    return {"data": figure["data"], "layout": {**figure["layout"], "autosize": True}}  # type: ignore[dict-item]


def _plotly() -> str:
    slim = slim_file()
    return slim.read_text("utf-8") if slim else str(get_plotlyjs())


def _scripts() -> str:
    return "".join((assets_folder() / name).read_text("utf-8") for name in _SCRIPTS)


def _script(code: str) -> str:
    return code.replace("</script", "<\\/script")


@cache
def _page() -> Template:
    loader = FileSystemLoader(Path(__file__).parent)
    return Environment(loader=loader, autoescape=select_autoescape(["html"])).get_template(_TEMPLATE)
