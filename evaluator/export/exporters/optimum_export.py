"""Export a graph with optimum. Only this module imports torch; it runs in its own process to free their memory.

`python -m evaluator.export.exporters.optimum_export REQUEST.json FOLDER` writes `skeleton.onnx` and `slots.json`.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from optimum.exporters.onnx import onnx_export_from_model
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig

from evaluator.export.skeleton import make_skeleton
from evaluator.models.architectures.rotary import LOCAL_ROTARY_FREQUENCIES, ROTARY_FREQUENCIES

#: Small sizes, but different from each other and from a model's other dimensions.
_TINY_VOCABULARY, _TINY_WIDTH = 48, 80
_ROTARY_MODULES = {
    "model.rotary_emb": ROTARY_FREQUENCIES,
    "model.rotary_emb_local": LOCAL_ROTARY_FREQUENCIES,
}


def _configuration(model_type: str, settings: dict[str, Any]) -> PretrainedConfig:
    return AutoConfig.for_model(
        model_type,
        **settings,
        # Embedding and head get separate slots: a variant may have a head of its own even if the baseline does not.
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )


def _true_shapes(config: PretrainedConfig) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        module = AutoModelForCausalLM.from_config(config)
    return {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}


def _random_module(config: PretrainedConfig, rotary_scale: float) -> torch.nn.Module:
    """Return a module whose values, with rotary frequencies, all differ, so that the graph shows where each goes."""
    module: torch.nn.Module = AutoModelForCausalLM.from_config(config, torch_dtype=torch.float32).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(generator=generator)
        for buffer, rotary in _rotary_modules(module):
            rotary.inv_freq.normal_(generator=generator)
            if buffer == ROTARY_FREQUENCIES:
                rotary.attention_scaling = rotary_scale
    return module


def _rotary_modules(module: torch.nn.Module) -> list[tuple[str, Any]]:
    return [(buffer, part) for name, part in module.named_modules() if (buffer := _ROTARY_MODULES.get(name))]


def _values_in_graph(module: torch.nn.Module, norm_offset: float) -> dict[str, npt.NDArray[np.float32]]:
    """Return parameters and rotary frequencies as they are in the graph after constant folding."""
    values = {}
    for name, parameter in module.named_parameters():
        shifted = parameter + norm_offset if norm_offset and name.endswith("norm.weight") else parameter
        values[name] = shifted.detach().numpy()
    return values | {buffer: part.inv_freq.numpy() for buffer, part in _rotary_modules(module)}


def export(request: dict[str, Any], folder: Path) -> None:
    """Export a small model of the family and write its skeleton with the real shapes into `folder`."""
    model_type, settings = request["model_type"], request["settings"]
    tiny = settings | {"vocab_size": _TINY_VOCABULARY} | dict.fromkeys(request["width_free"], _TINY_WIDTH)
    module = _random_module(_configuration(model_type, tiny), request["rotary_scale"])
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        onnx_export_from_model(
            module, scratch, task="text-generation", do_validation=False, no_post_process=True
        )
        model = onnx.load(str(Path(scratch) / "model.onnx"))
    true_shapes = _true_shapes(_configuration(model_type, settings))
    skeleton, slots = make_skeleton(model, _values_in_graph(module, request["norm_offset"]), true_shapes)
    onnx.save(skeleton, str(folder / "skeleton.onnx"))
    (folder / "slots.json").write_text(json.dumps([asdict(slot) for slot in slots]), encoding="utf-8")


if __name__ == "__main__":
    export(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
