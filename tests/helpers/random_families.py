"""Tiny GGUF files of all families with random float32 weights, as llama.cpp's converter lays them out.

Each holds a few hundred thousand weights and a vocabulary of 512. They are to be run in another engine too
(`llama_logits`); what they say means nothing. Windows of 128 tokens exceed every sliding window and every
original context in them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
from families import dense, gemma, latent, mixtures, older, rarer, recurrent, sliding
from families.ahead import looking_ahead
from families.recipe import VOCABULARY, Recipe, write_recipe

__all__ = ["FAMILIES", "RECIPES", "VOCABULARY", "recipe", "write"]

#: Name, mostly the architecture in the file → what makes its recipe.
RECIPES: dict[str, Callable[..., Recipe]] = {
    "llama": dense.llama,
    "arcee": dense.arcee,
    "apertus": dense.apertus,
    "glm4": dense.glm4,
    "granite": dense.granite,
    "olmo2": dense.olmo2,
    "mistral3": dense.mistral3,
    "phi3": dense.phi3,
    "ernie4_5": dense.ernie4_5,
    "hunyuan-dense": dense.hunyuan_dense,
    "seed_oss": dense.seed_oss,
    "exaone4": dense.exaone4,
    "cohere2": dense.cohere2,
    "smollm3": dense.smollm3,
    "qwen3vl": dense.qwen3vl,
    "mixtral": mixtures.mixtral,
    "qwen2moe": mixtures.qwen2moe,
    "qwen3moe": mixtures.qwen3moe,
    "gpt-oss": sliding.gpt_oss,
    "granitemoe": mixtures.granitemoe,
    "olmoe": mixtures.olmoe,
    "ernie4_5-moe": mixtures.ernie4_5_moe,
    "hunyuan-moe": mixtures.hunyuan_moe,
    "minimax-m2": mixtures.minimax_m2,
    "bailingmoe": mixtures.bailingmoe,
    "bailingmoe2": mixtures.bailingmoe2,
    "dots1": mixtures.dots1,
    "glm4moe": mixtures.glm4moe,
    "llama4": sliding.llama4,
    "step35": sliding.step35,
    "mimo2": sliding.mimo2,
    "deepseek2": latent.deepseek2,
    "gemma4": gemma.gemma4,
    "gemma3n": gemma.gemma3n,
    "qwen35": recurrent.qwen35,
    "lfm2": recurrent.lfm2,
    "granitehybrid": recurrent.granitehybrid,
    "nemotron_h": recurrent.nemotron_h,
    "falcon-h1": recurrent.falcon_h1,
    "exaone-moe": rarer.exaone_moe,
    "cohere2moe": rarer.cohere2moe,
    "phimoe": rarer.phimoe,
    "deepseek": rarer.deepseek,
    "command-r": older.command_r,
    "starcoder2": older.starcoder2,
    "nemotron": older.nemotron,
    "exaone": older.exaone,
}

_SOFTMAX = mixtures.SOFTMAX

#: (id, name, options) of what is worth a test.
FAMILIES: list[tuple[str, str, dict[str, Any]]] = [
    ("llama", "llama", {}),
    ("llama-biased", "llama", {"biased": True, "factors": False, "tied": True}),
    ("arcee", "arcee", {}),
    ("arcee-plain", "arcee", {"scaled": False}),
    ("apertus", "apertus", {}),
    ("glm4", "glm4", {}),
    ("glm4-unbiased", "glm4", {"biased": False}),
    ("granite", "granite", {}),
    ("granite-tied", "granite", {"tied": True}),
    ("olmo2", "olmo2", {}),
    ("olmo3", "olmo2", {"layers": 4, "window": 32, "scaled": True}),
    ("olmo3-plain", "olmo2", {"layers": 4, "window": 32}),
    ("mistral3", "mistral3", {}),
    ("mistral3-constant", "mistral3", {"temperature": 0.0}),
    ("mistral3-betas", "mistral3", {"betas": (2.0, 0.4), "base": 10000.0}),
    ("phi3-long", "phi3", {}),
    ("phi3-short", "phi3", {"original": 4096}),
    ("phi3-partial", "phi3", {"rotary": 12}),
    ("phi3-plain", "phi3", {"factors": False}),
    ("ernie4_5", "ernie4_5", {}),
    ("ernie4_5-biased", "ernie4_5", {"biased": True, "tied": False}),
    ("hunyuan-dense", "hunyuan-dense", {}),
    ("seed_oss", "seed_oss", {}),
    ("exaone4", "exaone4", {}),
    ("exaone4-sliding", "exaone4", {"layers": 64, "width": 32, "inner": 32, "window": 32}),
    ("cohere2", "cohere2", {}),
    ("smollm3", "smollm3", {}),
    ("qwen3vl", "qwen3vl", {}),
    ("qwen3vl-tied", "qwen3vl", {"deep": 0, "tied": True}),
    ("mixtral", "mixtral", {}),
    ("qwen2moe", "qwen2moe", {}),
    ("qwen2moe-flat", "qwen2moe", {"flat": True}),
    ("qwen3moe", "qwen3moe", {}),
    ("qwen3moe-tied", "qwen3moe", {"tied": True}),
    ("qwen3vlmoe", "qwen3moe", {"deep": 2}),
    ("gpt-oss", "gpt-oss", {}),
    ("gpt-oss-plain", "gpt-oss", {"scaled": False}),
    ("granitemoe", "granitemoe", {}),
    ("granitemoe-shared", "granitemoe", {"beside": 48}),
    ("granitemoe-marked", "granitemoe", {"marked": True}),
    ("olmoe", "olmoe", {}),
    ("ernie4_5-moe", "ernie4_5-moe", {}),
    ("ernie4_5-moe-alone", "ernie4_5-moe", {"beside": 0, "selection_bias": False}),
    ("hunyuan-moe", "hunyuan-moe", {}),
    ("minimax-m2", "minimax-m2", {}),
    ("bailingmoe", "bailingmoe", {}),
    ("bailingmoe-unnormalized", "bailingmoe", {"normalized": False}),
    ("bailingmoe2", "bailingmoe2", {}),
    ("bailingmoe2-ungrouped", "bailingmoe2", {"groups": (1, 1)}),
    ("bailingmoe2-ahead", "bailingmoe2", {"ahead": True}),
    ("dots1", "dots1", {}),
    ("glm4moe", "glm4moe", {}),
    ("glm4moe-air", "glm4moe", {"normed": False}),
    ("glm4moe-ahead", "glm4moe", {"ahead": True}),
    ("llama4", "llama4", {}),
    ("llama4-maverick", "llama4", {"count": 128}),
    ("llama4-scout", "llama4", {"step": 1, "count": 16}),
    ("step35", "step35", {}),
    ("step35-ahead", "step35", {"ahead": True}),
    ("mimo2", "mimo2", {}),
    ("mimo2-ahead", "mimo2", {"ahead": True}),
    ("mimo2-unscaled", "mimo2", {"value_scale": 1.0}),
    ("deepseek3", "deepseek2", {}),
    ("deepseek3-ahead", "deepseek2", {"ahead": True}),
    ("deepseek3-temperature", "deepseek2", {"temperature": 0.1}),
    ("deepseek3-plain", "deepseek2", {"scaled": False, "groups": None}),
    ("deepseek2", "deepseek2", {"gating": _SOFTMAX, "groups": None}),
    ("deepseek2-groups", "deepseek2", {"gating": _SOFTMAX}),
    ("deepseek3-wide", "deepseek2", {"value": 80}),
    ("deepseek2-whole", "deepseek2", {"gating": _SOFTMAX, "groups": None, "absorbed": False}),
    ("deepseek2-lite", "deepseek2", {"gating": _SOFTMAX, "groups": None, "query_rank": 0, "layers": 27}),
    ("gemma4", "gemma4", {}),
    ("gemma4-own", "gemma4", {"per_layer": 0, "shared_layers": 0, "softcap": 0.0, "period": 3}),
    ("gemma4-mixture", "gemma4", {"per_layer": 0, "shared_layers": 0, "mixture": True, "layers": 4}),
    (
        "gemma4-mixture-apart",
        "gemma4",
        {"per_layer": 0, "shared_layers": 0, "mixture": True, "layers": 4, "joined": False},
    ),
    ("gemma3n", "gemma3n", {}),
    ("gemma3n-shared", "gemma3n", {"layers": 24, "period": 5, "shared_layers": 4}),
    ("qwen35", "qwen35", {}),
    ("qwen35-tied", "qwen35", {"tied": True, "marked": False}),
    ("qwen35moe", "qwen35", {"architecture": "qwen35moe"}),
    ("qwen35moe-joined", "qwen35", {"architecture": "qwen35moe", "joined": True}),
    ("qwen3next", "qwen35", {"architecture": "qwen3next"}),
    ("qwen3next-unmarked", "qwen35", {"architecture": "qwen3next", "marked": False}),
    ("qwen35-ahead", "qwen35", {"ahead": True}),
    ("qwen35moe-ahead", "qwen35", {"architecture": "qwen35moe", "ahead": True}),
    ("qwen3next-ahead", "qwen35", {"architecture": "qwen3next", "ahead": True}),
    ("lfm2", "lfm2", {}),
    ("lfm2-sliding", "lfm2", {"window": 32}),
    ("lfm2moe", "lfm2", {"mixture": True}),
    ("granitehybrid", "granitehybrid", {}),
    ("granitehybrid-dense", "granitehybrid", {"mixture": False}),
    ("granitehybrid-rotary", "granitehybrid", {"rotary": True, "beside": 0, "groups": 2}),
    ("nemotron_h", "nemotron_h", {}),
    ("nemotron_h-biased", "nemotron_h", {"biased": True}),
    ("nemotron_h_moe", "nemotron_h", {"pattern": "ME*E"}),
    ("nemotron_h_moe-latent", "nemotron_h", {"pattern": "ME*E", "latent": 24, "groups": (4, 2)}),
    ("falcon-h1", "falcon-h1", {}),
    ("exaone-moe", "exaone-moe", {}),
    ("cohere2moe", "cohere2moe", {}),
    ("cohere2moe-alone", "cohere2moe", {"beside": 0}),
    ("phimoe", "phimoe", {}),
    ("deepseek", "deepseek", {}),
    ("falcon-h1-norm", "falcon-h1", {"norm": True, "groups": 2, "tied": True}),
    ("command-r", "command-r", {}),
    ("starcoder2", "starcoder2", {}),
    ("nemotron", "nemotron", {}),
    ("exaone", "exaone", {}),
]


def recipe(name: str, *, ahead: bool = False, **options: Any) -> Recipe:
    """Return the metadata and shapes of a family; see the functions in `families` for its options.

    `ahead`: one block more, which predicts the token after the next. Converters write it for families that
    have it; nothing else depends on it.
    """
    made = RECIPES[name](**options)
    return looking_ahead(made) if ahead else made


def write(
    name: str,
    path: Path | str,
    *,
    seed: int = 0,
    ggml_type: gguf.GGMLQuantizationType | None = None,
    **options: Any,
) -> Path:
    """Write a family's file with weights drawn by `seed` and return its path; matrices are of `ggml_type`."""
    return write_recipe(recipe(name, **options), Path(path), seed, ggml_type)
