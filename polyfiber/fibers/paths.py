"""Paths inside one component of a fiber, along which the function stays put.

Along a half-line of translations the path is a segment. Among the linear neurons of a layerwise
component it moves the rows ``U`` along segments while the columns ``C`` follow so that ``C U`` stays; where a
segment would lower the rank of U, it goes through random points of the component, and through a
permutation of the linear neurons where the two ends differ in orientation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import words
from .._typing import FloatArray, RngLike
from .._values.checked import generator_of
from ..errors import InputError, SolverError
from ..network.model import ReLUNetwork
from .components import HidingPart, LayerPart, NetworkComponent
from .layerwise import LayerComponent, LayerParameters


@dataclass(frozen=True)
class LinearPoint:
    """Linear neurons of a point of a component: ``C U = Lambda``, biases ``beta``."""

    U: FloatArray
    beta: FloatArray
    C: FloatArray


def linear_part(component: LayerComponent, point: LayerParameters) -> LinearPoint:
    """The linear neurons of a point that `LayerComponent.point` or `LayerComponent.sample` made."""
    N = len(component.orientation)
    rows = slice(N, N + component.n_linear)
    return LinearPoint(*(np.asarray(v, dtype=np.float64) for v in (point.W[rows], point.b[rows], point.C[:, rows])))


def layer_path(
    component: LayerComponent,
    start: LayerParameters,
    end: LayerParameters,
    *,
    steps: int = 50,
    rng: RngLike = 0,
    tries: int = 200,
) -> list[LayerParameters]:
    """Points of one component from ``start`` to ``end``, the latter up to a permutation of its linear neurons.

    Parameters
    ----------
    component : LayerComponent
        In floating point. Both ends must be made by its `point` or `sample`, with U of the rank of the
        component's largest stratum.
    steps : int
        Points per segment.
    tries : int
        Random intermediate points to try when a segment meets a lower rank.

    Raises
    ------
    InputError
        Rational components; ends with another number of neurons.
    SolverError
        No path was found; the component may fall apart, or ``tries`` was too small.
    """
    if component.slope.dtype == object:
        raise InputError("paths are for float64 components; round the network first")
    a, b = linear_part(component, start), linear_part(component, end)
    if a.U.shape != b.U.shape or start.W.shape[0] != component.n_neurons:
        raise InputError(
            f"both ends need {words.count(component.n_neurons, 'neuron')}, {component.n_linear} of them linear"
        )
    generator = generator_of(rng)
    target = component._target()
    for attempt in range(tries):
        order = np.arange(len(b.U)) if attempt == 0 else generator.permutation(len(b.U))
        goal = LinearPoint(b.U[order], b.beta[order], b.C[:, order])
        stops = [a, goal]
        for _ in range(min(attempt // 4, 3)):
            middle = linear_part(component, component.sample(rng=generator))
            stops.insert(-1, middle)
        segments = [_segment(target, p, q, steps) for p, q in zip(stops[:-1], stops[1:])]
        if all(s is not None for s in segments):
            points = [p for s in segments if s is not None for p in s]
            return [_rebuild(component, start, end, p, i / (len(points) - 1)) for i, p in enumerate(points)]
    raise SolverError(f"no path between the two points was found in {tries} tries", status="none", solver="path")


def _segment(target: FloatArray, p: LinearPoint, q: LinearPoint, steps: int) -> list[LinearPoint] | None:
    """U along a segment with ``C`` following; None where the row space loses the target or C blows up."""
    result = []
    if len(p.U) == 0:
        return [p, q]
    scale = max(float(np.abs(target).max()), 1e-300)
    for t in np.linspace(0.0, 1.0, steps):
        U = (1 - t) * p.U + t * q.U
        values = np.linalg.svd(U, compute_uv=False)
        rank = min(np.linalg.matrix_rank(p.U), np.linalg.matrix_rank(q.U))
        if rank and values[rank - 1] < 1e-4 * values[0]:
            return None
        pseudo = np.linalg.pinv(U, rcond=1e-9)
        free = (1 - t) * p.C + t * q.C
        C = target @ pseudo + free - (free @ U) @ pseudo
        if np.abs(C @ U - target).max() > 1e-10 * scale * max(1.0, float(np.abs(C).max())):
            return None
        result.append(LinearPoint(U, (1 - t) * p.beta + t * q.beta, C))
    # between two points nothing may vanish either: the sign of the determinant of a square U must not change
    if p.U.shape[0] == p.U.shape[1] and np.sign(np.linalg.det(p.U)) != np.sign(np.linalg.det(q.U)):
        return None
    if p.U.shape[0] < p.U.shape[1] or p.U.shape[0] == np.linalg.matrix_rank(target):
        signs = {bool(np.linalg.det(r.U @ p.U.T) > 0) for r in result}
        if len(signs) > 1:
            return None
    return result


def _rebuild(
    component: LayerComponent, start: LayerParameters, end: LayerParameters, point: LinearPoint, t: float
) -> LayerParameters:
    N, k = len(component.orientation), component.n_linear
    W, b, C = (np.array(v, dtype=np.float64) for v in (start.W, start.b, start.C))
    rows = slice(N, N + k)
    W[rows], b[rows], C[:, rows] = point.U, point.beta, point.C
    dead = slice(N + k, None)
    for x, y in ((W[dead], end.W[dead]), (b[dead], end.b[dead]), (C[:, dead], end.C[:, dead])):
        x += t * (np.asarray(y, dtype=np.float64) - x)
    a = component.constant - point.C @ point.beta if k else component.constant
    return LayerParameters(W, b, C, np.asarray(a, dtype=np.float64))


def network_path(
    component: NetworkComponent, start: ReLUNetwork, end: ReLUNetwork, *, steps: int = 50, rng: RngLike = 0
) -> list[ReLUNetwork]:
    """Networks from ``start`` to ``end`` inside one component of `FiberReport.components`.

    Parameters
    ----------
    component : HidingPart or LayerPart
    start, end : ReLUNetwork
        On a half-line: networks that differ by a translation of the hidden hyperplane only. In a layerwise
        component: networks made by its `point` or `sample` (the end is met up to a permutation of linear neurons).
    steps : int
        Points per segment.

    Raises
    ------
    InputError
        The ends are not of that form, or the component is of another kind.
    SolverError
        No path was found; see `layer_path`.
    """
    if start.architecture != end.architecture:
        raise InputError(f"{start!r} and {end!r} do not lie in one component")
    if isinstance(component, LayerPart):
        first, last = (LayerParameters(n.weights[-2], n.biases[-2], n.weights[-1], n.biases[-1]) for n in (start, end))
        points = layer_path(component.layer, first, last, steps=steps, rng=rng)
        return [LayerPart.network_of(start, p) for p in points]
    same = all(np.allclose(x, y, rtol=1e-9, atol=0) for x, y in zip(start.weights, end.weights))
    if not isinstance(component, HidingPart) or not same:
        raise InputError("both ends must lie on one half-line of translations, in the same scaling")
    shares = np.linspace(0.0, 1.0, steps)
    return [ReLUNetwork(start.weights, [(1 - t) * x + t * y for x, y in zip(start.biases, end.biases)]) for t in shares]
