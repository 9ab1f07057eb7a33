"""What lies beside quantized models and is no language model: projectors, importance matrices, adapters, drafts.

A file's header decides where the file is on this machine; before a download there is only its name.
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

#: `general.type` and `general.architecture` of what is no language model.
_TYPES: Mapping[str, str] = {
    "mmproj": _PROJECTOR,
    "clip-vision": _PROJECTOR,
    "projector": _PROJECTOR,
    "imatrix": _IMPORTANCES,
    "adapter": _ADAPTER,
    "vocab": _VOCABULARY,
}
_ARCHITECTURES: Mapping[str, str] = {"clip": _PROJECTOR, "eagle": DRAFT, "eagle3": DRAFT, "dflash": DRAFT}
#: Words in names that say the same wherever they stand.
_SURE_WORDS: Mapping[str, str] = {"mmproj": _PROJECTOR, "imatrix": _IMPORTANCES}
#: Words that models are called by as well: they tell only where other files of the same place lack them.
_DOUBTFUL_WORDS: Mapping[str, str] = {
    "lora": _ADAPTER,
    "adapter": _ADAPTER,
    "vocab": _VOCABULARY,
    "clip": _PROJECTOR,
    **dict.fromkeys(("draft", "drafter", "mtp", "eagle", "eagle2", "eagle3", "dflash", "medusa"), DRAFT),
}


def companion_by_header(path: Path, n_tensors: int, metadata: Mapping[str, object]) -> str | None:
    """What a GGUF file is that is no language model, such as `an importance matrix`; None for a model."""
    kind, architecture = metadata.get("general.type"), metadata.get("general.architecture")
    if found := _TYPES.get(str(kind).lower()) or _ARCHITECTURES.get(str(architecture).lower()):
        return found
    if any(key.startswith("imatrix.") for key in metadata):
        return _IMPORTANCES
    return _VOCABULARY if n_tensors == 0 and architecture and not is_part(path) else None


def companion_on_disk(path: Path) -> str | None:
    """What a file is that is no language model; None for models, folders, and files that cannot be read.

    A file that is called .gguf and is damaged is not a companion: what is wrong with it shows when it is opened.
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
    """Name → what it is, of the files whose names say that they are no language models.

    Args:
        names: everything that was found in one place, with its folders where they are the publisher's.
        pattern: the glob that was asked for; a word that it names is no reason to skip.
    """
    found: dict[str, str] = {}
    words = {name: _words(name) for name in names}
    asked = set(_words(pattern))
    for name, parts in words.items():
        for word, what in _SURE_WORDS.items():
            # NAME-imatrix-Q4_K_M.gguf is a model that was quantized with one.
            behind = parts[0] != word and f"{word}-" in name.lower() and ends_in_quant(name, word)
            if word in parts and not (word == "imatrix" and behind):
                found[name] = what
    models = [set(parts) for name, parts in words.items() if name not in found]
    for word, what in _DOUBTFUL_WORDS.items():
        if word in asked or all(word in parts for parts in models):
            continue
        found |= {name: what for name, parts in words.items() if name not in found and word in parts}
    return found


def skipped_line(name: str, what: str, *, by_name: bool) -> str:
    """One line about a file that is left out; where only its name says so, with the way to use it all the same."""
    way_out = " by its name; to use it, name the file in full" if by_name else ""
    return f"skipped: {PurePosixPath(name).name} is {what}{way_out}"


def nothing_left(items: Sequence[tuple[str, str]]) -> str:
    """Why a glob gives no model, all that it matches being companions: (name, what it is) of each."""
    listed = ", ".join(f"{PurePosixPath(name).name} is {what}" for name, what in items[:4])
    more = f" and {len(items) - 4} more" if len(items) > 4 else ""
    return f"matches no language model: {listed}{more}"


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[^a-z0-9]+", name.lower().removesuffix(".gguf")) if word]
