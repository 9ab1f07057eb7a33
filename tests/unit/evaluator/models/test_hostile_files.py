"""Damaged and malicious files: each works or gives a one-line error, within limits of memory and time."""

from __future__ import annotations

import contextlib
import multiprocessing
import resource
import struct
import time
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest
from tiny_checkpoints import random_model, save_checkpoint
from tiny_models import write_tiny_llama

from evaluator.export.exact.weights import head_weights
from evaluator.models.gguf.reader import open_gguf
from evaluator.models.naming import model_name, quant_label
from evaluator.models.sources.open_model import open_model
from evaluator.models.tokenizers.tokenizer import tokenizer_from_gguf, vocabulary_digest
from evaluator.planning.comparable import comparable_traits
from evaluator.support.errors import EvaluatorError
from evaluator.texts.chat import control_tokens

#: Memory limit above what the process already uses: far more than the small files need, far less than they claim.
EXTRA_MEMORY = 512 << 20
#: Limit of a file's processor time, as a multiple of a valid file's.
MOST_TIMES = 200
#: Seconds without output after which a child counts as hanging.
HANGS = 300
SCALAR_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
ABSURD = (0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 10**9, 65_536, 0)


def damage(content, header, number):
    """Return a damaged copy of the content; the same number gives the same damage."""
    generator = np.random.default_rng(number)
    way, size = number % 5, len(content)
    if way == 0:
        return content[: int(generator.integers(0, size))]
    damaged = bytearray(content)
    if way == 1:  # flipped bytes in the header
        for place in generator.integers(0, header, 3):
            damaged[place] ^= int(generator.integers(1, 256))
    elif way == 2:  # absurd 32-bit numbers
        place = int(generator.integers(4, header - 4))
        damaged[place : place + 4] = struct.pack("<I", ABSURD[number // 5 % len(ABSURD)])
    elif way == 3:  # absurd 64-bit numbers
        place = int(generator.integers(4, header - 8))
        damaged[place : place + 8] = struct.pack("<Q", ABSURD[number // 5 % len(ABSURD)] << 24)
    else:  # a piece of the header moved elsewhere in it
        start, target = (int(place) for place in generator.integers(4, header - 64, 2))
        damaged[target : target + 64] = content[start : start + 64]
    return bytes(damaged)


def header_numbers(content):
    """Return start and size of every number in a header, of arrays only those of the first item."""
    found, place = [(4, 4), (8, 8), (16, 8)], 24

    def number(size):
        nonlocal place
        found.append((place, size))
        place += size
        return int.from_bytes(content[place - size : place], "little")

    def text():
        nonlocal place
        length = number(8)
        place += length

    def value(kind):
        nonlocal place
        if kind == gguf.GGUFValueType.STRING:
            text()
        elif kind == gguf.GGUFValueType.ARRAY:
            item, count = number(4), number(8)
            kept = len(found) + 1
            for _ in range(count):
                value(item)
            del found[kept:]
        else:
            number(SCALAR_BYTES[kind])

    n_tensors, n_keys = struct.unpack_from("<QQ", content, 8)
    for _ in range(n_keys):
        text()
        value(number(4))
    for _ in range(n_tensors):
        text()
        for size in (*[8] * number(4), 4, 8):
            number(size)
    return found


def use(path):
    """Do everything that precedes the export of a graph, and read every tensor once."""
    file = open_model(path)
    model_name(file), quant_label(file), file.bits_per_weight, vocabulary_digest(file)
    comparable_traits(file)
    tokenizer_from_gguf(file).encode("The other day 12 of them ran.")
    head_weights(file)
    for name in file.tensors:
        file.dequantize(name)


def processor_seconds(path):
    begin = time.process_time()
    use(path)
    return time.process_time() - begin


def use_all(whole, cases, outcomes):
    """Use every case in a process with limited memory; send (name, outcome, relative time) for each.

    Args:
        whole: a sound file, whose time is the measure.
        cases: as in `assert_harmless`.
        outcomes: where to send.
    """
    use(whole)
    usual = min(processor_seconds(whole) for _ in range(3))
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + EXTRA_MEMORY, used + EXTRA_MEMORY))
    for path, content, model in cases:
        path.write_bytes(content)
        begin = time.process_time()
        try:
            use(model)
            happened = "works"
        except EvaluatorError as error:
            happened = f"refused: {error}"
        except BaseException as error:  # reported to the test
            happened = f"{type(error).__name__}: {error}"
        outcomes.put((path.name, happened, (time.process_time() - begin) / usual))


def assert_harmless(cases, *, refused, works=0):
    """Check every case (file to write, its content, model to open) in a child process."""
    whole = write_tiny_llama(cases[0][0].parent.parent / "whole.gguf", layers=1, hidden=64, ffn=96)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=use_all, args=(whole, cases, queue))
    child.start()
    found = [queue.get(timeout=HANGS) for _ in cases]
    child.join(HANGS)
    assert child.exitcode == 0
    for name, happened, times in found:
        assert happened == "works" or happened.startswith("refused: "), (name, happened)
        assert "\n" not in happened, (name, happened)
        assert len(happened) < 1000, (name, happened)  # all known families or pre-tokenizers
        assert times < MOST_TIMES, (name, times)
    worked = sum(happened == "works" for _, happened, _ in found)
    assert worked >= works
    assert len(found) - worked >= refused


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("small") / "m.gguf"
    return write_tiny_llama(path, layers=1, hidden=64, ffn=96, ggml_type=gguf.GGMLQuantizationType.Q8_0)


def test_two_hundred_damaged_gguf_files_harm_nobody(small, tmp_path):
    content = small.read_bytes()
    header = min(info.offset for info in open_gguf(small).tensors.values())
    paths = [tmp_path / f"{number}.gguf" for number in range(200)]
    assert_harmless(
        [(path, damage(content, header, int(path.stem)), path) for path in paths], refused=100, works=5
    )


def test_every_number_of_a_header_may_lie(small, tmp_path):
    content = small.read_bytes()
    cases = []
    for index, (start, size) in enumerate(header_numbers(content)):
        told = int.from_bytes(content[start : start + size], "little")
        for lie in (told + 1, 0 if index % 2 else -1, 1 << (8 * size - 1)):
            path = tmp_path / f"{start}-{lie}.gguf"
            number = (lie % (1 << 8 * size)).to_bytes(size, "little")
            cases.append((path, content[:start] + number + content[start + size :], path))
    assert len(cases) > 250
    assert_harmless(cases, refused=200, works=20)


def test_damaged_parts_of_a_split_model_harm_nobody(small, tmp_path):
    content = small.read_bytes()
    header = min(info.offset for info in open_gguf(small).tensors.values())
    parts = [tmp_path / "m-00001-of-00002.gguf", tmp_path / "m-00002-of-00002.gguf"]
    parts[1].write_bytes(content)
    cases = [(parts[number % 2], damage(content, header, number), parts[0]) for number in range(40)]
    assert_harmless(cases, refused=40)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_damaged_checkpoints_harm_nobody(tmp_path, name):
    folder = save_checkpoint(random_model("llama", num_hidden_layers=1), tmp_path / "m")
    content = (folder / name).read_bytes()
    header = 8 + int.from_bytes(content[:8], "little") if name == "model.safetensors" else len(content)
    cases = [(folder / name, damage(content, header, number), folder) for number in range(60)]
    assert_harmless([*cases, (folder / name, content, folder)], refused=20, works=1)


@pytest.mark.parametrize("depth", [1, 3, 500, 100_000])
def test_nested_arrays_end(tmp_path, depth):
    value = b"".join(struct.pack("<IQ", 9, 1) for _ in range(depth)) + struct.pack("<IQ", 4, 0)
    key = struct.pack("<Q", 1) + b"k" + struct.pack("<I", 9) + value
    path = tmp_path / "m.gguf"
    assert_harmless([(path, b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + key, path)], refused=1)


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gemma3", "smollm3"])
def test_absurd_dimensions_are_refused_before_anything_is_built(tmp_path, architecture):
    keys = (
        "embedding_length",
        "block_count",
        "attention.head_count",
        "attention.head_count_kv",
        "attention.key_length",
    )
    cases = []
    for key in keys:
        for value in (2**31 - 1, 2**20):
            path = tmp_path / f"{key}-{value}.gguf"
            metadata = {f"{architecture}.{key}": (value, gguf.GGUFValueType.UINT32)}
            write_tiny_llama(path, layers=1, hidden=64, ffn=96, architecture=architecture, metadata=metadata)
            cases.append((path, path.read_bytes(), path))
    assert_harmless(cases, refused=len(cases))


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gemma3", "phi3", "smollm3"])
def test_arrays_and_texts_in_place_of_numbers_are_refused(tmp_path, architecture):
    array, text = gguf.GGUFValueType.ARRAY, gguf.GGUFValueType.STRING
    own = (
        "block_count", "embedding_length", "feed_forward_length", "expert_count", "attention.head_count",
        "attention.head_count_kv", "attention.key_length", "attention.sliding_window", "final_logit_softcapping",
        "attention.layer_norm_rms_epsilon", "rope.freq_base", "rope.dimension_count", "rope.scaling.type",
    )  # fmt: skip
    keys = [f"{architecture}.{key}" for key in own] + [
        "general.file_type", "general.alignment", "split.count", "tokenizer.ggml.bos_token_id",
        "tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_space_prefix", "tokenizer.ggml.unknown_token_id",
        "tokenizer.chat_template",
    ]  # fmt: skip
    cases = []
    for key in keys:
        for value, kind in (([1, 2], array), ("one", text)):
            path = tmp_path / f"{key}-{kind.name}.gguf"
            metadata = {key: (value, kind)}
            write_tiny_llama(path, layers=1, hidden=64, ffn=96, architecture=architecture, metadata=metadata)
            cases.append((path, path.read_bytes(), path))
    assert_harmless(cases, refused=10)


@pytest.mark.parametrize("value", [7, "x", [1, 2], ["x"], np.arange(3), [[1], [2]], [[1], [2, 3]]], ids=repr)
@pytest.mark.parametrize(
    "table", ["tokens", "merges", "token_type", "scores", "bos_token_id", "eos_token_id"]
)
@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_tokenizer_tables_of_other_types_are_refused(tiny, table, value, kind):
    keys = {"tokenizer.ggml.model": kind, f"tokenizer.ggml.{table}": value}
    file = replace(
        tiny, metadata={"tokenizer.ggml.scores": np.zeros(263, np.float32), **tiny.metadata, **keys}
    )
    for use_file in (vocabulary_digest, tokenizer_from_gguf, control_tokens):
        with contextlib.suppress(EvaluatorError):
            use_file(file)
