"""Synthetic rows of `kv_cache.parquet`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Types of the cache: bits per value, and what each adds to the KLD of 8 bits per weight in nats.
CACHES = {"f16": (16.0, 0.0001), "q8_0": (8.5, 0.0003), "q4_0": (4.5, 0.02)}
#: Bytes of 1,000 tokens at 1 bit per value: 30 layers of 3 heads with 64 keys and 64 values.
_BYTES = 1000 * 30 * 3 * 128 / 8


def caches_of(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a file's rows in llama.cpp, from its row of the variants frame."""
    own = row.get("kld_mean") or 0.0
    return [
        {
            "variant_id": row["variant_id"],
            "engine": "llama.cpp",
            "cache_type": kind,
            "kld_mean": added,
            "kld_se": added / 10,
            "kld_se_clustered": added / 8,
            "baseline_kld_mean": own + added * row["bits_per_weight"] / 8,
            "baseline_kld_se": own / 50,
            "baseline_kld_se_clustered": own / 40,
            "ppl": row["ppl"] * (1 + added),
            "bytes_per_1000_tokens": _BYTES * bits,
            "decode_ms_p50": 6 + row["bits_per_weight"] + 1 / bits,
            "decode_deep_ms_p50": 8 + row["bits_per_weight"] + bits / 4,
        }
        for kind, (bits, added) in CACHES.items()
    ]
