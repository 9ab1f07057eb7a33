"""Every key of every family's config.json is supported, rejected, or shown to have no effect."""

from __future__ import annotations

import functools
import inspect
import json
import re
import shutil
import sys

import checkpoint_decisions as exported
import described_decisions as composed
import described_refusals as refusals
import numpy as np
import pytest
import torch
from checkpoint_decisions import IRRELEVANT, ROPE_SCALING, ROPE_SETTINGS, SIZES
from checkpoint_logits import logits_of_graph, logits_of_transformers, request_of
from tiny_checkpoints import random_model, save_checkpoint
from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_CAUSAL_LM_MAPPING,
    PretrainedConfig,
    modeling_rope_utils,
)

from evaluator.models.architectures import (
    ARCHITECTURES,
)
from evaluator.models.architectures.rotary import check_context
from evaluator.models.sources.open_model import open_model
from evaluator.support.errors import SourceError

#: Every `model_type` that a family supports → its rules.
RULES = {name: rules for _, family in ARCHITECTURES for name, rules in family.checkpoints.items()}
BASES, HONOURED, BOUNDED, REFUSED, IRRELEVANT_IN = (
    getattr(exported, table) | getattr(helper, table)
    for table, helper in (
        ("BASES", composed),
        ("HONOURED", composed),
        ("BOUNDED", refusals),
        ("REFUSED", refusals),
        ("IRRELEVANT_IN", refusals),
    )
)
#: Families that the installed transformers lacks, or has as a part of others only; other tests cover them.
NEWER = {
    name
    for name in RULES
    if name not in CONFIG_MAPPING or CONFIG_MAPPING[name] not in MODEL_FOR_CAUSAL_LM_MAPPING
}
#: Attributes that transformers' code reads from a configuration but no file sets.
_OF_THE_LIBRARY = {
    "attn_implementation",
    "_pre_quantization_dtype",
    "_attn_implementation",
    "get_text_config",
    "use_return_dict",
    "to_dict",
}
#: Attributes of parts for images and sounds, which are in the same module as the text model.
_OF_VISION = {
    "image_token_id",
    "layer_norm_eps",
    "mm_tokens_per_image",
    "patch_size",
    "image_size",
    "text_config",
    "vision_config",
    "num_channels",
    "vocab_offset",
    "gradient_clipping",
    "input_feat_size",
    "vision_soft_tokens_per_image",
    "projector_dropout",
    "projector_input_dim",
    "projector_output_dim",
    "pixel_shuffle_ratio",
    "norm_eps",
    "vision_feature_layer",
    "vision_feature_select_strategy",
}


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Use one thread, which is faster for models this small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return a function from a family's name to its saved model; each is made once."""
    folders = {}

    def save(model_type):
        if model_type not in folders:
            folder = tmp_path_factory.mktemp(model_type) / "m"
            folders[model_type] = save_checkpoint(random_model(model_type, **BASES[model_type]), folder)
        return folders[model_type]

    return save


@pytest.fixture(scope="module")
def usual_logits(saved):
    """Return a function from a family's name to transformers' logits of its model; each is computed once."""
    return functools.cache(lambda model_type: logits_of_transformers(saved(model_type)))


@pytest.fixture
def changed(saved, tmp_path):
    """Return a function from a family and changes to a copy of its model with a changed config.json."""

    def change(model_type, changes):
        folder = shutil.copytree(saved(model_type), tmp_path / "m", dirs_exist_ok=True)
        values = json.loads((folder / "config.json").read_text()) | changes
        (folder / "config.json").write_text(json.dumps(values))
        return folder

    return change


def cases(table, *, all_fast=True):
    """Return (family, key, case); unless `all_fast`, later cases of a family are slow if their key has been shown."""
    found, shown = [], set()
    for family, keys in table.items():
        for key, values in keys.items():
            for number, case in enumerate(values):
                parts = {family, (key, number)}
                marks = [] if all_fast or not parts <= shown else [pytest.mark.slow]
                found.append(pytest.param(family, key, case, id=f"{family}-{key}-{number}", marks=marks))
                shown |= parts
    return found


@pytest.mark.parametrize(("family", "key", "changes"), cases(HONOURED, all_fast=False))
def test_honoured_key_changes_the_graph_as_it_changes_transformers(
    usual_logits, changed, family, key, changes
):
    folder = changed(family, changes)
    expected = logits_of_transformers(folder)
    found = logits_of_graph(folder)
    np.testing.assert_allclose(found, expected[: len(found)], atol=1e-4)
    assert np.abs(expected - usual_logits(family)).max() > 1e-3


@pytest.mark.parametrize(("family", "key", "case"), cases(BOUNDED))
def test_key_that_gguf_cannot_carry_bounds_the_windows(changed, family, key, case):
    changes, bound = case
    folder = changed(family, changes)
    expected = logits_of_transformers(folder, bound)
    found = logits_of_graph(folder, bound)
    np.testing.assert_allclose(found, expected[: len(found)], atol=1e-4)
    found = logits_of_graph(folder)
    longer = logits_of_transformers(folder)[: len(found)] - found
    assert np.abs(longer).max() > 1e-3  # the bound is needed
    check_context(open_model(folder), bound)
    with pytest.raises(SourceError, match=f"windows of {bound + 1} tokens need"):
        check_context(open_model(folder), bound + 1)


