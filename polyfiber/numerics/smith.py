"""Elementary divisors of sparse integer matrices, and the homology of chain complexes over the integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

from ..budget import heed

Column = dict[int, int]


@dataclass(frozen=True)
class Homology:
    """Homology groups over the integers, dimension by dimension from 0.

    Attributes
    ----------
    betti : tuple of int
        Ranks of the free parts.
    torsion : tuple of tuples of int
        Orders of the cyclic parts, each dividing the next.
    reduced : bool
        Whether a point has no homology at all. The empty space has reduced homology in dimension -1, which is
        `empty`.
    empty : bool

    Examples
    --------
    >>> print(Homology((0, 0, 1), ((), (2,), ()), True))
    H~1 = Z/2, H~2 = Z
    """

    betti: tuple[int, ...]
    torsion: tuple[tuple[int, ...], ...]
    reduced: bool
    empty: bool = False

    def over(self, field: int) -> tuple[int, ...]:
        """Betti numbers over the field with ``field`` elements (a prime) or the rationals (0)."""
        if field == 0:
            return self.betti
        hit = [sum(1 for t in row if t % field == 0) for row in self.torsion]
        before = [0, *hit[:-1]] if hit else []
        return tuple(b + x + y for b, x, y in zip(self.betti, hit, before))

    @property
    def euler_characteristic(self) -> int:
        """Alternating sum of the Betti numbers; -1 for the reduced homology of the empty space."""
        return sum((-1) ** k * b for k, b in enumerate(self.betti)) - (self.empty and self.reduced)

    @property
    def is_acyclic(self) -> bool:
        """Whether reduced homology vanishes."""
        shift = 0 if self.reduced or not self.betti else 1
        betti = (self.betti[0] - shift, *self.betti[1:]) if self.betti else ()
        return not self.empty and not any(betti) and not any(self.torsion)

    @property
    def is_sphere(self) -> int | None:
        """The dimension, where this is the homology of a sphere (-1: the empty one); None otherwise."""
        if self.empty:
            return -1
        betti = list(self.betti)
        if not self.reduced and betti:
            betti[0] -= 1
        if any(self.torsion) or sorted(betti)[-1:] != [1] or sum(betti) != 1:
            return None
        return betti.index(1)

    def __str__(self) -> str:
        name = "H~" if self.reduced else "H"
        parts = []
        for k, (b, torsion) in enumerate(zip(self.betti, self.torsion)):
            free = ["Z" if b == 1 else f"Z^{b}"] if b else []
            if free or torsion:
                parts.append(f"{name}{k} = " + " + ".join([*free, *(f"Z/{t}" for t in torsion)]))
        if self.empty:
            parts.append("empty")
        return ", ".join(parts) or f"{name} = 0"


def elementary_divisors(columns: Sequence[Column]) -> tuple[int, tuple[int, ...]]:
    """Rank of an integer matrix and its elementary divisors above 1.

    Parameters
    ----------
    columns : sequence of {row: entry}
        Entries are Python integers; zeros are allowed.

    Examples
    --------
    >>> elementary_divisors([{0: 2, 1: 4}, {0: 6, 1: 8}])
    (2, (2, 4))
    """
    alive = {c: col for c, column in enumerate(columns) if (col := {r: v for r, v in column.items() if v})}
    rows: dict[int, set[int]] = {}
    for c, column in alive.items():
        for r in column:
            rows.setdefault(r, set()).add(c)
    units = [(r, c) for c, column in alive.items() for r, v in column.items() if abs(v) == 1]
    units.sort(key=lambda rc: (len(rows[rc[0]]) - 1) * (len(alive[rc[1]]) - 1), reverse=True)
    rank, steps = 0, 0
    while units:
        r, c = units.pop()
        if c not in alive or abs(alive[c].get(r, 0)) != 1:
            continue
        steps += 1
        if not steps % 256:
            heed("the homology of an order")
        pivot = alive.pop(c)
        rank += 1
        for k in pivot:
            rows[k].discard(c)
        for d in list(rows[r]):
            factor = alive[d][r] * pivot[r]
            column = alive[d]
            for k, v in pivot.items():
                value = column.get(k, 0) - factor * v
                if value:
                    column[k] = value
                    rows[k].add(d)
                    if abs(value) == 1:
                        units.append((k, d))
                elif k in column:
                    del column[k]
                    rows[k].discard(d)
            if not column:
                del alive[d]
        rows[r].clear()
    more, divisors = _dense(list(alive.values()))
    return rank + more, divisors


def _dense(columns: list[Column]) -> tuple[int, tuple[int, ...]]:
    """The same where no entry is a unit: by Euclid's algorithm on rows and columns."""
    names = sorted({r for column in columns for r in column})
    matrix = [[column.get(r, 0) for r in names] for column in columns]
    found: list[int] = []
    while any(any(row) for row in matrix):
        heed("the homology of an order")
        _, i, j = min((abs(v), i, j) for i, row in enumerate(matrix) for j, v in enumerate(row) if v)
        p, clean = matrix[i][j], True
        for k, row in enumerate(matrix):
            if k != i and row[j]:
                q = row[j] // p
                matrix[k] = [a - q * b for a, b in zip(row, matrix[i])]
                clean &= not matrix[k][j]
        for m in range(len(matrix[i])):
            if m != j and matrix[i][m]:
                q = matrix[i][m] // p
                for row in matrix:
                    row[m] -= q * row[j]
                clean &= not matrix[i][m]
        if clean:
            found.append(abs(p))
            matrix = [[v for m, v in enumerate(row) if m != j] for k, row in enumerate(matrix) if k != i]
    for a in range(len(found)):  # each has to divide the next
        for b in range(a + 1, len(found)):
            g = gcd(found[a], found[b])
            found[a], found[b] = g, found[a] * found[b] // g
    return len(found), tuple(d for d in found if d > 1)


def homology_of(boundaries: Sequence[Sequence[Column]], sizes: Sequence[int], *, reduced: bool) -> Homology:
    """Homology of a chain complex of free groups.

    Parameters
    ----------
    boundaries : sequence of matrices as columns
        ``boundaries[k]`` maps dimension k + 1 to dimension k.
    sizes : sequence of int
        Ranks of the groups, from dimension 0.
    reduced : bool
        Whether dimension 0 is mapped to the integers by the sum of coefficients.

    Examples
    --------
    The circle of two vertices and two edges:

    >>> print(homology_of([[{0: -1, 1: 1}, {0: -1, 1: 1}]], [2, 2], reduced=False))
    H0 = Z, H1 = Z
    """
    if not sizes or not sizes[0]:
        return Homology((), (), reduced, empty=True)
    found = [elementary_divisors(columns) for columns in boundaries]
    ranks = [1 if reduced else 0, *(rank for rank, _ in found), 0]
    betti = tuple(n - ranks[k] - ranks[k + 1] for k, n in enumerate(sizes))
    return Homology(betti, tuple([*(t for _, t in found), ()][: len(sizes)]), reduced)
