"""Importance matrices on disk: gguf's own reader and hand-made files are the oracles."""

from __future__ import annotations

import struct

import gguf
import numpy as np
import pytest

from evaluator.quantize.imatrix import read_imatrix, write_imatrix
from evaluator.support.errors import RequestError

SUMS = {"blk.1.ffn_up.weight": np.array([512.0, 1024, 0]), "blk.0.attn_q.weight": np.array([5.12, 51.2])}


@pytest.fixture
def written(tmp_path):
    write_imatrix(tmp_path / "new" / "i.gguf", SUMS, 1024, 512, ["a.txt", "b.txt"])
    return tmp_path / "new" / "i.gguf"


def test_file_is_laid_out_as_llama_imatrix_does(written):
    reader = gguf.GGUFReader(written)
    facts = {key: reader.get_field(key) for key in reader.fields if not key.startswith("GGUF.")}
    assert {key: field.contents() for key, field in facts.items()} == {
        "general.type": "imatrix",
        "imatrix.datasets": ["a.txt", "b.txt"],
        "imatrix.chunk_count": 2,
        "imatrix.chunk_size": 512,
    }
    tensors = {item.name: item for item in reader.tensors}
    assert list(tensors)[:2] == ["blk.0.attn_q.weight.in_sum2", "blk.0.attn_q.weight.counts"]
    assert [int(size) for size in tensors["blk.1.ffn_up.weight.in_sum2"].shape] == [3, 1]
    np.testing.assert_array_equal(tensors["blk.1.ffn_up.weight.counts"].data, [[1024]])


def test_means_come_back(written):
    found = read_imatrix(written)
    assert (found.datasets, found.chunks, found.chunk_size) == (("a.txt", "b.txt"), 2, 512)
    np.testing.assert_allclose(found.means["blk.1.ffn_up.weight"], [[0.5, 1, 0]])


def write_experts(path, counts, kept=(".in_sum2", ".counts")):
    writer = gguf.GGUFWriter(str(path), "")
    values = {".in_sum2": np.array([[2.0, 4], [6, 8]], np.float32), ".counts": np.array(counts, np.float32)}
    for suffix in kept:
        writer.add_tensor(f"blk.0.ffn_up_exps.weight{suffix}", values[suffix])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_experts_have_counts_of_their_own_and_one_where_no_token_came_by(tmp_path):
    found = read_imatrix(write_experts(tmp_path / "e.gguf", [[2], [0]]))
    np.testing.assert_array_equal(found.means["blk.0.ffn_up_exps.weight"], [[1, 2], [1, 1]])


def test_where_no_token_came_by_at_all_nothing_was_measured(tmp_path):
    found = read_imatrix(write_experts(tmp_path / "e.gguf", [[0], [0]]))
    assert not found.means["blk.0.ffn_up_exps.weight"].any()


@pytest.mark.parametrize("count", [-1, np.nan, np.inf])
def test_counts_that_cannot_be(tmp_path, count):
    with pytest.raises(
        RequestError, match=r"counts of blk\.0\.ffn_up_exps\.weight are negative or not finite"
    ):
        read_imatrix(write_experts(tmp_path / "e.gguf", [[2], [count]]))


def dat(entries, tail=b""):
    body = struct.pack("<i", len(entries))
    for name, calls, values in entries:
        body += struct.pack("<i", len(name)) + name + struct.pack("<ii", calls, len(values))
        body += np.asarray(values, "<f4").tobytes()
    return body + tail


ENTRY = (b"blk.0.attn_q.weight", 4, [2.0, 8])
TAIL = struct.pack("<ii", 4, 8) + b"text.txt"


@pytest.mark.parametrize(("tail", "chunks", "datasets"), [(TAIL, 4, ("text.txt",)), (b"", 0, ())])
def test_older_format(tmp_path, tail, chunks, datasets):
    (tmp_path / "i.dat").write_bytes(dat([ENTRY], tail))
    found = read_imatrix(tmp_path / "i.dat")
    assert (found.chunks, found.datasets) == (chunks, datasets)
    np.testing.assert_array_equal(found.means["blk.0.attn_q.weight"], [[0.5, 2]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not an importance matrix, or is truncated"),
        (dat([ENTRY])[:-1], "or is truncated"),
        (dat([]), "no entries"),
        (struct.pack("<ii", 1, 1 << 30), "or is truncated"),
        (struct.pack("<ii", 1, -5), "or is truncated"),
        (dat([(b"x", 1, [1.0])])[:-4] + np.array([np.nan], "<f4").tobytes(), "negative or not finite"),
        (
            dat([(b"x", 1, [1.0])])[:-4] + np.array([1e30], "<f4").tobytes(),
            "importances of x are above 1e\\+20",
        ),
        (dat([(b"x", 1, [-1.0])]), "importances of x are negative"),
        (b"GGUF\x03\x00\x00\x00", "truncated"),
    ],
)
def test_damaged_files(tmp_path, content, message):
    (tmp_path / "i.dat").write_bytes(content)
    with pytest.raises(RequestError, match=message):
        read_imatrix(tmp_path / "i.dat")


def test_model_file_is_no_importance_matrix(tiny_path):
    with pytest.raises(RequestError, match="holds no squared activations"):
        read_imatrix(tiny_path)


def test_sums_without_counts(tmp_path):
    with pytest.raises(RequestError, match="counts is missing"):
        read_imatrix(write_experts(tmp_path / "e.gguf", [[2], [0]], kept=(".in_sum2",)))


def test_counts_that_do_not_fit(tmp_path):
    with pytest.raises(RequestError, match="3 counts do not fit the sums"):
        read_imatrix(write_experts(tmp_path / "e.gguf", [[2], [0], [1]]))


def test_absent_file(tmp_path):
    with pytest.raises(RequestError, match=r"none.gguf: cannot be read: No such file"):
        read_imatrix(tmp_path / "none.gguf")
