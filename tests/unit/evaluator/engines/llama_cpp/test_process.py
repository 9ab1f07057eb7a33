"""llama.cpp in a process of its own, in float32."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np
import psutil
import pytest
from llama_logits import LlamaError, logits, nll
from numpy_llama import final_hidden, log_softmax
from random_families import VOCABULARY, write

from evaluator.engines.llama_cpp import process
from evaluator.engines.llama_cpp.settings import Settings

IDS = np.random.default_rng(2).integers(1, VOCABULARY, (3, 96))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write("granite", tmp_path_factory.mktemp("llama") / "tiny.gguf")


def test_equals_the_formulas_in_double_precision(tmp_path: Path) -> None:
    path = write("llama", tmp_path / "tiny.gguf", layers=2)
    tensors = {tensor.name: tensor.data for tensor in gguf.GGUFReader(path).tensors}
    values = logits(path, IDS)
    for window, ids in enumerate(IDS):
        hidden = final_hidden(tensors.__getitem__, ids, factors=tensors["rope_freqs.weight"])
        # Keys and values in half precision would be off by 1e-3.
        np.testing.assert_allclose(values[window], hidden @ tensors["output.weight"].T, atol=3e-5)


def test_nll_is_that_of_the_next_token(path: Path) -> None:
    expected = -log_softmax(logits(path, IDS).astype(np.float64))
    expected = np.take_along_axis(expected[:, :-1], IDS[:, 1:, None], axis=2)[:, :, 0]
    found = nll(path, IDS)
    assert found.shape == (3, 95)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_windows_know_nothing_of_each_other(path: Path) -> None:
    np.testing.assert_array_equal(logits(path, IDS)[2], logits(path, IDS[2])[0])


def test_a_file_that_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF" + bytes(64))
    with pytest.raises(LlamaError, match=r"broken\.gguf: llama\.cpp does not load it: .*bad GGUF version"):
        nll(path, IDS)


def test_ids_beyond_the_vocabulary(path: Path) -> None:
    with pytest.raises(LlamaError, match="vocabulary holds 512"):
        nll(path, [[0, 512]])


@pytest.mark.parametrize(
    ("status", "log", "reason"),
    [
        (-9, "", "was killed; the memory may not have sufficed"),
        (-6, "ggml.c:7: GGML_ASSERT(n > 0) failed\n", r"\(SIGABRT\): GGML_ASSERT\(n > 0\) failed"),
        (-11, "", r"ended its process \(SIGSEGV\)$"),
        (1, "", "ended with status 1"),
        (1, "its heads are narrow\nllama.cpp makes no context\n", "makes no context: its heads are narrow$"),
        (
            1,
            "llama_model_load: error loading model: unknown model architecture: 'new'\nllama.cpp does not load it",
            "^llama.cpp does not load it: unknown model architecture: 'new'$",
        ),
    ],
)
def test_the_reason_is_what_the_log_tells(status: int, log: str, reason: str) -> None:
    assert re.search(reason, process._reason(status, log))


def test_a_process_that_is_killed_or_hangs_is_an_error_that_says_so(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def after(number: int) -> None:
        with process.llama_logits([path], [range(96)] * 20_000, 0, 96, Settings(1)) as files:
            values = next(files)
            os.kill(_child(), number)
            while True:
                values.rows(96)

    with pytest.raises(process.LlamaError, match="was killed; the memory may not have sufficed"):
        after(signal.SIGKILL)
    with pytest.raises(process.LlamaError, match=r"\(SIGSEGV\)"):
        after(signal.SIGSEGV)
    monkeypatch.setattr(process, "_MOST_SECONDS", 3.0)
    with pytest.raises(process.LlamaError, match="no answer for 0 minutes and was ended"):
        after(signal.SIGSTOP)
    assert _children() == []


def _child() -> int:
    (pid,) = _children()
    return pid


def _children() -> list[int]:
    """Return the processes of llama.cpp that this one has started; other tests may have started others."""
    children = psutil.Process().children()
    return [child.pid for child in children if any("llama_cpp.worker" in word for word in child.cmdline())]


def test_a_process_ends_with_who_asked(path: Path) -> None:
    """The one who asked is killed, so that it can do nothing about it."""
    asking = (
        "import sys, os, signal, psutil\n"
        "from evaluator.engines.llama_cpp.process import llama_process\n"
        "from evaluator.engines.llama_cpp.settings import Settings\n"
        "from dataclasses import asdict\n"
        "request = dict(path=sys.argv[1], prompt=[1] * 64, following=[1] * 50_000, depths=[0, 64], "
        "settings=asdict(Settings(1)))\n"
        "with llama_process('times', request) as worker:\n"
        "    print(worker.process.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", asking, path], stdout=subprocess.PIPE, check=False)
    assert ended.returncode == -signal.SIGKILL
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in _still(int(ended.stdout))], timeout=30)
    assert alive == []


def _still(pid: int) -> list[int]:
    return [pid] if psutil.pid_exists(pid) else []


def test_a_reader_that_stops_early_ends_the_process(path: Path) -> None:
    def stop() -> None:
        with process.llama_logits([path], [range(96)] * 2000, 0, 96, Settings(1)) as files:
            raise KeyError(next(files).vocabulary)

    with pytest.raises(KeyError, match=str(VOCABULARY)):
        stop()
