"""Every face of the canonical complex, by exact rational brute force.

A face is a non-empty set {x : sgn z_i(x) = s_i for all i}, s in {-, 0, +}^N. Each is kept as
the generators of its closure in homogeneous coordinates (x, t): vertices have t > 0, rays t = 0.
Faces are cut by one neuron after another. For a relatively open cone, the values of a linear
form are exactly: all zero when it vanishes on every generator; all positive when it is
nowhere negative on them and somewhere positive; otherwise all three signs occur. So no LP is
solved, and nothing has to be generic. Python integers throughout; nothing here is fast.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm
from typing import Any

Row = tuple[int, ...]


@dataclass(frozen=True)
class Face:
    """One face; `signs` are its key in `ExactComplex.faces`.

    dim is relative to the essential quotient. `vertices` and `rays` generate the closure of the
    part of the face in the row space of (W1; A): points of least norm, directions orthogonal to
    the lineality space.
    """

    signs: tuple[int, ...]
    dim: int
    vertices: tuple[tuple[Fraction, ...], ...]
    rays: tuple[tuple[Fraction, ...], ...]

    def interior_point(self) -> tuple[Fraction, ...]:
        """A point of the relative interior: mean of the vertices plus rays scaled to length 1 (maximum norm)."""
        n = len(self.vertices[0])
        point = [sum((v[c] for v in self.vertices), Fraction(0)) / len(self.vertices) for c in range(n)]
        for ray in self.rays:
            longest = max(map(abs, ray))
            point = [p + r / longest for p, r in zip(point, ray)]
        return tuple(point)


@dataclass(frozen=True)
class ExactComplex:
    """All faces of a canonical complex.

    faces : {signs: Face}; signs are -1, 0, 1, hidden neurons layer by layer, then domain facets.
    """

    faces: dict[tuple[int, ...], Face]
    n0: int
    lineality_dimension: int
    n_hidden: int

    @property
    def dim(self) -> int:
        return self.n0 - self.lineality_dimension

    @property
    def f_vector(self) -> tuple[int, ...]:
        counts = [0] * (self.dim + 1)
        for face in self.faces.values():
            counts[face.dim] += 1
        return tuple(counts)

    def of_dim(self, k: int) -> list[Face]:
        return [face for face in self.faces.values() if face.dim == k]

    def signs(self, k: int) -> set[tuple[int, ...]]:
        return {face.signs for face in self.of_dim(k)}

    def vertices(self) -> dict[tuple[int, ...], tuple[Fraction, ...]]:
        """signs of a minimal face -> its point of least norm."""
        return {face.signs: face.vertices[0] for face in self.of_dim(0)}

    def covers(self) -> set[tuple[tuple[int, ...], tuple[int, ...]]]:
        """(small, large) for faces of dimensions k, k + 1 with small in the closure of large."""
        found = set()
        for k in range(self.dim):
            upper = self.of_dim(k + 1)
            for small in self.of_dim(k):
                for large in upper:
                    if below(small.signs, large.signs):
                        found.add((small.signs, large.signs))
        return found


def below(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    """Whether the face `small` lies in the closure of the face `large`."""
    return all(s == 0 or s == t for s, t in zip(small, large))


# ---- exact linear algebra on lists of Fractions ---------------------------------------------------


def as_fraction(value: Any) -> Fraction:
    if isinstance(value, Fraction):
        return value
    if hasattr(value, "p") and hasattr(value, "q"):
        return Fraction(int(value.p), int(value.q))
    if hasattr(value, "item"):
        value = value.item()
    return Fraction(value)


def matrix(values: Any) -> list[list[Fraction]]:
    return [[as_fraction(v) for v in row] for row in values]


def independent_rows(rows: list[list[Fraction]]) -> list[int]:
    """Indices of the first rows that are independent of those before."""
    basis: list[tuple[int, list[Fraction]]] = []
    chosen = []
    for index, row in enumerate(rows):
        work = list(row)
        for pivot, b in basis:
            if work[pivot]:
                factor = work[pivot]
                work = [w - factor * v for w, v in zip(work, b)]
        pivot = next((c for c, w in enumerate(work) if w), None)
        if pivot is not None:
            basis.append((pivot, [w / work[pivot] for w in work]))
            chosen.append(index)
    return chosen


def rank(rows: list[list[Fraction]]) -> int:
    return len(independent_rows(rows))


def inverse(square: list[list[Fraction]]) -> list[list[Fraction]]:
    n = len(square)
    work = [list(row) + [Fraction(int(i == j)) for j in range(n)] for i, row in enumerate(square)]
    for c in range(n):
        pivot = next(r for r in range(c, n) if work[r][c])
        work[c], work[pivot] = work[pivot], work[c]
        work[c] = [v / work[c][c] for v in work[c]]
        for r in range(n):
            if r != c and work[r][c]:
                factor = work[r][c]
                work[r] = [a - factor * b for a, b in zip(work[r], work[c])]
    return [row[n:] for row in work]


def product(a: list[list[Fraction]], b: list[list[Fraction]]) -> list[list[Fraction]]:
    columns = list(zip(*b)) if b else []
    return [[sum((x * y for x, y in zip(row, col)), Fraction(0)) for col in columns] for row in a]


# ---- cells --------------------------------------------------------------------------------------------


@dataclass
class _Cell:
    signs: list[int]  # in order of processing
    dim: int
    generators: list[Row]
    masks: list[int]  # bit i: constraint i (in order of processing) vanishes at the generator


def _primitive(row: list[int]) -> Row:
    divisor = gcd(*row)
    return tuple(v // divisor for v in row) if divisor > 1 else tuple(row)


def _dot(form: Row, generator: Row) -> int:
    return sum(f * g for f, g in zip(form, generator) if f)


def _prune(generators: list[Row], masks: list[int]) -> tuple[list[Row], list[int]]:
    """Keep the extreme rays: those whose set of vanishing constraints lies in no other's."""
    unique = dict(zip(generators, masks))
    rows, bits = list(unique), list(unique.values())
    keep = [
        i for i, mask in enumerate(bits) if not any(j != i and mask & other == mask for j, other in enumerate(bits))
    ]
    return [rows[i] for i in keep], [bits[i] for i in keep]


