"""Recognize files beside models that are no language models: projectors, importance matrices, adapters, drafts.

Local files are recognized by their header, files on the hub by their name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from evaluator.models.gguf.reader import MAGIC, peek_gguf
from evaluator.models.gguf.split import is_part
from evaluator.models.naming import ends_in_quant
from evaluator.support.errors import SourceError

_PROJECTOR, _IMPORTANCES = "a vision or audio projector", "an importance matrix"
_ADAPTER, _VOCABULARY = "a LoRA adapter", "a vocabulary without weights"
DRAFT = "a draft model"

#: `general.type` and `general.architecture` of files that are no language models.
_TYPES: Mapping[str, str] = {
    "mmproj": _PROJECTOR,
    "clip-vision": _PROJECTOR,
    "projector": _PROJECTOR,
    "imatrix": _IMPORTANCES,
    "adapter": _ADAPTER,
    "vocab": _VOCABULARY,
}
_ARCHITECTURES: Mapping[str, str] = {"clip": _PROJECTOR, "eagle": DRAFT, "eagle3": DRAFT, "dflash": DRAFT}
#: Words in file names that are always decisive.
_SURE_WORDS: Mapping[str, str] = {"mmproj": _PROJECTOR, "imatrix": _IMPORTANCES}
#: Words that names of models may contain too: decisive only if other files in the same folder lack them.
_DOUBTFUL_WORDS: Mapping[str, str] = {
    "lora": _ADAPTER,
    "adapter": _ADAPTER,
    "vocab": _VOCABULARY,
    "clip": _PROJECTOR,
    **dict.fromkeys(("draft", "drafter", "mtp", "eagle", "eagle2", "eagle3", "dflash", "medusa"), DRAFT),
}


def companion_by_header(path: Path, n_tensors: int, metadata: Mapping[str, object]) -> str | None:
    """Return what a GGUF file is, such as `an importance matrix`, if it is no language model; else None."""
    kind, architecture = metadata.get("general.type"), metadata.get("general.architecture")
    if companion := _TYPES.get(str(kind).lower()) or _ARCHITECTURES.get(str(architecture).lower()):
        return companion
    if any(key.startswith("imatrix.") for key in metadata):
        return _IMPORTANCES
    return _VOCABULARY if n_tensors == 0 and architecture and not is_part(path) else None


def companion_on_disk(path: Path) -> str | None:
    """Return what a file is if it is no language model; None for models, folders and unreadable files.

    A damaged file named .gguf is no companion; opening it later raises an error.
    """
    if path.is_dir():
        return None
    try:
        with path.open("rb") as file:
            start = file.read(len(MAGIC))
        if start != MAGIC:
            return None if path.suffix.lower() == ".gguf" else "no GGUF file"
        return companion_by_header(path, *peek_gguf(path))
    except (OSError, SourceError):
        return None


def companions_by_name(names: Iterable[str], pattern: str) -> dict[str, str]:
    """Return name → what it is, for files that are no language models according to their names.

    Args:
        names: all files of one folder or repository, with the repository's folders.
        pattern: the user's glob; files are not skipped because of a word in it.
    """
    companions: dict[str, str] = {}
    words = {name: _words(name) for name in names}
    requested = set(_words(pattern))
    for name, parts in words.items():
        for word, what in _SURE_WORDS.items():
            # NAME-imatrix-Q4_K_M.gguf is a model that was quantized with an importance matrix.
            is_suffix = parts[0] != word and f"{word}-" in name.lower() and ends_in_quant(name, word)
            if word in parts and not (word == "imatrix" and is_suffix):
                companions[name] = what
    models = [set(parts) for name, parts in words.items() if name not in companions]
    for word, what in _DOUBTFUL_WORDS.items():
        if word in requested or all(word in parts for parts in models):
            continue
        companions |= {
            name: what for name, parts in words.items() if name not in companions and word in parts
        }
    return companions


def skipped_line(name: str, what: str, *, by_name: bool) -> str:
    """Return a line about a skipped file; if it was recognized by its name only, add how to use it anyway."""
    way_out = " by its name; to use it, name the file in full" if by_name else ""
    return f"skipped: {PurePosixPath(name).name} is {what}{way_out}"


def nothing_left(items: Sequence[tuple[str, str]]) -> str:
    """Return the reason why a glob matches no model; `items` are (name, what it is) of its matches."""
    listed = ", ".join(f"{PurePosixPath(name).name} is {what}" for name, what in items[:4])
    more = f" and {len(items) - 4} more" if len(items) > 4 else ""
    return f"matches no language model: {listed}{more}"


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[^a-z0-9]+", name.lower().removesuffix(".gguf")) if word]
