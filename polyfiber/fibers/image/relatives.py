"""Networks with planted roles on the image of their first layer, and relatives of the non-local example."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..._typing import FloatArray, RngLike, SignArray
from ..._values.checked import generator_of
from ...complexes.build import canonical_complex
from ...errors import InputError
from ...network.model import ReLUNetwork

ROLES = ("dead", "linear", "hiding", "apart")


def planted(widths: Sequence[int], roles: Sequence[str], *, rng: RngLike = None) -> ReLUNetwork:
    """A random network with two hidden layers, neurons of the second with given roles on the image of the first.

    Parameters
    ----------
    widths : (n0, n1, n2, m)
        With ``n1 > n0``.
    roles : sequence of str
        Of the first neurons of layer 2: 'dead' or 'linear' on the image though not on the orthant where the image
        leaves room, 'hiding' (all of them are negative on the wall of neuron 0), 'apart' (never active together with
        neuron 0). The rest is random.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.fibers.image.relatives import planted
    >>> pf.classify_fiber(planted((2, 4, 2, 1), ["dead"], rng=0)).roles
    ('dead', 'nonlinear')
    """
    if len(widths) != 4 or len(roles) > widths[2] or any(r not in ROLES for r in roles):
        raise InputError(
            f"widths (n0, n1, n2, m) and up to n2 roles of {ROLES} expected, found {widths} and {list(roles)}"
        )
    generator = generator_of(rng)
    net = ReLUNetwork.random(tuple(widths), rng=generator)
    points, slopes, at_points, at_slopes = _image(net)
    W, b = net.weights[1].copy(), net.biases[1].copy()
    n1 = widths[1]
    for j, role in enumerate(roles):
        up = int(generator.integers(1, n1))
        row = -generator.uniform(0.2, 1.0, n1)
        where = np.ones(len(points), bool), np.ones(len(slopes), bool)
        if role == "hiding":
            row[0] = generator.uniform(0.2, 1.0)
            where = at_points <= 0, at_slopes <= 0  # off where neuron 0 is, and on its wall
        elif role == "apart":
            where = at_points >= 0, at_slopes >= 0
        row, bias = _lifted(row, up, points[where[0]], slopes[where[1]], generator)
        W[j], b[j] = (-row, -bias) if role == "linear" else (row, bias)
    return ReLUNetwork([net.weights[0], W, net.weights[2]], [net.biases[0], b, net.biases[2]])


def _image(net: ReLUNetwork) -> tuple[FloatArray, FloatArray, SignArray, SignArray]:
    """Features at the vertices of layer 1, their slopes along unbounded edges, and the signs of neuron 0 there."""
    n1 = net.architecture[1]
    first = ReLUNetwork([net.weights[0], np.ones((1, n1))], [net.biases[0], np.zeros(1)])
    cx = canonical_complex(first)
    ids, directions = cx.rays
    signs, edges = cx.signs(0)[:, :n1], cx.signs(1)[ids][:, :n1]
    values = np.where(signs > 0, cx.vertices @ net.weights[0].T + net.biases[0], 0.0)
    slopes = np.where(edges > 0, directions @ net.weights[0].T, 0.0)
    return values, slopes, signs[:, 0], edges[:, 0]


def _lifted(
    row: FloatArray, up: int, points: FloatArray, slopes: FloatArray, generator: np.random.Generator
) -> tuple[FloatArray, float]:
    """Raise entry ``up`` of a row as far as slopes stay negative, and take a bias that keeps values negative."""
    rest = slopes @ row - slopes[:, up] * row[up]
    rising = slopes[:, up] > 1e-9
    room = float((-rest[rising] / slopes[rising, up]).min()) if rising.any() else 1.0
    row = row.copy()
    if room > 0:
        row[up] = room * generator.uniform(0.2, 0.9)
    top = float((points @ row).max()) if len(points) else 0.0
    return row, -top - float(generator.uniform(0.05, 0.5))


def nonlocal_relative(*, rng: RngLike = None) -> ReLUNetwork:
    """A relative of `polyfiber.fibers.nonlocal_example`: a layer that acts linearly on a bounded image of the layers
    before it.

    Depth 4 or 5, widths of 2 to 4, with a random affine change of the last bounded layer's signs and a random number of
    neurons that do not act linearly beside those that do.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.fibers.image.relatives import nonlocal_relative
    >>> pf.classify_fiber(nonlocal_relative(rng=0)).identifiable
    False
    """
    generator = generator_of(rng)
    n0 = int(generator.integers(2, 4))
    widths = [n0, int(generator.integers(2, n0 + 1))]
    extra = int(generator.integers(0, 2))
    weights = [generator.standard_normal((widths[1], widths[0]))]
    biases = [generator.standard_normal(widths[1])]
    for _ in range(extra):
        n = int(generator.integers(2, widths[-1] + 1))
        weights.append(generator.standard_normal((n, widths[-1])))
        biases.append(generator.standard_normal(n))
        widths.append(n)
    n2 = int(generator.integers(2, 4))
    weights.append(-generator.uniform(0.5, 1.5, (n2, widths[-1])))  # bounded image: 0 to the bias
    biases.append(generator.uniform(0.5, 1.5, n2))
    n3 = int(generator.integers(2, 4))
    W = generator.uniform(0.5, 1.5, (n3, n2))
    for j in range(n3):
        W[j, j % n2] *= -1
    b = np.abs(W) @ biases[-1] + generator.uniform(0.5, 1.5, n3)
    if generator.random() < 0.5:  # one neuron that bends beside them
        W = np.concatenate([W, generator.standard_normal((1, n2))])
        b = np.concatenate([b, [-0.3 * float(np.maximum(W[-1], 0) @ biases[-1])]])
    weights.append(W)
    biases.append(b)
    m = int(generator.integers(1, 3))
    weights.append(generator.standard_normal((m, len(b))))
    biases.append(generator.standard_normal(m))
    return ReLUNetwork(weights, biases)
