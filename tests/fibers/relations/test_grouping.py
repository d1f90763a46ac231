"""Which rows are one hyperplane, against comparing every pair."""

from __future__ import annotations

import numpy as np

from polyfiber.fibers.relations.grouping import group_rows
from polyfiber.numerics.exact import as_fractions


def test_groups_are_those_of_every_pair() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        n = int(rng.integers(1, 5))
        base = rng.integers(-3, 4, (6, n + 1)).astype(float)
        base[:, -1] *= 10.0 ** rng.integers(0, 9, 6)
        base = base[(base[:, :-1] != 0).any(axis=1)]
        rows = base[rng.integers(len(base), size=20)] * rng.choice([-4.0, -1.0, 0.5, 2.0], (20, 1))
        same = np.array([[np.linalg.matrix_rank(np.stack([x, y])) < 2 for y in base] for x in rows])
        for found in (group_rows(rows * (1 + 1e-14), tolerance=1e-10), group_rows(as_fractions(rows), tolerance=0.0)):
            assert not found.unclear
            for i in range(20):
                for j in range(20):
                    assert (found.head[i] == found.head[j]) == bool((same[i] & same[j]).any())
            back = (found.side * found.scale)[:, None] * found.heads[found.head]
            assert np.abs((back - rows).astype(float) / np.abs(rows).max(axis=1, keepdims=True)).max() < 1e-13


def test_parallel_rows_far_out_and_nothing() -> None:
    rows = np.array([[1.0, 1e9], [1.0, 1e9 + 1], [2.0, 2e9], [1.0, -1e9], [1.0, 0.0], [-1.0, 1e-300]])
    found = group_rows(rows, tolerance=1e-12)
    assert found.head.tolist() == [0, 1, 0, 2, 3, 3]
    assert group_rows(np.zeros((0, 3)), tolerance=1e-12).heads.shape == (0, 3)
    assert np.isinf(group_rows(rows[:1], tolerance=1e-12).apart)
