"""Pairs of networks that are equal, or just not, by construction.

Every pair is drawn from a seed, so that ten thousand need no file: ``make(kind, seed)`` gives both networks
and the truth. Kinds in `OF_NETWORK` can start from a given network (`make_from`); the others draw their own.

Equal: permutation and scaling, translation and flips of a hidden hyperplane, re-factorization of linear
neurons, other layerwise components, dead, constant, duplicate and unused neurons, other widths, random
compositions of all. Different: one weight off, a translation beyond its end, the flip of the hidden
hyperplane itself, a swapped hidden index, a dead neuron made barely alive, a difference in a corner that
no sample hits, equal on a box only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._values.checked import generator_of
from ..domain import Box
from ..equivalence.forms.canonical import canonical_form
from ..errors import InputError
from ..fibers.batch.labels import classify_batch
from ..fibers.classify import classify_fiber
from ..network.model import NetworkBatch, ReLUNetwork
from ..network.moves import Flip, Permute, Rescale, Translate, shuffled

_TRIES = 10_000


@dataclass(frozen=True)
class Pair:
    """Two networks, whether they are equal functions, and by how much the second was changed."""

    kind: str
    a: ReLUNetwork
    b: ReLUNetwork
    equal: bool
    exact: bool | None  # equal as rational functions, where known
    size: float  # relative size of the change; 0 for equal pairs
    domain: Any = None


def _widths(rng: np.random.Generator, top: int) -> tuple[int, int, int, int]:
    n1 = int(rng.integers(2, top + 1))
    return int(rng.integers(n1, top + 1)), n1, int(rng.integers(1, top + 1)), int(rng.integers(1, 5))


def _bottleneck(rng: np.random.Generator, top: int) -> ReLUNetwork:
    while True:
        net = ReLUNetwork.random(_widths(rng, top), rng=rng)
        form = canonical_form(net)
        if form.kind != "constant" and form.margin > 1e-5:
            return net


def hiding_network(rng: np.random.Generator, top: int, *, live: int | None = None) -> tuple[ReLUNetwork, int]:
    """A network that hides hyperplane k, and k."""
    n0, n1, n2, m = _widths(rng, top)
    n2 = n2 if live is None else live
    k = int(rng.integers(n1))
    W2 = -np.abs(rng.standard_normal((n2, n1))) - 0.05
    W2[:, k] *= -1
    b2 = -np.abs(rng.standard_normal(n2)) - 0.05
    W = [rng.standard_normal((n1, n0)), W2, rng.standard_normal((m, n2))]
    return ReLUNetwork(W, [rng.standard_normal(n1), b2, rng.standard_normal(m)]), k


def _end(net: ReLUNetwork, k: int) -> float:
    return float(np.min(-net.biases[1] / net.weights[1][:, k]))


def _moved(net: ReLUNetwork, k: int, shift: float) -> ReLUNetwork:
    """A translation without any check of its end."""
    b1, b2 = net.biases[0].copy(), net.biases[1] + shift * net.weights[1][:, k]
    b1[k] -= shift
    return ReLUNetwork(net.weights, [b1, b2, net.biases[2]])


def _change(net: ReLUNetwork, rng: np.random.Generator, size: float) -> ReLUNetwork:
    """The largest weight of a random layer off by a relative ``size``."""
    W = [w.copy() for w in net.weights]
    layer = int(rng.integers(len(W)))
    W[layer].flat[int(np.argmax(np.abs(W[layer])))] *= 1 + size
    return ReLUNetwork(W, net.biases)


def _widened(net: ReLUNetwork, rng: np.random.Generator) -> ReLUNetwork:
    """Dead, unused, constant and duplicate neurons beside those of a network with two hidden layers."""
    W1, W2, W3 = (w.copy() for w in net.weights)
    b1, b2, b3 = (v.copy() for v in net.biases)
    share, ratio = rng.uniform(0.2, 0.8), rng.uniform(0.5, 2.0)
    W1 = np.concatenate([W1, ratio * W1[:1], np.zeros((1, W1.shape[1]))])
    b1 = np.concatenate([b1, ratio * b1[:1], [0.7]])
    W2 = np.concatenate([W2, (1 - share) / ratio * W2[:, :1], rng.standard_normal((len(W2), 1))], axis=1)
    W2[:, 0] *= share
    b2 = b2 - 0.7 * W2[:, -1]
    W2 = np.concatenate([W2, -rng.uniform(0.1, 1, (1, W2.shape[1])), rng.standard_normal((1, W2.shape[1]))])
    b2 = np.concatenate([b2, [-0.3, 0.2]])
    W3 = np.concatenate([W3, rng.standard_normal((len(W3), 1)), np.zeros((len(W3), 1))], axis=1)
    return ReLUNetwork([W1, W2, W3], [b1, b2, b3])


def _is_single(net: ReLUNetwork) -> bool:
    """Whether signs alone say that a bottleneck network is identifiable, so that all of its neurons matter."""
    return bool(classify_batch(NetworkBatch.stack([net])).identifiable[0])


def _fiber_point(net: ReLUNetwork, rng: np.random.Generator) -> ReLUNetwork:
    """A random network of the layerwise fiber: other orientations, other linear neurons."""
    report = classify_fiber(net, limit=64, max_parameters=0)
    if report.kind not in ("layerwise", "identifiable", "hiding"):
        return net
    return report.sample(1, rng=rng)[0]


def make(kind: str, seed: int, *, top: int = 8) -> Pair:
    """One pair.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    seed : int
    top : int
        Largest width.
    """
    rng = np.random.default_rng([sorted(KINDS).index(kind), seed])
    return KINDS[kind](kind, rng, top)


def _trivial(kind: str, rng: np.random.Generator, top: int, given: ReLUNetwork | None = None) -> Pair:
    net = _bottleneck(rng, top) if given is None else given
    return Pair(kind, net, shuffled(net, rng=rng), True, None, 0.0)


def _powers(kind: str, rng: np.random.Generator, top: int, given: ReLUNetwork | None = None) -> Pair:
    net = _bottleneck(rng, top) if given is None else given
    other = net
    for layer, width in enumerate(net.hidden_widths, start=1):
        other = Permute(layer, tuple(rng.permutation(width).tolist()))(other)
        other = Rescale(layer, tuple((2.0 ** rng.integers(-4, 5, width)).tolist()))(other)
    return Pair(kind, net, other, True, True, 0.0)


def _translated(kind: str, rng: np.random.Generator, top: int) -> Pair:
    net, k = hiding_network(rng, top)
    shift = _end(net, k) - rng.choice([0.0, rng.uniform(0, 5), 10.0 ** rng.uniform(0, 3)])
    return Pair(kind, net, shuffled(Translate(k, shift)(net), rng=rng) if shift else net, True, None, 0.0)


def _flipped(kind: str, rng: np.random.Generator, top: int) -> Pair:
    net, k = hiding_network(rng, top, live=1)
    others = [i for i in range(net.architecture[1]) if i != k and rng.random() < 0.5]
    return Pair(kind, net, shuffled(Flip(k, tuple(others))(net), rng=rng), True, None, 0.0)


def _refactored(kind: str, rng: np.random.Generator, top: int, given: ReLUNetwork | None = None) -> Pair:
    for _ in range(_TRIES):
        net = _bottleneck(rng, min(top, 6)) if given is None else given
        W2, b2 = net.weights[1].copy(), net.biases[1].copy()
        W2[0], b2[0] = np.abs(W2[0]) + 0.01, abs(b2[0]) + 0.01
        net = ReLUNetwork([net.weights[0], W2, net.weights[2]], [net.biases[0], b2, net.biases[2]])
        form = canonical_form(net)
        if form.margin > 1e-5 and form.kind == "layerwise":
            return Pair(kind, net, shuffled(_fiber_point(net, rng), rng=rng), True, None, 0.0)
        if given is not None:
            raise InputError(f"{given!r} with a positive row in layer 2 is not layerwise: {form.kind}")
    raise InputError(f"no network with widths up to {top} gave a pair of kind {kind!r}")


def _spare(kind: str, rng: np.random.Generator, top: int, given: ReLUNetwork | None = None) -> Pair:
    net = _bottleneck(rng, top) if given is None else given
    wide = _widened(net, rng)
    return Pair(kind, net, shuffled(wide, rng=rng), True, None, 0.0)


def _composed(kind: str, rng: np.random.Generator, top: int, given: ReLUNetwork | None = None) -> Pair:
    if given is not None:
        net, other = given, given if _is_single(given) else _fiber_point(given, rng)
    elif rng.random() < 0.5:
        net, k = hiding_network(rng, top, live=1 if rng.random() < 0.5 else None)
        other = Translate(k, _end(net, k) - float(rng.uniform(0, 10)))(net)
        if net.architecture[2] == 1:
            other = Flip(k, tuple(i for i in range(net.architecture[1]) if i != k and rng.random() < 0.5))(other)
            other = Translate(k, _end(other, k) - float(rng.uniform(0, 10)))(other)
    else:
        net = _bottleneck(rng, min(top, 6))
        other = _fiber_point(net, rng)
    other = shuffled(other, rng=rng)
    if rng.random() < 0.5:
        other = _widened(other, rng)
    return Pair(kind, net, shuffled(other, rng=rng), True, None, 0.0)


def _one_layer(kind: str, rng: np.random.Generator, top: int) -> Pair:
    n0, H, m = int(rng.integers(1, top + 1)), int(rng.integers(1, top + 1)), int(rng.integers(1, 5))
    net = ReLUNetwork.random((n0, H, m), rng=rng)
    W, b, C = net.weights[0], net.biases[0], net.weights[1]
    # a hyperplane made twice, once from each side, and a pair that cancels
    wide = ReLUNetwork(
        [
            np.concatenate([W, 2 * W[:1], W[:1] * 0 + 1, W[:1] * 0 + 3]),
            np.concatenate([C, C[:, :1], C[:, :1], -C[:, :1] / 3], axis=1),
        ],
        [np.concatenate([b, 2 * b[:1], [0.5], [1.5]]), net.biases[1]],
    )
    C2 = wide.weights[1].copy()
    C2[:, 0] -= 2 * C2[:, H]
    wide = ReLUNetwork([wide.weights[0], C2], wide.biases)
    return Pair(kind, net, shuffled(wide, rng=rng), True, None, 0.0)


def _deep(kind: str, rng: np.random.Generator, top: int) -> Pair:
    widths = (int(rng.integers(2, 4)), *(int(v) for v in rng.integers(2, 6, 3)), 2)
    net = ReLUNetwork.random(widths, rng=rng)
    return Pair(kind, net, shuffled(net, rng=rng), True, None, 0.0)


def _integers(kind: str, rng: np.random.Generator, top: int) -> Pair:
    while True:
        n0, n1, n2, m = _widths(rng, min(top, 6))
        W1 = rng.integers(-2, 3, (n1, n0)).astype(np.float64)
        net = ReLUNetwork(
            [W1, rng.standard_normal((n2, n1)), rng.standard_normal((m, n2))],
            [rng.integers(-2, 3, n1).astype(np.float64), rng.standard_normal(n2), rng.standard_normal(m)],
        )
        if np.linalg.matrix_rank(W1) == n1 and canonical_form(net).margin > 1e-5:
            return Pair(kind, net, shuffled(net, rng=rng), True, None, 0.0)


def _off(kind: str, rng: np.random.Generator, top: int, given: ReLUNetwork | None = None) -> Pair:
    size = float(10.0 ** -int(kind.rsplit("-", 1)[1]))
    for _ in range(_TRIES):
        net = _bottleneck(rng, top) if given is None else given
        # the changed weight has to matter: no dead neuron, everything visible
        if _is_single(net) or canonical_form(net).widths == net.architecture:
            return Pair(kind, net, shuffled(_change(net, rng, size), rng=rng), False, False, size)
        if given is not None:
            raise InputError(f"{given!r} has neurons that do not matter: a changed weight may change nothing")
    raise InputError(f"no network with widths up to {top} gave a pair of kind {kind!r}")


def _beyond(kind: str, rng: np.random.Generator, top: int) -> Pair:
    net, k = hiding_network(rng, top)
    size = float(10.0 ** -rng.uniform(1, 6))
    return Pair(kind, net, shuffled(_moved(net, k, _end(net, k) + size), rng=rng), False, False, size)


def _flip_hidden(kind: str, rng: np.random.Generator, top: int) -> Pair:
    net, k = hiding_network(rng, top, live=1)
    W1, b1 = net.weights[0].copy(), net.biases[0].copy()
    W1[k], b1[k] = -W1[k], -b1[k]
    return Pair(kind, net, ReLUNetwork([W1, *net.weights[1:]], [b1, *net.biases[1:]]), False, False, 1.0)


def _swapped(kind: str, rng: np.random.Generator, top: int) -> Pair:
    net, k = hiding_network(rng, top)
    i = int(rng.choice([j for j in range(net.architecture[1]) if j != k]))
    W2 = net.weights[1].copy()
    W2[:, [i, k]] = W2[:, [k, i]]
    return Pair(kind, net, ReLUNetwork([net.weights[0], W2, net.weights[2]], net.biases), False, False, 1.0)


def _barely(kind: str, rng: np.random.Generator, top: int) -> Pair:
    """A dead neuron of layer 2 gets a bias just above zero: alive only where layer 1 is almost all off."""
    net = _bottleneck(rng, top)
    size = float(10.0 ** -rng.uniform(2, 6))
    W2 = np.concatenate([net.weights[1], -np.abs(rng.standard_normal((1, net.architecture[1]))) - 0.1])
    W3 = np.concatenate([net.weights[2], rng.choice([-1.0, 1.0], (net.architecture[3], 1))], axis=1)
    a, b = (
        ReLUNetwork([net.weights[0], W2, W3], [net.biases[0], np.concatenate([net.biases[1], [bias]]), net.biases[2]])
        for bias in (-size, size)
    )
    return Pair(kind, a, b, False, False, size)


def _corner(kind: str, rng: np.random.Generator, top: int) -> Pair:
    """A spike in a corner of relative volume 1e-14 of the box [0, 1]^7; the same elsewhere."""
    n = 7
    net = ReLUNetwork.random((n, 3, 1), rng=rng)
    side = float(10.0 ** (-2.0))
    spike = -np.ones((1, n))
    W = [np.concatenate([net.weights[0], spike]), np.concatenate([net.weights[1], [[1.0]]], axis=1)]
    b = [np.concatenate([net.biases[0], [side]]), net.biases[1]]
    box = Box(0.0, 1.0, dimension=n)
    return Pair(kind, net, ReLUNetwork(W, b), False, False, side, box)


def _on_box(kind: str, rng: np.random.Generator, top: int) -> Pair:
    """Equal on the box (a neuron that never fires there), different outside."""
    n = int(rng.integers(2, 4))
    net = ReLUNetwork.random((n, 4, 3, 2), rng=rng)
    W1 = np.concatenate([net.weights[0], np.ones((1, n))])
    b1 = np.concatenate([net.biases[0], [-n - 0.5]])
    W2 = np.concatenate([net.weights[1], rng.standard_normal((3, 1))], axis=1)
    other = ReLUNetwork([W1, W2, net.weights[2]], [b1, *net.biases[1:]])
    return Pair(kind, net, other, True, True, 0.0, Box(-1.0, 1.0, dimension=n))


def _off_box(kind: str, rng: np.random.Generator, top: int) -> Pair:
    while True:
        pair = _on_box(kind, rng, top)
        x = 50 * rng.standard_normal((4000, pair.a.architecture[0]))
        if np.abs(pair.a(x) - pair.b(x)).max() > 1e-3:
            return Pair(kind, pair.a, pair.b, False, False, 1.0)


KINDS: dict[str, Any] = {
    "equal: permute and rescale": _trivial,
    "equal: powers of two": _powers,
    "equal: translate": _translated,
    "equal: flip": _flipped,
    "equal: linear neurons": _refactored,
    "equal: spare neurons": _spare,
    "equal: compositions": _composed,
    "equal: one hidden layer": _one_layer,
    "equal: three hidden layers": _deep,
    "equal: integer rows that tie": _integers,
    "equal: on a box only": _on_box,
    **{f"off by 1e-{e}": _off for e in range(3, 10)},
    "translated beyond the end": _beyond,
    "hidden hyperplane flipped": _flip_hidden,
    "hidden index swapped": _swapped,
    "dead neuron barely alive": _barely,
    "corner of volume 1e-14": _corner,
    "different outside a box": _off_box,
}


OF_NETWORK = (
    "equal: permute and rescale",
    "equal: powers of two",
    "equal: linear neurons",
    "equal: spare neurons",
    "equal: compositions",
    *(f"off by 1e-{e}" for e in range(3, 10)),
)
"""Kinds that can start from a given network."""

_ANY_DEPTH = ("equal: permute and rescale", "equal: powers of two")


def starts_from(kind: str, net: ReLUNetwork) -> bool:
    """Whether a pair of a kind can be made from a network: two hidden layers, a bottleneck, for all but symmetries."""
    if kind not in OF_NETWORK or net.is_exact:
        return False
    widths = net.architecture
    return kind in _ANY_DEPTH or (len(widths) == 4 and widths[0] >= widths[1] >= 2)


def make_from(kind: str, net: ReLUNetwork, *, rng: Any) -> Pair:
    """One pair of a kind in `OF_NETWORK`, made from a network.

    The first of the pair is the network, except that "equal: linear neurons" makes the first row of layer 2 positive.

    Raises
    ------
    InputError
        The kind needs another network: see `starts_from`, and the message.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.datasets.pairs import make_from
    >>> pair = make_from("off by 1e-3", pf.ReLUNetwork.random((4, 3, 3, 2), rng=0), rng=1)
    >>> pair.equal, pair.size, bool(pf.are_equivalent(pair.a, pair.b).verdict)
    (False, 0.001, False)
    """
    if not starts_from(kind, net):
        raise InputError(
            f"pairs of kind {kind!r} cannot be made from {net!r}; see polyfiber.datasets.pairs.starts_from"
        )
    pair: Pair = KINDS[kind](kind, generator_of(rng), max(net.architecture), net)
    return pair


def sample(per_kind: int, *, top: int = 8, start: int = 0) -> list[Pair]:
    """So many pairs of every kind."""
    return [make(kind, start + seed, top=top) for kind in KINDS for seed in range(per_kind)]
