"""Pairs that differ by units which need the image of layer 1; cells are cut only where these change."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.equivalence.checks.cells import bound_on_cells
from polyfiber.equivalence.grounds import SplitCells
from polyfiber.equivalence.relations.split import by_splitting
from polyfiber.errors import NumericalError
from polyfiber.numerics.floats import upward
from scripts.attacks.equivalence.splitting import attack, with_units


@pytest.mark.parametrize(("part", "count"), [("small", 12), ("planted", 4)])
def test_attack_finds_nothing(part: str, count: int) -> None:
    cases = attack(part, 3, count=count)
    assert not [c["seed"] for c in cases if c["wrong"]]
    assert sum("YES" in c["said"] or "NO" in c["said"] for c in cases) > 0.6 * count


@pytest.mark.parametrize("exactly", [False, True])
def test_wide_pair_beyond_enumeration(exactly: bool) -> None:
    rng = np.random.default_rng(4)
    f = pf.ReLUNetwork.random((6, 16, 16, 3), rng=0).exact()
    g, _ = with_units(f, rng, None)
    h, _where = with_units(f, rng, Fraction(1, 1000))
    tolerance = 0.0 if exactly else 1e-9
    a, b, c = (f, g, h) if exactly else (f.rounded(), g.rounded(), h.rounded())
    same = by_splitting(a, b, tolerance=tolerance)
    assert same is not None
    assert same.equal
    assert same.units
    assert sum(u.proof.cells for u in same.units) > 1
    other = by_splitting(a, c, tolerance=tolerance)
    assert other is not None
    assert not other.equal
    assert len(other.where)
    x = other.where[0]
    assert np.abs(a.rounded()(x) - c.rounded()(x)).max() > 0


def both_off(c: int) -> pf.ReLUNetwork:
    """``relu(relu(x) + relu(x - 1) - c relu(-x - 2) - 1) + 1``, the same for every c > 0: the unit bends, so it has no sign of its own."""
    rows = [[[1], [1], [-1]], [[1, 1, -c]], [[1]]]
    return pf.ReLUNetwork(rows, [[0, -1, -2], [-1], [1]]).exact()


@pytest.mark.parametrize("exactly", [False, True])
@pytest.mark.parametrize("count", [2, 4])
def test_cells_of_independent_units_do_not_multiply(count: int, exactly: bool) -> None:
    """Each unit needs several cells: together they would need as many as the product."""
    rng = np.random.default_rng(6)
    f = g = pf.ReLUNetwork.random((4, 8, 8, 2), rng=0).exact()
    for _ in range(count):
        g, _ = with_units(g, rng, None)
    h, _ = with_units(g, rng, Fraction(1, 1000))
    a, b, c = (f, g, h) if exactly else (f.rounded(), g.rounded(), h.rounded())
    found = by_splitting(a, b, tolerance=0.0 if exactly else 1e-9, most=8)
    assert found is not None
    assert found.equal
    assert found.exact == exactly
    bound = bound_on_cells(a, b, found)
    assert bool((bound != 0).any()) != exactly
    assert (upward(bound) <= found.bound * (1 + 1e-9)).all()
    assert not by_splitting(a, c, tolerance=0.0 if exactly else 1e-9, most=8).equal  # type: ignore[union-attr]


def test_answer_and_both_roads() -> None:
    """Enumeration is confirmed by splitting, splitting by enumeration."""
    f = pf.ReLUNetwork.random((2, 6, 5, 1), rng=1).exact()
    g, _ = with_units(f, np.random.default_rng(0), None)
    answer = pf.are_equivalent(f, g, tolerance=0.0)
    assert (answer.verdict, answer.method) == (pf.Verdict.YES, "splitting")
    check = answer.recheck()
    assert check.verdict is pf.Verdict.YES
    assert check.found_by == "splitting"
    by_cells = pf.are_equivalent(f.rounded(), g.rounded(), method="regions")
    assert by_cells.verdict is pf.Verdict.YES
    assert by_cells.recheck().verdict is pf.Verdict.YES


def test_leaves_cover_the_plane() -> None:
    f = pf.ReLUNetwork.random((2, 6, 5, 1), rng=1).exact()
    g, _ = with_units(f, np.random.default_rng(0), None)
    found = by_splitting(f, g, tolerance=0)
    assert found is not None
    assert found.equal
    assert found.leaves == ((),)
    (tree,) = (u.proof for u in found.units)
    assert tree.cells > 2
    for x in np.random.default_rng(0).standard_normal((200, 2)) * 10:
        point = [*(Fraction(float(v)) for v in x), Fraction(1)]
        inside = [
            all(s * sum(p * Fraction(v) for p, v in zip(point, row)) >= 0 for row, s in leaf) for leaf in tree.leaves
        ]
        assert sum(inside) == 1


def test_on_a_domain() -> None:
    """A unit that bends outside of the domain alone makes no difference there."""
    f = pf.ReLUNetwork([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0]], [[1.0]]], [[0, 0], [0], [0]])
    g = pf.ReLUNetwork([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0], [1.0, 1.0]], [[1.0, 1.0]]], [[0, 0], [0, -9], [0]])
    triangle = pf.Polyhedron([[-1.0, 0], [0, -1], [1, 1]], [1.0, 1, 2])
    assert not by_splitting(f, g, tolerance=0).equal  # type: ignore[union-attr]
    assert by_splitting(f, g, tolerance=0, domain=triangle).equal  # type: ignore[union-attr]
    assert by_splitting(f, g, tolerance=1e-9, domain=triangle).equal  # type: ignore[union-attr]
    assert by_splitting(f, g, tolerance=0, domain=pf.Box([0, 0], [0, 1])) is None  # a flat is the business of others


def test_what_is_left_out_is_no_ground() -> None:
    with pytest.raises(NumericalError, match="proves no equality"):
        SplitCells(5, 0.0, 0.0, 0.0, 0.0, cells=3, waiting=1, suspects=0, empty=0)
    with pytest.raises(NumericalError, match="proves no equality"):
        SplitCells(5, 0.0, 0.0, 0.0, 0.0, cells=3, waiting=0, suspects=2, empty=0)
    found = by_splitting(both_off(5), both_off(7), tolerance=0, most=1)
    assert found is not None
    assert not found.equal
    assert found.waiting > 0
