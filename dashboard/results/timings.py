"""Summarize the timed repetitions of a results folder."""

from __future__ import annotations

import polars as pl

_PREFILL = {"variant_id": pl.String, "prefill_p10": pl.Float64, "prefill_p90": pl.Float64}
_DEPTHS = {"variant_id": pl.String, "depth": pl.UInt32, "ms": pl.Float64, "count": pl.UInt32}


def prefill_ends(speed: pl.DataFrame | None) -> pl.DataFrame:
    """Return `variant_id`, `prefill_p10` and `prefill_p90`: percentiles of the speed of prompts, in tokens/s.

    Prompts read to reach a further depth do not count.
    """
    if speed is None:
        return pl.DataFrame(schema=_PREFILL)
    rate = pl.col("tokens") / pl.col("seconds")
    ends = [rate.quantile(q, "linear").alias(f"prefill_p{round(100 * q)}") for q in (0.1, 0.9)]
    return prompts(speed).filter(pl.col("seconds") > 0).group_by("variant_id").agg(ends)


def decode_depths(speed: pl.DataFrame | None) -> pl.DataFrame:
    """Return `variant_id`, `depth`, `ms` and `count`, sorted: the median time per new token by tokens in the cache.

    Tokens decoded one after the other are of one depth, which is the number of tokens before the first of them; those
    after a prompt are apart from those on an empty cache, however short the prompt.
    """
    if speed is None:
        return pl.DataFrame(schema=_DEPTHS)
    ms = (1000 * pl.col("seconds") / pl.col("tokens")).median()
    decoded = _decoded(speed).group_by("variant_id", "depth")
    return decoded.agg(ms=ms, count=pl.len()).sort("variant_id", "depth")


def repetitions(speed: pl.DataFrame, phase: str) -> dict[str, int]:
    """Return how often each variant was timed in a phase, by id; decoding at other depths than the usual left out."""
    if phase == "decode":
        counts = decode_depths(speed).group_by("variant_id").agg(pl.col("count").max())
    else:
        counts = prompts(speed).group_by("variant_id").agg(count=pl.len())
    return dict(counts.iter_rows())


def after_prompt(speed: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of tokens that were decoded right after the prompt."""
    return _decoded(speed).filter(pl.col("depth") == pl.col("prompt"))


def _decoded(speed: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of decoded tokens with their `depth` and the tokens of the `prompt`; see `decode_depths`."""
    decode = _of(speed, "decode").filter(pl.col("tokens") > 0).sort("variant_id", "context")
    prompt = prompts(speed).group_by("variant_id").agg(prompt=pl.col("tokens").max())
    decode = decode.join(prompt, on="variant_id", how="left", maintain_order="left")
    last, context = pl.col("context").shift(1).over("variant_id"), pl.col("context")
    further = context > last + pl.col("tokens").shift(1).over("variant_id")
    starts = further | ((context == pl.col("prompt")) & (last < context))
    part = starts.fill_null(value=False).cum_sum().over("variant_id").alias("part")
    return decode.with_columns(part).with_columns(depth=context.min().over("variant_id", "part"))


def prompts(speed: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of the prompts that were read first."""
    return _of(speed, "prefill").filter(pl.col("context") == pl.col("context").min().over("variant_id"))


def _of(speed: pl.DataFrame, phase: str) -> pl.DataFrame:
    return speed.filter(pl.col("phase").cast(pl.String) == phase)
