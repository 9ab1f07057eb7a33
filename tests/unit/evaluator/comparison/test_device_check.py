"""The proof that a GPU computes what the CPU computes, in this process and in processes of its own.

The device is called a GPU here and computes on the CPU provider, which has kernels for all of it.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from split_models import linked_as_in_the_hub, write_split
from tiny_models import write_tiny_llama

from evaluator.comparison import device_check
from evaluator.comparison.device_check import (
    Sample,
    Verdict,
    beginning,
    check_float32,
    disagreement,
    judge,
    must_compute_right,
    sample_here,
    sampler_apart,
)
from evaluator.models.gguf.reader import open_gguf
from evaluator.models.sources.open_model import open_model
from evaluator.runtime.device import Device
from evaluator.support.errors import ExportError, RequestError
from evaluator.texts.windows import Window

GPU = Device("cuda", "CPUExecutionProvider", 1)
WINDOW = Window(0, "d", np.random.default_rng(5).integers(0, 256, 24).astype(np.int32), 12)
_STATES = np.random.default_rng(0).standard_normal((500, 64)).astype(np.float32)
RIGHT = Sample(_STATES, np.full(500, 5, np.float32), np.full(500, 5, np.float32))
ZEROS = Sample(np.zeros_like(_STATES), np.full(500, 10.8, np.float32), RIGHT.nll)


def simulated(**samples):
    """A sampler: what the `cpu`, `float32` and `float16` give; an exception is raised."""

    def sample(device, precision, states):
        found = samples["cpu" if device.name == "cpu" else precision]
        assert (states is None) == (device.name == "cpu" or isinstance(samples["cpu"], Exception))
        if isinstance(found, Exception):
            raise found
        return found

    return sample


def scaled(factor):
    return replace(RIGHT, hidden=RIGHT.hidden * np.float32(factor))


def test_a_device_that_computes_the_same_is_trusted_with_both(tiny, tiny_graph):
    def sample(device, precision, states):
        return sample_here(tiny, WINDOW, device, precision, states)

    assert judge(GPU, sample) == Verdict(None, None)
    assert judge(GPU, sampler_apart(tiny, WINDOW)) == Verdict(None, None)


def test_a_gpu_that_gives_zeros_is_found_out_though_both_precisions_agree_with_each_other():
    verdict = judge(GPU, simulated(cpu=RIGHT, float32=ZEROS, float16=ZEROS))
    assert verdict.float32_is_off
    assert verdict.float32 == verdict.float16 == "it is off by 100.00%, at the worst position by 100.00%"
    with pytest.raises(RequestError, match=r"cuda computes other values than the CPU: .* use --device cpu"):
        must_compute_right(verdict, GPU)


def test_half_precision_is_judged_by_the_cpu_where_float32_gives_zeros():
    verdict = judge(GPU, simulated(cpu=RIGHT, float32=ZEROS, float16=scaled(1.001)))
    assert (verdict.float32_is_off, verdict.float16) == (True, None)


@pytest.mark.parametrize(
    ("single", "half", "expected"),
    [
        (RIGHT, scaled(1.1), (None, "off by 10.00%, at the worst position by 10.00%")),
        (RIGHT, scaled(np.nan), (None, "not finite")),
        (RIGHT, ExportError("no kernel for this"), (None, "does not run: no kernel for this")),
        (ExportError("out of memory"), scaled(1.001), ("does not run: out of memory", None)),
    ],
)
def test_each_precision_is_judged_by_itself(single, half, expected):
    verdict = judge(GPU, simulated(cpu=RIGHT, float32=single, float16=half))
    assert not verdict.float32_is_off
    for found, words in zip((verdict.float32, verdict.float16), expected, strict=True):
        assert (found is None and words is None) or words in found


def test_without_the_cpu_the_two_precisions_have_to_agree():
    none = ExportError("killed")
    verdict = judge(GPU, simulated(cpu=none, float32=RIGHT, float16=scaled(1.001)))
    assert (verdict.float32, verdict.float16) == (None, None)
    assert "killed" in verdict.unverified
    verdict = judge(GPU, simulated(cpu=none, float32=RIGHT, float16=scaled(1.1)))
    assert "off by" in verdict.float32
    assert "off by" in verdict.float16
    verdict = judge(GPU, simulated(cpu=none, float32=none, float16=RIGHT))
    assert "cannot be compared with" in verdict.float16
    verdict = judge(GPU, simulated(cpu=none, float32=RIGHT), half=False)
    assert "cannot be compared with" in verdict.float32


def test_one_position_that_is_off_is_a_disagreement():
    assert disagreement(scaled(1.001), RIGHT) is None
    found = scaled(1.001)
    found.hidden[7] = RIGHT.hidden[7] * np.float32(1.05)
    assert "at the worst position by 5.00%" in disagreement(found, RIGHT)


def test_a_head_that_is_off_is_a_disagreement():
    off = replace(RIGHT, reference_nll=RIGHT.nll.copy())
    off.reference_nll[3] += 0.25
    assert disagreement(off, RIGHT) == "its head is off by 0.25 nats"


def test_positions_that_are_not_finite_on_the_cpu_say_nothing():
    broken = replace(RIGHT, hidden=RIGHT.hidden.copy(), nll=RIGHT.nll.copy())
    broken.hidden[3], broken.nll[3] = np.nan, np.nan
    assert disagreement(RIGHT, broken) is None
    assert disagreement(broken, RIGHT) == "it gives values that are not finite"


def test_long_windows_are_tried_at_their_beginning(monkeypatch):
    monkeypatch.setattr(device_check, "_MOST_POSITIONS", 16)
    part = beginning(WINDOW)
    assert (part.ids.tolist(), part.first_scored) == (WINDOW.ids[:16].tolist(), 8)


def test_weights_beyond_halves_and_plain_graphs_are_said_in_one_line(tiny, tiny_graph, tmp_path, monkeypatch):
    large = open_gguf(write_tiny_llama(tmp_path / "m.gguf", noise=1e5))
    with pytest.raises(Exception, match="too large for float16"):
        sample_here(large, WINDOW, GPU, "float16", None)
    plain = replace(tiny_graph, fused=None, plain_reason="unknown attention")
    monkeypatch.setattr(device_check, "load_graph", lambda _: plain)
    with pytest.raises(ExportError, match="needs a fused graph: unknown attention"):
        sample_here(tiny, WINDOW, GPU, "float16", None)


def test_a_process_of_its_own_says_the_same(tiny_graph, tmp_path):
    large = open_gguf(write_tiny_llama(tmp_path / "m.gguf", noise=1e5))
    assert "too large for float16" in judge(GPU, sampler_apart(large, WINDOW)).float16


def test_a_split_model_behind_the_links_of_the_hubs_cache_is_checked(tiny, tiny_graph, tmp_path):
    links = linked_as_in_the_hub(write_split(tiny, tmp_path, 2), tmp_path / "hub")
    verdict = judge(GPU, sampler_apart(open_model(links[0]), WINDOW), half=False)
    assert verdict.float32 is None


def test_a_process_that_crashes_is_trouble(tiny, monkeypatch, tmp_path):
    (tmp_path / "crashing.py").write_text(
        "import os, sys\nprint('bad kernel', file=sys.stderr)\nos.abort()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(device_check, "_MODULE", "crashing")
    with pytest.raises(ExportError) as caught:
        sampler_apart(tiny, WINDOW)(GPU, "float32", None)
    assert re.fullmatch(r"ended with status -?\d+: bad kernel", str(caught.value))


def test_an_importance_matrix_is_not_measured_on_a_gpu_that_is_off(tiny, monkeypatch):
    monkeypatch.setattr(
        device_check, "sampler_apart", lambda *_: simulated(cpu=RIGHT, float32=ZEROS, float16=ZEROS)
    )
    with pytest.raises(RequestError, match="computes other values than the CPU"):
        check_float32(tiny, GPU, WINDOW)
