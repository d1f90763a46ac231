"""Moves that turn one network into an equal one: permutation, scaling, translation, flips, re-factorization."""

from __future__ import annotations

import numpy as np

from .._typing import Array, FloatArray
from ..budget import Budget, heed, time_left
from ..errors import BudgetExceededError, PolyfiberError
from ..fibers.regime import normalised
from ..network.float_or_rational import row_norms
from ..network.model import ReLUNetwork
from ..network.moves import Composition, Flip, Move, Neurons, Permute, Replace, Rescale, Translate, compose, hides
from ..numerics.rounding import UNIT
from .minimize import minimize


def moves_between(a: ReLUNetwork, b: ReLUNetwork, *, tolerance: float = 1e-7) -> Composition | None:
    """A composition of moves that turns a into b, or None if none of the known kinds does.

    Layers are matched from the input on. Where the rows of a hidden layer do not match, a hyperplane of it that the
    next layer hides is flipped and translated; where they still do not, the whole layer is exchanged (`Replace`), which
    is a move when it is the last hidden layer of two equal functions. Networks of other widths are matched through
    their minimal ones: the moves of one minimization, then the inverses of the other's.

    Notes
    -----
    The caller knows that the functions are equal; the result is checked parameter by parameter.
    """
    if len(a.weights) != len(b.weights) or a.is_exact or b.is_exact:
        return None
    try:
        same = a.architecture[:-2] == b.architecture[:-2]
        moves = _layer_by_layer(a, b, tolerance) if same else _through_minimal(a, b, tolerance)
        if moves is None or parameter_distance(moves(a), b) > 10 * tolerance:
            return None
    except BudgetExceededError:
        raise
    except PolyfiberError:
        return None
    return moves


def _layer_by_layer(a: ReLUNetwork, b: ReLUNetwork, tolerance: float) -> Composition | None:
    moves: list[Move] = []
    current = a
    for layer in range(1, len(a.weights)):
        heed("looking for moves")
        same = a.architecture[layer] == b.architecture[layer]
        found = _match_layer(current, b, layer, tolerance) if same else None
        if found is None and layer < len(a.weights) - 1:
            hidden = _hidden_moves(current, b, layer, tolerance)
            if hidden is not None:
                moves += hidden.moves
                current = hidden(current)
                found = _match_layer(current, b, layer, tolerance)
        if found is None and layer == len(a.weights) - 1:
            old, new = (tuple(range(net.architecture[layer])) for net in (a, b))
            found = compose(
                Replace(
                    layer, old, Neurons.of(current, layer, old), new, Neurons.of(b, layer, new),
                    b.biases[layer] - current.biases[layer], why="re-factorize the last hidden layer",
                )
            )  # fmt: skip
        if found is None:
            return None
        moves += found.moves
        current = found(current)
    return compose(*moves)


def _through_minimal(a: ReLUNetwork, b: ReLUNetwork, tolerance: float) -> Composition | None:
    first, second = (minimize(net, use_complex=False, budget=Budget(time_left())) for net in (a, b))
    if first.network.architecture[:-2] != second.network.architecture[:-2]:
        return None
    between = _layer_by_layer(first.network, second.network, tolerance)
    return None if between is None else compose(first.moves, between, second.moves.inverse())


def parameter_distance(a: ReLUNetwork, b: ReLUNetwork) -> float:
    """Largest difference of weights relative to the largest of their layer, of biases relative to both; infinite for
    other shapes.
    """
    if a.architecture != b.architecture:
        return float("inf")
    worst = 0.0
    for V, W, u, v in zip(a.weights, b.weights, a.biases, b.biases):
        size = max(float(np.abs(V).max()), float(np.abs(W).max()), 1e-300)
        level = max(size, float(np.abs(u).max()), float(np.abs(v).max()))
        worst = max(worst, float(np.abs(V - W).max()) / size, float(np.abs(u - v).max()) / level)
    return worst


def unit_distance(a: ReLUNetwork, b: ReLUNetwork) -> float:
    """Largest difference of the rows of two networks of one architecture in the gauge of unit rows, in the measure of
    forms.

    Weights are relative to the largest of their row, biases to that or to themselves.
    """
    worst = 0.0
    (V, u), (W, v) = normalised(a), normalised(b)
    for x, y, p, q in zip(V, W, u, v):
        size = np.minimum(np.abs(x).max(axis=1), np.abs(y).max(axis=1))
        level = np.maximum(size, np.minimum(np.abs(p), np.abs(q)))
        for apart, top in ((np.abs(x - y).max(axis=1), size), (np.abs(p - q), level)):
            with np.errstate(divide="ignore", invalid="ignore"):
                worst = max(worst, float(np.where(apart > 0, apart / top, 0.0).max(initial=0.0)))
    return worst


