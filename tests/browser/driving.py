"""Serving the dashboard to a browser, and watching what the page does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, ConsoleMessage, Page, Request
from werkzeug.serving import make_server

from dashboard.app import create_app


@dataclass
class Watched:
    """A page, and what it asked for and complained about."""

    page: Page
    base: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def updates(self) -> int:
        return sum("_dash-update-component" in url for url in self.requests)

    def foreign(self) -> list[str]:
        return [url for url in self.requests if not url.startswith((self.base, "data:", "blob:"))]

    def open(self, path: str) -> None:
        self.page.goto(self.base + path)
        self.page.wait_for_selector("#title:not(:empty)")

    def settle(self) -> None:
        """Long enough for a second request, were there one."""
        self.page.wait_for_timeout(350)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, create_app(folder).server, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def watched(browser: Browser, base: str, width: int = 1280, height: int = 720) -> Iterator[Watched]:
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme="light")
    page = context.new_page()
    seen = Watched(page, base)

    def on_console(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            seen.complaints.append(message.text)

    def on_request(request: Request) -> None:
        seen.requests.append(request.url)

    page.on("console", on_console)
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on("request", on_request)
    yield seen
    context.close()
