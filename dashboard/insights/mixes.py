"""Say how to make a file with the tensor types of a measured one."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from dashboard.insights import Insight
from dashboard.results.results import Results
from dashboard.results.rows import Row
from dashboard.results.scope import Scope

_SUFFIX, _TYPES = ".gguf", "types.txt"
#: What llama-quantize calls the size of a label that it does not know; every tensor's type is given anyway.
_NEAREST = {"1": "IQ1_M", "2": "Q2_K", "3": "Q3_K_M", "4": "Q4_K_M", "5": "Q5_K_M", "6": "Q6_K", "8": "Q8_0"}
_BITS = re.compile(r"Q([1-8])_")


def mixes(scope: Scope, rows: Sequence[Row]) -> list[Insight]:
    """Return the commands that build the mix of a picked variant, else of the first row; none for other formats.

    Files are named without folders, because results do not hold where they were.
    """
    picked = [row for row in scope.rows if row["variant_id"] in scope.selection.picked]
    return [line for row in picked[:1] or rows[:1] for line in _commands(scope.results, row)]


def _commands(results: Results, row: Row) -> list[Insight]:
    file, baseline = (_no_flag(str(of["source"])) for of in (row, results.baseline_of(row)))
    if not file.endswith(_SUFFIX):
        return []
    like = [
        "python",
        "-m",
        "evaluator",
        "quantize",
        "--baseline",
        baseline,
        "--recipe",
        f"like:{file}",
        "--out",
        "like",
    ]
    build = Insight(
        f"Build the mix of {row['label']} for this or another baseline of the same shape.",
        "note",
        "in the folder of both files; types that need an importance matrix want --imatrix FILE too",
        shlex.join(like),
    )
    if not baseline.endswith(_SUFFIX):
        return [build]
    inspect = ["python", "-m", "evaluator", "inspect", file, "--tensor-types", _TYPES]
    made = f"like-{file.removeprefix('./')}"
    quantize = ["llama-quantize", "--tensor-type-file", _TYPES, baseline, made, _size(str(row["quant"]))]
    in_llama = Insight(
        "The same with llama.cpp's own program.",
        "note",
        "its last word only names the size: the file of types decides",
        f"{shlex.join(inspect)} && {shlex.join(quantize)}",
    )
    return [build, in_llama]


def _no_flag(name: str) -> str:
    """Return a file's name such that no program takes it for a flag."""
    return f"./{name}" if name.startswith("-") else name


def _size(label: str) -> str:
    """Return a size that llama-quantize knows: the label, or for dynamic ones the nearest."""
    bits = _BITS.search(label)
    return _NEAREST.get(bits[1], label) if bits and label.startswith(("UD-", "smol-")) else label
