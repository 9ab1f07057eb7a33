"""Write the frames derived from the token frames of all variants, at the end of a run."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from evaluator.metrics.breakdowns import by_confidence, by_domain
from evaluator.metrics.pairwise import all_pairs
from evaluator.metrics.token_scores import token_scores
from evaluator.results.files import CONFIDENCE, DOMAINS, PAIRS
from evaluator.results.reader import ResultsFileError
from evaluator.results.schema import Confidence, Domains, Pairs, frame_of
from evaluator.results.store import ResultsStore


def is_derived(store: ResultsStore) -> bool:
    """Return whether all files of `derive` exist, are newer than every token frame and cover every variant."""
    if not store.derived_after_tokens():
        return False
    try:
        frames = store.derived()
    except ResultsFileError:  # damaged: derive it again
        return False
    # A variant without a finite token has no row. Pairs need whole windows, so they may lack more variants; they are
    # not checked, because they are always written together with the rest.
    finite = set(_with_tokens(store).filter(pl.col("n_nonfinite") < pl.col("n_tokens"))["variant_id"])
    return all(set(frame["variant_id"]) == finite for frame in frames if "variant_id" in frame.columns)


def derive(store: ResultsStore) -> None:
    """Write `domains.parquet`, `confidence.parquet` and `pairs.parquet` for every variant measured so far.

    Variants whose tokens or whose baseline's tokens are lost are excluded. Only variants of one model are paired.
    """
    rows = _with_tokens(store).sort("size_bytes", "variant_id")
    measured = list(rows.iter_rows(named=True))
    baselines = {(row["model"], row["device"]): row["variant_id"] for row in measured if row["is_baseline"]}
    domains: list[dict[str, object]] = []
    confidence: list[dict[str, object]] = []
    for row in measured:
        variant_id, baseline_id = row["variant_id"], baselines[row["model"], row["device"]]
        reference = None if row["is_baseline"] else store.tokens(baseline_id)
        scores, _ = token_scores(store.tokens(variant_id), reference, row["size_bytes"])
        domains += by_domain(variant_id, scores)
        confidence += by_confidence(variant_id, scores)
    pairs = [
        pair
        for _, group in rows.group_by("model", maintain_order=True)
        for pair in all_pairs(_variants(store, group))
    ]
    store.write(
        {
            PAIRS: frame_of(Pairs, pairs),
            DOMAINS: frame_of(Domains, domains),
            CONFIDENCE: frame_of(Confidence, confidence),
        }
    )


def _with_tokens(store: ResultsStore) -> pl.DataFrame:
    """Return the rows of variants whose tokens and whose baseline's tokens can be read."""
    rows = store.variants().filter(~pl.col("variant_id").is_in(list(store.without_tokens())))
    return rows.join(rows.filter("is_baseline"), on=("model", "device"), how="semi")


def _variants(store: ResultsStore, rows: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    for variant_id in rows.filter(~pl.col("is_baseline"))["variant_id"]:
        yield variant_id, store.tokens(variant_id)
