"""What can be said of a network by looking at its parameters: nothing is enumerated."""

from __future__ import annotations

from collections import Counter, defaultdict
from fractions import Fraction
from typing import Any

import numpy as np

from .._typing import Array, BoolArray
from ..numerics.exact import PRIME
from ..numerics.modular import rank_of
from .model import ReLUNetwork
from .piecewise import PiecewiseLinearNetwork
from .sparse import nonzeros
from .wiring.exact_rows import integers as over_one_denominator

PROPORTIONAL_LIMIT = 200_000
"""Most parameters of a layer for which rows are compared up to scale (in exact arithmetic)."""

EXACT_RANK_LIMIT = 64
"""Largest smaller side of a rank-deficient matrix whose rank is settled by exact elimination."""

RANK_LIMIT = 2_000_000
"""Most weights of a first layer whose rank is looked at."""


def describe(net: ReLUNetwork) -> dict[str, Any]:
    """Facts about a network that its parameters show; plain data, ready for JSON.

    Parameters
    ----------
    net : ReLUNetwork

    Returns
    -------
    dict
        ``architecture``, ``depth`` (affine layers), ``hidden_neurons``, ``parameters``,
        ``arithmetic``; ``file``, ``format``, ``dtype``, ``head``, ``notes``;
        ``zero_weights`` and ``zero_biases`` (counts by layer);
        ``bottleneck``: ``n_0 >= n_1 >= … >= n_{L-1}``;
        ``dead``: (layer, position) of hidden neurons whose value is 0 for every input as the
        signs of their row show (there may be more);
        ``constant``: hidden neurons with a zero row and a positive bias;
        ``unused``: hidden neurons that the next layer ignores;
        ``duplicate_rows`` and ``proportional_rows``: groups of neurons of a layer with equal
        rows and biases, or equal up to a positive factor (None where not looked at);
        ``first_layer_rank`` (None beyond `RANK_LIMIT` weights) and whether it is ``first_layer_rank_certified``;
        ``folding``: what was multiplied out, with the largest change of a weight and a bias.
        Layers count from 1, positions from 0.

    Notes
    -----
    Equality, proportionality and signs are exact. The rank is that of integers modulo a prime,
    which is a lower bound; it is certified when full, or settled by exact elimination when the
    smaller side is at most ``EXACT_RANK_LIMIT``. Cost: linear in the number of parameters but
    for the rank, which takes one elimination.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.network.summary import describe
    >>> net = pf.ReLUNetwork([[[1, 0], [2, 0], [0, 0]], [[1, -1, 1]]], [[1, 2, -1], [0]])
    >>> facts = describe(net)
    >>> facts["dead"], facts["proportional_rows"], facts["first_layer_rank"], facts["bottleneck"]
    ([[1, 2]], [[[1, 0], [1, 1]]], 1, False)
    """
    widths = net.architecture
    last = len(net.weights)
    dead, constant, unused, duplicate = [], [], [], []
    proportional: list[Any] | None = []
    for layer, (w, b) in enumerate(zip(net.weights, net.biases), start=1):
        if layer == last:
            break
        zero_row = _all(w == 0)
        closed = zero_row | _all(w <= 0) if layer > 1 else zero_row
        is_dead = closed & np.asarray(b <= 0, dtype=bool)
        is_constant = zero_row & ~is_dead
        dead += _named(layer, is_dead)
        constant += _named(layer, is_constant)
        unused += _named(layer, _all(net.weights[layer].T == 0))
        duplicate += _groups(layer, [_key(row, bias) for row, bias in zip(w, b)])
        if w.size > PROPORTIONAL_LIMIT:
            proportional = None
        elif proportional is not None:
            proportional += _groups(layer, [_direction(row, bias) for row, bias in zip(w, b)])
    rank, certified = _rank(net.weights[0])
    return {
        "architecture": list(widths),
        "depth": last,
        "hidden_neurons": net.n_hidden,
        "parameters": net.n_parameters,
        "arithmetic": "exact" if net.is_exact else "float64",
        "file": net.source.get("file"),
        "format": net.source.get("format"),
        "dtype": net.source.get("dtype", "exact" if net.is_exact else "float64"),
        "head": net.source.get("head"),
        "notes": list(net.source.get("notes", ())),
        "zero_weights": [int(np.sum(w == 0)) for w in net.weights],
        "zero_biases": [int(np.sum(b == 0)) for b in net.biases],
        "bottleneck": all(a >= b for a, b in zip(widths[:-2], widths[1:-1])),
        "dead": dead,
        "constant": constant,
        "unused": unused,
        "duplicate_rows": duplicate,
        "proportional_rows": proportional,
        "first_layer_rank": rank,
        "first_layer_rank_certified": certified,
        "folding": [
            {
                "layer": record["layer"],
                "operations": list(record["operations"]),
                "exact": record["exact"],
                "weight_error": record["weight_error"],
                "bias_error": record["bias_error"],
            }
            for record in net.source.get("folding", ())
        ],
    }


