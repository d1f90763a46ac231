"""Prove two networks equal by the hidden features that they share, without canonical forms or regions.

Layer by layer the rows of *both* networks are put on one list and those that are one hyperplane with one side, up to a
positive factor, are joined into classes. Each network is then rewritten over the classes, whose number both have in
common: the columns of a class are added up. In the last hidden layer the classes are hyperplanes without a side, with
``c relu(z) = (c / 2) |z| + (c / 2) z``, and what has to agree is the jump across each and the affine rest. Every step
keeps both functions on all inputs, whatever the widths, so agreement proves equality; disagreement proves nothing.

Floats are compared within a tolerance; on rational networks nothing is rounded and tolerance 0 proves exact equality.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ..._typing import Array, FloatArray, IntArray
from ...budget import heed
from ...network.float_or_rational import products_in_range
from ...network.model import ReLUNetwork
from ...network.moves import hides
from ...numerics.floats import nearest
from ...numerics.rounding import NOISE


@dataclass
class _Layers:
    """Weights and biases of one network, being rewritten."""

    W: list[Array]
    b: list[Array]

    @classmethod
    def of(cls, net: ReLUNetwork) -> _Layers:
        return cls([w.copy() for w in net.weights], [b.copy() for b in net.biases])

    def keep(self, layer: int, chosen: Array) -> None:
        self.W[layer], self.b[layer] = self.W[layer][chosen], self.b[layer][chosen]
        self.W[layer + 1] = self.W[layer + 1][:, chosen]

    def tidy(self, layer: int, slack: float) -> None:
        """Fold constant neurons of a hidden layer into the next bias; drop those that are never active."""
        W, b = self.W[layer], self.b[layer]
        flat = ~(W != 0).any(axis=1)
        if flat.any():
            self.b[layer + 1] = self.b[layer + 1] + self.W[layer + 1][:, flat] @ np.where(b > 0, b, 0 * b)[flat]
        sizes = row_tops(np.concatenate([W, b[:, None]], axis=1))
        dead = flat if layer == 0 else flat | ((W <= 0).all(axis=1) & (b <= slack * sizes))
        if dead.any():
            self.keep(layer, ~dead)

    def drop_unused(self) -> None:
        for layer in range(len(self.W) - 2, -1, -1):
            used = (self.W[layer + 1] != 0).any(axis=0)
            if not used.all():
                self.keep(layer, used)


class _Worst:
    """Largest relative difference so far."""

    value = 0.0

    def see(self, difference: Array, size: float) -> None:
        top = float(np.abs(difference).max()) if difference.size else 0.0
        if top == 0.0:
            return
        relative = top / size if size > 0 else top
        # numbers beyond all floats prove nothing
        self.value = max(self.value, relative) if np.isfinite(top) and np.isfinite(size) else np.inf

    def see_each(self, difference: Array, sizes: FloatArray) -> None:
        """Rows, each relative to a size of its own."""
        for row, size in zip(difference, sizes):
            self.see(row, float(size))


def row_tops(rows: Array) -> Array:
    """Largest magnitude in each row (k, n) -> (k,); 0 for rows without entries."""
    return np.abs(rows).max(axis=1, initial=0) if rows.size else np.zeros(len(rows), dtype=rows.dtype)


def shared_features(a: ReLUNetwork, b: ReLUNetwork, *, tolerance: float) -> float | None:
    """Largest relative difference of two networks over the features that they share, or None.

    Parameters
    ----------
    a, b : ReLUNetwork
        With as many layers, inputs and outputs; the hidden widths may differ.
    tolerance : float
        Relative distance within which two hyperplanes are one and weights cancel. 0: rational arithmetic.

    Returns
    -------
    float or None
        At most the tolerance: the functions are equal within it. None: they share too little, which proves nothing.

    Notes
    -----
    Time is quadratic in the widths. Hyperplanes that the next layer hides are brought to a common gauge first, in
    every layer; with two hidden layers flips around them are known too (The Symmetries of Three-Layer ReLU Networks, §5).

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.equivalence.forms.shared_features import shared_features
    >>> from polyfiber.network.moves import random_trivial
    >>> net = pf.ReLUNetwork.random((3, 5, 5, 5, 2), rng=0)
    >>> shared_features(net, random_trivial(net, rng=1)(net), tolerance=1e-9) < 1e-13
    True
    >>> shared_features(net, pf.ReLUNetwork.random((3, 5, 5, 5, 2), rng=1), tolerance=1e-9) is None
    True
    """
    ends = [(len(net.weights), net.architecture[0], net.architecture[-1]) for net in (a, b)]
    if ends[0] != ends[1]:
        return None
    if tolerance == 0 or (a.is_exact and b.is_exact):
        a, b, tolerance = a.exact(), b.exact(), 0.0
    else:
        a, b = a.rounded(), b.rounded()
        if not products_in_range(a, b):
            return None
    pair = [_Layers.of(a), _Layers.of(b)]
    slack = NOISE if tolerance else 0.0
    worst = _Worst()
    depth = len(pair[0].W)
    for net in pair:
        for layer in range(depth - 1):
            net.tidy(layer, slack)
        net.drop_unused()
    for layer in range(depth - 2):
        heed("looking for shared features")
        if all(_join([net], layer, tolerance, _Worst()) for net in pair):
            hidden = [_hidden(net, layer, slack) for net in pair]
            if hidden[0] is not None and hidden[1] is not None:
                places = (hidden[0], hidden[1])
                if depth == 3 and all(len(net.W[1]) == 1 for net in pair):
                    return _flips(pair, places, tolerance, worst)
                for net, k in zip(pair, places):
                    _to_gauge(net, layer, k)
        if not _join(pair, layer, tolerance, worst):
            return None
    return _last(pair, tolerance, worst, orthant=depth > 2)


# ---- inner layers -----------------------------------------------------------------------------------------------------


def _join(nets: list[_Layers], layer: int, tolerance: float, worst: _Worst) -> bool:
    """Rewrite a layer and the next of all networks over the classes of their rows; False where a class is not clear."""
    rows = []
    for net in nets:
        net.tidy(layer, NOISE if tolerance else 0.0)
        sizes = row_tops(net.W[layer])
        rows.append(np.concatenate([net.W[layer], net.b[layer][:, None]], axis=1) / sizes[:, None])
        net.W[layer + 1] = net.W[layer + 1] * sizes
    table = np.concatenate(rows)
    found = _classes(table, tolerance, worst)
    if found is None:
        return False
    classes, heads = found
    parts = np.split(classes, np.cumsum([len(own) for own in rows])[:-1])
    for net, mine in zip(nets, parts):
        columns = net.W[layer + 1].T
        net.W[layer + 1] = _sums(columns, mine, len(heads)).T
        net.W[layer], net.b[layer] = table[heads, :-1], table[heads, -1]
    _drop_faint(nets, layer, tolerance, worst)
    return True


def _sums(rows: Array, classes: IntArray, count: int) -> Array:
    """Sums of the rows of each class."""
    total = np.full((count, rows.shape[1]), Fraction(0)) if rows.dtype == object else np.zeros((count, rows.shape[1]))
    np.add.at(total, classes, rows)
    return total


def _drop_faint(nets: list[_Layers], layer: int, tolerance: float, worst: _Worst) -> None:
    """Neurons whose outgoing weights are nothing but rounding, beside the others of each row, in every network go."""
    shares = []
    for net in nets:
        tops = row_tops(net.W[layer + 1])
        shares.append(nearest(np.abs(net.W[layer + 1]) / np.where(tops > 0, tops, 1 + 0 * tops)[:, None]))
    faint = np.asarray(np.all([(share <= tolerance).all(axis=0) for share in shares], axis=0))
    if faint.any():
        for net, share in zip(nets, shares):
            worst.see(share[:, faint], 1.0)
            net.keep(layer, ~faint)


def _classes(table: Array, tolerance: float, worst: _Worst, *, sided: bool = True) -> tuple[IntArray, list[int]] | None:
    """Class of each row, and the first row of each class; rows within the tolerance of that one are joined.

    ``sided=False``: a row and its negative are one. None where a row is near to two classes.
    """
    heads: list[int] = []
    classes = np.zeros(len(table), dtype=np.int64)
    if tolerance == 0:
        seen: dict[tuple[Fraction, ...], int] = {}
        for i, row in enumerate(table):
            flip = not sided and next(v for v in row if v) < 0
            classes[i] = seen.setdefault(tuple(-row if flip else row), len(seen))
            if classes[i] == len(heads):
                heads.append(i)
        return classes, heads
    # weights as they are, beside the largest, which is 1; offsets relative to themselves
    reach = np.ones(table.shape)
    reach[:, -1] = np.maximum(1.0, np.abs(table[:, -1]))
    for i, row in enumerate(table):
        heed("looking for shared features")
        size = np.maximum(reach[heads], reach[i])
        far = (np.abs(table[heads] - row) / size).max(axis=1, initial=0.0)
        if not sided:
            far = np.minimum(far, (np.abs(table[heads] + row) / size).max(axis=1, initial=0.0))
        near = np.flatnonzero(far <= tolerance)
        if len(near) > 1:
            return None
        if len(near):
            classes[i] = near[0]
            worst.value = max(worst.value, float(far[near[0]]))
        else:
            classes[i] = len(heads)
            heads.append(i)
    return classes, heads


# ---- the last hidden layer --------------------------------------------------------------------------------------------


def _last(pair: list[_Layers], tolerance: float, worst: _Worst, *, orthant: bool) -> float | None:
    """Jumps across hyperplanes and affine rests of the last two layers."""
    if len(pair[0].W) == 1:
        return _rest([(net.W[0], net.b[0]) for net in pair], np.zeros(len(pair[0].b[0])), tolerance, worst)
    slack = NOISE if tolerance else 0
    tables, jumps, rests = [], [], []
    for net in pair:
        if orthant:
            net.tidy(len(net.W) - 2, slack)
        W, b, C, c = net.W[-2], net.b[-2], net.W[-1], net.b[-1]
        rows = np.concatenate([W, b[:, None]], axis=1)
        linear = np.zeros(len(W), dtype=bool)
        if orthant:
            linear[:] = (rows >= -slack * row_tops(rows)[:, None]).all(axis=1)
        half = np.where(linear, 2 * _half(W), _half(W))
        rests.append(((C * half) @ W, c + (C * half) @ b))
        scale = row_tops(W)[~linear]
        tables.append(rows[~linear] / scale[:, None])
        jumps.append((C[:, ~linear] * scale).T)
    size = np.maximum(*(nearest(np.abs(own).max(axis=0, initial=0)) for own in jumps))
    if not _same_sums(tables, jumps, size, tolerance, worst):
        return None
    return _rest(rests, size, tolerance, worst)


def _half(like: Array) -> Any:
    return Fraction(1, 2) if like.dtype == object else 0.5


def _same_sums(tables: list[Array], weights: list[Array], size: FloatArray, tolerance: float, worst: _Worst) -> bool:
    """Compare the sums of the weights (k, nL) on each hyperplane of two networks, relative to sizes (nL,); False where
    hyperplanes are not clear.
    """
    found = _classes(np.concatenate(tables), tolerance, worst, sided=False)
    if found is None:
        return False
    classes, heads = found
    first = len(tables[0])
    sums = [_sums(w, own, len(heads)) for w, own in zip(weights, (classes[:first], classes[first:]))]
    worst.see_each(nearest(sums[0] - sums[1]).T, size)
    return True


def _rest(rests: list[tuple[Array, Array]], size: FloatArray, tolerance: float, worst: _Worst) -> float | None:
    """Compare slopes and constants, for each output relative to the largest of their kind and to the jumps."""
    (A, a), (B, b) = rests
    slope = np.maximum.reduce([size, *(nearest(row_tops(x)) for x in (A, B))])
    level = np.maximum.reduce([slope, *(nearest(np.abs(x)) for x in (a, b))])
    worst.see_each(nearest(A - B), slope)
    worst.see_each(nearest(a - b)[:, None], level)
    return worst.value if worst.value <= tolerance else None


# ---- hidden hyperplanes -----------------------------------------------------------------------------------------------


def _hidden(net: _Layers, layer: int, slack: float) -> int | None:
    """The hyperplane of a layer that every neuron of the next one hides; dead and unused neurons are gone already."""
    W, b = net.W[layer + 1], net.b[layer + 1]
    if len(W) == 0 or W.shape[1] < 2:
        return None
    lowered = np.where((b > 0) & (b <= slack * row_tops(np.concatenate([W, b[:, None]], axis=1))), 0 * b, b)
    return next((k for k in range(W.shape[1]) if hides(W, lowered, k).all()), None)


def _to_gauge(net: _Layers, layer: int, k: int) -> None:
    """Translate hyperplane k of a layer to where ``min_j -b[j] / W[j, k]`` of the next one is the size of its row."""
    W, b = net.W[layer + 1], net.b[layer + 1]
    shift = min(-b / W[:, k]) - np.abs(net.W[layer][k]).max()
    net.b[layer][k] = net.b[layer][k] - shift
    net.b[layer + 1] = b + shift * W[:, k]


def _flips(pair: list[_Layers], hidden: tuple[int, int], tolerance: float, worst: _Worst) -> float | None:
    """One live neuron that hides k: ``a + c relu(l(x) - sum_i alpha_i |z_i(x)|)``, compared term by term."""
    forms, tables, weights, outer = [], [], [], []
    for net, k in zip(pair, hidden):
        (row,), (bias,) = net.W[1], net.b[1]
        rows = np.concatenate([net.W[0], net.b[0][:, None]], axis=1)
        others = np.arange(len(rows)) != k
        half = -row[others] * _half(rows)
        form = row[k] * rows[k] - half @ rows[others]
        form[-1] = form[-1] + bias
        scale = row_tops(net.W[0])[others]
        size = np.abs(form[:-1]).max() + (half * scale).sum()
        forms.append(form / size)
        tables.append(rows[others] / scale[:, None])
        weights.append((half * scale / size)[:, None])
        outer.append((net.W[2][:, 0] * size, net.b[2]))
    if not _same_sums(tables, weights, np.ones(1), tolerance, worst):
        return None
    worst.see(nearest(forms[0] - forms[1]), max(1.0, *(float(nearest(np.abs(f)).max()) for f in forms)))
    return _rest([(c[:, None], a) for c, a in outer], np.zeros(len(outer[0][1])), tolerance, worst)
