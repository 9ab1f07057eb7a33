"""Between the scorer's arrays and the token frames on disk, and from there to what metric families work on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from evaluator.frames import Tokens, with_schema
from evaluator.metrics import TokenScores

if TYPE_CHECKING:  # what reads token frames needs no runtime
    from evaluator.runtime.scoring import WindowScores
    from evaluator.windows import Window


def token_frame(windows: Sequence[Window], scores: Sequence[WindowScores]) -> pl.DataFrame:
    """The token frame of one variant, a row per scored token in window order; non-finite values are null."""
    counts = [len(window.targets) for window in windows]
    columns: dict[str, pl.Series] = {
        "window": pl.Series(np.repeat([window.index for window in windows], counts), dtype=pl.UInt32),
        "position": pl.Series(np.concatenate([window.positions for window in windows])),
        "token": pl.Series(np.concatenate([window.targets for window in windows])),
        "domain": pl.Series(np.repeat([window.domain for window in windows], counts), dtype=pl.Categorical),
        "nll": _finite_or_null([score.nll for score in scores]),
        "top_prob": _finite_or_null([score.top_prob for score in scores]),
    }
    klds = [score.kld for score in scores if score.kld is not None]
    tops = [score.same_top for score in scores if score.same_top is not None]
    if klds and tops:
        columns["kld"] = _finite_or_null(klds)
        # Comparing with what is not a number gives False, which would pass for measured.
        same_top = pl.Series(np.concatenate(tops), dtype=pl.Boolean)
        columns["same_top"] = same_top.zip_with(
            columns["kld"].is_not_null(), pl.Series([None], dtype=pl.Boolean)
        )
    return with_schema(Tokens, pl.DataFrame(columns))


def _finite_or_null(parts: Sequence[npt.NDArray[np.float32]]) -> pl.Series:
    values = np.concatenate(parts)
    return pl.Series(np.where(np.isfinite(values), values, np.nan)).fill_nan(None)


def token_scores(
    tokens: pl.DataFrame, baseline: pl.DataFrame | None, size_bytes: int
) -> tuple[TokenScores, int]:
    """What the metric families work on, and how many tokens were left out because a value was not finite.

    Args:
        tokens: the variant's token frame.
        baseline: the baseline's, in the same order; None for the baseline itself.
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
