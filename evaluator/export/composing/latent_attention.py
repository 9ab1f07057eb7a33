"""Attention whose keys and values are products of one narrow vector per token."""

from __future__ import annotations

import numpy as np

from evaluator.export.composing.attention import attend, rotated
from evaluator.export.composing.builder import Builder
from evaluator.export.composing.mixers import mix
from evaluator.models.architectures.description import Attention, LatentAttention


@mix.register
def latent_attention(mixer: LatentAttention, builder: Builder, x: str) -> str:
    """Add latent attention; see `mix`.

    Keys and values of all heads are computed; values are padded with zeros to the width of keys.
    """
    heads, width = mixer.heads, mixer.plain + mixer.rotated
    if mixer.query_latent:
        query = builder.product(builder.norm(builder.product(x, "attn_q_a"), "attn_q_a_norm"), "attn_q_b")
    else:
        query = builder.product(x, "attn_q")
    by_head = builder.reshape(query, [0, 0, heads, width])
    plain, turned = builder.split(by_head, [mixer.plain, mixer.rotated])
    turned = rotated(builder, turned, mixer.rotary, heads=heads, width=mixer.rotated)
    query = builder.reshape(builder.concat(plain, turned), [0, 0, heads * width])
    latent, turned = builder.split(builder.product(x, "attn_kv_a_mqa"), [mixer.latent, mixer.rotated])
    turned = builder.reshape(turned, [0, 0, 1, mixer.rotated])
    turned = rotated(builder, turned, mixer.rotary, heads=1, width=mixer.rotated)
    plain, values = _expanded(mixer, builder, builder.norm(latent, "attn_kv_a_norm"))
    keys = builder.concat(plain, builder.concat(*[turned] * heads, axis=2))
    rest = builder.constant([0] * 7 + [width - mixer.value], np.int64)
    values = builder.op("Pad", values, rest)
    padded = Attention(heads=heads, kv_heads=heads, width=width, rotary=None, scale=mixer.scale)
    flat = [builder.reshape(part, [0, 0, heads * width]) for part in (keys, values)]
    output = builder.reshape(attend(padded, builder, query, *flat), [0, 0, heads, width])
    output, *_ = builder.split(output, [mixer.value, width - mixer.value])
    return builder.product(builder.reshape(output, [0, 0, heads * mixer.value]), "attn_output")


def _expanded(mixer: LatentAttention, builder: Builder, latent: str) -> tuple[str, str]:
    """Return keys without their rotated part and values, [windows, length, heads, width] each."""
    if not mixer.split:
        both = builder.reshape(
            builder.product(latent, "attn_kv_b"), [0, 0, mixer.heads, mixer.plain + mixer.value]
        )
        keys, values = builder.split(both, [mixer.plain, mixer.value])
        return keys, values
    one = builder.op("Unsqueeze", latent, builder.constant([1], np.int64))
    # Files hold the keys' matrix per head as [latent, plain], and the values' as [value, latent].
    of_keys = builder.op("Identity", builder.weight(builder.role("attn_k_b")))
    of_values = builder.op("Transpose", builder.weight(builder.role("attn_v_b")), perm=[0, 2, 1])
    keys, values = (
        builder.op("Transpose", builder.op("MatMul", one, matrix), perm=[0, 2, 1, 3])
        for matrix in (of_keys, of_values)
    )
    return keys, values
