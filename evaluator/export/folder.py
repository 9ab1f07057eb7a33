"""Replace the model in an export folder so that readers see either the old or the new one whole."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from evaluator.export.skeleton import WEIGHTS_FILE
from evaluator.support.atomic_files import scratch_beside, sync

RECEIPT_FILE, GENAI_FILE = "receipt.json", "genai_config.json"
MODEL_FILE, EXPORT_FILE = "model.onnx", "export.json"
#: Files that describe the model; each kind of export writes some of these.
_DESCRIPTIONS = (EXPORT_FILE, RECEIPT_FILE, GENAI_FILE)
#: All files that an export writes or removes.
ARTIFACT_FILES = (MODEL_FILE, WEIGHTS_FILE, *_DESCRIPTIONS)


@contextlib.contextmanager
def whole_artifact(folder: Path) -> Iterator[Path]:
    """Yield a folder to write a model's files to; they move to `folder` if the block ends without an error.

    The old model file is removed first and the new one is moved last, so that no model file exists beside weights or
    descriptions of another model.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with scratch_beside(folder / MODEL_FILE) as written:
        yield written
        for path in written.iterdir():
            sync(path)
        for name in (MODEL_FILE, *_DESCRIPTIONS):
            (folder / name).unlink(missing_ok=True)
        for path in sorted(written.iterdir(), key=lambda path: path.name == MODEL_FILE):
            path.replace(folder / path.name)
