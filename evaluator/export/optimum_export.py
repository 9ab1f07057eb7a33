"""The one module that imports torch and optimum: run as a process of its own, so that their memory goes with it.

`python -m evaluator.export.optimum_export REQUEST.json FOLDER` writes `skeleton.onnx` and `slots.json`.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx
import torch
from optimum.exporters.onnx import onnx_export_from_model
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig

from evaluator.export.skeleton import ROTARY_FREQUENCIES, make_skeleton

#: Small, but no two of a model's dimensions may fall together.
_TINY_VOCABULARY, _TINY_WIDTH = 48, 80
_FREQUENCIES_BUFFER = "model.rotary_emb.inv_freq"


def _configuration(model_type: str, settings: dict[str, Any]) -> PretrainedConfig:
    return AutoConfig.for_model(
        model_type,
        **settings,
        # Embedding and head are separate slots: a variant may store them apart even if the baseline does not.
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )


def _true_shapes(config: PretrainedConfig) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        module = AutoModelForCausalLM.from_config(config)
    return {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}


def _random_module(config: PretrainedConfig) -> torch.nn.Module:
    module: torch.nn.Module = AutoModelForCausalLM.from_config(config, torch_dtype=torch.float32).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(generator=generator)
    return module


def export(model_type: str, settings: dict[str, Any], width_free: list[str], folder: Path) -> None:
    """Export a shrunken module of the family and write its skeleton with the true shapes into `folder`."""
    tiny = settings | {"vocab_size": _TINY_VOCABULARY} | dict.fromkeys(width_free, _TINY_WIDTH)
    module = _random_module(_configuration(model_type, tiny))
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        onnx_export_from_model(
            module, scratch, task="text-generation", do_validation=False, no_post_process=True
        )
        model = onnx.load(str(Path(scratch) / "model.onnx"))
    parameters = {name: parameter.detach().numpy() for name, parameter in module.named_parameters()}
    buffers = dict(module.named_buffers())
    if _FREQUENCIES_BUFFER in buffers:
        parameters[ROTARY_FREQUENCIES] = buffers[_FREQUENCIES_BUFFER].numpy()
    skeleton, slots = make_skeleton(model, parameters, _true_shapes(_configuration(model_type, settings)))
    onnx.save(skeleton, str(folder / "skeleton.onnx"))
    (folder / "slots.json").write_text(json.dumps([asdict(slot) for slot in slots]), encoding="utf-8")


if __name__ == "__main__":
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    export(request["model_type"], request["settings"], request["width_free"], Path(sys.argv[2]))
