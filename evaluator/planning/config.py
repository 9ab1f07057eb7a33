"""Read a comparison from flags or a TOML file: a baseline, its variants, the texts and the protocol."""

from __future__ import annotations

import importlib.resources
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from evaluator.engines import ENGINES
from evaluator.results.manifest import Protocol
from evaluator.support.errors import RequestError
from evaluator.support.paths import NOT_UTF8, accessing, typed_path
from evaluator.support.suggestions import nearest
from evaluator.support.units import MOST_MEMORY

BASELINE_METHOD = "baseline"
#: Positions in a window are stored as u16.
MAX_CONTEXT = 1 << 16
_RAY_CLIENT = re.compile(r"ray://[^/\s]+:\d+")
#: Required settings → their flags.
_REQUIRED = {"baseline": "--baseline", "variants": "--variant", "texts": "--text", "out": "--out"}
#: Kinds of pydantic's errors → what is wrong, in a user's terms.
_REASONS = {
    "missing": "is missing",
    "model_type": "must be METHOD=SRC, or a table with method and source",
    "tuple_type": "must be a list",
    "path_type": "must be the path of a folder",
    "string_unicode": f"is {NOT_UTF8}",
}


def _typed(value: object) -> object:
    return typed_path(value) if isinstance(value, str) else value


