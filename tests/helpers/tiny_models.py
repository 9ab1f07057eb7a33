"""Tiny random models as GGUF files: real format, real tokenizer tables, a few hundred kilobytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

CONTROL, USER_DEFINED = 3, 4
MERGES = ("t h", "th e", "Ġ the", "i n", "Ġ a", "e r")
END_OF_TEXT = "<|endoftext|>"

_F32 = gguf.GGMLQuantizationType.F32
_WEIGHT_SCALE = 0.05


def byte_symbols() -> list[str]:
    """Return byte-level BPE's 256 printable characters for bytes, in byte order."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    symbols, spare = [], 0x100
    for byte in range(256):
        if byte in printable:
            symbols.append(chr(byte))
        else:
            symbols.append(chr(spare))
            spare += 1
    return symbols


def tiny_tokens(
    extra: Sequence[tuple[str, int]] = (), merges: Sequence[str] = MERGES
) -> tuple[list[str], list[int]]:
    """Return tokens and their types: bytes 0–255 are ids 0–255, then one token per merge, END_OF_TEXT, `extra`."""
    tokens = byte_symbols() + [merge.replace(" ", "") for merge in merges]
    types = [gguf.TokenType.NORMAL.value] * len(tokens)
    for name, kind in ((END_OF_TEXT, CONTROL), *extra):
        tokens.append(name)
        types.append(kind)
    return tokens, types


def tiny_shapes(
    vocabulary: int,
    *,
    hidden: int,
    layers: int,
    heads: int,
    kv_heads: int,
    ffn: int,
    architecture: str,
    biased: Sequence[str] = (),
) -> dict[str, tuple[int, ...]]:
    """Return tensor name → shape in numpy order, without the head."""
    width = hidden // heads * kv_heads
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (vocabulary, hidden),
        "output_norm.weight": (hidden,),
    }
    for layer in range(layers):
        block: dict[str, tuple[int, ...]] = {
            "attn_norm.weight": (hidden,),
            "attn_q.weight": (hidden, hidden),
            "attn_k.weight": (width, hidden),
            "attn_v.weight": (width, hidden),
            "attn_output.weight": (hidden, hidden),
            "ffn_norm.weight": (hidden,),
            "ffn_gate.weight": (ffn, hidden),
            "ffn_up.weight": (ffn, hidden),
            "ffn_down.weight": (hidden, ffn),
        }
        if architecture == "qwen2":
            block |= {"attn_q.bias": (hidden,), "attn_k.bias": (width,), "attn_v.bias": (width,)}
        block |= {f"{role}.bias": block[f"{role}.weight"][:1] for role in biased}
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in block.items()}
    return shapes


def write_tiny_llama(
    path: Path,
    *,
    hidden: int = 256,
    layers: int = 2,
    heads: int = 4,
    kv_heads: int = 2,
    ffn: int = 512,
    seed: int = 0,
    tokens: Sequence[tuple[str, int]] = (),
    merges: Sequence[str] = MERGES,
    pre: str | None = "gpt-2",
    architecture: str = "llama",
    ggml_type: gguf.GGMLQuantizationType = _F32,
    untied: bool = False,
    output: npt.NDArray[np.float32] | None = None,
    head_rows: int | None = None,
    metadata: dict[str, tuple[Any, gguf.GGUFValueType]] | None = None,
    drop: Sequence[str] = (),
    noise: float = 0.0,
    frequency_factors: Sequence[float] = (),
    biased: Sequence[str] = (),
    placed: Mapping[str, tuple[int, float]] | None = None,
) -> Path:
    """Write a tiny random model to `path` and return `path`.

    Args:
        path: the new file.
        hidden: width; 256 is the smallest for k-quants.
        layers: number of blocks.
        heads: query heads.
        kv_heads: key and value heads.
        ffn: width of the feed-forward part.
        seed: files with equal seeds and shapes have equal weights.
        tokens: (token, `tokenizer.ggml.token_type`) appended to the vocabulary.
        merges: merge rules; each also adds its token.
        pre: `tokenizer.ggml.pre`; None leaves it out, as files from before May 2024 do.
        architecture: `general.architecture`; qwen2 gets biases on query, key and value.
        ggml_type: type of the matrices; vectors stay F32.
        untied: write a separate output matrix.
        output: values of the output matrix.
        head_rows: number of rows of that matrix, if not the vocabulary's.
        metadata: keys to add or replace.
        drop: tensors to leave out.
        frequency_factors: divisors of the rotary frequencies, stored as Llama 3 files do.
        biased: roles whose matrices get a bias.
        placed: tensor → (flat index, value), a single weight to replace before quantizing.
        noise: standard deviation of noise added to the matrices, to make a lossy variant.
    """
    names, types = tiny_tokens(tokens, merges)
    writer = gguf.GGUFWriter(str(path), architecture)
    settings = _settings(architecture, hidden, layers, heads, kv_heads, ffn) | (metadata or {})
    for key, (value, kind) in settings.items():
        writer.add_key_value(key, value, kind)
    writer.add_tokenizer_model("gpt2")
    if pre is not None:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list(names)
    writer.add_token_types(types)
    writer.add_token_merges(list(merges))
    shapes = tiny_shapes(
        len(names),
        hidden=hidden,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        ffn=ffn,
        architecture=architecture,
        biased=biased,
    )
    if untied:
        shapes["output.weight"] = (head_rows or len(names), hidden)
    generator, disturbance = np.random.default_rng(seed), np.random.default_rng(seed + 1000)
    for name, shape in shapes.items():
        values = _random(generator, name, shape)
        if name in drop:
            continue
        if placed and name in placed:
            index, value = placed[name]
            values.reshape(-1)[index] = value
        if len(shape) < 2:
            writer.add_tensor(name, values)
        else:
            values = values + noise * disturbance.standard_normal(shape).astype(np.float32)
            writer.add_tensor(name, gguf.quantize(values, ggml_type), raw_dtype=ggml_type)
    if output is not None:
        writer.add_tensor("output.weight", output)
    if frequency_factors:
        writer.add_tensor("rope_freqs.weight", np.asarray(frequency_factors, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _random(generator: np.random.Generator, name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    values = _WEIGHT_SCALE * generator.standard_normal(shape)
    return (values + 1 if name.endswith("norm.weight") else values).astype(np.float32)


def _settings(
    architecture: str, hidden: int, layers: int, heads: int, kv_heads: int, ffn: int
) -> dict[str, tuple[Any, gguf.GGUFValueType]]:
    u32, f32 = gguf.GGUFValueType.UINT32, gguf.GGUFValueType.FLOAT32
    return {
        f"{architecture}.context_length": (128, u32),
        f"{architecture}.embedding_length": (hidden, u32),
        f"{architecture}.block_count": (layers, u32),
        f"{architecture}.feed_forward_length": (ffn, u32),
        f"{architecture}.attention.head_count": (heads, u32),
        f"{architecture}.attention.head_count_kv": (kv_heads, u32),
        f"{architecture}.attention.layer_norm_rms_epsilon": (1e-5, f32),
        f"{architecture}.rope.freq_base": (10000.0, f32),
    }
