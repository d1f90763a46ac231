"""Cells of a splitting: what is missing, cut apart or flat in words alone proves nothing."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.equivalence.checks.cells import bound_on_cells
from polyfiber.equivalence.checks.functions import Unproved
from polyfiber.equivalence.relations.split import by_splitting
from polyfiber.numerics.floats import upward

from ..relations.test_split import both_off


@pytest.mark.parametrize("exactly", [False, True])
def test_cells_hold_as_found_and_not_with_less(exactly: bool) -> None:
    f, g = (net if exactly else net.rounded() for net in (both_off(5), both_off(7)))
    found = by_splitting(f, g, tolerance=0.0 if exactly else 1e-9)
    assert found is not None
    assert found.equal
    assert found.cells > 1
    bound = upward(bound_on_cells(f, g, found))
    assert (bound <= found.bound).all()
    assert not (exactly and bound.any())
    for gone in range(found.cells):
        leaves = (*found.leaves[:gone], *found.leaves[gone + 1 :])
        with pytest.raises(Unproved):
            bound_on_cells(f, g, replace(found, leaves=leaves))
    for cell in found.leaves:  # a leaf that has an interior is not flat, whatever the multipliers
        others = tuple(c for c in found.leaves if c is not cell)
        multipliers = (Fraction(1),) * len(cell)
        with pytest.raises(Unproved):
            bound_on_cells(f, g, replace(found, leaves=others, flats=(*found.flats, (cell, multipliers))))


def test_networks_that_differ_on_one_cell() -> None:
    """The cells of an equal pair, for another network: its difference is bounded by no zero."""
    f, g = both_off(5), both_off(7)
    found = by_splitting(f, g, tolerance=0)
    assert found is not None
    other = pf.ReLUNetwork(g.weights, [*g.biases[:2], [Fraction(1, 10**6)]])
    assert (bound_on_cells(f, other, found) != 0).any()


def test_on_a_domain_its_inequalities_come_first() -> None:
    f = pf.ReLUNetwork([[[1.0]], [[1.0]]], [[0.0], [0.0]])
    g = pf.ReLUNetwork([np.ones((1, 1))], [[0.0]])
    half = pf.Polyhedron([[-1.0]], [0.0])
    found = by_splitting(f, g, tolerance=0, domain=half)
    assert found is not None
    assert found.equal
    assert not (bound_on_cells(f, g, found, domain=half) != 0).any()
    with pytest.raises(Unproved):
        bound_on_cells(f, g, found)
    with pytest.raises(Unproved):
        bound_on_cells(f, g, found, domain=pf.Polyhedron([[1.0]], [0.0]))
