"""Arrow columns from flat arrays against columns from Python lists."""

from __future__ import annotations

import numpy as np
import pytest

from polyfiber.datasets.storage import arrow as module
from polyfiber.errors import InputError

pa = pytest.importorskip("pyarrow")


@pytest.mark.parametrize("name", ["int8", "float64", "bool", "string", "list<int16>", "list<list<float64>>"])
def test_types_by_their_names(name: str) -> None:
    kind = module.arrow_type(name)
    assert module.check_type(name) == name
    depth = name.count("list<")
    for _ in range(depth):
        assert pa.types.is_list(kind)
        assert not kind.value_field.nullable
        kind = kind.value_type
    assert str(kind) == {"float64": "double"}.get(
        name.replace("list<", "").rstrip(">"), name.replace("list<", "").rstrip(">")
    )


@pytest.mark.parametrize("name", ["float", "list<float64", "list<>", "decimal", "map<int8>", ""])
def test_types_that_are_none(name: str) -> None:
    with pytest.raises(InputError, match="is no column type"):
        module.arrow_type(name)


def test_lists_from_flat_values() -> None:
    column = module.lists(
        np.arange(5), np.array([0, 2, 2, 5]), type="list<int32>", missing=np.array([False, True, False])
    )
    assert column.to_pylist() == [[0, 1], None, [2, 3, 4]]
    nested = module.lists(module.lists(np.arange(4), [0, 1, 4], type="list<int8>"), [0, 2, 2], type="list<list<int8>>")
    assert nested.to_pylist() == [[[0], [1, 2, 3]], []]
    assert module.ragged([np.array([1.0]), np.zeros(0), np.array([2.0, 3.0])], type="list<float64>").to_pylist() == [
        [1.0], [], [2.0, 3.0],
    ]  # fmt: skip
    assert module.ragged([], type="list<int8>").to_pylist() == []


@pytest.mark.parametrize("shape", [(3, 2), (2, 3, 4), (2, 1, 0, 3), (0, 2)])
def test_axes_become_lists_of_lists(shape: tuple[int, ...]) -> None:
    values = np.arange(int(np.prod(shape))).reshape(shape)
    depth = len(shape) - 1
    kind = "list<" * depth + "int64" + ">" * depth
    column = module.rows_as_lists(values, type=kind)
    assert column.type == module.arrow_type(kind)
    assert column.to_pylist() == values.tolist()
    with pytest.raises(InputError, match=f"{depth + 1} axes cannot be a column"):
        module.rows_as_lists(values, type=f"list<{kind}>")


def test_columns_of_whatever_is_given() -> None:
    for given in (np.array([1, 2]), [1, 2], (1, 2), pa.array([1, 2], type=pa.int32())):
        column = module.column_of(given, "int64")
        assert column.type == pa.int64()
        assert column.to_pylist() == [1, 2]
    assert module.column_of([np.array([1.0]), [2.0, 3.0]], "list<float64>").to_pylist() == [[1.0], [2.0, 3.0]]
    assert module.column_of(["a", None], "string").to_pylist() == ["a", None]
    with pytest.raises(InputError, match="cannot make a column of int64"):
        module.column_of(3, "int64")
