"""Quantities that gradient flow conserves, and a symmetry that conserves nothing.

Every hidden neuron conserves ``|(w_i, b_i)|^2 - |eta_i|^2``. Neurons of one layer that act linearly on
all the data conserve the whole matrix ``W_I W_I^T + b_I b_I^T - C_I^T C_I`` (The Symmetries of
Three-Layer ReLU Networks, Theorem 6). The translation of a hidden hyperplane gives none (Prop. 37):
the gradient is orthogonal to it, but the directions orthogonal to it are not tangent to any level sets.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._typing import Array, FloatArray, IntArray
from .._values.checked import ids_within, real, reals_of, shown, whole
from .._values.read_only import closed
from ..budget import Budget, Monitor, SoFar
from ..errors import BudgetExceededError, InputError, ShapeError, SolverError
from ..network.model import ReLUNetwork
from ..words import one_line
from .hiding import hiding_report


def neuron_balance(net: ReLUNetwork) -> tuple[Array, ...]:
    """``|(w_i, b_i)|^2 - |eta_i|^2`` for every hidden neuron, layer by layer.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.fibers.conserved import neuron_balance
    >>> neuron_balance(pf.ReLUNetwork([[[3.0]], [[2.0]]], [[1.0], [0.0]]))
    (array([6.]),)
    """
    result = []
    for l in range(len(net.weights) - 1):
        W, b, C = net.weights[l], net.biases[l], net.weights[l + 1]
        result.append((W * W).sum(axis=1) + b * b - (C * C).sum(axis=0))
    return tuple(result)


def linear_balance(net: ReLUNetwork, layer: int, neurons: Sequence[int] | IntArray) -> Array:
    """``W_I W_I^T + b_I b_I^T - C_I^T C_I`` for neurons that act linearly on the data: (k, k), symmetric."""
    layer = whole(layer, "a hidden layer", least=1, most=len(net.weights) - 1)
    index = ids_within(neurons, net.architecture[layer], "neurons")
    W, b, C = net.weights[layer - 1][index], net.biases[layer - 1][index], net.weights[layer][:, index]
    result: Array = W @ W.T + np.outer(b, b) - C.T @ C
    return result


def loss_and_gradient(net: ReLUNetwork, X: Any, Y: Any) -> tuple[float, list[FloatArray], list[FloatArray]]:
    """Mean squared error ``sum |f(x) - y|^2 / (2 n)`` and its gradient by weights and biases."""
    x, y = reals_of(X, "X"), reals_of(Y, "Y")
    if x.ndim != 2 or not len(x) or x.shape[1] != net.architecture[0] or y.shape != (len(x), net.architecture[-1]):
        raise ShapeError(f"inputs {x.shape} and targets {y.shape} do not fit {net!r}")
    values = net.preactivations(x)
    layers = [x, *(np.maximum(z, 0.0) for z in values[:-1])]
    error = values[-1] - y
    loss = float((error * error).sum() / (2 * len(x)))
    back = error / len(x)
    weights: list[FloatArray] = []
    biases: list[FloatArray] = []
    for l in range(len(net.weights) - 1, -1, -1):
        weights.insert(0, back.T @ layers[l])
        biases.insert(0, back.sum(axis=0))
        if l:
            back = (back @ net.weights[l]) * (values[l - 1] > 0)
    return loss, weights, biases


@closed
@dataclass(frozen=True)
class FlowResult:
    """Gradient flow and the drift of its conserved quantities.

    Attributes
    ----------
    networks : tuple of ReLUNetwork
        Along the flow, the start included.
    losses : (k,) float64
    neuron_drift : float
        Largest change of any neuron's balance, relative to the largest balance term.
    linear_drift : float or None
        The same for the matrix of the linear neurons that were named.
    stayed_linear : bool or None
        Whether those neurons stayed active on all the data, at every recorded time.
    """

    __repr__ = one_line

    networks: tuple[ReLUNetwork, ...]
    losses: FloatArray
    neuron_drift: float
    linear_drift: float | None
    stayed_linear: bool | None


def gradient_flow(
    net: ReLUNetwork,
    X: Any,
    Y: Any,
    *,
    time: float = 1.0,
    steps: int = 20,
    linear: tuple[int, Sequence[int]] | None = None,
    rtol: float = 1e-9,
    atol: float = 1e-11,
    budget: Budget | None = None,
) -> FlowResult:
    """Integrate gradient flow of the mean squared error and measure what should be conserved.

    Parameters
    ----------
    net : ReLUNetwork
    X : (n, n0), Y : (n, nL) array_like
    time : float
        Length of the flow.
    steps : int
        How many networks to record.
    linear : (layer, neurons), optional
        Neurons that act linearly on the data.
    rtol, atol : float
        Tolerances of the integrator (scipy's DOP853).
    budget : Budget, optional
        Where the flow slides along a bend of the function steps become tiny, and without a budget there may be no end.

    Raises
    ------
    SolverError
        The integrator gave up, or numbers left the range of floats.

    Examples
    --------
    >>> import numpy as np
    >>> import polyfiber as pf
    >>> from polyfiber.fibers import gradient_flow
    >>> net = pf.ReLUNetwork.random((2, 3, 1), rng=0)
    >>> X = np.random.default_rng(0).normal(size=(8, 2))
    >>> flow = gradient_flow(net, X, np.zeros((8, 1)), time=0.1, steps=3)
    >>> len(flow.networks)
    4
    """
    from scipy.integrate import solve_ivp

    if not isinstance(net, ReLUNetwork):
        raise InputError(f"net must be a ReLUNetwork, found {type(net).__name__}")
    net = net.rounded()
    x, y, time, steps = (
        reals_of(X, "X"),
        reals_of(Y, "Y"),
        real(time, "time", least=0, most=1e300),
        whole(steps, "steps", least=1),
    )
    rtol, atol = real(rtol, "rtol", least=0, most=1), real(atol, "atol", least=0, most=1e300)
    if linear is not None:
        if not isinstance(linear, tuple | list) or len(linear) != 2:
            raise InputError(f"linear is a pair of a hidden layer and its neurons, found {shown(linear)}")
        linear_balance(net, *linear)
    beyond = "the gradient flow leaves the range of floats; scale the weights or the data down"
    monitor, evaluations = Monitor(budget), itertools.count()
    shapes = [p.shape for pair in zip(net.weights, net.biases) for p in pair]

    def pack(weights: Sequence[Array], biases: Sequence[Array]) -> FloatArray:
        return np.concatenate([p.ravel() for pair in zip(weights, biases) for p in pair])

    def unpack(theta: FloatArray) -> ReLUNetwork:
        parts, position = [], 0
        for shape in shapes:
            size = int(np.prod(shape))
            parts.append(theta[position : position + size].reshape(shape))
            position += size
        return ReLUNetwork(parts[::2], parts[1::2])

    def slope(_: float, theta: FloatArray) -> FloatArray:
        monitor.check_time("the gradient flow", SoFar("evaluations of the gradient", next(evaluations)))
        if np.isfinite(theta).all():
            _, weights, biases = loss_and_gradient(unpack(theta), x, y)
            back = -pack(weights, biases)
            if np.isfinite(back).all():
                return back
        raise SolverError(beyond, status=-1)

    if 8 * (steps + 1) * sum(int(np.prod(shape)) for shape in shapes) > (monitor.memory_limit or np.inf):
        raise BudgetExceededError(f"{steps} networks do not fit into memory; record fewer steps", partial=None)
    with np.errstate(all="ignore"):
        found = solve_ivp(
            slope, (0.0, time), pack(net.weights, net.biases), method="DOP853", rtol=rtol, atol=atol,
            t_eval=np.linspace(0.0, time, steps + 1),
        )  # fmt: skip
    if not found.success:
        raise SolverError(f"the gradient flow was not integrated: {found.message}", status=int(found.status))
    networks = tuple(unpack(theta) for theta in found.y.T)
    linear_drift = stayed = None
    with np.errstate(all="ignore"):
        losses = np.array([loss_and_gradient(n, x, y)[0] for n in networks])
        start = np.concatenate(neuron_balance(net))
        size = max(float(np.abs(start).max(initial=0)), max(float((w * w).sum()) for w in net.weights))
        drift = max(float(np.abs(np.concatenate(neuron_balance(n)) - start).max(initial=0)) for n in networks) / (
            size or 1
        )
        if linear is not None:
            layer, neurons = linear[0], ids_within(linear[1], net.architecture[linear[0]], "neurons")
            first = linear_balance(net, layer, neurons)
            linear_drift = max(float(np.abs(linear_balance(n, layer, neurons) - first).max()) for n in networks) / (
                size or 1
            )
            stayed = all(bool((n.preactivations(x)[layer - 1][:, neurons] > 0).all()) for n in networks)
    if not np.isfinite([*losses, drift, linear_drift or 0]).all():
        raise SolverError(beyond, status=-1)
    return FlowResult(networks, losses, drift, linear_drift, stayed)


def translation_generator(net: ReLUNetwork) -> tuple[list[Array], list[Array]]:
    """Direction of the translation of the hidden hyperplane: ``-1`` at ``b1[k]``, ``W2[:, k]`` at the live ``b2``.

    Raises
    ------
    InputError
        No hyperplane is hidden.
    """
    report = hiding_report(net)
    if report.hyperplane is None:
        raise InputError(f"{net!r} hides no hyperplane")
    weights, biases = [0 * w for w in net.weights], [0 * b for b in net.biases]
    biases[0][report.hyperplane] = -1
    live = list(report.live)
    biases[1][live] = net.weights[1][live, report.hyperplane]
    return weights, biases


def translation_obstruction(net: ReLUNetwork) -> float:
    """Why the translation conserves nothing: ``omega([X, Y])`` for two directions X, Y with ``omega = 0``.

    Gradient flow satisfies ``omega(theta') = 0`` for the one-form ``omega = -d b1[k] + sum_j W2[j, k] d b2[j]``.
    A conserved quantity would need its kernel to be closed under brackets (Frobenius). With
    ``X = d/dW2[j, k]`` and ``Y = d/db2[j] + W2[j, k] d/db1[k]`` the bracket is ``d/db1[k]``, where omega is -1.
    Evaluated here by differences, not by the formula.
    """
    report = hiding_report(net)
    if report.hyperplane is None:
        raise InputError(f"{net!r} hides no hyperplane")
    k, j = report.hyperplane, report.live[0]
    w = float(net.weights[1][j, k])

    # coordinates (W2[j, k], b2[j], b1[k]) are all that the two fields touch
    def field_y(point: FloatArray) -> FloatArray:
        return np.array([0.0, 1.0, point[0]])

    point, step = np.array([w, float(net.biases[1][j]), float(net.biases[0][k])]), 2.0**-10
    x = np.array([1.0, 0.0, 0.0])
    bracket = (field_y(point + step * x) - field_y(point - step * x)) / (2 * step)
    omega = np.array([0.0, w, -1.0])
    return float(omega @ bracket)
