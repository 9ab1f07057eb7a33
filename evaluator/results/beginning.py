"""Begin a run in a results folder: continue its comparison, replace it, or add another model's beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evaluator.results.clearing import clear, clear_model, sweep
from evaluator.results.files import MANIFEST_NAME, OF_VARIANTS, VARIANTS
from evaluator.results.manifest import Manifest, difference, going_on, is_same_model
from evaluator.results.reader import ResultsFileError, read_frame, read_manifest
from evaluator.support.errors import RequestError


def begin(
    folder: Path, manifest: Manifest, *, force: bool
) -> tuple[list[Manifest], Manifest, list[Manifest]]:
    """Remove what is replaced; return the manifests before, of and after the comparison that begins.

    With `force`, a damaged frame that runs write again is removed, and a folder whose manifest or variants frame is
    damaged is emptied, with all of its models.

    Raises:
        RequestError: the folder holds another comparison of this model, or one with windows of another length, or is
            damaged; nothing was changed.
    """
    stored = _stored(folder, emptied=force)
    same = next((item for item in stored if is_same_model(item, manifest)), None)
    others = [item for item in stored if item is not same and _measured(folder, item, stored)]
    if others and (length := others[0].protocol.context) != manifest.protocol.context:
        raise RequestError(
            f"{folder}: holds {others[0].model} with windows of {length} tokens, the same as which all models in a "
            "folder must have; choose another --out"
        )
    if same and not force and not _gives_way(folder, manifest, same, stored):
        manifest = going_on(manifest, same)
    elif not others:
        clear(folder)
    elif same:
        clear_model(folder, same.model)
    sweep(folder)
    place = sum(item in others for item in stored[: stored.index(same)]) if same else len(others)
    return others[:place], manifest, others[place:]


def _stored(folder: Path, *, emptied: bool) -> list[Manifest]:
    """Return the manifest of each model; none if it or the variants frame is damaged and the folder may be emptied.

    Raises:
        ResultsFileError: a file is damaged.
    """
    if not (folder / MANIFEST_NAME).is_file():
        return []
    # Find damage now: adding to a damaged file would fail after hours of work.
    for file in OF_VARIANTS:
        try:
            read_frame(folder, file)
        except ResultsFileError as error:
            if not emptied:
                raise
            error.path.unlink()
    try:
        read_frame(folder, VARIANTS)
        return read_manifest(folder).each
    except ResultsFileError:
        if not emptied:
            raise
        return []


def _gives_way(folder: Path, manifest: Manifest, earlier: Manifest, stored: Sequence[Manifest]) -> bool:
    """Return whether a model's earlier comparison is another one, which measured nothing.

    Raises:
        RequestError: it is another one, and measured something.
    """
    changed = difference(manifest, earlier)
    if changed and _measured(folder, earlier, stored):
        raise RequestError(
            f"{folder}: holds a comparison with another {changed}; choose another --out or use --force"
        )
    return changed is not None


def _measured(folder: Path, manifest: Manifest, stored: Sequence[Manifest]) -> bool:
    """Return whether the folder has rows of a model; rows under a name that no manifest has may be of any."""
    others = [item.model for item in stored if item is not manifest]
    return bool(set(read_frame(folder, VARIANTS)["model"]).difference(others))
