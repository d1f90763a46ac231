"""Small networks of gates of every kind and wiring, for tests: integers and floats, generic and not."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._typing import Array, RngLike
from .._values.checked import generator_of
from ..network.piecewise import AffineMap, GateBlock, PiecewiseLinearNetwork
from ..network.sparse import SparseMatrix

KINDS = {
    "relu": (0.0, 1.0), "leaky": (0.1, 1.0), "quarter": (0.25, 1.0), "abs": (-1.0, 1.0), "below": (1.0, 0.0),
    "steep": (2.0, -3.0), "negative": (0.0, -1.0),
}  # fmt: skip
"""Slopes of gates by name."""
WIRINGS = ("chain", "residual", "dense", "any", "parallel")
"""How blocks read: the one before; that and the one before it; all before; some at random; two branches that are
added.
"""
WEIGHTS = ("gaussian", "integer", "shared", "sparse", "zero bias", "repeated")
"""What the weights are: the last four make coincidences common."""


def random_graph(
    rng: RngLike, n_inputs: int, widths: tuple[int, ...], *, kind: str = "mixed", wiring: str = "any", weights: str = "gaussian",
    outputs: int = 1,
) -> PiecewiseLinearNetwork:  # fmt: skip
    """A network of gates.

    Parameters
    ----------
    rng : int or Generator
    n_inputs, widths, outputs : int, tuple of int, int
    kind : str
        A key of ``KINDS``, or 'mixed'.
    wiring, weights : str
        See ``WIRINGS`` and ``WEIGHTS``.

    Examples
    --------
    >>> from polyfiber.testing.graphs import random_graph
    >>> random_graph(0, 2, (3, 2), kind="leaky", wiring="residual")
    PiecewiseLinearNetwork(2-3-2-1, float64, 5 gates, 21 nonzeros)
    """
    generator = generator_of(rng)
    sizes = [n_inputs]
    blocks = []
    for l, m in enumerate(widths, start=1):
        maps, bias = _map(generator, m, sizes, _reads(generator, l, wiring), weights)
        if kind == "mixed":
            pairs = [list(KINDS.values())[i] for i in generator.integers(0, len(KINDS), m)]
        else:
            pairs = [KINDS[kind]] * m
        blocks.append(GateBlock(maps, bias, slopes=pairs))
        sizes.append(m)
    last = _reads(generator, len(sizes), wiring if wiring != "parallel" else "dense")
    maps, bias = _map(generator, outputs, sizes, last, weights)
    return PiecewiseLinearNetwork(n_inputs, blocks, AffineMap(maps, bias))


def _reads(rng: np.random.Generator, block: int, wiring: str) -> list[int]:
    if wiring == "chain" or block == 1:
        return [block - 1]
    if wiring == "residual":
        return [block - 2, block - 1]
    if wiring == "dense":
        return list(range(block))
    if wiring == "parallel":
        return [max(0, block - 2)]
    return [j for j in range(block) if rng.random() < 0.6] or [block - 1]


def _map(
    rng: np.random.Generator, m: int, sizes: list[int], reads: list[int], weights: str
) -> tuple[dict[int, Any], Array]:
    maps: dict[int, Any] = {}
    for j in reads:
        k = sizes[j]
        if weights == "integer":
            maps[j] = rng.integers(-2, 3, (m, k)).astype(float)
        elif weights == "sparse":
            maps[j] = SparseMatrix.of(rng.standard_normal((m, k)) * (rng.random((m, k)) < 0.5))
        elif weights == "shared":
            row = rng.integers(-2, 3, k + 1) / 2
            maps[j] = np.stack([np.roll(row, i)[:k] for i in range(m)])
        else:
            maps[j] = rng.standard_normal((m, k)) / np.sqrt(k)
        if weights == "repeated" and m > 1:
            maps[j][-1] = maps[j][0] * (2.0 if rng.random() < 0.5 else -1.0)
    if weights == "zero bias":
        return maps, np.zeros(m)
    if weights == "shared":
        return maps, np.full(m, rng.integers(-1, 2) / 2)
    bias = rng.integers(-2, 3, m).astype(float) if weights == "integer" else rng.standard_normal(m) / 2
    if weights == "repeated" and m > 1 and rng.random() < 0.5:
        bias[-1] = 2 * bias[0]
    return maps, bias


def maximum(n_inputs: int, operands: int, *, rng: RngLike = None) -> tuple[PiecewiseLinearNetwork, Array, Array]:
    """The maximum of affine functions as a tree of gates, with their matrix (k, n0) and constants (k,).

    ``max(a, b) = b + relu(a - b)``: the first with the second, the third with the fourth, …, then the winners.
    """
    generator = generator_of(rng)
    A, a = generator.standard_normal((operands, n_inputs)), generator.standard_normal(operands)
    # each value: coefficients on blocks (0 the input), and a constant
    level: list[tuple[dict[int, Array], float]] = [({0: row}, float(c)) for row, c in zip(A, a)]
    blocks: list[GateBlock] = []
    sizes = [n_inputs]
    while len(level) > 1:
        pairs = list(zip(level[::2], level[1::2]))
        found = [_difference(x, y) for x, y in pairs]
        keys = sorted({j for f, _ in found for j in f})
        maps = {j: np.stack([f.get(j, np.zeros(sizes[j])) for f, _ in found]) for j in keys}
        blocks.append(GateBlock(maps, [c for _, c in found]))
        sizes.append(len(pairs))
        rest = level[2 * len(pairs) :]
        level = []
        for i, (_, (coefficients, constant)) in enumerate(pairs):
            unit = np.zeros(len(pairs))
            unit[i] = 1.0
            level.append(({**coefficients, len(blocks): unit}, constant))
        level += rest
    coefficients, constant = level[0]
    out = AffineMap({j: c[None, :] for j, c in coefficients.items()}, [constant])
    return PiecewiseLinearNetwork(n_inputs, blocks, out), A, a


def _difference(x: Any, y: Any) -> tuple[dict[int, Array], float]:
    keys = {*x[0], *y[0]}
    return {j: x[0].get(j, 0.0) - y[0].get(j, 0.0) for j in keys}, x[1] - y[1]


__all__ = ["KINDS", "WEIGHTS", "WIRINGS", "maximum", "random_graph"]
