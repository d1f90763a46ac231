"""Level sets, class regions, decision boundaries and breakpoint complexes with their homology, by exact rational brute force.

Conditions are appended to a network as one more layer, by hand, and all faces of that network come from `exact_faces`: cones cut in
Python integers, no LP, no floats. A cell of a set is the union of the pieces with one label; what lies under what is read from signs.
Betti numbers are ranks of dense matrices, over two elements as integers with bits and over a large prime as rows of residues.
The compactification is made as a cell complex with one vertex more; lineality as a product with lines that are cut in the origin.
Nothing here is fast, and nothing is shared with the library.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations
from typing import Any

from .exact_faces import ExactComplex, Face, as_fraction, below, exact_complex, independent_rows, matrix, product

Label = tuple[int, ...]
PRIME = (1 << 31) - 1


@dataclass
class OracleCell:
    """A cell: the union of `pieces`; ``facets`` are labels of cells of one dimension less."""

    label: Label
    dim: int
    bounded: bool
    pieces: list[Face]
    facets: list[Label] = field(default_factory=list)

    def points(self) -> list[tuple[Fraction, ...]]:
        return [v for piece in self.pieces for v in piece.vertices]

    def directions(self) -> list[tuple[Fraction, ...]]:
        return [r for piece in self.pieces for r in piece.rays]

    def inner(self) -> list[Fraction]:
        """A point of the relative interior: one of a piece of largest dimension."""
        return list(next(p for p in self.pieces if p.dim == self.dim).interior_point())


@dataclass
class OracleSet:
    """Cells by dimension; ``lineality`` is that of the complex."""

    layers: list[dict[Label, OracleCell]]
    lineality: int

    @property
    def f_vector(self) -> tuple[int, ...]:
        return tuple(len(layer) for layer in self.layers)

    @property
    def is_compact(self) -> bool:
        return not self.layers or (
            not self.lineality and all(c.bounded for layer in self.layers for c in layer.values())
        )

    # ---- homology ---------------------------------------------------------------------------------
    def betti(self, support: str, prime: int = 2) -> tuple[int, ...]:
        """Betti numbers over two elements, or (without lineality) over the integers modulo a large prime."""
        if not self.layers:
            return (0,)
        cells, boundary = self._chains(support, prime)
        top = len(self.layers) - 1 + self.lineality
        ranks = [0] * (top + 2)
        for k in range(1, top + 1):
            ranks[k] = _rank(boundary.get(k, []), cells.get(k - 1, 0), prime)
        return tuple(cells.get(k, 0) - ranks[k] - ranks[k + 1] for k in range(top + 1))

    def euler(self, support: str) -> int:
        if not self.layers:
            return 0
        cells, _ = self._chains(support, 2)
        return sum((-1) ** k * m for k, m in cells.items())

    def _chains(self, support: str, prime: int) -> tuple[dict[int, int], dict[int, list[dict[int, int]]]]:
        """Number of cells and boundary of each, by dimension."""
        ids: dict[Any, tuple[int, int]] = {}
        cells: dict[int, int] = {}
        boundary: dict[int, list[dict[int, int]]] = {}
        sign = (lambda small, large: 1) if prime == 2 else self._orientation()
        lines = _lines(self.lineality)
        for total in range(len(self.layers) + self.lineality):
            for k, layer in enumerate(self.layers):
                for label, cell in layer.items():
                    for line, parts in lines.items():
                        if k + sum(map(abs, line)) != total or (support == "bounded" and not cell.bounded):
                            continue
                        ids[label, line] = total, cells.get(total, 0)
                        cells[total] = cells.get(total, 0) + 1
                        column = {ids[f, line][1]: sign(self.layers[k - 1][f], cell) for f in cell.facets}
                        column |= {ids[label, part][1]: 1 for part in parts}
                        boundary.setdefault(total, []).append(column)
        if support == "compactified" and not self.is_compact:
            infinity = cells.get(0, 0)
            cells[0] = infinity + 1
            for column in boundary.get(1, []):
                if len(column) == 1:
                    column[infinity] = -next(iter(column.values()))
        return cells, boundary

    def _orientation(self) -> Any:
        """Incidence numbers from bases: the sign of (outward, basis of the facet) in the basis of the cell."""
        bases: dict[Label, list[list[Fraction]]] = {}

        def basis(cell: OracleCell) -> list[list[Fraction]]:
            key = (*cell.label, cell.dim)
            if key not in bases:
                points = cell.points()
                rows = [[a - b for a, b in zip(p, points[0])] for p in points[1:]] + [
                    list(r) for r in cell.directions()
                ]
                bases[key] = [rows[i] for i in independent_rows(rows)]
                assert len(bases[key]) == cell.dim
            return bases[key]

        def sign(small: OracleCell, large: OracleCell) -> int:
            out = [a - b for a, b in zip(small.inner(), large.inner())]
            mine, yours = basis(large), [out, *basis(small)]
            columns = independent_rows([list(c) for c in zip(*mine)])
            value = _determinant([[r[c] for c in columns] for r in mine]) * _determinant(
                [[r[c] for c in columns] for r in yours]
            )
            assert value
            return 1 if value > 0 else -1

        return sign

    def components(self) -> int:
        parent: dict[Any, Any] = {}

        def find(x: Any) -> Any:
            while parent[x] != x:
                x = parent[x]
            return x

        for k, layer in enumerate(self.layers):
            for label, cell in layer.items():
                parent[k, label] = (k, label)
                for f in cell.facets:
                    parent[find((k - 1, f))] = find((k, label))
        return len({find(x) for x in parent})


def _lines(s: int) -> dict[Label, list[Label]]:
    """Cells of R^s, each axis cut in the origin: signs, and the cells on their boundary."""
    cells: dict[Label, list[Label]] = {(): []}
    for _ in range(s):
        cells = {
            (*c, v): [*((*b, v) for b in parts), *([(*c, 0)] if v else [])]
            for c, parts in cells.items()
            for v in (-1, 0, 1)
        }
    return cells


def _rank(columns: list[dict[int, int]], rows: int, prime: int) -> int:
    if prime == 2:
        pivots: dict[int, int] = {}
        for column in columns:
            bits = 0
            for r in column:
                bits ^= 1 << r
            while bits:
                top = bits.bit_length()
                if top not in pivots:
                    pivots[top] = bits
                    break
                bits ^= pivots[top]
        return len(pivots)
    found: dict[int, list[int]] = {}
    for column in columns:
        row = [0] * rows
        for r, v in column.items():
            row[r] = v % prime
        for c in range(rows):
            if not row[c]:
                continue
            if c not in found:
                inverse = pow(row[c], -1, prime)
                found[c] = [v * inverse % prime for v in row]
                break
            factor, pivot = row[c], found[c]
            row = [(a - factor * b) % prime for a, b in zip(row, pivot)]
    return len(found)


def _determinant(rows: list[list[Fraction]]) -> Fraction:
    rows = [list(r) for r in rows]
    value = Fraction(1)
    for c in range(len(rows)):
        pivot = next((r for r in range(c, len(rows)) if rows[r][c]), None)
        if pivot is None:
            return Fraction(0)
        if pivot != c:
            rows[c], rows[pivot] = rows[pivot], rows[c]
            value = -value
        value *= rows[c][c]
        for r in range(c + 1, len(rows)):
            factor = rows[r][c] / rows[c][c]
            rows[r] = [a - factor * b for a, b in zip(rows[r], rows[c])]
    return value


# ---- sets ------------------------------------------------------------------------------------------------
class Refined:
    """All faces of a network whose outputs' combinations ``rows . f + constants`` are neurons of one more layer."""

    def __init__(
        self, weights: Any, biases: Any, rows: Any, constants: Any, domain: Any = None, limit: int = 20_000
    ) -> None:
        ws, bs = [matrix(w) for w in weights], [[as_fraction(v) for v in b] for b in biases]
        combine = matrix(rows)
        last = product(combine, ws[-1])
        shift = [
            sum((r * b for r, b in zip(row, bs[-1])), Fraction(0)) + as_fraction(c)
            for row, c in zip(combine, constants)
        ]
        self.complex: ExactComplex = exact_complex(
            [*ws[:-1], last, [[Fraction(1)] * len(shift)]], [*bs[:-1], shift, [Fraction(0)]], domain=domain, limit=limit
        )
        self.first, self.count = sum(len(b) for b in bs[:-1]), len(shift)

    def split(self, signs: Label) -> tuple[Label, Label]:
        """(signs of neurons and of the domain, signs of the conditions)."""
        a, b = self.first, self.first + self.count
        return signs[:a] + signs[b:], signs[a:b]

    def united(self, label_of: Any) -> OracleSet:
        """The pieces with a label (not None), united by label."""
        groups: dict[Label, list[Face]] = {}
        for face in self.complex.faces.values():
            label = label_of(*self.split(face.signs))
            if label is not None:
                groups.setdefault(label, []).append(face)
        top = max((p.dim for pieces in groups.values() for p in pieces), default=-1)
        layers: list[dict[Label, OracleCell]] = [{} for _ in range(top + 1)]
        for label, pieces in groups.items():
            dim = max(p.dim for p in pieces)
            layers[dim][label] = OracleCell(label, dim, not any(p.rays for p in pieces), pieces)
        for k in range(1, top + 1):
            for cell in layers[k].values():
                cell.facets = [
                    f
                    for f, facet in layers[k - 1].items()
                    if any(below(p.signs, q.signs) for p in facet.pieces for q in cell.pieces)
                ]
        return OracleSet(layers, self.complex.lineality_dimension)


