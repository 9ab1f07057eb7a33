"""SmolLM3: a Llama whose every fourth layer has no rotary embedding. Files do not say so; the family does."""

from __future__ import annotations

from typing import Any

from evaluator.models.architectures import ARCHITECTURES, Architecture
from evaluator.models.architectures.decoder import NORMS, PROJECTIONS, decoder_config
from evaluator.models.architectures.llama import RESTORE_QUERY_KEY
from evaluator.models.model_file import ModelFile

_UNTURNED_EVERY = 4


def _smollm3_config(file: ModelFile) -> dict[str, Any]:
    settings = decoder_config(file)
    turned = [int((layer + 1) % _UNTURNED_EVERY != 0) for layer in range(settings["num_hidden_layers"])]
    return settings | {"no_rope_layers": turned}  # transformers' name: a 1 is a layer with rotary embedding


ARCHITECTURES.add(
    "smollm3",
    Architecture(
        model_type="smollm3",
        config=_smollm3_config,
        width_free=("intermediate_size",),
        tensors=NORMS | PROJECTIONS,
        restore=RESTORE_QUERY_KEY,
    ),
)
