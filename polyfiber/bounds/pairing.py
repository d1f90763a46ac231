"""Two networks in one shape: the same depth and widths, neuron beside neuron, with bounds of what was rounded on the
way.

Networks of different shapes are brought to one without changing a value: a shallower one gets identity layers (an
activation is never negative, so ``relu`` passes it), a narrower layer gets neurons without weights. Where neurons of g
stand in another order or scale than those of f they are put beside the most similar ones. What rounding moved a
parameter by, here or when the file was read, is bounded entry by entry, and the bounds of the search charge it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._typing import Array, FloatArray, IntArray
from ..errors import ShapeError
from ..kernels.bounds.pair import Errors, Layout, Pair, Three
from ..network.model import ReLUNetwork
from ..numerics.exact import as_fractions
from ..numerics.floats import nearest
from ..numerics.products import exact_product
from ..numerics.rounding import LEAST, TINY, UNIT

MATCHED = 2048
"""Widest layer whose neurons are matched."""


@dataclass(frozen=True, eq=False)
class Side:
    """One network of a pair in floats: weights, biases, and how far each may be from the number that is meant."""

    weights: tuple[FloatArray, ...]
    biases: tuple[FloatArray, ...]
    weight_errors: tuple[FloatArray, ...]
    bias_errors: tuple[FloatArray, ...]

    @property
    def widths(self) -> tuple[int, ...]:
        """``(n0, …, nL)``."""
        return (self.weights[0].shape[1], *(W.shape[0] for W in self.weights))

    @classmethod
    def of(cls, net: ReLUNetwork) -> Side:
        """A network as given: rationals rounded, and what its reader folded with the bounds that it recorded."""
        rounded = net.rounded()
        weights, biases = list(rounded.weights), list(rounded.biases)
        if net.is_exact:
            with np.errstate(over="ignore"):
                errors = [np.abs(W) * UNIT + LEAST for W in weights]
                shifts = [np.abs(b) * UNIT + LEAST for b in biases]
        else:
            errors, shifts = [np.zeros_like(W) for W in weights], [np.zeros_like(b) for b in biases]
            for record in net.source.get("folding", ()):
                l = record["layer"] - 1
                if "weight_bounds" in record and np.shape(record["weight_bounds"]) == weights[l].shape:
                    errors[l] = np.asarray(record["weight_bounds"], dtype=np.float64)
                    shifts[l] = np.asarray(record["bias_bounds"], dtype=np.float64)
        return cls(tuple(weights), tuple(biases), tuple(errors), tuple(shifts))

    def on_flat(self, lift: Array) -> Side:
        """The network on the flat ``x = lift @ (t, 1)``, as a function of t: (n0, k + 1) Fractions; roundings are
        charged.
        """
        W, b, E, e = (part[0] for part in (self.weights, self.biases, self.weight_errors, self.bias_errors))
        rows = exact_product(as_fractions(W), lift)
        rows[:, -1] += as_fractions(b)
        with np.errstate(all="ignore"):
            moved = nearest(rows)
            errors = np.abs(moved) * UNIT + (E @ np.abs(nearest(lift))) * (1 + 1e-9) + TINY
            errors[:, -1] += e
        return self.replaced(0, [moved[:, :-1], moved[:, -1], errors[:, :-1], errors[:, -1] * (1 + 1e-9)])

    def replaced(self, layer: int, moved: list[FloatArray]) -> Side:
        """With another W, b and their errors in one layer."""
        parts = [list(part) for part in (self.weights, self.biases, self.weight_errors, self.bias_errors)]
        for part, value in zip(parts, moved):
            part[layer] = value
        return Side(*(tuple(part) for part in parts))

    def deepened(self, depth: int) -> Side:
        """The same function in so many layers."""
        W, b, E, e = (list(p) for p in (self.weights, self.biases, self.weight_errors, self.bias_errors))
        if len(W) == 1 < depth:  # an affine map: relu(z) - relu(-z)
            m = len(b[0])
            both = [np.concatenate([W[0], -W[0]]), np.concatenate([b[0], -b[0]])]
            last = np.concatenate([np.eye(m), -np.eye(m)], axis=1)
            W, b = [both[0], last], [both[1], np.zeros(m)]
            E, e = [np.concatenate([E[0], E[0]]), np.zeros_like(last)], [np.concatenate([e[0], e[0]]), np.zeros(m)]
        while len(W) < depth:
            n = W[-1].shape[1]
            for part, value in ((W, np.eye(n)), (b, np.zeros(n)), (E, np.zeros((n, n))), (e, np.zeros(n))):
                part.insert(len(part) - 1, value)
        return Side(tuple(W), tuple(b), tuple(E), tuple(e))

    def placed(self, layer: int, places: IntArray, width: int) -> Side:
        """The neurons of a hidden layer (from 1) at these places of a wider layer; the other places have no weights."""
        W, b, E, e = (p[layer - 1] for p in (self.weights, self.biases, self.weight_errors, self.bias_errors))
        new = [np.zeros((width, W.shape[1])), np.zeros(width), np.zeros((width, W.shape[1])), np.zeros(width)]
        for part, old in zip(new, (W, b, E, e)):
            part[places] = old
        side = self.replaced(layer - 1, new)
        V, E = side.weights[layer], side.weight_errors[layer]
        after = [np.zeros((len(V), width)), side.biases[layer], np.zeros((len(V), width)), side.bias_errors[layer]]
        after[0][:, places], after[2][:, places] = V, E
        return side.replaced(layer, after)

    def rescaled(self, layer: int, factors: FloatArray) -> Side:
        """The neurons of a hidden layer (from 1) times positive factors, which the next layer takes back; roundings are
        charged.
        """
        W, b, E, e = (p[layer - 1] for p in (self.weights, self.biases, self.weight_errors, self.bias_errors))
        V, F = self.weights[layer], self.weight_errors[layer]
        column = factors[:, None]
        scaled, shifted, back = W * column, b * factors, V / factors
        exact = np.frexp(factors)[0] == 0.5  # powers of two, as long as nothing leaves the range
        u = np.where(exact, 0.0, 2 * UNIT)
        tiny = 16 * LEAST
        moved = [
            scaled,
            shifted,
            (E * column + u[:, None] * np.abs(scaled)) * (1 + 1e-9) + tiny * (scaled != 0),
            (e * factors + u * np.abs(shifted)) * (1 + 1e-9) + tiny * (shifted != 0),
        ]
        side = self.replaced(layer - 1, moved)
        after = [
            back, side.biases[layer], (F / factors + u * np.abs(back)) * (1 + 1e-9) + tiny * (back != 0),
            side.bias_errors[layer],
        ]  # fmt: skip
        return side.replaced(layer, after)


def paired(f: ReLUNetwork, g: ReLUNetwork, *, match: bool = True) -> tuple[Side, Side]:
    """Both networks with the same depth and widths.

    Parameters
    ----------
    f, g : ReLUNetwork
        With the same number of inputs and outputs.
    match : bool
        Put the neurons of g beside the most similar ones of f where they do not stand there already.

    Raises
    ------
    ShapeError
        Different numbers of inputs or outputs.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.bounds.pairing import paired
    >>> a, b = pf.ReLUNetwork.random((2, 3, 1), rng=0), pf.ReLUNetwork.random((2, 4, 5, 1), rng=1)
    >>> x, y = paired(a, b)
    >>> x.widths, y.widths
    ((2, 4, 5, 1), (2, 4, 5, 1))
    """
    for end, what in ((0, "inputs"), (-1, "outputs")):
        if f.architecture[end] != g.architecture[end]:
            raise ShapeError(
                f"the networks have {f.architecture[end]} and {g.architecture[end]} {what}; "
                "only functions between the same spaces can be compared"
            )
    return paired_sides(Side.of(f), Side.of(g), match=match)


def paired_sides(x: Side, y: Side, *, match: bool = True) -> tuple[Side, Side]:
    """`paired` for networks that are sides already, with as many inputs and outputs."""
    depth = max(len(x.weights), len(y.weights))
    x, y = x.deepened(depth), y.deepened(depth)
    same = x.widths == y.widths and _close(x, y)
    for layer in range(1, depth):
        m, n = len(x.biases[layer - 1]), len(y.biases[layer - 1])
        if same or not match or max(m, n) > MATCHED:
            first, second = np.arange(m), np.arange(n)
        else:
            first, second, factors = _matched(x, y, layer)
            y = y.rescaled(layer, factors)
        width = max(m, n)
        x, y = x.placed(layer, first, width), y.placed(layer, second, width)
    return x, y


def _close(x: Side, y: Side) -> bool:
    """Whether the neurons stand beside each other as they are."""
    size = sum(float(np.abs(W).sum()) for W in (*x.weights, *y.weights))
    return sum(float(np.abs(V - W).sum()) for V, W in zip(x.weights, y.weights)) <= 0.25 * size


def _matched(x: Side, y: Side, layer: int) -> tuple[IntArray, IntArray, FloatArray]:
    """Places of the neurons of both in a layer, the most similar ones together; and factors for those of y."""
    from scipy.optimize import linear_sum_assignment

    rows = [np.concatenate([s.weights[layer - 1], s.biases[layer - 1][:, None]], axis=1) for s in (x, y)]
    sizes = []
    for part in rows:
        top = np.abs(part).max(axis=1)
        top = np.where(top > 0, top, 1.0)
        sizes.append(top * np.sqrt(np.square(part / top[:, None]).sum(axis=1)))
    units = [part / np.where(size > 0, size, 1.0)[:, None] for part, size in zip(rows, sizes)]
    likeness = units[0] @ units[1].T
    one, two = linear_sum_assignment(-likeness)
    m, n = likeness.shape
    first, second = np.arange(m), np.arange(n)
    if m >= n:
        second[two] = one
    else:
        first[one] = two
    factors = np.ones(n)
    for i, j in zip(one.tolist(), two.tolist()):
        ratio = sizes[0][i] / sizes[1][j] if sizes[1][j] > 0 and sizes[0][i] > 0 else 1.0
        if likeness[i, j] > 0.9 and abs(ratio - 1) > 1e-3 and 1e-100 < ratio < 1e100:
            factors[j] = ratio
    return first, second, factors


def flat_pair(x: Side, y: Side) -> Pair:
    """Both sides as the flat arrays of the kernels."""
    widths = np.array(x.widths, dtype=np.int64)
    first = np.concatenate([[0], np.cumsum(widths[1:])]).astype(np.int64)
    at = np.concatenate([[0], np.cumsum(widths[1:] * widths[:-1])]).astype(np.int64)

    def flat(parts: tuple[FloatArray, ...] | list[FloatArray]) -> FloatArray:
        # whole vectors are read at the end
        return np.concatenate([*(np.ascontiguousarray(p, dtype=np.float64).ravel() for p in parts), np.zeros(16)])

    with np.errstate(over="ignore"):
        change = [V - W for V, W in zip(x.weights, y.weights)]
        shift = [a - b for a, b in zip(x.biases, y.biases)]
    folds = [
        any(bool(p[l].any()) for p in (x.weight_errors, y.weight_errors, x.bias_errors, y.bias_errors))
        for l in range(len(x.weights))
    ]
    three = (x.weights, y.weights, change)
    return Pair(
        Layout(widths, first, at, np.array(folds, dtype=np.int8), np.zeros(1, dtype=np.int64)),
        Three(*(flat(some) for some in three)),
        Three(*(flat([W.T for W in some]) for some in three)),
        Three(flat(x.biases), flat(y.biases), flat(shift)),
        Errors(flat(x.weight_errors), flat(y.weight_errors), flat(x.bias_errors), flat(y.bias_errors)),
    )
