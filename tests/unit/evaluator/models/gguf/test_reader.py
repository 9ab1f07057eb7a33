"""Opening valid and hostile GGUF files; valid ones are compared with gguf's own reader."""

from __future__ import annotations

import struct

import gguf
import numpy as np
import pytest
from tiny_models import write_tiny_llama

from evaluator.models.gguf.reader import MAX_TENSORS, open_gguf
from evaluator.support.errors import SourceError

F32, Q8_0, Q4_0 = (gguf.GGMLQuantizationType[name] for name in ("F32", "Q8_0", "Q4_0"))


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def tensor(name="w", dims=(4,), kind=0, offset=0):
    head = text(name) + struct.pack("<I", len(dims))
    return head + b"".join(struct.pack("<Q", dim) for dim in dims) + struct.pack("<IQ", kind, offset)


def key(name, kind, payload):
    return text(name) + struct.pack("<I", kind) + payload


def gguf_bytes(tensors=(), keys=(), *, version=3, n_tensors=None, n_keys=None, data=16):
    counts = (len(tensors) if n_tensors is None else n_tensors, len(keys) if n_keys is None else n_keys)
    header = b"GGUF" + struct.pack("<IQQ", version, *counts) + b"".join(keys) + b"".join(tensors)
    return header + bytes(-len(header) % 32) + bytes(data)


@pytest.fixture
def opened(tmp_path):
    def open_bytes(content):
        path = tmp_path / "x.gguf"
        path.write_bytes(content)
        return open_gguf(path)

    return open_bytes


