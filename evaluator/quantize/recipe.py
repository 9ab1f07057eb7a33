"""Read and check recipes, which say which tensor gets which type: TOML in `recipes/`, or the user's own file.

A recipe names mixtures (`quants`). A mixture has a default type and rules; every rule that matches a tensor sets its
type, so the last match decides. A mixture may start `like` another one and add rules, and a recipe may start from the
mixtures of a `base` recipe. docs/quantizing.md describes the format.
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

from evaluator.models.model_file import ModelFile
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
    if value not in gguf.LlamaFileType.__members__:
        raise ValueError(f"unknown file type {value!r}")
    return gguf.LlamaFileType[str(value)]


TensorType = Annotated[GGMLType, BeforeValidator(_type)]
FileType = Annotated[gguf.LlamaFileType, BeforeValidator(_file_type)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Rule(_Strict):
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


class Mixture(_Strict):
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


class Recipe(_Strict):
    """A recipe as written in its file."""

    description: str
    base: str | None = None
    importance: Importance = "optional"
    sensitivity: Literal["weights", "attribution"] | None = None
    factors: dict[Role, float] = Field(default_factory=dict, description="loss per unit of error, by role")
    keep: tuple[str, ...] = ()
    keep_in: dict[str, tuple[str, ...]] = Field(default_factory=dict, description="`keep` by architecture")
    rules: tuple[Rule, ...] = ()
    quants: dict[str, Mixture] = Field(default_factory=dict)


class Choice(_Strict):
    """A mixture with everything it inherits, ready for planning."""

    label: str
    recipe: str
    stock: str = Field(description="the mixture without `like` at its root; conditions see it as `quant`")
    type: TensorType
    file_type: FileType
    rules: tuple[Rule, ...]
    low_bit: bool
    needs_importance: tuple[TensorType, ...]
    keep: tuple[str, ...]
    keep_in: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    importance: Importance
    bare: bool = False
    sensitivity: Literal["weights", "attribution"] | None = None
    factors: dict[Role, float] = Field(default_factory=dict)
    candidates: tuple[TensorType, ...] = ()
    budget: float = 1.0
    overrides: tuple[tuple[str, TensorType], ...] = Field(default=(), description="first match decides")
    followed: ModelFile | None = Field(default=None, description="file whose types decide instead of rules")

    @property
    def patterns(self) -> list[str]:
        """Regular expressions that must match at least one tensor."""
        return [rule.tensor for rule in self.rules if rule.tensor] + [
            pattern for pattern, _ in self.overrides
        ]


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


def choices(name: str) -> Mapping[str, Choice]:
    """Return every mixture of a recipe, including its base's, by label.

    Raises:
        RequestError: a file is wrong, or refers to a base or mixture that does not exist, or to itself.
    """
    return _choices(name, ())


def _choices(name: str, above: tuple[str, ...]) -> dict[str, Choice]:
    if name in above:
        raise RequestError(f"{name}: its base leads back to itself")
    recipe = read_recipe(name)
    label = name if name in recipe_names() else Path(name).stem
    inherited = _choices(recipe.base, (*above, name)) if recipe.base else {}
    # Settings that the file does not give are inherited from the base.
    given = recipe.model_fields_set & {"importance", "sensitivity", "factors"}
    changes = {"recipe": label} | {setting: getattr(recipe, setting) for setting in given}
    mixtures = {
        quant: choice.model_copy(
            update=changes
            | {
                "rules": choice.rules if choice.bare else (*choice.rules, *recipe.rules),
                "keep": (*choice.keep, *recipe.keep),
                "keep_in": {
                    name: (*choice.keep_in.get(name, ()), *recipe.keep_in.get(name, ()))
                    for name in choice.keep_in | recipe.keep_in
                },
            }
        )
        for quant, choice in inherited.items()
    }
    for quant, mixture in recipe.quants.items():
        mixtures[quant] = (
            _like(name, quant, mixture, mixtures) if mixture.like else _new(name, quant, mixture, recipe)
        )
    _check_effects(name, recipe, mixtures)
    return mixtures


def _check_effects(name: str, recipe: Recipe, mixtures: Mapping[str, Choice]) -> None:
    """Check that every setting of a recipe has an effect.

    Raises:
        RequestError: one has none; the message names it.
    """
    dynamic = any(choice.candidates for choice in mixtures.values())
    for setting in ("sensitivity", "factors"):
        if getattr(recipe, setting) and not dynamic:
            raise RequestError(f"{name}: {setting}: has no effect, because no mixture has `candidates`")
    if recipe.factors and recipe.sensitivity == "attribution":
        raise RequestError(f"{name}: factors: have no effect beside sensitivity = 'attribution'")
    for quant, mixture in recipe.quants.items():
        given = mixture.model_fields_set
        for setting in sorted(given & {"bare", "low_bit"}) if mixture.like else ():
            raise RequestError(
                f"{name}: quants.{quant}: {setting}: has no effect beside `like`, which sets its own"
            )
        if "budget" in given and not mixture.candidates:
            raise RequestError(f"{name}: quants.{quant}: budget: has no effect without `candidates`")


def _like(name: str, quant: str, mixture: Mixture, known: Mapping[str, Choice]) -> Choice:
    if mixture.like is None or mixture.like not in known:
        raise RequestError(
            f"{name}: quants.{quant}: there is no mixture {mixture.like} (known: {', '.join(known)})"
        )
    parent = known[mixture.like]
    return parent.model_copy(
        update={
            "label": quant,
            "type": parent.type if mixture.type is None else mixture.type,
            "file_type": parent.file_type if mixture.file_type is None else mixture.file_type,
            "rules": (*parent.rules, *mixture.rules),
            "needs_importance": (*parent.needs_importance, *mixture.needs_importance),
            "candidates": mixture.candidates,
            "budget": mixture.budget,
        }
    )


def _new(name: str, quant: str, mixture: Mixture, recipe: Recipe) -> Choice:
    if mixture.type is None or mixture.file_type is None:
        raise RequestError(f"{name}: quants.{quant}: needs `like`, or `type` and `file_type`")
    if mixture.candidates:
        raise RequestError(f"{name}: quants.{quant}: `candidates` need `like`, whose bytes they reallocate")
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
        keep_in=recipe.keep_in,
        bare=mixture.bare,
        importance=recipe.importance,
        sensitivity=recipe.sensitivity,
        factors=recipe.factors,
    )
