"""Distance of two networks as functions, where normal forms decide it.

One hidden layer on R^n, ``n1 = 1``, and bottlenecks of full rank: hidden hyperplanes are brought to
their gauge, layers 1 are matched, and layer 2 is compared by its hyperplane representation.
"""

from __future__ import annotations

import numpy as np

from ..._typing import Array, FloatArray
from ...errors import PolyfiberError
from ...fibers.hiding import hiding_gauge, live_neurons
from ...fibers.hyperplanes import analyse_layer
from ...fibers.one_neuron import scalar_function
from ...fibers.regime import check_regime
from ...network.float_or_rational import gauge_norms, row_norms
from ...network.model import ReLUNetwork
from ...network.moves import Permute, Rescale, compose
from ..checks.sample import magnitude


def function_distance(a: ReLUNetwork, b: ReLUNetwork) -> float | None:
    """Relative distance of the normal forms of two networks; infinity for different functions.

    None where normal forms do not decide: then the networks may be equal or not. Zero or a rounding
    error means equal functions.

    Parameters
    ----------
    a, b : ReLUNetwork
        With the same number of inputs and outputs.
    """
    depth = len(a.weights)
    if a.architecture[0] != b.architecture[0] or a.architecture[-1] != b.architecture[-1]:
        return np.inf
    parameters = _same_parameters(a, b)
    if parameters is not None and parameters <= 1e-12 and (parameters == 0 or not a.is_exact):
        return parameters
    if depth == len(b.weights) == 1:
        return parameters
    if depth == len(b.weights) == 2:
        layers = (
            analyse_layer(n.weights[0], n.biases[0], n.weights[1], n.biases[1], domain="space").representation
            for n in (a, b)
        )
        first, second = layers
        return first.distance(second)
    if depth == len(b.weights) == 3:
        found = _two_hidden_layers(a, b)
        if found is not None:
            return found
    return np.inf if _witness(a, b) else None


def _witness(a: ReLUNetwork, b: ReLUNetwork) -> bool:
    """Whether the functions differ at some sample point by more than rounding can explain."""
    rng = np.random.default_rng(0)
    n0 = a.architecture[0]
    x = rng.standard_normal((1024, n0)) * 10.0 ** rng.uniform(-1, 2, (1024, 1))
    a, b = a.rounded(), b.rounded()
    size = np.maximum(magnitude(a, x), magnitude(b, x))
    return bool((np.abs(a(x) - b(x)) > 1e-11 * size).any())


def _is_constant(net: ReLUNetwork) -> bool:
    return len(live_neurons(net)) == 0


def _two_hidden_layers(a: ReLUNetwork, b: ReLUNetwork) -> float | None:
    if _is_constant(a) or _is_constant(b):
        if _is_constant(a) and _is_constant(b):
            x, y = a.biases[2].astype(np.float64), b.biases[2].astype(np.float64)
            return float(np.abs(x - y).max() / max(np.abs(x).max(), np.abs(y).max(), 1e-300))
        return np.inf if _witness(a, b) else None
    if 1 in (a.architecture[1], b.architecture[1]):
        if a.architecture[1] == b.architecture[1] and all((n.weights[0] != 0).any() for n in (a, b)):
            return scalar_function(a).distance(scalar_function(b))
        return np.inf if _witness(a, b) else None
    if a.architecture[1] != b.architecture[1]:
        return None
    for net in (a, b):
        rows = unit_rows(net)
        if len(rows) > net.architecture[0] or np.linalg.svd(rows[:, :-1], compute_uv=False)[-1] < 1e-9:
            return None
    try:
        a, b = hiding_gauge(a)[0], hiding_gauge(b)[0]
    except PolyfiberError:
        return None
    x, y = unit_rows(a), unit_rows(b)
    order, distance = match_rows(x, y)
    if distance > 1e-6:
        # generic networks with different first layers are different functions (Prop. 4 and §6)
        if _witness(a, b) or (check_regime(a).applies and check_regime(b).applies):
            return np.inf
        return None
    if not a.is_exact or not b.is_exact:
        a, b = a.rounded(), b.rounded()
    moved = Permute(1, tuple(order))(b)
    size_a, size_b = _row_sizes(a), _row_sizes(moved)
    a = Rescale(1, tuple(1 / s for s in size_a))(a)
    moved = Rescale(1, tuple(1 / s for s in size_b))(moved)
    if a.is_exact:
        if a.weights[0].tolist() != moved.weights[0].tolist() or a.biases[0].tolist() != moved.biases[0].tolist():
            return max(distance, 1e-300)
        distance = 0.0
    first, second = (
        analyse_layer(n.weights[1], n.biases[1], n.weights[2], n.biases[2]).representation for n in (a, moved)
    )
    return max(distance, first.distance(second))


def _row_sizes(net: ReLUNetwork) -> Array:
    W = net.weights[0]
    if net.is_exact:
        return np.array([max(abs(v) for v in row) for row in W], dtype=object)
    return gauge_norms(W)


def unit_rows(net: ReLUNetwork) -> FloatArray:
    """Rows ``(w | b)`` of layer 1 with ``|w| = 1``: (n1, n0 + 1)."""
    W, b = net.weights[0].astype(np.float64), net.biases[0].astype(np.float64)
    return np.concatenate([W, b[:, None]], axis=1) / gauge_norms(W)[:, None]


def match_rows(a: FloatArray, b: FloatArray) -> tuple[list[int], float]:
    """Order of the rows of b that matches a best, and the largest remaining relative difference."""
    from scipy.optimize import linear_sum_assignment

    cost = np.abs(a[:, None] - b[None]).max(axis=2) / (1.0 + np.abs(a).max(axis=1)[:, None])
    rows, columns = linear_sum_assignment(cost)
    return [int(c) for c in columns], float(cost[rows, columns].max())


def _same_parameters(a: ReLUNetwork, b: ReLUNetwork) -> float | None:
    """Largest relative difference of the parameters after a greedy layerwise match; None if shapes differ."""
    if a.architecture != b.architecture:
        return None
    if a == b:
        return 0.0
    if a.is_exact or b.is_exact:
        return _exact_difference(a, b)
    worst = 0.0
    current = b
    for layer in range(1, len(a.weights)):
        x, y = (np.concatenate([n.weights[layer - 1], n.biases[layer - 1][:, None]], axis=1) for n in (a, current))
        size_x, size_y = (row_norms(v) for v in (x, y))
        if not ((size_x > 0).all() and (size_y > 0).all()):
            return np.inf
        order, _ = match_rows(x / size_x[:, None], y / size_y[:, None])
        factors = size_x / size_y[order]
        current = compose(Permute(layer, tuple(order)), Rescale(layer, tuple(factors)))(current)
        x, y = x / size_x[:, None], y[order] / size_y[order][:, None]
        worst = max(worst, float(np.abs(x - y).max()))
    for x, y in zip((a.weights[-1], a.biases[-1]), (current.weights[-1], current.biases[-1])):
        size = max(float(np.abs(x).max()), float(np.abs(y).max()), 1e-300)
        worst = max(worst, float(np.abs(x - y).max()) / size)
    return worst


def _exact_difference(a: ReLUNetwork, b: ReLUNetwork) -> float | None:
    """Zero for equal parameters of affine maps, None elsewhere: exact networks are compared by their pieces."""
    if len(a.weights) != 1:
        return None
    pairs = zip((*a.weights, *a.biases), (*b.weights, *b.biases))
    return max(float(np.abs((x - y).astype(np.float64)).max()) for x, y in pairs)
