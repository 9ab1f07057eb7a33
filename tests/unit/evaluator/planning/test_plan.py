"""What is comparable with a baseline, and what a plan makes of the rest."""

from __future__ import annotations

import gguf
import pytest
import random_families
from tiny_checkpoints import random_model, save_checkpoint
from tiny_models import write_tiny_llama
from tokenizers import Tokenizer, models, normalizers

from evaluator.models.architectures import has_own_head
from evaluator.models.gguf.reader import open_gguf
from evaluator.planning.comparable import check_comparable, comparable_traits
from evaluator.planning.config import Comparison, VariantSource
from evaluator.planning.plan import make_plan
from evaluator.support.errors import RequestError, SourceError

U32 = gguf.GGUFValueType.UINT32
#: Stretched four times: sine and cosine are multiplied by 1 + 0.1 ln 4.
YARN = {
    "llama.rope.scaling.type": ("yarn", gguf.GGUFValueType.STRING),
    "llama.rope.scaling.factor": (4.0, gguf.GGUFValueType.FLOAT32),
    "llama.rope.scaling.original_context_length": (32, U32),
}


def test_copy_and_requantized_file_are_comparable(tiny, tmp_path):
    kind = gguf.GGMLQuantizationType.Q8_0
    check_comparable(
        open_gguf(write_tiny_llama(tmp_path / "v.gguf", ggml_type=kind)), comparable_traits(tiny)
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"architecture": "qwen2"}, "architecture qwen2 is not the baseline's llama"),
        ({"layers": 1}, "num_hidden_layers is 1, the baseline's is 2"),
        ({"ffn": 256}, "intermediate_size is 256, the baseline's is 512"),
        ({"tokens": [("new", 1)]}, "vocab_size is 264, the baseline's is 263"),
        ({"pre": "smollm"}, "pre-tokenizer is smollm, the baseline's gpt-2"),
        ({"untied": True, "head_rows": 100}, r"output\.weight"),
        ({"architecture": "gemma9"}, "architecture gemma9 is not"),
        ({"biased": ("attn_q", "attn_k", "attn_v")}, "graph's family is qwen2, the baseline's is llama"),
        ({"metadata": YARN}, "rotary embedding's scale is 1.138.*, the baseline's is 1.0"),
    ],
)
def test_difference_is_named(tiny, tmp_path, options, message):
    variant = open_gguf(write_tiny_llama(tmp_path / "v.gguf", **options))
    with pytest.raises(SourceError, match=message):
        check_comparable(variant, comparable_traits(tiny))


@pytest.mark.parametrize("key", ["qwen35", "glm4moe", "mimo2"])
def test_layers_that_predict_further_tokens_are_no_difference(tmp_path, key):
    plain = open_gguf(random_families.write(key, tmp_path / "plain.gguf"))
    ahead = open_gguf(random_families.write(key, tmp_path / "ahead.gguf", ahead=True))
    assert len(ahead.tensors) > len(plain.tensors)
    check_comparable(plain, comparable_traits(ahead))
    check_comparable(ahead, comparable_traits(plain))


def test_the_length_of_the_context_is_no_difference_without_scaling(tmp_path):
    file, longer = (open_gguf(random_families.write("qwen3moe", tmp_path / "m.gguf")) for _ in range(2))
    longer.metadata["qwen3moe.context_length"] = 99999
    check_comparable(longer, comparable_traits(file))


@pytest.fixture
def untied_path(tmp_path):
    return write_tiny_llama(tmp_path / "Tiny-F32.gguf", untied=True)


def test_variant_whose_head_is_missing_is_refused(untied_path, tmp_path):
    headless = write_tiny_llama(tmp_path / "v.gguf", untied=True, drop=["output.weight"])
    with pytest.raises(SourceError, match=r"has no output matrix \(output\.weight\)"):
        check_comparable(open_gguf(headless), comparable_traits(open_gguf(untied_path)))


def test_variant_may_write_the_tied_head_out(tiny, untied_path):
    check_comparable(open_gguf(untied_path), comparable_traits(tiny))


@pytest.mark.parametrize("changed", [None, 0, 261])
def test_baseline_that_only_writes_its_tied_head_out_has_variants_without(tiny, tmp_path, changed):
    embedding = tiny.dequantize("token_embd.weight").copy()
    if changed is not None:
        embedding[changed, -1] += 1
    spelled_out = open_gguf(write_tiny_llama(tmp_path / "b.gguf", output=embedding))
    assert has_own_head(spelled_out) == (changed is not None)
    if changed is None:
        check_comparable(tiny, comparable_traits(spelled_out))


@pytest.mark.parametrize("value", [(0, U32), ("four", gguf.GGUFValueType.STRING)])
def test_nonsense_head_count_is_a_source_error(tiny, tmp_path, value):
    metadata = {"llama.attention.head_count": value}
    variant = open_gguf(write_tiny_llama(tmp_path / "v.gguf", metadata=metadata))
    with pytest.raises(SourceError):
        check_comparable(variant, comparable_traits(tiny))


def comparison(tiny_path, text_path, **changes):
    settings = {
        "baseline": str(tiny_path),
        "variants": (VariantSource(method="m", source=str(tiny_path)),),
        "texts": (str(text_path),),
        "out": text_path.parent / "out",
        "context": 16,
        "device": "cpu",
    }
    return Comparison(**settings | changes)


