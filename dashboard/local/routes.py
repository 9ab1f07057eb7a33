"""The routes that act on this machine: POST with JSON, from the dashboard's own page, with this start's key."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import IO, Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from dashboard.local import LocalError
from dashboard.local.access import Access, json_of
from dashboard.local.browsing import listing
from dashboard.local.command import PRINTING, arguments_of, shown
from dashboard.local.opening import MOST_DROPPED, Opening, not_kept
from dashboard.local.options import Option, Options, is_installed
from dashboard.local.runner import Runner
from dashboard.results.library import Library

PREFIX = "/local"
_MOST_DROPPED_FILES = 20_000


@dataclass
class Local:
    """What the screen may do on this machine; `runner` is None where nothing can be measured."""

    access: Access = field(default_factory=Access)
    runner: Runner | None = None
    options: Options = field(default_factory=Options)
    opening: Opening | None = None

    @classmethod
    def offered(cls, *, measure: bool) -> Local:
        """Return what can be offered: measuring only where the evaluator's packages are installed."""
        return cls(runner=Runner() if measure and is_installed() else None)

    def close(self) -> bool:
        """Stop the run and delete dropped files at the server's end; return whether a run was stopped."""
        stopped = self.runner is not None and self.runner.close()
        if self.opening is not None:
            self.opening.close()
        return stopped


def register_local(server: Flask, library: Library, local: Local) -> None:
    """Add the routes under `/local/` to the server, whose pages may then not be framed by others' pages."""
    server.after_request(_unframed)
    opening = local.opening = Opening(library)
    routes: dict[str, Callable[[], Mapping[str, Any]]] = {
        "open": lambda: {"name": opening.folder(json_of(request).get("folder"))},
        "browse": lambda: listing(*(json_of(request).get(key) for key in ("folder", "wanted"))),
        "drop": lambda: {"name": opening.dropped(_files())},
    }
    if local.runner is not None:
        routes |= _measuring(local.runner, local.options, opening)
    for name, answer in routes.items():
        _add(server, name, _guarded(answer, local.access))
    _add(
        server,
        "enter",
        _guarded(
            lambda: {"key": local.access.redeem(json_of(request).get("ticket"))}, local.access, keyed=False
        ),
    )


def _measuring(
    runner: Runner, options: Options, opening: Opening
) -> dict[str, Callable[[], Mapping[str, Any]]]:
    def describe() -> Mapping[str, Any]:
        json_of(request)
        commands = {
            name: {
                "help": command.help,
                "options": [_described(option) for option in command.options if option.name not in PRINTING],
            }
            for name, command in options.commands().items()
        }
        return {"commands": commands, "folder": str(Path.cwd())}

    def requested() -> tuple[list[str], dict[str, object]]:
        given = json_of(request)
        name, command = options.command(given.get("command"))
        values = given.get("values")
        return arguments_of(name, command, values), {"command": name, "values": values}

    def preview() -> Mapping[str, Any]:
        return {"line": shown(requested()[0])}

    def start() -> Mapping[str, Any]:
        runner.start(*requested())
        return state()

    def stop() -> Mapping[str, Any]:
        json_of(request)
        runner.stop()
        return state()

    def state() -> Mapping[str, Any]:
        out = runner.progress.out if runner.progress is not None else None
        return {**runner.state(), "opened": opening.with_variants(out) if out else ""}

    def ask_state() -> Mapping[str, Any]:
        json_of(request)
        return state()

    return {"describe": describe, "preview": preview, "start": start, "stop": stop, "state": ask_state}


def _described(option: Option) -> Mapping[str, Any]:
    return {**option.model_dump(), "label": option.label}


def _files() -> list[tuple[str, IO[bytes]]]:
    """Return the dropped files: each field of the form is a file, under its path below what was dropped."""
    if request.mimetype != "multipart/form-data":
        raise LocalError("files are expected", 415)
    request.max_content_length = MOST_DROPPED
    request.max_form_parts = _MOST_DROPPED_FILES
    try:  # large ones are put on the disk while they are received
        return [(name, file.stream) for name, file in request.files.items(multi=True)]
    except OSError as error:
        raise not_kept(error) from error


def _add(server: Flask, name: str, answer: Callable[[], Response]) -> None:
    server.add_url_rule(f"{PREFIX}/{name}", f"local {name}", answer, methods=["POST"])


def _guarded(
    answer: Callable[[], Mapping[str, Any]], access: Access, *, keyed: bool = True
) -> Callable[[], Response]:
    """Check who asks, and turn errors into JSON with one line."""

    @wraps(answer)
    def guarded() -> Response:
        try:
            access.check_page(request)
            if keyed:
                access.check_key(request)
            return _json(answer())
        except LocalError as error:
            return _json({"error": str(error)}, error.status)
        except HTTPException as error:
            return _json({"error": error.description or error.name}, error.code or 400)

    return guarded


def _unframed(response: Response) -> Response:
    """Forbid frames: a page around this one could lay its own buttons over those that start programs."""
    response.headers["Content-Security-Policy"] = "frame-ancestors 'none'"
    return response


def _json(body: Mapping[str, Any], status: int = 200) -> Response:
    response = Response(json.dumps(body), status, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
