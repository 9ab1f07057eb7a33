"""Export a graph with optimum. Only this module imports torch; it runs in its own process to free their memory.

`python -m evaluator.export.exporters.optimum_export REQUEST.json FOLDER` writes `skeleton.onnx` and `slots.json`.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx
import optimum.exporters.onnx.model_configs  # noqa: F401  (registers the families)
import torch
from optimum.exporters.tasks import TasksManager
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig
from transformers.modeling_utils import no_init_weights

from evaluator.export.depth import layer_kinds, one_of_each, repeat_layers
from evaluator.export.skeleton import SKELETON_FILE, SLOTS_FILE, Slot, make_skeleton
from evaluator.export.window import SHORT_WINDOW, mark_window
from evaluator.models.architectures.rotary import LOCAL_ROTARY_FREQUENCIES, ROTARY_FREQUENCIES
from evaluator.support.errors import ExportError

#: Sizes during the export; only shapes of weights depend on them.
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


class _Given(torch.nn.Module):
    """A module whose parameters are inputs, after its own: then the exporter has no values of them to copy.

    Attributes:
        values: the parameters, each one number that stands for all, which takes no memory.
    """

    def __init__(self, module: torch.nn.Module, inputs: Sequence[str]) -> None:
        super().__init__()
        self.module, self._inputs = module, inputs
        shapes = {name: parameter.shape for name, parameter in module.named_parameters()}
        self.values = {name: torch.ones(()).expand(shape) for name, shape in shapes.items()}
        self._places = [_place(module, name) for name in shapes]
        for owner, attribute in self._places:
            delattr(owner, attribute)

    def forward(self, *given: torch.Tensor) -> Any:
        """Run the module on its inputs and parameters."""
        inputs, parameters = given[: len(self._inputs)], given[len(self._inputs) :]
        for (owner, attribute), value in zip(self._places, parameters, strict=True):
            setattr(owner, attribute, value)
        return self.module(**dict(zip(self._inputs, inputs, strict=True)))


def _place(module: torch.nn.Module, parameter: str) -> tuple[torch.nn.Module, str]:
    """Return the part of `module` that a parameter belongs to, and the parameter's name there."""
    owner, _, attribute = parameter.rpartition(".")
    return module.get_submodule(owner), attribute


def _module(config: PretrainedConfig, rotary_scale: float) -> torch.nn.Module:
    """Return a module with random rotary frequencies, so that the graph shows where they go.

    Its parameters are reserved but not written, so they take no memory.
    """
    with no_init_weights():
        module: torch.nn.Module = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    generator = torch.Generator().manual_seed(0)
    for buffer, rotary in _rotary_modules(module):
        rotary.inv_freq.normal_(generator=generator)
        if buffer == ROTARY_FREQUENCIES:
            rotary.attention_scaling = rotary_scale
    return module


def _rotary_modules(module: torch.nn.Module) -> list[tuple[str, Any]]:
    return [(buffer, part) for name, part in module.named_modules() if (buffer := _ROTARY_MODULES.get(name))]


@torch.no_grad()
def _trace(module: Any, path: Path) -> onnx.ModelProto:
    """Export `module` with optimum's inputs and patches; its parameters become inputs of the graph."""
    TasksManager.standardize_model_attributes(module)
    constructor = TasksManager.get_exporter_config_constructor(
        "onnx", module, task="text-generation", library_name="transformers"
    )
    described = constructor(module.config, int_dtype="int64", float_dtype="fp32")
    module.config.return_dict = True
    given = described.rename_ambiguous_inputs(described.generate_dummy_inputs(framework="pt"))
    with described.patch_model_for_export(module, model_kwargs={"logits_to_keep": 0}), _quiet():
        inputs = described.ordered_inputs(module)
        whole = _Given(module, list(inputs)).eval()
        torch.onnx.export(
            whole,
            (*(given[name] for name in inputs), *whole.values.values()),
            str(path),
            input_names=[*inputs, *whole.values],
            output_names=list(described.outputs),
            dynamic_axes={**inputs, **described.outputs},
            opset_version=described.DEFAULT_ONNX_OPSET,
            do_constant_folding=False,
            dynamo=False,
        )
    return onnx.load(str(path))


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide what tracing warns of: Python values that it treats as constants, and its age."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def export_layers(
    request: dict[str, Any], settings: dict[str, Any], scratch: Path
) -> tuple[onnx.ModelProto, list[Slot]]:
    """Export all layers of a model, and return the graph without weights and its parameters.

    Args:
        request: what the graph depends on, from `graph_request`.
        settings: the settings of the model, instead of the request's.
        scratch: a folder for the exporter's file.

    Raises:
        ExportError: a parameter is not in the graph, or used otherwise, so that it cannot be filled in.
    """
    model_type = request["model_type"]
    tiny = settings | {"vocab_size": _TINY_VOCABULARY} | dict.fromkeys(request["width_free"], _TINY_WIDTH)
    module = _module(_configuration(model_type, tiny), request["rotary_scale"])
    frequencies = {buffer: part.inv_freq.numpy() for buffer, part in _rotary_modules(module)}
    model = _trace(module, scratch / "model.onnx")
    shapes = _true_shapes(_configuration(model_type, settings))
    return make_skeleton(model, shapes, frequencies, request["norm_offset"])


def _with_marked_window(
    request: dict[str, Any], settings: dict[str, Any], scratch: Path
) -> tuple[onnx.ModelProto, list[Slot]]:
    """Export all layers, and note which constant holds the sliding window."""
    model, slots = export_layers(request, settings, scratch)
    window = settings.get("sliding_window")
    if window and window > SHORT_WINDOW:
        shorter, _ = export_layers(request, settings | {"sliding_window": SHORT_WINDOW}, scratch)
        mark_window(model, shorter, window)
    return model, slots


def _in_full_depth(request: dict[str, Any], scratch: Path) -> tuple[onnx.ModelProto, list[Slot]]:
    """Export one layer of each kind and repeat them, or all layers if the graph does not show where they begin."""
    settings = request["settings"]
    complete = _configuration(request["model_type"], settings).to_dict()
    try:
        kinds = layer_kinds(complete)
        few = settings | one_of_each(complete, kinds)
        return repeat_layers(*_with_marked_window(request, few, scratch), kinds)
    except ExportError:
        return _with_marked_window(request, settings, scratch)


def export(request: dict[str, Any], folder: Path) -> None:
    """Export a model's graph and write its skeleton and its slots into `folder`.

    Args:
        request: what the graph depends on, from `graph_request`.
        folder: the folder, which exists.

    Raises:
        ExportError: a parameter is not in the graph, or used otherwise, so that it cannot be filled in.
    """
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        skeleton, slots = _in_full_depth(request, Path(scratch))
    onnx.save(skeleton, str(folder / SKELETON_FILE))
    (folder / SLOTS_FILE).write_text(json.dumps([asdict(slot) for slot in slots]), encoding="utf-8")


if __name__ == "__main__":
    export(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
