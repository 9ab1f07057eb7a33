"""The schemas of a results folder.

Only polars and the schema library are imported here, because the dashboard reads the same frames and
must start without torch or onnxruntime. A column that was not measured is null, never 0. Metric families
may add columns of their own: `with_schema` keeps what it does not know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import dataframely as dy
import polars as pl

SCHEMA_VERSION = 1

#: Permille of the percentile columns of KL divergence, the set that llama.cpp prints.
KLD_PERMILLES = (1, 10, 50, 100, 900, 950, 990, 999)
#: Permille of the percentile columns of Δp and Δ log p.
DELTA_PERMILLES = (1, 10, 50, 100, 250, 500, 750, 900, 950, 990, 999)

ROLES = (
    "token_embd",
    "attn_q",
    "attn_k",
    "attn_v",
    "attn_qkv",  # one matrix for the three, in Phi-3; its ffn_up holds gate and up likewise
    "attn_output",
    "ffn_gate",
    "ffn_up",
    "ffn_down",
    "output",
    "layer",
)
PHASES = ("load", "prefill", "decode")

#: Edges of the bins of the most probable token's probability; each bin holds its lower edge, the last both.
CONFIDENCE_EDGES = (0.0, 0.25, 0.5, 0.75, 0.95, 1.0)
#: What pairs of variants are compared by: mean nll and mean KLD, in nats, lower is better.
PAIR_METRICS = ("ln_ppl", "kld")
VERDICTS = ("better", "worse", "tied")


def percentile_column(prefix: str, permille: int) -> str:
    """Name of a percentile column: `percentile_column("kld", 999)` is `kld_p999`."""
    return f"{prefix}_p{permille:03d}"


class Statistics(dy.Schema):
    """What the metric families say of a set of tokens. `_se_clustered`: tokens of a window are not independent."""

    # likelihood: nats and natural ratios
    ppl = dy.Float64(nullable=True, min=0)
    ppl_se = dy.Float64(nullable=True, min=0)
    ppl_se_clustered = dy.Float64(nullable=True, min=0)
    ln_ppl_ratio = dy.Float64(nullable=True)
    ln_ppl_ratio_se = dy.Float64(nullable=True, min=0)
    ln_ppl_ratio_se_clustered = dy.Float64(nullable=True, min=0)
    ppl_ratio = dy.Float64(nullable=True, min=0)
    ppl_ratio_se = dy.Float64(nullable=True, min=0)
    ppl_diff = dy.Float64(nullable=True)
    ppl_diff_se = dy.Float64(nullable=True, min=0)
    cor_ln_ppl = dy.Float64(nullable=True, min=-1.0001, max=1.0001)
    # divergence: KL(baseline ‖ variant), nats
    kld_mean = dy.Float64(nullable=True)
    kld_se = dy.Float64(nullable=True, min=0)
    kld_se_clustered = dy.Float64(nullable=True, min=0)
    kld_p001 = dy.Float64(nullable=True)
    kld_p010 = dy.Float64(nullable=True)
    kld_p050 = dy.Float64(nullable=True)
    kld_p100 = dy.Float64(nullable=True)
    kld_p900 = dy.Float64(nullable=True)
    kld_p950 = dy.Float64(nullable=True)
    kld_p990 = dy.Float64(nullable=True)
    kld_p999 = dy.Float64(nullable=True)
    kld_median = dy.Float64(nullable=True)
    kld_min = dy.Float64(nullable=True)
    kld_max = dy.Float64(nullable=True)
    # Δp of the correct token, percentage points
    delta_p_mean = dy.Float64(nullable=True, min=-100, max=100)
    delta_p_se = dy.Float64(nullable=True, min=0)
    delta_p_rms = dy.Float64(nullable=True, min=0, max=100)
    delta_p_rms_se = dy.Float64(nullable=True, min=0)
    delta_p_min = dy.Float64(nullable=True, min=-100, max=100)
    delta_p_max = dy.Float64(nullable=True, min=-100, max=100)
    delta_p_p001 = dy.Float64(nullable=True)
    delta_p_p010 = dy.Float64(nullable=True)
    delta_p_p050 = dy.Float64(nullable=True)
    delta_p_p100 = dy.Float64(nullable=True)
    delta_p_p250 = dy.Float64(nullable=True)
    delta_p_p500 = dy.Float64(nullable=True)
    delta_p_p750 = dy.Float64(nullable=True)
    delta_p_p900 = dy.Float64(nullable=True)
    delta_p_p950 = dy.Float64(nullable=True)
    delta_p_p990 = dy.Float64(nullable=True)
    delta_p_p999 = dy.Float64(nullable=True)
    # Δ log p of the correct token, nats
    delta_logp_mean = dy.Float64(nullable=True)
    delta_logp_p001 = dy.Float64(nullable=True)
    delta_logp_p010 = dy.Float64(nullable=True)
    delta_logp_p050 = dy.Float64(nullable=True)
    delta_logp_p100 = dy.Float64(nullable=True)
    delta_logp_p250 = dy.Float64(nullable=True)
    delta_logp_p500 = dy.Float64(nullable=True)
    delta_logp_p750 = dy.Float64(nullable=True)
    delta_logp_p900 = dy.Float64(nullable=True)
    delta_logp_p950 = dy.Float64(nullable=True)
    delta_logp_p990 = dy.Float64(nullable=True)
    delta_logp_p999 = dy.Float64(nullable=True)
    # share of positions whose most probable token is the baseline's
    same_top = dy.Float64(nullable=True, min=0, max=1)
    same_top_se = dy.Float64(nullable=True, min=0)
    same_top_se_clustered = dy.Float64(nullable=True, min=0)
    # probability of the variant's own most probable token
    top_prob_mean = dy.Float64(nullable=True, min=0, max=1.0001)
    top_prob_se = dy.Float64(nullable=True, min=0)
    inv_ppl_per_mb = dy.Float64(nullable=True, min=0)


class _Facts(dy.Schema):
    variant_id = dy.String(primary_key=True)
    model = dy.String()
    method = dy.String()
    quant = dy.String()
    is_baseline = dy.Bool()
    source = dy.String()
    sha256 = dy.String()
    device = dy.String()
    provider = dy.String()
    n_params = dy.Int64(min=1)
    size_bytes = dy.Int64(min=1)
    bits_per_weight = dy.Float64(min_exclusive=0)
    artifact_bytes = dy.Int64(nullable=True, min=1)
    n_tokens = dy.Int64(min=0)
    n_nonfinite = dy.Int64(min=0)


class _OfAllTokens(dy.Schema):
    # means over domains in which every domain counts the same
    ppl_macro = dy.Float64(nullable=True, min=0)
    ln_ppl_ratio_macro = dy.Float64(nullable=True)
    ln_ppl_ratio_macro_se = dy.Float64(nullable=True, min=0)
    kld_macro = dy.Float64(nullable=True)
    kld_macro_se = dy.Float64(nullable=True, min=0)
    same_top_macro = dy.Float64(nullable=True, min=0, max=1)
    same_top_macro_se = dy.Float64(nullable=True, min=0)
    # speed of the packed artifact
    prefill_tps = dy.Float64(nullable=True, min=0)
    decode_ms_p10 = dy.Float64(nullable=True, min=0)
    decode_ms_p50 = dy.Float64(nullable=True, min=0)
    decode_ms_p90 = dy.Float64(nullable=True, min=0)
    load_s = dy.Float64(nullable=True, min=0)
    peak_rss_bytes = dy.Int64(nullable=True, min=0)
    deploy_kld_mean = dy.Float64(nullable=True)
    # sum of `attribution_kld` over the KLD of the whole variant on the same tokens
    attribution_additivity = dy.Float64(nullable=True)


#: Columns that come from the packed artifact and its timings.
TIMED = (
    *("artifact_bytes", "prefill_tps", "decode_ms_p10", "decode_ms_p50", "decode_ms_p90"),
    *("load_s", "peak_rss_bytes", "deploy_kld_mean"),
)


class Variants(_Facts, Statistics, _OfAllTokens):
    """One row per variant on a device; the baseline has a row too."""


class _Domain(dy.Schema):
    variant_id = dy.String(primary_key=True)
    domain = dy.String(primary_key=True)
    n_windows = dy.Int64(min=1)
    n_tokens = dy.Int64(min=1)


class Domains(_Domain, Statistics):
    """One row per variant × domain: the statistics of that domain's tokens alone."""


