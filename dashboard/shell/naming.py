"""Names of exported files: the model and the view."""

from __future__ import annotations

import re

from dashboard.results.scope import Scope
from dashboard.style import formats

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_MODEL = 60
_MOST_MODELS = 3


def model_name(scope: Scope) -> str:
    """Return the names of the selected models, else of the folder's."""
    names = sorted(scope.selection.models or set(scope.results.measured["model"])) or [
        scope.results.manifest.model
    ]
    return formats.listing(names, _MOST_MODELS)


def file_stem(scope: Scope, content: str) -> str:
    """Return a file name without extension: the model and `content`, in characters that are safe everywhere."""
    model = _UNSAFE.sub("-", model_name(scope)).strip("-.")[:_LONGEST_MODEL]
    return f"{model or 'quantization'}-{content}"
