"""The size of the cache, against the buffers of an artifact."""

from __future__ import annotations

import pytest
import random_families

from evaluator.export.exact.graph import load_graph
from evaluator.export.folder import MODEL_FILE
from evaluator.export.fusion.uses import PAST
from evaluator.export.packing.artifact import write_decoder
from evaluator.export.packing.cache_size import CacheSize
from evaluator.models.gguf.reader import open_gguf
from evaluator.runtime.device import choose_device
from evaluator.runtime.session import Session


@pytest.mark.parametrize("name", ["qwen35", "granitehybrid", "gpt-oss"])
@pytest.mark.parametrize("half", [False, True])
def test_it_is_that_of_the_inputs(name, half, tmp_path):
    file = open_gguf(random_families.write(name, tmp_path / "m.gguf"))
    graph = load_graph(file)
    write_decoder(file, graph, tmp_path / "artifact", half=half)
    session = Session(tmp_path / "artifact" / MODEL_FILE, choose_device("cpu", 1), alone=True)
    past = [name for name in session.input_names if name.startswith(PAST)]
    size = CacheSize.of(file, graph, half=half)
    for context in (0, 1, 100):
        assert size.at(context) == sum(session.empty_past(name, context).nbytes for name in past)


def test_it_is_keys_and_values_of_all_layers(tiny, tiny_graph):
    """Two layers, two heads of 64, four bytes."""
    assert CacheSize.of(tiny, tiny_graph, half=False) == CacheSize(2 * 2 * 2 * 64 * 4, 0)
