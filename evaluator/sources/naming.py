"""What a file is called: quant labels and model names as publishers write them."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import gguf

from evaluator.sources.model_file import ModelFile

#: Longest first within a family, so that Q4_K_M is not read as Q4_K; `UD-` marks dynamic quants.
_QUANT_PATTERN = re.compile(
    r"(?<![A-Za-z0-9])("
    r"(?:UD-)?(?:IQ[1-4]_(?:XXS|XS|S|M|NL)|Q[2-8]_K_(?:XXL|XL|L|M|S)|Q[2-8]_K|Q[2-8]_[01])"
    r"|TQ[12]_0|MXFP4(?:_MOE)?|BF16|F16|FP16|F32|FP32)(?![A-Za-z0-9])",
    re.IGNORECASE,
)

_SPLIT_MARKER = re.compile(r"-\d{5}-of-\d{5}$")


def quant_label(file: ModelFile) -> str:
    """The quant type as published: from the file name, else from `general.file_type`, else the main type."""
    match = _QUANT_PATTERN.findall(file.name)
    if match:
        return str(match[-1]).upper().replace("FP", "F").replace("MXF4", "MXFP4")
    file_type = file.metadata.get("general.file_type")
    try:
        name = gguf.LlamaFileType(file_type).name
    except ValueError:
        return _dominant_type(file)
    return str(name).removeprefix("MOSTLY_").removeprefix("ALL_")


def _dominant_type(file: ModelFile) -> str:
    weights: dict[str, int] = {}
    for tensor in file.tensors.values():
        name = tensor.ggml_type.name
        weights[name] = weights.get(name, 0) + tensor.n_elements
    return max(weights, key=lambda name: weights[name])


def model_name(file: ModelFile) -> str:
    """Display name of a model: its file name without the quant label, which publishers agree on."""
    stem = _SPLIT_MARKER.sub("", re.sub(r"\.gguf$", "", file.name, flags=re.IGNORECASE))
    bare = _QUANT_PATTERN.sub("", stem)
    return re.sub(r"[-_.]{2,}", "-", bare).strip("-_. ") or stem


def identifier(*parts: str) -> str:
    """A file-system-safe identifier, such as `main-q4_0-cpu`."""
    joined = "-".join(part for part in parts if part)
    return re.sub(r"[^A-Za-z0-9._]+", "-", joined).strip("-.").lower()


def sibling_identifier(base: str, taken: set[str], path: Path) -> str:
    """`base`; with the file's stem, then with a number, when files of a comparison would share it."""
    if base not in taken:
        return base
    with_stem = identifier(base, path.stem)
    numbered = (f"{with_stem}-{number}" for number in itertools.count(2))
    return next(name for name in itertools.chain([with_stem], numbered) if name not in taken)
