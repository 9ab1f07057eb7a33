"""Measure the peak memory of running an artifact, in a process that does nothing else.

`python -m evaluator.runtime.peak_memory MODEL.onnx THREADS TOKENS` prints bytes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import psutil

from evaluator.support.child_process import ChildError, run_module
from evaluator.support.errors import EvaluatorError

_KIBIBYTE = 1024
_MODULE = "evaluator.runtime.peak_memory"


def peak_memory(model: Path, threads: int, tokens: int) -> int:
    """Measure the peak resident bytes of loading, a prompt of `tokens` tokens and one more, in a new process.

    This includes the interpreter, the runtime and the pages read of the mapped weights.

    Raises:
        EvaluatorError: the process failed.
    """
    try:
        return int(run_module(_MODULE, str(model.resolve()), str(threads), str(tokens)))
    except ChildError as error:
        raise EvaluatorError(f"{model}: measuring its memory failed: {error}") from error


def own_peak() -> int:
    """Return this process's peak resident bytes."""
    status = Path("/proc/self/status")
    if status.is_file():  # Linux's getrusage includes the peak of the parent process
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * _KIBIBYTE
    memory = psutil.Process().memory_info()
    if hasattr(memory, "peak_wset"):  # Windows
        return int(memory.peak_wset)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS: in bytes


def _main(model: str, threads: str, tokens: str) -> None:
    from evaluator.runtime.decoding import Decoder
    from evaluator.runtime.device import Device

    prompt = np.zeros(int(tokens), np.int64)
    decoder = Decoder(Path(model), Device("cpu", "CPUExecutionProvider", int(threads)), len(prompt) + 1)
    decoder.step(prompt)
    decoder.step(prompt[:1])
    sys.stdout.write(str(own_peak()))


if __name__ == "__main__":
    _main(*sys.argv[1:])
