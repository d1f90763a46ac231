"""Networks that show what a classifier has to cope with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._typing import Array, RngLike
from .._values.checked import generator_of, whole
from ..errors import InputError
from ..network.model import ReLUNetwork, checked_widths


def nonlocal_example(widths: Sequence[int] = (4, 3, 3, 2, 2), *, rng: RngLike = None) -> ReLUNetwork:
    """A network whose consecutive pairs of layers are identifiable while the whole is not.

    Layer 2 has rows ``(-v | c)`` with ``v, c > 0``, so its image is bounded; layer 3 has a bias so
    large that its neurons are always active on that image and act linearly, though each of its rows
    has mixed signs (The Symmetries of Three-Layer ReLU Networks, §7). `nonlocal_partner` gives other
    parameters of the same function.

    Parameters
    ----------
    widths : (n0, n1, n2, n3, n4)
        Not increasing up to ``n2``, ``n1, n2 >= 2`` and ``n3 >= 2``.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.fibers.examples import consecutive_pairs, nonlocal_example
    >>> net = nonlocal_example(rng=0)
    >>> [pf.classify_fiber(pair).identifiable for pair in consecutive_pairs(net)]
    [True, True]
    >>> pf.classify_fiber(net).identifiable
    False
    """
    n = checked_widths(widths)
    if len(n) != 5 or not (n[0] >= n[1] >= n[2] >= 2) or n[3] < 2 or n[4] < 1:
        raise InputError(f"widths (n0, n1, n2, n3, n4) with n0 >= n1 >= n2 >= 2 and n3 >= 2 expected, found {n}")
    generator = generator_of(rng)
    W1, b1 = generator.standard_normal((n[1], n[0])), generator.standard_normal(n[1])
    W2 = -generator.uniform(0.5, 1.5, (n[2], n[1]))
    b2 = generator.uniform(0.5, 1.5, n[2])
    W3 = generator.uniform(0.5, 1.5, (n[3], n[2]))
    for j in range(n[3]):  # mixed signs in every row
        W3[j, j % n[2]] *= -1
    b3 = np.abs(W3) @ b2 + generator.uniform(0.5, 1.5, n[3])
    W4, b4 = generator.standard_normal((n[4], n[3])), generator.standard_normal(n[4])
    return ReLUNetwork([W1, W2, W3, W4], [b1, b2, b3, b4])


def nonlocal_partner(net: ReLUNetwork, *, rng: RngLike = None, size: float = 0.05) -> ReLUNetwork:
    """Another parameter of a `nonlocal_example`: ``M`` near the identity acts between layers 3 and 4."""
    generator = generator_of(rng)
    n3 = net.architecture[3]
    M = np.eye(n3) + size * generator.uniform(-1, 1, (n3, n3))
    weights, biases = list(net.weights), list(net.biases)
    weights[2], biases[2] = M @ weights[2], M @ biases[2]
    weights[3] = weights[3] @ np.linalg.inv(M)
    return ReLUNetwork(weights, biases)


def consecutive_pairs(net: ReLUNetwork) -> list[ReLUNetwork]:
    """The networks with two hidden layers made of layers (l, l + 1) and the affine map after them."""
    count = len(net.weights)
    if count < 3:
        raise InputError(f"{net!r} has no two consecutive hidden layers")
    return [ReLUNetwork(net.weights[l : l + 3], net.biases[l : l + 3]) for l in range(count - 2)]


def hiding_example(widths: Sequence[int] = (4, 3, 1, 2), *, hidden: int = 0, rng: RngLike = None) -> ReLUNetwork:
    """A random bottleneck network whose layer 2 hides hyperplane ``hidden`` of layer 1.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.fibers import hiding_example
    >>> pf.classify_fiber(hiding_example((4, 3, 1, 2), rng=0)).kind
    'hiding'
    """
    n = checked_widths(widths)
    if len(n) != 4 or n[1] < 2:
        raise InputError(f"widths (n0, n1, n2, m) with n1 >= 2 expected, one of n1 is hidden; found {n}")
    hidden, net = whole(hidden, "hidden", least=0, most=n[1] - 1), ReLUNetwork.random(n, rng=rng)
    W: Array = -np.abs(net.weights[1])
    W[:, hidden] *= -1
    return ReLUNetwork([net.weights[0], W, net.weights[2]], [net.biases[0], -np.abs(net.biases[1]), net.biases[2]])
