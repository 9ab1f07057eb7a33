"""Dynamic mixtures: sizes are kept, and bits go where errors cost most."""

from __future__ import annotations

import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import gguf
import numpy as np
import pytest
from family_structures import Structure
from rich.progress import Progress
from tiny_models import write_tiny_llama

from evaluator.models.gguf.reader import open_gguf
from evaluator.quantize.batch import Evidence, make_all, plan_jobs, select
from evaluator.quantize.dynamic import ErrorBook, most_bytes, share_out
from evaluator.quantize.ggml import ggml_type
from evaluator.quantize.guidance import Guidance
from evaluator.quantize.imatrix import ImportanceMatrix, read_imatrix
from evaluator.quantize.sensitivity import measure_errors
from evaluator.quantize.target import Target, choice_for
from evaluator.quantize.type_plan import make_plan
from evaluator.quantize.variants import planned_bytes
from evaluator.support.errors import RequestError

Q4_K, Q6_K = ggml_type("Q4_K"), ggml_type("Q6_K")


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(2) as threads:
        yield threads


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return open_gguf(write_tiny_llama(tmp_path_factory.mktemp("dynamic") / "Tiny-F32.gguf", layers=3))


@pytest.fixture(scope="module")
def importance(source):
    generator = np.random.default_rng(4)
    means = {
        name: generator.lognormal(0, 1, (1, info.shape[-1])).astype(np.float32)
        for name, info in source.tensors.items()
        if name.startswith("blk.") and len(info.shape) == 2
    }
    return ImportanceMatrix(source.path, means, (), 0, 0)


@pytest.fixture(scope="module")
def book(source, importance, pool):
    """The errors of the source with its importances; measuring a matrix for all types takes a second."""
    return ErrorBook(source, importance.means, pool)


@pytest.fixture
def few_rows(monkeypatch):
    """Measure errors in fewer rows: what errors are is tested apart."""
    monkeypatch.setattr("evaluator.quantize.sensitivity.SAMPLE_WEIGHTS", 1 << 14)


@pytest.fixture
def measured_once(book, few_rows, monkeypatch):
    """Plan from the errors that earlier tests have measured."""
    monkeypatch.setattr("evaluator.quantize.batch.ErrorBook", lambda *_: book)


def planned(source, recipe, quant, evidence, pool, tmp_path):
    [job] = plan_jobs(source, select(recipe, [quant]), tmp_path, evidence, pool)
    return job.plan


def test_errors_are_those_of_the_whole_matrix(source, importance, pool):
    name = "blk.0.ffn_up.weight"
    weights, values = importance.means[name], source.dequantize(name)
    found = measure_errors(source, name, [ggml_type("Q4_0")], None, pool)[ggml_type("Q4_0")]
    restored = gguf.dequantize(gguf.quantize(values, ggml_type("Q4_0")), ggml_type("Q4_0"))
    plain = ((restored - values) ** 2).sum() / (values**2).sum()
    assert found == pytest.approx((plain, plain), rel=1e-5)
    with_importances = measure_errors(source, name, [Q4_K, Q6_K], weights, pool)
    assert with_importances[Q6_K].weighted < with_importances[Q4_K].weighted / 5
    assert with_importances[Q4_K].weighted < with_importances[Q4_K].plain


def test_a_row_that_is_nearly_the_whole_output_is_measured(source, importance, pool, monkeypatch):
    name, q4_0 = "blk.0.ffn_up.weight", ggml_type("Q4_0")
    values = source.dequantize(name).copy()
    values[77] *= np.linspace(10, 1000, values.shape[1])
    weights = importance.means[name]
    monkeypatch.setattr(type(source), "dequantize", lambda *_: values)
    whole = measure_errors(source, name, [q4_0], weights, pool)[q4_0]
    monkeypatch.setattr("evaluator.quantize.sensitivity.SAMPLE_WEIGHTS", 16 * values.shape[1])
    sampled = measure_errors(source, name, [q4_0], weights, pool)[q4_0]
    assert sampled == pytest.approx(whole, rel=0.02)


@pytest.mark.usefixtures("measured_once")
@pytest.mark.parametrize("quant", ["UD-Q4_K_XL", "UD-Q5_K_XL", "UD-Q6_K_XL"])
def test_the_bytes_of_the_stock_mixture_are_spent_otherwise(source, importance, pool, tmp_path, quant):
    plan = planned(source, "unsloth", quant, Evidence(importance), pool, tmp_path)
    [choice] = select("unsloth", [quant])
    stock = make_plan(source, choice, importance.means)
    size, limit = planned_bytes(source, plan), planned_bytes(source, stock)
    assert 0.97 * limit <= size <= limit
    assert plan != stock
    assert plan["token_embd.weight"] == stock["token_embd.weight"]
    down = [gguf.GGML_QUANT_SIZES[plan[f"blk.{n}.ffn_down.weight"]] for n in range(3)]
    query = [gguf.GGML_QUANT_SIZES[plan[f"blk.{n}.attn_q.weight"]] for n in range(3)]
    assert min(size / block for block, size in down) >= max(size / block for block, size in query)


