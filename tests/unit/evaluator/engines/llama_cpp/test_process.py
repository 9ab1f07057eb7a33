"""llama.cpp in a process of its own, in float32."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
from llama_logits import LlamaError, logits, nll
from numpy_llama import final_hidden, log_softmax
from random_families import VOCABULARY, write

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