def test_baseline_without_the_order_of_its_merges_gives_a_notice(text_path, tmp_path):
    pieces = {
        piece: index for index, piece in enumerate(["<unk>", *"abcdefghijklmnopqrstuvwxyz\n.,'", "▁", "th"])
    }
    library = Tokenizer(models.BPE(pieces, [("t", "h")], unk_token="<unk>", byte_fallback=True))
    library.normalizer = normalizers.Replace(" ", "▁")
    folder = save_checkpoint(random_model("llama", tie_word_embeddings=True), tmp_path / "Tiny")
    library.save(str(folder / "tokenizer.json"))
    plan = make_plan(comparison(folder, text_path))
    assert plan.failures == ()
    (notice,) = plan.notices
    assert notice.startswith(f"{folder}: texts are tokenized as llama.cpp does with its GGUF files")


def test_unusable_variants_are_failures_and_the_good_one_stays(tiny_path, text_path, tmp_path):
    short = tmp_path / "v-short-Q4_0.gguf"
    short.write_bytes(tiny_path.read_bytes()[:-5000])
    write_tiny_llama(tmp_path / "v-other-Q8_0.gguf", layers=1)
    write_tiny_llama(tmp_path / "v-good-F32.gguf")
    variants = (VariantSource(method="m", source=f"{tmp_path}/v-*.gguf"),)
    plan = make_plan(comparison(tiny_path, text_path, variants=variants))
    assert [item.file.path.name for item in plan.variants] == ["v-good-F32.gguf"]
    assert ["truncated" in failure.reason for failure in plan.failures] == [False, True]
    assert (plan.model, plan.baseline.is_baseline, plan.texts[0].windows) == ("Tiny", True, len(plan.windows))


def test_variant_with_ragged_scores_is_a_failure_and_the_good_one_stays(tiny_path, text_path, tmp_path):
    ragged = {"tokenizer.ggml.scores": ([[1, 2], [3]], gguf.GGUFValueType.ARRAY)}
    write_tiny_llama(tmp_path / "v-bad-Q4_0.gguf", metadata=ragged)
    write_tiny_llama(tmp_path / "v-good-F32.gguf")
    variants = (VariantSource(method="m", source=f"{tmp_path}/v-*.gguf"),)
    plan = make_plan(comparison(tiny_path, text_path, variants=variants))
    assert [item.file.path.name for item in plan.variants] == ["v-good-F32.gguf"]
    assert [failure.reason for failure in plan.failures] == [
        "tokenizer.ggml.scores does not hold a score per token"
    ]


@pytest.mark.parametrize("error", [ValueError("bad\nnews"), ZeroDivisionError(), OSError(5, "I/O error")])
def test_whatever_is_wrong_with_one_variant_is_its_failure_alone(
    tiny_path, text_path, tmp_path, monkeypatch, error
):
    for name in ("v-bad-Q4_0.gguf", "v-good-F32.gguf"):
        write_tiny_llama(tmp_path / name)

    def check(file, _):
        if "bad" in file.name:
            raise error

    monkeypatch.setattr("evaluator.planning.plan.check_comparable", check)
    variants = (VariantSource(method="m", source=f"{tmp_path}/v-*.gguf"),)
    plan = make_plan(comparison(tiny_path, text_path, variants=variants))
    assert [item.file.path.name for item in plan.variants] == ["v-good-F32.gguf"]
    ((source, reason),) = [(failure.source, failure.reason) for failure in plan.failures]
    assert source.endswith("v-bad-Q4_0.gguf")
    assert reason.startswith(type(error).__name__)
    assert "\n" not in reason


@pytest.mark.parametrize(
    "options",
    [
        {"architecture": "gemma9"},
        {"pre": "martian"},
        {"drop": ["token_embd.weight"]},
        {"drop": ["blk.1.ffn_up.weight"]},
    ],
)
def test_unusable_baseline_is_a_request_error(text_path, tmp_path, options):
    baseline = write_tiny_llama(tmp_path / "b.gguf", **options)
    with pytest.raises(RequestError, match="baseline"):
        make_plan(comparison(baseline, text_path))


@pytest.mark.parametrize(("name", "content"), [("config.json", "{nope"), ("tokenizer.json", None)])
def test_of_a_checkpoint_the_file_to_blame_is_named(tiny_path, text_path, tmp_path, name, content):
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    save_checkpoint(random_model("llama"), folder)
    (folder / name).unlink()
    if content:
        (folder / name).write_text(content)
    plan = make_plan(
        comparison(tiny_path, text_path, variants=(VariantSource(method="m", source=str(folder)),))
    )
    (failure,) = plan.failures
    assert failure.source == str(folder)
    assert failure.reason.startswith(f"{name}: ")


def test_baseline_is_one_file(tiny_path, text_path, tmp_path):
    for name in "ab":
        write_tiny_llama(tmp_path / f"{name}.gguf", layers=1, hidden=32, ffn=32)
    with pytest.raises(RequestError, match="2 files match"):
        make_plan(comparison(tiny_path, text_path, baseline=f"{tmp_path}/*.gguf"))