@pytest.mark.parametrize(("family", "key", "value"), cases(REFUSED))
def test_refused_key_is_named(changed, family, key, value):
    changes = {"no_rope_layers": None} if key == "no_rope_layer_interval" else {}
    folder = changed(family, {**changes, key: value})
    with pytest.raises(SourceError, match=key if key != "quantization_config" else "quant_method"):
        request_of(folder)


@pytest.mark.parametrize("family", BASES)
def test_irrelevant_keys_decide_nothing(saved, usual_logits, changed, family):
    others = IRRELEVANT | IRRELEVANT_IN.get(family, {})
    before = request_of(saved(family))
    folder = changed(family, others)
    assert request_of(folder) == before
    np.testing.assert_array_equal(logits_of_transformers(folder), usual_logits(family))


@pytest.mark.parametrize("family", BASES)
def test_sizes_have_to_be_those_of_the_tensors(saved, changed, family):
    config = json.loads((saved(family) / "config.json").read_text())
    sizes = SIZES if family in exported.BASES else SIZES - refusals.SHOWN | refusals.NUMBERS & config.keys()
    for key in sorted(sizes - IRRELEVANT_IN.get(family, {}).keys()):
        value = config.get(key) or 64  # the width of a head, which some leave out
        with pytest.raises(SourceError):
            request_of(changed(family, {key: 2 * value}))


@pytest.mark.parametrize(
    "table", [BASES, HONOURED, BOUNDED, REFUSED], ids=["bases", "honoured", "bounded", "refused"]
)
def test_every_family_has_cases(table):
    # The only scaling of Phi-3, LongRoPE, is stored in its files.
    unbounded = {"phi3", *composed.BASES} if table is BOUNDED else set()
    assert RULES.keys() - table.keys() - unbounded == NEWER


def decided(family):
    tables = (HONOURED[family], BOUNDED.get(family, {}), REFUSED[family], IRRELEVANT, SIZES)
    shown = refusals.SHOWN | refusals.NUMBERS if family in composed.BASES else ()
    return set().union(*tables, IRRELEVANT_IN.get(family, {}), shown)


@pytest.mark.parametrize("family", sorted(RULES.keys() - NEWER))
def test_every_key_of_the_configuration_is_decided_on(family):
    keys = {
        key
        for owner in (CONFIG_MAPPING[family], PretrainedConfig)
        for key in inspect.signature(owner.__init__).parameters
    }
    assert keys - {"self", "kwargs"} - decided(family) == set()


@pytest.mark.parametrize("family", sorted(RULES.keys() - NEWER))
def test_every_setting_that_the_model_s_code_reads_is_decided_on(family):
    code = inspect.getsource(sys.modules[MODEL_FOR_CAUSAL_LM_MAPPING[CONFIG_MAPPING[family]].__module__])
    read = set(re.findall(r"config\.(\w+)", code)) | set(re.findall(r'config, "(\w+)"', code))
    extra = _OF_THE_LIBRARY | (
        _OF_VISION if family in ("gemma3_text", "gemma3n_text", "llama4_text") else set()
    )
    of_sounds = {key for key in read if key.startswith(("conf_", "sscp_", "audio_"))}
    assert read - of_sounds - extra - decided(family) == set()


def test_every_setting_of_rope_scaling_is_decided_on():
    code = inspect.getsource(modeling_rope_utils)
    read = set(re.findall(r'rope_scaling(?:\.get\(|\[)"(\w+)"', code))
    assert {"mscale", "truncate"} <= read <= ROPE_SETTINGS
    assert set(re.findall(r'getattr\((?:self\.)?config, "(\w+)"', code)) <= {
        "rope_scaling",
        "head_dim",
        "partial_rotary_factor",
        "original_max_position_embeddings",
        "max_position_embeddings",
        "rope_theta",
    }


def test_every_case_of_rope_scaling_is_another_embedding():
    found = {}
    for name, settings in ROPE_SCALING.items():
        config = random_model("qwen3", rope_scaling=dict(settings)).config
        kind = settings.get("rope_type", settings.get("type"))
        frequencies, scale = modeling_rope_utils.ROPE_INIT_FUNCTIONS[kind](config, device="cpu")
        found[name] = (*frequencies.numpy().round(7).tolist(), round(scale, 5))
    assert found.pop("type") == found["linear"]  # two names of one setting
    assert len(set(found.values())) == len(found)


@pytest.mark.parametrize("family", sorted(RULES.keys() - NEWER))
def test_absent_keys_mean_what_transformers_takes_them_for(family):
    assumed = inspect.signature(CONFIG_MAPPING[family].__init__).parameters
    general = inspect.signature(PretrainedConfig.__init__).parameters
    for key, value in RULES[family].defaults.items():
        if key == "sliding_window_pattern":  # the class does not name it
            continue
        assert value == (assumed[key] if key in assumed else general[key]).default, key
