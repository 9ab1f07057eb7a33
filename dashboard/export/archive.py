"""A ZIP of pictures, each view's data, the Markdown report and the HTML page."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

from dashboard.export.data import FRAMES, encode
from dashboard.export.document import document
from dashboard.export.markdown import report
from dashboard.results.scope import Scope
from dashboard.shell.naming import file_stem
from dashboard.views import charts


def archive(scope: Scope, pictures: Mapping[str, bytes], theme: str = "light") -> bytes:
    """Return the ZIP; `pictures` are PNGs by view, and may be empty."""
    names = {slug: f"images/{file_stem(scope, slug)}.png" for slug in pictures}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for slug, png in pictures.items():
            packed.writestr(names[slug], png, zipfile.ZIP_STORED)
        frames = {view.id: view.data(scope) for view in charts()}
        more = {name: exported(scope) for name, exported in FRAMES.items()}
        frames |= {name: frame for name, frame in more.items() if not frame.is_empty()}
        for name, frame in frames.items():
            stem = f"data/{file_stem(scope, name)}"
            packed.writestr(f"{stem}.csv", encode(frame, "csv"))
            packed.writestr(f"{stem}.parquet", encode(frame, "parquet"), zipfile.ZIP_STORED)
        packed.writestr("report.md", report(scope, names))
        packed.writestr("report.html", document(scope, theme))
    return buffer.getvalue()
