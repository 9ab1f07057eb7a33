"""Logits of a checkpoint folder in transformers, and in the graph that is made from it here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from passes import hidden_of
from transformers import AutoConfig, AutoModelForCausalLM

from evaluator.export.exact.graph import Graph, graph_request, load_graph
from evaluator.export.exact.weights import head_weights, parameter_tensors
from evaluator.models.architectures import architecture_of, described, logit_softcap, restored
from evaluator.models.architectures.rotary import LOCAL_ROTARY_FREQUENCIES, rotary_frequencies
from evaluator.models.sources.open_model import open_model
from evaluator.runtime.device import choose_device
from evaluator.texts.windows import Window

LENGTH = 48
IDS = np.random.default_rng(5).integers(0, 262, LENGTH)


def logits_of_transformers(folder: Path, length: int = LENGTH) -> np.ndarray:
    """Return the logits of each token in transformers, float32 [tokens, vocabulary]."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    model.float()  # parameters of some activations are in 16 bits otherwise
    with torch.no_grad():
        return model(torch.from_numpy(IDS[:length])[None], return_dict=True).logits[0].numpy()


def request_of(folder: Path) -> Graph | dict[str, Any]:
    """Return all that the graph depends on."""
    file = open_model(folder)
    return load_graph(file) if described(file) else graph_request(file)


def logits_of_graph(folder: Path, length: int = LENGTH) -> np.ndarray:
    """Return the logits of the composed graph, without the last token's, or of the module that would be exported."""
    file = open_model(folder)
    if described(file):
        window = Window(0, "d", IDS[:length].astype(np.int32), 0)
        hidden = hidden_of(file, load_graph(file), choose_device("cpu", 1), window)
        logits, cap = hidden @ head_weights(file).T, logit_softcap(file)
        return cap * np.tanh(logits / cap) if cap else logits
    request, architecture = graph_request(file), architecture_of(file)
    ids = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"))
    settings = {"attn_implementation": "eager"} | request["settings"] | ids
    config = AutoConfig.for_model(request["model_type"], tie_word_embeddings=False, **settings)
    module = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    module.model.rotary_emb.inv_freq = torch.from_numpy(rotary_frequencies(file))
    module.model.rotary_emb.attention_scaling = request["rotary_scale"]
    if hasattr(module.model, "rotary_emb_local"):
        local = rotary_frequencies(file, LOCAL_ROTARY_FREQUENCIES)
        module.model.rotary_emb_local.inv_freq = torch.from_numpy(local)
    tensors, state = parameter_tensors(file), {}
    for name, _ in module.named_parameters():
        values = head_weights(file) if name == "lm_head.weight" else None
        if values is None:
            values = restored(architecture, file, tensors[name])
        if name.endswith("norm.weight"):
            values = values - np.float32(architecture.norm_offset)
        state[name] = torch.from_numpy(np.array(values))
    module.load_state_dict(state)
    with torch.no_grad():
        return module(torch.from_numpy(IDS[:length])[None]).logits[0].numpy()
