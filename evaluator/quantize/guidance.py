"""The divergence that each matrix of a model causes at its reference type, kept in a file beside the variants.

At another type, the divergence of a matrix changes as its importance-weighted error does (`sensitivity`): for small
errors, divergence is quadratic in the error of the matrix's output, of which the weighted error is the share.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as GGMLType

from evaluator.models.model_file import ModelFile, TensorInfo
from evaluator.quantize.ggml import block_size, ggml_type
from evaluator.quantize.recipe import choices
from evaluator.quantize.sensitivity import measure_errors
from evaluator.quantize.type_plan import TypePlan, fitting, make_plan
from evaluator.support.atomic_files import whole_file

#: The type at which divergence is measured: fast to make, for rows of any length that quantizes, and of an error that
#: is neither lost among rounding errors nor so large that divergence is no longer quadratic.
REFERENCE = "Q4_0"
#: Types for matrices that have the reference already or whose values lie on its grid, in order of preference.
_OTHERS = (GGMLType.Q3_K, GGMLType.IQ4_NL)
#: The least weighted error by which a matrix can be judged, far below that of Q4_0 (about 0.006). Below it, values
#: lie on the type's grid but for rounding, and the quotient of divergence and error is one of rounding errors.
LEAST_ERROR = 1e-4


@dataclass(frozen=True)
class Guidance:
    """Measured divergences of a model's matrices.

    Attributes:
        reference: tensor → the type it was measured at.
        divergence: tensor → KLD in nats with only this tensor at that type. Tensors that could not be judged, because
            no reference changes them, are missing.
    """

    reference: Mapping[str, GGMLType]
    divergence: Mapping[str, float]

    @property
    def unjudged(self) -> list[str]:
        """The tensors that could not be judged."""
        return [name for name in self.reference if name not in self.divergence]


def reference_plan(source: ModelFile) -> TypePlan:
    """Return the types of the file whose matrices are measured: the reference, in embedding and head too.

    Matrices that have it already get another type, because their bytes would be copied.

    Raises:
        SourceError: the model's metadata is incomplete.
    """
    choice = choices("main")[REFERENCE]
    uniform = choice.model_copy(update={"rules": ()})
    plan = make_plan(source, uniform, None)
    return {**plan, **{name: _references(source.tensors[name])[0] for name in measurable(plan)}}


def judging_plan(
    source: ModelFile,
    plan: TypePlan,
    importance: Mapping[str, npt.NDArray[np.float32]],
    pool: ThreadPoolExecutor,
) -> tuple[TypePlan, list[str]]:
    """Return `plan` with other types for matrices whose error at theirs is too small to judge them by.

    Args:
        source: the model.
        plan: its `reference_plan`.
        importance: tensor name → importances.
        pool: threads to quantize on.

    Returns:
        The plan, and the matrices that no reference changes enough; these keep the types of `plan`.

    Raises:
        SourceError: a matrix cannot be read or quantized.
    """
    judging, unjudged = dict(plan), list[str]()
    for name in measurable(plan):
        for kind in _references(source.tensors[name]):
            found = measure_errors(source, name, [kind], importance.get(name), pool)
            if found[kind].weighted >= LEAST_ERROR:
                judging[name] = kind
                break
        else:
            unjudged.append(name)
    return judging, unjudged


def _references(info: TensorInfo) -> list[GGMLType]:
    """Return the types that a matrix may be measured at, best first."""
    fit = (fitting(kind, info.shape[-1]) for kind in (ggml_type(REFERENCE), *_OTHERS))
    return [kind for kind in dict.fromkeys(fit) if kind != info.ggml_type]


def read_guidance(path: Path, fingerprint: str) -> Guidance | None:
    """Return what `write_guidance` wrote with the same fingerprint; None if there is no such file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["fingerprint"] != fingerprint:
            return None
        rows = content["matrices"]
        return Guidance(
            {name: ggml_type(str(row["type"])) for name, row in rows.items()},
            {name: float(row["kld"]) for name, row in rows.items() if row["kld"] is not None},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_guidance(path: Path, fingerprint: str, guidance: Guidance) -> None:
    """Write measured divergences as JSON, atomically."""
    rows = {
        name: {"type": kind.name, "kld": guidance.divergence.get(name)}
        for name, kind in guidance.reference.items()
    }
    text = json.dumps({"fingerprint": fingerprint, "matrices": rows}, indent=1)
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def measurable(plan: TypePlan) -> list[str]:
    """Return the matrices of a plan that are quantized."""
    return [name for name, kind in plan.items() if block_size(kind) > 1]
