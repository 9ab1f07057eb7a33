"""onnxruntime as an engine."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import random_families

from evaluator.engines import Case
from evaluator.engines.kinds.onnxruntime_packed import _Artifact
from evaluator.models.gguf.reader import open_gguf
from evaluator.texts.windows import Window


class _UsedError(Exception):
    """The artifact was compared."""


def graph():
    raise _UsedError


def test_artifact_with_short_factors_is_not_compared_in_windows_that_need_the_long_ones(tmp_path):
    file = open_gguf(random_families.write("phi3", tmp_path / "m.gguf"))
    original = file.metadata["phi3.rope.scaling.original_context_length"]

    def losses(length):
        windows = [Window(0, "d", np.zeros(length, np.int32), 8)]
        bench = SimpleNamespace(windows=windows, graph=graph, device=None, compared_windows=windows)
        case = Case("m", file, is_baseline=False, states=list, kept_states=lambda: None, nll=list, kld=list)
        return _Artifact(case, bench, tmp_path / "model.onnx", 0).losses()

    assert losses(original + 1) == {}
    with pytest.raises(_UsedError):
        losses(original)
