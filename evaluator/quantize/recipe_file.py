"""The format of recipe files: TOML in `recipes/`, or the user's own; docs/quantizing.md describes it."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

import gguf
from gguf import GGMLQuantizationType as GGMLType
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from evaluator.quantize.conditions import check_condition
from evaluator.quantize.ggml import ggml_type
from evaluator.support.errors import RequestError
from evaluator.support.paths import accessing, typed_path

Importance = Literal["optional", "required"]
Role = Literal[
    "token_embd",
    "head",
    "attn_q",
    "attn_k",
    "attn_v",
    "attn_output",
    "ffn_gate",
    "ffn_up",
    "ffn_down",
    "other",
]
#: Names that the conditions of rules may use; `type_plan` computes their values.
CONDITION_NAMES = frozenset(
    {"layer", "layers", "blocks", "more_bits", "gqa", "experts", "matrices", "rows", "columns", "block"}
    | {"quant", "default", "low_bit", "architecture", "importance", "name"}
)
_RECIPES = files("evaluator.quantize") / "recipes"


def _type(value: object) -> GGMLType:
    return value if isinstance(value, GGMLType) else ggml_type(str(value))


def _file_type(value: object) -> gguf.LlamaFileType:
    if isinstance(value, gguf.LlamaFileType):
        return value
    if not isinstance(value, str) or value not in gguf.LlamaFileType.__members__:
        raise ValueError(f"unknown file type {value!r}")
    return gguf.LlamaFileType[value]


TensorType = Annotated[GGMLType, BeforeValidator(_type)]
FileType = Annotated[gguf.LlamaFileType, BeforeValidator(_file_type)]


class Strict(BaseModel):
    """Settings that are read from a file: unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Rule(Strict):
    """Gives `type` to tensors of a role, or whose name matches a pattern, where the condition holds."""

    type: TensorType
    role: Role | None = None
    tensor: str | None = Field(default=None, description="regular expression, searched for in the name")
    of: tuple[TensorType, ...] = Field(default=(), description="only where the type so far is one of these")
    when: str | None = None

    @field_validator("when")
    @classmethod
    def _known_names(cls, value: str | None) -> str | None:
        if value is not None:
            check_condition(value, CONDITION_NAMES)
        return value

    @field_validator("tensor")
    @classmethod
    def _expression(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"pattern {value!r}: {error}") from None
        return value


class Mixture(Strict):
    """One size of a recipe as written in the file: `like` another one, or with its own type."""

    like: str | None = None
    type: TensorType | None = None
    file_type: FileType | None = None
    rules: tuple[Rule, ...] = ()
    bare: bool = Field(default=False, description="without the rules that all mixtures share")
    low_bit: bool = False
    needs_importance: tuple[TensorType, ...] = ()
    candidates: tuple[TensorType, ...] = Field(default=(), description="choose among these by sensitivity")
    budget: float = Field(default=1.0, gt=0, description="× the bytes of the mixture it is `like`")


class Recipe(Strict):
    """A recipe as written in its file."""

    description: str
    base: str | None = None
    importance: Importance = "optional"
    sensitivity: Literal["weights", "divergence"] | None = None
    candidates: tuple[TensorType, ...] = Field(default=(), description="of all mixtures that quantize")
    factors: dict[Role, float] = Field(default_factory=dict, description="loss per unit of error, by role")
    hybrid_factors: dict[Role, float] = Field(
        default_factory=dict, description="the same in models with state spaces or short convolutions"
    )
    keep: tuple[str, ...] = ()
    keep_in: dict[str, tuple[str, ...]] = Field(default_factory=dict, description="`keep` by architecture")
    rules: tuple[Rule, ...] = ()
    quants: dict[str, Mixture] = Field(default_factory=dict)


def recipe_names() -> list[str]:
    """Return the names of the recipes included in the package."""
    return sorted(
        item.name.removesuffix(".toml") for item in _RECIPES.iterdir() if item.name.endswith(".toml")
    )


def read_recipe(name: str) -> Recipe:
    """Read a recipe by its name or from its TOML file.

    Raises:
        RequestError: there is no such recipe, or the file is wrong; the message names the setting.
    """
    path = typed_path(name)
    with accessing(path):
        is_file = path.is_file()
    if name in recipe_names():
        text = (_RECIPES / f"{name}.toml").read_text(encoding="utf-8")
    elif is_file:
        text = read_file(path)
    else:
        raise RequestError(f"--recipe {name}: no such file or recipe (known: {', '.join(recipe_names())})")
    try:
        return Recipe.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise RequestError(f"{name}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "recipe"
        raise RequestError(f"{name}: {place}: {first['msg'].removeprefix('Value error, ')}") from error


def read_file(path: Path) -> str:
    """Read the text of a recipe file.

    Raises:
        RequestError: the file cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(f"{path}: is not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise RequestError(f"{path}: cannot be read: {error.strerror or error}") from error
