"""Convert a token frame to the arrays that metric families work on."""

from __future__ import annotations

import numpy as np
import polars as pl

from evaluator.metrics import TokenScores


def token_scores(
    tokens: pl.DataFrame, baseline: pl.DataFrame | None, size_bytes: int
) -> tuple[TokenScores, int]:
    """Return a variant's scores, and the number of tokens excluded because a value is not finite.

    Args:
        tokens: the variant's token frame.
        baseline: the baseline's token frame, in the same order; None for the baseline itself.
        size_bytes: size of the variant's file.
    """
    compared = tokens.select("window", "domain", "nll", "top_prob")
    if baseline is not None:
        compared = compared.with_columns(
            tokens["kld"],
            tokens["same_top"],
            baseline["nll"].alias("baseline_nll"),
            baseline["top_prob"].alias("baseline_top_prob"),
        )
    finite = compared.drop_nulls()
    values = [name for name in finite.columns if name not in ("window", "domain")]
    scores = TokenScores(
        size_bytes=size_bytes,
        windows=finite["window"].cast(pl.Int64).to_numpy(),
        domains=finite["domain"].cast(pl.String).to_numpy().astype(np.str_),
        **{name: finite[name].cast(pl.Float64).to_numpy() for name in values},
    )
    return scores, tokens.height - finite.height
