"""Find the tokens at which two variants differ most from the baseline, with the text around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from dashboard.results.results import Results
from dashboard.results.selection import Selection
from dashboard.style.names import clean_frame
from evaluator.metrics.breakdowns import confidence_bins

_BEFORE, _AFTER = 10, 3
_PLACE = ("window", "position", "token")


@dataclass(frozen=True)
class TokenInContext:
    """One scored token; `before`, `piece` and `after` are text, or token ids without a vocabulary.

    `probabilities` of the token are the baseline's, the first and the second variant's; `klds` of the two variants
    are in nats.
    """

    domain: str
    window: int
    position: int
    before: str
    piece: str
    after: str
    probabilities: tuple[float, float, float]
    klds: tuple[float, float]


def worst_tokens(
    results: Results,
    first: Mapping[str, Any],
    second: Mapping[str, Any],
    selection: Selection,
    most: int = 12,
) -> list[TokenInContext]:
    """Return the tokens with the largest KLD in either variant, worst first; none without token files."""
    frames = [results.tokens(str(row["variant_id"])) for row in (first, second)]
    base = results.tokens(str(first["baseline_id"]))
    if base is None or frames[0] is None or frames[1] is None:
        return []
    if any(results.parts(str(row["variant_id"])) is None for row in (first, second)):
        return []  # reading a file whole reports its damage
    truth = clean_frame(base.select(*_PLACE, pl.col("domain").cast(pl.String), "nll", "top_prob").collect())
    ours = [frame.select(*_PLACE, "nll", "kld").collect() for frame in frames if frame is not None]
    if not all(truth.select(_PLACE).equals(frame.select(_PLACE)) for frame in ours):
        return []
    joined = truth.with_columns(
        pl.max_horizontal(ours[0]["kld"], ours[1]["kld"]).alias("worst"),
        *(frame["nll"].alias(f"nll_{index}") for index, frame in enumerate(ours)),
        *(frame["kld"].alias(f"kld_{index}") for index, frame in enumerate(ours)),
        pl.Series("bin", confidence_bins(truth["top_prob"].cast(pl.Float64).to_numpy())),
    ).with_row_index("place")
    counted = joined.drop_nulls()
    if selection.domains:
        counted = counted.filter(pl.col("domain").is_in(sorted(selection.domains)))
    if selection.bins:
        counted = counted.filter(pl.col("bin").is_in(sorted(selection.bins)))
    pieces = results.pieces(str(first["model"]))
    tokens, windows = truth["token"].to_list(), truth["window"].to_list()
    worst = counted.sort("worst", "place", descending=[True, False]).head(most)
    return [_in_context(row, tokens, windows, pieces) for row in worst.iter_rows(named=True)]


def _in_context(
    row: Mapping[str, Any], tokens: Sequence[int], windows: Sequence[int], pieces: Mapping[int, str]
) -> TokenInContext:
    place = int(row["place"])
    around = [
        index
        for index in range(max(0, place - _BEFORE), min(len(tokens), place + _AFTER + 1))
        if windows[index] == row["window"]
    ]

    def text(indices: Sequence[int]) -> str:
        if not pieces:
            return " ".join(str(tokens[index]) for index in indices)
        return "".join(pieces.get(tokens[index], "\N{REPLACEMENT CHARACTER}") for index in indices)

    return TokenInContext(
        domain=str(row["domain"]),
        window=int(row["window"]),
        position=int(row["position"]),
        before=text([index for index in around if index < place]),
        piece=text([place]),
        after=text([index for index in around if index > place]),
        probabilities=tuple(float(np.exp(-row[name])) for name in ("nll", "nll_0", "nll_1")),  # type: ignore[arg-type]  # three of them
        klds=(float(row["kld_0"]), float(row["kld_1"])),
    )
