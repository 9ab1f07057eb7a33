"""Find the `tokenizer.ggml.pre` name of the pre-tokenizer in a tokenizer.json."""

from __future__ import annotations

from typing import Any

from evaluator.models.tokenizers.pretokenizers import PRE_TOKENIZERS
from evaluator.models.tokenizers.published import Step, published_steps

#: Type of a step → its default settings, which files may omit.
_DEFAULTS: dict[Any, dict[str, Any]] = {
    "ByteLevel": {"add_prefix_space": True, "use_regex": True},
    "Split": {"invert": False},
}
#: Other spellings in regular expressions of the same characters.
_SPELLINGS = {"\r": r"\r", "\n": r"\n", "\u200c": r"\u200c", "\u200d": r"\u200d", "{1}": ""}
#: Patterns that end so match every character, so that nothing lies between their matches.
_ALL = r"|\s+"


def recognize(pre_tokenizer: Any, *, ignore_merges: bool) -> str | None:
    """Return the first name with the same pre-tokenizer; None if there is none.

    Args:
        pre_tokenizer: the value of `pre_tokenizer` in a tokenizer.json.
        ignore_merges: whether words that are tokens skip the merges.
    """
    steps = _steps(pre_tokenizer)
    for name, splitting in PRE_TOKENIZERS.items():
        if splitting.byte_level and splitting.ignore_merges == ignore_merges:
            published = published_steps(splitting.patterns)
            if [part for step in published for part in _steps(as_json(step))] == steps:
                return name
    return None


def as_json(step: Step) -> dict[str, Any]:
    """Return a step as in a tokenizer.json."""
    if not isinstance(step, str):
        return dict(step)
    return {"type": "Split", "pattern": {"Regex": step}, "behavior": "Isolated", "invert": False}


def _steps(pre_tokenizer: Any) -> list[Any]:
    """Return the steps in order, spelled alike and without settings that do not affect ids."""
    match pre_tokenizer:
        case {"type": "Sequence", "pretokenizers": [*steps]}:
            return [part for step in steps for part in _steps(step)]
        case dict(settings):
            step: dict[str, Any] = _DEFAULTS.get(settings.get("type"), {}) | settings
            step.pop("trim_offsets", None)
            return [_split(step) if step.get("type") == "Split" else step]
    return []


def _split(step: dict[str, Any]) -> dict[str, Any]:
    """Return a split with its pattern spelled as here; keeping matches only is isolating them if they are all."""
    match step:
        case {"pattern": {"Regex": str(pattern)}, "behavior": behavior, "invert": invert}:
            for other, spelling in _SPELLINGS.items():
                pattern = pattern.replace(other, spelling)
            if (behavior, invert) == ("Removed", True) and pattern.endswith(_ALL):
                behavior, invert = "Isolated", False
            return step | {"pattern": {"Regex": pattern}, "behavior": behavior, "invert": invert}
    return step
