"""Every model family from file to loss per token, against transformers in torch."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
import torch
from family_files import write_family
from family_models import FAMILIES, TOKENS, torch_model
from passes import head_of, hidden_of

from evaluator.export.exact.graph import load_graph
from evaluator.export.exact.weights import head_weights
from evaluator.export.packing.artifact import MODEL_FILE, write_decoder
from evaluator.models.architectures import ARCHITECTURES, logit_softcap
from evaluator.models.gguf.reader import open_gguf
from evaluator.runtime.decoding import Decoder
from evaluator.runtime.device import choose_device
from evaluator.texts.windows import Window

pytestmark = pytest.mark.usefixtures("exporting_here")

IDS = np.random.default_rng(7).integers(0, len(TOKENS), 64).astype(np.int32)
FIRST = 8
TEXT = Window(0, "d", IDS, FIRST)
CPU = choose_device("cpu", 2)
ESSENTIAL = [(name, change) for name, family in FAMILIES.items() for change in family.essential]


def losses_in_torch(name: str, changes: dict) -> np.ndarray:
    """Return −ln p of the tokens after position FIRST, in nats."""
    model = torch_model(FAMILIES[name], **changes)
    with torch.no_grad():
        logits = model(torch.from_numpy(IDS)[None].long()).logits[0].double()
    targets = torch.from_numpy(IDS[FIRST + 1 :]).long()
    return torch.nn.functional.cross_entropy(logits[FIRST:-1], targets, reduction="none").numpy()


@functools.cache
def usual_losses(name: str) -> np.ndarray:
    """Return the losses of the family's model in torch."""
    return losses_in_torch(name, {})


def losses_in_decoder(model: Path) -> np.ndarray:
    """Return the losses of an artifact: a prompt, then token by token."""
    decoder = Decoder(model, CPU, len(IDS))
    logits = [decoder.step(IDS[: FIRST + 1]).astype(np.float64)]
    logits += [
        decoder.step(IDS[place : place + 1]).astype(np.float64) for place in range(FIRST + 1, len(IDS) - 1)
    ]
    rows = np.stack(logits)
    normalizers = np.log(np.exp(rows - rows.max(axis=1, keepdims=True)).sum(axis=1)) + rows.max(axis=1)
    return normalizers - rows[np.arange(len(rows)), IDS[FIRST + 1 :]]


def test_every_family_has_a_case():
    exported = {name for name, entry in ARCHITECTURES if entry.describe is None}
    assert exported <= {family.architecture for family in FAMILIES.values()}


@pytest.mark.parametrize("name", FAMILIES)
def test_loss_of_every_token_is_that_of_torch(tmp_path, name):
    file = open_gguf(write_family(FAMILIES[name], tmp_path / "model.gguf"))
    graph, head = load_graph(file), head_of(head_weights(file), None, CPU, logit_softcap(file))
    expected = usual_losses(name)
    for fused in (False, True):
        hidden = hidden_of(file, graph, CPU, TEXT, fused=fused)
        found = head.score(hidden, TEXT.targets, None).nll
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4, err_msg=f"fused: {fused}")
    if graph.fused:
        write_decoder(file, graph, tmp_path / "onnx")
        found = losses_in_decoder(tmp_path / "onnx" / MODEL_FILE)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4, err_msg="decoding")


@pytest.mark.parametrize(("name", "change"), ESSENTIAL)
def test_reference_would_show_what_was_left_out(name, change):
    difference = losses_in_torch(name, change) - usual_losses(name)
    assert np.abs(difference).max() > 0.01