@pytest.fixture(scope="module", params=[F32, Q8_0, Q4_0], ids=lambda kind: kind.name)
def pair(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("pair") / "m.gguf"
    write_tiny_llama(path, layers=1, hidden=64, ffn=96, ggml_type=request.param)
    return open_gguf(path), gguf.GGUFReader(path)


def test_metadata_equal_those_of_the_reference_reader(pair):
    mine, reference = pair
    fields = {name: field for name, field in reference.fields.items() if not name.startswith("GGUF.")}
    assert set(mine.metadata) == set(fields)
    for name, field in fields.items():
        found = mine.metadata[name]
        expected = field.contents()
        assert (found.tolist() if isinstance(found, np.ndarray) else found) == expected
        assert mine.value_types[name].value == field.types[0]
        assert mine.value_types[name].item == (field.types[1] if len(field.types) > 1 else None)


def test_tensors_equal_those_of_the_reference_reader(pair):
    mine, reference = pair
    assert list(mine.tensors) == [item.name for item in reference.tensors]
    for item in reference.tensors:
        info = mine.tensors[item.name]
        assert info.ggml_type == item.tensor_type
        assert list(info.shape) == list(reversed(item.shape.tolist()))
        assert (info.offset, info.n_bytes, info.n_elements) == (
            item.data_offset,
            item.n_bytes,
            item.n_elements,
        )
        assert mine.raw(item.name).tobytes() == item.data.tobytes()
        values = gguf.dequantize(item.data, item.tensor_type).reshape(info.shape)
        np.testing.assert_array_equal(mine.dequantize(item.name), values)


def test_bits_per_weight_count_scales(pair):
    mine, reference = pair
    weights = sum(item.n_elements for item in reference.tensors)
    assert mine.n_params == weights
    assert mine.bits_per_weight == pytest.approx(
        8 * sum(int(item.n_bytes) for item in reference.tensors) / weights
    )


def test_minimal_file_opens(opened):
    file = opened(gguf_bytes([tensor()]))
    assert file.dequantize("w").tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("twentieth", range(20))
def test_truncated_file_is_refused(tiny_path, opened, twentieth):
    content = tiny_path.read_bytes()
    with pytest.raises(SourceError):
        opened(content[: len(content) * twentieth // 20])


@pytest.mark.parametrize("short", [1, 31, 32])
def test_truncation_at_the_very_end_is_refused(tiny_path, opened, short):
    last = max(open_gguf(tiny_path).tensors.values(), key=lambda info: info.offset)
    with pytest.raises(SourceError, match="truncated"):
        opened(tiny_path.read_bytes()[: last.offset + last.n_bytes - short])


@pytest.mark.parametrize("length", [2, 9, 1 << 63, (1 << 64) - 1])
@pytest.mark.parametrize("end", [0, 7, 8, 9])
def test_array_of_strings_that_reaches_beyond_the_file_is_refused(opened, length, end):
    # The second of two strings, or its length, ends beyond the file.
    second = (struct.pack("<Q", length) + b"\xff")[:end]
    strings = struct.pack("<IQ", 8, 2) + text("first") + second
    content = gguf_bytes(keys=[key("k", 9, strings)])
    content = content[: content.index(b"first") + len(b"first") + end]
    with pytest.raises(SourceError, match=r"truncated|more than the file holds"):
        opened(content)


def test_flipped_header_bytes_open_or_raise_source_error(tmp_path):
    path = write_tiny_llama(tmp_path / "m.gguf", layers=1, hidden=64, ffn=96)
    header = min(info.offset for info in open_gguf(path).tensors.values())
    content, generator, refused = path.read_bytes(), np.random.default_rng(7), 0
    for _ in range(200):
        damaged = bytearray(content)
        for place in generator.integers(0, header, 4):
            damaged[place] ^= int(generator.integers(1, 256))
        path.write_bytes(damaged)
        try:
            open_gguf(path)
        except SourceError:
            refused += 1
    assert 0 < refused < 200


HUGE = 2**63
HOSTILE = {
    "tensor count": gguf_bytes([tensor()], n_tensors=HUGE),
    "key count": gguf_bytes([tensor()], n_keys=HUGE),
    "one key too many": gguf_bytes([tensor()], n_keys=1),
    "string length": gguf_bytes([tensor()], [key("k", 8, struct.pack("<Q", HUGE))]),
    "array length": gguf_bytes([tensor()], [key("k", 9, struct.pack("<IQ", 4, HUGE))]),
    "string array length": gguf_bytes([tensor()], [key("k", 9, struct.pack("<IQ", 8, 2**40))]),
    "value type": gguf_bytes([tensor()], [key("k", 99, bytes(8))]),
    "array item type": gguf_bytes([tensor()], [key("k", 9, struct.pack("<IQ", 77, 1) + bytes(16))]),
    "deep arrays": gguf_bytes([tensor()], [key("k", 9, struct.pack("<IQ", 9, 1) * 2000 + bytes(16))]),
    "no dimensions": gguf_bytes([tensor(dims=())]),
    "many dimensions": gguf_bytes([tensor(dims=(1,) * 5)]),
    "zero dimension": gguf_bytes([tensor(dims=(0, 4))]),
    "overflowing dimensions": gguf_bytes([tensor(dims=(2**62, 4))]),
    "rows that do not fill blocks": gguf_bytes([tensor(dims=(33,), kind=Q8_0)], data=99),
    "offset": gguf_bytes([tensor(offset=HUGE)]),
    "tensor type": gguf_bytes([tensor(kind=4711)]),
    "duplicate tensors": gguf_bytes([tensor(), tensor()]),
    "duplicate keys": gguf_bytes([tensor()], [key("k", 4, bytes(4))] * 2),
    "alignment zero": gguf_bytes([tensor()], [key("general.alignment", 4, struct.pack("<I", 0))]),
    "alignment of three": gguf_bytes([tensor()], [key("general.alignment", 4, struct.pack("<I", 3))]),
    "alignment in text": gguf_bytes([tensor()], [key("general.alignment", 8, text("32"))]),
    "version": gguf_bytes([tensor()], version=4),
    "big-endian version": gguf_bytes([tensor()], version=3 << 24),
    "no tensors": gguf_bytes(),
    "empty": b"",
    "magic only": b"GGUF",
    "another format": b"\x89PNG\r\n\x1a\n" + bytes(100),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_file_is_refused(opened, what):
    with pytest.raises(SourceError) as caught:
        opened(HOSTILE[what])
    assert len(str(caught.value)) < 600


def test_wrong_paths_are_refused(tmp_path):
    for path in (tmp_path, tmp_path / "absent.gguf"):
        with pytest.raises(SourceError, match="cannot be opened"):
            open_gguf(path)


def test_missing_tensor_and_key_are_named(tiny):
    with pytest.raises(SourceError, match=r"blk\.9\.attn_q\.weight is missing"):
        tiny.raw("blk.9.attn_q.weight")
    with pytest.raises(SourceError, match=r"general\.nothing is missing"):
        tiny.require("general.nothing")


def test_more_tensors_than_any_model_has_are_refused_at_once(tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, MAX_TENSORS + 1, 0) + bytes(24 * (MAX_TENSORS + 2)))
    with pytest.raises(SourceError, match="more than the limit of 16,384"):
        open_gguf(path)