class _Bin(dy.Schema):
    variant_id = dy.String(primary_key=True)
    bin = dy.UInt8(primary_key=True)
    low = dy.Float64(min=0, max=1)
    high = dy.Float64(min=0, max=1)
    share = dy.Float64(min=0, max=1)
    share_se = dy.Float64(nullable=True, min=0)
    n_windows = dy.Int64(min=0)
    n_tokens = dy.Int64(min=0)


class Confidence(_Bin, Statistics):
    """One row per variant × bin of confidence, the probability of the most probable token.

    `share` of all tokens lies in the bin by the variant's own confidence. Everything else is about the
    `n_tokens` tokens that lie in it by the *baseline's* confidence.
    """


class Pairs(dy.Schema):
    """One row per pair of variants and metric, paired over the same tokens, errors by bootstrap over windows.

    `difference` is a − b in nats with its 95 % interval, `p_better` the share of resamples, widened like the
    interval, in which a is the better. `verdict` says how a compares with b: tied when the interval holds 0.
    """

    a = dy.String(primary_key=True)
    b = dy.String(primary_key=True)
    metric = dy.Enum(PAIR_METRICS, primary_key=True)
    difference = dy.Float64()
    ci_low = dy.Float64(nullable=True)
    ci_high = dy.Float64(nullable=True)
    p_better = dy.Float64(nullable=True, min=0, max=1)
    verdict = dy.Enum(VERDICTS, nullable=True)
    n_windows = dy.Int64(min=1)
    n_tokens = dy.Int64(min=1)


