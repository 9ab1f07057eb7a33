"""Plan dynamic mixtures: spend the bytes of a stock mixture, or of a target, where the model is most sensitive.

The loss of a matrix at a type is its measured error (`sensitivity`) times a factor: the recipe's factor for its role,
or, in recipes based on divergence, the divergence that the matrix was measured to cause per unit of weighted error
(`guidance`). A matrix at the quantized type that it has already loses nothing. Losses are assumed to add up over
matrices, and `allocation` minimizes their sum.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as GGMLType

from evaluator.models.model_file import ModelFile
from evaluator.quantize import ggml
from evaluator.quantize.allocation import Option, allocate
from evaluator.quantize.guidance import LEAST_ERROR, Guidance
from evaluator.quantize.recipe import Choice
from evaluator.quantize.sensitivity import Errors, measure_errors
from evaluator.quantize.type_plan import NEED_IMPORTANCE, TypePlan, fitting, layer_of, role_of
from evaluator.quantize.variants import planned_bytes
from evaluator.support.errors import RequestError
from evaluator.support.units import GIGABYTE

Means = Mapping[str, npt.NDArray[np.float32]]
#: Types with less than this share of the bits per weight that there are for a matrix on average are not tried.
_LEAST_BITS = 0.55


@dataclass
class ErrorBook:
    """Measured errors, kept so that several sizes measure each matrix and type once."""

    file: ModelFile
    importance: Means
    pool: ThreadPoolExecutor
    advance: Callable[[str], None] = lambda _: None
    _errors: dict[str, dict[GGMLType, Errors]] = field(default_factory=dict)

    def errors(self, name: str, kinds: set[GGMLType]) -> Mapping[GGMLType, Errors]:
        """Return the relative squared errors of a matrix for each of `kinds`."""
        known = self._errors.setdefault(name, {})
        missing = sorted(kinds - known.keys())
        if missing:
            known |= measure_errors(self.file, name, missing, self.importance.get(name), self.pool)
            self.advance(name)
        return {kind: known[kind] for kind in kinds}


def share_out(choice: Choice, stock: TypePlan, book: ErrorBook, guidance: Guidance | None) -> TypePlan:
    """Return the plan of a dynamic mixture.

    Args:
        choice: a mixture with candidates.
        stock: the plan of the mixture it is like, whose bytes it may spend unless it has a target.
        book: errors of this model.
        guidance: needed by recipes based on divergence. Matrices that it does not cover keep their stock types.

    Raises:
        RequestError: the target is too small or too large.
        SourceError: a matrix cannot be read or quantized.
    """
    tensors = book.file.tensors
    kinds = _kinds(choice, stock, book.file, book.importance, guidance)
    budget = _budget(choice, stock, book.file, kinds)
    if guidance is not None and kinds:
        least = _LEAST_BITS * 8 * budget / sum(tensors[name].n_elements for name in kinds)
        fewer = _kinds(choice, stock, book.file, book.importance, guidance, least)
        kinds = fewer if _smallest(book.file, fewer) <= budget else kinds
    factors = choice.factors | (choice.hybrid_factors if is_hybrid(tensors) else {})
    options: dict[str, list[Option]] = {}
    for name, usable in kinds.items():
        if guidance is None:
            factor = factors.get(role_of(name, tied=False), 1.0)
            losses: Mapping[GGMLType, float] = {
                kind: factor * errors.mixed for kind, errors in book.errors(name, usable).items()
            }
        else:
            losses = _predicted(name, usable, book, guidance)
        options[name] = [
            Option(kind, planned_bytes(book.file, {name: kind}), loss) for kind, loss in losses.items()
        ]
    if guidance is not None:
        offered = {name: {option.kind for option in offers} for name, offers in options.items()}
        budget = _budget(choice, stock, book.file, offered)  # fewer types remain for matrices not judged
    chosen = allocate(options, budget)
    return {name: chosen.get(name, kind) for name, kind in stock.items()}


def _predicted(
    name: str, kinds: set[GGMLType], book: ErrorBook, guidance: Guidance
) -> Mapping[GGMLType, float]:
    """Return the predicted divergence of a matrix by type; of one that could not be judged, only types without loss.

    If no type is without loss, the one with most bits remains.
    """
    if name not in guidance.divergence:
        errors = book.errors(name, kinds)
        lossless = [kind for kind in kinds if errors[kind].weighted < LEAST_ERROR]
        return dict.fromkeys(lossless or [max(kinds, key=ggml.bits)], 0.0)
    reference = guidance.reference[name]
    errors = book.errors(name, kinds | {reference})
    factor = guidance.divergence[name] / errors[reference].weighted
    return {kind: factor * errors[kind].weighted for kind in kinds}


def is_hybrid(names: Collection[str]) -> bool:
    """Return whether blocks of a model have state spaces, linear attention or short convolutions."""
    return any(".ssm_" in name or ".shortconv." in name for name in names)


def _shared(choice: Choice, stock: TypePlan, guidance: Guidance | None) -> list[str]:
    """Return the matrices whose bytes are reallocated; embedding and head only if their divergence is measured."""
    quantized = [name for name, kind in stock.items() if ggml.block_size(kind) > 1]
    if choice.sensitivity != "divergence":
        return [name for name in quantized if layer_of(name) >= 0]
    return [name for name in quantized if guidance is None or name in guidance.reference]


def _kinds(
    choice: Choice,
    stock: TypePlan,
    file: ModelFile,
    importance: Collection[str],
    guidance: Guidance | None,
    least: float = 0.0,
) -> dict[str, set[GGMLType]]:
    """Return the types to choose among for every matrix whose bytes are reallocated, of at least `least` bits."""
    found: dict[str, set[GGMLType]] = {}
    for name in _shared(choice, stock, guidance):
        columns = file.tensors[name].shape[-1]
        fit = {fitting(kind, columns) for kind in choice.candidates if ggml.bits(kind) >= least}
        wanted = fit if choice.target else fit | {stock[name]}
        usable = {kind for kind in wanted if name in importance or not _needs_importance(kind)}
        own = file.tensors[name].ggml_type
        if choice.sensitivity == "divergence" and own in ggml.QUANTIZABLE and ggml.block_size(own) > 1:
            usable.add(own)
        found[name] = usable or {stock[name]}
    return found


def _needs_importance(kind: GGMLType) -> bool:
    """Return whether ggml cannot make a type without importances, or llama-quantize refuses to."""
    return kind in NEED_IMPORTANCE or ggml.needs_importance(kind)


def _budget(choice: Choice, stock: TypePlan, file: ModelFile, kinds: Mapping[str, set[GGMLType]]) -> int:
    """Return the bytes for the matrices that are reallocated.

    Raises:
        RequestError: the mixture has a target that no choice of types meets.
    """
    if choice.target is None:
        return int(planned_bytes(file, {name: stock[name] for name in kinds}) * choice.budget)
    fixed = planned_bytes(file, {name: kind for name, kind in stock.items() if name not in kinds})
    least, most = fixed + _smallest(file, kinds), fixed + _largest(file, kinds)
    if not least <= choice.target <= most:
        asked, *bounds = (
            f"{size / GIGABYTE:.4g} GB ({8 * size / file.n_params:.2f} bits per weight)"
            for size in (choice.target, least, most)
        )
        reason = "smaller" if choice.target < least else "larger"
        raise RequestError(
            f"{choice.asked}: {asked} is {reason} than recipe {choice.recipe} can make of {file.path}: "
            f"{' to '.join(bounds)}, for all tensors"
        )
    return choice.target - fixed


def _smallest(file: ModelFile, kinds: Mapping[str, set[GGMLType]]) -> int:
    return sum(min(planned_bytes(file, {name: kind}) for kind in offered) for name, offered in kinds.items())


def _largest(file: ModelFile, kinds: Mapping[str, set[GGMLType]]) -> int:
    return sum(max(planned_bytes(file, {name: kind}) for kind in offered) for name, offered in kinds.items())


def check_target(choice: Choice, stock: TypePlan, file: ModelFile, importance: Collection[str]) -> None:
    """Check that the target of a mixture can be met, as far as that is known before anything is measured.

    Raises:
        RequestError: it is too small or too large; the message has the bounds.
    """
    if choice.target is not None:
        _budget(choice, stock, file, _kinds(choice, stock, file, importance, None))


def most_bytes(choice: Choice, stock: TypePlan, file: ModelFile) -> int:
    """Return the most bytes that a mixture's tensors may take, without measuring dynamic ones.

    Args:
        choice: any mixture.
        stock: its plan; for a dynamic one, the plan of the mixture it is like.
        file: the model.
    """
    if choice.target is not None:
        return choice.target
    shared = planned_bytes(file, {name: stock[name] for name in _shared(choice, stock, None)})
    return planned_bytes(file, stock) + int(shared * choice.budget) - shared
