"""Lists in the documents match the code: packages, files, families, tokenizers, packings."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest
from documents import README, ROOT, prose, spans, table
from family_structures import structures

from evaluator.export.packing.formats import PACKINGS
from evaluator.models.architectures import ARCHITECTURES
from evaluator.models.checkpoint.quantized.methods import METHODS
from evaluator.models.tensor_types import CheckpointType, FurtherType, block_layout
from evaluator.models.tokenizers.pretokenizers import PRE_TOKENIZERS
from evaluator.planning.config import ready_made
from evaluator.results.files import FRAMES, MANIFEST_NAME, tokens_of

ARCHITECTURE, FORMATS = ROOT / "docs" / "architecture.md", ROOT / "docs" / "formats.md"
FAMILIES = ROOT / "docs" / "families.md"
FLOATS = {"F16", "BF16", "F32"}


def test_results_folder_of_the_readme_is_that_of_the_code():
    listed = [name for row in table(README, "file", "a row is") for name in re.findall(r"`([^`]+)`", row[0])]
    places = [MANIFEST_NAME, *(file.place for file in FRAMES), tokens_of("<variant_id>").place]
    assert sorted(listed) == sorted(places)


def families():
    """Return the rows of the table of model families."""
    columns = ("models", "checkpoints: `model_type`", "graph", "types as llama-quantize", "GPU")
    return table(FAMILIES, "`general.architecture`", *columns)


def test_model_families_of_the_documents_are_those_of_the_registry():
    listed = {row[0].replace("`", ""): row for row in families()}
    assert sorted(listed) == sorted(ARCHITECTURES.names())
    for name, family in ARCHITECTURES:
        _, models, checkpoints, graph, types, gpu = listed[name]
        assert set(re.findall(r"`([^`]+)`", checkpoints)) == set(family.checkpoints)
        assert bool(family.checkpoints) != (checkpoints == "no")
        assert graph == ("optimum" if family.tensors else "composed")
        assert all((models, types, gpu))
    (counted,) = re.findall(r"\*\*Model families\*\*: \[(\d+) architectures\]", prose(README))
    assert int(counted) == len(ARCHITECTURES.names())


def test_families_marked_as_compared_with_llama_quantize_are():
    marked = {row[0].replace("`", "").split(" ")[0] for row in families() if row[4] == "compared"}
    compared = {structure.model().architecture for structure in structures(1)}
    assert marked <= compared | {"qwen2"}  # quantized whole, with a real file


def test_tokenizers_of_the_readme_are_counted():
    text = " ".join(prose(README).split())
    ((ways, names),) = re.findall(r"BPE with (\d+) \[ways of splitting\]\S+ under some (\d+) names", text)
    assert int(ways) == len(set(PRE_TOKENIZERS.values()))
    assert abs(int(names) - len(PRE_TOKENIZERS)) < 10


def test_pre_tokenizers_of_the_documents_are_known_and_grouped_by_what_they_do():
    rows = table(ROOT / "docs" / "protocol.md", "names", "a word is, or a text is split at")
    listed = [re.findall(r"`([^`]+)`", row[0]) for row in rows]
    assert sorted(name for names in listed for name in names) == sorted(PRE_TOKENIZERS)
    ways = [{PRE_TOKENIZERS[name] for name in names} for names in listed]
    assert [len(way) for way in ways] == [1] * len(set(PRE_TOKENIZERS.values()))
    assert len(set.union(*ways)) == len(ways)


def test_ready_made_comparisons_of_the_readme_are_those_that_travel_along():
    named = {span.removeprefix("python -m evaluator run ") for span in spans(README)}
    assert set(ready_made()) <= named


def test_packed_types_of_the_documents_are_the_registered_ones():
    rows = table(
        ROOT / "docs" / "packed.md",
        "GGUF type",
        "bits",
        "weights per scale",
        "weights per offset",
        "why there",
    )
    listed = [name for row in rows for name in row[0].split(", ")]
    assert sorted(listed) == sorted([*PACKINGS.names(), *FLOATS])


def test_containers_of_the_documents_are_those_of_the_packings():
    """Bits, weights per scale and weights per offset match the packing of zeros."""
    import gguf
    import numpy as np

    rows = table(
        ROOT / "docs" / "packed.md",
        "GGUF type",
        "bits",
        "weights per scale",
        "weights per offset",
        "why there",
    )
    for names, *container, _ in rows:
        for name in set(names.split(", ")) - FLOATS:
            block, n_bytes = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]]
            packed = PACKINGS.get(name)(np.zeros((1, 512 // block * n_bytes), np.uint8))
            found = [str(number or "") for number in (packed.bits, packed.block, packed.offset_block)]
            assert found == container, name


def test_methods_of_quantized_checkpoints_are_those_that_are_read():
    rows = table(FORMATS, "quant_method", "weights", "types", "value of a weight")
    assert {name for row in rows for name in re.findall(r"`([^`]+)`", row[0])} == set(METHODS)
    assert {name for row in rows for name in row[2].split(", ")} == {kind.name for kind in CheckpointType}


def test_further_types_of_gguf_files_are_those_that_are_read():
    rows = table(FORMATS, "type", "number", "weights per block", "bytes per block", "bytes per row besides")
    layouts = {kind: block_layout(kind) for kind in FurtherType}
    numbers = {
        kind: (kind, each.weights, each.n_bytes, each.row_bytes or "") for kind, each in layouts.items()
    }
    assert rows == [[kind.name, *(f"{number}" for number in numbers[kind])] for kind in FurtherType]


@pytest.mark.parametrize("tree", ["evaluator", "dashboard"])
def test_tree_of_the_architecture_is_that_of_the_import_contract(tree):
    """Packages are in the same order, each with its docstring's first line."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = {item["id"]: item for item in settings["tool"]["importlinter"]["contracts"]}
    layers = [part for layer in contracts[f"{tree}-layers"]["layers"][::-1] for part in layer.split(" : ")]
    expected = [[f"`{name}`", summary(ROOT / tree / name)] for name in layers if name != "__main__"]
    assert table(ARCHITECTURE, tree, "") == expected


def summary(place: Path) -> str:
    """Return the first line of a package's or module's docstring."""
    source = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return (ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or "").splitlines()[0]


@pytest.mark.parametrize(
    "package",
    [path.parent for tree in ("evaluator", "dashboard") for path in (ROOT / tree).rglob("__init__.py")],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_packages_say_in_one_sentence_what_they_do(package):
    said = summary(package)
    assert said.endswith(".")
    assert said[0].isupper()
    assert ". " not in said
