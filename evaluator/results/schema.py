"""The schemas of a results folder.

The metric families list the columns of the variants frame. A column that was not measured is null, never 0;
`with_schema` keeps unknown columns.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence

import dataframely as dy
import polars as pl

from evaluator.metrics import METRIC_FAMILIES, columns_of, metric_families
from evaluator.metrics.columns import Column
from evaluator.metrics.pairwise import PAIR_METRICS, VERDICTS

SCHEMA_VERSION = 1

ROLES = (
    "token_embd",
    "per_layer_token_embd",
    "per_layer_model_proj",
    "attn_q",
    "attn_k",
    "attn_v",
    "attn_qkv",  # some families store the three as one matrix, and gate and up as one matrix ffn_up
    "attn_q_a",  # latent attention: to narrow vectors, and from them to heads
    "attn_q_b",
    "attn_kv_a_mqa",
    "attn_kv_b",
    "attn_k_b",
    "attn_v_b",
    "attn_gate",
    "attn_output",
    "ssm_in",  # layers with a state
    "ssm_alpha",
    "ssm_beta",
    "ssm_ba",
    "ssm_out",
    "shortconv.in_proj",
    "shortconv.out_proj",
    "laurel_l",
    "laurel_r",
    "ffn_gate",
    "ffn_up",
    "ffn_down",
    "ffn_gate_inp",  # the router of a mixture, its experts together, and the expert that every token passes through
    "ffn_latent_down",
    "ffn_latent_up",
    "ffn_gate_exps",
    "ffn_up_exps",
    "ffn_gate_up_exps",
    "ffn_down_exps",
    "ffn_gate_inp_shexp",
    "ffn_gate_shexp",
    "ffn_up_shexp",
    "ffn_down_shexp",
    "inp_gate",
    "proj",
    "output",
    "layer",
)
PHASES = ("load", "prefill", "decode")


def _fields(columns: Mapping[str, Column]) -> dict[str, dy.Column]:
    """Return the schema fields for columns of metric families."""
    return {name: _field(column) for name, column in columns.items()}


def _field(column: Column) -> dy.Column:
    nullable = not column.required
    if column.whole:
        return dy.Int64(nullable=nullable, min=None if column.low is None else int(column.low))
    return dy.Float64(nullable=nullable, min=column.low, max=column.high)


def _schema(name: str, doc: str, *parts: Mapping[str, dy.Column]) -> type[dy.Schema]:
    """Return a schema with the fields of `parts`, in their order."""
    fields = {key: field for part in parts for key, field in part.items()}
    return types.new_class(name, (dy.Schema,), exec_body=lambda body: body.update(fields, __doc__=doc))


_NAMES: dict[str, dy.Column] = {
    "variant_id": dy.String(primary_key=True),
    **{name: dy.String() for name in ("model", "method", "quant", "source", "sha256", "device", "provider")},
    "is_baseline": dy.Bool(),
}
#: Columns that the families compute from any subset of the tokens.
STATISTICS = columns_of("tokens")
#: Columns measured in engines: kept when the same file is scored again.
IN_ENGINES = tuple(column.name for family in metric_families() if family.engine for column in family.columns)
#: The engine of timings in older folders, which name none.
FIRST_ENGINE = "onnxruntime"

Variants = _schema(
    "Variants",
    "One row per variant on a device, the baseline included.",
    _NAMES,
    _fields(columns_of()),
)


Domains = _schema(
    "Domains",
    "One row per variant × domain: the statistics of that domain's tokens.",
    {
        "variant_id": dy.String(primary_key=True),
        "domain": dy.String(primary_key=True),
        "n_windows": dy.Int64(min=1),
        "n_tokens": dy.Int64(min=1),
    },
    _fields(STATISTICS),
)


#: `share` is the share of tokens in the bin by the variant's own confidence. All other columns are about the
#: `n_tokens` tokens in the bin by the *baseline's* confidence.
Confidence = _schema(
    "Confidence",
    "One row per variant × bin of the confidence, the probability of the most probable token.",
    {
        "variant_id": dy.String(primary_key=True),
        "bin": dy.UInt8(primary_key=True),
        "low": dy.Float64(min=0, max=1),
        "high": dy.Float64(min=0, max=1),
        "share": dy.Float64(min=0, max=1),
        "share_se": dy.Float64(nullable=True, min=0),
        "n_windows": dy.Int64(min=0),
        "n_tokens": dy.Int64(min=0),
    },
    _fields(STATISTICS),
)


class Pairs(dy.Schema):
    """One row per pair of variants and metric, paired over the same tokens, errors by bootstrap over windows.

    `difference` is a − b in nats with its 95 % interval, `p_better` the share of resamples, widened like the
    interval, in which a is better. `verdict` says how a compares with b: tied if the interval contains 0.
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

    `position` is the predicted token's position in its window. `kld` and `same_top` compare with the baseline
    and are null in the baseline's own file. Non-finite values are null, and `same_top` is null where `kld` is.
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
    """One row per scored token id: the text of that token alone."""

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
    expert_errors = dy.List(dy.Float64(nullable=True), nullable=True)
    hidden_error = dy.Float64(nullable=True, min=0)
    cosine = dy.Float64(nullable=True, min=-1.0001, max=1.0001)
    attribution_kld = dy.Float64(nullable=True)
    routing_changed = dy.Float64(nullable=True, min=0, max=1)
    routing_kld = dy.Float64(nullable=True)


