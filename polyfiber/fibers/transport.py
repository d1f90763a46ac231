"""Moves that turn one network into an equal one: permutation, scaling, translation, flips, re-factorization."""

from __future__ import annotations

import numpy as np

from .._typing import Array, FloatArray
from ..budget import heed
from ..errors import BudgetExceededError, PolyfiberError
from ..network.model import ReLUNetwork
from ..network.moves import Composition, Flip, Move, Neurons, Permute, Replace, Rescale, Translate, compose
from .hiding import admissible_shift, hiding_report
from .mixed import row_norms


def moves_between(a: ReLUNetwork, b: ReLUNetwork, *, tolerance: float = 1e-7) -> Composition | None:
    """A composition of moves that turns a into b, or None if none of the known kinds does.

    Layers are matched from the input on. Where the rows of a hidden layer do not match, a hidden
    hyperplane is flipped and translated; where they still do not, the whole layer is exchanged
    (`Replace`), which is a move when it is the last hidden layer of two equal functions.

    Notes
    -----
    The caller knows that the functions are equal; the result is checked parameter by parameter.
    """
    if a.architecture != b.architecture or a.is_exact or b.is_exact:
        return None
    moves: list[Move] = []
    current = a
    try:
        for layer in range(1, len(a.weights)):
            heed("looking for moves")
            found = _match_layer(current, b, layer, tolerance)
            if found is None and layer == 1 and len(a.weights) == 3:
                hidden = _hidden_moves(current, b, tolerance)
                if hidden is not None:
                    moves += hidden.moves
                    current = hidden(current)
                    found = _match_layer(current, b, layer, tolerance)
            if found is None and layer == len(a.weights) - 1:
                width = tuple(range(b.architecture[layer]))
                found = compose(
                    Replace(
                        layer, width, Neurons.of(current, layer, width), width, Neurons.of(b, layer, width),
                        b.biases[layer] - current.biases[layer], why="re-factorize the last hidden layer",
                    )
                )  # fmt: skip
            if found is None:
                return None
            moves += found.moves
            current = found(current)
    except BudgetExceededError:
        raise
    except PolyfiberError:
        return None
    return compose(*moves) if _distance(current, b) <= 10 * tolerance else None


def _distance(a: ReLUNetwork, b: ReLUNetwork) -> float:
    """Largest parameter difference relative to the size of its row and column."""
    worst = 0.0
    for x, y in zip((*a.weights, *a.biases), (*b.weights, *b.biases)):
        size = max(float(np.abs(x).max()), float(np.abs(y).max()), 1e-300)
        worst = max(worst, float(np.abs(x - y).max()) / size)
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


def _hidden_moves(a: ReLUNetwork, b: ReLUNetwork, tolerance: float) -> Composition | None:
    """Flips and the translation that bring layer 1 of a to that of b, up to order and scale."""
    first, second = hiding_report(a), hiding_report(b)
    if first.hyperplane is None or second.hyperplane is None:
        return None
    k = first.hyperplane
    moves: list[Move] = []
    current = a
    if len(first.live) == 1:
        x, y = _rows(a, 1)[0], _rows(b, 1)[0]
        others = [i for i in range(len(x)) if i != k]
        flipped = tuple(i for i in others if _nearest(-x[i], y) < tolerance <= _nearest(x[i], y))
        if flipped:
            moves.append(Flip(k, flipped))
            current = moves[-1].apply(current)
    units = []
    for net, index in ((current, k), (b, second.hyperplane)):
        norm = float(np.sqrt((net.weights[0][index] ** 2).sum()))
        units.append(admissible_shift(net) / norm)
    norm = float(np.sqrt((current.weights[0][k] ** 2).sum()))
    shift = (units[0] - units[1]) * norm
    if shift:
        moves.append(Translate(k, shift))
    return compose(*moves)


def _nearest(row: Array, rows: Array) -> float:
    return float(np.abs(rows - row).max(axis=1).min())
