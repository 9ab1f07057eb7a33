"""Digests of what llama.cpp's quantizer makes of every family: types for all mixtures, bytes for some.

`golden/family_digests.json` has them per structure and mixture. Run `python family_digests.py` with `LLAMA_CPP_BIN`
set to rewrite it, or some structures of it by name.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import gguf
import numpy as np
from family_structures import Structure, structures
from llama_quantizing import quantize_with_llama

DIGESTS = Path(__file__).parents[1] / "golden" / "family_digests.json"
#: Mixtures whose bytes are compared, made with an importance matrix.
WITH_BYTES = ("Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M", "IQ4_XS", "IQ2_XXS", "MXFP4_MOE", "Q8_0")
#: Compilers for other processors may fuse multiplications and additions, which changes bytes.
SAME_BYTES = platform.machine() in ("x86_64", "AMD64")
REFUSED = "refused"
_LENGTH = 12


def digest_of_types(types: Mapping[str, str]) -> str:
    """Return a digest of tensor name → type in the file's order."""
    return _digest(f"{name}={kind}\n".encode() for name, kind in types.items())


def digest_of_bytes(path: Path) -> str:
    """Return a digest of names, types, shapes and bytes of all tensors of a file."""
    parts = [
        f"{tensor.name} {tensor.tensor_type.name} {list(tensor.shape)}\n".encode()
        + np.ascontiguousarray(tensor.data).tobytes()
        for tensor in gguf.GGUFReader(path).tensors
    ]
    return _digest(parts)


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:_LENGTH]


def llama_digests(case: Structure, file_types: Mapping[str, int], folder: Path) -> dict[str, list[str]]:
    """Quantize with llama.cpp to every mixture.

    Returns:
        Mixture → digest of its types without importances, with them, and, for some mixtures, of its bytes.
    """
    model, imatrix = case.write(folder / "model.gguf"), case.write_importances(folder / "imatrix.gguf")
    found: dict[str, list[str]] = {label: [] for label in file_types}
    for importances in (None, imatrix):
        answers = quantize_with_llama(model, dict.fromkeys(file_types.values()), importances)
        for label, number in file_types.items():
            answer = answers[number]
            found[label].append(REFUSED if answer.refusal else digest_of_types(answer.types))
    targets = {file_types[label]: folder / f"{label}.gguf" for label in WITH_BYTES}
    answers = quantize_with_llama(model, targets, imatrix)
    for label in WITH_BYTES:
        refused = answers[file_types[label]].refusal
        found[label].append(REFUSED if refused else digest_of_bytes(folder / f"{label}.gguf"))
    return found


def stored_digests() -> dict[str, dict[str, list[str]]]:
    """Return structure → mixture → digests."""
    return dict(json.loads(DIGESTS.read_text(encoding="utf-8")))


if __name__ == "__main__":
    from evaluator.quantize.recipe import choices

    numbers = {label: int(choice.file_type) for label, choice in choices("main").items()}
    tables = stored_digests() if len(sys.argv) > 1 else {}
    for structure in structures():
        if len(sys.argv) == 1 or structure.name in sys.argv[1:]:
            with tempfile.TemporaryDirectory() as scratch:
                tables[structure.name] = llama_digests(structure, numbers, Path(scratch))
    lines = [
        f"{json.dumps(name)}: {{\n"
        + ",\n".join(f" {json.dumps(label)}: {json.dumps(parts)}" for label, parts in table.items())
        + "\n}"
        for name, table in tables.items()
    ]
    DIGESTS.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
