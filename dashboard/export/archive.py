"""A ZIP of everything: pictures, the data behind each view, the report, the page."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

from dashboard.export.data import encode, view_data
from dashboard.export.document import document
from dashboard.export.markdown import report
from dashboard.results.results import Results
from dashboard.results.selection import Selection
from dashboard.shell.naming import file_stem
from dashboard.views import registry


def archive(
    results: Results, selection: Selection, pictures: Mapping[str, bytes], theme: str = "light"
) -> bytes:
    """Pack PNGs by view with the rest; without pictures the report stands without them."""
    names = {slug: f"images/{file_stem(results, selection, slug)}.png" for slug in pictures}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for slug, png in pictures.items():
            packed.writestr(names[slug], png, zipfile.ZIP_STORED)
        for view in registry():
            frame = view_data(results, selection, view.id)
            stem = f"data/{file_stem(results, selection, view.id)}"
            packed.writestr(f"{stem}.csv", encode(frame, "csv"))
            packed.writestr(f"{stem}.parquet", encode(frame, "parquet"), zipfile.ZIP_STORED)
        packed.writestr("report.md", report(results, selection, names))
        packed.writestr("report.html", document(results, selection, theme))
    return buffer.getvalue()
