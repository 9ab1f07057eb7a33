"""Find the models on disk that a SRC argument names.

SRC is a `.gguf` file, a glob, a folder with a Hugging Face checkpoint, `hf:owner/repo[@revision][/glob]`, or the
name of a packaged model. The results are paths for `open_model`: files, first parts of split models, folders.
"""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Callable, Iterable, Sequence
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
from evaluator.models.sources.hub import Hub
from evaluator.models.sources.hub_source import PREFIX, HubSource, Report, silent
from evaluator.models.sources.packaged import PACKAGED_MODELS
from evaluator.support.errors import RequestError
from evaluator.support.paths import NOT_UTF8, accessing, is_utf8, typed_path
from evaluator.support.suggestions import nearest

_HASH_CHUNK = 1 << 22


def resolve_source(source: str, report: Report = silent, skip: Report = silent) -> list[Path]:
    """Return the models that `source` names, sorted; a glob skips files that are no language models.

    Args:
        source: the argument as typed.
        report: called with a line about each download.
        skip: called with a line about each file that a glob matches but that is skipped.

    Raises:
        RequestError: no file exists, the name is not known, or the hub does not provide it.
    """
    if not source.strip():
        raise RequestError("SRC is empty: name a .gguf file, a glob, a checkpoint folder or hf:owner/repo")
    if source in PACKAGED_MODELS:
        return [PACKAGED_MODELS[source].find(source, report)]
    if source.startswith(PREFIX):
        requested = HubSource.parse(source)
        paths = Hub().models(requested, report, skip)
        several = requested.pattern is not None and glob.has_magic(requested.pattern)
        return _models_among(source, paths, skip) if several else paths
    with accessing(source):
        paths = _on_disk(source, skip)
    if unnamed := next((path for path in paths if not is_utf8(path.absolute())), None):
        raise RequestError(f"{unnamed.absolute()}: is {NOT_UTF8}")
    return paths


def _on_disk(source: str, skip: Report) -> list[Path]:
    """Return the models that the name of a file or folder, or a glob, gives.

    Raises:
        RequestError: there is none.
    """
    path = typed_path(source)
    if _is_model(path):
        return [first_part(path)]
    # A folder that is there by this very name is no pattern, whatever characters are in it.
    folder = glob.escape(str(path.parent)) if path.parent.is_dir() else str(path.parent)
    matches = sorted(Path(name) for name in glob.glob(str(Path(folder) / path.name)))  # noqa: PTH207 (absolute patterns)
    if paths := _distinct(match for match in matches if _is_model(match)):
        return _models_among(source, paths, skip)
    if path.is_dir():
        raise RequestError(
            f"{source}: is a folder without a config.json; to use its GGUF files, write {source}/*.gguf"
        )
    if glob.has_magic(source):
        raise RequestError(f"{source}: no file matches")
    raise RequestError(f"{source}: no such file or model{nearest(source, PACKAGED_MODELS)}")


def _models_among(source: str, paths: Sequence[Path], skip: Report) -> list[Path]:
    """Return the language models among the matches of a glob.

    Raises:
        RequestError: there is none.
    """
    named = companions_by_name([path.name for path in paths], PurePath(source).name)
    # Only drafts are recognized by their names; for all other companions the header decides.
    drafts = {path: DRAFT for path in paths if named.get(path.name) == DRAFT}
    by_header = {path: what for path in paths if (what := companion_on_disk(path))}
    companions = drafts | by_header
    if len(companions) == len(paths):
        raise RequestError(f"{source}: {nothing_left([(path.name, companions[path]) for path in paths])}")
    for path in filter(companions.get, paths):
        skip(skipped_line(path.name, companions[path], by_name=path not in by_header))
    return [path for path in paths if path not in companions]


def _is_model(path: Path) -> bool:
    return path.is_file() or is_checkpoint(path)


def _distinct(paths: Iterable[Path]) -> list[Path]:
    """Return each path once, with split models by their first part."""
    return list(dict.fromkeys(first_part(path) for path in paths))


def resolve_one(source: str, report: Report = silent) -> Path:
    """Return the only model that `source` names.

    Raises:
        RequestError: it names no model or several.
    """
    paths = resolve_source(source, report)
    if len(paths) != 1:
        raise RequestError(f"{source}: {len(paths)} files match; name one of them")
    return paths[0]


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, read in chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_HASH_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def sha256_of_all(paths: Sequence[Path], digest_of: Callable[[Path], str] = sha256_of) -> str:
    """Return the SHA-256 of a model's file, or of the output of `sha256sum` for its files if there are several.

    Args:
        paths: the files.
        digest_of: returns the SHA-256 of one file.
    """
    if len(paths) == 1:
        return digest_of(paths[0])
    lines = "".join(f"{digest_of(path)}  {path.name}\n" for path in paths)
    return hashlib.sha256(lines.encode()).hexdigest()
