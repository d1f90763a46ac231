"""The canonical form in rational arithmetic: equal values prove that two networks are exactly the same function."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from ...budget import heed
from ...network.model import ReLUNetwork
from ...network.piecewise import require_chain


def exact_normal_form(net: ReLUNetwork) -> tuple[Any, ...]:
    """The form in rational arithmetic, as a hashable value: equal values prove equal functions, exactly.

    Floats are taken as the rationals that they store, so a copy rescaled by a power of two has the
    same form, one rescaled by 0.1 does not. Rows have largest entry 1 and are ordered exactly.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.equivalence.forms.exact import exact_normal_form
    >>> from polyfiber.network.moves import Rescale
    >>> net = pf.ReLUNetwork.random((2, 2, 1), rng=0)
    >>> [exact_normal_form(net) == exact_normal_form(Rescale(1, (s, 1.0))(net)) for s in (4.0, 0.1)]
    [True, False]
    """
    net = require_chain(net, "the exact form").exact()
    W = [[list(row) for row in w] for w in net.weights]
    b = [list(v) for v in net.biases]
    depth = len(W)
    for l in range(depth - 1):
        _tidy_layer(W, b, l, prefix=l < depth - 2)
    for l in range(depth - 2, -1, -1):
        used = [i for i in range(len(W[l])) if any(row[i] for row in W[l + 1])]
        _keep(W, b, l, used)
    n0, m = net.architecture[0], net.architecture[-1]
    if depth == 1:
        return (n0, m, "affine", tuple(map(tuple, W[0])), tuple(b[0]))
    if depth == 3 and len(W[0]) >= 2 and W[1]:
        hidden = [k for k in range(len(W[0])) if all(_hides(row, c, k) for row, c in zip(W[1], b[1]))]
        if hidden and len(W[1]) == 1:
            return (n0, m, *_exact_flips(W, b, hidden[0]))
        if hidden:
            k = hidden[0]
            end = min(-c / row[k] for row, c in zip(W[1], b[1]))
            b[0][k] -= end - 1
            b[1] = [c + (end - 1) * row[k] for row, c in zip(W[1], b[1])]
    parts: list[Any] = []
    for l in range(depth - 2):
        order = sorted(range(len(W[l])), key=lambda i: (*W[l][i], b[l][i]))
        W[l], b[l] = [W[l][i] for i in order], [b[l][i] for i in order]
        W[l + 1] = [[row[i] for i in order] for row in W[l + 1]]
        parts.append(tuple((*row, c) for row, c in zip(W[l], b[l])))
    return (n0, m, *parts, *_exact_symmetric(W[-2], b[-2], W[-1], b[-1], orthant=depth > 2))


def _keep(W: list[Any], b: list[Any], l: int, index: list[int]) -> None:
    W[l], b[l] = [W[l][i] for i in index], [b[l][i] for i in index]
    W[l + 1] = [[row[i] for i in index] for row in W[l + 1]]


def _tidy_layer(W: list[Any], b: list[Any], l: int, *, prefix: bool) -> None:
    """Fold constants, drop dead neurons; in prefix layers give rows largest entry 1 and merge equal ones."""
    keep: list[int] = []
    seen: dict[tuple[Any, ...], int] = {}
    for i, (row, c) in enumerate(zip(W[l], b[l])):
        heed("exact arithmetic")
        top = max((abs(v) for v in row), default=Fraction(0))
        if top == 0:
            for r, out in enumerate(W[l + 1]):
                b[l + 1][r] += out[i] * max(c, Fraction(0))
            continue
        if l > 0 and c <= 0 and all(v <= 0 for v in row):
            continue
        if prefix:
            W[l][i], b[l][i] = [v / top for v in row], c / top
            for out in W[l + 1]:
                out[i] *= top
            key = (*W[l][i], b[l][i])
            if key in seen:
                for out in W[l + 1]:
                    out[seen[key]] += out[i]
                continue
            seen[key] = i
        keep.append(i)
    _keep(W, b, l, keep)


def _hides(row: list[Any], c: Any, k: int) -> bool:
    return bool(row[k] > 0 and c <= 0 and all(v <= 0 for i, v in enumerate(row) if i != k))


def _exact_flips(W: list[Any], b: list[Any], k: int) -> tuple[Any, ...]:
    row, shift = W[1][0], b[1][0]
    form = [row[k] * v for v in (*W[0][k], b[0][k])]
    form[-1] += shift
    pieces: dict[tuple[Any, ...], Any] = {}
    for i, alpha in enumerate(row):
        if i != k:
            half = -alpha / 2
            z = (*W[0][i], b[0][i])
            form = [f - half * v for f, v in zip(form, z)]
            lead = next(v for v in z if v)
            key = tuple(v / abs(lead) * (1 if lead > 0 else -1) for v in z)
            pieces[key] = pieces.get(key, Fraction(0)) + half * abs(lead)
    size = sum((abs(v) for v in form[:-1]), Fraction(0)) + sum(pieces.values(), Fraction(0))
    walls = tuple(sorted((z, alpha / size) for z, alpha in pieces.items() if alpha))
    return ("flips", tuple(v / size for v in form), walls, tuple(out[0] * size for out in W[2]), tuple(b[2]))


def _exact_symmetric(W: list[Any], b: list[Any], C: list[Any], a: list[Any], *, orthant: bool) -> tuple[Any, ...]:
    m = len(C)
    n = len(W[0]) if W else 0
    slope = [[Fraction(0)] * n for _ in range(m)]
    constant = list(a)
    walls: dict[tuple[Any, ...], list[Any]] = {}
    for i, (row, c) in enumerate(zip(W, b)):
        heed("exact arithmetic")
        out = [C[r][i] for r in range(m)]
        linear = orthant and c >= 0 and all(v >= 0 for v in row)
        share = Fraction(1) if linear else Fraction(1, 2)
        for r in range(m):
            slope[r] = [s + share * out[r] * v for s, v in zip(slope[r], row)]
            constant[r] += share * out[r] * c
        if not linear:
            lead = next(v for v in row if v)
            key = tuple(v / lead for v in (*row, c))
            jump = walls.setdefault(key, [Fraction(0)] * m)
            for r in range(m):
                jump[r] += abs(lead) * out[r]
    shown = tuple(sorted((key, tuple(jump)) for key, jump in walls.items() if any(jump)))
    return ("symmetric", shown, tuple(map(tuple, slope)) if n else (), tuple(constant))
