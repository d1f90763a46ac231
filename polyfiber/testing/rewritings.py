"""Exact ways to write the same function as another network: operators on rational parameters, composed at will.

Each operator takes a network with rational parameters and gives another that computes the same function at every input,
by an identity that is proved on paper (stated at each). Nothing here is shared with the code that decides equality:
truth comes from the construction. Random choices come from a numpy generator; an operator that does not apply returns
None.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from .._typing import Array
from ..network.model import ReLUNetwork

Operator = Callable[[ReLUNetwork, np.random.Generator], ReLUNetwork | None]
_ONE = Fraction(1)


def rational(rng: np.random.Generator, *, signed: bool = False) -> Fraction:
    """A ratio k/l of small integers, not zero; one in sixteen is a power of two up to 2**12."""
    if rng.random() < 1 / 16:
        value = Fraction(2) ** int(rng.integers(-12, 13))
    else:
        value = Fraction(int(rng.integers(1, 10)), int(rng.integers(1, 10)))
    return -value if signed and rng.random() < 0.5 else value


def _vector(rng: np.random.Generator, n: int) -> Array:
    """Small rationals with some zeros, not all zero."""
    values = np.array([Fraction(int(v), 4) for v in rng.integers(-6, 7, n)], dtype=object)
    if not (values != 0).any():
        values[int(rng.integers(n))] = _ONE
    return values


def _zeros(*shape: int) -> Array:
    return np.full(shape, Fraction(0), dtype=object)


def _eye(n: int) -> Array:
    table = _zeros(n, n)
    np.fill_diagonal(table, _ONE)
    return table


class _Parts:
    """Weights and biases as lists that may be changed."""

    def __init__(self, net: ReLUNetwork) -> None:
        net = net.exact()
        self.W: list[Array] = [w.copy() for w in net.weights]
        self.b: list[Array] = [c.copy() for c in net.biases]

    @property
    def hidden(self) -> int:
        return len(self.W) - 1

    def any_layer(self, rng: np.random.Generator, least: int = 0) -> int | None:
        """Index of a hidden layer, at least ``least``."""
        return int(rng.integers(least, self.hidden)) if self.hidden > least else None

    def net(self) -> ReLUNetwork:
        return ReLUNetwork(self.W, self.b)

    def add(self, layer: int, rows: Any, biases: Any, columns: Any) -> None:
        """Append neurons to a hidden layer: rows (k, n), biases (k,), columns (m, k) of the next layer."""
        rows = np.array(rows, dtype=object).reshape(-1, self.W[layer].shape[1])
        self.W[layer] = np.concatenate([self.W[layer], rows])
        self.b[layer] = np.concatenate([self.b[layer], np.array(biases, dtype=object)])
        columns = np.array(columns, dtype=object).reshape(len(self.W[layer + 1]), len(rows))
        self.W[layer + 1] = np.concatenate([self.W[layer + 1], columns], axis=1)

    def insert(self, at: int, W: Array, b: Array) -> None:
        self.W.insert(at, W)
        self.b.insert(at, b)


def permute(net: ReLUNetwork, rng: np.random.Generator) -> ReLUNetwork | None:
    """Neurons of a layer in another order."""
    p = _Parts(net)
    l = p.any_layer(rng)
    if l is None:
        return None
    order = rng.permutation(len(p.b[l]))
    p.W[l], p.b[l], p.W[l + 1] = p.W[l][order], p.b[l][order], p.W[l + 1][:, order]
    return p.net()


def rescale(net: ReLUNetwork, rng: np.random.Generator) -> ReLUNetwork | None:
    """relu(s z) = s relu(z) for s > 0, for every neuron of a layer with its own s = k/l."""
    p = _Parts(net)
    l = p.any_layer(rng)
    if l is None:
        return None
    s = np.array([rational(rng) for _ in p.b[l]], dtype=object)
    p.W[l], p.b[l], p.W[l + 1] = p.W[l] * s[:, None], p.b[l] * s, p.W[l + 1] / s
    return p.net()


def split(net: ReLUNetwork, rng: np.random.Generator) -> ReLUNetwork | None:
    """c relu(z) = (c t / s) relu(s z) + c (1 - t) relu(z)."""
    p = _Parts(net)
    l = p.any_layer(rng)
    if l is None:
        return None
    i, s = int(rng.integers(len(p.b[l]))), rational(rng)
    t = np.array([rational(rng, signed=True) for _ in p.W[l + 1]], dtype=object)
    column = p.W[l + 1][:, i].copy()
    p.W[l + 1][:, i] = column * (1 - t)
    p.add(l, p.W[l][i] * s, [p.b[l][i] * s], column * t / s)
    return p.net()


def cancelling_group(net: ReLUNetwork, rng: np.random.Generator) -> ReLUNetwork | None:
    """sum_i c_i relu(s_i z) = 0 where sum_i c_i s_i = 0, for a wall of its own or one that is there."""
    p = _Parts(net)
    l = p.any_layer(rng)
    if l is None:
        return None
    own = int(rng.integers(len(p.b[l])))
    row, bias = (
        (_vector(rng, p.W[l].shape[1]), _vector(rng, 1)[0]) if rng.random() < 0.6 else (p.W[l][own], p.b[l][own])
    )
    s = np.array([Fraction(int(v)) for v in rng.choice([1, 2, 3, 5, 7, 11], 3, replace=False)], dtype=object)
    a = np.array([_vector(rng, 2) for _ in p.W[l + 1]], dtype=object)
    last = -(a[:, 0] * s[0] + a[:, 1] * s[1]) / s[2]
    p.add(l, np.outer(s, row), s * bias, np.stack([a[:, 0], a[:, 1], last], axis=1))
    return p.net()


def _pairs_relation(p: _Parts, l: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Rows u, -u, v, -v, u+v, -u-v with biases; relu(z) - relu(-z) = z makes 1,-1,1,-1,-1,1 a relation."""
    n = p.W[l].shape[1]
    u, v = (np.append(_vector(rng, n), _vector(rng, 1)) for _ in range(2))
    s = [rational(rng) for _ in range(6)]
    rows = np.array([u * s[0], -u * s[1], v * s[2], -v * s[3], (u + v) * s[4], -(u + v) * s[5]], dtype=object)
    return rows[:, :-1], rows[:, -1], np.array([k / f for k, f in zip((1, -1, 1, -1, -1, 1), s)], dtype=object)


