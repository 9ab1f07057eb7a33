"""Models whose shapes exercise every rule of llama.cpp's stock mixtures, and the types that llama-quantize chose.

`golden/stock_types.json` has llama-quantize's types for each case and mixture. If
`LLAMA_CPP_BIN` names its folder, `test_llama_quantize.py` runs it again; run this file to rewrite the table.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from tiny_models import tiny_shapes

from evaluator.models.model_file import ModelFile, TensorInfo
from evaluator.quantize.imatrix import write_imatrix

GOLDEN = Path(__file__).parents[1] / "golden" / "stock_types.json"
VOCABULARY = 320
_LINE = re.compile(r"\] +(\S+) +- \[.*?\], type = +(\S+), size = .*?(?:\((\S+)\))?$")


@dataclass(frozen=True)
class Case:
    """Shapes of a model, and whether an importance matrix is used."""

    name: str
    hidden: int = 256
    layers: int = 17
    heads: int = 4
    kv_heads: int = 2
    ffn: int = 512
    architecture: str = "llama"
    untied: bool = False
    experts: int = 0
    importance: bool = False


CASES = (
    Case("tied"),
    Case("tied with importances", importance=True),
    Case("untied, grouped by four", heads=8, untied=True),
    Case("untied, grouped by four, with importances", heads=8, untied=True, importance=True),
    Case("qwen2", architecture="qwen2", untied=True, importance=True),
    Case("rows that do not divide", hidden=96, ffn=80, heads=2, kv_heads=1, layers=3, importance=True),
    Case("eight experts", experts=8, layers=9, ffn=256, importance=True),
    Case("four experts", experts=4, layers=9, ffn=256, untied=True, importance=True),
    Case("80 layers", layers=80, ffn=256, heads=8, kv_heads=4, importance=True),
    Case("qwen2 of 80 layers", layers=80, ffn=256, kv_heads=4, architecture="qwen2"),
)


class ShapesOnly(ModelFile):
    """A model without weights, which is enough for planning."""

    @property
    def files(self) -> tuple[Path, ...]:
        """No files."""
        return ()

    def raw(self, name: str) -> Any:
        """No data."""
        raise NotImplementedError(name)


def case_shapes(case: Case) -> dict[str, tuple[int, ...]]:
    """Return tensor name → shape in numpy order."""
    shapes = tiny_shapes(
        VOCABULARY,
        hidden=case.hidden,
        layers=case.layers,
        heads=case.heads,
        kv_heads=case.kv_heads,
        ffn=case.ffn,
        architecture=case.architecture,
    )
    if case.untied:
        shapes["output.weight"] = (VOCABULARY, case.hidden)
    for layer in range(case.layers if case.experts else 0):
        for role in ("gate", "up", "down"):
            shape = shapes.pop(f"blk.{layer}.ffn_{role}.weight")
            shapes[f"blk.{layer}.ffn_{role}_exps.weight"] = (case.experts, *shape)
        shapes[f"blk.{layer}.ffn_gate_inp.weight"] = (case.experts, case.hidden)
    return shapes


def _settings(case: Case) -> dict[str, int]:
    counts = {
        "context_length": 128,
        "embedding_length": case.hidden,
        "block_count": case.layers,
        "feed_forward_length": case.ffn,
        "attention.head_count": case.heads,
        "attention.head_count_kv": case.kv_heads,
        "vocab_size": VOCABULARY,
    }
    if case.experts:
        counts |= {"expert_count": case.experts, "expert_used_count": 2}
    return counts


def case_model(case: Case) -> ModelFile:
    """Return the case's model without weights, with F16 matrices."""
    kinds = (gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.F16)
    tensors = {
        name: TensorInfo(name, shape, kinds[len(shape) > 1], 0, 0)
        for name, shape in case_shapes(case).items()
    }
    metadata: dict[str, Any] = {f"{case.architecture}.{key}": value for key, value in _settings(case).items()}
    return ShapesOnly(Path(case.name), metadata | {"general.architecture": case.architecture}, {}, tensors)


def case_importances(case: Case) -> dict[str, Any] | None:
    """Return random importances of all matrices in the blocks, [matrices, columns], the same for the same seed."""
    if not case.importance:
        return None
    generator = np.random.default_rng(5)
    return {
        name: generator.lognormal(0, 2, (int(np.prod(shape[:-2])), shape[-1])).astype(np.float32)
        for name, shape in case_shapes(case).items()
        if len(shape) > 1 and name.startswith("blk.") and "gate_inp" not in name
    }


