"""Recipe files: what they inherit, and what is wrong with them."""

from __future__ import annotations

import pytest
from stock_cases import CASES, case_model

from evaluator.quantize.batch import select
from evaluator.quantize.recipe import choices
from evaluator.quantize.recipe_file import recipe_names
from evaluator.quantize.type_plan import make_plan
from evaluator.support.errors import RequestError


def write(tmp_path, text, name="mine.toml"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_every_recipe_of_the_package_is_sound():
    assert recipe_names() == ["bartowski", "guided", "guided-k", "main", "unsloth"]
    for name in recipe_names():
        for label, choice in choices(name).items():
            assert (choice.label, choice.recipe) == (label, name)


def test_guided_has_the_stock_sizes_and_chooses_types_in_those_that_quantize():
    guided, main = choices("guided"), choices("main")
    assert guided.keys() == main.keys()
    assert {choice.sensitivity for choice in guided.values()} == {"divergence"}
    assert {label for label, choice in guided.items() if not choice.candidates} == {"F32", "F16", "BF16"}


def test_last_rule_that_fits_decides(tmp_path):
    path = write(
        tmp_path,
        """
        description = "mine"
        base = "main"
        [quants.MINE]
        like = "Q4_K_S"
        rules = [
            { tensor = 'blk\\.1\\.', type = "Q8_0" },
            { role = "attn_v", of = ["Q8_0"], type = "Q6_K" },
            { type = "Q3_K", when = "rows == 512 and layer == 2" },
        ]
        """,
    )
    plan = make_plan(case_model(CASES[0]), choices(path)["MINE"], None)
    types = {
        name: plan[f"blk.{name}.weight"].name
        for name in ("0.attn_v", "1.attn_v", "1.ffn_up", "2.ffn_up", "3.ffn_up")
    }
    assert types == {
        "0.attn_v": "Q5_K",
        "1.attn_v": "Q6_K",
        "1.ffn_up": "Q8_0",
        "2.ffn_up": "Q3_K",
        "3.ffn_up": "Q4_K",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("description = ", "mine.toml: Invalid value"),
        ("quants = {}", "mine.toml: description: Field required"),
        ("description = 'd'\nquants.A = {}", "quants.A: needs `like`, or `type` and `file_type`"),
        (
            "description = 'd'\nquants.A = {type = 'Q9', file_type = 'MOSTLY_Q8_0'}",
            "quants.A.type: unknown tensor type 'Q9'",
        ),
        ("description = 'd'\nquants.A = {type = 'Q8_0', file_type = 'Q8'}", "unknown file type 'Q8'"),
        ("description = 'd'\nquants.A = {type = 'Q8_0', file_type = ['Q8']}", "unknown file type ['Q8']"),
        (
            "description = 'd'\nbase = 'main'\nquants.A = {like = 'B'}",
            "quants.A: there is no mixture B (known: ",
        ),
        ("description = 'd'\nbase = 'mine'", "--recipe mine: no such file or recipe"),
        ("description = 'd'\nbases = 'main'", "bases: Extra inputs are not permitted"),
        ("description = 'd'\nrules = [{type = 'Q8_0', role = 'wing'}]", "rules.0.role: Input should be"),
        ("description = 'd'\nrules = [{type = 'Q8_0', tensor = '('}]", "rules.0.tensor: pattern"),
        (
            "description = 'd'\nrules = [{type = 'Q8_0', when = 'deep'}]",
            "rules.0.when: condition 'deep': unknown name",
        ),
    ],
)
def test_wrong_files_are_named_with_the_place(tmp_path, text, message):
    with pytest.raises(RequestError) as caught:
        choices(write(tmp_path, text))
    assert message in str(caught.value)


DYNAMIC = "description = 'd'\nbase = 'main'\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("quants.A = {like = 'Q4_0', low_bit = true}", "quants.A: low_bit: has no effect beside `like`"),
        ("quants.A = {like = 'Q4_0', bare = true}", "quants.A: bare: has no effect beside `like`"),
        ("quants.A = {like = 'Q4_0', budget = 0.9}", "quants.A: budget: has no effect without `candidates`"),
        ("factors = {attn_q = 2.0}", "factors: has no effect, because no mixture has `candidates`"),
        ("hybrid_factors = {attn_q = 2.0}", "hybrid_factors: has no effect, because no mixture"),
        ("sensitivity = 'weights'", "sensitivity: has no effect, because no mixture has `candidates`"),
        (
            "factors = {attn_q = 2.0}\nsensitivity = 'divergence'\n"
            "quants.A = {like = 'Q4_0', candidates = ['Q4_0', 'Q5_0']}",
            "factors: have no effect beside sensitivity = 'divergence'",
        ),
    ],
)
def test_settings_without_effect_are_refused(tmp_path, text, message):
    with pytest.raises(RequestError) as caught:
        choices(write(tmp_path, DYNAMIC + text))
    assert message in str(caught.value)


def test_what_a_recipe_does_not_say_is_its_bases(tmp_path):
    base = choices("unsloth")["UD-Q4_K_XL"]
    path = write(tmp_path, "description = 'd'\nbase = 'unsloth'\nquants.A = {like = 'UD-Q4_K_XL'}")
    mine = choices(path)["UD-Q4_K_XL"]
    assert (mine.importance, mine.sensitivity, mine.factors) == ("required", "weights", base.factors)
    assert base.factors["ffn_down"] == 1.0
    assert choices("guided")["Q4_K_M"].importance == "optional"


def test_rules_for_all_leave_bare_mixtures_alone(tmp_path):
    path = write(tmp_path, "description = 'd'\nbase = 'main'\nrules = [{type = 'Q8_0', role = 'attn_v'}]")
    plans = {label: make_plan(case_model(CASES[0]), choices(path)[label], None) for label in ("F32", "Q4_0")}
    kinds = {label: plan["blk.0.attn_v.weight"].name for label, plan in plans.items()}
    assert kinds == {"F32": "F32", "Q4_0": "Q8_0"}


def test_a_mixture_that_is_named_twice_is_made_once():
    selected = select("main", ["Q8_0", "Q4_K_M", "q8_0"])
    assert [choice.label for choice in selected] == ["Q8_0", "Q4_K_M"]


def test_circle_of_bases(tmp_path):
    path = write(tmp_path, f"description = 'd'\nbase = '{tmp_path}/mine.toml'")
    with pytest.raises(RequestError, match="its base leads back to itself"):
        choices(path)


def test_pattern_that_matches_nothing(tmp_path):
    text = "description = 'd'\nbase = 'main'\nrules = [{type = 'Q8_0', tensor = 'blk.99'}]"
    with pytest.raises(RequestError, match=r"recipe mine: pattern 'blk.99' matches no tensor of tied"):
        make_plan(case_model(CASES[0]), choices(write(tmp_path, text))["Q4_0"], None)


def test_condition_that_cannot_be_computed_names_rule_and_tensor(tmp_path):
    text = (
        "description = 'd'\nbase = 'main'\nrules = [{type = 'Q8_0', when = 'rows // (layers - layers) == 1'}]"
    )
    with pytest.raises(RequestError, match=r"recipe mine, Q4_0, token_embd.weight: condition .* by zero"):
        make_plan(case_model(CASES[0]), choices(write(tmp_path, text))["Q4_0"], None)
