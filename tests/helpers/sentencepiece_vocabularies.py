"""SentencePiece vocabularies: trained here on the built-in texts, and written as GGUF files without a real model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import gguf
import numpy as np
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from evaluator.texts.sources import built_in_texts

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6
#: Token, score, type.
Piece = tuple[str, float, int]
_SPECIAL: list[Piece] = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)]


@cache
def trained_pieces(size: int, text: str = "") -> tuple[Piece, ...]:
    """Return a vocabulary in Llama's order: special tokens, bytes, merges by rank, characters.

    Args:
        size: tokens that are learnt.
        text: what it is trained on; the built-in texts if empty.
    """
    content = text or "".join(item.content for item in built_in_texts())
    library = Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    trainer = trainers.BpeTrainer(vocab_size=size, show_progress=False)
    library.train_from_iterator(content.splitlines(), trainer)
    merges = [
        pair if isinstance(pair, list) else pair.split(" ")
        for pair in json.loads(library.to_str())["model"]["merges"]
    ]
    pieces = [*_SPECIAL, *((f"<0x{byte:02X}>", 0.0, BYTE) for byte in range(256))]
    taken = {name for name, _, _ in pieces}  # texts may hold their names
    learnt = [token for token in dict.fromkeys("".join(pair) for pair in merges) if token not in taken]
    letters = [token for token in library.get_vocab() if len(token) == 1]
    return (
        *pieces,
        *((token, -float(rank), NORMAL) for rank, token in enumerate([*learnt, *sorted(letters)])),
    )


def with_merges(size: int, texts: Sequence[str]) -> tuple[list[Piece], list[str]]:
    """Return a vocabulary in Gemma 4's manner, and its merges, some of them across words; learnt from `texts`."""
    library = Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.Split(Regex(r"[^\n]{1,40}|\n"), "isolated")
    trainer = trainers.BpeTrainer(vocab_size=size, show_progress=False)
    library.train_from_iterator([text.replace(" ", "▁").replace("\0", "") for text in texts], trainer)
    model = json.loads(library.to_str())["model"]
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    learnt = [*sorted(model["vocab"], key=model["vocab"].get), "\n\n", "\n\n\n"]
    pieces = [*_SPECIAL, *((f"<0x{byte:02X}>", 0.0, BYTE) for byte in range(256))]
    return [*pieces, *((token, -1000.0, NORMAL) for token in learnt)], merges


def write_vocabulary(
    path: Path,
    pieces: Sequence[Piece],
    *,
    space_prefix: bool = True,
    model: str = "llama",
    pre: str | None = None,
    merges: Sequence[str] = (),
    bos: int | None = None,
) -> Path:
    """Write a GGUF file that llama.cpp reads the vocabulary of."""
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_tokenizer_model(model)
    if pre is not None:
        writer.add_tokenizer_pre(pre)
    if merges:
        writer.add_token_merges(merges)
    if bos is not None:
        writer.add_bos_token_id(bos)
        writer.add_add_bos_token(False)
    tokens, scores, types = zip(*pieces, strict=True)
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_add_space_prefix(space_prefix)
    writer.add_tensor("token_embd.weight", np.zeros((len(pieces), 1), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
