"""Recipes: which tensor gets which type. Data in TOML (`recipes/`, or the user's own file), checked when read.

A recipe names mixtures (`quants`). A mixture has a default type and rules; every rule that fits a tensor sets
its type, so the last one decides. A mixture may start `like` another one and add rules, and a recipe may
start from the mixtures of a `base` recipe. The format is described in docs/quantizing.md.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

import gguf
from gguf import GGMLQuantizationType as GGMLType
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from evaluator.quantize.conditions import check_condition
from evaluator.quantize.ggml import ggml_type
from evaluator.support.errors import RequestError

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
#: What the conditions of rules may ask for; `plan` computes it.
CONDITION_NAMES = frozenset(
    {"layer", "layers", "blocks", "more_bits", "gqa", "experts", "matrices", "rows", "columns", "block"}
    | {"quant", "default", "low_bit", "architecture", "importance"}
)
_RECIPES = files("evaluator.quantize") / "recipes"


def _type(value: object) -> GGMLType:
    return value if isinstance(value, GGMLType) else ggml_type(str(value))


def _file_type(value: object) -> gguf.LlamaFileType:
    if isinstance(value, gguf.LlamaFileType):
        return value
    if value not in gguf.LlamaFileType.__members__:
        raise ValueError(f"unknown file type {value!r}")
    return gguf.LlamaFileType[str(value)]


TensorType = Annotated[GGMLType, BeforeValidator(_type)]
FileType = Annotated[gguf.LlamaFileType, BeforeValidator(_file_type)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Rule(_Strict):
    """Gives `type` to the tensors of a role, or whose name holds a pattern, where the condition holds."""

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


class Mixture(_Strict):
    """One size of a recipe, as the file has it: `like` another one, or with a type of its own."""

    like: str | None = None
    type: TensorType | None = None
    file_type: FileType | None = None
    rules: tuple[Rule, ...] = ()
    bare: bool = Field(default=False, description="without the rules that all mixtures share")
    low_bit: bool = False
    needs_importance: tuple[TensorType, ...] = ()
    candidates: tuple[TensorType, ...] = Field(default=(), description="choose among these by sensitivity")
    budget: float = Field(default=1.0, gt=0, description="× the bytes of the mixture it is `like`")


class Recipe(_Strict):
    """All mixtures of a recipe."""

    description: str
    base: str | None = None
    importance: Importance = "optional"
    sensitivity: Literal["weights", "attribution"] | None = None
    factors: dict[Role, float] = Field(default_factory=dict, description="loss per unit of error, by role")
    keep: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    quants: dict[str, Mixture] = Field(default_factory=dict)


class Choice(_Strict):
    """A mixture with all that it inherits: what planning needs."""

    label: str
    recipe: str
    stock: str = Field(description="the mixture without `like` at its root; conditions see it as `quant`")
    type: TensorType
    file_type: FileType
    rules: tuple[Rule, ...]
    low_bit: bool
    needs_importance: tuple[TensorType, ...]
    keep: tuple[str, ...]
    importance: Importance
    bare: bool = False
    sensitivity: Literal["weights", "attribution"] | None = None
    factors: dict[Role, float] = Field(default_factory=dict)
    candidates: tuple[TensorType, ...] = ()
    budget: float = 1.0
    overrides: tuple[tuple[str, TensorType], ...] = Field(default=(), description="first match decides")

    @property
    def patterns(self) -> list[str]:
        """Regular expressions that have to match something."""
        return [rule.tensor for rule in self.rules if rule.tensor] + [
            pattern for pattern, _ in self.overrides
        ]


def recipe_names() -> list[str]:
    """The recipes that travel with the package."""
    return sorted(
        item.name.removesuffix(".toml") for item in _RECIPES.iterdir() if item.name.endswith(".toml")
    )


def read_recipe(name: str) -> Recipe:
    """A recipe by its name or its TOML file.

    Raises:
        RequestError: there is none, or it is not one; the message names the place.
    """
    path = Path(name).expanduser()
    if name in recipe_names():
        text = (_RECIPES / f"{name}.toml").read_text(encoding="utf-8")
    elif path.is_file():
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
    """Text of a recipe file.

    Raises:
        RequestError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(f"{path}: not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise RequestError(f"{path}: cannot be read: {error.strerror or error}") from error


def choices(name: str) -> Mapping[str, Choice]:
    """Every mixture of a recipe, those of its base included, by label.

    Raises:
        RequestError: a file is wrong, or names a base or mixture that does not exist or leads in a circle.
    """
    return _choices(name, ())


def _choices(name: str, above: tuple[str, ...]) -> dict[str, Choice]:
    if name in above:
        raise RequestError(f"{name}: its base leads back to itself")
    recipe = read_recipe(name)
    label = name if name in recipe_names() else Path(name).stem
    inherited = _choices(recipe.base, (*above, name)) if recipe.base else {}
    # What the file does not say stays as the base has it.
    said = recipe.model_fields_set & {"importance", "sensitivity", "factors"}
    changes = {"recipe": label} | {setting: getattr(recipe, setting) for setting in said}
    found = {
        quant: choice.model_copy(
            update=changes
            | {
                "rules": choice.rules if choice.bare else (*choice.rules, *recipe.rules),
                "keep": (*choice.keep, *recipe.keep),
            }
        )
        for quant, choice in inherited.items()
    }
    for quant, mixture in recipe.quants.items():
        found[quant] = (
            _like(name, quant, mixture, found) if mixture.like else _new(name, quant, mixture, recipe)
        )
    _see_to_use(name, recipe, found)
    return found


def _see_to_use(name: str, recipe: Recipe, found: Mapping[str, Choice]) -> None:
    """Check that nothing in a recipe is without effect.

    Raises:
        RequestError: a setting is; the message names it.
    """
    dynamic = any(choice.candidates for choice in found.values())
    for setting in ("sensitivity", "factors"):
        if getattr(recipe, setting) and not dynamic:
            raise RequestError(f"{name}: {setting}: has no effect, for no mixture has `candidates`")
    if recipe.factors and recipe.sensitivity == "attribution":
        raise RequestError(f"{name}: factors: have no effect beside sensitivity = 'attribution'")
    for quant, mixture in recipe.quants.items():
        given = mixture.model_fields_set
        for setting in sorted(given & {"bare", "low_bit"}) if mixture.like else ():
            raise RequestError(
                f"{name}: quants.{quant}: {setting}: has no effect beside `like`, which brings its own"
            )
        if "budget" in given and not mixture.candidates:
            raise RequestError(f"{name}: quants.{quant}: budget: has no effect without `candidates`")


def _like(name: str, quant: str, mixture: Mixture, found: Mapping[str, Choice]) -> Choice:
    if mixture.like is None or mixture.like not in found:
        raise RequestError(f"{name}: quants.{quant}: there is no {mixture.like} to be like")
    model = found[mixture.like]
    return model.model_copy(
        update={
            "label": quant,
            "type": model.type if mixture.type is None else mixture.type,
            "file_type": model.file_type if mixture.file_type is None else mixture.file_type,
            "rules": (*model.rules, *mixture.rules),
            "needs_importance": (*model.needs_importance, *mixture.needs_importance),
            "candidates": mixture.candidates,
            "budget": mixture.budget,
        }
    )


def _new(name: str, quant: str, mixture: Mixture, recipe: Recipe) -> Choice:
    if mixture.type is None or mixture.file_type is None:
        raise RequestError(f"{name}: quants.{quant}: needs `like`, or `type` and `file_type`")
    if mixture.candidates:
        raise RequestError(f"{name}: quants.{quant}: `candidates` need `like`, whose bytes they share out")
    return Choice(
        label=quant,
        recipe=name if name in recipe_names() else Path(name).stem,
        stock=quant,
        type=mixture.type,
        file_type=mixture.file_type,
        rules=mixture.rules if mixture.bare else (*mixture.rules, *recipe.rules),
        low_bit=mixture.low_bit,
        needs_importance=mixture.needs_importance,
        keep=recipe.keep,
        bare=mixture.bare,
        importance=recipe.importance,
        sensitivity=recipe.sensitivity,
        factors=recipe.factors,
    )
