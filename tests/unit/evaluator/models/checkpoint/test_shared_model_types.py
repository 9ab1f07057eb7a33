"""A model_type whose configurations belong to several families."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from checkpoint_logits import logits_of_graph, logits_of_transformers
from described_decisions import BASES
from tiny_checkpoints import edit_json, random_model, save_checkpoint

from evaluator.models.architectures import ARCHITECTURES
from evaluator.models.json_file import JsonFile
from evaluator.models.sources.open_model import open_model
from evaluator.support.errors import SourceError


@pytest.mark.parametrize(
    ("model_type", "changes", "family"),
    [
        ("granitemoehybrid", {"layer_types": ["mamba", "attention"]}, "granitehybrid"),
        ("granitemoehybrid", {"layer_types": ["mamba", "mamba"]}, "granitehybrid"),
        ("granitemoehybrid", {"layer_types": None}, "granitehybrid"),
        ("granitemoehybrid", {"layer_types": ["attention"] * 2, "num_local_experts": 0}, "granite"),
        ("granitemoehybrid", {"layer_types": ["attention"] * 2, "num_local_experts": 4}, "granitemoe"),
        ("nemotron_h", {"hybrid_override_pattern": "M*"}, "nemotron_h"),
        ("nemotron_h", {"hybrid_override_pattern": "M-"}, "nemotron_h"),
        ("nemotron_h", {"layers_block_type": ["mamba", "mlp"]}, "nemotron_h"),
        ("nemotron_h", {"hybrid_override_pattern": "ME"}, "nemotron_h_moe"),
        ("nemotron_h", {"layers_block_type": ["moe", "attention"]}, "nemotron_h_moe"),
    ],
)
def test_one_family_reads_a_configuration_whose_model_type_several_have(model_type, changes, family):
    values = {"model_type": model_type, "num_hidden_layers": 2, **changes}
    claimed = [
        architecture.name
        for _, architecture in ARCHITECTURES
        if (rules := architecture.checkpoints.get(model_type))
        and rules.applies(JsonFile(Path("config.json"), {**rules.defaults, **values}))
    ]
    assert claimed == [family]


def test_other_model_types_belong_to_one_family():
    claimed = [name for _, family in ARCHITECTURES for name in family.checkpoints]
    shared = {name for name in claimed if claimed.count(name) > 1}
    assert shared == {"granitemoehybrid", "nemotron_h"}


@pytest.mark.parametrize(("experts", "positions"), [(0, "rope"), (0, None), (4, "rope")])
def test_granite_4_without_mamba_computes_what_transformers_computes(tmp_path, experts, positions):
    changes = {
        "layer_types": ["attention"] * 2,
        "num_local_experts": experts,
        "position_embedding_type": positions,
    }
    base = BASES["granitemoehybrid"] | changes
    folder = save_checkpoint(random_model("granitemoehybrid", **base), tmp_path / "m")
    found = logits_of_graph(folder)
    np.testing.assert_allclose(found, logits_of_transformers(folder)[: len(found)], atol=1e-4)
    assert open_model(folder).architecture == ("granitemoe" if experts else "granite")
    edit_json(folder / "config.json", num_local_experts=4, position_embedding_type="nope")
    with pytest.raises(SourceError, match="position_embedding_type is 'nope'; a granitemoe GGUF"):
        open_model(folder)
