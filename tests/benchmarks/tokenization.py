"""Seconds to tokenize, beside llama.cpp's library on the same vocabulary and text, with the same ids."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from rich.table import Table

sys.path.append(str(Path(__file__).parents[1] / "helpers"))

from llama_vocabulary import llama_vocabulary
from sentencepiece_vocabularies import trained_pieces, write_vocabulary

from evaluator.commands.demo import DEMO_SOURCE
from evaluator.models.gguf.reader import open_gguf
from evaluator.models.sources.resolve import resolve_source
from evaluator.models.tokenizers.tokenizer import tokenizer_from_gguf

ROUNDS, WINDOWS, CONTEXT = 3, 8, 512
ROOT = Path(__file__).parents[2]


#: Seconds to read the vocabulary, for the whole text, for it in llama.cpp, and for the windows' part of it.
Times = tuple[float, ...]


def best_seconds(path: Path, text: str) -> tuple[Times, int]:
    """The best of interleaved rounds, and the number of tokens.

    Each round has new tokenizers, which have kept nothing yet.

    Raises:
        RuntimeError: llama.cpp has other ids.
    """
    rounds: list[Times] = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        whole = tokenizer_from_gguf(open_gguf(path))
        read = time.perf_counter()
        ids = whole.encode(text)
        encoded = time.perf_counter()
        reference = llama_vocabulary(path, [text])
        part = tokenizer_from_gguf(open_gguf(path))
        begun = time.perf_counter()
        part.encode(text, WINDOWS * CONTEXT)
        rounds.append((read - start, encoded - read, reference.seconds[0], time.perf_counter() - begun))
        if ids.tolist() != reference.ids[0]:
            raise RuntimeError(f"{path.name}: other ids than llama.cpp's")
    return tuple(min(times) for times in zip(*rounds, strict=True)), len(ids)


def tokenization_table() -> Table:
    """Vocabularies × the whole text, and the tokens of a few windows; the text is this program's source."""
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("evaluator/**/*.py")))
    title = f"Seconds for {len(text.encode()) / 1e6:.2f} MB of text, or the tokens of {WINDOWS} windows of {CONTEXT}"
    table = Table(
        "vocabulary", "tokens", "read", "whole text", "llama.cpp", "ratio", "windows only", title=title
    )
    with tempfile.TemporaryDirectory() as folder:
        pieces = trained_pieces(32_000, text)
        files = {
            "SmolLM2, byte-level": resolve_source(DEMO_SOURCE)[0],
            "trained here, SentencePiece": write_vocabulary(Path(folder) / "pieces.gguf", pieces),
        }
        for name, path in files.items():
            (read, whole, theirs, part), count = best_seconds(path, text)
            times = (f"{read:.3f}", f"{whole:.3f}", f"{theirs:.3f}", f"{whole / theirs:.2f}", f"{part:.4f}")
            table.add_row(name, f"{count:,}", *times)
    return table
