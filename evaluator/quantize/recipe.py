"""Combine recipe files into choices: mixtures with everything they inherit.

A recipe names mixtures (`quants`). A mixture has a default type and rules; every rule that matches a tensor sets its
type, so the last match decides. A mixture may start `like` another one and add rules, and a recipe may start from the
mixtures of a `base` recipe.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from evaluator.models.model_file import ModelFile
from evaluator.quantize.ggml import block_size
from evaluator.quantize.recipe_file import (
    FileType,
    Importance,
    Mixture,
    Recipe,
    Role,
    Rule,
    Strict,
    TensorType,
    read_recipe,
    recipe_names,
)
from evaluator.support.errors import RequestError


class Choice(Strict):
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
    sensitivity: Literal["weights", "divergence"] | None = None
    factors: dict[Role, float] = Field(default_factory=dict)
    hybrid_factors: dict[Role, float] = Field(default_factory=dict)
    candidates: tuple[TensorType, ...] = ()
    budget: float = 1.0
    target: int | None = Field(default=None, description="bytes of all tensors, instead of a budget")
    asked: str = Field(default="", description="the flag that gave the target, as typed")
    overrides: tuple[tuple[str, TensorType], ...] = Field(default=(), description="first match decides")
    followed: ModelFile | None = Field(default=None, description="file whose types decide instead of rules")

    @property
    def file_label(self) -> str:
        """The end of the file's name; sizes that are guided are told from the stock mixtures of the same name."""
        return f"{self.recipe}-{self.label}" if self.sensitivity == "divergence" else self.label

    @property
    def patterns(self) -> list[str]:
        """Regular expressions that must match at least one tensor."""
        return [rule.tensor for rule in self.rules if rule.tensor] + [
            pattern for pattern, _ in self.overrides
        ]


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
    given = recipe.model_fields_set & {"importance", "sensitivity", "factors", "hybrid_factors"}
    changes = {"recipe": label} | {setting: getattr(recipe, setting) for setting in given}
    mixtures = {
        quant: choice.model_copy(
            update=changes
            | {
                "rules": choice.rules if choice.bare else (*choice.rules, *recipe.rules),
                "candidates": recipe.candidates
                if recipe.candidates and block_size(choice.type) > 1
                else choice.candidates,
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
    for setting in ("sensitivity", "factors", "hybrid_factors"):
        if getattr(recipe, setting) and not dynamic:
            raise RequestError(f"{name}: {setting}: has no effect, because no mixture has `candidates`")
    if (recipe.factors or recipe.hybrid_factors) and recipe.sensitivity == "divergence":
        raise RequestError(f"{name}: factors: have no effect beside sensitivity = 'divergence'")
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
        hybrid_factors=recipe.hybrid_factors,
    )
