"""Seconds to tokenize, beside llama.cpp's library on the same vocabulary and text, with the same ids."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.table import Table

sys.path.append(str(Path(__file__).parents[1] / "helpers"))

from llama_vocabulary import llama_vocabulary
from sentencepiece_vocabularies import trained_pieces, write_vocabulary

from evaluator.commands.demo import DEMO_SOURCE
from evaluator.models.gguf.reader import open_gguf
from evaluator.models.sources.resolve import resolve_source
from evaluator.models.tokenizers.tokenizer import TextTokenizer, tokenizer_from_gguf

ROUNDS, WINDOWS, CONTEXT = 3, 8, 512
ROOT = Path(__file__).parents[2]


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def best_seconds(tokenizers: list[TextTokenizer], action: Callable[[TextTokenizer], object]) -> float:
    """The best of several rounds, each with a new tokenizer, which has kept nothing yet."""
    return min(seconds(lambda item=item: action(item)) for item in tokenizers)


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
            read = min(seconds(lambda path=path: tokenizer_from_gguf(open_gguf(path))) for _ in range(ROUNDS))
            fresh = [tokenizer_from_gguf(open_gguf(path)) for _ in range(2 * ROUNDS)]
            whole = best_seconds(fresh[:ROUNDS], lambda item: item.encode(text))
            part = best_seconds(fresh[ROUNDS:], lambda item: item.encode(text, WINDOWS * CONTEXT))
            reference = llama_vocabulary(path, [text] * ROUNDS)
            ids = fresh[0].encode(text).tolist()
            if ids != reference.ids[0]:
                raise RuntimeError(f"{name}: other ids than llama.cpp's")
            theirs = min(reference.seconds)
            table.add_row(
                name,
                f"{len(ids):,}",
                f"{read:.3f}",
                f"{whole:.3f}",
                f"{theirs:.3f}",
                f"{whole / theirs:.2f}",
                f"{part:.4f}",
            )
    return table
