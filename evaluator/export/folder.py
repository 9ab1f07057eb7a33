"""The folder of an exported model, which goes from one model to another in one step as far as its readers can see."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from evaluator.export.skeleton import WEIGHTS_FILE
from evaluator.support.atomic_files import scratch_beside, sync

RECEIPT_FILE = "receipt.json"


GENAI_FILE = "genai_config.json"


MODEL_FILE, EXPORT_FILE = "model.onnx", "export.json"
#: What tells of the model; each way to export writes some of these.
_DESCRIPTIONS = (EXPORT_FILE, RECEIPT_FILE, GENAI_FILE)
#: All that an export writes or removes.
ARTIFACT_FILES = (MODEL_FILE, WEIGHTS_FILE, *_DESCRIPTIONS)


@contextlib.contextmanager
def whole_artifact(folder: Path) -> Iterator[Path]:
    """Give a folder to write the files of a model to; they move to `folder` when the block ends without an error.

    The model file goes first and comes last: as long as weights and descriptions may be another model's, there
    is no model to be loaded with them.
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
