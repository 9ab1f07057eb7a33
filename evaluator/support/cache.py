"""The cache folder, for files that can be made or downloaded again."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from evaluator.support.paths import typed_path


def cache_folder() -> Path:
    """Return the folder for graphs, made models and hub listings: `EVALUATOR_CACHE`, else the user's cache."""
    override = os.environ.get("EVALUATOR_CACHE")
    return typed_path(override) if override else platformdirs.user_cache_path("quantization-comparison")
