"""The cache folder, for files that can be made or downloaded again."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import platformdirs

from evaluator.support.paths import typed_path

#: Errors of a disk on which nothing more fits.
FULL = (errno.ENOSPC, errno.EDQUOT)


def cache_folder() -> Path:
    """Return the folder for graphs, made models and hub listings: `EVALUATOR_CACHE`, else the user's cache."""
    override = os.environ.get("EVALUATOR_CACHE")
    return typed_path(override) if override else platformdirs.user_cache_path("quantization-comparison")


def cache_advice(error: OSError) -> str | None:
    """Return what helps if an error says that the cache folder cannot be written; None for other errors."""
    if error.errno in FULL or not isinstance(error.filename, str):
        return None
    refused, folder = Path(error.filename).absolute(), cache_folder().absolute()
    if refused.is_relative_to(folder) or folder.is_relative_to(refused):
        return "set EVALUATOR_CACHE to a folder that can be written"
    return None
