"""Flags that several commands share, and long ones."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from evaluator.support.paths import typed_path
from evaluator.support.progress_lines import Display
from evaluator.support.units import MOST_MEMORY

#: Like `typer.Option`, for a path.
path_option = partial(typer.Option, parser=typed_path, metavar="PATH")

Comparison = Annotated[
    str | None, typer.Argument(help="A TOML file, or the name of a ready-made comparison; flags override it.")
]
Variants = Annotated[list[str] | None, typer.Option(help="METHOD=SRC; a glob gives several variants.")]
EvaluationTexts = Annotated[
    list[str] | None,
    typer.Option(help="Text to evaluate on: [DOMAIN=]FILE, chat:FILE.jsonl, wikitext-2 or builtin."),
]
Window = Annotated[
    int | None, typer.Option(help="Tokens per window; the second half is scored. Default: 512.", min=8)
]
Results = Annotated[Path | None, path_option(help="Results folder.")]
Threads = Annotated[int | None, typer.Option(help="Default: the cores this process may use.", min=1)]
Attribution = Annotated[
    bool, typer.Option("--attribution", help="Measure the KLD that each matrix causes on its own.")
]
Rounds = Annotated[
    int | None,
    typer.Option(
        help="Rounds in which files are timed in turn; more tell smaller differences. Default: 3.", min=1
    ),
]
Pre = Annotated[
    str | None,
    typer.Option(help="Pre-tokenizer, such as llama-bpe, of a baseline whose file does not name one."),
]
Memory = Annotated[
    float | None,
    typer.Option(
        help="Gigabytes of memory that may be used; default: 80 % of what is free.",
        min=0.1,
        max=MOST_MEMORY,
    ),
]
Chunks = Annotated[int | None, typer.Option(help="At most this many windows per text.", min=1)]

TargetSize = Annotated[
    float | None, typer.Option(help="Size of the file in gigabytes (10⁹ bytes), for recipe guided.")
]
TargetBits = Annotated[
    float | None, typer.Option(help="Bits per weight over all tensors, for recipe guided.")
]
TargetFile = Annotated[
    str | None, typer.Option(help="SRC of a file whose size is not exceeded, for recipe guided.")
]
Texts = Annotated[
    list[str] | None,
    typer.Option(help="FILE that recipe guided measures the model on; do not evaluate on it later."),
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda; for recipe guided.")]
Cluster = Annotated[
    str | None,
    typer.Option(
        help="Measure variants on many machines with Ray: local, auto or ray://HOST:PORT.", metavar="ADDRESS"
    ),
]
Progress = Annotated[
    Display, typer.Option(help="text (default), or json: lines for programs, on stderr.", metavar="DISPLAY")
]
Calibration = Annotated[
    str, typer.Option(help="Text for the importance matrix; must not be an evaluation text.")
]
Rescale = Annotated[
    bool, typer.Option("--rescale", help="Move an already quantized baseline off its format's grid first.")
]
TensorTypes = Annotated[
    Path | None, path_option(help="FILE to write the recipe to, for llama-quantize --tensor-type-file.")
]