def level(weights: Any, biases: Any, values: Any, outputs: Any, keep: tuple[int, ...], domain: Any = None) -> OracleSet:
    """Where ``f_o - value`` has one of some signs, for all pairs."""
    n = len(biases[-1])
    rows = [[int(o == i) for i in range(n)] for o in outputs]
    refined = Refined(weights, biases, rows, [-as_fraction(v) for v in values], domain)
    return refined.united(lambda rest, gates: rest + gates if all(g in keep for g in gates) else None)


def classes(weights: Any, biases: Any, label: int | None, domain: Any = None) -> OracleSet:
    """The region of a class, or (None) the decision boundary; cells end with 0 for every class that ties, -1 for others."""
    n = len(biases[-1])
    single = n == 1
    pairs = list(combinations(range(max(2, n)), 2))
    rows = [[-1]] if single else [[int(k == i) - int(k == j) for k in range(n)] for i, j in pairs]
    refined = Refined(weights, biases, rows, [0] * len(rows), domain)

    def label_of(rest: Label, gates: Label) -> Label | None:
        best = [True] * max(2, n)
        for (i, j), g in zip(pairs, gates):
            best[i] &= g >= 0
            best[j] &= g <= 0
        if (sum(best) < 2) if label is None else not best[label]:
            return None
        return rest + tuple(0 if b else -1 for b in best)

    return refined.united(label_of)


