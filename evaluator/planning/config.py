"""One comparison: a baseline, its variants, the texts and the protocol; from flags or from a TOML file."""

from __future__ import annotations

import importlib.resources
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from evaluator.results.manifest import Protocol
from evaluator.support.errors import RequestError
from evaluator.support.suggestions import nearest

BASELINE_METHOD = "baseline"
#: Positions in a window are stored in 16 bits.
MAX_CONTEXT = 1 << 16
#: Settings without a default → their flags.
_REQUIRED = {"baseline": "--baseline", "variants": "--variant", "texts": "--text", "out": "--out"}


class VariantSource(BaseModel):
    """A method's label and where its files are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str = Field(min_length=1)
    source: str = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _spelt_as_flag(cls, value: object) -> object:
        """A comparison file may write METHOD=SRC, too."""
        return cls.parse(value).model_dump() if isinstance(value, str) else value

    @field_validator("method")
    @classmethod
    def _not_reserved(cls, value: str) -> str:
        if value.lower() == BASELINE_METHOD:
            raise ValueError(f"{value} is what the baseline is called; give the variant another METHOD")
        return value

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
        try:
            return cls(method=method.strip(), source=source.strip())
        except ValidationError as error:
            raise RequestError(f"--variant {argument}: {_reason(error.errors()[0])}") from error


class Comparison(BaseModel):
    """Everything that `python -m evaluator run` needs to know."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    baseline: str = Field(min_length=1)
    variants: tuple[VariantSource, ...] = Field(min_length=1)
    texts: tuple[str, ...] = Field(min_length=1, description="[DOMAIN=]FILE, chat:FILE, or a known name")
    out: Path
    # Strict: in a file, true is no number and "512" is no number either.
    context: int = Field(default=512, ge=8, le=MAX_CONTEXT, strict=True)
    chunks: int | None = Field(default=None, ge=1, strict=True)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = Field(default=None, ge=1, strict=True)
    layers: bool = Field(default=True, strict=True)
    attribution: bool = Field(default=False, strict=True)
    speed: bool = Field(default=True, strict=True)
    pre: str | None = Field(default=None, min_length=1, description="where the baseline names none")
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


def requested(named: str | None, flags: Mapping[str, object]) -> Comparison:
    """The comparison that a file or a ready-made name describes, if one is given, and flags override.

    Args:
        named: a TOML file, or the name of one that travels with the package.
        flags: settings by name; None where a flag was not given.

    Raises:
        RequestError: something is missing or wrong, in one line.
    """
    given = {name: value for name, value in flags.items() if value is not None and value != []}
    if named is None:
        missing = [flag for name, flag in _REQUIRED.items() if name not in given]
        if missing:
            raise RequestError(f"missing {', '.join(missing)} (or name a comparison.toml)")
        return comparison_from(given)
    path = _comparison_file(named)
    return comparison_from({"out": f"results-{path.stem}"} | _settings(path) | given, str(path))


def ready_made() -> dict[str, Path]:
    """Name → file of the comparisons that travel with the package."""
    folder = Path(str(importlib.resources.files("evaluator.planning") / "comparisons"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def _comparison_file(named: str) -> Path:
    path, known = Path(named).expanduser(), ready_made()
    if path.is_file() or path.suffix == ".toml":
        return path
    if named not in known:
        raise RequestError(f"{named}: no such file or ready-made comparison{nearest(named, known)}")
    return known[named]


def comparison_from(settings: Mapping[str, object], named: str | None = None) -> Comparison:
    """Validate settings.

    Args:
        settings: by name.
        named: the file that they come from, for the message.

    Raises:
        RequestError: the first thing that is wrong, in one line.
    """
    try:
        return Comparison.model_validate(settings)
    except ValidationError as error:
        # A misspelt setting explains a missing one.
        first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
        place = ".".join(str(part) for part in first["loc"]) or "comparison"
        where = f"{named}: " if named else ""
        raise RequestError(f"{where}{place}: {_reason(first)}") from error


def _reason(error: ErrorDetails) -> str:
    """What is wrong with one setting, in the words of a person who writes it."""
    match error["type"]:
        case "extra_forbidden":
            key = str(error["loc"][-1])
            known = VariantSource.model_fields if len(error["loc"]) > 1 else Comparison.model_fields
            return f"unknown setting{nearest(key, known, limit=1)}"
        case "missing":
            return "is missing"
        case "model_type":
            return "has to be METHOD=SRC, or a table with method and source"
        case "tuple_type":
            return "has to be a list"
    return error["msg"].removeprefix("Value error, ").replace("Input should be", "has to be")


def _settings(path: Path) -> dict[str, object]:
    """What a comparison file says; paths in it are relative to the working folder, as on the command line."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise RequestError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise RequestError(f"{path}: not UTF-8 text (byte {error.start})") from error
    except tomllib.TOMLDecodeError as error:
        raise RequestError(f"{path}: not TOML: {error}") from error
