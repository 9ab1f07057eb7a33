"""A local stand-in for the Hugging Face hub: listings, files with ranges, and its errors."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

_LISTING = re.compile(r"/api/(?:models|datasets)/(?P<repo>[^/]+/[^/]+)/revision/(?P<revision>[^/?]+)")
_FILE = re.compile(r"(?:/datasets)?/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<name>.+)")


@dataclass
class HubState:
    """The hub's content and behaviour.

    Attributes:
        endpoint: its address.
        repos: repository → file name → content.
        refusals: repository → (status, error code) of every response for it.
        cut: file name → number of bytes after which the connection is dropped, once.
        refused_files: file name → status of every response for it.
        branches: revisions that every repository has beside its commit.
        no_ranges: files that are sent whole whatever range is asked for.
        requests: (method, path, range header) of all requests.
        sent: (file name, bytes of the body) of all answers with a file.
        tokens: authorization headers, in the same order.
    """

    endpoint: str = ""
    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)
    refused_files: dict[str, int] = field(default_factory=dict)
    branches: set[str] = field(default_factory=lambda: {"main"})
    no_ranges: set[str] = field(default_factory=set)
    sent: list[tuple[str, int]] = field(default_factory=list)
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)

    def commit(self, repo: str) -> str:
        """Return a revision that changes with the content."""
        digest = hashlib.sha1()
        for name, data in sorted(self.repos[repo].items()):
            digest.update(name.encode() + data)
        return digest.hexdigest()

    def ranges(self, name: str) -> list[str | None]:
        """Return the range headers of a file's downloads."""
        return [
            asked for method, path, asked in self.requests if method == "GET" and path.endswith(f"/{name}")
        ]


@contextmanager
def hub_server() -> Iterator[HubState]:
    """Run a hub until the block ends."""
    state = HubState()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"state": state}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    state.endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    state: HubState
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        self.state.requests.append((self.command, path, self.headers.get("Range")))
        self.state.tokens.append(self.headers.get("Authorization"))
        if match := _LISTING.fullmatch(path):
            self._listing(match["repo"], match["revision"])
        elif match := _FILE.fullmatch(path):
            self._file(match["repo"], match["revision"], match["name"])
        else:
            self._send(404, {"X-Error-Code": "RepoNotFound"})

    def _refused(self, repo: str, revision: str) -> bool:
        if repo in self.state.refusals:
            status, code = self.state.refusals[repo]
            self._send(status, {"X-Error-Code": code} if code else {})
        elif repo not in self.state.repos:
            self._send(404, {"X-Error-Code": "RepoNotFound"})
        elif unquote(revision) not in {*self.state.branches, self.state.commit(repo)}:
            self._send(404, {"X-Error-Code": "RevisionNotFound"})
        else:
            return False
        return True

    def _listing(self, repo: str, revision: str) -> None:
        if self._refused(repo, revision):
            return
        siblings = [{"rfilename": name, "size": len(data)} for name, data in self.state.repos[repo].items()]
        body = {"id": repo, "sha": self.state.commit(repo), "siblings": siblings}
        self._send(200, {"Content-Type": "application/json"}, json.dumps(body).encode())

    def _file(self, repo: str, revision: str, name: str) -> None:
        if self._refused(repo, revision):
            return
        if name in self.state.refused_files:
            self._send(self.state.refused_files[name], {})
            return
        data = self.state.repos[repo].get(name)
        if data is None:
            self._send(404, {"X-Error-Code": "EntryNotFound"})
            return
        headers = {
            "X-Repo-Commit": self.state.commit(repo),
            "ETag": f'"{hashlib.sha256(data).hexdigest()}"',
            "Accept-Ranges": "bytes",
        }
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if asked and name not in self.state.no_ranges:
            start, last = int(asked[1]), min(int(asked[2] or len(data)), len(data) - 1)
            headers["Content-Range"] = f"bytes {start}-{last}/{len(data)}"
            if self.command == "GET":
                self.state.sent.append((name, last + 1 - start))
            self._send(206, headers, data[start : last + 1])
        elif self.command == "GET" and name in self.state.cut:
            self._send(200, headers, data, stop_after=self.state.cut.pop(name))
        else:
            self._send(200, headers, data)

    def _send(
        self, status: int, headers: dict[str, str], body: bytes = b"", stop_after: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "Connection": "close", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:stop_after])
        self.close_connection = True  # so that all connections end with the server