def breakpoints(weights: Any, biases: Any, domain: Any = None) -> OracleSet:
    """The closed facets across which the linear part of the function (on a flat domain: of its restriction) jumps."""
    refined = Refined(weights, biases, [[0] * len(biases[-1])], [1], domain)
    whole = refined.complex
    ws = [matrix(w) for w in weights]

    def slope(signs: Label) -> list[list[Fraction]]:
        made, at = ws[0], 0
        for w in ws[1:]:
            made = [row if signs[at + i] > 0 else [Fraction(0)] * len(row) for i, row in enumerate(made)]
            at += len(made)
            made = product(w, made)
        return made

    top = max(f.dim for f in whole.faces.values())
    inside = whole.of_dim(top)
    along = [[a - b for a, b in zip(v, f.vertices[0])] for f in inside for v in f.vertices] + [
        list(r) for f in inside for r in f.rays
    ]
    along = [along[i] for i in independent_rows(along)]
    regions = {f.signs: product(slope(f.signs), [list(c) for c in zip(*along)]) for f in inside}
    visible = []
    for facet in whole.of_dim(top - 1):
        around = [a for signs, a in regions.items() if below(facet.signs, signs)]
        if len(around) == 2 and around[0] != around[1]:
            visible.append(facet.signs)
    kept = {refined.split(s)[0] for s in whole.faces if any(below(s, v) for v in visible)}
    return refined.united(lambda rest, gates: rest + gates if rest in kept else None)
