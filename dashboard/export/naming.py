"""What exported files are called: after the model and the view."""

from __future__ import annotations

import re

from dashboard.results import Results
from dashboard.selection import Selection

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_MODEL = 60


def model_name(results: Results, selection: Selection) -> str:
    """Name the model that is selected, else the folder's."""
    return next(iter(selection.models)) if len(selection.models) == 1 else results.manifest.model


def file_stem(results: Results, selection: Selection, what: str) -> str:
    """Return a file name without extension: the model and `what`, in characters that every system takes."""
    model = _UNSAFE.sub("-", model_name(results, selection)).strip("-.")[:_LONGEST_MODEL]
    return f"{model or 'quantization'}-{what}"
