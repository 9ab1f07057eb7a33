"""Find the `tokenizer.ggml.pre` name of the pre-tokenizer in a tokenizer.json."""

from __future__ import annotations

import json
from typing import Any

from evaluator.models.tokenizers.pretokenizers import PRE_TOKENIZERS

#: Default settings, which older files omit.
_BYTE_LEVEL = {"add_prefix_space": True, "use_regex": True}


def recognize(pre_tokenizer: Any, *, ignore_merges: bool) -> str | None:
    """Return the first name with the same pre-tokenizer; None if there is none.

    Args:
        pre_tokenizer: the value of `pre_tokenizer` in a tokenizer.json.
        ignore_merges: whether words that are tokens skip the merges.
    """
    steps = _steps(pre_tokenizer)
    for name, splitting in PRE_TOKENIZERS.items():
        published = json.loads(splitting.published().__getstate__())
        if splitting.ignore_merges == ignore_merges and _steps(published) == steps:
            return name
    return None


def _steps(pre_tokenizer: Any) -> list[Any]:
    """Return the steps in order, without settings that do not affect ids."""
    match pre_tokenizer:
        case {"type": "Sequence", "pretokenizers": [*steps]}:
            return [part for step in steps for part in _steps(step)]
        case {**settings}:
            defaults = _BYTE_LEVEL if settings.get("type") == "ByteLevel" else {}
            return [defaults | {key: value for key, value in settings.items() if key != "trim_offsets"}]
    return []
