"""Treat nearly equal walls as equal: snap the network, say what was snapped, then be exact again."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ...errors import InputError
from ...network.model import ReLUNetwork
from ...numerics.exact import as_fractions


@dataclass(frozen=True)
class MergedWall:
    """One neuron that was put on the wall of another.

    Attributes
    ----------
    layer, neuron : int
        Hidden layer (1-based) and position of the neuron whose row was replaced.
    into : int
        Position in the same layer of the neuron whose wall it now has.
    sign : int
        1 when both have the same positive side, else -1.
    distance : float
        Largest difference of their normalised rows ``(w, b) / |w|_2``, offsets relative to
        ``max(1, |b| / |w|_2)``.
    """

    layer: int
    neuron: int
    into: int
    sign: int
    distance: float


def merge_walls(network: ReLUNetwork, tolerance: float) -> tuple[ReLUNetwork, tuple[MergedWall, ...]]:
    """Network in which neurons of a layer on nearly equal walls are exact multiples of one of them.

    Two rows ``(w, b)`` of a layer are close when, each divided by the 2-norm of its ``w`` and one
    of them possibly reversed, the entries of ``w`` differ by at most ``tolerance`` and those of
    ``b`` by at most ``tolerance * max(1, |b| / |w|)``. A later neuron is merged into the first
    earlier one that is close to it and was not merged itself; its row becomes that row times
    ``± |w_j| / |w_i|``, so its size is kept. Zero rows stay. Walls of different layers, and walls that
    only nearly meet in one point, are not merged.

    Parameters
    ----------
    network : ReLUNetwork
    tolerance : float
        At least 0; at 0 only walls whose rounded normalised rows agree are merged.

    Returns
    -------
    ReLUNetwork
        The same object when nothing was merged, otherwise one with rational weights.
    tuple of MergedWall

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.complexes.lattice.merge_walls import merge_walls
    >>> net = pf.ReLUNetwork([[[1.0, 0.0], [3.0, 1e-12]], [[1.0, 1.0]]], [[0.5, 1.5], [0.0]])
    >>> [(m.neuron, m.into, m.sign) for m in merge_walls(net, 1e-9)[1]]
    [(1, 0, 1)]
    """
    if not (isinstance(tolerance, int | float) and 0 <= tolerance < 1):
        raise InputError(f"merge_tolerance must be a number in [0, 1), found {tolerance!r}")
    merged: list[MergedWall] = []
    factors: dict[tuple[int, int], tuple[int, Fraction]] = {}
    for layer, (w, b) in enumerate(zip(network.weights[:-1], network.biases[:-1]), start=1):
        rows, shifts = w.astype(np.float64), b.astype(np.float64)
        top = np.abs(rows).max(axis=1, initial=0.0)
        norm = top * np.linalg.norm(rows / np.where(top > 0, top, 1.0)[:, None], axis=1)
        live = np.flatnonzero((norm > 0) & np.isfinite(norm))
        with np.errstate(all="ignore"):
            unit = rows / norm[:, None]
            offset = shifts / norm
        kept: list[int] = []
        for j in live.tolist():
            best: tuple[float, int, int] | None = None
            if kept:
                for sign in (1, -1):
                    scale = np.maximum(1.0, np.maximum(np.abs(offset[kept]), abs(offset[j])))
                    far = np.abs(unit[kept] - sign * unit[j]).max(axis=1)
                    far = np.maximum(far, np.abs(offset[kept] - sign * offset[j]) / scale)
                    near = np.flatnonzero(far <= tolerance)
                    if len(near) and (best is None or kept[int(near[0])] < best[1]):
                        best = (float(far[near[0]]), kept[int(near[0])], sign)
            if best is None:
                kept.append(j)
            else:
                merged.append(MergedWall(layer, j, best[1], best[2], best[0]))
                factors[layer, j] = (best[1], Fraction(best[2]) * Fraction(float(norm[j] / norm[best[1]])))
    if not merged:
        return network, ()
    weights = [as_fractions(w) for w in network.weights]
    biases = [as_fractions(b) for b in network.biases]
    for (layer, j), (i, factor) in factors.items():
        weights[layer - 1][j] = weights[layer - 1][i] * factor
        biases[layer - 1][j] = biases[layer - 1][i] * factor
    return ReLUNetwork(weights, biases, source=network.source), tuple(merged)
