"""Hyperplanes that no gate reads: what the engine needs on all of R^n where flat walls leave directions uncut."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from .._typing import Array
from ..network.piecewise import AffineMap, GateBlock, GateGroup, PiecewiseLinearNetwork
from ..network.relu_form import relu_form
from ..network.sparse import SparseMatrix, dense
from ..numerics.exact import as_fractions
from ..numerics.hulls import simplest
from ..numerics.independent import independent_columns


def missing_directions(net: PiecewiseLinearNetwork) -> Array:
    """Rows (k, n0) of Fractions that complete those of the flat walls to the directions of all walls; k = 0 where none is missing."""
    bases = relu_form(net).bases[:-1]
    if len(bases) < 2:
        return np.full((0, net.n_inputs), Fraction(0), dtype=object)
    exact = any(b.dtype == object for b in bases)
    every = np.concatenate([as_fractions(b[:, :-1]) if exact else b[:, :-1] for b in bases])
    _, rows = independent_columns(every, n_first=len(bases[0]))
    return as_fractions(every[rows[rows >= len(bases[0])]])


def with_flat_walls(net: PiecewiseLinearNetwork, rows: Array, turn: int = 0) -> PiecewiseLinearNetwork:
    """The network with gates on rows (k, n0) of the input added to block 1, read by nothing; ``turn`` says where."""
    rng = np.random.default_rng(1905 + turn)
    k, m = len(rows), net.hidden_widths[0]
    shift = np.array([Fraction(float(v)) for v in rng.uniform(-1, 1, k)], dtype=object)
    first = net.blocks[0]
    weight = np.concatenate([as_fractions(first.affine.dense(0, net.n_inputs)), rows])
    bias = np.concatenate([as_fractions(first.bias), shift])
    slopes = np.concatenate([as_fractions(first.slopes), as_fractions(np.array([[0, 1]] * k))])
    groups = [*first.groups, GateGroup("auxiliary", "auxiliary wall", (k,), np.arange(k))] if first.groups else ()
    blocks = [GateBlock({0: simplest(weight)}, simplest(bias), slopes=simplest(slopes), groups=groups)]
    blocks += [
        GateBlock(_wider(b.affine, m, k).weights, b.bias, slopes=b.slopes, groups=b.groups) for b in net.blocks[1:]
    ]
    return PiecewiseLinearNetwork(net.n_inputs, blocks, _wider(net.output, m, k), source=net.source)


def _wider(affine: AffineMap, m: int, k: int) -> AffineMap:
    """A map that reads block 1 of m + k gates instead of m."""
    weights = dict(affine.weights)
    if 1 in weights:
        old = SparseMatrix.of(weights[1])
        weights[1] = SparseMatrix(old.indptr, old.indices, old.data, (old.shape[0], m + k))
        if not isinstance(affine.weights[1], SparseMatrix):
            weights[1] = dense(weights[1])
    return AffineMap(weights, affine.bias)


__all__ = ["missing_directions", "with_flat_walls"]