def triple_flip(net: ReLUNetwork, rng: np.random.Generator) -> ReLUNetwork | None:
    """relu(u) - relu(-u) + relu(v) - relu(-v) - relu(u+v) + relu(-u-v) = 0, rows rescaled."""
    p = _Parts(net)
    l = p.any_layer(rng)
    if l is None:
        return None
    rows, biases, relation = _pairs_relation(p, l, rng)
    if not all((r != 0).any() for r in rows):
        return None
    p.add(l, rows, biases, np.outer(_vector(rng, len(p.W[l + 1])), relation))
    return p.net()


def feature_relation(net: ReLUNetwork, rng: np.random.Generator) -> ReLUNetwork | None:
    """A multiple of the relation relu(s z) = s relu(z) of two parallel rows, with an own factor in every row of the
    next layer.
    """
    p = _Parts(net)
    l = p.any_layer(rng)
    if l is None:
        return None
    i, s = int(rng.integers(len(p.b[l]))), rational(rng)
    a = np.array([rational(rng, signed=True) for _ in p.W[l + 1]], dtype=object)
    p.W[l + 1][:, i] = p.W[l + 1][:, i] + a
    p.add(l, p.W[l][i] * s, [p.b[l][i] * s], -a / s)
    return p.net()


def mirror(net: ReLUNetwork, rng: np.random.Generator) -> ReLUNetwork | None:
    """relu(z) = relu(-z) + z in layer 1, with z written by x_j = relu(x_j) - relu(-x_j)."""
    p = _Parts(net)
    if p.hidden < 1:
        return None
    i, n = int(rng.integers(len(p.b[0]))), p.W[0].shape[1]
    row, bias, column = p.W[0][i].copy(), p.b[0][i], p.W[1][:, i].copy()
    p.W[0][i], p.b[0][i] = -row, -bias
    table = np.outer(column, row)
    p.add(0, np.concatenate([_eye(n), -_eye(n)]), _zeros(2 * n), np.concatenate([table, -table], axis=1))
    p.b[1] = p.b[1] + column * bias
    return p.net()


