"""Read the metadata of a described family; a setting that nobody has read is an error."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from evaluator.models.architectures.decoder import MOST_LAYERS, NEUTRAL
from evaluator.models.architectures.rotary_set import RotarySet, Yarn
from evaluator.models.architectures.yarn import yarn_scale
from evaluator.models.model_file import ModelFile
from evaluator.support.errors import SourceError

#: Settings that do not change what is computed for a text.
_WITHOUT_EFFECT = frozenset(
    {
        "context_length",
        "vocab_size",
        "block_count",
        "rope.dimension_sections",  # all parts of a text's positions are equal
        "rope.scaling.finetuned",
        "nextn_predict_layers",
        # What the tensors show.
        "expert_shared_count",
        "expert_shared_feed_forward_length",
        "feed_forward_length",
        "interleave_moe_layer_step",
        "leading_dense_block_count",
        "moe_every_n_layers",
        "n_deepstack_layers",
    }
)
_SCALINGS = ("none", "linear", "yarn", "longrope")
#: Counts are below this: llama.cpp keeps them in 32 bits.
_END_OF_COUNTS = 2**31


class Settings:
    """The metadata of one file under its architecture's prefix."""

    def __init__(self, file: ModelFile) -> None:
        """Count the layers; those that predict further tokens, at the end, are left out.

        Raises:
            SourceError: there is no plausible number of layers.
        """
        self.file, self._prefix = file, f"{file.architecture}."
        self._read, self.layers = set(_WITHOUT_EFFECT), 1
        count = self.count("block_count")
        if count > MOST_LAYERS:
            raise SourceError(file.path, f"{count:,} layers are not plausible: damaged?")
        self.further_layers = self.count("nextn_predict_layers", 0, least=0)
        self.layers = count - self.further_layers
        if self.layers < 1:
            raise self._error("nextn_predict_layers", self.further_layers, f"less than the {count} layers")

    def has(self, name: str) -> bool:
        """Return whether the file has a setting."""
        return self._prefix + name in self.file.metadata

    def read(self, name: str) -> Any:
        """Return a setting's value as it is, None if it is missing."""
        self._read.add(name)
        return self.file.metadata.get(self._prefix + name)

    def count(self, name: str, default: int | None = None, *, least: int = 1) -> int:
        """Return a whole number, the same for all layers if there is one for each.

        Raises:
            SourceError: it is missing without a default, differs between layers, or is something else.
        """
        values = set(self.counts(name, default, least=least))
        if len(values) > 1:
            raise self._error(name, sorted(values), "the same in all layers")
        return values.pop()

    def counts(self, name: str, default: int | None = None, *, least: int = 0) -> tuple[int, ...]:
        """Return a whole number for each layer; a single one stands for all.

        Raises:
            SourceError: it is missing without a default, or something else.
        """
        return tuple(self._whole(name, value, least) for value in self._per_layer(name, default))

    def flags(self, name: str, default: bool | None = None) -> tuple[bool, ...]:
        """Return a truth value for each layer; a single one stands for all.

        Raises:
            SourceError: it is missing without a default, or something else.
        """
        values = self._per_layer(name, default)
        if not all(isinstance(value, (bool, np.bool_)) or value in (0, 1) for value in values):
            raise self._error(name, values, "true or false")
        return tuple(bool(value) for value in values)

    def flag(self, name: str, default: bool | None = None) -> bool:
        """Return a truth value; see `flags`."""
        return self.flags(name, default)[0]

    def text(self, name: str, default: str) -> str:
        """Return a text.

        Raises:
            SourceError: it is something else.
        """
        value = self._given(name, default)
        if not isinstance(value, str):
            raise self._error(name, value, "a text")
        return value or default

    def number(self, name: str, default: float | None = None) -> float:
        """Return a finite number.

        Raises:
            SourceError: it is missing without a default, or something else.
        """
        return self._finite(name, self._given(name, default))

    def numbers(self, name: str, default: float | None = None) -> tuple[float, ...]:
        """Return a finite number for each layer; a single one stands for all.

        Raises:
            SourceError: it is missing without a default, or something else.
        """
        return tuple(self._finite(name, value) for value in self._per_layer(name, default))

    def _finite(self, name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise self._error(name, value, "a number")
        return float(value)

    def positive(self, name: str, default: float | None = None) -> float:
        """Return a number above 0; see `number`."""
        value = self.number(name, default)
        if value <= 0:
            raise self._error(name, value, "a number above 0")
        return value

    def check_all_read(self) -> None:
        """Check that there is no setting that the family did not read, unless its value has no effect.

        Raises:
            SourceError: there is one.
        """
        for key, value in self.file.metadata.items():
            name = key.removeprefix(self._prefix)
            if name == key or name in self._read or _same(value, NEUTRAL.get(name, ())):
                continue
            raise SourceError(
                self.file.path,
                f"metadata key {key} is {str(value)[:60]}, which a {self.file.architecture} graph does not compute",
            )

    def rotary(
        self,
        width: int,
        *,
        interleaved: bool = False,
        ending: str = "",
        scaled: bool = True,
        factors: str | None = None,
        base: float = 10000.0,
    ) -> RotarySet:
        """Return the rotary embedding that the file describes.

        Args:
            width: dimensions of a head; fewer are rotated if the file says so.
            interleaved: whether the family rotates neighbouring dimensions.
            ending: end of the keys, such as `_swa` for windowed layers.
            scaled: whether the file's scaling applies.
            factors: tensor with a divisor per frequency, if the file has it.
            base: the base if the file has none.

        Raises:
            SourceError: a setting is not valid or not known.
        """
        turned = self.count(f"rope.dimension_count{ending}", self.count("rope.dimension_count", width))
        if turned > width or turned % 2:
            raise self._error(f"rope.dimension_count{ending}", turned, f"an even number up to {width}")
        usual = self.positive("rope.freq_base", base)
        found = RotarySet(turned, self.positive(f"rope.freq_base{ending}", usual), interleaved=interleaved)
        if factors and factors in self.file.tensors:
            found = replace(found, factors=factors)
        return self._with_scaling(found) if scaled else found

    def _with_scaling(self, plain: RotarySet) -> RotarySet:
        kind = self.text("rope.scaling.type", "linear")
        if kind not in _SCALINGS:
            raise self._error("rope.scaling.type", kind, f"one of {', '.join(_SCALINGS)}")
        factor = self.positive("rope.scaling.factor", self.positive("rope.scale_linear", 1.0))
        scale = self.positive("rope.scaling.attn_factor", 1.0)
        original = self.count("rope.scaling.original_context_length", self.count("context_length", 1))
        changed: dict[str, Any] = {"scale": scale, "original": original}
        if kind in ("linear", "longrope"):
            changed["factor"] = factor
        elif kind == "yarn":
            if self.number("rope.scaling.yarn_ext_factor", 1.0) != 1:
                raise self._error(
                    "rope.scaling.yarn_ext_factor", self.read("rope.scaling.yarn_ext_factor"), "1"
                )
            fast = self.positive("rope.scaling.yarn_beta_fast", 32.0)
            yarn = Yarn(original, fast, self.positive("rope.scaling.yarn_beta_slow", 1.0))
            usual = yarn_scale(factor)
            if multiplier := self.number("rope.scaling.yarn_log_multiplier", 0.0):
                usual /= yarn_scale(factor, multiplier)
            changed |= {"factor": factor, "yarn": yarn}
            changed["scale"] = scale * self.positive("rope.scaling.yarn_attn_factor", usual)
        return replace(plain, **changed)

    def _per_layer(self, name: str, default: Any) -> list[Any]:
        value = self._given(name, default)
        if not isinstance(value, (list, np.ndarray)):
            return [value] * self.layers
        if len(value) < self.layers:
            raise self._error(name, f"a list of {len(value)}", f"a list of {self.layers}")
        return [item.item() if isinstance(item, np.generic) else item for item in value[: self.layers]]

    def _given(self, name: str, default: Any) -> Any:
        value = self.read(name)
        if value is None and default is None:
            raise SourceError(self.file.path, f"metadata key {self._prefix}{name} is missing")
        return default if value is None else value

    def _whole(self, name: str, value: Any, least: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value < _END_OF_COUNTS:
            raise self._error(name, value, f"a whole number from {least} to {_END_OF_COUNTS - 1}")
        return value

    def _error(self, name: str, value: Any, meant: str) -> SourceError:
        return SourceError(
            self.file.path, f"metadata key {self._prefix}{name} is {str(value)[:60]}, not {meant}"
        )


def _same(value: Any, neutral: tuple[float, ...]) -> bool:
    """Return whether a value is one of the neutral ones."""
    if not isinstance(value, (bool, int, float)):
        return False
    return any(math.isclose(value, other, rel_tol=1e-6) for other in neutral)
