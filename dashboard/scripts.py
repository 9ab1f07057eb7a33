"""Which of Dash's scripts a page waits for: those that its first plot needs."""

from __future__ import annotations

import re

from dash import Dash
from flask import has_request_context, request

from dashboard.address import EXPLORE

_TAG = re.compile(r'<script src="(?P<source>[^"]+)"></script>\s*')
#: Stands in for what browsers since 2018 have: they leave it out, older ones load it.
_POLYFILL = "/dash/deps/polyfill@"
#: Of a component that no page has.
_UNUSED = "/dash/dash_table/"
#: Of the table on the page Explore; the shell fetches it when the browser is idle, or when that page is called for.
_TABLE = "/dash_ag_grid/"


class LighterDash(Dash):  # type: ignore[misc]  # Dash has no types
    """A Dash whose pages do not wait for scripts that they do not need."""

    def interpolate_index(self, **parts: str) -> str:
        """Return the page's HTML from its parts, see Dash."""
        path = request.path if has_request_context() else ""
        has_table = path.strip("/").lower() == EXPLORE
        page: str = super().interpolate_index(
            **parts | {"scripts": lighter(parts["scripts"], has_table=has_table)}
        )
        return page


def lighter(scripts: str, *, has_table: bool) -> str:
    """Return the script tags without those that a page of today's browsers does not run, or does not run yet."""

    def replaced(tag: re.Match[str]) -> str:
        source = tag["source"]
        if _POLYFILL in source:
            return f'<script nomodule src="{source}"></script>\n'
        if _UNUSED in source:
            return ""
        if _TABLE in source and not has_table:
            return f'<script type="text/plain" id="table-script" data-src="{source}"></script>\n'
        return tag[0]

    return _TAG.sub(replaced, scripts)
