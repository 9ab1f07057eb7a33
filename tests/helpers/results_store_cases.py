"""A manifest, rows and tokens for tests of the results store."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl

from evaluator.results.files import tokens_of
from evaluator.results.manifest import (
    Machine,
    Manifest,
    NoiseFloor,
    Protocol,
    TextRecord,
)
from evaluator.results.store import ResultsStore

TEXT = TextRecord(domain="d", name="t.txt", sha256="t", n_bytes=9, n_tokens=9, windows=1)


def manifest(**changes):
    settings = {
        "model": "M", "baseline_id": "m-base", "baseline_sha256": "b", "device": "cpu", "provider": "CPU",
        "threads": 1, "protocol": Protocol(), "texts": [TEXT], "packages": {},
        "machine": Machine(platform="p", cpu="c", logical_cores=1, memory_bytes=1),
        "started": datetime(2025, 1, 1, tzinfo=UTC),
    }  # fmt: skip
    return Manifest(**settings | changes)


def row(variant_id="v", sha256="s", ppl=9.0, model="M"):
    text = dict.fromkeys(("method", "quant", "source", "device", "provider"), "x")
    numbers = {
        "n_params": 1,
        "size_bytes": 1,
        "bits_per_weight": 4.5,
        "n_tokens": 1,
        "n_nonfinite": 0,
        "ppl": ppl,
    }
    text["model"] = model
    return pl.DataFrame([{"variant_id": variant_id, "sha256": sha256, "is_baseline": False} | text | numbers])


def tokens(nll=1.0):
    return pl.DataFrame({"window": [0], "position": [5], "token": [7], "domain": ["d"], "nll": [nll]})


FLOOR = NoiseFloor(
    n_tokens=1, n_windows=1, same_top=1,
    **dict.fromkeys(("kld_mean", "kld_se", "kld_p990", "ln_ppl_ratio", "ln_ppl_ratio_se", "same_top_se"), 0),
)  # fmt: skip


def prepare(folder, force=False, **changes):
    """Start and end a run into `folder`."""
    with ResultsStore(folder) as store:
        store.prepare(manifest(**changes), force=force)


def tokens_path(store, variant_id):
    return store.folder / tokens_of(variant_id).place
