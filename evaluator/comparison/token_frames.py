"""Build the token frame of a variant from the scorer's arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from evaluator.results.schema import Tokens, with_schema
from evaluator.runtime.head import WindowScores
from evaluator.texts.windows import Window


def token_frame(windows: Sequence[Window], scores: Sequence[WindowScores]) -> pl.DataFrame:
    """Build a variant's token frame: a row per scored token, in window order; non-finite values are null."""
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
        # NaN logits give False here, which would look measured: make it null.
        same_top = pl.Series(np.concatenate(tops), dtype=pl.Boolean)
        columns["same_top"] = same_top.zip_with(
            columns["kld"].is_not_null(), pl.Series([None], dtype=pl.Boolean)
        )
    return with_schema(Tokens, pl.DataFrame(columns))


def _finite_or_null(parts: Sequence[npt.NDArray[np.float32]]) -> pl.Series:
    values = np.concatenate(parts)
    return pl.Series(np.where(np.isfinite(values), values, np.nan)).fill_nan(None)
