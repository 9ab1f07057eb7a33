"""`manifest.json`: what was measured, with which protocol, from which texts, on which machine."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from evaluator.results.schema import SCHEMA_VERSION

#: What products and attention compute in; all else is float32.
Precision = Literal["float32", "float16"]


class Protocol(BaseModel):
    """How texts become scored tokens; two results are comparable when this and the texts agree."""

    model_config = ConfigDict(frozen=True)

    context: int = Field(512, ge=8, description="tokens per window")
    first_scored: int = Field(256, ge=1, description="logits from this place in the window on are scored")
    chunks: int | None = Field(None, ge=1, description="at most this many windows per text; null: all")


class TextRecord(BaseModel):
    """One evaluation text: `windows` full windows of `n_tokens` tokens were scored."""

    domain: str
    name: str
    sha256: str
    n_bytes: int
    n_tokens: int
    windows: int


class Machine(BaseModel):
    """Where it ran. `gpus` are names, empty on CPU; `power` is mains or battery, null where it is not known."""

    platform: str
    cpu: str
    logical_cores: int
    memory_bytes: int
    gpus: list[str] = []
    power: str | None = None


class Failure(BaseModel):
    """A variant that could not be measured, and why."""

    source: str
    reason: str


class NoiseFloor(BaseModel):
    """What rounding the baseline's own weights to bf16 costs: a divergence below this says nothing.

    Measured like a variant, on `n_tokens` tokens in `n_windows` windows; nats and shares, errors clustered by
    window (null for a single window).
    """

    model_config = ConfigDict(frozen=True)

    n_tokens: int = Field(ge=1)
    n_windows: int = Field(ge=1)
    kld_mean: float
    kld_se: float | None
    kld_p990: float
    ln_ppl_ratio: float
    ln_ppl_ratio_se: float | None
    same_top: float = Field(ge=0, le=1)
    same_top_se: float | None


#: What a manifest says of the machine and the programs that measured.
_MEASURED_WITH = ("device", "provider", "threads", "packages", "machine", "git_revision", "gpu_indices")


class Manifest(BaseModel):
    """The whole of `manifest.json`."""

    schema_version: int = SCHEMA_VERSION
    model: str
    baseline_id: str
    baseline_sha256: str = ""
    baseline_note: str | None = None
    device: str
    provider: str
    threads: int
    protocol: Protocol
    pre: str | None = Field(None, description="pre-tokenizer that split the texts; null: SentencePiece")
    pre_named: bool = Field(False, description="whether --pre named it, since the baseline's file does not")
    texts: list[TextRecord]
    packages: dict[str, str]
    machine: Machine
    started: datetime
    ended: datetime | None = None
    git_revision: str | None = None
    failures: list[Failure] = []
    n_planned: int | None = Field(None, ge=0, description="variants that are to be in the folder at the end")
    noise_floor: NoiseFloor | None = None
    precisions: dict[str, Precision] = Field(default={}, description="by device, where it was to be chosen")
    notices: list[str] = Field(default=[], description="what a reader has to know of how it was measured")
    gpu_indices: list[int] = Field(
        default=[], description="which GPUs were used; the first one timed artifacts"
    )


def going_on(manifest: Manifest, there: Manifest) -> Manifest:
    """Take over what earlier runs of the same comparison left in the manifest `there`.

    Also what they measured with, because a run that finds everything there measures nothing.
    """
    taken_over = {
        "started": there.started,
        "failures": there.failures,
        "precisions": there.precisions,
        "noise_floor": there.noise_floor,
        "baseline_note": manifest.baseline_note or there.baseline_note,
        "notices": list(dict.fromkeys([*there.notices, *manifest.notices])),
    }
    return manifest.model_copy(update=taken_over | measured_with(there))


def measured_with(manifest: Manifest) -> dict[str, object]:
    """Device, threads, machine and versions."""
    return {name: getattr(manifest, name) for name in _MEASURED_WITH}


def difference(manifest: Manifest, other: Manifest) -> str | None:
    """Name what keeps the rows of two manifests from being compared; None where nothing does."""
    mine, theirs = _identity(manifest), _identity(other)
    return next((what for what, value in mine.items() if theirs[what] != value), None)


def _identity(manifest: Manifest) -> dict[str, object]:
    texts = [(text.domain, text.sha256, text.windows) for text in manifest.texts]
    return {
        "baseline": manifest.baseline_sha256,
        # What a file says of itself goes with its bytes.
        "pre-tokenizer": manifest.pre if manifest.pre_named else None,
        "protocol": manifest.protocol,
        "set of texts": texts,
    }
