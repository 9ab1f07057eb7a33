"""llama-perplexity's base files, and the values that its `--kl-divergence` computes from them, token by token.

`tests/golden/llama_kl_divergence.parquet` was made with this from a base file of SmolLM2-135M (F16, 4 windows of 512
tokens of wikitext-2 test) and the logits of its Q4_0. A preloaded library around `llama_get_logits_ith` copied them
in the same process that printed `llama_kl_divergence.txt`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

_MAGIC = b"_logits_"
_RECORD_HEAD = 4  # uint16 values that hold two float32: the scale and the lowest log-probability
_LOWEST = np.float32(-16)

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class BaseFile:
    """`targets` int32 [windows, scored]; `records` uint16 [windows · scored, 4 + vocabulary, padded to even]."""

    n_vocabulary: int
    targets: npt.NDArray[np.int32]
    records: npt.NDArray[np.uint16]

    def log_probs(self) -> Iterator[Floats]:
        """Yield log-probabilities per scored token, float32 [vocabulary]: 65,536 steps over the top 16 nats."""
        for record in self.records:
            scale, lowest = record[:_RECORD_HEAD].view(np.float32)
            codes = record[_RECORD_HEAD : _RECORD_HEAD + self.n_vocabulary]
            yield scale * codes.astype(np.float32) + lowest


def read_base_file(path: Path) -> BaseFile:
    """Read a file written by `llama-perplexity --kl-divergence-base`.

    Layout: magic, int32 context, vocabulary and number of windows, the tokens, then a record per scored token.
    """
    with path.open("rb") as file:
        assert file.read(len(_MAGIC)) == _MAGIC
        context, n_vocabulary, n_windows = (int(value) for value in np.fromfile(file, np.int32, 3))
        tokens = np.fromfile(file, np.int32, context * n_windows).reshape(n_windows, context)
        records = np.fromfile(file, np.uint16)
    width = 2 * ((n_vocabulary + 1) // 2) + _RECORD_HEAD
    targets = tokens[:, context // 2 + 1 :]
    return BaseFile(n_vocabulary, targets, records.reshape(targets.size, width))


def token_values(base: Floats, logits: Floats, target: int) -> dict[str, float | bool]:
    """Return the values that llama-perplexity adds up for one token, in its single precision.

    Args:
        base: the baseline's log-probabilities, [vocabulary].
        logits: the variant's, [vocabulary].
        target: the correct token.
    """
    top = logits.max()
    log_total = top + np.float32(np.log(np.exp(logits - top).sum(dtype=np.float64)))
    kept = base > _LOWEST
    terms = np.exp(base[kept]) * (base[kept] - logits[kept] + log_total)
    return {
        "nll": float(log_total - logits[target]),
        "top_prob": float(np.exp(top - log_total)),
        "baseline_nll": float(-base[target]),
        "kld": float(terms.sum(dtype=np.float64)),
        "same_top": bool(logits.argmax() == base.argmax()),
    }