class Tokens(dy.Schema):
    """One row per scored token, in the same order for every variant.

    `position` is the predicted token's place in its window. `kld` and `same_top` compare with the baseline
    and are null in the baseline's own file; a value that was not finite is null too, and so is `same_top` where
    `kld` was not finite.
    """

    window = dy.UInt32(primary_key=True)
    position = dy.UInt16(primary_key=True)
    token = dy.Int32(min=0)
    domain = dy.Categorical()
    nll = dy.Float32(nullable=True)
    top_prob = dy.Float32(nullable=True, min=0, max=1.0001)
    kld = dy.Float32(nullable=True)
    same_top = dy.Bool(nullable=True)


class Vocabulary(dy.Schema):
    """One row per token id that was scored: the text it stands for, alone."""

    model = dy.String(primary_key=True)
    token = dy.Int32(primary_key=True, min=0)
    piece = dy.String()


class Layers(dy.Schema):
    """One row per variant × layer × role; layer −1 holds the embedding and the head."""

    variant_id = dy.String(primary_key=True)
    layer = dy.Int16(primary_key=True, min=-1)
    role = dy.Enum(ROLES, primary_key=True)
    quant_type = dy.String(nullable=True)
    bits_per_weight = dy.Float64(nullable=True, min=0)
    weight_error = dy.Float64(nullable=True, min=0)
    hidden_error = dy.Float64(nullable=True, min=0)
    cosine = dy.Float64(nullable=True, min=-1.0001, max=1.0001)
    attribution_kld = dy.Float64(nullable=True)


class Speed(dy.Schema):
    """One row per timed repetition."""

    variant_id = dy.String(primary_key=True)
    phase = dy.Enum(PHASES, primary_key=True)
    repetition = dy.UInt32(primary_key=True)
    tokens = dy.UInt32()
    seconds = dy.Float64(min=0)
    context = dy.UInt32()


SchemaT = TypeVar("SchemaT", bound=dy.Schema)


def frame_of(schema: type[dy.Schema], rows: Sequence[Mapping[str, object]]) -> pl.DataFrame:
    """`rows` as a validated frame, empty where there are none; raises what `with_schema` raises."""
    return (
        with_schema(schema, pl.DataFrame(rows, infer_schema_length=None)) if rows else schema.create_empty()
    )


def with_schema(schema: type[SchemaT], frame: pl.DataFrame) -> pl.DataFrame:
    """Validate `frame`: absent nullable columns become null, types are cast, unknown columns are kept.

    Raises:
        dataframely.exc.SchemaError: a required column is absent.
        polars.exceptions.PolarsError: a value cannot be cast to its column's type.
        dataframely.exc.ValidationError: a value breaks a rule of the schema.
    """
    empty = schema.create_empty()
    nullable = [name for name, column in schema.columns().items() if column.nullable]
    absent = [pl.lit(None, empty.schema[name]).alias(name) for name in nullable if name not in frame.columns]
    completed = frame.with_columns(absent) if absent else frame
    # Cast first: rules that allow for casts make validating a frame of 100 columns nine times as slow.
    checked: pl.DataFrame = schema.validate(schema.cast(completed))
    extras = [name for name in frame.columns if name not in checked.columns]
    return checked.with_columns(completed.select(extras)) if extras else checked