def describe_piecewise(net: PiecewiseLinearNetwork) -> dict[str, Any]:
    """Facts about a piecewise-linear network that its parameters show; plain data, ready for JSON.

    ``architecture`` counts inputs, gates of each block and outputs; ``wiring`` says for each block and the output which
    blocks it reads (0 is the input); ``gates`` counts them by their slopes; the rest is as for `describe`.

    Examples
    --------
    >>> import polyfiber as pf
    >>> block = pf.GateBlock({0: [[1.0], [2.0]]}, [0.0, 0.0], slopes=[(0, 1), (-1, 1)])
    >>> facts = describe_piecewise(pf.PiecewiseLinearNetwork(1, [block], pf.AffineMap({0: [[1.0]], 1: [[1, 1]]}, [0.0])))
    >>> facts["gates"], facts["wiring"], facts["nonzeros"]
    ({'ReLU': 1, 'absolute value': 1}, [[0], [0, 1]], 5)
    """
    gates: Counter[str] = Counter()
    for block in net.blocks:
        for low, high in block.slopes.tolist():
            other = f"slopes {low} and {high}"
            gates[
                {(0, 1): "ReLU", (-1, 1): "absolute value"}.get((low, high), f"leaky, {low}" if high == 1 else other)
            ] += 1
    maps = [*(b.affine for b in net.blocks), net.output]
    return {
        "architecture": list(net.architecture),
        "input_shape": list(net.input_shape),
        "blocks": len(net.blocks),
        "gates": dict(gates),
        "wiring": [list(a.weights) for a in maps],
        "nonzeros": sum(nonzeros(w) for a in maps for w in a.weights.values()),
        "parameters": net.n_parameters,
        "arithmetic": "exact" if net.is_exact else "float64",
        **{key: net.source.get(key) for key in ("file", "format", "dtype", "head")},
        "notes": list(net.source.get("notes", ())),
        "folding": [
            {key: record[key] for key in ("layer", "exact", "weight_error", "bias_error")}
            for record in net.source.get("folding", ())
        ],
    }


def _all(condition: Any) -> BoolArray:
    return np.asarray(np.asarray(condition, dtype=bool).all(axis=1))


def _named(layer: int, which: BoolArray) -> list[list[int]]:
    return [[layer, int(i)] for i in np.flatnonzero(which)]


def _key(row: Array, bias: Any) -> Any:
    values = [*row.tolist(), bias]
    return tuple(values)


def _direction(row: Array, bias: Any) -> Any:
    """The row and bias divided by the size of the first nonzero entry, exactly; None for zero rows."""
    values = [Fraction(v) for v in (*row.tolist(), bias if isinstance(bias, Fraction) else float(bias))]
    lead = next((abs(v) for v in values[:-1] if v), None)
    return None if lead is None else tuple(v / lead for v in values)


def _groups(layer: int, keys: list[Any]) -> list[list[list[int]]]:
    found: dict[Any, list[list[int]]] = defaultdict(list)
    for position, key in enumerate(keys):
        if key is not None:
            found[key].append([layer, position])
    return [group for group in found.values() if len(group) > 1]


def _rank(matrix: Array) -> tuple[int | None, bool]:
    """Rank of a matrix of floats or rationals (None where that would take minutes), and whether it is certain."""
    if matrix.size > RANK_LIMIT:
        return None, False
    integers, _ = over_one_denominator(matrix)
    if integers.shape[0] > integers.shape[1]:
        integers = integers.T
    residues = np.asarray(integers % PRIME).astype(np.int64)
    rank = rank_of(residues)
    if rank == integers.shape[0]:
        return rank, True
    if integers.shape[0] <= EXACT_RANK_LIMIT and integers.size <= PROPORTIONAL_LIMIT:
        return _rank_exact(integers), True
    return rank, False


def _rank_exact(integers: Array) -> int:
    """Rank by fraction-free elimination."""
    work = [list(row) for row in integers.tolist()]
    rank, previous = 0, 1
    for column in range(integers.shape[1]):
        pivot = next((i for i in range(rank, len(work)) if work[i][column]), None)
        if pivot is None:
            continue
        work[rank], work[pivot] = work[pivot], work[rank]
        lead = work[rank]
        for i in range(rank + 1, len(work)):
            row, factor = work[i], work[i][column]
            work[i] = [(lead[column] * a - factor * c) // previous for a, c in zip(row, lead)]
        previous = lead[column]
        rank += 1
        if rank == len(work):
            break
    return rank
