"""Results folders with a broken upload: a file whose content does not match its name."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from results_factory import make_results

BROKEN = "unsloth-q4_k_m"
GARBLED = (3, "ffn_down")
_LABEL = "unsloth Q4_K_M"


def make_same_type(folder: Path, times: float = 40.0, error: float | None = 1.41) -> Path:
    """Write a Q4_K_M of the same size for each of three methods; unsloth's loses `times` as much as the others.

    The others have a KLD of 0.05 nats at every token and weight errors of 0.005; one matrix of unsloth's has `error`.
    """
    make_results(folder, quants=("Q4_K_M",), windows=8)
    variants = pl.read_parquet(folder / "variants.parquet")
    broken = pl.col("variant_id") == BROKEN
    loss = pl.when("is_baseline").then(None).when(broken).then(0.05 * times).otherwise(0.05)
    variants.with_columns(
        kld_mean=loss,
        kld_se=pl.when("is_baseline").then(None).otherwise(0.0001),
        kld_se_clustered=pl.when("is_baseline").then(None).otherwise(0.0001),
        bits_per_weight=pl.when("is_baseline").then(16.0).otherwise(4.85),
        size_bytes=pl.when("is_baseline").then(270_000_000).otherwise(81_843_750),
    ).write_parquet(folder / "variants.parquet")
    for name in ("bartowski-q4_k_m", "main-q4_k_m", BROKEN):
        path = folder / "tokens" / f"{name}.parquet"
        lossy = 0.05 * (times if name == BROKEN else 1.0)
        pl.read_parquet(path).with_columns(kld=pl.lit(lossy, pl.Float32)).write_parquet(path)
    layers = pl.read_parquet(folder / "layers.parquet")
    one = broken & (pl.col("layer") == GARBLED[0]) & (pl.col("role").cast(pl.String) == GARBLED[1])
    usual = pl.when(pl.col("weight_error").is_not_null()).then(0.005)
    garbled = usual if error is None else pl.when(one).then(error).otherwise(usual)
    layers.with_columns(weight_error=garbled).write_parquet(folder / "layers.parquet")
    return folder


def spoil(folder: Path, variant_id: str, kld: float, rise: float) -> None:
    """Set the same KLD and the same increase of nll for every token of a variant, in the folder's frames."""
    path = folder / "tokens" / f"{variant_id}.parquet"
    base = pl.read_parquet(folder / "tokens" / "baseline-f16.parquet")
    tokens = pl.read_parquet(path).with_columns(
        kld=pl.lit(kld, pl.Float32), nll=(base["nll"] + rise).cast(pl.Float32)
    )
    tokens.write_parquet(path)
    mine = pl.col("variant_id") == variant_id
    level = float(tokens["nll"].cast(pl.Float64).mean())  # type: ignore[arg-type]  # a number: there are tokens
    values = {"kld_mean": kld, "kld_median": kld, "kld_max": kld, "ln_ppl_ratio": rise}
    values |= dict.fromkeys(("kld_se", "kld_se_clustered", "ln_ppl_ratio_se"), 1e-6)
    frame = pl.read_parquet(folder / "variants.parquet").with_columns(
        pl.when(mine).then(pl.lit(value)).otherwise(pl.col(name)).alias(name)
        for name, value in values.items()
    )
    frame.with_columns(
        ppl=pl.when(mine).then(pl.lit(level).exp()).otherwise("ppl"),
    ).write_parquet(folder / "variants.parquet")
