"""Packed rows and the table of rows against a dictionary."""

from __future__ import annotations

import numpy as np
import pytest

from polyfiber.kernels import rows as module
from polyfiber.kernels.rows import RowTable, pack_rows


@pytest.mark.parametrize("columns", [1, 31, 32, 33, 70])
def test_packed_signs_are_equal_where_the_signs_are(columns: int) -> None:
    rng = np.random.default_rng(columns)
    signs = rng.integers(-1, 2, (60, columns)).astype(np.int8)
    signs[30:] = signs[:30]
    signs[45:, -1] *= -1
    words = pack_rows(signs)
    assert words.shape == (60, module.words_per_row(columns, signs.dtype)) == (60, -(-columns // 32))
    for i in range(60):
        for j in range(i):
            assert (words[i] == words[j]).all() == (signs[i] == signs[j]).all()
    digits = [sum((int(words[0, c // 32]) >> (2 * (c % 32)) & 3) - 1 == signs[0, c] for c in range(columns))]
    assert digits == [columns]


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64])
def test_wider_labels_keep_their_bytes(dtype: type) -> None:
    labels: np.ndarray = np.array([[-1, 2**14, 0], [-1, 2**14, 0], [-1, 2**14, 1]], dtype=dtype)
    words = pack_rows(labels)
    assert (words[0] == words[1]).all()
    assert (words[0] != words[2]).any()
    back: np.ndarray = words.view(dtype).reshape(3, -1)[:, :3]
    assert (back == labels).all()


def test_what_is_no_sign_is_named() -> None:
    with pytest.raises(ValueError, match="row 1 of int8 labels"):
        pack_rows(np.array([[0, 1], [2, 0]], dtype=np.int8))


@pytest.mark.parametrize("words", [1, 3])
def test_numbers_are_those_of_a_dictionary(words: int) -> None:
    rng = np.random.default_rng(words)
    table, known = RowTable(words, capacity=2), dict[bytes, int]()
    for _ in range(6):  # grows on the way
        given = rng.integers(0, 6, (20, words)).astype(np.uint64)
        expected = [known.setdefault(row.tobytes(), len(known)) for row in given]
        assert table.intern(given).tolist() == expected
    assert table.count == len(known) == len(table.rows)
    assert [row.tobytes() for row in table.rows] == list(known)
    asked = rng.integers(0, 8, (40, words)).astype(np.uint64)
    assert table.find(asked).tolist() == [known.get(row.tobytes(), -1) for row in asked]


def test_equal_hashes_cost_time_and_no_answer() -> None:
    """All rows in one slot: probing goes on to the next."""
    table, store = np.full(16, -1, dtype=np.int64), np.arange(6, dtype=np.uint64)[:, None]
    slot = np.uint64(15)  # the last slot: the walk goes round
    for i in range(6):
        found = module.probe(table, store, slot, store, i)
        assert found < 0
        table[-1 - found] = i
    assert table.tolist() == [1, 2, 3, 4, 5, *[-1] * 10, 0]
    assert [module.probe(table, store, slot, store, i) for i in range(6)] == list(range(6))


def test_given_rows_and_their_first_double() -> None:
    distinct = np.arange(5, dtype=np.uint64)[:, None]
    table, first = RowTable.of(distinct)
    assert first == -1
    assert table.find(distinct[::-1]).tolist() == [4, 3, 2, 1, 0]
    assert RowTable.of(np.array([[7], [8], [9], [8], [7]], dtype=np.uint64))[1] == 3
    for n in (1, 8, 9, 1000):
        size = module.table_size(n)
        assert size >= 2 * n
        assert size & (size - 1) == 0
