"""Which scripts a page runs, and in which order: those of its first plot, then Dash's, and no others."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dash import Dash
from flask import has_request_context, request
from markupsafe import Markup, escape

from dashboard.server.first_page import FirstPage
from dashboard.server.serving import PLOTLY
from dashboard.shell.address import EXPLORE, Address
from dashboard.views import registry

#: Run before Dash, in this order.
FIRST = ("address.js", "plot.js", "start.js")
ICON = "icon.svg"
#: Assets that are put into the page here, not by Dash.
OWN = rf"^({'|'.join(map(re.escape, ('boot-theme.js', *FIRST)))}|.*\.css)$"
_TAG = re.compile(r'<script src="(?P<source>[^"]+)"></script>\s*')
_RENDERER = '<script id="_dash-renderer" type="application/javascript">'
#: Where a part of the page goes.
_PLACE = re.compile(r"{%(\w+)%}")
#: Stands in for what browsers since 2018 have: they leave it out, older ones load it.
_POLYFILL = "/dash/deps/polyfill@"
#: Of a component that no page has.
_UNUSED = "/dash/dash_table/"
#: Of the table on the page Explore; the shell fetches it when the browser is idle, or when that page is called for.
_TABLE = "/dash_ag_grid/"


class LighterDash(Dash):  # type: ignore[misc]  # Dash has no types
    """A Dash whose pages show, and draw, what they hold before Dash's own scripts run."""

    def __init__(self, *arguments: Any, first_page: FirstPage, **settings: Any) -> None:
        """Take Dash's arguments, and where first pages come from."""
        super().__init__(*arguments, **settings)
        self._first_page = first_page
        # Inside the page: browsers fetch an icon anew at every change of the address.
        icon = base64.b64encode(Path(self.config.assets_folder, ICON).read_bytes()).decode("ascii")
        self._icon = f'<link rel="icon" href="data:image/svg+xml;base64,{icon}">'
        self.layout = first_page.layout

    def interpolate_index(self, **parts: str) -> str:
        """Return the page's HTML from its parts, see Dash; the title is text, not HTML."""
        path, query = "/", ""
        if has_request_context():
            path = request.path
            query = f"?{request.query_string.decode('latin-1')}" if request.query_string else ""
        slug = Address.parse(path, query).slug
        scripts = lighter(parts["scripts"], has_table=slug == EXPLORE)
        draws = slug in {view.id for view in registry()}
        early = [_early_plotly()] if draws else []
        own = [f'<script src="{self._own(name)}"></script>' for name in FIRST]
        return put_together(
            self.index_string,
            parts
            | {
                "title": escape(parts["title"]),
                "css": "\n".join([*early, parts["css"], self._styles()]),
                "favicon": self._icon,
                "app_entry": self._first_page.html(path, query) + Markup(parts["app_entry"]),  # noqa: S704  # Dash's
                "scripts": scripts,
                "renderer": "\n".join([later(parts["renderer"]), *own, *preloads(scripts)]),
            },
        )

    def _styles(self) -> str:
        """Return our style sheets, in the order of their names, inside the page: so small, and so many."""
        sheets = sorted(Path(self.config.assets_folder).glob("*.css"))
        return f"<style>{''.join(sheet.read_text('utf-8') for sheet in sheets)}</style>"

    def _own(self, name: str) -> str:
        """Return the address of a file of ours, with its time of change: browsers may keep it for good."""
        changed = Path(self.config.assets_folder, name).stat().st_mtime
        return f"{self.get_asset_url(name)}?m={changed}"


def put_together(template: str, parts: Mapping[str, str]) -> str:
    """Fill the places of a template; what looks like a place inside a part, such as a name, stays as it is."""
    return _PLACE.sub(lambda place: parts[place[1]], template)


def lighter(scripts: str, *, has_table: bool) -> str:
    """Return Dash's script tags as those that `start.js` runs, without what a page does not need, or not yet."""

    def replaced(tag: re.Match[str]) -> str:
        source = tag["source"]
        if _POLYFILL in source:
            return f'<script nomodule type="text/later" src="{source}"></script>\n'
        if _UNUSED in source:
            return ""
        if _TABLE in source and not has_table:
            return f'<script type="text/plain" id="table-script" data-src="{source}"></script>\n'
        return f'<script type="text/later" src="{source}"></script>\n'

    return _TAG.sub(replaced, scripts)


def later(renderer: str) -> str:
    """Return the tag that starts Dash as one that `start.js` runs."""
    return renderer.replace(_RENDERER, _RENDERER.replace("application/javascript", "text/later"))


def preloads(scripts: str) -> list[str]:
    """Let the browser fetch now what runs later."""
    sources = re.findall(r'<script type="text/later" src="([^"]+)">', scripts)
    return [f'<link rel="preload" as="script" href="{source}">' for source in sources]


def _early_plotly() -> str:
    # What happened before anybody listened is kept on the element.
    ended = "this.dataset.failed = window.Plotly ? '' : 'yes'"
    return (
        f'<script id="plotly" src="{escape(PLOTLY)}" async fetchpriority="high" onload="{ended}" onerror="{ended}">'
        "</script>"
    )