def _rows(net: ReLUNetwork, layer: int) -> tuple[FloatArray, FloatArray]:
    rows = np.concatenate([net.weights[layer - 1], net.biases[layer - 1][:, None]], axis=1)
    norms = row_norms(rows)
    return rows / np.where(norms > 0, norms, 1.0)[:, None], norms


def _match_layer(a: ReLUNetwork, b: ReLUNetwork, layer: int, tolerance: float) -> Composition | None:
    """Permutation and scaling that bring the rows of one hidden layer to those of b."""
    from scipy.optimize import linear_sum_assignment

    x, size_x = _rows(a, layer)
    y, size_y = _rows(b, layer)
    cost = _farthest(x, y)
    if layer == len(a.weights) - 1:  # equal rows: tell them apart by their columns
        p, q = a.weights[layer].T * size_x[:, None], b.weights[layer].T * size_y[:, None]
        top = max(float(np.abs(p).max(initial=0.0)), float(np.abs(q).max(initial=0.0)), 1e-300)
        cost = cost + 1e-3 * _farthest(p, q) / top
    rows, columns = linear_sum_assignment(cost)
    order = np.empty(len(rows), dtype=np.int64)
    order[columns] = rows
    if np.abs(x[order] - y).max() > tolerance:
        return None
    size_x = size_x[order]
    factors = np.where((size_x > 0) & (size_y > 0), size_y / np.where(size_x > 0, size_x, 1.0), 1.0)
    if layer == len(a.weights) - 1:
        outgoing = a.weights[layer][:, order] / factors - b.weights[layer]
        if np.abs(outgoing).max() > tolerance * max(float(np.abs(b.weights[layer]).max()), 1e-300):
            return None
    return compose(Permute(layer, tuple(order)), Rescale(layer, tuple(factors)))


def _farthest(x: FloatArray, y: FloatArray) -> FloatArray:
    """Largest difference of an entry, for every pair of rows; row by row, since all at once may not fit."""
    return np.array([np.abs(row - y).max(axis=1) for row in x]).reshape(len(x), len(y))


def _hidden_moves(a: ReLUNetwork, b: ReLUNetwork, layer: int, tolerance: float) -> Composition | None:
    """Flips and the translation that bring a layer of a, which the next one hides, to that of b, up to order and
    scale.
    """
    first, second = (_hidden_at(net, layer) for net in (a, b))
    if first is None or second is None:
        return None
    k = first[0]
    moves: list[Move] = []
    current = a
    if first[1] == 1:
        x, y = _rows(a, layer)[0], _rows(b, layer)[0]
        others = [i for i in range(len(x)) if i != k]
        flipped = tuple(i for i in others if _nearest(-x[i], y) < tolerance <= _nearest(x[i], y))
        if flipped:
            moves.append(Flip(k, flipped, layer))
            current = moves[-1].apply(current)
    ends, norm = [], 1.0
    for net, index in ((b, second[0]), (current, k)):
        W, bias = net.weights[layer], net.biases[layer]
        live = hides(W, bias, index)
        norm = float(np.sqrt((net.weights[layer - 1][index] ** 2).sum()))
        ends.append(float(np.min(-bias[live] / W[live, index])) / norm)
    shift = (ends[1] - ends[0]) * norm
    if shift:
        moves.append(Translate(k, shift, layer))
    return compose(*moves)


def _hidden_at(net: ReLUNetwork, layer: int) -> tuple[int, int] | None:
    """The hyperplane of a hidden layer that the next one hides, and how many neurons do; the others are dead."""
    W, b = net.weights[layer], net.biases[layer]
    if W.shape[1] < 2:
        return None
    # at the end of a translation rounding may leave a bias just above zero
    b = np.where(b <= 4 * UNIT * np.abs(W).max(axis=1), np.minimum(b, 0.0), b)
    dead = (W <= 0).all(axis=1) & (b <= 0)
    for k in range(W.shape[1]):
        hiding = hides(W, b, k)
        if hiding.any() and (hiding | dead).all():
            return k, int(hiding.sum())
    return None


def _nearest(row: Array, rows: Array) -> float:
    return float(np.abs(rows - row).max(axis=1).min())
