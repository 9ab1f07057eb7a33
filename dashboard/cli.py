"""`python -m dashboard`: serve a results folder on this machine."""

from __future__ import annotations

import errno
import logging
import signal
import socket
import sys
import threading
import webbrowser
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer
from werkzeug.serving import BaseWSGIServer, make_server

from dashboard.figures.slim_plotly import SlimError, make_slim_file
from dashboard.local.access import KEY_PART, NAMES, TICKET_PART
from dashboard.local.routes import Local
from dashboard.results.folder import ResultsError
from dashboard.server.app import create_app
from dashboard.server.serving import answer_only_as
from dashboard.shell.paths import sample_results
from evaluator.support.paths import typed_path

_DEFAULT = "serve"
_WRONG_REQUEST, _INTERRUPTED = 2, 130
#: Base class of typer's errors about flags; typer does not export it.
_FlagError: type[Exception] = typer.BadParameter.__mro__[1]
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


cli = typer.Typer(
    add_completion=False,
    help="Show a comparison of quantized models. Without a command, RESULTS is served.",
    pretty_exceptions_enable=False,
)


@cli.callback()
def _group() -> None:
    """Show a comparison of quantized models; without a command, RESULTS is served."""


@cli.command(_DEFAULT, epilog="To export: export RESULTS --out FILE (see export --help)")
def serve(
    results: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RESULTS",
            help="Results folders; the first is shown. Default: the sample results.",
            parser=typed_path,
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 picks a free port.")] = 0,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open the browser.")] = False,
    no_measure: Annotated[
        bool, typer.Option("--no-measure", help="Do not offer to measure files from the screen.")
    ] = False,
) -> None:
    """Serve RESULTS and open the browser. Stop with Ctrl-C."""
    _prepare_plotly()
    local = Local.offered(measure=not no_measure) if host in NAMES else None
    try:
        app = create_app(*(results or [sample_results()]), local=local)
    except ResultsError as error:
        _refuse(str(error))
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    if host in NAMES:
        # Against DNS rebinding: a foreign page may point its own host name at this machine.
        answer_only_as(app.server, NAMES)
    if reason := _listen_problem(host, port):
        _refuse(reason)
    try:
        server = make_server(host, port, app.server, threaded=True)
    except (OSError, SystemExit) as error:  # another program took the port in the meantime
        _refuse(f"cannot listen on {host}, port {port}: {error}")
    url = _url(host, server.server_port)
    typer.echo(f"Serving at {url}  (Ctrl-C to stop)")
    if local is not None:
        what = "open folders" if local.runner is None else "open folders and measure files"
        typer.echo(f"To {what} from the screen: {url}#{KEY_PART}{local.access.key}")
    if not no_browser:
        part = f"#{TICKET_PART}{local.access.new_ticket()}" if local is not None else ""
        threading.Timer(0.3, webbrowser.open, [url + part]).start()
    _serve_until_stopped(server, local)


def _serve_until_stopped(server: BaseWSGIServer, local: Local | None) -> None:
    """Answer requests until Ctrl-C or SIGTERM, then stop what was started from the screen."""
    if local is not None:
        signal.signal(signal.SIGTERM, _interrupt)
    try:
        server.serve_forever()  # returns on a KeyboardInterrupt
    finally:
        server.server_close()
        if local is not None and local.close():
            typer.echo("The measurement was stopped; what was finished is kept.")


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


@cli.command("export")
def export_(
    results: Annotated[Path, typer.Argument(help="Results folder.", parser=typed_path)],
    out: Annotated[
        Path,
        typer.Option(
            help="File to write: .pptx, .pdf, .html, .zip or .md.", parser=typed_path, metavar="PATH"
        ),
    ],
    select: Annotated[
        str, typer.Option(help="Filters and picks: the part of a dashboard link after its ?.")
    ] = "",
    theme: Annotated[str, typer.Option(help="light or dark.")] = "light",
    editable: Annotated[bool, typer.Option("--editable", help="Add PowerPoint's own charts.")] = False,
) -> None:
    """Write a slide deck, an offline page, a ZIP or a Markdown report of RESULTS."""
    from dashboard.export.command import ExportError, export

    _prepare_plotly()
    try:
        remarks = export(results, out, select, theme, editable=editable)
    except (ExportError, ResultsError) as error:
        _refuse(str(error))
    for remark in remarks:
        typer.echo(remark, err=True)
    typer.echo(f"Wrote {out}")


def _prepare_plotly() -> None:
    """Make a plotly.js with only the trace types in use; if that fails, the whole one is served."""
    try:
        make_slim_file()
    except SlimError as error:
        typer.echo(f"Using the whole plotly.js, first plots take longer: {error}.", err=True)


def _listen_problem(host: str, port: int) -> str | None:
    """Return why the server cannot listen there, or None; werkzeug itself would print a page of advice and exit."""
    try:
        # Like werkzeug: a host with a colon is an IPv6 address, any other IPv4.
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        addresses = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        return f"--host {host}: no such host; name an address of this machine, such as 127.0.0.1"
    address = addresses[0][-1]
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return f"port {port} on {host} is already in use; choose another with --port, or leave it out"
        if error.errno == errno.EACCES:
            return f"port {port} on {host} needs administrator rights; choose another with --port"
        return (
            f"--host {host}: cannot listen there: {error.strerror or error}; "
            "name an address of this machine, such as 127.0.0.1"
        )
    return None


def _url(host: str, port: int) -> str:
    """Return the URL at which a browser on this machine reaches a server that listens on `host`."""
    local = _EVERYWHERE.get(host, host)
    return f"http://{f'[{local}]' if ':' in local else local}:{port}/"


def _refuse(reason: str) -> NoReturn:
    typer.echo(f"error: {reason}", err=True)
    sys.exit(_WRONG_REQUEST)


def with_default_command(arguments: list[str]) -> list[str]:
    """Put `serve` in front unless the arguments name a command; so `--help` alone is the help of `serve`."""
    names = {command.name for command in cli.registered_commands}
    named = bool(arguments) and arguments[0] in names
    return arguments if named else [_DEFAULT, *arguments]


def main() -> None:
    """Run the `quantization-dashboard` script and `python -m dashboard`; a wrong flag gives a one-line error."""
    arguments = with_default_command(sys.argv[1:])
    try:
        sys.exit(cli(args=arguments, prog_name="python -m dashboard", standalone_mode=False) or 0)
    except _FlagError as error:
        _refuse(error.format_message())  # type: ignore[attr-defined]
    except typer.Abort:
        sys.exit(_INTERRUPTED)
