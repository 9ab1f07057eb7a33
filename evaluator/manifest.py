"""`manifest.json`: what was measured, with which protocol, from which texts, on which machine."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from evaluator.frames import SCHEMA_VERSION

MANIFEST_NAME = "manifest.json"


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
    """Where it ran. `gpus` are names, empty on CPU."""

    platform: str
    cpu: str
    logical_cores: int
    memory_bytes: int
    gpus: list[str] = []


class Failure(BaseModel):
    """A variant that could not be measured, and why."""

    source: str
    reason: str


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
    texts: list[TextRecord]
    packages: dict[str, str]
    machine: Machine
    started: datetime
    ended: datetime | None = None
    git_revision: str | None = None
    failures: list[Failure] = []


def read_manifest(folder: Path) -> Manifest:
    """Read `folder/manifest.json`.

    Raises:
        FileNotFoundError: there is none.
        pydantic.ValidationError: it is not a manifest.
    """
    return Manifest.model_validate_json((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