def _split(cell: _Cell, form: Row, bit: int, only: tuple[int, ...] = (-1, 0, 1)) -> Iterator[_Cell]:
    """The parts of a cell where the form is negative, zero, positive."""
    values = [_dot(form, g) for g in cell.generators]
    flag = 1 << bit
    low, high = min(values), max(values)
    if low >= 0 or high <= 0:
        sign = 0 if low == high == 0 else (1 if low >= 0 else -1)
        if sign in only:
            masks = [m | flag if v == 0 else m for m, v in zip(cell.masks, values)]
            yield _Cell([*cell.signs, sign], cell.dim, cell.generators, masks)
        return
    wall, wall_masks = [], []
    for g, m, v in zip(cell.generators, cell.masks, values):
        if v == 0:
            wall.append(g)
            wall_masks.append(m | flag)
    positive = [(g, m, v) for g, m, v in zip(cell.generators, cell.masks, values) if v > 0]
    negative = [(g, m, v) for g, m, v in zip(cell.generators, cell.masks, values) if v < 0]
    for g, m, v in positive:
        for h, k, w in negative:
            wall.append(_primitive([v * b - w * a for a, b in zip(g, h)]))
            wall_masks.append((m & k) | flag)
    wall, wall_masks = _prune(wall, wall_masks)
    if 0 in only:
        yield _Cell([*cell.signs, 0], cell.dim - 1, wall, wall_masks)
    for sign, side in ((1, positive), (-1, negative)):
        if sign in only:
            gens = [g for g, _, _ in side] + wall
            yield _Cell([*cell.signs, sign], cell.dim, *_prune(gens, [m for _, m, _ in side] + wall_masks))


# ---- the enumeration ------------------------------------------------------------------------------------


