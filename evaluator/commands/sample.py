"""Make and measure the sample results: real models, quantized by publishers' recipes and by measured divergence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from rich.console import Console

from evaluator.commands.demo import rescaled_baseline
from evaluator.commands.guidance import Measuring
from evaluator.commands.quantize import measure_imatrix, quantize_model
from evaluator.commands.run import run_comparison
from evaluator.commands.sample_models import SAMPLE, SampleModel, Variant
from evaluator.models.gguf.reader import open_gguf
from evaluator.models.sources.digests import remembered_sha256
from evaluator.models.sources.packaged import PACKAGED_MODELS
from evaluator.models.sources.resolve import resolve_one
from evaluator.planning.config import Comparison, VariantSource
from evaluator.quantize.recipe import choices
from evaluator.quantize.rescale import SIGMA
from evaluator.support.errors import RequestError
from evaluator.support.suggestions import nearest
from evaluator.support.terminal import say
from evaluator.support.threads import use_threads
from evaluator.texts.sources import BUILT_IN, Text, built_in_texts, read_texts

_NOTE = (
    "No publisher made these files: they were made here, from a rescaled {published}, by recipes that follow the "
    "publishers'. main has no importance matrix, the others have one measured on {calibration} "
    "(windows of 512 tokens: {windows}), which is not one of the evaluation texts. guided is this project's: its "
    "types were chosen by the divergence that was measured on the same text. The baseline is the published "
    "{published}, dequantized, rescaled without changing the function "
    f"(log-normal factors, σ = {SIGMA}) so that no format is favoured, and stored as F16."
)


@dataclass(frozen=True)
class SampleTexts:
    """Texts, each `[DOMAIN=]FILE` or a known name.

    Attributes:
        text: what is evaluated on besides the built-in texts.
        calibration: what importances and divergences are measured on.
    """

    text: str
    calibration: str


def run_sample(
    models: Sequence[str],
    texts: SampleTexts,
    out: Path,
    console: Console,
    *,
    files: Sequence[Path] = (),
    chunks: int | None = None,
    threads: int | None = None,
    force: bool = False,
) -> list[dict[str, Any]]:
    """Make the models' variants, measure them into `out`, and return the summaries of the runs.

    The models are measured one after the other; the first is shown first by the dashboard.

    Args:
        models: known names of the models.
        texts: the texts.
        out: results folder.
        console: where progress is printed.
        files: models' files that are on this machine already, recognized by their content.
        chunks: at most this many windows per text.
        threads: default: the cores this process may use.
        force: measure again what is already measured.

    Raises:
        RequestError: a model is not known or cannot be had, a file is none of them, a text cannot be used, or is
            given for both calibration and evaluation.
        EvaluatorError: the graph could not be exported.
    """
    for name in models:
        if name not in SAMPLE:
            raise RequestError(f"--models {name}: is not a model of the sample{nearest(name, SAMPLE)}")
    use_threads(threads)
    known = _recognized(files)
    summaries = []
    for name in models:
        path = known.get(name) or resolve_one(name, partial(say, console))
        sample = _Sample(
            SAMPLE[name], texts, rescaled_baseline(path, SAMPLE[name].name, console), console, threads
        )
        summaries += sample.measure(sample.made(), out, chunks, force=force)
    return summaries


def _recognized(files: Sequence[Path]) -> dict[str, Path]:
    """Return known name → file.

    Raises:
        RequestError: a file cannot be read, or is none of the sample's.
    """
    names = {PACKAGED_MODELS[name].sha256: name for name in SAMPLE}
    found = {}
    for path in files:
        try:
            name = names.get(remembered_sha256(path))
        except OSError as error:
            raise RequestError(f"--model {path}: cannot be read: {error.strerror or error}") from error
        if name is None:
            raise RequestError(
                f"--model {path}: is none of the sample's files ({', '.join(SAMPLE)}); its content differs"
            )
        found[name] = path
    return found


@dataclass(frozen=True)
class _Sample:
    """One model of the sample, and the baseline made of it."""

    model: SampleModel
    texts: SampleTexts
    baseline: Path
    console: Console
    threads: int | None

    @cached_property
    def calibrated(self) -> Text:
        """The calibration text."""
        return read_texts(self.texts.calibration, open_gguf(self.baseline), partial(say, self.console))[0]

    @cached_property
    def evaluated(self) -> Text:
        """The evaluation text."""
        return read_texts(self.texts.text, open_gguf(self.baseline), partial(say, self.console))[0]

    def made(self) -> dict[Variant, Path]:
        """Return the variants' files; those that the cache folder does not hold yet are made.

        Raises:
            RequestError: the calibration text is evaluated, too, or the evaluation text twice, or one cannot be read.
        """
        built_in = {text.sha256 for text in built_in_texts()}
        if self.evaluated.sha256 in built_in:
            raise RequestError(f"--text {self.texts.text}: built-in texts are evaluated in any case")
        if self.calibrated.sha256 in {self.evaluated.sha256, *built_in}:
            raise RequestError(
                f"{self.calibrated.name}: the calibration text must not be an evaluation text too"
            )
        folder = self.baseline.parent / "sample"
        imatrix = folder / f"imatrix-{self.model.calibration}-{self.calibrated.sha256[:12]}.gguf"
        if not imatrix.is_file():
            measure_imatrix(
                str(self.baseline),
                [self.texts.calibration],
                imatrix,
                self.console,
                chunks=self.model.calibration,
                threads=self.threads,
            )
        files: dict[Variant, Path] = {}
        for method in self.model.methods:
            labels = self.model.labels(method)
            measures = choices(method)[labels[0]].sensitivity == "divergence"
            paths = quantize_model(
                str(self.baseline),
                method,
                labels,
                folder / method,
                self.console,
                imatrix=None if method == "main" else imatrix,
                measuring=Measuring((self.texts.calibration,)) if measures else None,
                threads=self.threads,
                replace=True,
            )
            files |= {(method, label): path for label, path in zip(labels, paths, strict=True)}
        return files

    def measure(
        self, files: Mapping[Variant, Path], out: Path, chunks: int | None, *, force: bool
    ) -> list[dict[str, Any]]:
        """Measure into `out`: attributions, then all variants from the middle sizes outwards, then engines."""
        model = self.model
        whole = Comparison(
            baseline=str(self.baseline),
            variants=_sources(files, model.variants),
            texts=(self.texts.text, BUILT_IN),
            out=out,
            chunks_of=model.chunks_of(self.evaluated.domain, chunks),
            engine_windows=model.engine_windows,
            threads=self.threads,
            baseline_note=_NOTE.format(
                published=model.published,
                calibration=self.calibrated.name,
                windows=model.calibration,
            ),
        )
        if model.engines:
            whole = whole.model_copy(update={"engines": model.engines})
        attributing = whole.model_copy(
            update={
                "variants": _sources(files, model.attributed),
                "attribution": True,
                "speed": False,
                "engines": ("onnxruntime",),
            }
        )
        return [
            run_comparison(asked, self.console, force=force and not number)
            for number, asked in enumerate((attributing, whole))
        ]


def _sources(files: Mapping[Variant, Path], variants: Sequence[Variant]) -> tuple[VariantSource, ...]:
    return tuple(VariantSource(method=item[0], source=str(files[item])) for item in variants)
