"""Files with the tensor names, blocks and settings of today's model families, at any row length and depth.

`golden/family_structures.json` has names, shapes and metadata of a tiny model of each family, as llama.cpp's
converter wrote them. Run `python family_structures.py FOLDER` on a folder of such GGUF files to rewrite it.
"""

from __future__ import annotations

import functools
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from evaluator.models.model_file import ModelFile, TensorInfo

STRUCTURES = Path(__file__).parents[1] / "golden" / "family_structures.json"
F32 = gguf.GGMLQuantizationType.F32
_BLOCK = re.compile(r"^blk\.(\d+)\.(.+)$")
#: Rows of every matrix, and matrices of every tensor: neither types nor a row's bytes depend on how many there are.
_ROWS = 2
#: Shorter rows are convolutions and mixing coefficients, whose length does not grow with a model.
_SHORTEST = 16
_REPEAT = 4
_KINDS = {bool: "BOOL", int: "UINT32", float: "FLOAT32", list: "ARRAY"}
_SECTIONS = "rope.dimension_sections"


@dataclass(frozen=True)
class Structure:
    """A family's blocks repeated, its rows lengthened.

    Attributes:
        family: its name in the file of structures.
        widen: factor of the row lengths.
        repeat: how often its blocks are repeated.
        settings: metadata that replace the family's, without the architecture's prefix.
        more: additional matrices, name → numpy shape.
        architecture: what it claims to be, instead of the family's architecture.
    """

    family: str
    widen: int = 4
    repeat: int = _REPEAT
    settings: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    architecture: str | None = None

    @property
    def name(self) -> str:
        """What identifies it among the cases of a test."""
        if self.architecture:
            return f"{self.architecture}×{self.widen}"
        blocks = f"×{self.repeat}" if self.repeat != _REPEAT else ""
        changed = [f"{key.rpartition('.')[2]}={value}" for key, value in self.settings.items()]
        roles = sorted({name.split(".", 2)[2] for name in self.more})
        return ",".join([f"{self.family}×{self.widen}{blocks}", *changed, *roles])

    @functools.cached_property
    def metadata(self) -> dict[str, tuple[Any, str]]:
        """Key → value and name of its GGUF type; values that are lists of one item per block are repeated too."""
        stored = _stored()[self.family]["metadata"]
        family = stored["general.architecture"][0]
        architecture = self.architecture or family
        blocks = stored[f"{family}.block_count"][0]
        found = {}
        for key, (value, kind) in stored.items():
            per_block = isinstance(value, list) and len(value) == blocks and not key.endswith(_SECTIONS)
            own = key.replace(f"{family}.", f"{architecture}.", 1) if key.startswith(f"{family}.") else key
            found[own] = (value * self.repeat if per_block else value, kind)
        found["general.architecture"] = (architecture, "STRING")
        found[f"{architecture}.block_count"] = (blocks * self.repeat, "UINT32")
        for key, value in self.settings.items():
            found[f"{architecture}.{key}"] = (value, _KINDS[type(value)])
        return found

    @functools.cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Tensor name → numpy shape."""
        architecture = self.metadata["general.architecture"][0]
        blocks = self.metadata[f"{architecture}.block_count"][0] // self.repeat
        found = {}
        for name, shape in _stored()[self.family]["tensors"].items():
            cut = self._cut(shape)
            if match := _BLOCK.match(name):
                for number in range(self.repeat):
                    found[f"blk.{int(match[1]) + number * blocks}.{match[2]}"] = cut
            else:
                found[name] = cut
        return found | dict(self.more)

    def _cut(self, shape: list[int]) -> tuple[int, ...]:
        if len(shape) < 2 or shape[-1] < _SHORTEST:
            return tuple(shape)
        return (*(min(size, _ROWS) for size in shape[:-1]), shape[-1] * self.widen)

    def matrices(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Yield name and (matrices, columns) of everything that gets importances."""
        for name, shape in self.shapes.items():
            if len(shape) > 1 and name.startswith("blk.") and name.endswith(".weight") and "norm" not in name:
                yield name, (int(np.prod(shape[:-2])), shape[-1])

    def model(self) -> ModelFile:
        """Return the model without weights, which is enough for planning."""
        metadata = {key: value for key, (value, _) in self.metadata.items()}
        tensors = {name: TensorInfo(name, shape, F32, 0, 0) for name, shape in self.shapes.items()}
        return _NoWeights(Path(self.name), metadata, {}, tensors)

    def write(self, path: Path) -> Path:
        """Write it as a GGUF file with random F32 weights, the same every time, and return `path`."""
        writer = gguf.GGUFWriter(str(path), self.metadata["general.architecture"][0])
        for key, (value, kind) in self.metadata.items():
            if key == "general.architecture":
                continue
            if isinstance(value, list):
                writer.add_array(key, value)
            else:
                writer.add_key_value(key, value, gguf.GGUFValueType[kind])
        generator = np.random.default_rng(7)
        for name, shape in self.shapes.items():
            writer.add_tensor(name, generator.standard_normal(shape, np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    def importances(self) -> dict[str, np.ndarray]:
        """Return random importances of every matrix in the blocks, float32 [matrices, columns]."""
        generator = np.random.default_rng(11)
        return {name: generator.lognormal(0, 2, shape).astype(np.float32) for name, shape in self.matrices()}

    def write_importances(self, path: Path) -> Path:
        """Write `importances` as a file of one token per expert, so that sums are means, and return `path`."""
        writer = gguf.GGUFWriter(str(path), "")
        writer.add_type("imatrix")
        writer.add_array(gguf.Keys.IMatrix.DATASETS, ["case"])
        writer.add_uint32(gguf.Keys.IMatrix.CHUNK_COUNT, 1)
        writer.add_uint32(gguf.Keys.IMatrix.CHUNK_SIZE, 512)
        for name, values in self.importances().items():
            writer.add_tensor(f"{name}.in_sum2", values)
            writer.add_tensor(f"{name}.counts", np.ones((len(values), 1), np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path


class _NoWeights(ModelFile):
    @property
    def files(self) -> tuple[Path, ...]:
        return ()

    def raw(self, name: str) -> Any:
        raise NotImplementedError(name)


def structures(widen: int = 4) -> list[Structure]:
    """Return every family; the mixtures with another number of experts too; and architectures with own rules."""
    found = [Structure(family, widen) for family in _stored()]
    mixtures = [case for case in found if any(key.endswith("expert_count") for key in case.metadata)]
    found += [Structure(case.family, widen, settings={"expert_count": 16}) for case in mixtures]
    row = 64 * widen
    predicted = {
        f"blk.16.nextn.{name}.weight": (_ROWS, columns)
        for name, columns in (("eh_proj", 2 * row), ("embed_tokens", row), ("shared_head_head", row))
    } | {"blk.16.attn_v.weight": (_ROWS, row), "blk.16.ffn_down_exps.weight": (_ROWS, _ROWS, row)}
    mtp = {"block_count": 17, "nextn_predict_layers": 1}
    whole = {f"blk.{layer}.attn_kv_b.weight": (_ROWS, row) for layer in range(16)}
    return [
        *found,
        Structure("glm4_moe", widen, settings=mtp, more=predicted),
        Structure("deepseek_v3", widen, more=whole),
        Structure("deepseek_v3", widen, settings=_GLM5, more=_glm5_matrices(row), architecture="glm5-next"),
        Structure("deepseek_v3", widen, settings=_BAILING, architecture="bailingmoe3"),
        Structure("lfm2", widen, settings=_EXPERTS, more=_experts(range(2, 16), row), architecture="lfm2moe"),
        Structure("qwen3_next", widen, settings=_QWEN35, architecture="qwen35moe"),
        Structure(
            "nemotron_h",
            widen,
            settings={**_EXPERTS, "expert_shared_count": 1},
            more=_experts(range(1, 16, 2), row),
            architecture="nemotron_h_moe",
        ),
        Structure("phi3", widen, settings=_LAYER_NORM, architecture="falcon"),
        Structure("nemotron_h", widen, repeat=17, settings=_LAYER_NORM, architecture="jais2"),
        Structure("llama", widen, repeat=20),
        Structure("olmo2", widen, repeat=20, settings=_LAYER_NORM, architecture="olmo"),
    ]


def _experts(blocks: range, row: int) -> dict[str, tuple[int, ...]]:
    return {
        f"blk.{block}.ffn_{role}_exps.weight": (_ROWS, _ROWS, row)
        for block in blocks
        for role in ("gate", "up", "down")
    }


_EXPERTS = {
    "expert_count": 32,
    "expert_used_count": 4,
    "expert_feed_forward_length": 32,
    "expert_shared_feed_forward_length": 32,
    "leading_dense_block_count": 2,
    "expert_gating_func": 2,
    "expert_weights_norm": True,
    "expert_weights_scale": 1.0,
}
_QWEN35 = {"rope.dimension_sections": [2, 1, 1, 0]}
_LAYER_NORM = {"attention.layer_norm_epsilon": 1e-5}
_KDA = {"ssm.conv_kernel": 4, "kda.head_dim": 32, "kda.gate_lower_bound": -5.0}
_BAILING = {**_KDA, "swiglu_clamp_exp": [0.0] * 16, "swiglu_clamp_shexp": [0.0] * 16}
_GLM5 = {
    **_KDA,
    "attention.indexer.head_count": 2,
    "attention.indexer.key_length": 32,
    "attention.indexer.top_k": 8,
    "attention.indexer.kpool": 2,
    "hyper_connection.count": 4,
    "hyper_connection.sinkhorn_iterations": 2,
    "hyper_connection.epsilon": 1e-6,
}


def _glm5_matrices(row: int) -> dict[str, tuple[int, ...]]:
    kept = (
        "hc_attn_fn",
        "indexer.attn_q_b",
        "indexer.proj",
        "indexer_compressor_gate",
        "ssm_f_a",
        "ssm_beta",
    )
    return {f"blk.3.{name}.weight": (_ROWS, row) for name in (*kept, "ssm_out", "nextn.eh_proj")}


@functools.cache
def _stored() -> dict[str, Any]:
    return dict(json.loads(STRUCTURES.read_text(encoding="utf-8")))


def _described(path: Path) -> dict[str, Any]:
    reader = gguf.GGUFReader(path)
    fields = {
        key: field
        for key, field in reader.fields.items()
        if not key.startswith(("GGUF.", "tokenizer.")) and key not in ("general.name", "general.size_label")
    }
    return {
        "metadata": {key: [field.contents(), field.types[-1].name] for key, field in fields.items()},
        "tensors": {tensor.name: [int(size) for size in reversed(tensor.shape)] for tensor in reader.tensors},
    }


if __name__ == "__main__":
    found = {path.stem: _described(path) for path in sorted(Path(sys.argv[1]).glob("*.gguf"))}
    lines = [f"{json.dumps(name)}: {json.dumps(content)}" for name, content in found.items()]
    STRUCTURES.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