def exact_complex(
    weights: Any, biases: Any, *, domain: tuple[Any, Any] | None = None, limit: int = 200_000
) -> ExactComplex:
    """All faces of the canonical complex of a network, exactly.

    Parameters
    ----------
    weights, biases : as of a ReLUNetwork, the affine last layer included; floats are taken as the
        rationals they are
    domain : (A, b), optional
        A x <= b. Signs of the facets (0 or +) become the last columns, one per row.
    limit : int
        More faces than this raise MemoryError.
    """
    ws, bs = [matrix(w) for w in weights], [[as_fraction(v) for v in b] for b in biases]
    n0 = len(ws[0][0])
    hidden_ws, hidden_bs = ws[:-1], bs[:-1]
    sides_a = matrix(domain[0]) if domain is not None else []
    sides_b = [as_fraction(v) for v in domain[1]] if domain is not None else []
    # forms of the domain and of the first layer, as (linear part, constant)
    first = [([-v for v in row], b) for row, b in zip(sides_a, sides_b)]
    n_sides = len(first)
    first += [(row, b) for row, b in zip(hidden_ws[0], hidden_bs[0])] if hidden_ws else []
    chosen = independent_rows([row for row, _ in first])
    d = len(chosen)
    basis = [first[i][0] for i in chosen]
    constants = [first[i][1] for i in chosen]
    # coordinates y_j = the j-th chosen form; x = lift (y - constants) is the point of least norm
    if d:
        gram = product(basis, [list(col) for col in zip(*basis)])
        lift = product([list(col) for col in zip(*basis)], inverse(gram))  # n0 x d
    else:
        lift = [[] for _ in range(n0)]
    origin = [-sum((l * c for l, c in zip(row, constants)), Fraction(0)) for row in lift]

    def in_y(row: list[Fraction], constant: Fraction) -> list[Fraction]:
        linear = [sum((row[i] * lift[i][j] for i in range(n0)), Fraction(0)) for j in range(d)]
        return [*linear, constant + sum((r * o for r, o in zip(row, origin)), Fraction(0))]

    first_forms = [_integer(in_y(row, b)) for row, b in first]
    # 3^d orthant faces around y = 0
    start: list[_Cell] = []
    allowed = [(0, 1) if index < n_sides else (-1, 0, 1) for index in chosen]
    apex: Row = (*([0] * d), 1)

    def orthants(signs: list[int]) -> None:
        j = len(signs)
        if j < d:
            for sign in allowed[j]:
                orthants([*signs, sign])
            return
        generators = [apex] + [tuple(s if c == k else 0 for c in range(d + 1)) for k, s in enumerate(signs) if s]
        masks = [sum(1 << c for c in range(d + 1) if g[c] == 0) for g in generators]  # bit d: t >= 0
        start.append(_Cell(list(signs), sum(map(bool, signs)), generators, masks))

    orthants([])
    cells = start
    bit = d + 1
    order = list(chosen)
    for index, form in enumerate(first_forms):
        if index not in chosen:
            only = (0, 1) if index < n_sides else (-1, 0, 1)
            cells = [part for cell in cells for part in _split(cell, form, bit, only)]
            order.append(index)
            bit += 1
            _check(cells, limit)
    # deeper layers: integer forms of a layer depend on the signs of the layers before
    n_first = len(first_forms)
    position = [0] * n_first  # where a first form's sign stands in _Cell.signs
    for place, index in enumerate(order):
        position[index] = place
    if hidden_ws:
        # integer first-layer forms were scaled row by row: undo that by keeping rationals here
        rational_first = [in_y(row, b) for row, b in first[n_sides:]]
        where = position[n_sides:]
        cache: dict[tuple[Any, ...], list[list[Fraction]]] = {}
        forms_of: list[tuple[_Cell, list[list[Fraction]]]] = [(cell, rational_first) for cell in cells]
        for layer in range(1, len(hidden_ws)):
            w, b = hidden_ws[layer], hidden_bs[layer]
            cache = {}
            integers: dict[int, list[Row]] = {}
            pending: list[tuple[_Cell, list[list[Fraction]]]] = []
            for cell, forms in forms_of:
                active = tuple(k for k, place in enumerate(where) if cell.signs[place] > 0)
                key = (id(forms), active)
                if key not in cache:
                    new = []
                    for row, constant in zip(w, b):
                        out = [sum((row[k] * forms[k][c] for k in active), Fraction(0)) for c in range(d + 1)]
                        out[d] += constant
                        new.append(out)
                    cache[key] = new
                    integers[id(new)] = [_integer(f) for f in new]
                pending.append((cell, cache[key]))
            for i in range(len(w)):
                pending = [
                    (part, forms) for cell, forms in pending for part in _split(cell, integers[id(forms)][i], bit)
                ]
                bit += 1
                if len(pending) > limit:
                    raise MemoryError(f"more than {limit} faces")
            where = [len(order) + k for k in range(len(w))]
            order.extend([-1] * len(w))
            forms_of = pending
        cells = [cell for cell, _ in forms_of]
    n_hidden = sum(len(b) for b in hidden_bs)
    faces: dict[tuple[int, ...], Face] = {}
    for cell in cells:
        domain_signs = [cell.signs[position[i]] for i in range(n_sides)]
        layer_one = [cell.signs[position[i]] for i in range(n_sides, n_first)]
        signs = (*layer_one, *cell.signs[n_first:], *domain_signs)
        vertices, rays = [], []
        for g in cell.generators:
            scale = Fraction(1, g[d]) if g[d] else Fraction(1)
            x = [sum((row[j] * g[j] for j in range(d)), Fraction(0)) * scale for row in lift]
            (vertices if g[d] else rays).append(tuple(a + o for a, o in zip(x, origin)) if g[d] else tuple(x))
        if signs in faces:
            raise AssertionError(f"two faces with the signs {signs}")
        faces[signs] = Face(signs, cell.dim, tuple(vertices), tuple(rays))
    return ExactComplex(faces, n0, n0 - d, n_hidden)


def _integer(form: list[Fraction]) -> Row:
    """The form times a positive number that makes its coefficients coprime integers."""
    scale = lcm(*(f.denominator for f in form))
    return _primitive([int(f * scale) for f in form])


def _check(cells: list[_Cell], limit: int) -> None:
    if len(cells) > limit:
        raise MemoryError(f"more than {limit} faces")


def box(lower: Any, upper: Any) -> tuple[list[list[int]], list[Any]]:
    """(A, b) of a box: the rows -x_i <= -lo_i, then x_i <= hi_i."""
    n = len(lower)
    rows = [[-int(i == j) for j in range(n)] for i in range(n)] + [[int(i == j) for j in range(n)] for i in range(n)]
    return rows, [-as_fraction(v) for v in lower] + [as_fraction(v) for v in upper]
