"""Comparisons from flags and from TOML."""

from __future__ import annotations

import pytest

from evaluator.models.sources.hub_source import HubSource
from evaluator.planning.config import VariantSource, comparison_from, ready_made, requested
from evaluator.support.errors import RequestError

GOOD = {
    "baseline": "b.gguf",
    "variants": [{"method": "m", "source": "v.gguf"}],
    "texts": ["t.txt"],
    "out": "o",
}

GOOD_LINES = ('baseline = "b.gguf"', 'texts = ["t.txt"]', 'out = "o"')

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
    comparison = requested(str(tmp_path / "c.toml"), {})
    assert comparison.variants == (VariantSource(method="m", source="v-*.gguf"),)
    assert (comparison.context, comparison.device, comparison.layers) == (64, "auto", True)


@pytest.mark.parametrize("content", [b"baseline = ", b"\xff\xfe", b"baseline = 'b'", None])
def test_bad_toml_is_one_line(tmp_path, content):
    path = tmp_path / "c.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RequestError) as caught:
        requested(str(path), {})
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
        ({"cluster": "remote"}, "cluster: remote is not an address; use local, auto or ray://HOST:PORT"),
        ({"cluster": "ray://head"}, "cluster: ray://head is not an address"),
        ({"cluster": "http://head:1"}, "cluster: http://head:1 is not an address"),
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


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("contxt = 64", "contxt: unknown setting; did you mean context?"),
        ('context = "64"', "context: must be a valid integer"),
        ("chunks = true", "chunks: must be a valid integer"),
        ("threads = 1.5", "threads: must be a valid integer"),
        ("memory = true", "memory: must be a valid number"),
        ('memory = "8"', "memory: must be a valid number"),
        ("memory = 0", "memory: must be greater than 0"),
        ("memory = nan", "memory: must be less than or equal to 1000000"),
        ("memory = inf", "memory: must be less than or equal to 1000000"),
        ('speed = "no"', "speed: must be a valid boolean"),
        ("context = 63", "context: the context must be even"),
        ("variants = [3]", "variants.0: must be METHOD=SRC, or a table"),
        ("variants = 3", "variants: must be a list"),
        (
            'variants = [{method = "m", sorce = "x"}]',
            "variants.0.sorce: unknown setting; did you mean source?",
        ),
        ('variants = [{method = "m"}]', "variants.0.source: is missing"),
        ('variants = ["x.gguf"]', "expected METHOD=SRC"),
    ],
)
def test_wrong_line_of_a_file_is_explained_with_its_file(tmp_path, line, says):
    path = tmp_path / "c.toml"
    path.write_text("\n".join([line, *GOOD_LINES]), encoding="utf-8")
    with pytest.raises(RequestError) as caught:
        requested(str(path), {} if "variants" in line else {"variants": [VariantSource.parse("m=v")]})
    assert says in str(caught.value)
    assert "Value error" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_file_may_write_variants_like_flags(tmp_path, encoding):
    path = tmp_path / "c.toml"
    path.write_text("\n".join(['variants = ["main=a-*.gguf"]', *GOOD_LINES]), encoding=encoding)
    assert requested(str(path), {}).variants == (VariantSource(method="main", source="a-*.gguf"),)


@pytest.mark.parametrize("method", ["baseline", "Baseline"])
def test_a_variant_cannot_be_called_baseline(method):
    with pytest.raises(RequestError, match="is reserved for the baseline"):
        VariantSource.parse(f"{method}=v.gguf")
    with pytest.raises(RequestError, match="is reserved for the baseline"):
        comparison_from(GOOD | {"variants": [{"method": method, "source": "v.gguf"}]})


@pytest.mark.parametrize("address", ["local", "auto", "ray://head:10001", "ray://[::1]:10001"])
def test_cluster_is_an_address(address):
    assert comparison_from(GOOD | {"cluster": address}).cluster == address


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


def test_flags_override_a_file_and_what_is_not_given_stays(tmp_path):
    (tmp_path / "c.toml").write_text(TOML, encoding="utf-8")
    flags = {"texts": ["b.txt"], "threads": 2, "context": None, "variants": [], "layers": False}
    comparison = requested(str(tmp_path / "c.toml"), flags)
    assert (comparison.texts, comparison.threads, comparison.context) == (("b.txt",), 2, 64)
    assert (comparison.variants[0].source, comparison.layers, str(comparison.out)) == (
        "v-*.gguf",
        False,
        "results",
    )


def test_without_a_file_what_is_missing_is_named():
    with pytest.raises(RequestError, match="missing --variant, --out"):
        requested(None, {"baseline": "b.gguf", "variants": [], "texts": ["t.txt"], "out": None})


@pytest.mark.parametrize("name", ["smollm2", "qwen2.5-0.5b", "llama-3.2-1b", "qwen3-0.6b", "gemma-3-1b"])
def test_ready_made_comparison_is_complete(name):
    comparison = requested(name, {})
    assert str(comparison.out) == f"results-{name}"
    assert {variant.method for variant in comparison.variants} == {"bartowski", "unsloth", "main"}
    for source in (comparison.baseline, *(variant.source for variant in comparison.variants)):
        assert HubSource.parse(source).repo


def test_misspelt_ready_made_comparison_gets_a_suggestion():
    with pytest.raises(RequestError, match=r"did you mean smollm2\?"):
        requested("smolm2", {})
    assert "smollm2" in ready_made()