def write_case(path: Path, case: Case) -> Path:
    """Write the case as a GGUF file for llama-quantize, with random F16 matrices."""
    writer = gguf.GGUFWriter(str(path), case.architecture)
    for key, value in _settings(case).items():
        writer.add_uint32(f"{case.architecture}.{key}", value)
    writer.add_float32(f"{case.architecture}.attention.layer_norm_rms_epsilon", 1e-5)
    generator = np.random.default_rng(3)
    for name, shape in case_shapes(case).items():
        values = generator.standard_normal(shape, np.float32)
        writer.add_tensor(name, values if len(shape) < 2 else values.astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_case_importances(path: Path, case: Case, part: str = "blk.") -> Path:
    """Write importances for llama.cpp, of tensors whose names start with `part`.

    Experts need a shape that `write_imatrix` does not write.
    """
    everything = case_importances(case) or {}
    found = {name: values for name, values in everything.items() if name.startswith(part)}
    if not case.experts:
        write_imatrix(path, {name: 512.0 * values[0] for name, values in found.items()}, 512, 512, ["case"])
        return path
    writer = gguf.GGUFWriter(str(path), "")
    writer.add_type("imatrix")
    writer.add_array(gguf.Keys.IMatrix.DATASETS, ["case"])
    writer.add_uint32(gguf.Keys.IMatrix.CHUNK_COUNT, 1)
    writer.add_uint32(gguf.Keys.IMatrix.CHUNK_SIZE, 512)
    for name, values in found.items():
        writer.add_tensor(f"{name}.in_sum2", 512 * values)
        writer.add_tensor(f"{name}.counts", np.full((len(values), 1), 512, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def llama_quantize() -> Path | None:
    """Return the path of llama-quantize in the folder `LLAMA_CPP_BIN`."""
    folder = os.environ.get("LLAMA_CPP_BIN")
    path = Path(folder, "llama-quantize") if folder else None
    return path if path and path.is_file() else None


def llama_types(tool: Path, model: Path, quant: str, imatrix: Path | None) -> dict[str, str]:
    """Return the types that llama-quantize would choose, without quantizing."""
    flags = ["--imatrix", str(imatrix)] if imatrix else []
    command = [str(tool), "--dry-run", *flags, str(model), quant]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = (_LINE.search(line) for line in (result.stdout + result.stderr).splitlines())
    return {line[1]: (line[3] or line[2]).upper() for line in lines if line}


def packed(types: dict[str, str]) -> dict[str, str]:
    """Return types of matrices by role, as runs over the layers, such as `Q6_K*2 Q4_K*15`."""
    roles: dict[str, list[str]] = {}
    layer_order = sorted(
        types, key=lambda name: (int(name.split(".")[1]) if name.startswith("blk.") else -1, name)
    )
    for name in layer_order:
        if name.endswith(".weight") and "norm" not in name:
            roles.setdefault(re.sub(r"^blk\.\d+\.", "", name), []).append(types[name])
    return {role: " ".join(_runs(kinds)) for role, kinds in sorted(roles.items())}


def _runs(kinds: list[str]) -> Iterator[str]:
    for kind, group in itertools.groupby(kinds):
        yield f"{kind}*{len(list(group))}"


def _write_golden(tool: Path, quants: list[str]) -> None:
    table: dict[str, dict[str, dict[str, str]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for case in CASES:
            model = write_case(Path(scratch) / "model.gguf", case)
            imatrix = write_case_importances(Path(scratch) / "i.gguf", case) if case.importance else None
            table[case.name] = {quant: packed(llama_types(tool, model, quant, imatrix)) for quant in quants}
    lines = (
        f"{json.dumps(name)}: {{\n"
        + ",\n".join(f" {json.dumps(q)}: {json.dumps(t)}" for q, t in mixtures.items())
        + "}"
        for name, mixtures in table.items()
    )
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    from evaluator.quantize.recipe import choices

    found = llama_quantize()
    if found is None:
        raise SystemExit("LLAMA_CPP_BIN has to name the folder of llama-quantize")
    _write_golden(found, list(choices("main")))
