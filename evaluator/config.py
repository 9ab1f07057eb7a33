"""One comparison: a baseline, its variants, the texts and the protocol; from flags or from a TOML file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from evaluator.errors import RequestError
from evaluator.manifest import Protocol

BASELINE_METHOD = "baseline"
#: Positions in a window are stored in 16 bits.
MAX_CONTEXT = 1 << 16


class VariantSource(BaseModel):
    """A method's label and where its files are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str = Field(min_length=1)
    source: str = Field(min_length=1)

    @classmethod
    def parse(cls, argument: str) -> VariantSource:
        """Read `METHOD=SRC`.

        Raises:
            RequestError: it is not of that form.
        """
        method, separator, source = argument.partition("=")
        if not separator or not method.strip() or not source.strip():
            raise RequestError(
                f"--variant {argument}: expected METHOD=SRC, for instance main=model-Q4_0.gguf"
            )
        return cls(method=method.strip(), source=source.strip())


class Comparison(BaseModel):
    """Everything that `python -m evaluator run` needs to know."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    baseline: str = Field(min_length=1)
    variants: tuple[VariantSource, ...] = Field(min_length=1)
    texts: tuple[str, ...] = Field(min_length=1, description="[DOMAIN=]FILE each")
    out: Path
    context: int = Field(default=512, ge=8, le=MAX_CONTEXT)
    chunks: int | None = Field(default=None, ge=1)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = Field(default=None, ge=1)
    layers: bool = True
    baseline_note: str | None = None

    @field_validator("context")
    @classmethod
    def _halves(cls, value: int) -> int:
        if value % 2:
            raise ValueError("the context must be even: its second half is scored")
        return value

    @property
    def protocol(self) -> Protocol:
        """How texts become scored tokens: logits of the second half of each window."""
        return Protocol(context=self.context, first_scored=self.context // 2, chunks=self.chunks)


def comparison_from(settings: dict[str, object]) -> Comparison:
    """Validate settings.

    Raises:
        RequestError: the first thing that is wrong, in one line.
    """
    try:
        return Comparison.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "comparison"
        raise RequestError(f"{place}: {first['msg']}") from error


def read_comparison(path: Path) -> Comparison:
    """Read a comparison file; paths in it are relative to the working folder, as on the command line.

    Raises:
        RequestError: it cannot be read or does not describe a comparison.
    """
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RequestError(f"{path}: {error}") from error
    return comparison_from(settings)
