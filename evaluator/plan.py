"""From a request to a plan: what is measured, what is not comparable, and why. Nothing heavy happens here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from evaluator.architectures import head_tensor
from evaluator.config import BASELINE_METHOD, Comparison
from evaluator.errors import RequestError, SourceError, reason_of
from evaluator.export.graph import graph_request
from evaluator.export.rotary import check_context
from evaluator.manifest import Failure, TextRecord
from evaluator.runtime.device import Device, choose_devices
from evaluator.sources.hub import Report
from evaluator.sources.model_file import ModelFile
from evaluator.sources.naming import identifier, model_name, quant_label, sibling_identifier
from evaluator.sources.opening import open_model
from evaluator.sources.resolve import resolve_one, resolve_source, sha256_of_all
from evaluator.sources.tokenizer import tokenizer_from_gguf, vocabulary_digest
from evaluator.text_sources import read_texts
from evaluator.windows import Window, cut_windows


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
    """Everything a run needs: files opened and checked, texts cut, devices chosen.

    The baseline is measured on `device`, and so is all but the scores of variants.
    """

    model: str
    device: Device
    baseline: Candidate
    variants: tuple[Candidate, ...]
    failures: tuple[Failure, ...]
    windows: tuple[Window, ...]
    texts: tuple[TextRecord, ...]
    further_devices: tuple[Device, ...] = ()

    @property
    def devices(self) -> tuple[Device, ...]:
        """All that variants may be measured on, each of them equal to `device`."""
        return (self.device, *self.further_devices)

    @property
    def sources(self) -> set[str]:
        """Every variant's file or folder, usable or not."""
        return {str(item.file.path) for item in self.variants} | {item.source for item in self.failures}


#: Variant → file name and SHA-256 of what was measured under that name.
Measured = Mapping[str, tuple[str, str]]


def make_plan(
    comparison: Comparison, report: Report = lambda _: None, measured: Measured = MappingProxyType({})
) -> Plan:
    """Open and check everything that a comparison names.

    Args:
        comparison: the request.
        report: told what is being fetched.
        measured: what the results folder holds; other files do not take its names.

    Raises:
        RequestError: the request, the baseline or a text is unusable. An unusable variant is a failure in the
            plan instead: the others go on.
    """
    device, *further = choose_devices(comparison.device, comparison.threads)
    baseline_path = resolve_one(comparison.baseline, report)
    try:
        file = open_model(baseline_path)
        texts = [text for argument in comparison.texts for text in read_texts(argument, file, report)]
        named = [
            (item.method, path)
            for item in comparison.variants
            for path in resolve_source(item.source, report)
        ]
        report("reading files and texts")
        model, reference = model_name(file), comparable_traits(file)
        windows, records = cut_windows(texts, tokenizer_from_gguf(file), comparison.protocol)
        check_context(file, comparison.context)
        baseline = _candidate(file, model, BASELINE_METHOD, device, set(), {})
    except SourceError as error:
        raise RequestError(f"baseline {error}") from error
    # Globs may overlap: what is named twice is measured once.
    sources = list(dict.fromkeys(named))
    variants, failures = _open_variants(sources, baseline, reference, model, device, measured)
    return Plan(
        model,
        device,
        baseline,
        tuple(variants),
        tuple(failures),
        tuple(windows),
        tuple(records),
        tuple(further),
    )


def _candidate(
    file: ModelFile, model: str, method: str, device: Device, taken: set[str], measured: Measured
) -> Candidate:
    quant, digest = quant_label(file), sha256_of_all(file.files)
    base = identifier(model, method, quant, device.name)
    name = _name_it_has(base, digest, taken, measured)
    if name is None:
        # A file that changed takes its own place again; another file, named in another run, does not.
        others = {
            key for key, (source, sha256) in measured.items() if source != file.name and sha256 != digest
        }
        name = sibling_identifier(base, taken | others, file.path)
    return Candidate(name, method, quant, digest, file, method == BASELINE_METHOD)


def _name_it_has(base: str, digest: str, taken: set[str], measured: Measured) -> str | None:
    """Under which name these very bytes were measured: `base`, or a sibling of it when a file stood there then."""
    same = [name for name, (_, sha256) in measured.items() if sha256 == digest and name not in taken]
    siblings = [name for name in same if name == base or name.startswith(f"{base}-")]
    return min(siblings, key=len, default=None)


def _open_variants(
    sources: list[tuple[str, Path]],
    baseline: Candidate,
    reference: Traits,
    model: str,
    device: Device,
    measured: Measured,
) -> tuple[list[Candidate], list[Failure]]:
    variants: list[Candidate] = []
    failures: list[Failure] = []
    taken = {baseline.variant_id}
    for method, path in sources:
        try:
            file = open_model(path)
            check_comparable(file, reference)
            candidate = _candidate(file, model, method, device, taken, measured)
        except Exception as error:  # files are only read here, so whatever is wrong is wrong with this one
            failures.append(Failure(source=str(path), reason=reason_of(error, path)))
            continue
        taken.add(candidate.variant_id)
        variants.append(candidate)
    return variants, failures


@dataclass(frozen=True)
class Traits:
    """What two files must share for their distributions to be compared; a baseline's are read once."""

    architecture: str
    graph: dict[str, Any]
    head: tuple[int, ...]
    vocabulary: str


def comparable_traits(file: ModelFile) -> Traits:
    """The traits of a file.

    Raises:
        SourceError: its family is not known, or what decides it is missing.
    """
    head = file.tensor(head_tensor(file)).shape
    request = graph_request(file)
    graph = {
        "graph's family": request["model_type"],
        "rotary embedding's scale": request["rotary_scale"],
        **request["settings"],
    }
    return Traits(file.architecture, graph, head, vocabulary_digest(file))


def check_comparable(variant: ModelFile, reference: Traits) -> None:
    """Check that a variant has the baseline's family, graph and vocabulary.

    Raises:
        SourceError: it has not; the message names the first difference.
    """
    if variant.architecture != reference.architecture:
        raise SourceError(
            variant.path,
            f"architecture {variant.architecture} is not the baseline's {reference.architecture}",
        )
    mine = comparable_traits(variant)
    for key in reference.graph | mine.graph:
        own, other = mine.graph.get(key), reference.graph.get(key)
        if own != other:
            raise SourceError(variant.path, f"{key} is {own}, the baseline's is {other}")
    if mine.head != reference.head:
        name = head_tensor(variant)
        raise SourceError(variant.path, f"{name} is {mine.head}, the baseline's is {reference.head}")
    if mine.vocabulary != reference.vocabulary:
        raise SourceError(
            variant.path, "its vocabulary is not the baseline's, so token ids mean other things"
        )