def bits(plan, name):
    block, size = gguf.GGML_QUANT_SIZES[plan[name]]
    return size / block


def test_attention_of_hybrids_counts_as_much_as_ffn_down(pool, tmp_path):
    structure = Structure("qwen3_5_text", repeat=1)
    source = open_gguf(structure.write(tmp_path / "m.gguf"))
    evidence = Evidence(read_imatrix(structure.write_importances(tmp_path / "i.gguf")))
    plan = planned(source, "unsloth", "UD-Q4_K_XL", evidence, pool, tmp_path)
    [choice] = select("unsloth", ["UD-Q4_K_XL"])
    means = evidence.importance.means
    dense = share_out(
        choice.model_copy(update={"hybrid_factors": {}}),
        make_plan(source, choice, means),
        ErrorBook(source, means, pool),
        None,
    )
    attention = [name for name in plan if ".attn_" in name and "norm" not in name]
    assert sum(bits(plan, name) for name in attention) > sum(bits(dense, name) for name in attention)
    assert all(bits(plan, name) >= bits(plan, "blk.0.ffn_up.weight") for name in plan if "ssm_out" in name)


@pytest.mark.usefixtures("few_rows")
def test_same_measurements_give_the_same_types(source, importance, pool, tmp_path):
    plans = [planned(source, "unsloth", "UD-Q4_K_XL", Evidence(importance), pool, tmp_path) for _ in range(2)]
    assert plans[0] == plans[1]


def make(source, evidence, pool, out, **options):
    jobs = plan_jobs(source, select("unsloth", ["UD-Q4_K_XL"]), out, evidence, pool, **options)
    return jobs, make_all(source, jobs, pool, Progress(disable=True), **options)


@pytest.fixture
def unmeasured(monkeypatch):
    monkeypatch.setattr("evaluator.quantize.dynamic.measure_errors", lambda *_: pytest.fail("measured"))


@pytest.mark.usefixtures("measured_once")
def test_a_file_that_is_there_is_left_alone(source, importance, pool, tmp_path):
    [job], made = make(source, Evidence(importance), pool, tmp_path)
    assert made == [job.target]
    assert make(source, Evidence(importance), pool, tmp_path)[1] == []


@pytest.mark.usefixtures("measured_once")
def test_another_file_is_refused_before_anything_is_measured(source, importance, pool, tmp_path, request):
    [job], _ = make(source, Evidence(importance), pool, tmp_path)
    request.getfixturevalue("unmeasured")
    other = {name: values * np.linspace(1, 2, values.size) for name, values in importance.means.items()}
    with pytest.raises(RequestError, match="was made from another source or recipe"):
        make(source, Evidence(replace(importance, means=other)), pool, tmp_path)
    job.target.write_bytes(b"not ours")
    with pytest.raises(RequestError, match="was made from another source or recipe"):
        make(source, Evidence(importance), pool, tmp_path)


def test_room_is_seen_to_before_anything_is_measured(
    source, importance, pool, tmp_path, monkeypatch, unmeasured
):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(RequestError, match="MB are needed, 0 MB are free"):
        make(source, Evidence(importance), pool, tmp_path)


@pytest.mark.usefixtures("measured_once")
def test_room_is_for_what_the_budget_allows(source, importance, pool, tmp_path):
    [choice] = select("unsloth", ["UD-Q4_K_XL"])
    stock = make_plan(source, choice, importance.means)
    for budget in (0.9, 1.0, 1.3):
        larger = choice.model_copy(update={"budget": budget})
        [job] = plan_jobs(source, [larger], tmp_path, Evidence(importance), pool)
        assert 0.9 < planned_bytes(source, job.plan) / most_bytes(larger, stock, source) <= 1


def guidance(source, **larger):
    """Return equal divergences of all matrices at Q4_0 but for some, given by name without `.weight`."""
    names = [name for name, info in source.tensors.items() if len(info.shape) > 1]
    divergence = {name: larger.get(name.removesuffix(".weight").replace(".", "_"), 0.001) for name in names}
    return Guidance(dict.fromkeys(names, ggml_type("Q4_0")), divergence)


@pytest.mark.usefixtures("measured_once")
def test_guidance_moves_bits_to_what_costs_most(source, importance, pool, tmp_path):
    found = guidance(source, blk_1_attn_q=0.5, token_embd=1e-6)
    plan = planned(source, "guided", "Q4_K_M", Evidence(importance, found), pool, tmp_path)
    assert bits(plan, "blk.1.attn_q.weight") > bits(plan, "blk.0.attn_q.weight")
    assert bits(plan, "token_embd.weight") < bits(plan, "blk.0.attn_q.weight")


