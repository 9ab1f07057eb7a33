"""The divergence that each matrix of a model causes at one type, kept in a file beside the variants.

At another type, the divergence of a matrix changes as its importance-weighted error does (`sensitivity`): for small
errors, divergence is quadratic in the error of the matrix's output, of which the weighted error is the share.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gguf import GGMLQuantizationType as GGMLType

from evaluator.models.model_file import ModelFile
from evaluator.quantize.ggml import block_size, ggml_type
from evaluator.quantize.recipe import choices
from evaluator.quantize.type_plan import TypePlan, make_plan
from evaluator.support.atomic_files import whole_file

#: The type at which divergence is measured: fast to make, for rows of any length that quantizes, and of an error that
#: is neither lost among rounding errors nor so large that divergence is no longer quadratic.
REFERENCE = "Q4_0"


@dataclass(frozen=True)
class Guidance:
    """Measured divergences of a model's matrices.

    Attributes:
        reference: tensor → the type it was measured at.
        divergence: tensor → KLD in nats with only this tensor at that type.
    """

    reference: Mapping[str, GGMLType]
    divergence: Mapping[str, float]


def reference_plan(source: ModelFile) -> TypePlan:
    """Return the types of the file whose matrices are measured: the reference, in embedding and head too.

    Raises:
        SourceError: the model's metadata is incomplete.
    """
    choice = choices("main")[REFERENCE]
    uniform = choice.model_copy(update={"rules": ()})
    return make_plan(source, uniform, None)


def read_guidance(path: Path, fingerprint: str) -> Guidance | None:
    """Return what `write_guidance` wrote with the same fingerprint; None if there is no such file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["fingerprint"] != fingerprint:
            return None
        rows = content["matrices"]
        return Guidance(
            {name: ggml_type(str(row["type"])) for name, row in rows.items()},
            {name: float(row["kld"]) for name, row in rows.items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_guidance(path: Path, fingerprint: str, guidance: Guidance) -> None:
    """Write measured divergences as JSON, atomically."""
    rows = {
        name: {"type": guidance.reference[name].name, "kld": kld} for name, kld in guidance.divergence.items()
    }
    text = json.dumps({"fingerprint": fingerprint, "matrices": rows}, indent=1)
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def measurable(plan: TypePlan) -> list[str]:
    """Return the matrices of a plan that are quantized."""
    return [name for name, kind in plan.items() if block_size(kind) > 1]
