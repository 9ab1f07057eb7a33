"""Check that outputs can be written, before the work that takes hours begins."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from evaluator.support.errors import RequestError
from evaluator.support.paths import exists
from evaluator.support.units import MEGABYTE


def prepare_output_folder(folder: Path, n_bytes: int = 0) -> None:
    """Create `folder`, and check that it is writable and that its disk has `n_bytes` free.

    Raises:
        RequestError: it is not writable, or the disk has too little space.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise RequestError(f"--out {folder}: cannot be written: {error.strerror or error}") from error
    if n_bytes > free:
        needed, left = n_bytes / MEGABYTE, free / MEGABYTE
        raise RequestError(f"--out {folder}: {needed:,.0f} MB are needed, {left:,.0f} MB are free")


def refuse_overwriting(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Check that no output is one of the inputs, also through links.

    Raises:
        RequestError: an output is an input.
    """
    read = [path for path in inputs if exists(path)]
    for path in outputs:
        if exists(path) and any(path.samefile(other) for other in read):
            raise RequestError(f"{path}: is an input and would be overwritten; choose another output path")
