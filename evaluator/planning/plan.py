"""Turn a request into a plan: which files are measured, and which are not comparable and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from evaluator.export.composing.fit import left_out
from evaluator.models.architectures import described
from evaluator.models.architectures.rotary import check_context
from evaluator.models.gguf.split import is_part
from evaluator.models.model_file import ModelFile
from evaluator.models.naming import identifier, model_name, quant_label, sibling_identifier, told_apart
from evaluator.models.sources.digests import remembered_sha256
from evaluator.models.sources.hub_source import Report
from evaluator.models.sources.open_model import open_model
from evaluator.models.sources.resolve import resolve_one, resolve_source, sha256_of_all
from evaluator.models.tokenizers.scheme import scheme_name, with_named_scheme, with_scheme_of
from evaluator.models.tokenizers.tokenizer import tokenizer_from_gguf
from evaluator.planning.comparable import Traits, check_comparable, comparable_traits
from evaluator.planning.config import BASELINE_METHOD, Comparison
from evaluator.results.manifest import Failure, TextRecord
from evaluator.runtime.device import Device, choose_devices
from evaluator.support.errors import RequestError, SourceError, reason_of
from evaluator.texts.sources import read_texts
from evaluator.texts.windows import Window, cut_windows


@dataclass(frozen=True)
class Candidate:
    """A model file that will be measured."""

    variant_id: str
    method: str
    quant: str
    sha256: str
    file: ModelFile
    is_baseline: bool
    label: str
    """Its name on the terminal: method and type, plus the file where another variant shares both."""


@dataclass(frozen=True)
class Plan:
    """Everything a run needs: files opened and checked, texts cut into windows, devices chosen.

    Everything is measured on `device`, except that variants may be scored on `further_devices` too. `notices` are
    assumptions made where files say nothing; `pre_named` is whether `--pre` named the baseline's pre-tokenizer;
    `skipped` are files that globs match but that are not language models.
    """

    model: str
    device: Device
    baseline: Candidate
    variants: tuple[Candidate, ...]
    failures: tuple[Failure, ...]
    windows: tuple[Window, ...]
    texts: tuple[TextRecord, ...]
    further_devices: tuple[Device, ...] = ()
    notices: tuple[str, ...] = ()
    pre_named: bool = False
    skipped: tuple[str, ...] = ()

    @property
    def devices(self) -> tuple[Device, ...]:
        """All devices that variants may be scored on; all are of one kind."""
        return (self.device, *self.further_devices)

    @property
    def sources(self) -> set[str]:
        """Every variant's file or folder, usable or not."""
        return {str(item.file.path) for item in self.variants} | {item.source for item in self.failures}


#: Variant id → name and SHA-256 of the file measured under it.
Measured = Mapping[str, tuple[str, str]]


def make_plan(
    comparison: Comparison, report: Report = lambda _: None, measured: Measured = MappingProxyType({})
) -> Plan:
    """Open and check everything that a comparison names.

    Args:
        comparison: the request.
        report: called with what is being fetched.
        measured: what the results folder holds; its ids are not given to other files.

    Raises:
        RequestError: the request, the baseline or a text is unusable. An unusable variant is recorded as a failure
            in the plan instead.
    """
    device, *further = choose_devices(comparison.device, comparison.threads)
    baseline_path = resolve_one(comparison.baseline, report)
    skipped: list[str] = []
    try:
        stored = open_model(baseline_path)
        file = with_named_scheme(stored, comparison.pre)
        texts = [text for argument in comparison.texts for text in read_texts(argument, file, report)]
        named = [
            (item.method, path)
            for item in comparison.variants
            for path in resolve_source(item.source, report, skipped.append)
        ]
        report("reading files and texts")
        model, reference = model_name(file), comparable_traits(file)
        windows, records = cut_windows(
            texts, tokenizer_from_gguf(file), comparison.protocol, comparison.chunks_of
        )
        check_context(file, comparison.context)
        baseline = _candidate(file, model, BASELINE_METHOD, device)
    except SourceError as error:
        raise RequestError(f"baseline {error}") from error
    variants, failures, notices = _open_variants(
        _each_once(named), baseline, reference, model, device, measured, comparison.context
    )
    return Plan(
        model,
        device,
        baseline,
        tuple(variants),
        tuple(failures),
        tuple(windows),
        tuple(records),
        tuple(further),
        (*_unordered_merges(file), *_noticed(file), *_left_out(file), *notices),
        file is not stored,
        tuple(dict.fromkeys(skipped)),
    )


