"""Invariants of any stratification: what its order and the classes of its strata say.

Möbius function, intervals, links and the homology of the order complex need the order alone; Euler characteristics with
compact support and E-polynomials need a class for each stratum. Faces of complexes and rank strata are both
`polyfiber.strata.Stratification`, and nothing here knows which of them it is given.

Sources: G.-C. Rota, "On the foundations of combinatorial theory I" (1964); P. Hall (1936) for the Möbius function as a
reduced Euler characteristic; R. E. Stong, "Finite topological spaces" (1966) for taking beat points away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ._typing import BoolArray, IntArray
from ._values.checked import flag, id_within, ids_within, shown, whole
from .budget import Budget, Monitor
from .errors import BudgetExceededError, InputError
from .numerics.smith import Column, Homology, homology_of
from .strata import Stratification

__all__ = [
    "ClassPolynomial", "IntervalInvariants", "cell_classes", "chain_counts", "e_polynomial", "interval_invariants", "link",
    "moebius", "moebius_from", "order_homology",
]  # fmt: skip

MOST_STRATA = 20_000
"""Strata of one interval or order complex: their order is held as a square table of bits."""


@dataclass(frozen=True)
class ClassPolynomial:
    """An integer polynomial in q, the size of a field; lowest power first.

    Examples
    --------
    The invertible 1 x 1 matrices: q - 1 of them; two half-lines over the reals, whose Euler characteristic with compact
    support is -2; over the complex numbers a punctured plane.

    >>> units = ClassPolynomial((-1, 1))
    >>> print(units, units(2), units.real_euler, units.complex_euler)
    q - 1 1 -2 0
    """

    coefficients: tuple[int, ...]

    def __post_init__(self) -> None:
        kept = list(self.coefficients)
        while kept and not kept[-1]:
            kept.pop()
        object.__setattr__(self, "coefficients", tuple(int(v) for v in kept))

    def __call__(self, q: int) -> int:
        """The value at an integer, for instance the number of points over the field with q elements."""
        return sum(c * int(q) ** k for k, c in enumerate(self.coefficients))

    def __add__(self, other: ClassPolynomial) -> ClassPolynomial:
        a, b = self.coefficients, other.coefficients
        n = max(len(a), len(b))
        return ClassPolynomial(tuple(x + y for x, y in zip(a + (0,) * (n - len(a)), b + (0,) * (n - len(b)))))

    @property
    def degree(self) -> int:
        """Largest power, the dimension; -1 of zero."""
        return len(self.coefficients) - 1

    @property
    def real_euler(self) -> int:
        """Euler characteristic with compact support of the real points: the value at -1."""
        return self(-1)

    @property
    def complex_euler(self) -> int:
        """Euler characteristic of the complex points: the value at 1."""
        return self(1)

    def __str__(self) -> str:
        terms = []
        for k in range(self.degree, -1, -1):
            c = self.coefficients[k]
            if c:
                power = "" if k == 0 else "q" if k == 1 else f"q^{k}"
                size = power if abs(c) == 1 and k else f"{abs(c)}{power}"
                terms.append((" - " if c < 0 else " + ") + size)
        text = "".join(terms)
        return ("-" if text.startswith(" - ") else "") + text[3:] if text else "0"


def cell_classes(strata: Stratification) -> list[ClassPolynomial]:
    """Classes of strata that are open cells: ``q^dim`` each, so that the real Euler characteristic is ``(-1)^dim``.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.invariants import cell_classes, e_polynomial
    >>> strata = pf.canonical_complex(pf.ReLUNetwork.random((2, 3, 1), rng=0)).strata
    >>> e_polynomial(cell_classes(strata)).real_euler      # the plane: (-1)^2
    1
    """
    return [ClassPolynomial((0,) * int(d) + (1,)) for d in _poset(strata).dim]


def e_polynomial(classes: Sequence[ClassPolynomial], ids: Any = None) -> ClassPolynomial:
    """Class of a union of strata: the sum of theirs.

    Parameters
    ----------
    classes : sequence of ClassPolynomial
        One a stratum: `cell_classes`, or `RankStratification.classes`.
    ids : ids, optional
        Which strata; all by default. For a closure pass ``strata.closure(i)``.

    Examples
    --------
    >>> from polyfiber.invariants import ClassPolynomial, e_polynomial
    >>> print(e_polynomial([ClassPolynomial((-1, 1)), ClassPolynomial((1,))]))
    q
    """
    if not (isinstance(classes, Sequence) and all(isinstance(c, ClassPolynomial) for c in classes)):
        raise InputError(f"expected a list of ClassPolynomial, found {shown(classes)}")
    chosen = range(len(classes)) if ids is None else np.unique(ids_within(ids, len(classes), "strata")).tolist()
    total = ClassPolynomial(())
    for i in chosen:
        total = total + classes[i]
    return total


# ---- Möbius function --------------------------------------------------------------------------------


def moebius_from(
    strata: Stratification, lower: int | None, ids: Any = None, *, budget: Budget | None = None
) -> dict[int, int]:
    """Möbius function ``mu(lower, j)`` for every stratum j at or above ``lower``.

    Parameters
    ----------
    strata : Stratification
    lower : int or None
        None: a formal element below everything.
    ids : ids, optional
        Only these j, and what lies between.

    Raises
    ------
    BudgetExceededError
        More than 20 000 strata are involved.

    Examples
    --------
    Subsets of a set of three elements: ``(-1)^size``.

    >>> import itertools, numpy as np
    >>> from polyfiber.invariants import moebius_from
    >>> from polyfiber.strata import RankOrder, Stratification
    >>> sets = np.array(sorted(itertools.product([0, 1], repeat=3), key=sum), np.int16)
    >>> cube = Stratification(sets, sets.sum(axis=1), order=RankOrder(), ambient_dim=3)
    >>> list(moebius_from(cube, 0).values())
    [1, -1, -1, -1, 1, 1, 1, -1]
    """
    monitor = Monitor(budget)
    lower = None if lower is None else id_within(lower, _poset(strata).n, "stratum")
    up = np.arange(_poset(strata).n) if lower is None else strata.upper_set(lower)
    if ids is not None:
        wanted = np.unique(ids_within(ids, strata.n, "strata"))
        below = np.zeros(strata.n, dtype=bool)
        for j in wanted:
            below[strata.lower_set(int(j))] = True
        up = up[below[up]]
    _within(len(up))
    values: list[int] = []
    known = np.zeros(len(up), dtype=object)
    for at, j in enumerate(up):
        monitor.check_time("the Möbius function", partial=dict(zip(up[:at].tolist(), values)))
        if lower is not None and int(j) == int(lower):
            value = 1
        else:
            under = strata.leq(up[:at], np.int64(j)) if at else np.zeros(0, dtype=bool)
            value = -int(known[:at][under].sum()) - (1 if lower is None else 0)
        values.append(value)
        known[at] = value
    return dict(zip(up.tolist(), values))


def moebius(strata: Stratification, lower: int | None, upper: int | None, *, budget: Budget | None = None) -> int:
    """Möbius function of one interval; 0 where ``lower`` is not at or below ``upper``.

    Parameters
    ----------
    strata : Stratification
    lower, upper : int or None
        None: a formal bottom or top. ``moebius(strata, None, None)`` is the reduced Euler characteristic of the order
        complex.

    Examples
    --------
    The two axes of ``w_2 w_1 = 0``: under a formal top the interval over the origin has two elements between.

    >>> import polyfiber as pf
    >>> from polyfiber.invariants import moebius
    >>> moebius(pf.linear.stratify((1, 1, 1), rank=0).strata, 0, None)
    1
    """
    lower, upper = (None if i is None else id_within(i, _poset(strata).n, "stratum") for i in (lower, upper))
    if upper is None:
        table = moebius_from(strata, lower, budget=budget)
        return -sum(table.values()) - (1 if lower is None else 0)
    if lower is not None and not strata.leq(lower, upper):
        return 0
    return moebius_from(strata, lower, [upper], budget=budget)[int(upper)]


# ---- intervals and links ----------------------------------------------------------------------------


@dataclass(frozen=True)
class IntervalInvariants:
    """What the order says about the interval between two strata.

    Attributes
    ----------
    lower, upper : int
    size : int
        Strata in the closed interval.
    moebius : int
    shortest, longest : int
        Covers in a shortest and a longest maximal chain.
    chains : int
        Number of maximal chains.
    eulerian : bool
        Whether ``mu = (-1)^length`` on the interval and all its intervals, which are graded. So are those of a
        polytope's faces.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.invariants import interval_invariants
    >>> strata = pf.canonical_complex(pf.ReLUNetwork.random((2, 3, 1), rng=0)).strata
    >>> found = interval_invariants(strata, 0, int(strata.star(0)[-1]))
    >>> found.size, found.moebius, found.is_graded
    (4, 1, True)
    """

    lower: int
    upper: int
    size: int
    moebius: int
    shortest: int
    longest: int
    chains: int
    eulerian: bool

    @property
    def is_graded(self) -> bool:
        """Whether all maximal chains have one length."""
        return self.shortest == self.longest


def interval_invariants(
    strata: Stratification, lower: int, upper: int, *, budget: Budget | None = None
) -> IntervalInvariants:
    """Möbius function, chains and whether the interval is Eulerian.

    Raises
    ------
    InputError
        ``lower`` does not lie in the closure of ``upper``.

    Examples
    --------
    Between a vertex and a region of a generic arrangement in the plane lie two edges.

    >>> import polyfiber as pf
    >>> from polyfiber.invariants import interval_invariants
    >>> strata = pf.canonical_complex(pf.ReLUNetwork.random((2, 3, 1), rng=0)).strata
    >>> found = interval_invariants(strata, 0, int(strata.star(0)[-1]))
    >>> found.moebius, found.size, found.chains, found.eulerian
    (1, 4, 2, True)
    """
    lower, upper = (id_within(i, _poset(strata).n, "stratum") for i in (lower, upper))
    ids = strata.interval(lower, upper)
    if not len(ids):
        raise InputError(f"stratum {lower} does not lie in the closure of stratum {upper}: the interval is empty")
    monitor = Monitor(budget)
    below = _order(strata, ids, monitor)
    covers = _covers(below)
    n = len(ids)
    short, long, ways = [0] * n, [0] * n, [1] * n
    for k in range(1, n):
        short[k] = 1 + min(short[c] for c in covers[k])
        long[k] = 1 + max(long[c] for c in covers[k])
        ways[k] = sum(ways[c] for c in covers[k])
    value, eulerian = 0, True
    for i in range(n):
        monitor.check_time("an interval")
        mu, height = {i: 1}, {i: 0}
        for j in range(i + 1, n):
            if not below[j] >> i & 1:
                continue
            mu[j] = -sum(v for k, v in mu.items() if below[j] >> k & 1)
            steps = {height[c] for c in covers[j] if c in height}
            height[j] = 1 + max(steps)
            eulerian &= len(steps) == 1 and mu[j] == (-1) ** height[j]
        if i == 0:
            value = mu[n - 1]
        if not eulerian:
            break
    return IntervalInvariants(int(lower), int(upper), n, value, short[-1], long[-1], ways[-1], eulerian)


def link(strata: Stratification, i: int, side: Literal["above", "below", "both"] = "both") -> IntArray:
    """Strata that are comparable with stratum i and are not i: those above, those below, or both; ascending ids.

    The order complex of what lies above is the link of the stratum in the whole; of what lies below, its frontier.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.invariants import link
    >>> strata = pf.canonical_complex(pf.ReLUNetwork([[[1.0]], [[1.0]]], [[0.0], [0.0]])).strata
    >>> link(strata, 0).tolist()
    [1, 2]
    """
    if not (isinstance(side, str) and side in ("above", "below", "both")):
        raise InputError(f"side {shown(side)} is unknown; expected 'above', 'below' or 'both'")
    i = id_within(i, _poset(strata).n, "stratum")
    parts = [strata.upper_set(i)] if side != "below" else []
    parts += [strata.lower_set(i)] if side != "above" else []
    found = np.unique(np.concatenate(parts))
    result: IntArray = found[found != i]
    return result


# ---- the order complex ------------------------------------------------------------------------------


def chain_counts(strata: Stratification, ids: Any = None, *, budget: Budget | None = None) -> tuple[int, ...]:
    """Simplices of the order complex by dimension: chains of 1, 2, … strata.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.invariants import chain_counts
    >>> chain_counts(pf.linear.stratify((1, 1, 1), rank=0).strata)
    (3, 2)
    """
    chosen = _chosen(strata, ids)
    return _counts(_order(strata, chosen, Monitor(budget)))


def order_homology(
    strata: Stratification,
    ids: Any = None,
    *,
    reduced: bool = False,
    limit: int = 500_000,
    budget: Budget | None = None,
) -> Homology:
    """Homology over the integers of the order complex: simplices are chains of strata.

    Parameters
    ----------
    strata : Stratification
    ids : ids, optional
        Which strata take part; all by default. For links see `link`, for an open interval
        ``strata.interval(i, j)[1:-1]``.
    reduced : bool
    limit : int
        Most simplices to enumerate after strata that change nothing are taken away.

    Raises
    ------
    BudgetExceededError
        More simplices than ``limit`` are left, or time ends.

    Notes
    -----
    A stratum with one cover on one side (within what is left) is a beat point: without it the order complex has the same homotopy
    type. Of what is left all chains are enumerated, and their boundary matrices brought to elementary divisors in
    integers.

    Examples
    --------
    The link of a vertex of an arrangement is a circle.

    >>> import polyfiber as pf
    >>> from polyfiber.invariants import link, order_homology
    >>> strata = pf.canonical_complex(pf.ReLUNetwork.random((2, 3, 1), rng=0)).strata
    >>> print(order_homology(strata, link(strata, 0, "above")))
    H0 = Z, H1 = Z
    """
    chosen, limit, reduced = _chosen(strata, ids), whole(limit, "limit"), flag(reduced, "reduced")
    monitor = Monitor(budget)
    with monitor.watching():
        below = _core(_order(strata, chosen, monitor))
        sizes = _counts(below)
        if sum(sizes) > limit:
            raise BudgetExceededError(
                f"the order complex has {sum(sizes)} simplices after {len(chosen) - len(below)} of {len(chosen)} strata were "
                f"taken away, more than limit={limit}",
                needed=sum(sizes),
            )
        boundaries: list[list[Column]] = []
        names: dict[tuple[int, ...], int] = {(i,): i for i in range(len(below))}
        above: list[list[int]] = [[] for _ in below]
        for j, mask in enumerate(below):
            for i in _bits(mask):
                above[i].append(j)
        for _ in sizes[1:]:
            monitor.check_time("chains of an order")
            longer = [(*chain, j) for chain in names for j in above[chain[-1]]]
            boundaries.append(
                [{names[c[:k] + c[k + 1 :]]: (-1) ** k for k in range(len(c))} for c in longer],
            )
            names = {chain: k for k, chain in enumerate(longer)}
        return homology_of(boundaries, sizes, reduced=reduced)


def _chosen(strata: Stratification, ids: Any) -> IntArray:
    if ids is None:
        return np.arange(_poset(strata).n)
    return np.unique(ids_within(ids, _poset(strata).n, "strata"))


def _poset(strata: Stratification) -> Stratification:
    if not isinstance(strata, Stratification):
        raise InputError(
            f"expected a Stratification, such as `strata` of a complex or of rank strata, found {shown(strata)}"
        )
    return strata


def _within(n: int) -> None:
    if n > MOST_STRATA:
        raise BudgetExceededError(f"{n} strata are involved, more than {MOST_STRATA}", needed=n)


def _order(strata: Stratification, ids: IntArray, monitor: Monitor) -> list[int]:
    """For each of the given strata the strictly lower ones, as bits in their order."""
    _within(len(ids))
    result = []
    for at, j in enumerate(ids):
        if not at % 64:
            monitor.check_time("comparing strata")
        row: BoolArray = strata.leq(ids[:at], np.int64(j)) if at else np.zeros(0, dtype=bool)
        result.append(int.from_bytes(np.packbits(row, bitorder="little").tobytes(), "little"))
    return result


def _bits(mask: int) -> Iterator[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def _covers(below: list[int]) -> list[list[int]]:
    result = []
    for mask in below:
        left, covers = mask, []
        while left:  # the highest one left is below no other one that is left
            top = left.bit_length() - 1
            covers.append(top)
            left &= ~(below[top] | 1 << top)
        result.append(covers)
    return result


def _counts(below: list[int]) -> tuple[int, ...]:
    """Chains by length: ``ending[j]`` those that end in j."""
    ending, sizes = [1] * len(below), []
    while any(ending):
        sizes.append(sum(ending))
        ending = [sum(ending[i] for i in _bits(mask)) for mask in below]
    return tuple(sizes)


def _core(below: list[int]) -> list[int]:
    """The order without its beat points, renumbered."""
    n = len(below)
    down, up = list(below), [0] * n
    for j, mask in enumerate(below):
        for i in _bits(mask):
            up[i] |= 1 << j
    alive, todo = (1 << n) - 1, list(range(n))
    while todo:
        i = todo.pop()
        if not alive >> i & 1:
            continue
        lower, upper = down[i] & alive, up[i] & alive
        top = lower.bit_length() - 1
        bottom = (upper & -upper).bit_length() - 1
        beats = (lower and lower == (down[top] & alive) | 1 << top) or (
            upper and upper == (up[bottom] & alive) | 1 << bottom
        )
        if beats:
            alive ^= 1 << i
            todo.extend(_bits(lower | upper))
    kept = list(_bits(alive))
    place = {i: k for k, i in enumerate(kept)}
    return [sum(1 << place[i] for i in _bits(down[j] & alive)) for j in kept]


def __dir__() -> list[str]:
    """The public names."""
    return [*__all__]
