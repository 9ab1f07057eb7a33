"""Rotary frequencies, against the formula written out."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
from tiny_models import write_tiny_llama

from evaluator.errors import SourceError
from evaluator.export.rotary import rotary_frequencies
from evaluator.sources.gguf_file import open_gguf

STRING, F32 = gguf.GGUFValueType.STRING, gguf.GGUFValueType.FLOAT32


def frequencies(path, **options):
    return rotary_frequencies(open_gguf(write_tiny_llama(path, layers=1, **options)))


def scaling(kind, factor):
    return {"llama.rope.scaling.type": (kind, STRING), "llama.rope.scaling.factor": (factor, F32)}


def test_plain_frequencies_fall_from_one(tmp_path):
    expected = [10000.0 ** (-2 * i / 64) for i in range(32)]
    np.testing.assert_allclose(frequencies(tmp_path / "m.gguf"), expected, rtol=1e-6)


def test_linear_scaling_divides_all(tmp_path):
    scaled = frequencies(tmp_path / "m.gguf", metadata=scaling("linear", 4.0))
    np.testing.assert_allclose(scaled, frequencies(tmp_path / "p.gguf") / 4, rtol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"metadata": scaling("yarn", 4.0)},
        {"metadata": scaling("linear", 0.0)},
        {"frequency_factors": [1.0] * 16},
        {"frequency_factors": [0.0] * 32},
    ],
)
def test_what_would_be_got_wrong_is_refused(tmp_path, options):
    with pytest.raises(SourceError):
        frequencies(tmp_path / "m.gguf", **options)
