"""Every family whose graph is built from a description, against llama.cpp: the logits of random files."""

from __future__ import annotations

import llama_logits
import numpy as np
import pytest
import random_families
from passes import hidden_of, scores_of

from evaluator.export.exact.graph import load_graph
from evaluator.models.architectures import ARCHITECTURES, described
from evaluator.models.gguf.reader import open_gguf
from evaluator.runtime.device import choose_device
from evaluator.runtime.head import Head
from evaluator.runtime.layered_model import LayeredModel
from evaluator.texts.windows import Window

pytestmark = pytest.mark.usefixtures("exporting_here")

CPU = choose_device("cpu", 1)
IDS = np.random.default_rng(1).integers(1, random_families.VOCABULARY, (2, 128)).astype(np.int32)
FIRST = 48
WINDOWS = [Window(index, "d", ids, FIRST) for index, ids in enumerate(IDS)]
#: Phi-3.5's mixture has layer norms and a choice of experts of its own; llama.cpp computes something else.
UNKNOWN = {"phimoe"}
CASES = {
    name: (family, options) for name, family, options in random_families.FAMILIES if family not in UNKNOWN
}
#: llama.cpp looks these activations up in a table of half-precision numbers.
WITH_TABLES, NEAR, NEARER = ("gemma", "starcoder2"), 0.05, 5e-4


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("families")
    return {
        name: random_families.write(family, folder / f"{name}.gguf", **options)
        for name, (family, options) in CASES.items()
    }


@pytest.fixture(scope="module")
def expected(files):
    """−ln p of the tokens after position FIRST, float64 [windows, tokens], by case."""
    found = {}
    for name, logits in zip(files, llama_logits.logits_of_many(list(files.values()), IDS), strict=True):
        values = logits[:, FIRST:-1].astype(np.float64)
        sums = np.log(np.exp(values - values.max(-1, keepdims=True)).sum(-1)) + values.max(-1)
        found[name] = sums - np.take_along_axis(values, IDS[:, FIRST + 1 :, None], -1)[..., 0]
    return found


@pytest.mark.parametrize("name", CASES)
def test_loss_of_every_token_is_that_of_llama_cpp(files, expected, name):
    file = open_gguf(files[name])
    scores = scores_of(file, load_graph(file), CPU, WINDOWS, Head.of(file, None, CPU))
    found = np.stack([item.nll for item in scores])
    bound = NEAR if name.startswith(WITH_TABLES) else NEARER
    np.testing.assert_allclose(found, expected[name], rtol=0, atol=bound)


def test_every_described_family_has_a_case(files):
    architectures = {open_gguf(path).architecture for path in files.values()}
    registered = {name for name, entry in ARCHITECTURES if entry.describe}
    assert {name.removesuffix(" with experts") for name in registered} <= architectures


def test_losses_differ_between_cases_of_a_family(expected):
    """Options that change nothing would test nothing."""
    assert np.abs(expected["gpt-oss"] - expected["gpt-oss-plain"]).max() > 0.01
    assert np.abs(expected["olmo2"] - expected["olmo3"]).max() > 0.01


def test_descriptions_are_the_same_when_read_again(files):
    for path in files.values():
        file = open_gguf(path)
        assert described(file) == described(file)


#: Attention of each kind: windows, sinks, gates, latent, temperatures, kept keys, soft caps, rotation outside.
KINDS = (
    "gpt-oss",
    "qwen35",
    "deepseek3",
    "mistral3",
    "llama4",
    "gemma4",
    "cohere2",
    "hunyuan-dense",
    "olmo3",
)


@pytest.mark.parametrize("name", KINDS)
def test_attention_of_products_and_softmax_gives_the_same(files, name):
    file, (window, _) = open_gguf(files[name]), WINDOWS
    graph = load_graph(file)
    fused, plain = (hidden_of(file, graph, CPU, window, fused=fused) for fused in (True, False))
    np.testing.assert_allclose(plain, fused, rtol=0, atol=2e-5 * np.abs(fused).max())
    assert not LayeredModel(graph, CPU, fused=False).is_fused


@pytest.mark.parametrize("name", ["gpt-oss", "qwen35moe", "deepseek3", "granitehybrid"])
def test_half_precision_is_near(files, name):
    file, (window, _) = open_gguf(files[name]), WINDOWS
    whole, half = (hidden_of(file, load_graph(file), CPU, window, half=half) for half in (False, True))
    error = np.linalg.norm(half - whole) / np.linalg.norm(whole)
    assert 1e-5 < error < 0.02
