"""Long windows of described models: chunks of attention, and blocks of other parts, are the whole window."""

from __future__ import annotations

import numpy as np
import pytest
import random_families
from family_differences import IDS, nll_of

from evaluator.models.gguf.reader import open_gguf
from evaluator.runtime import layered_model

#: Not a divisor of the windows' length, and longer than the sliding windows.
CHUNK = 48
FAMILIES = {
    "sinks and windows": ("gpt-oss", {}),
    "temperature": ("mistral3", {}),
    "temperature, layers without rotation": ("llama4", {}),
    "rotation of a few dimensions": ("phi3", {"rotary": 12}),
    "norm behind the rotation": ("hunyuan-dense", {}),
    "norm over all heads": ("minimax-m2", {}),
    "gates": ("qwen35", {}),
    "experts beside a shared one": ("qwen35", {"architecture": "qwen3next"}),
    "latent keys": ("deepseek2", {}),
    "latent keys in one matrix": ("deepseek2", {"absorbed": False}),
    "kept keys, inputs per layer": ("gemma4", {}),
    "keys as values, scaled experts": ("gemma4", {"per_layer": 0, "shared_layers": 0, "mixture": True}),
    "several streams": ("gemma3n", {"layers": 4, "shared_layers": 2}),
    "short convolutions": ("lfm2", {"mixture": True}),
    "latent experts, one part per layer": ("nemotron_h", {"pattern": "ME*E", "latent": 24, "groups": (4, 2)}),
    "attention beside a recurrence": ("falcon-h1", {}),
}


@pytest.fixture
def sizes(monkeypatch):
    """How many positions each run of a piece had in a long window."""
    found, run = [], layered_model.Session.run_into

    def noted(self, inputs, outputs):
        if isinstance(inputs["stream"], np.ndarray):
            found.append(inputs["stream"].shape[1])
        return run(self, inputs, outputs)

    monkeypatch.setattr(layered_model.Session, "run_into", noted)
    return found


@pytest.mark.parametrize("described", FAMILIES)
def test_parts_of_a_long_window_are_the_whole_window(described, tmp_path, monkeypatch, sizes):
    family, options = FAMILIES[described]
    file = open_gguf(random_families.write(family, tmp_path / "m.gguf", **options))
    whole = nll_of(file, IDS[:1])
    before = sizes.count(CHUNK)
    monkeypatch.setattr(layered_model, "CHUNK", CHUNK)
    parts = nll_of(file, IDS[:1])
    np.testing.assert_allclose(parts, whole, rtol=0, atol=5e-4)
    assert sizes.count(CHUNK) > 2 * before + 2
