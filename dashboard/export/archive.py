"""A ZIP of pictures, each view's data, the Markdown report and the HTML page."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

from dashboard.export.data import encode
from dashboard.export.document import document
from dashboard.export.markdown import report
from dashboard.results.scope import Scope
from dashboard.shell.naming import file_stem
from dashboard.views import registry


def archive(scope: Scope, pictures: Mapping[str, bytes], theme: str = "light") -> bytes:
    """Return the ZIP; `pictures` are PNGs by view, and may be empty."""
    names = {slug: f"images/{file_stem(scope, slug)}.png" for slug in pictures}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for slug, png in pictures.items():
            packed.writestr(names[slug], png, zipfile.ZIP_STORED)
        for view in registry():
            frame = view.data(scope)
            stem = f"data/{file_stem(scope, view.id)}"
            packed.writestr(f"{stem}.csv", encode(frame, "csv"))
            packed.writestr(f"{stem}.parquet", encode(frame, "parquet"), zipfile.ZIP_STORED)
        packed.writestr("report.md", report(scope, names))
        packed.writestr("report.html", document(scope, theme))
    return buffer.getvalue()
