"""`manifest.json`: what was measured, with which protocol, from which texts, on which machine."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from evaluator.results.schema import SCHEMA_VERSION
from evaluator.support.errors import RequestError

MANIFEST_NAME = "manifest.json"
#: What products and attention compute in; all else is float32.
Precision = Literal["float32", "float16"]


class OtherComparisonError(RequestError):
    """What a folder holds cannot be compared with what is to be measured."""


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
_WITNESSED = ("device", "provider", "threads", "packages", "machine", "git_revision", "gpu_indices")


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


def read_manifest(folder: Path) -> Manifest:
    """Read `folder/manifest.json`.

    Raises:
        FileNotFoundError: there is none.
        pydantic.ValidationError: it is not a manifest.
    """
    return Manifest.model_validate_json((folder / MANIFEST_NAME).read_text(encoding="utf-8"))


def same_comparison(folder: Path, manifest: Manifest) -> Manifest:
    """The manifest that is in `folder`, which has to be of the same comparison as `manifest`.

    Raises:
        OtherComparisonError: it is of another one.
        RequestError: it cannot be read, or is another version's.
    """
    there = readable_manifest(folder, "use --force to replace it")
    mine, theirs = identity(manifest), identity(there)
    for what, value in mine.items():
        if theirs[what] != value:
            raise OtherComparisonError(
                f"{folder}: holds a comparison with another {what}; choose another --out or use --force"
            )
    return there


def readable_manifest(folder: Path, way_out: str) -> Manifest:
    """The manifest of `folder`, which is there; what cannot be read is said with `way_out`.

    Raises:
        RequestError: it is damaged, or written by another version of this program.
    """
    try:
        there = read_manifest(folder)
    except ValueError as error:
        raise RequestError(
            f"{folder}: its manifest cannot be read, it is damaged or another version's; {way_out}"
        ) from error
    if there.schema_version != SCHEMA_VERSION:
        raise RequestError(
            f"{folder}: written by another version, with schema version {there.schema_version} where this one "
            f"reads {SCHEMA_VERSION}; {way_out}"
        )
    return there


def kept(there: Manifest, manifest: Manifest, planned: Collection[str]) -> dict[str, object]:
    """What a manifest takes over from the one that is there.

    The first start, precisions, notices, failures not `planned`, and what was said of the baseline unless that is
    said anew.
    """
    failures = [failure for failure in there.failures if failure.source not in planned]
    return {
        "started": min(there.started, manifest.started),
        "failures": [*failures, *manifest.failures],
        "precisions": there.precisions | manifest.precisions,
        "baseline_note": manifest.baseline_note or there.baseline_note,
        "notices": list(dict.fromkeys([*there.notices, *manifest.notices])),
    }


def witnessed(manifest: Manifest) -> dict[str, object]:
    """What measured: device, threads, machine and versions."""
    return {name: getattr(manifest, name) for name in _WITNESSED}


def identity(manifest: Manifest) -> dict[str, object]:
    """What must agree for rows to be comparable."""
    texts = [(text.domain, text.sha256, text.windows) for text in manifest.texts]
    return {
        "baseline": manifest.baseline_sha256,
        # What a file says of itself goes with its bytes.
        "pre-tokenizer": manifest.pre if manifest.pre_named else None,
        "protocol": manifest.protocol,
        "set of texts": texts,
    }