def _unordered_merges(file: ModelFile) -> list[str]:
    """Return a notice if the baseline's texts are tokenized otherwise than in the model's training."""
    if file.text_rules.merges_in_order:
        return []
    return [
        f"{file.path}: texts are tokenized as llama.cpp does with its GGUF files, without the order of merges in "
        "tokenizer.json; for the model's own tokens, put its tokenizer.model into the folder"
    ]


def _noticed(file: ModelFile) -> list[str]:
    return [] if file.notice is None else [f"{file.path}: {file.notice}"]


def _left_out(file: ModelFile) -> list[str]:
    """Return a notice if the baseline has parts that are not computed."""
    decoder = described(file)
    parts = sorted(set(left_out(file, decoder).values())) if decoder else []
    if not parts:
        return []
    return [f"{file.path}: left out, because a text's probabilities do not depend on it: {', '.join(parts)}"]


def _candidate(file: ModelFile, model: str, method: str, device: Device) -> Candidate:
    """Return a candidate whose id may be that of others of its method and type too; see `_with_own_ids`."""
    quant, digest = quant_label(file), sha256_of_all(file.files, remembered_sha256)
    name = identifier(model, method, quant, device.name)
    return Candidate(name, method, quant, digest, file, method == BASELINE_METHOD, f"{method} {quant}")


def _with_own_ids(variants: Sequence[Candidate], baseline_id: str, measured: Measured) -> list[Candidate]:
    """Return the variants with an id each: first those that were measured, which keep theirs, then all others.

    A changed file keeps its id; a different file does not get the id of one from an earlier run.
    """
    taken, ids = {baseline_id}, dict[int, str]()
    for place, item in enumerate(variants):
        if known := _measured_name(item, taken, measured):
            ids[place] = known
            taken.add(known)
    for place, item in enumerate(variants):
        if place not in ids:
            others = {name for name, (source, _) in measured.items() if source != item.file.name}
            ids[place] = sibling_identifier(item.variant_id, taken | others, item.file.path)
            taken.add(ids[place])
    return [replace(item, variant_id=ids[place]) for place, item in enumerate(variants)]


def _measured_name(item: Candidate, taken: set[str], measured: Measured) -> str | None:
    """Return the id under which a file with this digest was measured: its first one, or a sibling of it, or None."""
    base = item.variant_id
    same = [name for name, (_, sha256) in measured.items() if sha256 == item.sha256 and name not in taken]
    siblings = [name for name in same if name == base or name.startswith(f"{base}-")]
    return min(siblings, key=len, default=None)


def _each_once(named: Sequence[tuple[str, Path]]) -> list[tuple[str, Path]]:
    """Return each method's files once, by their first spelling: globs may overlap."""
    first: dict[tuple[str, Path], tuple[str, Path]] = {}
    for method, path in named:
        first.setdefault((method, _real_place(path)), (method, path))
    return list(first.values())


def _real_place(path: Path) -> Path:
    """Return where a model lies, the same for all spellings of its path; a split model's parts are found by name."""
    return path.parent.resolve() / path.name if is_part(path) else path.resolve()


def _open_variants(
    sources: list[tuple[str, Path]],
    baseline: Candidate,
    reference: Traits,
    model: str,
    device: Device,
    measured: Measured,
    context: int,
) -> tuple[list[Candidate], list[Failure], list[str]]:
    variants: list[Candidate] = []
    failures: list[Failure] = []
    notices: list[str] = []
    for method, path in sources:
        try:
            stored = open_model(path)
            file = with_scheme_of(stored, baseline.file)
            check_comparable(file, reference)
            check_context(file, context)
            variants.append(_candidate(file, model, method, device))
        except Exception as error:  # files are only read here, so the fault is this file's
            failures.append(Failure(source=str(path), reason=reason_of(error, path)))
            continue
        notices += _noticed(file)
        if file is not stored:
            notices.append(
                f"{path}: {_unnamed(stored)}; assumed to be the baseline's, {scheme_name(file)}, "
                "because the rest of its vocabulary is the same"
            )
    labels = told_apart(
        [item.label for item in variants],
        [item.file.name for item in variants],
        [str(item.file.path) for item in variants],
    )
    labelled = [replace(item, label=label) for item, label in zip(variants, labels, strict=True)]
    return _with_own_ids(labelled, baseline.variant_id, measured), failures, notices


def _unnamed(file: ModelFile) -> str:
    name = scheme_name(file)
    return "does not name its pre-tokenizer" if name is None else f"pre-tokenizer {name!r} is not known"
