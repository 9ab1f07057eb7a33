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
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import gguf
import numpy as np
from family_structures import Structure, structures
from llama_quantizing import Answer, Request, quantize_with_llama

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


def llama_digests(
    cases: Sequence[Structure], file_types: Mapping[str, int], folder: Path
) -> dict[str, dict[str, list[str]]]:
    """Quantize with llama.cpp to every mixture.

    Returns:
        Structure → mixture → digest of its types without importances, with them, and of its bytes (some mixtures).
    """
    requests = []
    for index, case in enumerate(cases):
        place = folder / str(index)
        place.mkdir()
        model, imatrix = case.write(place / "model.gguf"), case.write_importances(place / "imatrix.gguf")
        types_only = dict.fromkeys(file_types.values())
        files = {file_types[label]: place / f"{label}.gguf" for label in WITH_BYTES}
        requests += [
            Request(model, types_only),
            Request(model, types_only, imatrix),
            Request(model, files, imatrix),
        ]
    answers = quantize_with_llama(*requests)
    return {
        case.name: {
            label: [
                *(_of_types(answer[number]) for answer in answers[3 * index : 3 * index + 2]),
                *(_of_file(answers[3 * index + 2], number, folder / str(index) / f"{label}.gguf")),
            ]
            for label, number in file_types.items()
        }
        for index, case in enumerate(cases)
    }


def _of_types(answer: Answer) -> str:
    return REFUSED if answer.refusal else digest_of_types(answer.types)


def _of_file(answers: Mapping[int, Answer], number: int, path: Path) -> list[str]:
    if number not in answers:
        return []
    return [REFUSED if answers[number].refusal else digest_of_bytes(path)]


def stored_digests() -> dict[str, dict[str, list[str]]]:
    """Return structure → mixture → digests."""
    return dict(json.loads(DIGESTS.read_text(encoding="utf-8")))


if __name__ == "__main__":
    from evaluator.quantize.recipe import choices

    numbers = {label: int(choice.file_type) for label, choice in choices("main").items()}
    tables = stored_digests() if len(sys.argv) > 1 else {}
    chosen = [case for case in structures() if len(sys.argv) == 1 or case.name in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as scratch:
        tables |= llama_digests(chosen, numbers, Path(scratch))
    lines = [
        f"{json.dumps(name)}: {{\n"
        + ",\n".join(f" {json.dumps(label)}: {json.dumps(parts)}" for label, parts in table.items())
        + "\n}"
        for name, table in ((case.name, tables[case.name]) for case in structures())
    ]
    DIGESTS.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
