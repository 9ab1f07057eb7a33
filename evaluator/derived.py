"""Frames that follow from the token frames of all variants together; written at the end of a run."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from evaluator.breakdowns import by_confidence, by_domain
from evaluator.frames import Confidence, Domains, frame_of
from evaluator.pairwise import all_pairs
from evaluator.store import ResultsStore
from evaluator.token_frames import token_scores


def derive(store: ResultsStore) -> None:
    """Write `domains.parquet`, `confidence.parquet` and `pairs.parquet` for every variant measured so far."""
    rows = store.variants().sort("size_bytes", "variant_id")
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
    store.write_derived(
        {
            "pairs": all_pairs(_variants(store, rows)),
            "domains": frame_of(Domains, domains),
            "confidence": frame_of(Confidence, confidence),
        }
    )


def _variants(store: ResultsStore, rows: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    for variant_id in rows.filter(~pl.col("is_baseline"))["variant_id"]:
        yield variant_id, store.tokens(variant_id)
