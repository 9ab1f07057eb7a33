"""Whether two files can be compared: whether they differ in nothing but the values of their weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from evaluator.export.composing.fit import fitting_shapes
from evaluator.export.exact.graph import graph_request
from evaluator.models.architectures import HEAD, described, has_own_head, head_tensor
from evaluator.models.architectures.traits import traits_of
from evaluator.models.model_file import ModelFile
from evaluator.models.tokenizers.pretokenizers import PRE_TOKENIZERS
from evaluator.models.tokenizers.scheme import scheme_name
from evaluator.models.tokenizers.tokenizer import vocabulary_digest
from evaluator.support.errors import SourceError


@dataclass(frozen=True)
class Traits:
    """The properties that two files must share for their token distributions to be comparable."""

    architecture: str
    graph: dict[str, Any]
    head: tuple[int, ...]
    own_head: bool
    pre: str | None
    vocabulary: str


def comparable_traits(file: ModelFile) -> Traits:
    """Read the traits of a file.

    Raises:
        SourceError: its family is not known, or metadata that decides a trait is missing.
    """
    head = file.tensor(head_tensor(file)).shape
    decoder = described(file)
    if decoder:
        shapes = fitting_shapes(file, decoder)
        graph = dict(traits_of(decoder)) | {
            f"the shape of {name}": shape for name, shape in shapes.items() if name != HEAD
        }
    else:
        request = graph_request(file)
        graph = {
            "graph's family": request["model_type"],
            "rotary embedding's scale": request["rotary_scale"],
            **request["settings"],
        }
    digest = vocabulary_digest(file)
    return Traits(file.architecture, graph, head, has_own_head(file), scheme_name(file), digest)


def check_comparable(variant: ModelFile, reference: Traits) -> None:
    """Check that a variant has the baseline's family, graph and vocabulary.

    Raises:
        SourceError: one differs; the message names the first difference.
    """
    if variant.architecture != reference.architecture:
        raise SourceError(
            variant.path,
            f"architecture {variant.architecture} is not the baseline's {reference.architecture}",
        )
    mine = comparable_traits(variant)
    for key in reference.graph | mine.graph:
        own, other = mine.graph.get(key), reference.graph.get(key)
        if not _same(own, other):
            raise SourceError(variant.path, f"{key} is {own}, the baseline's is {other}")
    if mine.head != reference.head:
        name = head_tensor(variant)
        raise SourceError(variant.path, f"{name} is {mine.head}, the baseline's is {reference.head}")
    if reference.own_head and HEAD not in variant.tensors:
        raise SourceError(
            variant.path,
            f"has no output matrix ({HEAD}), and the baseline's is not its embedding: part of the model "
            "is missing; download or convert it again",
        )
    if mine.vocabulary != reference.vocabulary:
        raise SourceError(variant.path, _other_vocabulary(mine, reference))


def _other_vocabulary(mine: Traits, reference: Traits) -> str:
    if mine.pre and reference.pre and PRE_TOKENIZERS[mine.pre] != PRE_TOKENIZERS[reference.pre]:
        return f"its pre-tokenizer is {mine.pre}, the baseline's {reference.pre}: the same text gives other tokens"
    return "its vocabulary is not the baseline's: the same token ids stand for other tokens"


def _same(own: Any, other: Any) -> bool:
    """Return whether two settings are equal, floats up to the rounding in files."""
    if isinstance(own, float) and isinstance(other, float):
        return math.isclose(own, other, rel_tol=1e-6)
    return bool(own == other)
