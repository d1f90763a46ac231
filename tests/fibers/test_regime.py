"""Margins of genericity against numpy's singular values, and what their kernels do without."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest

from polyfiber.kernels.fibers import cones, regime


@pytest.mark.parametrize("widths", [(3, 4, 3, 1), (3, 4, 3, 2), (5, 4, 4, 3), (2, 3, 3, 4), (1, 1, 1, 1)])
@pytest.mark.parametrize("dead", [False, True])
def test_products_of_masks_against_numpy(widths: tuple[int, ...], dead: bool) -> None:
    """The least relative singular value that must not vanish, with rows of zeros and with masks that leave nothing."""
    rng = np.random.default_rng(7)
    n0, n1, n2, m = widths
    W1, W2, W3 = (rng.normal(size=(2, a, b)) for a, b in ((n1, n0), (n2, n1), (m, n2)))
    if dead:
        W2[:, 0] = 0.0
    for count in (1, 300):  # one mask, or more than a round of the kernel holds
        on1 = (rng.random((n1, count)) < 0.9).astype(float)
        on2 = (rng.random((n2, count)) < 0.9).astype(float)
        needed = rng.integers(1, min(widths) + 1, count).astype(np.int64)
        least = np.full(2, np.inf)
        regime.least_products(W1, W2, W3, on1, on2, needed, least)
        for t in range(2):
            relative = []
            for p in range(count):
                outer, inner = W3[t] * on2[:, p], on2[:, p, None] * W2[t] * on1[:, p]
                values = np.linalg.svd(outer @ inner @ W1[t], compute_uv=False)
                size = np.linalg.norm(outer) * np.linalg.norm(inner)
                relative.append(values[needed[p] - 1] / (size or 1.0))
            assert np.isclose(least[t], min(relative), rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_the_largest_of_a_few(rank: int) -> None:
    assert regime.largest(np.array([2.0, 5.0, 0.0, 5.0]), rank) == [5.0, 5.0, 2.0][rank - 1]


@pytest.mark.parametrize("module", [cones, regime])
def test_nothing_is_compiled_that_plain_loops_do(module: object) -> None:
    """numba's svd, sorts and assignments of slices are large: the first answer of an install waited seconds for them."""
    source = inspect.getsource(module)  # type: ignore[arg-type]
    assert not re.search(r"np\.linalg|\.sort\(|argsort|^ +\w+\[[^\]]*:[^\]]*\] = ", source, re.MULTILINE)
