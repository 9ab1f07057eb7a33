"""Split models, with parts as written by `llama-gguf-split`."""

from __future__ import annotations

import pytest
from split_models import write_split

from evaluator.models.gguf.reader import open_gguf
from evaluator.models.naming import model_name, quant_label
from evaluator.models.sources.open_model import open_model
from evaluator.models.sources.resolve import resolve_source, sha256_of_all
from evaluator.support.errors import SourceError


@pytest.fixture
def parts(tiny, tmp_path):
    return write_split(tiny, tmp_path, 3)


def test_any_part_opens_the_whole(tiny, parts):
    for path in parts:
        whole = open_model(path)
        assert whole.files == tuple(parts)
        assert set(whole.metadata) == set(tiny.metadata)
        assert whole.tensors.keys() == tiny.tensors.keys()
        for name in tiny.tensors:
            assert whole.raw(name).tobytes() == tiny.raw(name).tobytes()
    assert (whole.n_params, whole.bits_per_weight) == (tiny.n_params, tiny.bits_per_weight)
    assert whole.size_bytes == sum(path.stat().st_size for path in parts)
    assert (model_name(whole), quant_label(whole)) == ("Tiny", "Q8_0")


def test_parts_are_one_source_by_name_and_by_glob(parts, tmp_path):
    assert resolve_source(str(parts[1])) == [parts[0]]
    assert resolve_source(f"{tmp_path}/*.gguf") == [parts[0]]


def test_digest_depends_on_every_part(parts):
    before = sha256_of_all(open_model(parts[0]).files)
    content = bytearray(parts[2].read_bytes())
    content[-1] ^= 1
    parts[2].write_bytes(content)
    assert sha256_of_all(open_model(parts[0]).files) != before


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_missing_part_is_named(parts, missing):
    parts[missing].unlink()
    with pytest.raises(SourceError, match=f"{parts[missing].name} is missing; all 3 parts") as caught:
        open_model(parts[(missing + 1) % 3])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ({1: (2, 3)}, r"named part 2 of 3, but holds no\. 2"),
        ({0: (0, 4)}, r"named part 1 of 3, but holds no\. 0 \(from 0\) of 4"),
    ],
)
def test_part_that_says_something_else_is_refused(tiny, tmp_path, says, message):
    with pytest.raises(SourceError, match=message):
        open_model(write_split(tiny, tmp_path, 3, says=says)[0])


def test_part_of_another_model_is_refused(tiny, parts):
    parts[2].write_bytes(parts[1].read_bytes())
    with pytest.raises(SourceError, match="named part 3 of 3"):
        open_model(parts[0])


def test_part_under_another_name_is_refused(parts, tmp_path):
    parts[1].rename(tmp_path / "model.gguf")
    with pytest.raises(SourceError, match="part of a split model"):
        open_gguf(tmp_path / "model.gguf")


@pytest.mark.parametrize("name", ["m-00003-of-00002.gguf", "m-00000-of-00002.gguf", "m-00001-of-99999.gguf"])
def test_impossible_names_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"GGUF")
    with pytest.raises(SourceError, match="is not possible"):
        open_model(tmp_path / name)
