"""Weights that attack floating-point decisions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._typing import RngLike
from .._values.checked import generator_of, shown, whole
from ..errors import InputError, ShapeError
from ..network.model import ReLUNetwork, checked_widths

MOST = 4000
"""Powers of two beyond all floats."""


def rescaled(network: ReLUNetwork, exponents: Sequence[Sequence[int]]) -> ReLUNetwork:
    """Multiply hidden row i of layer l by ``2**exponents[l][i]`` and undo it in the next layer.

    As long as nothing under- or overflows (`InputError` otherwise) the function and its complex
    stay exactly the same.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.testing import rescaled
    >>> net = pf.ReLUNetwork.random((2, 3, 1), rng=0)
    >>> twin = rescaled(net, [[200, -200, 0]])
    >>> bool((twin([[0.5, 0.5]]) == net([[0.5, 0.5]])).all())
    True
    """
    if not isinstance(network, ReLUNetwork):
        raise InputError(f"network must be a ReLUNetwork, found {type(network).__name__}")
    hidden = network.architecture[1:-1]
    if not isinstance(exponents, list | tuple | np.ndarray) or len(exponents) > len(hidden):
        raise InputError(f"exponents are vectors for at most {len(hidden)} hidden layers, found {shown(exponents)}")
    weights = [np.array(w, dtype=np.float64) for w in network.rounded().weights]
    biases = [np.array(b, dtype=np.float64) for b in network.rounded().biases]
    tiny = np.finfo(np.float64).tiny
    with np.errstate(over="ignore", under="ignore"):
        for layer, powers in enumerate(exponents):
            if not isinstance(powers, list | tuple | np.ndarray) or np.shape(powers) != (hidden[layer],):
                raise ShapeError(f"layer {layer + 1} has {hidden[layer]} neurons, its exponents are {shown(powers)}")
            up = np.array([whole(p, "an exponent", least=-MOST, most=MOST) for p in powers], dtype=np.int64)
            weights[layer] = np.ldexp(weights[layer], up[:, None])
            biases[layer] = np.ldexp(biases[layer], up)
            weights[layer + 1] = np.ldexp(weights[layer + 1], -up[None, :])
    before = network.rounded()
    for old, new in zip((*before.weights, *before.biases), (*weights, *biases)):
        if not np.isfinite(new).all() or bool(((old != 0) & (np.abs(new) < tiny)).any()):
            raise InputError("rescaling under- or overflows; choose smaller exponents")
    return ReLUNetwork(weights, biases)


def huge_ratio_network(architecture: Sequence[int], *, rng: RngLike = None, exponent: int = 200) -> ReLUNetwork:
    """Gaussian signs and mantissas with exponents uniform in [-exponent, exponent], entry by entry.

    Examples
    --------
    >>> from polyfiber.testing import huge_ratio_network
    >>> huge_ratio_network((2, 3, 1), rng=0).architecture
    (2, 3, 1)
    """
    generator = generator_of(rng)
    exponent = whole(exponent, "exponent", least=0, most=1020)
    base = ReLUNetwork.random(architecture, rng=generator)

    def spread(values: Any) -> Any:
        return np.ldexp(values, generator.integers(-exponent, exponent + 1, size=values.shape))

    return ReLUNetwork([spread(w) for w in base.weights], [spread(b) for b in base.biases])


def near_coincident_network(architecture: Sequence[int], *, rng: RngLike = None, ulps: int = 1) -> ReLUNetwork:
    """Each layer's rows come in near-copies: the second of a pair is the first, moved by a few ulps.

    Odd pairs are also turned around and scaled by 3, which rounds. The walls of a pair are then
    neither equal nor clearly apart; which it is must be decided for the floats given.

    Examples
    --------
    >>> from polyfiber.testing import near_coincident_network
    >>> near_coincident_network((2, 4, 1), rng=0).architecture
    (2, 4, 1)
    """
    generator = generator_of(rng)
    ulps = whole(ulps, "ulps", least=0, most=2**53)
    base = ReLUNetwork.random(architecture, rng=generator)
    weights = [np.array(w) for w in base.weights]
    biases = [np.array(b) for b in base.biases]
    for w, b in zip(weights[:-1], biases[:-1]):
        for i in range(1, len(b), 2):
            factor = -3.0 if i % 4 == 3 else 1.0
            steps = generator.integers(-ulps, ulps + 1, size=w.shape[1] + 1)
            row = factor * np.append(w[i - 1], b[i - 1])
            row = row + steps * np.spacing(row)
            w[i], b[i] = row[:-1], row[-1]
    return ReLUNetwork(weights, biases)


def subnormal_network(architecture: Sequence[int], *, rng: RngLike = None, exponent: int = -1060) -> ReLUNetwork:
    """A Gaussian network whose first layer is scaled by ``2**exponent``, down among the subnormals.

    Few bits of each weight survive, and products of two layers underflow altogether in floats: a
    running error bound without an underflow term is wrong there.

    Examples
    --------
    >>> from polyfiber.testing import subnormal_network
    >>> net = subnormal_network((2, 3, 1), rng=0)
    >>> bool(0 < abs(net.weights[0]).max() < 1e-300)
    True
    """
    exponent = whole(exponent, "exponent", least=-MOST, most=1020)
    base = ReLUNetwork.random(architecture, rng=rng)
    weights = [np.ldexp(w, exponent) if layer == 0 else w for layer, w in enumerate(base.weights)]
    biases = [np.ldexp(b, exponent) if layer == 0 else b for layer, b in enumerate(base.biases)]
    return ReLUNetwork(weights, biases)


def integer_network(architecture: Sequence[int], *, rng: RngLike = None, max_abs: int = 1) -> ReLUNetwork:
    """Weights and biases uniform in {-max_abs, …, max_abs}.

    Examples
    --------
    >>> from polyfiber.testing import integer_network
    >>> integer_network((2, 3, 1), rng=0).weights[0].dtype.name
    'float64'
    """
    generator = generator_of(rng)
    max_abs = whole(max_abs, "max_abs", least=0, most=2**53)
    widths = checked_widths(architecture)
    shapes = list(zip(widths[:-1], widths[1:]))
    draws = [
        (generator.integers(-max_abs, max_abs + 1, size=(o, i)), generator.integers(-max_abs, max_abs + 1, size=o))
        for i, o in shapes
    ]
    return ReLUNetwork([w for w, _ in draws], [b for _, b in draws])
