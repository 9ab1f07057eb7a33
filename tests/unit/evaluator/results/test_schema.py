"""Schemas: added columns, kept columns, rejected frames."""

from __future__ import annotations

import dataframely as dy
import polars as pl
import pytest

from evaluator.metrics.columns import percentile_column
from evaluator.results.schema import Layers, Tokens, with_schema


def tokens(**columns):
    data = {"window": [0, 0], "position": [5, 6], "token": [7, 8], "domain": ["a", "a"]} | columns
    return pl.DataFrame(data)


def test_absent_nullable_columns_become_null_of_the_right_type():
    frame = with_schema(Tokens, tokens())
    assert frame["kld"].to_list() == [None, None]
    assert frame.schema["kld"] == pl.Float32
    assert frame.schema["window"] == pl.UInt32


def test_unknown_columns_are_kept():
    frame = with_schema(Tokens, tokens(entropy=[0.5, 1.5]))
    assert frame["entropy"].to_list() == [0.5, 1.5]


def test_absent_required_column_is_refused():
    with pytest.raises(dy.exc.SchemaError):
        with_schema(Tokens, tokens().drop("token"))


@pytest.mark.parametrize(
    "columns", [{"token": [-1, 8]}, {"top_prob": [1.5, 0.1]}, {"position": [5, 5]}, {"token": [None, 8]}]
)
def test_value_that_breaks_a_rule_is_refused(columns):
    with pytest.raises(dy.exc.ValidationError):
        with_schema(Tokens, tokens(**columns))


@pytest.mark.parametrize(("role", "layer"), [("attn_x", 0), ("attn_q", -2)])
def test_layers_know_their_roles_and_places(role, layer):
    with pytest.raises((dy.exc.SchemaError, dy.exc.ValidationError, pl.exceptions.InvalidOperationError)):
        with_schema(Layers, pl.DataFrame({"variant_id": ["v"], "layer": [layer], "role": [role]}))


def test_percentile_columns_have_three_digits():
    assert [percentile_column("kld", p) for p in (1, 50, 999)] == ["kld_p001", "kld_p050", "kld_p999"]
