"""The first page of a visit: its texts come with the HTML, its plot is drawn before Dash, and Dash begins with it.

So nobody looks at an empty shell while scripts load, and what Dash then builds in the place of the HTML asks for
nothing more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from dash.development.base_component import Component
from flask import has_request_context, request
from markupsafe import Markup

from dashboard.server.serving import PLOTLY
from dashboard.shell.answer_targets import fill
from dashboard.shell.layout import GRAPH_CONFIG, shell
from dashboard.shell.markup import markup, script_data
from dashboard.style.theme import templates

_LOG = logging.getLogger(__name__)
#: Seconds that the HTML waits for its page: longer, and the scripts had better load meanwhile.
PATIENCE = 0.25
_THREADS = 4
Answer = dict[str, Any]
#: From a path and a query to what they show.
Answerer = Callable[[str, str], Answer]


class FirstPage:
    """What an address shows, for the HTML and for the layout that Dash asks for after it."""

    def __init__(self, answer: Answerer, patience: float = PATIENCE) -> None:
        """Take answers from `answer`; the HTML waits `patience` seconds for one at most."""
        self._answer = answer
        self._patience = patience
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="first-page")

    def html(self, path: str, query: str) -> Markup:
        """Return what stands on the page before Dash does, and the plot's data; nothing where that takes too long."""
        data = _settings()
        answer = self._soon(path, query)
        if answer is None:
            return data
        page = markup(_filled(answer))
        copy = Markup('<div id="first-page" class="first-page" inert aria-hidden="true">{}</div>').format(
            page
        )
        return copy + data + _data("first-drawing", answer.get("drawing"))

    def layout(self) -> Component:
        """Return the shell, filled with what the page shows that asks for it."""
        asking = urlsplit(request.referrer or "") if has_request_context() else None
        if asking is None or asking.netloc != request.host:
            return shell()
        query = f"?{asking.query}" if asking.query else ""
        answer = self._now(asking.path, query)
        if answer is None:
            return shell()
        page = _filled(answer)
        location = page["location"]
        location.pathname, location.search = asking.path, query
        return page

    def _soon(self, path: str, query: str) -> Answer | None:
        waiting: Future[Answer | None] = self._pool.submit(self._now, path, query)
        try:
            return waiting.result(self._patience)
        except TooLate:
            return None

    def _now(self, path: str, query: str) -> Answer | None:
        """Return the answer; None where it fails, because Dash then asks again and is told why."""
        try:
            return self._answer(path, query)
        except Exception:
            _LOG.exception("%s%s cannot be answered ahead", path, query)
            return None


def _filled(answer: Answer) -> Component:
    page = fill(shell(), answer)
    tab = next(
        (part for part in page["tabs"].children if part.id == f"tab-{answer['address']['slug']}"), None
    )
    if tab is not None:
        tab.className += " active"
        setattr(tab, "aria-selected", "true")
    return page


@cache
def _settings() -> Markup:
    """Return what every plot of the dashboard is drawn with, and the address of plotly.js."""
    return _data("plot-settings", {"templates": templates(), "config": GRAPH_CONFIG, "plotly": PLOTLY})


def _data(identity: str, value: Mapping[str, Any] | None) -> Markup:
    """Write an element that holds data for a script."""
    return Markup('<script type="application/json" id="{}">{}</script>').format(identity, script_data(value))
