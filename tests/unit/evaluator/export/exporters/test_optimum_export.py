"""Repeated layers against the export of all layers, for every family."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from family_files import write_family
from family_models import DENSE, FAMILIES, WINDOW
from filled_graphs import filled

from evaluator.export.exact.graph import Graph, graph_request
from evaluator.export.exact.weights import exact_weights
from evaluator.export.exporters.optimum_export import export, export_layers
from evaluator.export.skeleton import Slot
from evaluator.export.window import window_constant
from evaluator.models.gguf.reader import open_gguf
from evaluator.runtime.device import choose_device

IDS = np.random.default_rng(3).integers(0, 256, (2, 3 * WINDOW))
LAYERS = 7
PATTERN = [True, False, False, True, True, False, True]


def family_file(name, folder):
    """Return the family's model with several layers; where windowed layers alternate, in an irregular order."""
    family = FAMILIES[name]
    settings = family.settings | {"num_hidden_layers": LAYERS}
    metadata = family.metadata
    if name in ("gemma2", "gemma3"):
        settings["layer_types"] = ["sliding_attention" if item else "full_attention" for item in PATTERN]

        def metadata(writer):
            family.metadata(writer)
            key = f"{family.architecture}.attention.sliding_window_pattern"
            writer.add_array(key, PATTERN)

    return open_gguf(write_family(replace(family, settings=settings, metadata=metadata), folder / "f.gguf"))


def exported(request, folder):
    export(request, folder)
    entries = json.loads((folder / "slots.json").read_text(encoding="utf-8"))
    slots = [Slot(**entry | {"shape": tuple(entry["shape"])}) for entry in entries]
    return onnx.load(str(folder / "skeleton.onnx"), load_external_data=False), slots


def hidden_states(file, model, slots):
    graph = Graph(Path(), tuple(slots))
    weights = {slot.initializer: values for slot, values in exact_weights(file, graph)}
    session = filled(model, choose_device("cpu", 2), weights)
    positions = np.arange(IDS.shape[1])
    inputs = {
        "input_ids": IDS,
        "attention_mask": np.ones_like(IDS),
        "position_ids": np.tile(positions, (len(IDS), 1)),
        "scored_positions": positions,
    }
    return session.run({item.name: inputs[item.name] for item in model.graph.input})[0]


def described(slots):
    return sorted((slot.parameter, slot.transposed, slot.shape) for slot in slots)


@pytest.mark.parametrize("name", DENSE)
def test_repeated_layers_equal_the_export_of_all_layers(name, tmp_path):
    file = family_file(name, tmp_path)
    request = graph_request(file)
    whole, whole_slots = export_layers(request, request["settings"], tmp_path)
    model, slots = exported(request, tmp_path)
    assert any(node.name.startswith(f"/layers.{LAYERS - 1}/") for node in model.graph.node)
    assert len(model.graph.node) < len(whole.graph.node)  # constants are shared
    assert described(slots) == described(whole_slots)
    found = hidden_states(file, model, slots)
    np.testing.assert_array_equal(found, hidden_states(file, whole, whole_slots))
    windowed = request["settings"].get("sliding_window") is not None
    assert (window_constant(model) is not None) == windowed


def test_settings_of_unknown_meaning_lead_to_the_export_of_all_layers(tmp_path):
    file = family_file("gemma2", tmp_path)
    request = graph_request(file)
    settings = request["settings"] | {"some_list": [1, 2]}
    whole, whole_slots = export_layers(request, settings, tmp_path)
    model, slots = exported(request | {"settings": settings}, tmp_path)
    assert slots == whole_slots
    assert [node.name for node in model.graph.node] == [node.name for node in whole.graph.node]


_PEAK = """
import json, sys
from pathlib import Path
from evaluator.export.exporters.optimum_export import export
export(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
status = Path("/proc/self/status").read_text()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux")
def test_memory_does_not_grow_with_the_model(tiny, tmp_path):
    """Attention of this size takes 0.6 GB per layer in float32, and importing torch and transformers 0.35."""
    settings = {
        "hidden_size": 8192,
        "intermediate_size": 28672,
        "num_hidden_layers": 80,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 128256,
    }
    request = graph_request(tiny)
    request["settings"] |= settings
    (tmp_path / "request.json").write_text(json.dumps(request), encoding="utf-8")
    arguments = [sys.executable, "-c", _PEAK, str(tmp_path / "request.json"), str(tmp_path)]
    result = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert int(result.stdout.split()[-1]) < 9e5  # kB
    assert (
        sum(
            slot["parameter"].endswith("o_proj.weight")
            for slot in json.loads((tmp_path / "slots.json").read_text())
        )
        == 80
    )
