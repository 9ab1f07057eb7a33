"""Every role of the layer frame has a description in words."""

import pytest

from dashboard.style.roles import grouped, in_words, named
from evaluator.results.schema import ROLES


@pytest.mark.parametrize("role", ROLES)
def test_every_role_is_described(role: str) -> None:
    assert in_words(role) != role
    assert "_" not in in_words(role)


def test_descriptions_tell_roles_apart() -> None:
    assert len(set(map(in_words, ROLES))) == len(ROLES)


def test_experts_are_told_from_the_shared_one_and_from_a_dense_part() -> None:
    roles = ("ffn_gate_up_exps", "ffn_down_shexp", "ffn_down")
    assert [in_words(role) for role in roles] == [
        "experts: gate and up",
        "shared expert: down",
        "feed-forward: down",
    ]
    assert in_words("ffn_new_thing") == "ffn_new_thing"


def test_a_plain_name_stands_beside_the_files_own() -> None:
    assert named("attn_output") == "attention output (attn_output)"
    assert named("output") == "head (output)"
    assert named("ffn_new_thing") == "ffn_new_thing"


def test_roles_are_grouped_in_the_models_order() -> None:
    assert grouped({"output", "ffn_up", "token_embd", "attn_v", "attn_q", "ssm_out", "proj"}) == [
        ["attn_q", "attn_v"],
        ["ssm_out"],
        ["ffn_up"],
        ["proj"],
        ["token_embd", "output"],
    ]
    assert sum(map(len, grouped(ROLES))) == len(ROLES)
    assert grouped(()) == []
