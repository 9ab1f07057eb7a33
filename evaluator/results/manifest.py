"""`manifest.json`: what was measured, with which protocol, on which texts and which machine."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from evaluator.results.schema import SCHEMA_VERSION

#: Type in which matrix products and attention are computed; everything else is float32.
Precision = Literal["float32", "float16"]


class Protocol(BaseModel):
    """How texts become scored tokens; two results are comparable if the protocol and the texts are the same."""

    model_config = ConfigDict(frozen=True)

    context: int = Field(512, ge=8, description="tokens per window")
    first_scored: int = Field(256, ge=1, description="logits from this position in the window on are scored")
    chunks: int | None = Field(None, ge=1, description="maximum number of windows per text; null: all")


class TextRecord(BaseModel):
    """One evaluation text, of which `windows` full windows were scored.

    `n_tokens` counts the tokens of the whole text; null if no more of it was tokenized than the windows needed.
    """

    domain: str
    name: str
    sha256: str
    n_bytes: int
    n_tokens: int | None
    windows: int


class Machine(BaseModel):
    """The machine of a run. `gpus` are names, empty on CPU; `power` is mains or battery, null if unknown."""

    platform: str
    cpu: str
    logical_cores: int
    memory_bytes: int
    gpus: list[str] = []
    power: str | None = None


class Node(BaseModel):
    """A machine of a cluster; `gpu` is the name of the GPU that was used."""

    model_config = ConfigDict(frozen=True)

    name: str
    cpu: str
    gpu: str | None = None


class Failure(BaseModel):
    """A variant that could not be measured, and why."""

    source: str
    reason: str


class NoiseFloor(BaseModel):
    """The loss from rounding the baseline's own weights to bf16; smaller divergences are not meaningful.

    It is measured like a variant, on `n_tokens` tokens in `n_windows` windows. Values are in nats or shares, errors
    are clustered by window (null for a single window).
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


class MemoryUse(BaseModel):
    """The memory of a run: how much it might use, and where it kept the residual streams between layers.

    `streams` is device (the computer's memory, on a GPU the GPU's), host (the computer's, for a GPU) or disk.
    """

    model_config = ConfigDict(frozen=True)

    budget_bytes: int
    requested: bool = Field(
        description="whether --memory named the budget; else it is a share of what was free"
    )
    streams: Literal["device", "host", "disk"]
    stream_bytes: int = Field(description="residual streams of all windows")
    piece_bytes: int = Field(description="float32 weights of the largest part of a layer")
    ahead: bool = Field(description="whether the next part's weights were read while one computed")


#: Fields that describe the machine and the programs of the measurement.
_MEASURED_WITH = ("device", "provider", "threads", "packages", "machine", "git_revision", "gpu_indices")


class Manifest(BaseModel):
    """The content of `manifest.json`."""

    schema_version: int = SCHEMA_VERSION
    model: str
    baseline_id: str
    baseline_sha256: str = ""
    baseline_note: str | None = None
    device: str
    provider: str
    threads: int
    protocol: Protocol
    exporter: str | None = Field(
        None, description="what made the graph: optimum, or composed from a description"
    )
    trained_context: int | None = Field(
        None, ge=1, description="tokens that the baseline was made for; null: not stated"
    )
    pre: str | None = Field(None, description="pre-tokenizer that split the texts; null: SentencePiece")
    pre_named: bool = Field(False, description="whether --pre names it because the baseline's file does not")
    texts: list[TextRecord]
    packages: dict[str, str]
    machine: Machine
    started: datetime
    ended: datetime | None = None
    git_revision: str | None = None
    failures: list[Failure] = []
    n_planned: int | None = Field(None, ge=0, description="variants in the folder when the run is complete")
    noise_floor: NoiseFloor | None = None
    precisions: dict[str, Precision] = Field(default={}, description="by device, if there was a choice")
    memory: MemoryUse | None = Field(default=None, description="of the last run that measured something")
    stage_seconds: dict[str, dict[str, float]] = Field(
        default={},
        description="by variant: seconds of reading, dequantizing, computing layers, and scoring; reading and "
        "dequantizing happen while others compute",
    )
    nodes: dict[str, Node] = Field(
        default={},
        description="by variant, if a cluster scored it; `machine` scored the others and timed all",
    )
    engines: dict[str, dict[str, str | int]] = Field(
        default={}, description="by engine: the settings that files were last measured with in it"
    )
    notices: list[str] = Field(default=[], description="what a reader must know about the measurement")
    gpu_indices: list[int] = Field(
        default=[], description="which GPUs were used; artifacts were timed on the first"
    )
    others: list[Manifest] = Field(
        default=[], description="of the folder's other models, in the order in which they were first measured"
    )

    @property
    def each(self) -> list[Manifest]:
        """The manifest of each model in the folder, the first of them this one."""
        return [self.model_copy(update={"others": []}), *self.others]


def joined(manifests: Sequence[Manifest]) -> Manifest:
    """Return the manifest of a folder with several models; the reverse of `each`."""
    first, *others = manifests
    return first.model_copy(update={"others": others})


def going_on(manifest: Manifest, earlier: Manifest) -> Manifest:
    """Return `manifest` with the fields that earlier runs of the same comparison recorded in `earlier`.

    This includes machine and versions, because the run may find everything already measured.
    """
    kept = {
        "started": earlier.started,
        "failures": earlier.failures,
        "precisions": earlier.precisions,
        "noise_floor": earlier.noise_floor,
        "memory": earlier.memory,
        "stage_seconds": earlier.stage_seconds,
        "nodes": earlier.nodes,
        "engines": earlier.engines,
        "baseline_note": manifest.baseline_note or earlier.baseline_note,
        "notices": list(dict.fromkeys([*earlier.notices, *manifest.notices])),
    }
    return manifest.model_copy(update=kept | measured_with(earlier))


def measured_with(manifest: Manifest) -> dict[str, object]:
    """Return the fields for device, threads, machine and versions."""
    return {name: getattr(manifest, name) for name in _MEASURED_WITH}


def difference(manifest: Manifest, other: Manifest) -> str | None:
    """Return what differs so that the rows of two manifests are not comparable; None if they are."""
    own, others = _identity(manifest), _identity(other)
    return next((name for name, value in own.items() if others[name] != value), None)


def is_same_model(manifest: Manifest, other: Manifest) -> bool:
    """Return whether two manifests are of one model: by its name, or by the baseline's content."""
    digests = {manifest.baseline_sha256, other.baseline_sha256}
    return manifest.model == other.model or (len(digests) == 1 and "" not in digests)


def _identity(manifest: Manifest) -> dict[str, object]:
    texts = [(text.domain, text.sha256, text.windows) for text in manifest.texts]
    return {
        "baseline": manifest.baseline_sha256,
        # A pre-tokenizer that the file names is covered by its digest.
        "pre-tokenizer": manifest.pre if manifest.pre_named else None,
        "protocol": manifest.protocol,
        "set of texts": texts,
    }
