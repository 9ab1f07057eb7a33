"""Follow the recipe of a published GGUF file: the type of each of its tensors, read from its header alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import gguf
from gguf import GGMLQuantizationType as GGMLType

from evaluator.models.gguf.reader import GGUFFile
from evaluator.models.gguf.split import SplitGGUF
from evaluator.models.model_file import ModelFile, TensorInfo
from evaluator.models.naming import quant_label
from evaluator.models.sources.hub import Hub
from evaluator.models.sources.hub_header import open_hub_header
from evaluator.models.sources.hub_source import PREFIX as HUB_PREFIX
from evaluator.models.sources.hub_source import HubSource, Report, silent
from evaluator.models.sources.open_model import open_model
from evaluator.models.sources.resolve import resolve_one
from evaluator.quantize.ggml import QUANTIZABLE
from evaluator.quantize.recipe import Choice
from evaluator.support.errors import RequestError, SourceError

PREFIX = "like:"
_CONVERTIBLE = frozenset(QUANTIZABLE)
_FILE_TYPE = "general.file_type"
_IMATRIX = ("quantize.imatrix.dataset", "quantize.imatrix.file")


def choice_like(recipe: str, report: Report = silent, hub: Hub | None = None) -> Choice:
    """Return the choice that follows `like:SRC`, labelled as the file is.

    Args:
        recipe: `like:SRC`; SRC is a `.gguf` file, a part of a split model, or `hf:owner/repo[@revision]/file`.
        report: called with a line about each request, and about what cannot be followed.
        hub: the hub to read from.

    Raises:
        RequestError: SRC cannot be read, or is no GGUF file.
    """
    file = _open(recipe.removeprefix(PREFIX), report, hub or Hub())
    if (given := next((file.metadata[key] for key in _IMATRIX if key in file.metadata), None)) is not None:
        report(
            f"{file.path}: was made with an importance matrix ({given}), which a file does not contain: "
            "types are followed, importances are those of --imatrix"
        )
    file_type = _file_type(file)
    return Choice(
        label=quant_label(file),
        recipe=recipe,
        stock=quant_label(file),
        type=_most_used(file),
        file_type=file_type,
        rules=(),
        low_bit=False,
        # As llama-quantize, which makes this mixture with an importance matrix only.
        needs_importance=(GGMLType.Q2_K,) if file_type == gguf.LlamaFileType.MOSTLY_Q2_K_S else (),
        keep=(),
        importance="optional",
        followed=file,
    )


def _open(source: str, report: Report, hub: Hub) -> ModelFile:
    try:
        if source.startswith(HUB_PREFIX):
            return open_hub_header(HubSource.parse(source), hub, report)
        file = open_model(resolve_one(source, report))
    except SourceError as error:
        raise RequestError(f"--recipe {PREFIX}{source}: {error}") from error
    if not isinstance(file, (GGUFFile, SplitGGUF)):
        raise RequestError(f"--recipe {PREFIX}{source}: is no GGUF file, so it has no types to follow")
    return file


def _file_type(file: ModelFile) -> gguf.LlamaFileType:
    """Return the stated file type; without one, llama.cpp's number for that."""
    stated = file.metadata.get(_FILE_TYPE, gguf.LlamaFileType.GUESSED)
    try:
        return gguf.LlamaFileType(stated)
    except ValueError:
        raise RequestError(f"{file.path}: its {_FILE_TYPE}, {stated!r}, is not known here") from None


def _most_used(file: ModelFile) -> GGMLType:
    weights: dict[GGMLType, int] = {}
    for info in file.tensors.values():
        weights[info.ggml_type] = weights.get(info.ggml_type, 0) + info.n_elements
    return max(weights, key=lambda kind: weights[kind])


def followed_types(
    file: ModelFile, recipe: str, followed: ModelFile, names: Sequence[str]
) -> Mapping[str, GGMLType]:
    """Return the types that the tensors of `file` have in `followed`.

    Args:
        file: the model to quantize.
        recipe: the `like:SRC` of the request.
        followed: the file to follow.
        names: the tensors of `file` in the order of the new file.

    Raises:
        RequestError: architectures, tensors or shapes of the two differ, or a type cannot be made.
    """
    if followed.architecture != file.architecture:
        reason = f"is a {followed.architecture} model, but {file.path} is {file.architecture}"
        raise RequestError(f"--recipe {recipe}: {reason}")
    if absent := sorted(file.tensors.keys() - followed.tensors.keys()):
        raise RequestError(f"--recipe {recipe}: lacks {_counted(absent)} of {file.path}")
    if absent := sorted(followed.tensors.keys() - file.tensors.keys()):
        raise RequestError(f"--recipe {recipe}: has {_counted(absent)}, which {file.path} lacks")
    for name in names:
        if misfit := _misfit(file.tensors[name], followed.tensors[name]):
            raise RequestError(f"--recipe {recipe}: {name} {misfit}")
    return {name: followed.tensors[name].ggml_type for name in names}


def _misfit(info: TensorInfo, followed: TensorInfo) -> str | None:
    """Return why a tensor cannot become what it is in the followed file."""
    if info.shape_without_leading_ones != followed.shape_without_leading_ones:
        return f"is {_size(followed)} there, but {_size(info)} in the baseline"
    kind = followed.ggml_type
    if kind != info.ggml_type and not {kind, info.ggml_type} <= _CONVERTIBLE:
        return f"is {kind.name} there, which cannot be made from {info.ggml_type.name} here"
    return None


def _counted(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more tensors"


def _size(info: TensorInfo) -> str:
    return " × ".join(str(size) for size in info.shape)
