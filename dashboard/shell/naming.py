"""What exported files are called: after the model and the view."""

from __future__ import annotations

import re

from dashboard.results.results import Results
from dashboard.results.selection import Selection
from dashboard.style import formats

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_MODEL = 60
_MOST_MODELS = 3


def model_name(results: Results, selection: Selection) -> str:
    """Name the models that are selected, else the folder's."""
    names = sorted(selection.models or set(results.measured["model"])) or [results.manifest.model]
    return formats.listing(names, _MOST_MODELS)


def file_stem(results: Results, selection: Selection, what: str) -> str:
    """Return a file name without extension: the model and `what`, in characters that every system takes."""
    model = _UNSAFE.sub("-", model_name(results, selection)).strip("-.")[:_LONGEST_MODEL]
    return f"{model or 'quantization'}-{what}"
