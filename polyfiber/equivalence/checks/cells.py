"""Check in rationals what was shown on cells: that they cover the domain, and on each that both networks are what the
claims say.

The matrices of a leaf are found by the code of the answer (`relations.joint`) again, and only believed once `functions`
has multiplied them out; that the cells cover the domain is seen from how they were cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from ..._typing import Array
from ...budget import heed
from ...domain import Polyhedron
from ...errors import NumericalError
from ...network.model import ReLUNetwork
from ...numerics.exact import as_fractions
from ...numerics.floats import upward
from ...numerics.rounding import NOISE
from ..relations.claims import Claims, input_ranges
from ..relations.joint import Joint, Unit
from ..relations.split import Splitting, at_most
from ..relations.units import alone, translated
from .functions import Proved, Unproved, proved


def bound_on_cells(a: ReLUNetwork, b: ReLUNetwork, shown: Splitting, *, domain: Polyhedron | None = None) -> Array:
    """What ``|f - g|`` is at most on the domain, over ``(|x|, 1)``, by the cells of a splitting; zeros prove that both
    are the same function.

    Parameters
    ----------
    a, b : ReLUNetwork
    shown : Splitting
        Its leaves, sides without interior and units are all checked; the matrices of a leaf are found again, and
        multiplied out.

    Raises
    ------
    Unproved
        The cells do not cover the domain, or something on one of them does not hold.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.equivalence.relations.split import by_splitting
    >>> f = pf.ReLUNetwork([[[1.0], [-1.0]], [[1.0, 1.0], [-0.5, -1.5]], [[1.0, 3.0]]], [[0, 0], [0, 0], [0]])
    >>> g = pf.ReLUNetwork([[[1.0], [-1.0]], [[1.0, 1.0]], [[1.0]]], [[0, 0], [0], [0]])
    >>> print(*bound_on_cells(f, g, by_splitting(f, g, tolerance=0)).ravel())
    0 0
    """
    first: tuple[Any, ...] = ()
    if domain is not None:
        first = tuple((np.append(-row, top), 1) for row, top in zip(domain.A, domain.b))
    _covered(first, [*shown.leaves], [*shown.flats])
    units: list[Unit] = []
    for unit in shown.units:  # lower layers first: each may rest on those before it
        net, kept = alone((a, b)[unit.network], unit.layer, unit.neuron, -unit.sign)
        zero = ReLUNetwork([0 * net.weights[0][:1]], [0 * net.biases[0][:1]])
        if unit.proof is None or not unit.proof.equal:
            raise Unproved("a unit has no proof")
        own = replace(unit.proof, units=translated(units, unit.network, kept))
        units.append(replace(unit, bound=upward(_on_leaves(net, zero, own, domain, first))[0]))
    return _on_leaves(a, b, replace(shown, units=tuple(units)), domain, None)


def _on_leaves(
    a: ReLUNetwork, b: ReLUNetwork, shown: Splitting, domain: Polyhedron | None, first: tuple[Any, ...] | None
) -> Array:
    """The same with units that have been checked; the cover too, where the inequalities of the domain are given."""
    if first is not None:
        _covered(first, [*shown.leaves], [*shown.flats])
    box = input_ranges(domain, exact=shown.exact)
    bound: Array = np.full((b.architecture[-1], a.architecture[0] + 1), Fraction(0), dtype=object)
    for facts in shown.leaves:
        heed("checking cells")
        with np.errstate(all="ignore"):
            try:
                joint = Joint(
                    a, b, tolerance=0.0 if shown.exact else shown.allowed, facts=facts, box=box, units=shown.units
                )
            except NumericalError as error:
                raise Unproved(str(error)) from None
        found = proved(a, b, Claims.of(joint), box=input_ranges(domain, exact=True))
        sizes = [
            None
            if shown.exact
            else [np.maximum(joint.magnitude, shown.scale)[i] * share for share in (NOISE, shown.allowed)]
            for i in range(len(bound))
        ]
        bound = np.maximum(bound, np.array([_on_leaf(found, i, facts, s) for i, s in enumerate(sizes)], dtype=object))
    return bound


def _on_leaf(found: Proved, i: int, facts: Sequence[Any], sizes: Any) -> Array:
    """Of one output on one cell: as it is, or, where the difference is affine and small, one of the sizes that
    multipliers of the inequalities show.
    """
    difference, n = found.difference[i], found.slack.shape[1] - 1
    plain = found.size(i)
    if not difference or max(difference) > n or not sizes:
        return plain
    d = upward(np.array([difference.get(k, Fraction(0)) for k in range(n + 1)], dtype=object))
    rest = np.array([abs(difference.get(k, Fraction(0)) - Fraction(float(d[k]))) for k in range(n + 1)], dtype=object)
    rows = [[sign * v for v in as_fractions(row)] for row, sign in facts]
    for size in sizes:
        if (np.abs(d) > size).any() and at_most(rows, d, size) and at_most(rows, -d, size):
            return np.minimum(plain, as_fractions(size) + rest + found.slack[i])
    return plain


def _covered(prefix: tuple[Any, ...], leaves: list[Any], flats: list[Any]) -> None:
    """Whether cells are the leaves of cuts in two of the prefix, but for sides that have no interior."""
    for cell in (*leaves, *(cell for cell, _ in flats)):
        if len(cell) < len(prefix) or any(not _cut_by(own, *fact) for own, fact in zip(cell, prefix)):
            raise Unproved("a cell is none of the domain")
    todo = [(prefix, leaves, flats)]
    while todo:
        prefix, leaves, flats = todo.pop()
        depth = len(prefix)
        here = [cell for cell in leaves if len(cell) == depth] + [cell for cell, _ in flats if len(cell) == depth]
        if here:
            if len(leaves) + len(flats) != 1:
                raise Unproved("a cell is cut and is none")
            if flats:
                _without_interior(*flats[0])
            continue
        if not leaves and not flats:
            raise Unproved("cells do not cover the domain")
        row = (leaves[0] if leaves else flats[0][0])[depth][0]
        for sign in (1, -1):
            own = [c for c in leaves if _cut_by(c[depth], row, sign)]
            other = [c for c in flats if _cut_by(c[0][depth], row, sign)]
            todo.append(((*prefix, (row, sign)), own, other))
        if any(not np.array_equal(c[depth][0], row) for c in (*leaves, *(c for c, _ in flats))):
            raise Unproved("cells are cut along different hyperplanes")


def _cut_by(fact: Any, row: Array, sign: int) -> bool:
    return fact[1] == sign and np.array_equal(fact[0], row)


def _without_interior(facts: Sequence[Any], multipliers: Sequence[Fraction]) -> None:
    rows = [[sign * v for v in as_fractions(row)] for row, sign in facts]
    total = [sum((m * row[k] for m, row in zip(multipliers, rows)), Fraction(0)) for k in range(len(rows[0]))]
    if len(multipliers) != len(rows) or any(m < 0 for m in multipliers) or not sum(multipliers) > 0:
        raise Unproved("multipliers are negative, or none")
    if any(total[:-1]) or total[-1] > 0:
        raise Unproved("a side that was left out has an interior")
