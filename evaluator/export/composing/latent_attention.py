"""Attention whose keys and values are products of one narrow vector per token."""

from __future__ import annotations

import numpy as np

from evaluator.export.composing.attention import attend, rotated
from evaluator.export.composing.builder import Builder
from evaluator.export.composing.mixers import mix
from evaluator.models.architectures.mixers import Attention, LatentAttention

#: Arrays as wide as all heads together that exist at a time, keys and values of earlier positions aside.
_WIDE = 9


@mix.register
def latent_attention(mixer: LatentAttention, builder: Builder, x: str) -> str:
    """Add latent attention; see `mix`.

    Keys and values of all heads are computed; those that are narrower than the others are padded with zeros.
    """
    builder.wide = _WIDE
    heads, width = mixer.heads, mixer.plain + mixer.rotated
    full = max(width, mixer.value)
    if mixer.query_latent:
        query = builder.product(builder.norm(builder.product(x, "attn_q_a"), "attn_q_a_norm"), "attn_q_b")
    else:
        query = builder.product(x, "attn_q")
    by_head = builder.reshape(query, [0, 0, heads, width])
    plain, turned = builder.split(by_head, [mixer.plain, mixer.rotated])
    turned = rotated(builder, turned, mixer.rotary, heads=heads, width=mixer.rotated)
    query = builder.concat(plain, turned)
    latent, turned = builder.split(builder.product(x, "attn_kv_a_mqa"), [mixer.latent, mixer.rotated])
    turned = builder.reshape(turned, [0, 0, 1, mixer.rotated])
    turned = rotated(builder, turned, mixer.rotary, heads=1, width=mixer.rotated)
    plain, values = _expanded(mixer, builder, builder.norm(latent, "attn_kv_a_norm"))
    keys = builder.concat(plain, builder.concat(*[turned] * heads, axis=2))
    padded = Attention(
        heads=heads,
        kv_heads=heads,
        width=full,
        rotary=None,
        scale=mixer.scale,
        temperature=mixer.temperature,
    )
    query, keys = (_widened(builder, part, full - width, heads * full) for part in (query, keys))
    values = _widened(builder, values, full - mixer.value, heads * full)
    output = builder.reshape(attend(padded, builder, query, keys, values), [0, 0, heads, full])
    if full > mixer.value:
        output, _ = builder.split(output, [mixer.value, full - mixer.value])
    return builder.product(builder.reshape(output, [0, 0, heads * mixer.value]), "attn_output")


def _widened(builder: Builder, x: str, zeros: int, size: int) -> str:
    """Return heads, [windows, length, heads, width], with zeros behind each, as [windows, length, size]."""
    if zeros:
        x = builder.op("Pad", x, builder.constant([0] * 7 + [zeros], np.int64))
    return builder.reshape(x, [0, 0, size])


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
