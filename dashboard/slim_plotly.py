"""A plotly.js with only the trace types that the views draw: a quarter of the file's size.

It is made once, by `python -m dashboard slim`, from the npm package of the version that plotly.py carries, and
kept in the user's cache folder. Without it everything works the same with plotly.py's own file.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from plotly.offline import get_plotlyjs_version

from evaluator.cache import cache_folder

#: Every trace type of the views and of what they export.
TRACES = ("bar", "heatmap", "scatter", "scatterpolar")
#: Seconds for everything; the download takes most of it.
TIME_LIMIT = 120.0
_ESBUILD = "0.28.1"
_FILE = "plotly.min.js"
_CHECKSUM = f"{_FILE}.sha256"
#: No scripts of packages run, and without a network it fails at once instead of trying for a minute.
_INSTALL = (
    "install",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--no-package-lock",
    "--no-update-notifier",
    "--loglevel=error",
    "--fetch-retries=0",
)
#: As plotly.js builds itself. Its stylesheet for maps lands beside the script and is left there.
_BUNDLE = (
    "entry.js",
    "--bundle",
    "--minify",
    "--format=iife",
    "--global-name=Plotly",
    "--target=es2016",
    "--define:global=window",
    "--define:define.amd=false",
    "--legal-comments=eof",
    "--log-level=error",
    f"--outfile=out/{_FILE}",
)


class SlimError(Exception):
    """The file cannot be made; the message is one line that says why."""


def slim_file() -> Path | None:
    """Return the file for the installed plotly.py and `TRACES`, or None where there is none that is whole."""
    folder = _folder()
    try:
        body, checksum = (folder / _FILE).read_bytes(), (folder / _CHECKSUM).read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return None
    return folder / _FILE if _sha256(body) == checksum.strip() else None


def make_slim_file(limit: float = TIME_LIMIT) -> Path:
    """Fetch plotly.js and esbuild with npm into a folder that is deleted again, bundle, and keep the result.

    A whole file that is there already is returned at once. `limit` is in seconds.

    Raises:
        SlimError: npm or node is missing, fails, or takes too long.

    """
    if kept := slim_file():
        return kept
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        raise SlimError("npm and node are needed, install Node.js")
    version = get_plotlyjs_version()
    deadline = time.monotonic() + limit
    with tempfile.TemporaryDirectory(prefix="plotly-") as name:
        work = Path(name)
        packages = {"plotly.js": version, "esbuild": _ESBUILD}
        (work / "package.json").write_text(json.dumps({"private": True, "dependencies": packages}))
        (work / "entry.js").write_text(entry_code())
        _run([npm, *_INSTALL], work, deadline)
        _run([node, "node_modules/esbuild/bin/esbuild", *_BUNDLE], work, deadline)
        terms = (work / "node_modules" / "plotly.js" / "LICENSE").read_text("utf-8").replace("*/", "")
        bundle = (work / "out" / _FILE).read_text("utf-8")
    return keep(f"/*! plotly.js {version}, only {', '.join(TRACES)}\n{terms}*/\n{bundle}".encode())


def keep(body: bytes) -> Path:
    """Put `body` in the cache as the file to serve; the checksum comes last and makes it valid."""
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    parts: Mapping[str, bytes] = {_FILE: body, _CHECKSUM: _sha256(body).encode()}
    for name, content in parts.items():
        part = folder / f"{name}.{os.getpid()}.part"
        part.write_bytes(content)
        part.replace(folder / name)
    return folder / _FILE


def entry_code() -> str:
    """Write the script to bundle: plotly.js's core with `TRACES` registered."""
    traces = ", ".join(f'require("plotly.js/lib/{name}")' for name in TRACES)
    return f'const Plotly = require("plotly.js/lib/core");\nPlotly.register([{traces}]);\nmodule.exports = Plotly;\n'


def _folder() -> Path:
    """Where the file lies: another version or another list of traces is another file."""
    return cache_folder() / "plotly.js" / "-".join([get_plotlyjs_version(), *TRACES])


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _run(command: list[str], folder: Path, deadline: float) -> None:
    """Run a step of the making in `folder` until `deadline` at most (on the monotonic clock)."""
    left = max(deadline - time.monotonic(), 0)
    name = Path(command[1] if command[1].endswith("esbuild") else command[0]).name
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=left, check=False
        )
    except subprocess.TimeoutExpired:
        raise SlimError(f"{name} took too long") from None
    except OSError as error:
        raise SlimError(f"{name} does not start: {error}") from None
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        # npm closes with where its log lies; what happened comes first.
        raise SlimError(f"{name} failed: {'; '.join(lines[:2])[:200] or f'status {done.returncode}'}")
