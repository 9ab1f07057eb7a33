"""Quant labels and model names, from file names as publishers write them."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import gguf

from evaluator.models.model_file import ModelFile
from evaluator.models.tensor_types import CheckpointType, TensorType

#: Types and mixtures, longest first within a family, so that Q4_K_M is not read as Q4_K: those of llama.cpp, of
#: publishers (Q6_K_L, UD-Q4_K_XL), packed layouts (Q4_0_4_4), and those of ik_llama.cpp (IQ4_KSS, Q8_0_R8).
_TYPE = (
    r"IQ[1-7]_(?:KSS|KS|KT|KL|K|XXS|XS|S|M|NL(?:_XL)?|BN)(?:_R[48])?"
    r"|Q[2-8]_K_(?:XXL|XL|L|M|S|P)|Q[2-8]_K(?:_R[48])?|Q4_0_[48]_[48]|Q[1-8]_[01](?:_(?:XL|L|R[48]))?|Q8_KV"
    r"|TQ[12]_0|I2_S|MXFP4(?:_MOE)?|NVFP4|BF16|F16|FP16|F32|FP32"
)
#: Prefixes of a type: dynamic quants (`UD-`), smaller mixtures (`smol-`), importance matrix used (`i1-`). Without a
#: type, bits per weight are the label.
_QUANT_PATTERN = re.compile(
    rf"(?<![A-Za-z0-9])(?:i1-)?(?P<label>(?:UD-|(?<=[-_.])smol-)?(?:{_TYPE})|\d+\.\d+bpw)(?![A-Za-z0-9])",
    re.IGNORECASE,
)
#: Suffixes of a type, with more details of the quantization (Q8_0-F16-embed, Q4_K_M-imat, 3.61bpw).
_PART = r"(?:embed(?:s|dings?)?|embd|output|head)"
_DETAIL = re.compile(
    rf"(?P<before>(?:{_TYPE}))(?:[-_.](?:(?:BF16|F16|F32|Q\d_\w+)[-_.]?{_PART}(?:[-_.]{_PART})*|{_PART}[-_.](?:BF16|F16|F32|Q8_0)"
    r"|imat|imatrix|\d+(?:\.\d+)?bpw))+(?![A-Za-z0-9])",
    re.IGNORECASE,
)
#: Words for methods at the end of checkpoints' names (Qwen3-8B-FP8, …-Instruct-GPTQ-Int4, …-quantized.w4a16).
_METHOD = re.compile(
    r"(?:[-_.](?:fp8|awq|gptq|autoround|unsloth|bnb|quantized|w\d+a\d+|int[2348]|[2348]bit|g\d+"
    r"|dynamic|static|block|tensor))+$",
    re.IGNORECASE,
)
_SPELLINGS = {"FP16": "F16", "FP32": "F32"}

#: Most characters of an identifier, and of one extended by a file's stem, which begins with the whole of the other.
#: Names of files made from them have up to 40 more, and file systems allow 255.
_MOST_CHARACTERS, _MOST_OF_SIBLINGS = 180, 212
_CUT_DIGITS = 12

_SPLIT_MARKER = re.compile(r"-\d{5}-of-\d{5}$")


def quant_label(file: ModelFile) -> str:
    """Return the quant type as published: from the file's name, else a folder named like a type, else the header."""
    labels = list(_QUANT_PATTERN.finditer(_DETAIL.sub(r"\g<before>", _stem(file.name))))
    folder = _QUANT_PATTERN.fullmatch(file.path.parent.name) if file.path.suffix.lower() == ".gguf" else None
    if match := labels[-1] if labels else folder:
        return _normalized(match["label"])
    file_type = file.metadata.get("general.file_type")
    try:
        name = gguf.LlamaFileType(file_type).name
    except ValueError:
        return _dominant_type(file)
    return str(name).removeprefix("MOSTLY_").removeprefix("ALL_")


def _normalized(label: str) -> str:
    """Return a label in upper case, except `smol` and `bpw`, which are written in lower case."""
    upper = label.upper().replace("SMOL-", "smol-").replace("BPW", "bpw")
    return _SPELLINGS.get(upper, upper)


def _stem(name: str) -> str:
    return _SPLIT_MARKER.sub("", re.sub(r"\.gguf$", "", name, flags=re.IGNORECASE))


def _dominant_type(file: ModelFile) -> str:
    """Return the name of the type that most weights have; in quantized checkpoints, most of the quantized ones."""
    weights: Counter[TensorType] = Counter()
    for tensor in file.tensors.values():
        weights[tensor.ggml_type] += tensor.n_elements
    quantized = [kind for kind in weights if isinstance(kind, CheckpointType)]
    return max(quantized or weights, key=lambda kind: weights[kind]).name


def _is_quantized_checkpoint(file: ModelFile) -> bool:
    return any(isinstance(tensor.ggml_type, CheckpointType) for tensor in file.tensors.values())


def model_name(file: ModelFile) -> str:
    """Return the display name of a model: its file name without the quant label or a checkpoint's method."""
    stem = _stem(file.name)
    if _is_quantized_checkpoint(file):
        stem = _METHOD.sub("", stem) or stem
    bare = _QUANT_PATTERN.sub("", _DETAIL.sub(r"\g<before>", stem))
    return re.sub(r"[-_.]{2,}", "-", bare).strip("-_. ") or stem


def ends_in_quant(name: str, word: str) -> bool:
    """Return whether a file's name is `…word-TYPE.gguf`."""
    _, _, rest = _stem(name).lower().rpartition(f"{word}-")
    return _QUANT_PATTERN.fullmatch(rest) is not None


def told_apart(labels: Sequence[str], *further: Sequence[str]) -> list[str]:
    """Return `labels`; to equal labels the first of the `further` names that distinguishes them is added.

    Args:
        labels: labels of the items.
        further: lists of other names of the same items, the shortest first.
    """
    distinct = list(labels)
    for label in {label for label in labels if labels.count(label) > 1}:
        items = [item for item, other in enumerate(labels) if other == label]
        names = next((each for each in further if len({each[item] for item in items}) == len(items)), None)
        if names is not None:
            for item in items:
                distinct[item] = f"{label} ({names[item]})"
    return distinct


def identifier(*parts: str) -> str:
    """Return an identifier that is safe as a file name, such as `main-q4_0-cpu`; if very long, it is cut."""
    return _cut(_safe(*parts), _MOST_CHARACTERS)


def sibling_identifier(base: str, taken: set[str], path: Path) -> str:
    """Return `base`, extended by the file's stem and then a number if it is already in `taken`."""
    if base not in taken:
        return base
    with_stem = _safe(base, path.stem)
    numbered = (f"{with_stem}-{number}" for number in itertools.count(2))
    names = (_cut(name, _MOST_OF_SIBLINGS) for name in itertools.chain([with_stem], numbered))
    return next(name for name in names if name not in taken)


def _safe(*parts: str) -> str:
    joined = "-".join(part for part in parts if part)
    return re.sub(r"[^A-Za-z0-9._]+", "-", joined).strip("-.").lower()


def _cut(name: str, most: int) -> str:
    """Return a name of at most `most` characters: a longer one ends in digits of its SHA-256."""
    if len(name) <= most:
        return name
    digits = hashlib.sha256(name.encode()).hexdigest()[:_CUT_DIGITS]
    return f"{name[: most - _CUT_DIGITS - 1]}-{digits}"