def identity_layer(net: ReLUNetwork, rng: np.random.Generator) -> ReLUNetwork | None:
    """relu(y) = y behind a hidden layer, whose values are not negative; rescaled by a positive factor each."""
    p = _Parts(net)
    l = p.any_layer(rng)
    if l is None:
        return None
    m = len(p.b[l])
    s = np.array([rational(rng) for _ in range(m)], dtype=object)
    p.insert(l + 1, _eye(m) * s[:, None], _zeros(m))
    p.W[l + 2] = p.W[l + 2] / s
    return p.net()


def shifted_identity_layer(net: ReLUNetwork, rng: np.random.Generator) -> ReLUNetwork | None:
    """relu(y + c) - c = y for y >= 0, c >= 0."""
    p = _Parts(net)
    l = p.any_layer(rng)
    if l is None:
        return None
    m = len(p.b[l])
    c = np.array([rational(rng) for _ in range(m)], dtype=object)
    p.insert(l + 1, _eye(m), c)
    p.b[l + 2] = p.b[l + 2] - p.W[l + 2] @ c
    return p.net()


def pair_before(net: ReLUNetwork, rng: np.random.Generator) -> ReLUNetwork | None:
    """x = relu(x) - relu(-x) as a first layer."""
    p = _Parts(net)
    n = p.W[0].shape[1]
    p.insert(0, np.concatenate([_eye(n), -_eye(n)]), _zeros(2 * n))
    p.W[1] = np.concatenate([p.W[1], -p.W[1]], axis=1)
    return p.net()


def pair_behind(net: ReLUNetwork, rng: np.random.Generator) -> ReLUNetwork | None:
    """out = relu(out) - relu(-out) as a last layer."""
    p = _Parts(net)
    m = len(p.b[-1])
    p.W[-1], p.b[-1] = np.concatenate([p.W[-1], -p.W[-1]]), np.concatenate([p.b[-1], -p.b[-1]])
    p.insert(len(p.W), np.concatenate([_eye(m), -_eye(m)], axis=1), _zeros(m))
    return p.net()


def pair_between(net: ReLUNetwork, rng: np.random.Generator) -> ReLUNetwork | None:
    """z = relu(z) - relu(-z) for the values that enter a hidden layer: the layer becomes two."""
    p = _Parts(net)
    l = p.any_layer(rng)
    if l is None or len(p.b[l]) > 6:
        return None
    m = len(p.b[l])
    W, b = p.W[l], p.b[l]
    p.W[l], p.b[l] = np.concatenate([W, -W]), np.concatenate([b, -b])
    p.insert(l + 1, np.concatenate([_eye(m), -_eye(m)], axis=1), _zeros(m))
    return p.net()


def linear_group(net: ReLUNetwork, rng: np.random.Generator) -> ReLUNetwork | None:
    """x = M⁻¹ (relu(M x) - relu(-M x)) as a first layer, M triangular with rational entries."""
    p = _Parts(net)
    n = p.W[0].shape[1]
    M, inverse = _eye(n), _eye(n)
    for _ in range(n):
        i, j = int(rng.integers(n)), int(rng.integers(n))
        t = rational(rng, signed=True)
        if i == j:
            M[i], inverse[:, i] = M[i] * t, inverse[:, i] / t
        else:
            M[i], inverse[:, j] = M[i] + t * M[j], inverse[:, j] - t * inverse[:, i]
    W = p.W[0] @ inverse
    p.insert(0, np.concatenate([M, -M]), _zeros(2 * n))
    p.W[1] = np.concatenate([W, -W], axis=1)
    return p.net()


def dead_neuron(net: ReLUNetwork, rng: np.random.Generator) -> ReLUNetwork | None:
    """relu(z) = 0 where z is a sum of terms <= 0."""
    p = _Parts(net)
    l = p.any_layer(rng, 1)
    if l is None:
        return None
    row = -np.abs(_vector(rng, p.W[l].shape[1]))
    p.add(l, row, [-abs(_vector(rng, 1)[0])], _vector(rng, len(p.W[l + 1])))
    return p.net()


