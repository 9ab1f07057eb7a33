"""Make the quantized variants of a model, one file per mixture of a recipe."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as GGMLType

from evaluator.models.gguf.reader import open_gguf
from evaluator.models.gguf.writer import FINGERPRINT_KEY, write_gguf
from evaluator.models.model_file import ModelFile
from evaluator.quantize import ggml
from evaluator.quantize.imatrix import ImportanceMatrix
from evaluator.quantize.recipe import Choice
from evaluator.quantize.type_plan import TypePlan
from evaluator.support.errors import RequestError, SourceError

Bytes = npt.NDArray[np.uint8]
Advance = Callable[[int], None]

#: Metadata key of the recipe's name.
RECIPE_KEY = "quantize.recipe"
#: llama.cpp truncates provenance texts to this length.
_MAX_TEXT = 127


@dataclass(frozen=True)
class Job:
    """One file to make from the model that `digest` identifies; `importance` is None if none is used."""

    digest: str
    choice: Choice
    plan: TypePlan
    importance: ImportanceMatrix | None
    target: Path

    @cached_property
    def fingerprint(self) -> str:
        """A digest of everything the file's bytes depend on."""
        parts = {
            "source": self.digest,
            "types": {name: kind.name for name, kind in self.plan.items()},
            "file_type": self.choice.file_type.name,
            "importance": None if self.importance is None else _importance_digest(self.importance),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _importance_digest(importance: ImportanceMatrix) -> str:
    digest = hashlib.sha256()
    for name in sorted(importance.means):
        digest.update(name.encode() + importance.means[name].tobytes())
    return digest.hexdigest()


def is_made(target: Path, fingerprint: str, *, replace: bool = False) -> bool:
    """Return whether `target` exists, made from the same source in the same way.

    Raises:
        RequestError: another file has this name and may not be replaced.
    """
    if not target.exists():
        return False
    try:
        existing = open_gguf(target).metadata.get(FINGERPRINT_KEY)
    except SourceError:
        existing = None
    if existing != fingerprint and not replace:
        reason = "was made from another source or recipe: choose another --out, or replace it with --force"
        raise RequestError(f"{target}: {reason}")
    return bool(existing == fingerprint)


def types_in(target: Path) -> TypePlan:
    """Return the type of every tensor of a file; none if it does not exist or cannot be read."""
    try:
        return {name: info.ggml_type for name, info in open_gguf(target).tensors.items()}
    except SourceError:
        return {}


def make_variant(
    source: ModelFile, job: Job, pool: ThreadPoolExecutor, advance: Advance = lambda _: None
) -> None:
    """Quantize `source` into the job's file, atomically.

    Args:
        source: the model.
        job: the file to make.
        pool: threads to quantize on.
        advance: called after each tensor with its number of weights.

    Raises:
        SourceError: a tensor cannot be read, or holds values that cannot be quantized.
    """
    means = job.importance.means if job.importance else {}

    def bytes_of(name: str) -> Bytes:
        encoded = encode(source, name, job.plan[name], means.get(name), pool)
        advance(source.tensors[name].n_elements)
        return encoded

    write_gguf(source, job.target, job.choice.file_type, job.plan, bytes_of, _provenance(job))


def encode(
    source: ModelFile,
    name: str,
    kind: GGMLType,
    importance: npt.NDArray[np.float32] | None,
    pool: ThreadPoolExecutor,
) -> Bytes:
    """Encode a tensor of `source` as bytes of type `kind`.

    Raises:
        SourceError: it cannot be read, or holds values that cannot be quantized.
    """
    info = source.tensor(name)
    if len(info.shape) > 1 and source.row_factors(name) is not None:
        raise SourceError(
            source.path, f"tensor {name}: its scale lies in a tensor of its own; quantize the original"
        )
    if kind == info.ggml_type and kind not in (GGMLType.F32, GGMLType.F16, GGMLType.BF16):
        return source.raw(name)  # as llama-quantize does: quantizing again can only lose
    if len(info.shape) < 2 and kind == GGMLType.F32:
        return source.dequantize(name).view(np.uint8)
    shape = (1, *info.shape) if len(info.shape) < 2 else info.shape
    try:
        return ggml.quantize_rows(shape, source.row_reader(name), kind, importance, pool)
    except ValueError as error:
        raise SourceError(source.path, f"tensor {name}: {error}") from None


def _provenance(job: Job) -> Mapping[str, str | int]:
    """Return the metadata about how the file was made; keys of the importance matrix are llama.cpp's."""
    added: dict[str, str | int] = {RECIPE_KEY: job.choice.recipe, FINGERPRINT_KEY: job.fingerprint}
    if job.importance is not None:
        added["quantize.imatrix.file"] = str(job.importance.path)[:_MAX_TEXT]
        if job.importance.datasets:
            added["quantize.imatrix.dataset"] = job.importance.datasets[0][:_MAX_TEXT]
        added["quantize.imatrix.entries_count"] = len(job.importance.means)
        if job.importance.chunks:
            added["quantize.imatrix.chunks_count"] = job.importance.chunks
    return added


def planned_bytes(source: ModelFile, plan: TypePlan) -> int:
    """Return the bytes that the tensors of a plan take."""
    sizes = (source.tensors[name] for name in plan)
    return sum(
        info.n_elements // info.shape[-1] * ggml.row_bytes(plan[info.name], info.shape[-1]) for info in sizes
    )
