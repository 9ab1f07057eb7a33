"""A Llama in plain float64 numpy, from the tensors as a GGUF file stores them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

EPSILON, ROPE_BASE = 1e-5, 10000.0


def _norm(x, gain):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + EPSILON) * gain


def _rotate(x, factors):
    """Apply GGUF's rotary embedding: rows 2i and 2i + 1 of a head are rotated as a pair. x: [tokens, heads, d]."""
    tokens, _, d = x.shape
    angles = np.arange(tokens)[:, None] * (ROPE_BASE ** (-np.arange(0, d, 2) / d) / factors)[None]
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    even, odd = x[..., 0::2], x[..., 1::2]
    out = np.empty_like(x)
    out[..., 0::2], out[..., 1::2] = even * cos - odd * sin, even * sin + odd * cos
    return out


def _attention(q, k, v, heads, kv_heads, factors):
    tokens = len(q)
    d = q.shape[1] // heads
    q = _rotate(q.reshape(tokens, heads, d), factors)
    k = _rotate(k.reshape(tokens, kv_heads, d), factors)
    v = v.reshape(tokens, kv_heads, d)
    out = np.empty((tokens, heads, d))
    for head in range(heads):
        shared = head // (heads // kv_heads)
        scores = q[:, head] @ k[:, shared].T / np.sqrt(d)
        scores[np.triu_indices(tokens, 1)] = -np.inf
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        out[:, head] = weights / weights.sum(axis=1, keepdims=True) @ v[:, shared]
    return out.reshape(tokens, -1)


def final_hidden(
    tensor: Callable[[str], np.ndarray],
    ids,
    *,
    layers=2,
    heads=4,
    kv_heads=2,
    factors=1.0,
    inputs=None,
    stream=None,
    biased=(),
) -> np.ndarray:
    """Return the hidden states after the last norm, float64 [tokens, hidden]; `tensor` maps names to values.

    Matrices of the roles in `biased` have a bias. If there is a dictionary `inputs`, the input of each matrix
    of the blocks is added to it; to a list `stream`, the residual stream before the first block and after each.
    """

    def get(name):
        return np.asarray(tensor(name), np.float64)

    def times(x, name):
        if inputs is not None:
            inputs[name] = x
        product = x @ get(name).T
        has_bias = name.split(".")[2] in biased
        return product + get(name.replace(".weight", ".bias")) if has_bias else product

    x = get("token_embd.weight")[np.asarray(ids)]
    stream = [] if stream is None else stream
    stream.append(x)
    for layer in range(layers):
        block = f"blk.{layer}."
        y = _norm(x, get(block + "attn_norm.weight"))
        q, k, v = (times(y, f"{block}attn_{letter}.weight") for letter in "qkv")
        x = x + times(_attention(q, k, v, heads, kv_heads, factors), block + "attn_output.weight")
        y = _norm(x, get(block + "ffn_norm.weight"))
        gate = times(y, block + "ffn_gate.weight")
        y = gate / (1 + np.exp(-gate)) * times(y, block + "ffn_up.weight")
        x = x + times(y, block + "ffn_down.weight")
        stream.append(x)
    return _norm(x, get("output_norm.weight"))


def log_softmax(logits) -> np.ndarray:
    """Return natural log-probabilities along the last axis, float64."""
    shifted = np.asarray(logits, np.float64)
    shifted = shifted - shifted.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
