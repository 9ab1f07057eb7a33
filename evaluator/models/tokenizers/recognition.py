"""Which `tokenizer.ggml.pre` name stands for the pre-tokenizer that a tokenizer.json spells out."""

from __future__ import annotations

import json
from typing import Any

from evaluator.models.tokenizers.pretokenizers import PRE_TOKENIZERS

#: Settings that older files leave out.
_BYTE_LEVEL = {"add_prefix_space": True, "use_regex": True}


def recognize(pre_tokenizer: Any, *, ignore_merges: bool) -> str | None:
    """The first name whose splitting is spelt the same; None when there is none.

    Args:
        pre_tokenizer: the object of that name in a tokenizer.json.
        ignore_merges: whether words that are tokens skip the merges.
    """
    wanted = _steps(pre_tokenizer)
    for name, splitting in PRE_TOKENIZERS.items():
        known = json.loads(splitting.published().__getstate__())
        if splitting.ignore_merges == ignore_merges and _steps(known) == wanted:
            return name
    return None


def _steps(pre_tokenizer: Any) -> list[Any]:
    """The steps one after another, without what does not change ids."""
    match pre_tokenizer:
        case {"type": "Sequence", "pretokenizers": [*steps]}:
            return [part for step in steps for part in _steps(step)]
        case {**settings}:
            defaults = _BYTE_LEVEL if settings.get("type") == "ByteLevel" else {}
            return [defaults | {key: value for key, value in settings.items() if key != "trim_offsets"}]
    return []
