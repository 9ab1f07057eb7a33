"""Report tokens without a usable value: logits that are not finite, too large, or all the same."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from evaluator.models.architectures import head_tensor
from evaluator.models.model_file import ModelFile
from evaluator.results.manifest import Failure
from evaluator.runtime.score_graph import is_flat
from evaluator.support.errors import SourceError

#: Mean of the largest probability over the vocabulary's inverse; tiny untrained models have 45.
_NEARLY_UNIFORM = 1.05
_WAY_OUT = "compare its checksum with its publisher's, or make it again"


def check_varying(file: ModelFile, tokens: pl.DataFrame, device: str) -> None:
    """Reject a model that gives every token the same probability everywhere: its file or the device is broken.

    Args:
        file: the model.
        tokens: its token frame.
        device: where it ran.

    Raises:
        SourceError: at every scored position the logits are the same for the whole vocabulary.
    """
    vocabulary = file.tensor(head_tensor(file)).shape[0]
    without = tokens.filter(pl.col("nll").is_null())
    flat = without.height == tokens.height and is_flat(without["top_prob"].to_numpy(), vocabulary).all()
    # A device that drops weights may leave a little of the distribution; no working model is so close to uniform.
    if flat or _ratio_to_uniform(tokens, vocabulary) < _NEARLY_UNIFORM:
        elsewhere = "" if device == "cpu" else ", or use --device cpu"
        raise SourceError(
            file.path,
            f"its logits do not vary: each of {vocabulary:,} tokens is as likely as any other, everywhere; the file "
            f"is damaged, or its weights are too large for float32: {_WAY_OUT}{elsewhere}",
        )


def _ratio_to_uniform(tokens: pl.DataFrame, vocabulary: int) -> float:
    """Return the mean of the largest probability, relative to that of a uniform distribution; ∞ without values."""
    mean = tokens.filter(pl.col("nll").is_not_null())["top_prob"].mean()
    return mean * vocabulary if isinstance(mean, float) else math.inf


def without_values(n_tokens: int) -> str:
    """Return why a model without a usable value for any of `n_tokens` tokens failed."""
    return (
        f"none of its {n_tokens:,} tokens has a usable value: its logits are not finite, or too large for float32; "
        f"the file is damaged: {_WAY_OUT}"
    )


def valueless(rows: pl.DataFrame, files: Mapping[str, Path]) -> list[tuple[str, Failure]]:
    """Return the variants without a usable value for any token, as failures.

    Args:
        rows: rows of the variants frame.
        files: variant id → file; other variants are ignored.
    """
    lost = rows.filter(
        pl.col("n_nonfinite") == pl.col("n_tokens"), pl.col("variant_id").is_in(list(files))
    ).select("variant_id", "n_tokens")
    return [
        (variant_id, Failure(source=str(files[variant_id]), reason=without_values(n_tokens)))
        for variant_id, n_tokens in lost.iter_rows()
    ]


def left_out(name: str, row: Mapping[str, object]) -> str:
    """Return the notice that some tokens of the file called `name` are excluded."""
    return (
        f"{name}: {row['n_nonfinite']:,} of {row['n_tokens']:,} tokens are excluded: their logits are not finite, "
        "too large for float32, or all the same"
    )
