"""Tiny random Hugging Face checkpoints, saved by transformers, with the tokenizer of the tiny GGUF models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tiny_models import END_OF_TEXT, MERGES, byte_symbols
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

#: Shape, vocabulary and constants of `tiny_models.write_tiny_llama`, so that both share one exported graph.
SHAPE = {
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "max_position_embeddings": 128,
    "vocab_size": 256 + len(MERGES) + 1,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
}


def random_model(model_type: str, seed: int = 0, **changes: Any) -> PreTrainedModel:
    """Return a random model of `SHAPE`; norms are random too, so that their offsets have an effect."""
    ids = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"))
    config = AutoConfig.for_model(model_type, **SHAPE | ids | changes)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config, torch_dtype=torch.float32).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(1.0 if name.endswith("norm.weight") else 0.0, 0.05, generator=generator)
    return model


def save_checkpoint(model: PreTrainedModel, folder: Path, **saving: Any) -> Path:
    """Save a model and the tiny tokenizer into `folder` and return it."""
    model.save_pretrained(folder, **saving)
    write_tokenizer(folder)
    return folder


def write_tokenizer(folder: Path, **settings: Any) -> None:
    """Write tokenizer.json and tokenizer_config.json with the tokens and merges of the tiny GGUF models."""
    tokens = byte_symbols() + [merge.replace(" ", "") for merge in MERGES]
    pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in MERGES)]
    tokenizer = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens([AddedToken(END_OF_TEXT, special=True, normalized=False)])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def edit_json(path: Path, **changes: Any) -> None:
    """Change keys of a JSON file; None removes a key."""
    values = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps({k: v for k, v in values.items() if v is not None}), encoding="utf-8")
