"""Changed tensors give the rows that numpy gives of the whole, however they are stored and whatever is read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from evaluator.models.architectures.changes import (
    AS_COLUMN,
    NEGATED_EXPONENTIAL,
    PLUS_ONE,
    SQUEEZED,
    Columns,
    Computed,
    Rows,
    Scaled,
    Shaped,
    Transposed,
)
from evaluator.models.checkpoint.changed import changed, stacked
from evaluator.models.checkpoint.safetensors_file import open_safetensors
from evaluator.models.checkpoint.tensor_bytes import TensorRows, as_stored, bytes_of, value_rows, values_of
from evaluator.models.json_file import JsonFile
from evaluator.support.errors import SourceError

CONFIG = JsonFile(Path("config.json"), {})
SHAPE = (3, 8, 6)
EVEN = Rows(lambda _, size: np.arange(0, size, 2))
BACKWARDS = Columns(lambda _, size: np.arange(size)[::-1])
CASES = {
    "rows": ([EVEN], lambda x: x[:, ::2]),
    "halves": ([Rows(lambda _, size: np.arange(size // 2, size))], lambda x: x[:, 4:]),
    "columns": ([BACKWARDS], lambda x: x[..., ::-1]),
    "transposed": ([Transposed()], lambda x: x.swapaxes(1, 2)),
    "transposed rows": ([Transposed(), EVEN], lambda x: x.swapaxes(1, 2)[:, ::2]),
    "shaped": (
        [Shaped(lambda _, shape: (6, 4, 6)), Transposed()],
        lambda x: x.reshape(6, 4, 6).swapaxes(1, 2),
    ),
    "other rows": ([Shaped(lambda _, shape: (4, 36))], lambda x: x.reshape(4, 36)),
    "computed": ([PLUS_ONE, EVEN], lambda x: (x + np.float32(1))[:, ::2]),
    "negated": ([NEGATED_EXPONENTIAL], lambda x: -np.exp(x)),
    "scaled": (
        [Scaled(lambda _, size: np.arange(size, dtype=np.float32))],
        lambda x: x * np.arange(8, dtype=np.float32)[:, None],
    ),
}


@pytest.fixture(scope="module")
def values():
    return np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)


@pytest.fixture(scope="module")
def stored(values, tmp_path_factory):
    """Return a file with the values whole and matrix by matrix."""
    path = tmp_path_factory.mktemp("files") / "m.safetensors"
    save_file({"whole": values, **{str(number): matrix for number, matrix in enumerate(values)}}, path)
    return open_safetensors(path)


def as_rows(parameter):
    """Return a parameter whose rows are decoded, as those of quantized weights are."""
    return replace(parameter, source=TensorRows(value_rows(parameter), parameter.source.stored))


@pytest.mark.parametrize("form", ["whole", "stacked", "decoded", "stack of decoded"])
@pytest.mark.parametrize("case", CASES)
def test_rows_are_those_of_the_whole(values, stored, case, form):
    parameter = as_stored(stored, "whole")
    if "stack" in form:
        parts = [as_stored(stored, str(number)) for number in range(SHAPE[0])]
        parameter = stacked([as_rows(part) for part in parts] if "decoded" in form else parts)
    elif form == "decoded":
        parameter = as_rows(parameter)
    changes, in_numpy = CASES[case]
    found, expected = changed(parameter, changes, CONFIG), in_numpy(values)
    assert found.info.shape == expected.shape
    assert found.info.n_bytes == expected.nbytes
    np.testing.assert_array_equal(values_of(found), expected)
    assert bytes_of(found).tobytes() == np.ascontiguousarray(expected).tobytes()
    rows = expected.reshape(-1, expected.shape[-1])
    read = value_rows(found)
    np.testing.assert_array_equal(read(slice(1, 7)), rows[1:7])
    np.testing.assert_array_equal(read(slice(2, 2)), rows[2:2])
    chosen = np.array([len(rows) - 1, 0, 3, 3])
    np.testing.assert_array_equal(read(chosen), rows[chosen])


def test_matrix_of_a_stack_is_read_from_its_file_alone(stored):
    parts = [as_stored(stored, str(number)) for number in range(SHAPE[0])]
    read = []

    def watched(number, rows):
        return lambda chosen: (read.append(number), rows(chosen))[1]

    parts = [
        replace(part, source=replace(part.source, rows=watched(number, part.source.rows)))
        for number, part in enumerate(parts)
    ]
    rows = value_rows(changed(stacked(parts), [EVEN], CONFIG))
    rows(slice(4, 8))  # the second matrix has four rows left
    assert set(read) == {1}


def test_consecutive_rows_of_one_matrix_are_views_of_the_file(stored):
    whole = as_stored(stored, "whole")
    second = changed(whole, CASES["halves"][0], CONFIG).source.rows(slice(4, 8))
    assert np.shares_memory(second, whole.source.rows(slice(0, 24)))


def test_vectors_have_entries_for_rows(tmp_path):
    vector = np.arange(6, dtype=np.float32)
    save_file({"v": vector, "k": vector.reshape(2, 1, 3)}, tmp_path / "v.safetensors")
    file = open_safetensors(tmp_path / "v.safetensors")
    np.testing.assert_array_equal(values_of(changed(as_stored(file, "v"), [EVEN], CONFIG)), vector[::2])
    column = changed(as_stored(file, "v"), [AS_COLUMN], CONFIG)
    np.testing.assert_array_equal(values_of(column), vector[:, None])
    np.testing.assert_array_equal(
        values_of(changed(as_stored(file, "k"), [SQUEEZED], CONFIG)), vector.reshape(2, 3)
    )


def test_matrices_of_several_types_become_float32(stored, values):
    parts = [as_stored(stored, str(number)) for number in range(SHAPE[0])]
    parts[1] = changed(parts[1], [Computed(lambda _, item: item)], CONFIG)
    mixed = stacked(parts)
    np.testing.assert_array_equal(values_of(mixed), values)


@pytest.mark.parametrize(
    "change",
    [
        Rows(lambda _, size: np.array([size])),
        Columns(lambda _, size: np.array([-1])),
        Shaped(lambda _, shape: (5, 5)),
        Scaled(lambda _, size: np.ones(size + 1, np.float32)),
    ],
)
def test_change_that_does_not_fit_names_the_tensor(stored, change):
    with pytest.raises(SourceError, match=r"tensor whole of shape .* does not fit config.json"):
        changed(as_stored(stored, "whole"), [change], CONFIG)
