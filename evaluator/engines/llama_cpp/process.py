"""Ask llama.cpp in a process of its own, which may end without harm to this one."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluator.engines import EngineError
from evaluator.engines.llama_cpp.settings import Settings
from evaluator.support.child_process import module_process

Values = npt.NDArray[np.float32]

_WORKER = "evaluator.engines.llama_cpp.worker"
#: Seconds that one step may take, such as timing a file or computing some windows: a process that needs more hangs.
_MOST_SECONDS = 3600.0
#: What llama.cpp's log says of a failure, the most telling first.
_TELLING = (
    re.compile(r"error loading model: (?!.*failed to load model from)(.*)"),
    re.compile(r"(?:\S+: )?(GGML_ASSERT.*|what\(\):.*|.*terminate called.*)"),
    re.compile(r"(.*(?i:error|fail|invalid|unknown|missing|bad ).*)"),
)


class LlamaError(EngineError):
    """llama.cpp refused a file, or its process ended; the message says why."""


class _Worker:
    """A process that runs a task, killed if it keeps somebody waiting for too long."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process, self.hung = process, False

    def give(self, request: dict[str, Any]) -> None:
        """Write the request; the pipe stays open, because its end would end the process."""
        assert self.process.stdin is not None
        with self._waiting():
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()

    def read(self, count: int = -1) -> bytes:
        """Return the next bytes of the answer, by default all."""
        assert self.process.stdout is not None
        with self._waiting():
            return self.process.stdout.read(count)

    def wait(self) -> int:
        """Return the exit status."""
        with self._waiting():
            return self.process.wait()

    def end(self) -> None:
        """Kill the process if it still runs."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        timer = threading.Timer(_MOST_SECONDS, self._give_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _give_up(self) -> None:
        self.hung = True
        self.process.kill()


@contextmanager
def llama_process(task: str, request: dict[str, Any]) -> Iterator[_Worker]:
    """Run a task of the worker, and give what it writes; at the end of the block wait for it.

    A block that reads less than there is must raise.

    Raises:
        LlamaError: the process failed, or the block raised `EOFError` because its answer is incomplete.
    """
    with tempfile.TemporaryFile() as log:
        try:
            worker = _Worker(module_process(_WORKER, task, stderr=log))
        except OSError as error:
            raise LlamaError(f"llama.cpp's process does not start: {error.strerror or error}") from error
        try:
            worker.give(request)
            yield worker
            status = worker.wait()
        except (EOFError, BrokenPipeError):
            status = worker.wait() or 1
        finally:
            worker.end()
        if worker.hung:
            minutes = _MOST_SECONDS / 60
            raise LlamaError(f"llama.cpp's process gave no answer for {minutes:.0f} minutes and was ended")
        if status:
            log.seek(0)
            raise LlamaError(_reason(status, log.read().decode(errors="replace")))


def _reason(status: int, log: str) -> str:
    """Return in one line why the process ended."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    told = next((found[0] for telling in _TELLING if (found := telling.findall(log))), "")
    if status > 0:
        told = told or lines[0] if len(lines) > 1 else told
        last = lines[-1] if lines else f"its process ended with status {status}"
        return last if not told or told in last else f"{last}: {told}"
    if status == -signal.SIGKILL:
        return "llama.cpp's process was killed; the memory may not have sufficed"
    name = signal.Signals(-status).name
    return f"llama.cpp ended its process ({name}){': ' if told else ''}{told}"


class Logits:
    """The logits that llama.cpp computes of windows, in the order of files, windows and positions."""

    def __init__(self, read: Callable[[int], bytes], vocabulary: int) -> None:
        self._read = read
        self.vocabulary = vocabulary

    def rows(self, count: int) -> Values:
        """Return the next rows, float32 [count, vocabulary].

        Raises:
            EOFError: the process ended before.
        """
        content = self._read(4 * count * self.vocabulary)
        return np.frombuffer(content, np.float32).reshape(count, self.vocabulary)


@contextmanager
def llama_logits(
    paths: Sequence[Path | str], windows: Sequence[Any], first: int, stop: int, settings: Settings
) -> Iterator[Iterator[Logits]]:
    """Give the logits of each file in turn: of each window those at `first` ≤ position < `stop`.

    Args:
        paths: GGUF files; of a split one the first part.
        windows: token ids of each, int [length], computed on an empty cache; no BOS is added.
        first: the first position.
        stop: the position after the last.
        settings: how llama.cpp is run.

    Raises:
        LlamaError: a file was refused, or the process ended.
    """
    request = {
        "paths": [str(path) for path in paths],
        "windows": [np.asarray(ids).tolist() for ids in windows],
        "first": first,
        "stop": stop,
        "settings": asdict(settings),
    }
    with llama_process("logits", request) as stream:

        def read(count: int) -> bytes:
            content = stream.read(count)
            if len(content) < count:
                raise EOFError
            return content

        yield (Logits(read, int(np.frombuffer(read(8), np.int64)[0])) for _ in paths)


def llama_answer(task: str, **request: Any) -> Any:
    """Return the answer of a task that answers in JSON.

    Raises:
        LlamaError: the file was refused, or the process ended.
    """
    settings = request.get("settings")
    if isinstance(settings, Settings):
        request["settings"] = asdict(settings)
    with llama_process(task, request) as stream:
        content = stream.read()
    return json.loads(content)
