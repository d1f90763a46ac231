"""Columns of a complex, row by row against the complex itself."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.complexes.tables import MEANING, table
from polyfiber.errors import InputError

NET = pf.ReLUNetwork.random((2, 4, 3, 2), rng=1)
CX = pf.canonical_complex(NET)


def columns(rows: str) -> dict[str, np.ndarray]:
    found = table(CX, rows)  # type: ignore[arg-type]
    return {name: np.asarray(found[name]) for name in MEANING if name in found}


def test_regions() -> None:
    found = columns("regions")
    assert len(found["signs"]) == CX.n_regions
    X = 4 * np.random.default_rng(0).standard_normal((200, 2))
    signs = np.concatenate([np.sign(z) for z in NET.preactivations(X)[:-1]], axis=1)
    for x, own in zip(X, signs):
        (row,) = np.flatnonzero((found["signs"] == own).all(axis=1))
        np.testing.assert_allclose(found["A"][row] @ x + found["a"][row], NET(x), atol=1e-10)
        if not found["bounded"][row]:
            continue
        assert np.abs(x).max() <= np.abs(CX.vertices).max() + 1e-9
    assert found["bounded"].any()
    assert not found["bounded"].all()


def test_facets() -> None:
    found = columns("facets")
    A = columns("regions")["A"]
    assert len(found["facet"]) > 3
    for k in range(len(found["facet"])):
        above, below = A[found["above"][k]], A[found["below"][k]]
        np.testing.assert_allclose(above - below, np.outer(found["weight"][k], found["normal"][k]), atol=1e-10)
        assert np.linalg.norm(found["normal"][k]) == pytest.approx(1.0)
        signs = [CX.signs(2)[found[side][k]] for side in ("above", "below")]
        column = found["neuron"][k] + (0 if found["layer"][k] == 1 else 4)
        assert (signs[0][column], signs[1][column]) == (1, -1)


def test_vertices_and_other_words() -> None:
    found = columns("vertices")
    np.testing.assert_array_equal(found["x"], CX.vertices)
    assert (found["error"] >= 0).all()
    for wrong in ("edges", 3, None):
        with pytest.raises(InputError, match="rows are one of regions, facets, vertices"):
            table(CX, wrong)  # type: ignore[arg-type]
