"""The packed artifact of the real model: its size, what it generates, and its distance from the exact weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from passes import head_of, hidden_of

from evaluator.comparison.device_check import Sample, disagreement
from evaluator.engines.engine_gap import engine_gap
from evaluator.export.exact.graph import load_graph
from evaluator.export.exact.weights import head_weights
from evaluator.export.packing.artifact import MODEL_FILE, export_packed, write_decoder
from evaluator.export.packing.nodes import EXACT_PRODUCTS
from evaluator.models.sources.open_model import open_model
from evaluator.models.sources.resolve import resolve_one
from evaluator.models.tokenizers.tokenizer import tokenizer_from_gguf
from evaluator.results.manifest import Protocol
from evaluator.runtime.decoding import Decoder
from evaluator.runtime.device import choose_device
from evaluator.support.errors import RequestError
from evaluator.texts.windows import Text, cut_windows

pytestmark = pytest.mark.integration

PROSE = "The garden lay quiet after the rain, and nobody had yet come down to breakfast. " * 20
CPU = choose_device("cpu")


@pytest.fixture(scope="module")
def model():
    try:
        return open_model(resolve_one("smollm2-135m"))
    except RequestError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def deployed(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("deployed")
    return folder, export_packed(model, load_graph(model), folder)


def test_all_tensors_are_exact_or_rounded_and_the_artifact_is_hardly_larger(deployed):
    _, receipt = deployed
    assert {entry.fidelity for entry in receipt.tensors} <= {"exact", "rounded"}
    assert receipt.artifact_bytes <= 1.15 * receipt.source_bytes


def test_engine_gap_is_far_below_what_quantizing_costs(model, deployed):
    protocol = Protocol(context=128, first_scored=64, chunks=2)
    windows, _ = cut_windows([Text("prose", "prose", PROSE)], tokenizer_from_gguf(model), protocol)
    gap = engine_gap(model, load_graph(model), deployed[0] / MODEL_FILE, windows, CPU)
    assert 0 < gap < 0.02


def test_half_precision_moves_the_real_model_less_than_anything_that_is_measured(model, tmp_path):
    """The body as a GPU runs it against float32, and the artifact as a GPU runs it against exact weights."""
    protocol = Protocol(context=128, first_scored=64, chunks=2)
    windows, _ = cut_windows([Text("prose", "prose", PROSE)], tokenizer_from_gguf(model), protocol)
    graph, weights = load_graph(model), head_weights(model)
    half, single = (hidden_of(model, graph, CPU, windows[0], half=half) for half in (True, False))
    scores = head_of(weights, weights, CPU).score(half, windows[0].targets, single)
    assert 0 < scores.kld.mean() < 1e-5
    assert disagreement(Sample(half, scores.nll), Sample(single, scores.nll)) is None
    write_decoder(model, graph, tmp_path, accuracy_level=EXACT_PRODUCTS, half=True)
    assert 0 < engine_gap(model, graph, tmp_path / MODEL_FILE, windows, CPU) < 1e-4


def test_packed_and_exact_weights_generate_the_same_words(model, deployed, tmp_path):
    write_decoder(model, load_graph(model), tmp_path, exact=True)
    assert generated(deployed[0], model) == generated(tmp_path, model)


def generated(folder: Path, model, n_tokens: int = 6) -> list[int]:
    """The most probable continuation of a count: the runner-up is over three nats behind at every step."""
    prompt = tokenizer_from_gguf(model).encode("1, 2, 3, 4, 5, 6, 7,")
    decoder = Decoder(folder / MODEL_FILE, CPU, len(prompt) + n_tokens)
    tokens = [int(decoder.step(prompt).argmax())]
    while len(tokens) < n_tokens:
        tokens.append(int(decoder.step(np.array(tokens[-1:])).argmax()))
    return tokens
