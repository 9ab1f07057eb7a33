"""Write `genai_config.json`, with which onnxruntime-genai generates from an artifact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from evaluator.export.exact.context import longest_context
from evaluator.export.exact.graph import Graph, graph_request
from evaluator.export.folder import GENAI_FILE
from evaluator.export.fusion.uses import PAST, PRESENT
from evaluator.models.architectures import EMBEDDING
from evaluator.models.architectures.description import Decoder, Layer
from evaluator.models.architectures.mixers import Attention, Recurrent
from evaluator.models.model_file import ModelFile

#: The runtime's name for a decoder of any family.
_ANY_DECODER = "decoder"
_BOS, _EOS, _PAD = (f"tokenizer.ggml.{name}_token_id" for name in ("bos", "eos", "padding"))


def write_genai_config(file: ModelFile, graph: Graph, folder: Path, model: str) -> None:
    """Write the configuration for the model file called `model`.

    It cannot describe layers without attention, or whose heads differ: there is no configuration for those models.
    """
    sizes = _described_sizes(graph.decoder) if graph.decoder else _exported_sizes(file)
    if sizes is None:
        return
    config = {"model": _model(file, model, sizes), "search": _search(file)}
    (folder / GENAI_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _exported_sizes(file: ModelFile) -> dict[str, Any]:
    request = graph_request(file)
    settings = request["settings"]
    return {
        "type": request["model_type"],
        "hidden_size": settings["hidden_size"],
        "head_size": settings["head_dim"],
        "num_attention_heads": settings["num_attention_heads"],
        "num_key_value_heads": settings["num_key_value_heads"],
        "num_hidden_layers": settings["num_hidden_layers"],
    }


def _described_sizes(decoder: Decoder) -> dict[str, Any] | None:
    mixers = [[mixer for part in layer for mixer in part.mixers] for layer in decoder.layers]
    attentions = [[item for item in layer if isinstance(item, Attention)] for layer in mixers]
    if any(len(layer) != 1 for layer in attentions) or any(map(_has_state, decoder.layers)):
        return None
    sizes = {(item.heads, item.kv_heads, item.width) for (item,) in attentions}
    if len(sizes) > 1:
        return None
    ((heads, kv_heads, width),) = sizes
    return {
        "type": _ANY_DECODER,
        "hidden_size": decoder.hidden,
        "head_size": width,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "num_hidden_layers": len(decoder.layers),
    }


def _has_state(layer: Layer) -> bool:
    return any(isinstance(mixer, Recurrent) for part in layer for mixer in part.mixers)


def _model(file: ModelFile, model: str, sizes: dict[str, Any]) -> dict[str, Any]:
    end = int(file.metadata.get(_EOS, 0))
    return {
        "type": sizes["type"],
        "vocab_size": file.tensor(EMBEDDING).shape[0],
        "context_length": longest_context(file),
        "bos_token_id": int(file.metadata.get(_BOS, end)),
        "eos_token_id": end,
        "pad_token_id": int(file.metadata.get(_PAD, end)),
        "decoder": {
            "filename": model,
            "session_options": {"provider_options": []},
            **{name: size for name, size in sizes.items() if name != "type"},
            "inputs": {
                "input_ids": "input_ids",
                "attention_mask": "attention_mask",
                "past_key_names": f"{PAST}%d.key",
                "past_value_names": f"{PAST}%d.value",
            },
            "outputs": {
                "logits": "logits",
                "present_key_names": f"{PRESENT}%d.key",
                "present_value_names": f"{PRESENT}%d.value",
            },
        },
    }


def _search(file: ModelFile) -> dict[str, Any]:
    return {
        "max_length": longest_context(file),
        "do_sample": False,
        "num_beams": 1,
        "past_present_share_buffer": True,
    }
