"""Files written with another file's metadata."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
from tiny_models import write_tiny_llama

from evaluator.models.gguf.reader import open_gguf
from evaluator.models.gguf.writer import write_gguf

F32 = gguf.GGMLQuantizationType.F32
KINDS = {
    "x.u8": (200, "UINT8"),
    "x.i8": (-3, "INT8"),
    "x.u16": (60000, "UINT16"),
    "x.i32": (-70000, "INT32"),
    "x.u64": (2**63, "UINT64"),
    "x.i64": (-(2**62), "INT64"),
    "x.f64": (0.1, "FLOAT64"),
    "x.bool": (True, "BOOL"),
    "x.text": ("ä\n{}", "STRING"),
}


def copy(source, target, added=None, bytes_of=None):
    types = dict.fromkeys(source.tensors, F32)
    values = bytes_of or (lambda name: source.dequantize(name).view(np.uint8))
    write_gguf(source, target, gguf.LlamaFileType.ALL_F32, types, values, added)
    return open_gguf(target)


@pytest.fixture
def source(tmp_path):
    metadata = {key: (value, gguf.GGUFValueType[kind]) for key, (value, kind) in KINDS.items()}
    return open_gguf(write_tiny_llama(tmp_path / "s.gguf", layers=1, hidden=32, ffn=32, metadata=metadata))


def test_metadata_keep_values_and_types(source, tmp_path):
    made = copy(source, tmp_path / "m.gguf")
    added = {"general.file_type", "general.quantization_version"}
    assert set(made.metadata) == set(source.metadata) | added
    for key, value in source.metadata.items():
        assert np.array_equal(made.metadata[key], value)
        assert made.value_types[key] == source.value_types[key]


@pytest.mark.parametrize("key", KINDS)
def test_reference_reader_sees_the_type(source, tmp_path, key):
    copy(source, tmp_path / "m.gguf")
    field = gguf.GGUFReader(tmp_path / "m.gguf").get_field(key)
    assert (field.contents(), field.types[0].name) == KINDS[key]


def test_added_keys_replace_those_of_the_source(source, tmp_path):
    made = copy(source, tmp_path / "m.gguf", {"x.text": "new", "quantize.n": 7})
    assert (made.metadata["x.text"], made.metadata["quantize.n"]) == ("new", 7)


def test_a_part_of_a_split_model_becomes_a_whole(tmp_path):
    split = {"split.count": (2, gguf.GGUFValueType.UINT16), "split.no": (0, gguf.GGUFValueType.UINT16)}
    path = write_tiny_llama(tmp_path / "s.gguf", layers=1, hidden=32, ffn=32, metadata=split)
    made = copy(open_gguf(path, part=True), tmp_path / "m.gguf")
    assert not [key for key in made.metadata if key.startswith("split.")]


def test_values_are_equal(source, tmp_path):
    made = copy(source, tmp_path / "m.gguf")
    assert list(made.tensors) == list(source.tensors)
    for name in source.tensors:
        np.testing.assert_array_equal(made.dequantize(name), source.dequantize(name))


def test_failure_on_the_way_leaves_the_old_file(source, tmp_path):
    target = tmp_path / "out" / "m.gguf"
    target.parent.mkdir()
    target.write_bytes(b"old")

    def fail(_):
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        copy(source, target, bytes_of=fail)
    assert [(path.name, path.read_bytes()) for path in target.parent.iterdir()] == [("m.gguf", b"old")]