@pytest.mark.usefixtures("measured_once")
def test_guided_k_chooses_no_type_that_a_cpu_decodes_slowly(source, importance, pool, tmp_path):
    evidence = Evidence(importance, guidance(source, blk_1_attn_q=0.5, token_embd=1e-6))
    plans = {
        recipe: planned(source, recipe, "Q4_K_M", evidence, pool, tmp_path)
        for recipe in ("guided", "guided-k")
    }
    slow = {
        recipe: [kind for kind in plan.values() if kind.name.startswith("IQ")]
        for recipe, plan in plans.items()
    }
    assert slow["guided"]
    assert not slow["guided-k"]
    sizes = [planned_bytes(source, plan) for plan in plans.values()]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.03)


def test_loss_of_a_type_is_the_divergence_times_the_ratio_of_weighted_errors(source, importance, pool):
    """Of two matrices, the one gets more bits whose divergence falls more per byte, by errors measured apart."""
    found = guidance(source)
    [choice] = select("guided", ["Q4_K_M"])
    stock = make_plan(source, choice, importance.means)
    pair = ("blk.0.ffn_up.weight", "blk.1.ffn_up.weight")
    kinds = [ggml_type("Q4_0"), ggml_type("Q8_0")]
    errors = {name: measure_errors(source, name, kinds, importance.means[name], pool) for name in pair}
    gains = {name: 1 - errors[name][kinds[1]].weighted / errors[name][kinds[0]].weighted for name in pair}
    better = max(pair, key=lambda name: gains[name])
    size = planned_bytes(source, dict.fromkeys(pair, kinds[0]))
    one_more = planned_bytes(source, {pair[0]: kinds[1]}) - size // 2
    fixed = planned_bytes(source, {name: kind for name, kind in stock.items() if name not in pair})
    choice = choice.model_copy(update={"candidates": tuple(kinds), "target": fixed + size + one_more})
    pair_only = Guidance(
        *({name: values[name] for name in pair} for values in (found.reference, found.divergence))
    )
    plan = share_out(choice, stock, ErrorBook(source, importance.means, pool), pair_only)
    assert {name: plan[name] for name in pair} == {name: kinds[name == better] for name in pair}


def test_guided_needs_a_measured_model(source, importance, pool, tmp_path, unmeasured):
    with pytest.raises(RequestError, match="recipe guided measures the model on a text: --text FILE"):
        planned(source, "guided", "Q4_K_M", Evidence(importance), pool, tmp_path)


@pytest.mark.usefixtures("measured_once")
@pytest.mark.parametrize("size", [3.2, 4.5, 6.0, 9.0, 15.9])
def test_targets_are_met_from_below(source, importance, pool, tmp_path, size):
    choice = choice_for("guided", Target(bits=size), source, importance.means)
    [job] = plan_jobs(source, [choice], tmp_path, Evidence(importance, guidance(source)), pool)
    limit = source.n_params * size / 8
    assert 0.97 * limit <= planned_bytes(source, job.plan) <= limit  # matrices of a tiny model are 1 % of it
    assert job.target.name == f"Tiny-guided-{size:.2f}bpw.gguf"


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (1.0, "smaller than recipe guided"),
        (1.6, "smaller than"),
        (17.0, "larger than"),
        (50.0, "larger than recipe guided"),
    ],
)
def test_targets_that_cannot_be_met(source, importance, pool, tmp_path, unmeasured, size, message):
    choice = choice_for("guided", Target(bits=size), source, importance.means)
    with pytest.raises(RequestError, match=message) as caught:
        plan_jobs(source, [choice], tmp_path, Evidence(importance), pool)
    assert str(caught.value).startswith(f"--target-bpw {size:g}: ")
    assert bounds(caught) == [size, 1.63, 16.02]


def bounds(caught):
    """Return the bits per weight that a refusal names: the target, and what is possible."""
    return [float(number) for number in re.findall(r"\(([\d.]+) bits per weight", str(caught.value))]


def test_matrices_that_could_not_be_judged_keep_a_type_that_loses_nothing(tmp_path, pool):
    source = open_gguf(write_tiny_llama(tmp_path / "Tiny-Q4_0.gguf", ggml_type=ggml_type("Q4_0")))
    known = guidance(source)
    unjudged = "blk.0.ffn_up.weight"
    judged = {name: kld for name, kld in known.divergence.items() if name != unjudged}
    found = Guidance(dict.fromkeys(known.reference, ggml_type("Q3_K")), judged)
    choice = choice_for("guided-k", Target(bits=3.5), source, None)
    plan = share_out(choice, make_plan(source, choice, None), ErrorBook(source, {}, pool), found)
    assert plan[unjudged].name == "Q4_0"
    assert 3.3 < 8 * planned_bytes(source, plan) / source.n_params <= 3.5
    tight = choice_for("guided-k", Target(bits=2.7), source, None)
    with pytest.raises(RequestError, match="smaller than recipe guided-k can make"):
        share_out(tight, make_plan(source, tight, None), ErrorBook(source, {}, pool), found)
