"""Synthetic results folders for tests; every column of the variants frame is computed from the token frames."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from cache_rows import caches_of
from engine_rows import run_in_engines, timings

from evaluator.metrics.columns import percentile_column
from evaluator.metrics.estimation import DELTA_PERMILLES
from evaluator.metrics.families.divergence import KLD_PERMILLES
from evaluator.results.files import MANIFEST_NAME
from evaluator.results.manifest import Machine, Manifest, Protocol, TextRecord
from evaluator.results.schema import ROLES
from evaluator.support.units import MEGABYTE

#: Two more types, for crowded plots: `quants=tuple(BITS | MORE_BITS)`.
MORE_BITS = {"IQ3_XXS": 3.25, "IQ4_XS": 4.32}
BITS = {"Q2_K": 2.63, "Q3_K_M": 3.91, "Q4_0": 4.55, "Q4_K_M": 4.85, "Q5_K_M": 5.69, "Q6_K": 6.56, "Q8_0": 8.5}
NOISE = {"bartowski": 0.85, "unsloth": 0.95, "main": 1.15}
DOMAINS = ("encyclopedic", "dialogue", "code", "narrative")
N_PARAMS = 135_000_000
N_LAYERS = 12
#: Roles of a dense model's layers.
_ROLES = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down", "layer")
BASELINE_ID = "baseline-f16"


def make_results(
    folder: Path,
    *,
    methods: Sequence[str] = ("bartowski", "main", "unsloth"),
    quants: Sequence[str] = tuple(BITS),
    with_layers: bool = True,
    with_speed: bool = True,
    with_attribution: bool = False,
    with_caches: bool = False,
    tokens_per_window: int = 64,
    windows: int = 24,
    seed: int = 0,
    engines: Sequence[str] = ("onnxruntime",),
) -> Path:
    """Write a valid, deterministic results folder and return it; `engines` are those that timed every file."""
    rng = np.random.default_rng(seed)
    (folder / "tokens").mkdir(parents=True, exist_ok=True)
    base = _baseline_tokens(rng, windows, tokens_per_window)
    base.write_parquet(folder / "tokens" / f"{BASELINE_ID}.parquet")
    rows = [
        _row(BASELINE_ID, method="baseline", quant="F16", bits=16.0, base=base, ours=base, is_baseline=True)
    ]
    layers, speed = [], timings(BASELINE_ID, 16.0, rng)
    for method in methods:
        for quant in quants:
            bits = (BITS | MORE_BITS)[quant] + 0.07 * (sorted(methods).index(method))
            variant_id = f"{method}-{quant.lower()}"
            tokens = _variant_tokens(rng, base, bits, NOISE.get(method, 1.0))
            tokens.write_parquet(folder / "tokens" / f"{variant_id}.parquet")
            named = {"method": method, "quant": quant, "bits": bits}
            rows.append(_row(variant_id, **named, base=base, ours=tokens, is_baseline=False))
            layers += _layer_rows(variant_id, quant, bits, NOISE.get(method, 1.0), rng, with_attribution)
            speed += timings(variant_id, bits, rng)
    if with_speed:
        rows = run_in_engines(folder, rows, speed, engines)
    if with_caches:
        pl.DataFrame([run for row in rows for run in caches_of(row)]).write_parquet(
            folder / "kv_cache.parquet"
        )
    if with_layers:
        frame = pl.DataFrame(layers, infer_schema_length=None)
        frame.with_columns(pl.col("layer").cast(pl.Int16), pl.col("role").cast(pl.Enum(ROLES))).write_parquet(
            folder / "layers.parquet"
        )
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(folder / "variants.parquet")
    (folder / MANIFEST_NAME).write_text(make_manifest(windows, tokens_per_window).model_dump_json(indent=1))
    return folder


def _baseline_tokens(rng: np.random.Generator, windows: int, per_window: int) -> pl.DataFrame:
    n = windows * per_window
    window = np.repeat(np.arange(windows), per_window)
    top = np.where(rng.random(n) < 0.3, rng.beta(20, 0.7, n), rng.beta(1.4, 1.8, n))
    hit = rng.random(n) < top
    nll = np.where(hit, -np.log(np.clip(top, 1e-6, 1)), 1.2 + rng.gamma(2.2, 1.5, n))
    domain = np.asarray(DOMAINS)[window * len(DOMAINS) // windows]
    return pl.DataFrame(
        {
            "window": window.astype(np.uint32),
            "position": np.tile(np.arange(per_window, 2 * per_window), windows).astype(np.uint16),
            "token": rng.integers(0, 49_152, n).astype(np.int32),
            "domain": pl.Series(domain.tolist(), dtype=pl.Categorical()),
            "nll": nll.astype(np.float32),
            "top_prob": top.astype(np.float32),
            "kld": pl.Series([None] * n, dtype=pl.Float32),
            "same_top": pl.Series([None] * n, dtype=pl.Boolean),
        }
    )


def _variant_tokens(rng: np.random.Generator, base: pl.DataFrame, bits: float, noise: float) -> pl.DataFrame:
    scale = noise * 2.6 * 2.0 ** (-(bits - 2.0) * 0.85)
    n = base.height
    nll = base["nll"].to_numpy() + scale * rng.standard_t(4, n) * 0.6 + 0.35 * scale**1.5
    top = np.clip(
        base["top_prob"].to_numpy() * (1 - 0.12 * scale) + 0.05 * scale * rng.normal(size=n), 0.01, 1
    )
    return base.with_columns(
        pl.Series("nll", np.abs(nll).astype(np.float32)),
        pl.Series("top_prob", top.astype(np.float32)),
        pl.Series("kld", (rng.exponential(0.5 * scale**2 + 1e-5, n)).astype(np.float32)),
        pl.Series("same_top", rng.random(n) > 0.16 * scale),
    )


def _row(
    variant_id: str,
    *,
    method: str,
    quant: str,
    bits: float,
    base: pl.DataFrame,
    ours: pl.DataFrame,
    is_baseline: bool,
) -> dict[str, Any]:
    """Return a row of the variants frame, with every statistic computed from the two token frames."""
    nll, nll_base = (frame["nll"].to_numpy().astype(np.float64) for frame in (ours, base))
    n = nll.size
    difference = nll - nll_base
    size = int(N_PARAMS * bits / 8)
    ppl = float(np.exp(nll.mean()))
    row: dict[str, Any] = {
        "variant_id": variant_id,
        "model": "Synthetic-135M",
        "method": method,
        "quant": quant,
        "is_baseline": is_baseline,
        "source": f"{variant_id}.gguf",
        "sha256": hashlib.sha256(variant_id.encode()).hexdigest(),
        "device": "cpu",
        "provider": "CPUExecutionProvider",
        "n_params": N_PARAMS,
        "size_bytes": size,
        "bits_per_weight": bits,
        "n_tokens": n,
        "n_nonfinite": 0,
        "ppl": ppl,
        "ppl_se": ppl * float(nll.std() / np.sqrt(n - 1)),
        "ln_ppl_ratio": float(difference.mean()),
        "ln_ppl_ratio_se": float(difference.std() / np.sqrt(n - 1)),
        "cor_ln_ppl": float(np.corrcoef(nll, nll_base)[0, 1]),
        "inv_ppl_per_mb": 1 / ppl / (size / MEGABYTE),
    }
    return row if is_baseline else row | _divergence(base, ours)


def _divergence(base: pl.DataFrame, ours: pl.DataFrame) -> dict[str, Any]:
    kld = ours["kld"].to_numpy().astype(np.float64)
    n = kld.size
    nll, nll_base = (frame["nll"].to_numpy().astype(np.float64) for frame in (ours, base))
    delta, delta_p = nll_base - nll, 100 * (np.exp(-nll) - np.exp(-nll_base))
    per_window = (
        ours.group_by("window").agg(pl.col("kld").cast(pl.Float64).mean()).sort("window")["kld"].to_numpy()
    )
    same = float(ours["same_top"].mean())
    row: dict[str, Any] = {
        "kld_mean": float(kld.mean()),
        "kld_se": float(kld.std() / np.sqrt(n - 1)),
        "kld_se_clustered": float(per_window.std() / np.sqrt(per_window.size - 1)),
        "kld_median": float(np.median(kld)),
        "kld_min": float(kld.min()),
        "kld_max": float(kld.max()),
        "delta_p_mean": float(delta_p.mean()),
        "delta_p_rms": float(np.sqrt((delta_p**2).mean())),
        "delta_logp_mean": float(delta.mean()),
        "same_top": same,
        "same_top_se": float(np.sqrt(same * (1 - same) / (n - 1))),
    }
    row |= {percentile_column("kld", p): float(np.quantile(kld, p / 1000)) for p in KLD_PERMILLES}
    row |= {percentile_column("delta_p", p): float(np.quantile(delta_p, p / 1000)) for p in DELTA_PERMILLES}
    row |= {percentile_column("delta_logp", p): float(np.quantile(delta, p / 1000)) for p in DELTA_PERMILLES}
    return row


def _layer_rows(
    variant_id: str,
    quant: str,
    bits: float,
    noise: float,
    rng: np.random.Generator,
    with_attribution: bool,
) -> list[dict[str, Any]]:
    """Return errors of every role; methods other than `main` have a larger type for attn_v in the first layers."""
    rows = []
    error = noise * 0.55 * 2.0 ** (-(bits - 2.0))
    spoils = 0.5 * error**2
    for layer in range(-1, N_LAYERS):
        for role in ("token_embd", "output") if layer < 0 else _ROLES:
            whole = role == "layer"
            raised = 1.25 if role.startswith("attn") else 1.0
            larger = role == "attn_v" and 0 <= layer < 3 and not variant_id.startswith("main")
            type_bits = 6.56 if larger and bits < 6 else bits
            of_type = raised * noise * 0.55 * 2.0 ** (-(type_bits - 2.0))
            rows.append(
                {
                    "variant_id": variant_id,
                    "layer": layer,
                    "role": role,
                    "quant_type": None
                    if whole
                    else "Q6_K"
                    if type_bits != bits
                    else quant.removesuffix("_M"),
                    "bits_per_weight": None if whole else type_bits,
                    "weight_error": None if whole else of_type * float(rng.uniform(0.9, 1.1)),
                    "hidden_error": error * (0.4 + layer / N_LAYERS) if whole else None,
                    "cosine": 1 - error**2 / 2,
                    "attribution_kld": spoils
                    * (raised / 4 if type_bits != bits else raised)
                    * float(rng.uniform(0.5, 2.0))
                    if with_attribution and not whole
                    else None,
                }
            )
    return rows


def make_manifest(windows: int, per_window: int) -> Manifest:
    """Return such a folder's manifest, with the run ended."""
    texts = [
        TextRecord(
            domain=domain,
            name=f"{domain}.txt",
            sha256="0" * 64,
            n_bytes=1000,
            n_tokens=windows // len(DOMAINS) * 2 * per_window,
            windows=windows // len(DOMAINS),
        )
        for domain in DOMAINS
    ]
    return Manifest(
        model="Synthetic-135M",
        baseline_id=BASELINE_ID,
        device="cpu",
        provider="CPUExecutionProvider",
        threads=2,
        protocol=Protocol(context=2 * per_window, first_scored=per_window),
        texts=texts,
        packages={"polars": "2.1.0"},
        machine=Machine(platform="Linux", cpu="Synthetic CPU", logical_cores=2, memory_bytes=8_000_000_000),
        started=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        ended=datetime(2026, 1, 2, 3, 34, tzinfo=UTC),
    )