def constant_neuron(net: ReLUNetwork, rng: np.random.Generator) -> ReLUNetwork | None:
    """relu(c) = c without inputs, taken from the next bias."""
    p = _Parts(net)
    l = p.any_layer(rng)
    if l is None:
        return None
    c, column = rational(rng), _vector(rng, len(p.W[l + 1]))
    p.add(l, _zeros(p.W[l].shape[1]), [c], column)
    p.b[l + 1] = p.b[l + 1] - c * column
    return p.net()


def unused_neuron(net: ReLUNetwork, rng: np.random.Generator) -> ReLUNetwork | None:
    """A neuron that nothing reads."""
    p = _Parts(net)
    l = p.any_layer(rng)
    if l is None:
        return None
    p.add(l, _vector(rng, p.W[l].shape[1]), _vector(rng, 1), _zeros(len(p.W[l + 1])))
    return p.net()


def _two_levels(p: _Parts, l: int, rng: np.random.Generator) -> tuple[int, int]:
    """Two features relu(u), relu(u + c), c >= 0, of a layer, that nothing reads yet: the second is never less."""
    row, bias = _vector(rng, p.W[l].shape[1]), _vector(rng, 1)[0]
    p.add(l, [row, row], [bias, bias + rational(rng)], _zeros(len(p.W[l + 1]), 2))
    return len(p.b[l]) - 2, len(p.b[l]) - 1


def dead_on_the_image(net: ReLUNetwork, rng: np.random.Generator) -> ReLUNetwork | None:
    """relu(relu(u) - relu(u + c)) = 0 for c >= 0: weights of both signs, never active on what is reached."""
    p = _Parts(net)
    l = p.any_layer(rng, 1)
    if l is None:
        return None
    small, large = _two_levels(p, l - 1, rng)
    row = _zeros(p.W[l].shape[1])
    s = rational(rng)
    row[small], row[large] = s, -s
    p.add(l, row, [Fraction(0) if rng.random() < 0.5 else -rational(rng)], _vector(rng, len(p.W[l + 1])))
    return p.net()


def linear_on_the_image(net: ReLUNetwork, rng: np.random.Generator) -> ReLUNetwork | None:
    """relu(v - u) - relu(v) + relu(u) = 0 for features v >= u >= 0."""
    p = _Parts(net)
    l = p.any_layer(rng, 1)
    if l is None:
        return None
    small, large = _two_levels(p, l - 1, rng)
    rows = _zeros(3, p.W[l].shape[1])
    rows[0, large], rows[0, small], rows[1, large], rows[2, small] = _ONE, -_ONE, _ONE, _ONE
    column = _vector(rng, len(p.W[l + 1]))
    p.add(l, rows, _zeros(3), np.outer(column, np.array([1, -1, 1], dtype=object)))
    return p.net()


def maximum(net: ReLUNetwork, rng: np.random.Generator) -> ReLUNetwork | None:
    """max(a, b) = a + relu(b - a) = b + relu(a - b) for two features a, b >= 0, with a = relu(a)."""
    p = _Parts(net)
    l = p.any_layer(rng, 1)
    if l is None or p.W[l].shape[1] < 2:
        return None
    i, j = rng.choice(p.W[l].shape[1], 2, replace=False)
    rows = _zeros(4, p.W[l].shape[1])
    rows[0, i], rows[0, j], rows[1, j], rows[1, i], rows[2, i], rows[3, j] = _ONE, -_ONE, _ONE, -_ONE, _ONE, _ONE
    column = _vector(rng, len(p.W[l + 1]))
    p.add(l, rows, _zeros(4), np.outer(column, np.array([1, -1, -1, 1], dtype=object)))
    return p.net()


