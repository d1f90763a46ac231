"""Every face of the canonical complex of a small graph of gates, by exact rational brute force.

Nothing of the library is used: the network is read number by number, forms are carried forward with the slope that the sign
of each gate picks, and cells are cut by `exact_faces._split` (generators, no LP). The space is first cut along the
coordinate axes, so that every cell has vertices, and faces that differ in these cuts alone are put together in the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import sqrt
from typing import Any

from .exact_faces import Row, _Cell, _integer, _split, as_fraction, below

Signs = tuple[int, ...]
Form = list[Fraction]


@dataclass
class Part:
    """A face: its signs (gates, then domain facets), dimension, a point inside, its vertices, and forms of gates and outputs."""

    signs: Signs
    dim: int
    point: list[Fraction]
    vertices: set[tuple[Fraction, ...]]
    gates: list[Form]
    outputs: list[Form]


@dataclass
class Graph:
    """The faces by signs; dimensions are those in the input space, ``lineality`` the least of them."""

    faces: dict[Signs, Part]
    n: int
    n_gates: int

    @property
    def lineality(self) -> int:
        return min(f.dim for f in self.faces.values())

    @property
    def f_vector(self) -> tuple[int, ...]:
        counts = [0] * (self.n + 1)
        for f in self.faces.values():
            counts[f.dim] += 1
        top = max(f.dim for f in self.faces.values())
        return tuple(counts[self.lineality : top + 1])

    def of_dim(self, k: int) -> list[Part]:
        """Faces of a dimension of the quotient."""
        return [f for f in self.faces.values() if f.dim - self.lineality == k]

    def regions(self) -> list[Part]:
        top = max(f.dim for f in self.faces.values())
        return [f for f in self.faces.values() if f.dim == top]

    def weights(self) -> dict[Signs, list[float]]:
        """Jump of the gradient over each facet with two regions, along the unit normal from one into the other."""
        regions, found = self.regions(), {}
        for facet in self.of_dim(len(self.f_vector) - 2):
            sides = [r for r in regions if below(facet.signs, r.signs)]
            if len(sides) != 2:
                assert len(sides) == 1
                continue
            p, q = sides
            k = next(i for i, s in enumerate(facet.signs[: self.n_gates]) if s == 0 and p.signs[i] != 0)
            normal = [p.signs[k] * v for v in p.gates[k][:-1]]
            length = sqrt(float(sum(v * v for v in normal)))
            assert length > 0
            jump = [
                sum(((a - b) * v for a, b, v in zip(f[:-1], g[:-1], normal)), Fraction(0))
                for f, g in zip(p.outputs, q.outputs)
            ]
            found[facet.signs] = [float(j) / length for j in jump]
        return found


def number_by_number(net: Any) -> tuple[list[Any], list[Any]]:
    """(blocks, output) of lists: for each row (entries (block, place, weight), bias), and slopes of blocks."""

    def rows(affine: Any) -> list[Any]:
        found: list[Any] = [([], as_fraction(b)) for b in affine.bias.tolist()]
        for j, matrix in affine.weights.items():
            whole = matrix.toarray() if hasattr(matrix, "toarray") else matrix
            for i, row in enumerate(whole.tolist()):
                found[i][0].extend((j, c, as_fraction(v)) for c, v in enumerate(row) if v != 0)
        return found

    blocks = [
        list(zip(rows(block.affine), [[as_fraction(s) for s in pair] for pair in block.slopes.tolist()]))
        for block in net.blocks
    ]
    return blocks, rows(net.output)


def _evaluated(row: Any, forms: list[list[Form]], n: int) -> Form:
    entries, bias = row
    out = [Fraction(0)] * n + [bias]
    for j, c, weight in entries:
        out = [a + weight * b for a, b in zip(out, forms[j][c])]
    return out


def graph_complex(net: Any, *, domain: tuple[Any, Any] | None = None, limit: int = 20_000) -> Graph:
    """All faces of the canonical complex of a network of gates, on ``A x <= b`` if given."""
    blocks, output = number_by_number(net)
    n = net.n_inputs
    axes = [[Fraction(int(i == c)) for c in range(n)] + [Fraction(0)] for i in range(n)]
    cells = []

    def orthants(signs: list[int]) -> None:
        if len(signs) < n:
            for s in (-1, 0, 1):
                orthants([*signs, s])
            return
        apex: Row = (*([0] * n), 1)
        generators = [apex] + [tuple(s if c == k else 0 for c in range(n + 1)) for k, s in enumerate(signs) if s]
        masks = [sum(1 << c for c in range(n + 1) if g[c] == 0) for g in generators]
        cells.append(_Cell(list(signs), sum(map(bool, signs)), generators, masks))

    orthants([])
    bit = n + 1
    n_sides = 0
    if domain is not None:
        for row, b in zip(domain[0], domain[1]):
            form = _integer([*(-as_fraction(v) for v in row), as_fraction(b)])
            cells = [part for cell in cells for part in _split(cell, form, bit, (0, 1))]
            bit, n_sides = bit + 1, n_sides + 1
    state: list[tuple[_Cell, list[list[Form]], list[Form]]] = [(cell, [axes], []) for cell in cells]
    for block in blocks:
        begin = n + n_sides + sum(len(b) for b in blocks[: blocks.index(block)])
        state = [(cell, forms, [_evaluated(row, forms, n) for row, _ in block]) for cell, forms, _ in state]
        for i in range(len(block)):
            state = [
                (part, forms, own) for cell, forms, own in state for part in _split(cell, _integer_or_zero(own[i]), bit)
            ]
            bit += 1
            if len(state) > limit:
                raise MemoryError(f"more than {limit} faces")
        behind = []
        for cell, forms, own in state:
            passed = [
                [(slopes[1] if s > 0 else slopes[0]) * v for v in z]
                for z, (_, slopes), s in zip(own, block, cell.signs[begin:])
            ]
            behind.append((cell, [*forms, passed], own))
        state = [(cell, forms, []) for cell, forms, _ in behind]
    faces: dict[Signs, Part] = {}
    for cell, forms, _ in state:
        gates = [_evaluated(row, forms, n) for block in blocks for row, _ in block]
        signs = (*cell.signs[n + n_sides :], *cell.signs[n : n + n_sides])
        corners = [tuple(Fraction(v, g[n]) for v in g[:n]) for g in cell.generators if g[n]]
        rays = [[Fraction(v) for v in g[:n]] for g in cell.generators if not g[n]]
        point = [sum((v[c] for v in corners), Fraction(0)) / len(corners) for c in range(n)]
        for ray in rays:
            point = [p + r / max(map(abs, ray)) for p, r in zip(point, ray)]
        if signs not in faces or cell.dim > faces[signs].dim:
            old = faces[signs].vertices if signs in faces else set()
            faces[signs] = Part(signs, cell.dim, point, old, gates, [_evaluated(row, forms, n) for row in output])
        faces[signs].vertices.update(corners)
    return Graph(faces, n, sum(map(len, blocks)))


def _integer_or_zero(form: Form) -> Row:
    return _integer(form) if any(form) else tuple(0 for _ in form)


def value(net: Any, x: Sequence[Fraction]) -> list[Fraction]:
    """Outputs at a rational point."""
    return [sum((a * b for a, b in zip(f[:-1], x)), f[-1]) for f in _forms_at(net, x)]


def _forms_at(net: Any, x: Sequence[Fraction]) -> list[Form]:
    blocks, output = number_by_number(net)
    n = len(x)
    values = [[[*([Fraction(0)] * n), v] for v in x]]
    for block in blocks:
        z = [_evaluated(row, values, n) for row, _ in block]
        values.append([[(s[1] if f[-1] > 0 else s[0]) * v for v in f] for f, (_, s) in zip(z, block)])
    return [_evaluated(row, values, n) for row in output]
