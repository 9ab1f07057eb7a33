"""`python -m dashboard`: serve a results folder on this machine."""

from __future__ import annotations

import logging
import socket
import sys
import threading
import webbrowser
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from werkzeug.serving import make_server

from dashboard.app import create_app
from dashboard.opening import ResultsError
from dashboard.paths import sample_results
from dashboard.slim_plotly import SlimError, make_slim_file

_DEFAULT = "serve"
_WRONG_REQUEST, _INTERRUPTED = 2, 130
#: Base of what the command-line library says of flags; it gives no name of its own to it.
_FlagError: type[Exception] = typer.BadParameter.__mro__[1]
_THIS_MACHINE = ("127.0.0.1", "localhost")


cli = typer.Typer(
    add_completion=False,
    help="Look at a comparison of quantized models. Without a command, RESULTS is served.",
    pretty_exceptions_enable=False,
)


@cli.callback()
def _group() -> None:
    """Look at a comparison of quantized models; without a command, RESULTS is served."""


@cli.command(_DEFAULT)
def serve(
    results: Annotated[
        list[Path] | None,
        typer.Argument(help="Results folders, the first is shown; default: the sample results."),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free one.")] = 0,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open the browser.")] = False,
) -> None:
    """Serve RESULTS and open the browser. Ctrl-C ends it."""
    _lighten()
    try:
        app = create_app(*(results or [sample_results()]), ahead=True)
    except ResultsError as error:
        _refuse(str(error))
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    if host in _THIS_MACHINE:
        # A page elsewhere may let its own name point here: what is asked for under such a name is not answered.
        app.server.config["TRUSTED_HOSTS"] = list(_THIS_MACHINE)
    if port and not _is_free(host, port):
        _refuse(f"port {port} on {host} is already in use; choose another with --port, or leave it out")
    try:
        server = make_server(host, port, app.server, threaded=True)
    except (OSError, SystemExit) as error:
        _refuse(f"cannot listen on {host}:{port}: {error}")
    url = f"http://{'127.0.0.1' if host in {'0.0.0.0', '::'} else host}:{server.server_port}/"  # noqa: S104
    typer.echo(f"Serving at {url}  (Ctrl-C to end)")
    if not no_browser:
        threading.Timer(0.3, webbrowser.open, [url]).start()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        typer.echo("Ended.")
    finally:
        server.server_close()


@cli.command("export")
def export_(
    results: Annotated[Path, typer.Argument(help="Results folder.")],
    out: Annotated[Path, typer.Option(help="File to write: .pptx, .html, .zip or .md.")],
    select: Annotated[str, typer.Option(help="What a link of the dashboard has after its ?.")] = "",
    theme: Annotated[str, typer.Option(help="light or dark.")] = "light",
    editable: Annotated[bool, typer.Option("--editable", help="Add PowerPoint's own charts.")] = False,
) -> None:
    """Write a deck, a page that opens offline, a ZIP or a Markdown report of RESULTS."""
    from dashboard.export.command import ExportError, export  # serving needs none of it

    _lighten()
    try:
        remarks = export(results, out, select, theme, editable=editable)
    except (ExportError, ResultsError) as error:
        _refuse(str(error))
    for remark in remarks:
        typer.echo(remark, err=True)
    typer.echo(f"Wrote {out}")


def _lighten() -> None:
    """Have a plotly.js of only what is drawn; without it plotly.py's own serves, and first plots come later."""
    try:
        make_slim_file()
    except SlimError as error:
        typer.echo(f"The whole plotly.js serves: {error}.", err=True)


def _is_free(host: str, port: int) -> bool:
    """Whether nothing listens there yet; werkzeug itself would print a page of advice."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _refuse(reason: str) -> NoReturn:
    typer.echo(f"error: {reason}", err=True)
    sys.exit(_WRONG_REQUEST)


def with_default_command(arguments: list[str]) -> list[str]:
    """Put `serve` in front unless another command, or help, is asked for."""
    names = {command.name for command in cli.registered_commands}
    asked = bool(arguments) and (arguments[0] in names or arguments[0] == "--help")
    return arguments if asked else [_DEFAULT, *arguments]


def main() -> None:
    """Run the `quantization-dashboard` script and `python -m dashboard`; a wrong flag is one line."""
    arguments = with_default_command(sys.argv[1:])
    try:
        sys.exit(cli(args=arguments, prog_name="python -m dashboard", standalone_mode=False) or 0)
    except _FlagError as error:
        _refuse(error.format_message())  # type: ignore[attr-defined]
    except typer.Abort:
        sys.exit(_INTERRUPTED)