def clip(net: ReLUNetwork, rng: np.random.Generator) -> ReLUNetwork | None:
    """min(y, c) = relu(c - relu(c - y)) = relu(y) - relu(y - c) for y >= 0, over two layers."""
    p = _Parts(net)
    l = p.any_layer(rng, 2)
    if l is None:
        return None
    i, c = int(rng.integers(p.W[l - 1].shape[1])), rational(rng)
    rows = _zeros(3, p.W[l - 1].shape[1])
    rows[0, i], rows[1, i], rows[2, i] = -_ONE, _ONE, _ONE
    p.add(l - 1, rows, [c, Fraction(0), -c], _zeros(len(p.b[l]), 3))
    k = p.W[l].shape[1] - 3
    upper = _zeros(3, p.W[l].shape[1])
    upper[0, k], upper[1, k + 1], upper[2, k + 2] = -_ONE, _ONE, _ONE
    column = _vector(rng, len(p.W[l + 1]))
    p.add(l, upper, [c, Fraction(0), Fraction(0)], np.outer(column, np.array([1, -1, 1], dtype=object)))
    return p.net()


def _hidden_index(p: _Parts) -> int | None:
    """The feature of layer 1 that every neuron of layer 2 hides."""
    if p.hidden < 2:
        return None
    W, b = p.W[1], p.b[1]
    for k in range(W.shape[1]):
        others = np.delete(W, k, axis=1)
        if (W[:, k] > 0).all() and (others <= 0).all() and (b <= 0).all():
            return k
    return None


def translate(net: ReLUNetwork, rng: np.random.Generator) -> ReLUNetwork | None:
    """Move a hidden wall: b1[k] - s, b2 + s W2[:, k], while b2 stays <= 0."""
    p = _Parts(net)
    k = _hidden_index(p)
    if k is None:
        return None
    end = min(-c / w for c, w in zip(p.b[1], p.W[1][:, k]))
    s = end - rational(rng) if rng.random() < 0.7 else end
    p.b[0][k] = p.b[0][k] - s
    p.b[1] = p.b[1] + s * p.W[1][:, k]
    return p.net()


def flip(net: ReLUNetwork, rng: np.random.Generator) -> ReLUNetwork | None:
    """One neuron that hides k: relu(a z_k - sum alpha_i relu(z_i) + b) with z_i -> -z_i and a z_k -> a z_k - alpha_i
    z_i.
    """
    p = _Parts(net)
    k = _hidden_index(p)
    if k is None or len(p.b[1]) != 1 or p.W[0].shape[0] < 2:
        return None
    i = int(rng.choice([j for j in range(len(p.b[0])) if j != k]))
    factor = p.W[1][0, i] / p.W[1][0, k]
    p.W[0][k], p.b[0][k] = p.W[0][k] + factor * p.W[0][i], p.b[0][k] + factor * p.b[0][i]
    p.W[0][i], p.b[0][i] = -p.W[0][i], -p.b[0][i]
    return p.net()


OPERATORS: dict[str, Operator] = {
    f.__name__.replace("_", " "): f
    for f in (
        permute, rescale, split, cancelling_group, triple_flip, feature_relation, mirror, identity_layer,
        shifted_identity_layer, pair_before, pair_behind, pair_between, linear_group, dead_neuron, constant_neuron,
        unused_neuron, dead_on_the_image, linear_on_the_image, maximum, clip, translate, flip,
    )
}  # fmt: skip
"""All operators by name."""


def rewritten(
    net: ReLUNetwork, rng: np.random.Generator, *, steps: int = 3, hidden: int = 40, depth: int = 8
) -> tuple[ReLUNetwork, tuple[str, ...]]:
    """The same function after some random operators, and their names; at most ``hidden`` neurons and ``depth`` affine
    layers.

    Examples
    --------
    >>> import numpy as np
    >>> import polyfiber as pf
    >>> from polyfiber.testing.rewritings import rewritten
    >>> net = pf.ReLUNetwork.random((2, 3, 1), rng=0).exact()
    >>> other, names = rewritten(net, np.random.default_rng(1), steps=4)
    >>> from fractions import Fraction
    >>> x = [Fraction(1, 3), Fraction(-2, 7)]
    >>> bool((net(x) == other(x)).all()), len(names)
    (True, 4)
    """
    names = list(OPERATORS)
    used: list[str] = []
    current = net.exact()
    for _ in range(8 * steps):
        if len(used) == steps:
            break
        name = names[int(rng.integers(len(names)))]
        after = OPERATORS[name](current, rng)
        if after is not None and after.n_hidden <= hidden and len(after.weights) <= depth:
            current = after
            used.append(name)
    return current, tuple(used)
