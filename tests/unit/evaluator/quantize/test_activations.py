"""Measured importances: the numpy transformer's own activations are the oracle."""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from family_files import write_family
from family_models import FAMILIES, torch_model
from numpy_llama import final_hidden

from evaluator.export.exact.graph import load_graph
from evaluator.models.gguf.reader import open_gguf
from evaluator.models.tokenizers.first_tokens import FirstTokens
from evaluator.models.tokenizers.tokenizer import TextTokenizer
from evaluator.quantize import activations
from evaluator.quantize.activations import imatrix_windows, squared_activations
from evaluator.quantize.coverage import fit_to_model
from evaluator.quantize.imatrix import read_imatrix, write_imatrix
from evaluator.results.manifest import Protocol
from evaluator.runtime import pass_checkpoint
from evaluator.runtime.device import choose_device
from evaluator.runtime.streams import StreamsInMemory
from evaluator.support.errors import RequestError
from evaluator.texts.sources import Text
from evaluator.texts.windows import cut_windows


def tokenizer(bos_id):
    return TextTokenizer(300, bos_id, lambda text: [ord(letter) for letter in text])


TEXT = Text("x", "x.txt", "abcdefghij")


def test_windows_without_bos():
    windows = imatrix_windows([TEXT, TEXT], tokenizer(None), 4, None)
    assert ["".join(map(chr, ids)) for ids in windows] == ["abcd", "efgh"] * 2


def test_windows_with_bos_shift_the_text_and_lose_a_token_each():
    windows = imatrix_windows([TEXT], tokenizer(0), 4, None)
    assert [ids.tolist() for ids in windows] == [[0, *map(ord, "abc")], [0, *map(ord, "efg")]]


@pytest.mark.parametrize("bos_id", [None, 0])
def test_windows_of_a_chat_hold_the_control_tokens_that_a_run_sees(bos_id):
    chat = Text("c", "c.jsonl", "<a>hello<b>world<a>to me", {"<a>": 301, "<b>": 302})
    ids = [301, *map(ord, "hello"), 302, *map(ord, "world"), 301, *map(ord, "to me")]
    expected = [ids[:8], ids[8:16]]
    if bos_id is not None:
        expected = [[bos_id, *ids[1:]] for ids in expected]
    windows = imatrix_windows([chat], tokenizer(bos_id), 8, None)
    assert [ids.tolist() for ids in windows] == expected
    scored, _ = cut_windows([chat], tokenizer(bos_id), Protocol(context=8, first_scored=4))
    assert [window.ids.tolist() for window in scored] == expected


def test_chunks_limit_each_text():
    assert len(imatrix_windows([TEXT, TEXT], tokenizer(None), 4, 1)) == 2


def test_no_more_of_a_text_is_tokenized_than_the_chunks_need():
    sizes = []

    def encode(text):
        sizes.append(len(text))
        return [ord(letter) for letter in text]

    first = FirstTokens(lambda text: range(1, len(text)))
    text = Text("x", "x.txt", TEXT.content * 100)
    some = imatrix_windows([text], TextTokenizer(300, 0, encode, _first=first), 4, 2)
    assert [ids.tolist() for ids in some] == [
        ids.tolist() for ids in imatrix_windows([text], tokenizer(0), 4, None)[:2]
    ]
    assert sum(sizes) <= 40


def test_text_shorter_than_a_window():
    with pytest.raises(RequestError, match=r"x.txt: 10 tokens, one window needs 16"):
        imatrix_windows([TEXT], tokenizer(None), 16, None)


def test_sums_are_those_of_an_independent_model(tiny, tiny_graph):
    windows = [np.arange(20, 44), np.arange(60, 84)]
    seen = []
    sums = squared_activations(
        tiny, tiny_graph, choose_device("cpu", 1), windows, lambda share, _: seen.append(share)
    ).sums
    expected = dict.fromkeys(sums, 0)
    for ids in windows:
        inputs = {}
        final_hidden(tiny.dequantize, ids, inputs=inputs)
        for name, values in inputs.items():
            expected[name] = expected[name] + (values.astype(np.float64) ** 2).sum(0)
    assert seen == [0.25, 0.5, 0.75, 1.0]  # two layers of two parts
    assert len(sums) == 2 * 7
    for name, values in sums.items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-4)


