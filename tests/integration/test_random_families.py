"""Files with random weights: llama.cpp loads all of them, and what they hold decides what it computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from llama_logits import logits_of_many
from random_families import FAMILIES, VOCABULARY, recipe, write

IDS = np.random.default_rng(1).integers(1, VOCABULARY, (2, 128))


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """Logits of each variant."""
    folder = tmp_path_factory.mktemp("families")
    paths = [write(name, folder / f"{key}.gguf", **options) for key, name, options in FAMILIES]
    found = logits_of_many(paths, IDS)
    return {key: values for (key, _, _), values in zip(FAMILIES, found, strict=True)}


@pytest.mark.parametrize("key", [key for key, _, _ in FAMILIES])
def test_llama_cpp_computes_ordinary_logits(computed: dict[str, np.ndarray], key: str) -> None:
    values = computed[key]
    assert values.shape == (*IDS.shape, VOCABULARY)
    assert np.isfinite(values).all()
    # Neither all the same nor so far apart that one token takes everything.
    assert 0.5 < values.std() < 2.5
    # The windows begin anew, and their tokens differ.
    assert abs(values[0] - values[1]).mean() > 0.1


@pytest.mark.parametrize(
    ("key", "other"),
    [
        ("olmo3", "olmo3-plain"),
        ("mistral3", "mistral3-constant"),
        ("phi3-long", "phi3-short"),
        ("arcee", "arcee-plain"),
        ("gpt-oss", "gpt-oss-plain"),
        ("qwen35moe", "qwen3next"),
        ("deepseek3", "deepseek3-temperature"),
        ("lfm2", "lfm2-sliding"),
        ("llama4", "llama4-scout"),
    ],
)
def test_an_option_changes_the_logits(computed: dict[str, np.ndarray], key: str, other: str) -> None:
    assert abs(computed[key] - computed[other])[:, 64:].mean() > 0.01


AHEAD = [key for key, _, options in FAMILIES if options.get("ahead")]


@pytest.mark.parametrize(
    ("key", "other"),
    [
        ("qwen2moe", "qwen2moe-flat"),
        ("qwen3next", "qwen3next-unmarked"),
        *((key.removesuffix("-ahead"), key) for key in AHEAD),
    ],
)
def test_two_ways_to_write_the_same(computed: dict[str, np.ndarray], key: str, other: str) -> None:
    np.testing.assert_array_equal(computed[key], computed[other])


def test_weights_depend_on_the_seed_alone(tmp_path: Path) -> None:
    first = write("glm4", tmp_path / "first.gguf").read_bytes()
    assert write("glm4", tmp_path / "again.gguf").read_bytes() == first
    assert write("glm4", tmp_path / "other.gguf", seed=1).read_bytes() != first


def test_files_are_tiny() -> None:
    sizes = {
        key: sum(int(np.prod(shape)) for shape in recipe(name, **options).shapes.values())
        for key, name, options in FAMILIES
    }
    # Those where llama.cpp fixes the number of layers are larger.
    assert sum(size > 700_000 for size in sizes.values()) <= 2
    assert max(sizes.values()) < 8_000_000
