"""Write `genai_config.json`, with which onnxruntime-genai generates from an artifact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from evaluator.export.exact.graph import graph_request
from evaluator.export.folder import GENAI_FILE
from evaluator.models.model_file import ModelFile

PAST, PRESENT = "past_key_values.", "present."

_BOS, _EOS, _PAD = (f"tokenizer.ggml.{name}_token_id" for name in ("bos", "eos", "padding"))


def write_genai_config(file: ModelFile, folder: Path, model: str) -> None:
    """Write the configuration for the model file called `model`."""
    config = {"model": _model(file, model), "search": _search(file)}
    (folder / GENAI_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _model(file: ModelFile, model: str) -> dict[str, Any]:
    request = graph_request(file)
    settings = request["settings"]
    end = int(file.metadata.get(_EOS, 0))
    return {
        "type": request["model_type"],
        "vocab_size": settings["vocab_size"],
        "context_length": int(file.require(f"{file.architecture}.context_length")),
        "bos_token_id": int(file.metadata.get(_BOS, end)),
        "eos_token_id": end,
        "pad_token_id": int(file.metadata.get(_PAD, end)),
        "decoder": {
            "filename": model,
            "session_options": {"provider_options": []},
            "hidden_size": settings["hidden_size"],
            "head_size": settings["head_dim"],
            "num_attention_heads": settings["num_attention_heads"],
            "num_key_value_heads": settings["num_key_value_heads"],
            "num_hidden_layers": settings["num_hidden_layers"],
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
        "max_length": int(file.require(f"{file.architecture}.context_length")),
        "do_sample": False,
        "num_beams": 1,
        "past_present_share_buffer": True,
    }
