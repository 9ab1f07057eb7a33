"""llama.cpp's own tools, where `LLAMA_CPP_BIN` says they are."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path


def tool(name: str) -> Path | None:
    """One of the tools, None where there is none."""
    folder = os.environ.get("LLAMA_CPP_BIN")
    path = Path(folder) / name if folder else None
    return path if path and path.is_file() else None


def bench(
    path: Path, model: Path, threads: int, *, prompt: int = 0, depth: int = 0, tokens: int = 0
) -> float:
    """Tokens per second that llama-bench reports for one repetition."""
    command = [
        path,
        "-m",
        model,
        "-t",
        threads,
        "-r",
        1,
        "-o",
        "json",
        "-p",
        prompt,
        "-n",
        tokens,
        "-d",
        depth,
    ]
    result = subprocess.run([str(item) for item in command], check=True, capture_output=True, text=True)
    return float(json.loads(result.stdout)[0]["avg_ts"])
