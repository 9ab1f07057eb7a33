"""llama.cpp as runs use it, beside its own tools: perplexity, and times in interleaved rounds.

`against_tools.py FOLDER [SRC ...] --text FILE` takes llama-perplexity and llama-bench from a folder. They have to be
of the same version and built for the same instructions; a line below the table says what both are built for.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from evaluator.commands.demo import DEMO_SOURCE
from evaluator.engines.llama_cpp.process import llama_answer, llama_logits
from evaluator.engines.llama_cpp.settings import Settings
from evaluator.models.gguf.reader import open_gguf
from evaluator.models.sources.resolve import resolve_one
from evaluator.models.tokenizers.tokenizer import tokenizer_from_gguf
from evaluator.results.manifest import Protocol
from evaluator.runtime.timing import Timing
from evaluator.support.threads import usable_cores
from evaluator.texts.sources import Text
from evaluator.texts.windows import cut_windows

CONTEXT, FIRST = 512, 256
PROMPT, DEPTH, DECODED = 512, 256, 32

Windows = npt.NDArray[np.int32]


def run(command: Sequence[object]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(item) for item in command], capture_output=True, text=True, check=True)


def their_windows(path: Path, text: str, count: int) -> Windows:
    """The windows of llama-perplexity: BOS is put before the text, and in place of each window's first token."""
    (answer,) = llama_answer("vocabulary", paths=[str(path)], texts=[text], parse_special=False)
    bos = [] if answer["bos_id"] is None else [answer["bos_id"]]
    ids = np.array([*bos, *answer["ids"][0]][: count * CONTEXT]).reshape(count, CONTEXT)
    ids[:, : len(bos)] = bos
    return ids


def our_windows(path: Path, text: str, count: int) -> Windows:
    """The windows of a run, see docs/protocol.md."""
    protocol = Protocol(context=CONTEXT, first_scored=FIRST, chunks=count)
    windows, _ = cut_windows([Text("", "", text)], tokenizer_from_gguf(open_gguf(path)), protocol)
    return np.stack([window.ids for window in windows])


def perplexity(path: Path, windows: Windows, settings: Settings) -> float:
    """The perplexity of the scored tokens, in float64 from llama.cpp's logits."""
    losses = []
    with llama_logits([path], windows, FIRST, CONTEXT - 1, settings) as files:
        for file in files:
            for targets in windows[:, FIRST + 1 :]:
                logits = file.rows(len(targets)).astype(np.float64)
                logits -= logits.max(axis=1, keepdims=True)
                right = logits[np.arange(len(targets)), targets]
                losses.append(np.log(np.exp(logits).sum(axis=1)) - right)
    return float(np.exp(np.mean(losses)))


def perplexity_table(
    folder: Path, paths: Sequence[Path], text: Path, count: int, settings: Settings
) -> Table:
    """Perplexity of the tool, and here: on its windows and on those of a run."""
    title = f"Perplexity, first {count} windows of {text.name}"
    columns = (
        "file",
        "llama-perplexity",
        "its windows, here",
        "difference",
        "windows of a run",
        "difference",
    )
    table = Table(*columns, title=title)
    content = text.read_text(encoding="utf-8")
    for path in paths:
        command = [folder / "llama-perplexity", "-m", path, "-f", text, "-c", CONTEXT, "--chunks", count]
        result = run([*command, "-t", settings.threads])
        printed = result.stdout + result.stderr
        theirs = float(re.findall(r"Final estimate: PPL = ([0-9.]+)", printed)[0])
        there = re.findall(r"system_info: (.*)", printed)[0]
        row = [path.stem, f"{theirs:.4f}"]
        cuts = [cut(path, content, count) for cut in (their_windows, our_windows)]
        here = [perplexity(path, cuts[0], settings)]
        here.append(here[0] if np.array_equal(*cuts) else perplexity(path, cuts[1], settings))
        for value in here:
            row += [f"{value:.4f}", f"{value / theirs - 1:+.4%}"]
        table.add_row(*row)
    build = llama_answer("build", path=None, settings=settings)
    table.caption = f"here: {build['features']}\nthere: {there}"
    return table


def their_rates(folder: Path, path: Path, threads: int) -> list[float]:
    """Tokens per second of a prompt, of tokens on an empty cache and of those at a depth, by llama-bench."""
    command = [folder / "llama-bench", "-m", path, "-t", threads, "-r", 1, "-o", "json"]
    flags = ["-p", PROMPT, "-n", DECODED, "-d", f"0,{DEPTH}"]
    tests = json.loads(run([*command, *flags]).stdout)
    rates = {(test["n_prompt"], test["n_depth"]): test["avg_ts"] for test in tests}
    return [rates[PROMPT, 0], rates[0, 0], rates[0, DEPTH]]


def our_rates(path: Path, settings: Settings) -> list[float]:
    """The same by the worker process of a run."""
    ids = np.random.default_rng(0).integers(0, 1000, PROMPT + DECODED).tolist()
    seconds = []
    for prompt, following in ((PROMPT, 1), (DEPTH, DECODED)):
        request = {"prompt": ids[:prompt], "following": ids[PROMPT:][:following], "depths": [0, prompt]}
        answer = llama_answer("times", path=str(path), **request, settings=settings)
        seconds.append([Timing(*values) for values in answer])
    read = next(timing.seconds for timing in seconds[0] if timing.phase == "prefill")
    decoded = [timing.seconds for timing in seconds[1] if timing.phase == "decode"]
    return [PROMPT / read, DECODED / sum(decoded[:DECODED]), DECODED / sum(decoded[DECODED:])]


def times_table(folder: Path, paths: Sequence[Path], rounds: int, settings: Settings) -> Table:
    """Medians of interleaved rounds; the ratio is the median of the rounds' ratios."""
    title = f"Tokens per second, {rounds} rounds, {settings.threads} threads"
    table = Table("file", title=title)
    for quantity in (f"prompt of {PROMPT}", "decode, empty cache", f"decode, after {DEPTH}"):
        for column in (quantity, "llama-bench", "ratio"):
            table.add_column(column)
    for path in paths:
        pairs = [
            (our_rates(path, settings), their_rates(folder, path, settings.threads)) for _ in range(rounds)
        ]
        rates = np.array(pairs)  # [rounds, here and there, quantities]
        ratios = np.median(rates[:, 0] / rates[:, 1], axis=0)
        cells = [
            [f"{here:.1f}", f"{there:.1f}", f"{ratio:.3f}"]
            for (here, there), ratio in zip(np.median(rates, axis=0).T, ratios, strict=True)
        ]
        table.add_row(path.stem, *chain(*cells))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of llama-perplexity and llama-bench")
    parser.add_argument("sources", nargs="*", default=[DEMO_SOURCE], help="GGUF files")
    parser.add_argument("--text", type=Path, help="text for perplexity; without one it is not compared")
    parser.add_argument("--chunks", type=int, default=8, help="windows of the text")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of times; 0 for none")
    parser.add_argument("--threads", type=int, default=usable_cores())
    arguments = parser.parse_args()
    paths = [resolve_one(source) for source in arguments.sources]
    settings, console = Settings(arguments.threads), Console(width=200)
    if arguments.text:
        console.print(perplexity_table(arguments.folder, paths, arguments.text, arguments.chunks, settings))
    if arguments.rounds:
        console.print(times_table(arguments.folder, paths, arguments.rounds, settings))


if __name__ == "__main__":
    main()
