"""Where things are kept that can be made or fetched again."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """Where graphs, made models and notes are kept: `EVALUATOR_CACHE`, else the user's cache folder."""
    override = os.environ.get("EVALUATOR_CACHE")
    return Path(override) if override else platformdirs.user_cache_path("quantization-comparison")
