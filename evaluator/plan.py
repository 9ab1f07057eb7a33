"""From a request to a plan: what is measured, what is not comparable, and why. Nothing heavy happens here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluator.architectures import head_tensor
from evaluator.config import BASELINE_METHOD, Comparison
from evaluator.errors import RequestError, SourceError
from evaluator.export.graph import graph_request
from evaluator.manifest import Failure, TextRecord
from evaluator.runtime.device import Device, choose_device
from evaluator.sources.gguf_file import open_gguf
from evaluator.sources.model_file import ModelFile
from evaluator.sources.naming import identifier, model_name, quant_label, sibling_identifier
from evaluator.sources.resolve import resolve_one, resolve_source, sha256_of
from evaluator.sources.tokenizer import tokenizer_from_gguf, vocabulary_digest
from evaluator.windows import Text, Window, cut_windows, read_text


@dataclass(frozen=True)
class Candidate:
    """A model file that will be measured."""

    variant_id: str
    method: str
    quant: str
    sha256: str
    file: ModelFile
    is_baseline: bool


@dataclass(frozen=True)
class Plan:
    """Everything a run needs: files opened and checked, texts cut, device chosen."""

    model: str
    device: Device
    baseline: Candidate
    variants: tuple[Candidate, ...]
    failures: tuple[Failure, ...]
    windows: tuple[Window, ...]
    texts: tuple[TextRecord, ...]


def make_plan(comparison: Comparison, built_in: Sequence[Text] = ()) -> Plan:
    """Open and check everything that a comparison names.

    Args:
        comparison: the request.
        built_in: texts that are at hand already, used instead of `comparison.texts`.

    Raises:
        RequestError: the request, the baseline or a text is unusable. An unusable variant is a failure in the
            plan instead: the others go on.
    """
    texts = list(built_in) or [read_text(argument) for argument in comparison.texts]
    sources = [(item.method, path) for item in comparison.variants for path in resolve_source(item.source)]
    baseline_path = resolve_one(comparison.baseline)
    device = choose_device(comparison.device, comparison.threads)
    try:
        baseline_file = open_gguf(baseline_path)
        model = model_name(baseline_file)
        baseline = _candidate(baseline_file, model, BASELINE_METHOD, device, set())
        graph_request(baseline_file)  # an unknown architecture is better said now than after hours
        windows, records = cut_windows(texts, tokenizer_from_gguf(baseline_file), comparison.protocol)
    except SourceError as error:
        raise RequestError(f"baseline {error}") from error
    variants, failures = _open_variants(sources, baseline, model, device)
    return Plan(model, device, baseline, tuple(variants), tuple(failures), tuple(windows), tuple(records))


def _candidate(file: ModelFile, model: str, method: str, device: Device, taken: set[str]) -> Candidate:
    quant, digest = quant_label(file), sha256_of(file.path)
    name = sibling_identifier(identifier(model, method, quant, device.name), taken, file.path)
    return Candidate(name, method, quant, digest, file, method == BASELINE_METHOD)


def _open_variants(
    sources: list[tuple[str, Path]], baseline: Candidate, model: str, device: Device
) -> tuple[list[Candidate], list[Failure]]:
    variants: list[Candidate] = []
    failures: list[Failure] = []
    taken = {baseline.variant_id}
    for method, path in sources:
        try:
            file = open_gguf(path)
            check_comparable(file, baseline.file)
            candidate = _candidate(file, model, method, device, taken)
        except SourceError as error:
            failures.append(Failure(source=str(path), reason=error.reason))
            continue
        taken.add(candidate.variant_id)
        variants.append(candidate)
    return variants, failures


def check_comparable(variant: ModelFile, baseline: ModelFile) -> None:
    """Check that a variant has the baseline's family, shape and vocabulary.

    Raises:
        SourceError: it has not; the message names the first difference.
    """
    if variant.architecture != baseline.architecture:
        raise SourceError(
            variant.path,
            f"architecture {variant.architecture} is not the baseline's {baseline.architecture}",
        )
    mine, theirs = graph_request(variant)["settings"], graph_request(baseline)["settings"]
    for key, value in theirs.items():
        if mine[key] != value:
            raise SourceError(variant.path, f"{key} is {mine[key]}, the baseline's is {value}")
    name = head_tensor(variant)
    head, reference = variant.tensors[name].shape, baseline.tensors[head_tensor(baseline)].shape
    if head != reference:
        raise SourceError(variant.path, f"{name} is {head}, the baseline's is {reference}")
    if vocabulary_digest(variant) != vocabulary_digest(baseline):
        raise SourceError(
            variant.path, "its vocabulary is not the baseline's, so token ids mean other things"
        )