class Speed(dy.Schema):
    """One row per timed repetition in an engine; `context` is the number of tokens in the cache before it.

    `round` counts the rounds of the folder: what was timed in one round was timed in turn, minutes apart. It is null
    for times of earlier versions.
    """

    variant_id = dy.String(primary_key=True)
    engine = dy.String(primary_key=True)
    phase = dy.Enum(PHASES, primary_key=True)
    repetition = dy.UInt32(primary_key=True)
    tokens = dy.UInt32()
    seconds = dy.Float64(min=0)
    context = dy.UInt32()
    round = dy.UInt32(nullable=True)


#: Columns of a file's loss in an engine that are also measured with other types of the cache.
CACHE_LOSSES = {
    column.name.removeprefix("llamacpp_"): column for column in METRIC_FAMILIES.get("llama_cpp_loss").columns
}
#: Losses are those of the engine with that cache; see the columns of the same names with the engine's prefix.
#: Decode times are medians after the prompt, and after thousands of tokens where the model's context allows it.
KvCache = _schema(
    "KvCache",
    "One row per variant × engine × type of the cached keys and values.",
    {name: dy.String(primary_key=True) for name in ("variant_id", "engine", "cache_type")},
    _fields(CACHE_LOSSES),
    {
        name: dy.Float64(nullable=True, min=0)
        for name in ("bytes_per_1000_tokens", "decode_ms_p50", "decode_deep_ms_p50")
    },
)


class Memory(dy.Schema):
    """One row per variant × engine × type of the cache × context: the bytes that running the file takes.

    `context` is in tokens. `weights_bytes` is the file's weights as the engine holds them, `cache_bytes` the cached
    keys and values, and states, of that many tokens, and `compute_bytes` the memory it computes in.
    """

    variant_id = dy.String(primary_key=True)
    engine = dy.String(primary_key=True)
    cache_type = dy.String(primary_key=True)
    context = dy.Int32(primary_key=True, min=1)
    weights_bytes = dy.Int64(nullable=True, min=0)
    cache_bytes = dy.Int64(nullable=True, min=0)
    compute_bytes = dy.Int64(nullable=True, min=0)


def frame_of(schema: type[dy.Schema], rows: Sequence[Mapping[str, object]]) -> pl.DataFrame:
    """Return `rows` as a validated frame, which may be empty; raises the errors of `with_schema`."""
    if not rows:
        return schema.create_empty()
    return with_schema(schema, pl.DataFrame(rows, infer_schema_length=None))


def with_schema(schema: type[dy.Schema], frame: pl.DataFrame) -> pl.DataFrame:
    """Conform and validate a frame; raises the errors of `conform`, or dataframely's ValidationError."""
    conformed = conform(schema, frame)  # casting within validate would be nine times as slow
    schema.validate(conformed)
    return conformed


def conform(schema: type[dy.Schema], frame: pl.DataFrame) -> pl.DataFrame:
    """Add absent nullable columns as null, cast to the types of `schema`, and keep unknown columns.

    Timings without an engine are those of `FIRST_ENGINE`.

    Raises:
        dataframely.exc.SchemaError: a required column is missing.
        polars.exceptions.PolarsError: a value cannot be cast to its column's type.
    """
    types = schema.create_empty().schema
    nullable = [name for name, column in schema.columns().items() if column.nullable]
    absent = [pl.lit(None, types[name]).alias(name) for name in nullable if name not in frame.columns]
    if schema is Speed and "engine" not in frame.columns:
        absent.append(pl.lit(FIRST_ENGINE).alias("engine"))
    completed = frame.with_columns(absent) if absent else frame
    conformed: pl.DataFrame = schema.cast(completed)
    return conformed.with_columns(completed.select(pl.exclude(conformed.columns)))