def test_streams_in_memory_are_not_written_in_long_passes(tiny, tiny_graph, monkeypatch):
    def written(*_):
        pytest.fail("nothing can continue from a folder that is removed")

    minutes = SimpleNamespace(monotonic=itertools.count(0, 1000).__next__)
    monkeypatch.setattr(pass_checkpoint, "time", minutes)
    monkeypatch.setattr(StreamsInMemory, "save", written)
    assert squared_activations(tiny, tiny_graph, choose_device("cpu", 1), [np.arange(20, 44)]).sums


@pytest.mark.usefixtures("exporting_here")
def test_every_expert_has_sums_over_its_own_tokens(tmp_path):
    """What torch's own experts take is the oracle."""
    family = FAMILIES["qwen2 with experts"]
    file = open_gguf(write_family(family, tmp_path / "m.gguf"))
    windows = [np.arange(20, 44), np.arange(60, 84)]
    found = squared_activations(file, load_graph(file), choose_device("cpu", 1), windows)
    model = torch_model(family)
    taken = {}

    def take(name, inputs):
        rows = inputs[0].reshape(-1, inputs[0].shape[-1]).double()
        sums, count = taken.get(name, (0, 0))
        taken[name] = sums + rows.square().sum(0).numpy(), count + len(rows)

    projections = ((name, module) for name, module in model.named_modules() if name.endswith("_proj"))
    for name, module in projections:
        module.register_forward_hook(lambda _, inputs, __, name=name: take(name, inputs))
    with torch.no_grad():
        for ids in windows:
            model(torch.from_numpy(ids)[None])
    for role, projection in (("gate", "gate_proj"), ("up", "up_proj"), ("down", "down_proj")):
        sums, counts = (part[f"blk.1.ffn_{role}_exps.weight"] for part in (found.sums, found.counts))
        assert counts.sum() == 2 * 48
        for expert, (values, count) in enumerate(zip(sums, counts, strict=True)):
            expected = taken.get(f"model.layers.1.mlp.experts.{expert}.{projection}", (0, 0))
            assert count == expected[1]
            np.testing.assert_allclose(values, expected[0], rtol=1e-4)
        shared = found.sums[f"blk.1.ffn_{role}_shexp.weight"]
        expected = taken[f"model.layers.1.mlp.shared_expert.{projection}"]
        np.testing.assert_allclose(shared, expected[0], rtol=1e-4)
    path = tmp_path / "i.gguf"
    write_imatrix(path, found.sums, 48, 24, ["t"], found.counts)
    tensor = "blk.1.ffn_up_exps.weight"
    means = read_imatrix(path).means[tensor]
    used = found.counts[tensor] > 0
    expected = found.sums[tensor][used] / found.counts[tensor][used, None]
    np.testing.assert_allclose(means[used], expected, rtol=1e-5)
    fitting, _ = fit_to_model(read_imatrix(path), file)
    assert fitting.means[tensor].shape == (6, 256)


def test_streams_on_disk_are_beside_the_new_file_and_nothing_stays(tiny, tiny_graph, tmp_path, monkeypatch):
    windows = [np.arange(20, 44), np.arange(60, 84), np.arange(30, 54)]
    cpu, out = choose_device("cpu", 1), tmp_path / "new.gguf"
    expected = squared_activations(tiny, tiny_graph, cpu, windows).sums
    planned = activations.plan_memory
    monkeypatch.setattr(activations, "plan_memory", lambda *args: replace(planned(*args), place="disk"))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / f".new.gguf.{ended.pid}-killed.partial").mkdir()
    seen = set()
    found = squared_activations(
        tiny, tiny_graph, cpu, windows, lambda *_: seen.update(tmp_path.rglob("*.streams-*")), None, out
    )
    assert {path.name for path in seen} == {"imatrix.streams-0", "imatrix.streams-1"}
    assert not list(tmp_path.iterdir())
    for tensor, values in found.sums.items():
        np.testing.assert_array_equal(values, expected[tensor])
