"""Comparisons from flags and from TOML."""

from __future__ import annotations

import pytest

from evaluator.config import VariantSource, comparison_from, read_comparison
from evaluator.errors import RequestError

GOOD = {
    "baseline": "b.gguf",
    "variants": [{"method": "m", "source": "v.gguf"}],
    "texts": ["t.txt"],
    "out": "o",
}

TOML = """
baseline = "b.gguf"
texts = ["a=t.txt"]
out = "results"
context = 64
[[variants]]
method = "m"
source = "v-*.gguf"
"""


def test_toml_file_is_read(tmp_path):
    (tmp_path / "c.toml").write_text(TOML, encoding="utf-8")
    comparison = read_comparison(tmp_path / "c.toml")
    assert comparison.variants == (VariantSource(method="m", source="v-*.gguf"),)
    assert (comparison.context, comparison.device, comparison.layers) == (64, "auto", True)


@pytest.mark.parametrize("content", [b"baseline = ", b"\xff\xfe", b"baseline = 'b'", None])
def test_bad_toml_is_one_line(tmp_path, content):
    path = tmp_path / "c.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RequestError) as caught:
        read_comparison(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"context": 63}, "context: .*even"),
        ({"context": 4}, "context"),
        ({"context": 70000}, "context"),  # positions are stored in 16 bits
        ({"chunks": 0}, "chunks"),
        ({"threads": 0}, "threads"),
        ({"device": "tpu"}, "device"),
        ({"variants": []}, "variants"),
        ({"texts": []}, "texts"),
        ({"baseline": ""}, "baseline"),
        ({"contxt": 64}, "contxt"),
        ({"variants": [{"method": "", "source": "s"}]}, r"variants\.0\.method"),
    ],
)
def test_wrong_setting_is_named(change, place):
    with pytest.raises(RequestError, match=place):
        comparison_from(GOOD | change)


def test_second_half_of_the_context_is_scored():
    assert comparison_from(GOOD | {"context": 64, "chunks": 3}).protocol.model_dump() == {
        "context": 64,
        "first_scored": 32,
        "chunks": 3,
    }


@pytest.mark.parametrize("argument", ["model.gguf", "=model.gguf", "main=", " = "])
def test_bad_variant_is_refused_with_the_form(argument):
    with pytest.raises(RequestError, match="expected METHOD=SRC"):
        VariantSource.parse(argument)


def test_variant_splits_at_the_first_equals_sign():
    assert VariantSource.parse("main = dir/a=b.gguf").model_dump() == {
        "method": "main",
        "source": "dir/a=b.gguf",
    }
