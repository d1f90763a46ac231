"""The largest gap between two networks on a bounded domain in a flat that is known by hand, in rationals."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

import polyfiber as pf

Array = np.ndarray[Any, Any]


def fractions(values: Any) -> Array:
    """The same numbers as Fractions."""
    array = np.asarray(values, dtype=object)
    return np.array([Fraction(v) for v in array.ravel().tolist()], dtype=object).reshape(array.shape)


def random_flat(rng: Any, n: int, k: int, denominator: int) -> tuple[pf.Polyhedron, Array]:
    """A polyhedron of dimension at most k in a cube of R^n, and its flat: x = lift @ (t, 1).

    The first k coordinates, in a random order, are t; the others have slopes and constants of a denominator. Powers of two make a
    domain in floats, others a rational one.
    """
    order = rng.permutation(n)
    lift = fractions(np.zeros((n, k + 1), dtype=int))
    for i, c in enumerate(order):
        if i < k:
            lift[c, i] = Fraction(1)
        else:
            lift[c] = [Fraction(int(v), denominator) for v in rng.integers(-denominator, denominator + 1, k + 1)]
            lift[c, -1] /= 2
    rows, sides = [], []
    for c in order[k:]:
        row = fractions(np.zeros(n, dtype=int))
        row[c] = Fraction(1)
        row[order[:k]] -= lift[c, :-1]
        rows += [row, -row]
        sides += [lift[c, -1], -lift[c, -1]]
    cube = fractions(np.concatenate([np.eye(n, dtype=int), -np.eye(n, dtype=int)]))
    A, b = np.array([*rows, *cube], dtype=object), fractions([*sides, *[2] * (2 * n)])
    if denominator & (denominator - 1) == 0:
        A, b = A.astype(float), b.astype(float)
    return pf.Polyhedron(A, b), lift


def largest_gap(a: pf.ReLUNetwork, b: pf.ReLUNetwork, domain: pf.Polyhedron, lift: Array) -> Fraction:
    """Over the vertices of the complex of both networks, side by side, restricted to the flat by hand; depths must agree."""
    one, two = a.exact(), b.exact()
    first = np.concatenate([one.weights[0], two.weights[0]])
    bias = np.concatenate([one.biases[0], two.biases[0]]) + first @ lift[:, -1]
    if lift.shape[1] == 1:
        return Fraction(max(abs(one(lift[:, -1]) - two(lift[:, -1]))))

    def beside(p: Array, q: Array) -> Array:
        both = fractions(np.zeros((len(p) + len(q), p.shape[1] + q.shape[1]), dtype=int))
        both[: len(p), : p.shape[1]], both[len(p) :, p.shape[1] :] = p, q
        return both

    net = pf.ReLUNetwork(
        [first @ lift[:, :-1], *(beside(p, q) for p, q in zip(one.weights[1:], two.weights[1:]))],
        [bias, *(np.concatenate(pair) for pair in zip(one.biases[1:], two.biases[1:]))],
    )
    rows = fractions(domain.A) @ lift
    keep = (rows[:, :-1] != 0).any(axis=1)
    cx = pf.canonical_complex(net, pf.Polyhedron(rows[keep, :-1], (fractions(domain.b) - rows[:, -1])[keep]))
    m = a.architecture[-1]
    return Fraction(max(max(abs(v[:m] - v[m:])) for v in (net(x) for x in cx.exact_vertices())))