class VariantSource(BaseModel):
    """A method's label and where its files are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str = Field(min_length=1)
    source: str = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _spelt_as_flag(cls, value: object) -> object:
        """Accept METHOD=SRC in a comparison file, too."""
        return cls.parse(value).model_dump() if isinstance(value, str) else value

    @field_validator("method")
    @classmethod
    def _not_reserved(cls, value: str) -> str:
        if value.lower() == BASELINE_METHOD:
            raise ValueError(f"{value} is reserved for the baseline; give the variant another METHOD")
        return value

    @classmethod
    def parse(cls, argument: str) -> VariantSource:
        """Read `METHOD=SRC`.

        Raises:
            RequestError: `argument` does not have that form.
        """
        method, separator, source = argument.partition("=")
        if not separator or not method.strip() or not source.strip():
            raise RequestError(f"--variant {argument}: expected METHOD=SRC, such as main=model-Q4_0.gguf")
        try:
            return cls(method=method.strip(), source=source.strip())
        except ValidationError as error:
            raise RequestError(f"--variant {argument}: {_reason(error.errors()[0])}") from error


class Comparison(BaseModel):
    """The settings of `python -m evaluator run`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    baseline: str = Field(min_length=1)
    variants: tuple[VariantSource, ...] = Field(min_length=1)
    texts: tuple[str, ...] = Field(min_length=1, description="[DOMAIN=]FILE, chat:FILE, or a known name")
    out: Annotated[Path, BeforeValidator(_typed)]
    # Strict: in a file, neither true nor "512" is a number.
    context: int = Field(default=512, ge=8, le=MAX_CONTEXT, strict=True)
    chunks: int | None = Field(default=None, ge=1, strict=True)
    chunks_of: dict[str, Annotated[int, Field(ge=1, strict=True)]] = Field(
        default={}, description="by domain: at most this many windows of its text, instead of `chunks`"
    )
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = Field(default=None, ge=1, strict=True)
    memory: float | None = Field(
        default=None, gt=0, le=MOST_MEMORY, strict=True, description="gigabytes that may be used"
    )
    cluster: str | None = Field(default=None, description="local, auto or ray://HOST:PORT")
    layers: bool = Field(default=True, strict=True)
    attribution: bool = Field(default=False, strict=True)
    speed: bool = Field(default=True, strict=True)
    rounds: int | None = Field(
        default=None, ge=1, strict=True, description="rounds in which files are timed in turn; default: 3"
    )
    engines: tuple[str, ...] = Field(default_factory=lambda: tuple(sorted(ENGINES.names())), min_length=1)
    kv_cache: tuple[str, ...] = Field(
        default=(), description="types of the cache that engines are compared with"
    )
    engine_windows: int | None = Field(
        default=None,
        ge=1,
        strict=True,
        description="windows for losses in engines, spread over all; default: all",
    )
    deep: bool = Field(default=True, strict=True, description="time tokens after thousands of others, too")
    pre: str | None = Field(
        default=None, min_length=1, description="pre-tokenizer of a baseline that names none"
    )
    baseline_note: str | None = None

    @field_validator("context")
    @classmethod
    def _halves(cls, value: int) -> int:
        if value % 2:
            raise ValueError("the context must be even: its second half is scored")
        return value

    @field_validator("engines")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in ENGINES.names():
                raise ValueError(f"{name!r} is not an engine{nearest(name, ENGINES.names())}")
        return tuple(dict.fromkeys(value))

    @field_validator("kv_cache")
    @classmethod
    def _cached(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        engines = info.data.get("engines", ENGINES.names())
        known = [kind for engine in engines for kind in ENGINES.get(engine).cache_types]
        if value and not known:
            raise ValueError(
                f"{', '.join(engines)} offers no choice; add an engine that does, such as llama.cpp"
            )
        for name in value:
            if name not in known:
                raise ValueError(f"{name!r} is not a type of a cache{nearest(name, known, len(known))}")
        return tuple(dict.fromkeys(value))

    def check_engines(self) -> None:
        """Check that this machine has the engines that were asked for by name, or by types of a cache.

        Raises:
            RequestError: one is missing.
        """
        for name in self.engines:
            engine = ENGINES.get(name)
            asked = "engines" in self.model_fields_set or (self.kv_cache and engine.cache_types)
            if asked and (reason := engine.why_missing()):
                raise RequestError(f"engine {name}: {reason}")

    @field_validator("cluster")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is None or value in ("local", "auto") or _RAY_CLIENT.fullmatch(value):
            return value
        raise ValueError(f"{value} is not an address; use local, auto or ray://HOST:PORT")

    @property
    def protocol(self) -> Protocol:
        """How texts become scored tokens: the second half of each window is scored."""
        return Protocol(context=self.context, first_scored=self.context // 2, chunks=self.chunks)


def requested(named: str | None, flags: Mapping[str, object]) -> Comparison:
    """Return the comparison that flags describe, on top of a file or a ready-made one if `named` is given.

    Args:
        named: a TOML file, or the name of one included in the package.
        flags: settings by name; None where a flag was not given.

    Raises:
        RequestError: a setting is missing or wrong.
    """
    given = {name: value for name, value in flags.items() if value is not None and value != []}
    if named is None:
        missing = [flag for name, flag in _REQUIRED.items() if name not in given]
        if missing:
            raise RequestError(f"missing {', '.join(missing)}; add it, or give a comparison.toml")
        return comparison_from(given)
    path = _comparison_file(named)
    return comparison_from({"out": f"results-{path.stem}"} | _settings(path) | given, str(path))


def ready_made() -> dict[str, Path]:
    """Return name → file of the comparisons included in the package."""
    folder = Path(str(importlib.resources.files("evaluator.planning") / "comparisons"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def _comparison_file(named: str) -> Path:
    path, known = typed_path(named), ready_made()
    with accessing(path):
        if path.suffix == ".toml" or path.is_file():
            return path
    if named not in known:
        raise RequestError(f"{named}: no such file or ready-made comparison{nearest(named, known)}")
    return known[named]


def comparison_from(settings: Mapping[str, object], named: str | None = None) -> Comparison:
    """Validate settings.

    Args:
        settings: values by name.
        named: the file they come from, for the message.

    Raises:
        RequestError: a setting is wrong; the message names the first.
    """
    try:
        return Comparison.model_validate(settings)
    except ValidationError as error:
        # Report a misspelt setting first: it may be why another is missing.
        first = min(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
        place = ".".join(str(part) for part in first["loc"]) or "comparison"
        where = f"{named}: " if named else ""
        raise RequestError(f"{where}{place}: {_reason(first)}") from error


def _reason(error: ErrorDetails) -> str:
    """Return what is wrong with a setting, in a user's terms instead of pydantic's."""
    if error["type"] == "extra_forbidden":
        key = str(error["loc"][-1])
        known = VariantSource.model_fields if len(error["loc"]) > 1 else Comparison.model_fields
        return f"unknown setting{nearest(key, known, limit=1)}"
    if reason := _REASONS.get(error["type"]):
        return reason
    return error["msg"].removeprefix("Value error, ").replace("Input should be", "must be")


def _settings(path: Path) -> dict[str, object]:
    """Read a comparison file; its paths are relative to the working folder, as on the command line."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise RequestError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise RequestError(f"{path}: is not UTF-8 text (byte {error.start})") from error
    except tomllib.TOMLDecodeError as error:
        raise RequestError(f"{path}: is not valid TOML: {error}") from error
