"""Equality of two networks cell by cell, where cells are cut only along what keeps their outputs from agreeing.

Both networks are written over one list of functions (`joint`). Where the outputs differ there, the difference names
functions, these are made of others, and in the end of hyperplanes of the inputs. The domain is cut along one of these,
and on either side a sign is known: a function of one network becomes linear or zero, and more functions count as one.
So networks that differ locally are compared on the few cells where they differ, whatever else they are made of. Where
no hyperplane is left the difference is affine on a cell that has an interior: zero, or a difference of the functions.
The rest is a binary tree, and its leaves cover the domain.

Units that differ independently would multiply their cells. So neurons that are dead or linear on all of the domain are
looked for first (`units`), each by a tree of its own over the few neurons that it reads, and count as known from there
on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np

from ..._typing import Array, FloatArray
from ...budget import Monitor
from ...domain import Polyhedron
from ...errors import NumericalError, SolverError
from ...network.model import ReLUNetwork
from ...numerics.exact import as_fractions
from ...numerics.lp import interior_point, multipliers_without_slope
from ...numerics.rounding import NOISE, TINY, gamma
from ..allowance import Allowance
from ..bounds.everywhere import Growth
from .claims import input_ranges
from .joint import Fact, Joint, Unit
from .prove import MOST, MOST_EXACT, ROUNDING, STRICT, admitted, agrees, work
from .units import alone, suspected, translated

MOST_CELLS = 512
"""Cells that are looked at without a budget."""
MOST_AFTER = 16
"""Cells that are looked at after one that proves no equality."""
MOST_UNIT = 256
"""Cells for one neuron by itself."""
UNITS_SHARE = 0.5
"""Of the time, for neurons by themselves."""
THIN = 1e-6
"""Radius, of cells whose rows have size 1, below which floats do not tell whether there is an interior."""


@dataclass(frozen=True, eq=False)
class Splitting:
    """A tree of cells on which two networks are compared.

    Attributes
    ----------
    cells : int
        Leaves on which both are equal over shared functions.
    empty : int
        Sides of a cut without interior, shown in rationals where floats do not.
    waiting : int
        Cells that were not decided.
    where : (k, n0) float64
        Inputs inside of cells on which the difference is affine and not zero.
    functions : int
        Most functions in a list, beside inputs and 1.
    distance, allowed : float
        As for `SharedFunctions`.
    growth : Growth
        Bound of ``|f - g|`` at every input of the leaves.
    bound : (nL, n0 + 1) float64
        The same for each output over ``(|x|, 1)``.
    leaves : tuple
        Of each leaf its inequalities ``sign * row . (x, 1) >= 0``, as pairs (row, sign).
    exact : bool
    units : tuple of Unit
        Neurons whose sign was shown first, each with its own tree.
    scale : (nL, n0 + 1) float64 or 0
        What outputs are summed from at least: of a unit by itself the terms of its preactivation.
    flats : tuple
        Sides without interior: inequalities, and multipliers (rationals, not negative) whose combination has no slope
        and is not positive.
    """

    cells: int
    empty: int
    waiting: int
    where: FloatArray = field(repr=False)
    functions: int
    distance: float
    allowed: float
    growth: Growth
    bound: FloatArray = field(repr=False)
    leaves: tuple[tuple[Fact, ...], ...] = field(repr=False)
    exact: bool
    units: tuple[Unit, ...] = field(default=(), repr=False)
    flats: tuple[tuple[tuple[Fact, ...], tuple[Fraction, ...]], ...] = field(default=(), repr=False)
    scale: FloatArray | float = field(default=0.0, repr=False)

    @property
    def equal(self) -> bool:
        """Whether every cell is a leaf on which both are equal."""
        return self.cells > 0 and self.waiting == 0 and not len(self.where)


def by_splitting(
    a: ReLUNetwork,
    b: ReLUNetwork,
    *,
    tolerance: float,
    domain: Polyhedron | None = None,
    monitor: Monitor | None = None,
    most: int | None = None,
) -> Splitting | None:
    """Compare two networks on cells that are cut along their difference, or None where one list of functions takes too
    long.

    Parameters
    ----------
    a, b : ReLUNetwork
        With the same numbers of inputs and outputs; widths and depths may differ.
    tolerance : float
        As for `by_relations`.
    domain : Polyhedron, optional
        Full-dimensional; by default all of R^n.
    monitor : Monitor, optional
        Its time ends the search, with what was decided.
    most : int, optional
        Cells that are looked at; 512 without a budget.

    Notes
    -----
    Every cell costs one rewriting of both networks: 0.1 s at 6-64-64-4, 1 s in rationals. Complete where all of R^n fits into the
    limits; hyperplanes that no difference names are never cut along.

    Examples
    --------
    A neuron of layer 2 that is dead, since |x| >= x / 2, on every cell of layer 1:

    >>> import polyfiber as pf
    >>> from polyfiber.equivalence.relations.split import by_splitting
    >>> f = pf.ReLUNetwork([[[1.0], [-1.0]], [[1.0, 1.0], [-0.5, -1.5]], [[1.0, 3.0]]], [[0, 0], [0, 0], [0]])
    >>> g = pf.ReLUNetwork([[[1.0], [-1.0]], [[1.0, 1.0]], [[1.0]]], [[0, 0], [0], [0]])
    >>> by_splitting(f, g, tolerance=0).equal
    True
    """
    rounded = (
        tolerance > 0 and domain is not None and domain.A.dtype == object
    )  # facts in floats would be about another domain
    flat = domain is not None and domain.affine_hull is not None
    if work(a, b) > (MOST if tolerance else MOST_EXACT) or rounded or flat:
        return None
    if most is None:
        most = MOST_CELLS if monitor is None or monitor.left is None else 1 << 30
    found = None
    for exact in (True, False):
        if exact and tolerance > 0 and not (a.is_exact and b.is_exact):
            continue
        if found is None or not (exact or found.equal or tolerance == 0):
            search = _Search(a, b, tolerance, exact, domain, monitor)
            search.settle_units()
            search.run(most, monitor)
            found = search.result()
    rough = found is not None and found.equal and not found.exact
    if found is not None and rough and not admitted(found.bound, Allowance(a, b, tolerance, domain)):
        found = replace(found, waiting=found.waiting + 1)
    return found


class _Search:
    """Cells that wait, depth first, and what came of those that are done."""

    def __init__(
        self, a: ReLUNetwork, b: ReLUNetwork, tolerance: float, exact: bool, domain: Polyhedron | None, monitor: Monitor | None,
    ) -> None:  # fmt: skip
        self.a, self.b, self.tolerance, self.monitor, self.domain = a, b, tolerance, monitor, domain
        self.units: tuple[Unit, ...] = ()
        self.scale: FloatArray | float = 0.0  # what the outputs are summed from, at least, over (|x|, 1)
        self.flats: list[tuple[tuple[Fact, ...], tuple[Fraction, ...]]] = []
        self.exact = exact
        self.allowed = 0.0 if self.exact else min(tolerance, max(STRICT * tolerance, ROUNDING))
        self.n = a.architecture[0]
        self.box = input_ranges(domain, exact=self.exact)
        first: list[Fact] = []
        if domain is not None:
            first = [(np.append(-row, top), 1) for row, top in zip(domain.A, domain.b)]
        self.open: list[tuple[tuple[Fact, ...], FloatArray]] = []
        inside = self._interior(tuple(first))
        if inside is not None:
            self.open.append((tuple(first), inside))
        self.leaves: list[tuple[Fact, ...]] = []
        self.lost: list[tuple[Fact, ...]] = []
        self.where: list[FloatArray] = []
        self.empty, self.functions, self.distance = 0, 0, 0.0
        self.bound = np.zeros((a.architecture[-1], self.n + 1))

    def run(self, most: int, monitor: Monitor | None) -> None:
        """Look at cells until none waits, or no YES is left to find, or the time is up."""
        after = 0
        for _ in range(most):
            after += bool(self.lost or self.where)  # no YES any more; a few cells for a clearer difference
            if not self.open or after > MOST_AFTER or (monitor is not None and monitor.late):
                break
            self.step()

    def settle_units(self) -> None:
        """Show signs of neurons that keep the outputs from agreeing, lower layers first, each by a tree over what it
        reads.
        """
        clock = None if self.monitor is None else Monitor(self.monitor.rest(UNITS_SHARE))
        tried: set[tuple[int, int, int]] = set()
        nets = self.a, self.b
        while self.open:
            joint = self._rewritten(self.open[0][0])
            if joint is None or self._agrees(joint):
                return
            if not self.exact and not np.any(self.scale):  # a cell on which both are zero has no terms of its own
                self.scale = joint.magnitude
            fresh = [u for u in suspected(joint, nets, self.domain) if u[:3] not in tried]
            if not fresh:
                return
            layer = min(u[1] for u in fresh)
            before = len(self.units)
            for u in fresh:
                if u[1] != layer or (clock is not None and clock.late):
                    continue
                tried.add(u[:3])
                found = self._unit(*u, clock)
                if found is not None:
                    self.units = (*self.units, found)
            if len(self.units) == before and (clock is not None and clock.late):
                return

    def _unit(self, k: int, l: int, j: int, sign: int, clock: Monitor | None) -> Unit | None:
        """The sign of one neuron on the domain, or None: ``relu(-sign z)`` against zero."""
        net, kept = alone((self.a, self.b)[k], l, j, -sign)
        zero = ReLUNetwork([0 * net.weights[0][:1]], [0 * net.biases[0][:1]])
        part = None if clock is None else Monitor(clock.rest(0.5))
        search = _Search(net, zero, self.tolerance, self.exact, self.domain, part)
        search.units = translated(self.units, k, kept)
        if not self.exact:
            terms = np.eye(self.n + 1)
            for W, b in zip(net.weights, net.biases):
                terms = np.vstack([np.concatenate([np.abs(W), np.abs(b)[:, None]], axis=1) @ terms, terms[-1:]])
            search.scale = terms[:-1]
        search.run(MOST_UNIT, part)
        found = search.result()
        return Unit(k, l, j, sign, found.bound[0], found) if found.equal else None

    def step(self) -> None:
        """Look at one cell: a leaf, a difference, or two cells."""
        facts, inside = self.open.pop()
        joint = self._rewritten(facts)
        if joint is None:
            self.lost.append(facts)
            return
        if self._agrees(joint):
            self._leaf(facts, joint, joint.distance, joint.bound)
            return
        row = _cut(joint, self.monitor)
        if row is None:  # affine on the cell
            bound = None if self.exact else self._within(facts, joint)
            if bound is None:
                self.where.append(_steep(joint, facts, inside))
            else:
                self._leaf(facts, joint, self.allowed, bound)
            return
        if any(_same(row, fact) for fact, _ in facts):  # floats do not know it again
            self.lost.append(facts)
            return
        value = _value(row, inside)
        for sign in (1, -1):
            child = (*facts, (row, sign))
            point: FloatArray | None = inside
            if not sign * value > 0:
                point = self._interior(child)
            if point is None:
                self.empty += 1
            else:
                self.open.append((child, point))
        self._report()

    def _agrees(self, joint: Joint) -> bool:
        if self.exact:
            return joint.equal
        joint.magnitude = np.maximum(joint.magnitude, self.scale)
        return agrees(joint, self.tolerance, self.allowed)

    def _leaf(self, facts: tuple[Fact, ...], joint: Joint, distance: float, bound: FloatArray) -> None:
        self.leaves.append(facts)
        self.functions = max(self.functions, joint.size - self.n - 1)
        self.distance = max(self.distance, distance)
        self.bound = np.maximum(self.bound, bound)

    def _within(self, facts: tuple[Fact, ...], joint: Joint) -> FloatArray | None:
        """Bound of the difference where it is affine and small on the cell, as on cells that rounding alone keeps from
        being flat.
        """
        difference = joint.difference[:, : self.n + 1]
        rows = [[sign * v for v in as_fractions(row)] for row, sign in facts]
        for share in (NOISE, self.allowed):  # rounding alone, most often
            size = share * joint.magnitude
            bound = size + joint.slack + gamma(2) * np.abs(difference)  # the subtraction itself is rounded
            within = bound <= self.tolerance * joint.magnitude.max(axis=1)[:, None]
            if not (within.all() and np.isfinite(bound).all()):
                return None
            if all(at_most(rows, d, s) and at_most(rows, -d, s) for d, s in zip(difference, size)):
                return bound
        return None

    def _rewritten(self, facts: tuple[Fact, ...]) -> Joint | None:
        if self.exact:
            return Joint(self.a, self.b, tolerance=0.0, facts=facts, box=self.box, units=self.units)
        with np.errstate(all="ignore"):
            try:
                return Joint(self.a, self.b, tolerance=self.allowed, facts=facts, box=self.box, units=self.units)
            except NumericalError:  # numbers that floats do not hold when rows are scaled
                return None

    def _interior(self, facts: tuple[Fact, ...]) -> FloatArray | None:
        """A point inside of a cell; None where there is none, by floats or, where these are unsure, by rationals."""
        if not facts:
            return np.zeros(self.n)
        rows = [_scaled(row, sign) for row, sign in facts]
        table = np.array(rows)
        try:
            found = interior_point(-table[:, :-1], table[:, -1])
        except SolverError:
            found = None
        if found is not None and found[1] > THIN and bool((table[:, :-1] @ found[0] + table[:, -1] > 0).all()):
            return found[0]
        shown = multipliers_without_slope([[sign * v for v in as_fractions(row)] for row, sign in facts])
        if shown is not None:
            self.flats.append((facts, shown))
            return None
        return found[0] if found is not None else np.zeros(self.n)

    def _report(self) -> None:
        if self.monitor is not None:
            self.monitor.report("comparing cells along the difference", len(self.leaves), None, waiting=len(self.open))

    def result(self) -> Splitting:
        """What was found so far."""
        growth = Growth(float(self.bound[:, -1].max()), float(self.bound[:, :-1].sum(axis=1).max() * (1 + 1e-12)))
        return Splitting(
            len(self.leaves), self.empty, len(self.open) + len(self.lost),
            np.array(self.where).reshape(-1, self.n), self.functions, self.distance, self.allowed, growth, self.bound,
            tuple(self.leaves), self.exact, self.units, tuple(self.flats), self.scale,
        )  # fmt: skip


def _scaled(row: Array, sign: int) -> FloatArray:
    """An inequality in floats, its largest slope 1."""
    fractions = [Fraction(v) for v in row]
    size = max((abs(v) for v in fractions[:-1]), default=Fraction(0)) or Fraction(1)
    return np.array([float(sign * v / size) for v in fractions])


def _value(row: Array, x: FloatArray) -> float:
    scaled = _scaled(row, 1)
    value = float(scaled[:-1] @ x + scaled[-1])
    return value if abs(value) > THIN else 0.0


def _same(row: Array, other: Array) -> bool:
    p, q = _scaled(row, 1), _scaled(other, 1)
    return bool((p == q).all() or (p == -q).all())


def at_most(rows: list[list[Fraction]], d: FloatArray, s: FloatArray) -> bool:
    """Whether ``d . (x, 1) <= s . (|x|, 1)`` where all ``row . (x, 1) >= 0``: multipliers by floats, checked in
    rationals.

    Nonnegative multipliers l with ``|d + sum l row| <= s`` in the slopes and ``d + sum l row <= s`` in the constant
    prove it.
    """
    from scipy.optimize import nnls

    if not rows or not (np.abs(d) > s).any():
        return bool((np.abs(d) <= s).all())
    scale = [max(abs(v) for v in row) for row in rows]
    table = np.array([[float(v / top) for v in row] for row, top in zip(rows, scale)] + [[0.0] * (len(d) - 1) + [1.0]])
    weight = 1.0 / np.maximum(s, TINY + 1e-12 * np.abs(d).max())
    try:
        found, _ = nnls((table * weight).T, -d * weight)
    except RuntimeError:  # no end within its limit
        return False
    multipliers = [Fraction(float(v)) / top for v, top in zip(found, scale)]
    total = [
        Fraction(float(v)) + sum((m * row[k] for m, row in zip(multipliers, rows)), Fraction(0))
        for k, v in enumerate(d)
    ]
    slopes = all(abs(v) <= Fraction(float(top)) for v, top in zip(total[:-1], s))
    return slopes and total[-1] <= Fraction(float(s[-1]))


def _steep(joint: Joint, facts: tuple[Fact, ...], inside: FloatArray) -> FloatArray:
    """Of the points near one of a cell that which an affine difference is largest at."""
    rows = np.array([_scaled(row, sign) for row, sign in facts]).reshape(-1, joint.n + 1)
    distance = (rows[:, :-1] @ inside + rows[:, -1]) / np.sqrt((rows[:, :-1] ** 2).sum(axis=1))
    radius = 0.5 * float(distance.min(initial=1.0))
    points = np.concatenate([inside[None], inside + radius * np.eye(joint.n), inside - radius * np.eye(joint.n)])
    d = np.array([_scaled(row, 1) for row in joint.difference[:, : joint.n + 1]])
    values = np.abs(points @ d[:, :-1].T + d[:, -1]).max(axis=1)
    return np.asarray(points[int(np.argmax(values))])


# ---- where to cut ------------------------------------------------------------------------------------------------------


def _cut(joint: Joint, monitor: Monitor | None) -> Array | None:
    """The hyperplane of the inputs that most of what differs is made of; None where no function is left to cut
    along.
    """
    differing = joint.differing()
    votes: dict[int, float] = {}
    for names in _disagreements(joint, differing):
        if votes and monitor is not None and monitor.late:
            break  # any cut is right, and the next cell is not begun
        flat = list(_hyperplanes(joint, names))
        for h in flat:
            votes[h] = votes.get(h, 0.0) + 1.0 / len(flat)
    if not votes:
        return None
    best = max(votes, key=lambda h: (votes[h], -h))
    return np.asarray(joint.heads[best][: joint.n + 1])


def _disagreements(joint: Joint, differing: list[int]) -> Iterator[list[int]]:
    """For each differing function the functions in which its form departs from that of the nearest other one, or all of
    its own.
    """
    for h in differing:
        own = joint.made_of(h)
        apart = [joint.apart(h, other) for other in differing if other != h]
        near = min(apart, key=len, default=own)
        names = near if near and len(near) < len(own) else own
        yield names or [h]


def _hyperplanes(joint: Joint, names: list[int]) -> Iterator[int]:
    """Heads over the inputs alone that these are made of, themselves included."""
    seen: set[int] = set()
    todo = list(names)
    while todo:
        h = todo.pop()
        if h in seen:
            continue
        seen.add(h)
        below = joint.made_of(h)
        if below:
            todo.extend(below)
        else:
            yield h
