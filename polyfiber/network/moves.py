"""Moves: changes of the parameters that keep the function, as values.

A move knows how to act on a network, how to undo itself, and how to print itself. Applying one
checks that its precondition holds for that network, so a move never changes a function silently.
The trivial symmetries are `Permute` and `Rescale`; `Translate` and `Flip` act on a hidden
hyperplane of a network with two hidden layers (The Symmetries of Three-Layer ReLU Networks, §5);
`Replace` exchanges neurons of one layer for others with the same contribution and covers dropping,
merging and re-factoring.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from .. import words
from .._typing import Array
from .._values.checked import generator_of
from ..errors import InputError, ShapeError
from ..numerics.exact import as_fractions
from ..numerics.rounding import UNIT, gamma
from ..words import one_line
from .model import ReLUNetwork


class Move:
    """A change of parameters. Subclasses implement `apply` and `inverse`."""

    def apply(self, net: ReLUNetwork) -> ReLUNetwork:
        """The moved network."""
        raise NotImplementedError

    def inverse(self) -> Move:
        """The move that undoes this one."""
        raise NotImplementedError

    def then(self, other: Move) -> Composition:
        """This move, then the other."""
        return compose(self, other)

    def __call__(self, net: ReLUNetwork) -> ReLUNetwork:
        return self.apply(net)


def _layers(net: ReLUNetwork) -> tuple[list[Array], list[Array]]:
    return [w.copy() for w in net.weights], [b.copy() for b in net.biases]


def _hidden_layer(net: ReLUNetwork, layer: int) -> int:
    if not 1 <= layer < len(net.weights):
        raise InputError(
            f"layer {layer} is not a hidden layer of {net!r}; hidden layers are 1 to {len(net.weights) - 1}"
        )
    return layer - 1


def _two_hidden_layers(net: ReLUNetwork, layer: int, what: str) -> int:
    if not 1 <= layer < len(net.weights) - 1:
        raise InputError(f"{what} needs two hidden layers, {layer} and {layer + 1}; found {net!r}")
    return layer - 1


def _rebuild(net: ReLUNetwork, weights: list[Array], biases: list[Array]) -> ReLUNetwork:
    return ReLUNetwork(weights, biases, source=net.source)


@dataclass(frozen=True)
class Permute(Move):
    """Reorder the neurons of a hidden layer: new neuron ``i`` is old neuron ``order[i]``.

    Parameters
    ----------
    layer : int
        Hidden layers count from 1.
    order : tuple of int

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.network.moves import Permute
    >>> net = pf.ReLUNetwork.random((2, 3, 1), rng=0)
    >>> move = Permute(1, (2, 0, 1))
    >>> move.inverse()(move(net)) == net
    True
    """

    layer: int
    order: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", tuple(int(i) for i in self.order))
        if sorted(self.order) != list(range(len(self.order))):
            raise InputError(f"{self.order} is not a permutation of 0 to {len(self.order) - 1}")

    def apply(self, net: ReLUNetwork) -> ReLUNetwork:
        """The network with its neurons reordered."""
        l = _hidden_layer(net, self.layer)
        weights, biases = _layers(net)
        if weights[l].shape[0] != len(self.order):
            raise ShapeError(
                f"a permutation of {words.count(len(self.order), 'neuron')} does not fit layer {self.layer} of {net!r}"
            )
        order = list(self.order)
        weights[l], biases[l] = weights[l][order], biases[l][order]
        weights[l + 1] = weights[l + 1][:, order]
        return _rebuild(net, weights, biases)

    def inverse(self) -> Permute:
        """The inverse permutation."""
        return Permute(self.layer, tuple(int(i) for i in np.argsort(self.order)))

    def __str__(self) -> str:
        return f"permute layer {self.layer} by {self.order}"


@dataclass(frozen=True)
class Rescale(Move):
    """Multiply row ``i`` of a hidden layer by ``factors[i] > 0`` and divide the outgoing column by it.

    Exact on rational networks and for powers of two; otherwise each parameter is rounded once.
    """

    layer: int
    factors: tuple[Any, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "factors", tuple(_plain(v) for v in self.factors))
        bad = [v for v in self.factors if not (0 < v < float("inf"))]
        if bad:
            raise InputError(f"scaling factors must be positive and finite, found {bad[0]!r}")

    def apply(self, net: ReLUNetwork) -> ReLUNetwork:
        """The network with its neurons rescaled."""
        l = _hidden_layer(net, self.layer)
        weights, biases = _layers(net)
        if weights[l].shape[0] != len(self.factors):
            raise ShapeError(f"{len(self.factors)} factors do not fit layer {self.layer} of {net!r}")
        s = _vector(self.factors, net.is_exact)
        weights[l], biases[l] = weights[l] * s[:, None], biases[l] * s
        weights[l + 1] = weights[l + 1] / s
        return _rebuild(net, weights, biases)

    def inverse(self) -> Rescale:
        """The reciprocal factors."""
        return Rescale(self.layer, tuple(1 / v if isinstance(v, float) else Fraction(1) / v for v in self.factors))

    def __str__(self) -> str:
        return f"rescale layer {self.layer} by ({', '.join(f'{float(v):.6g}' for v in self.factors)})"


@dataclass(frozen=True)
class Translate(Move):
    """Translate a hidden hyperplane: ``b1[k] -= s``, and ``b2 += s W2[:, k]`` for the live neurons.

    Written for layers 1 and 2; any two consecutive hidden layers will do (``layer=``).

    Keeps the function when every live neuron of layer 2 that reads hyperplane ``neuron`` hides it before and
    after (``b2 + s W2[:, k] <= 0``): positive there, nowhere else, the bias not positive. Paper §5, Eq. (3); there
    every neuron of layer 2 reads every hyperplane, here other groups of them may read others.

    Parameters
    ----------
    neuron : int
        Index ``k`` of the hidden hyperplane in layer 1.
    shift : float or Fraction
        Any sign; at most `polyfiber.fibers.hiding.admissible_shift`.
    layer : int
        Hidden layer of the hyperplane.
    """

    neuron: int
    shift: Any
    layer: int = 1

    def apply(self, net: ReLUNetwork) -> ReLUNetwork:
        """The translated network; `InputError` if the hyperplane is not hidden on both sides."""
        l = _two_hidden_layers(net, self.layer, "a translation")
        weights, biases = _layers(net)
        W, b = weights[l + 1], biases[l + 1]
        shift = Fraction(self.shift) if net.is_exact else float(self.shift)
        _check_readers(W, b, self.neuron, "before the translation")
        biases[l][self.neuron] -= shift
        dead = (W <= 0).all(axis=1) & (b <= 0)  # dead on every non-negative input: left alone
        moved = np.where(dead, b, b + shift * W[:, self.neuron])
        # the end point of the half-line is admissible: rounding may leave it an ulp above zero
        slack = 4 * UNIT * np.abs(b) if not net.is_exact else 0
        biases[l + 1] = np.where(~dead & (moved > 0) & (moved <= slack), 0 * moved, moved)
        _check_readers(W, biases[l + 1], self.neuron, f"after a translation by {float(self.shift):.6g}")
        return _rebuild(net, weights, biases)

    def inverse(self) -> Translate:
        """The opposite shift."""
        return Translate(self.neuron, -self.shift, self.layer)

    def __str__(self) -> str:
        return f"translate hidden hyperplane {self.neuron} of layer {self.layer} by {float(self.shift):.6g}"


def hides(W: Array, b: Array, k: int) -> Array:
    """Which rows of ``(W | b)`` hide hyperplane ``k``: positive at ``k``, negative elsewhere, bias <= 0 (Def. 3)."""
    others = np.delete(W, k, axis=1)
    result: Array = (W[:, k] > 0) & (others < 0).all(axis=1) & (b <= 0)
    return result.astype(bool)


def check_hides(W: Array, b: Array, k: int, when: str) -> None:
    """Raise `InputError` unless every row hides ``k`` or is dead (all <= 0), and some row hides it."""
    if not 0 <= k < W.shape[1]:
        raise InputError(f"hyperplane {k} does not exist; layer 1 has {words.count(W.shape[1], 'neuron')}")
    if W.shape[1] < 2:
        raise InputError("hiding needs at least two neurons in layer 1 (one neuron: a function of one variable)")
    hiding = hides(W, b, k)
    dead = (W <= 0).all(axis=1) & (b <= 0)
    if not hiding.any() or not (hiding | dead).all():
        bad = [int(j) for j in np.flatnonzero(~(hiding | dead))]
        raise InputError(f"hyperplane {k} is not hidden {when}: neurons {bad} of layer 2 neither hide it nor are dead")


def _check_readers(W: Array, b: Array, k: int, when: str) -> None:
    """`check_hides` where rows may have zeros: those that read ``k`` matter."""
    if not 0 <= k < W.shape[1] or W.shape[1] < 2 or not (W[:, k] != 0).any():
        check_hides(W, b, k, when)
        return
    below = (np.delete(W, k, axis=1) <= 0).all(axis=1) & (b <= 0)
    bad = [int(j) for j in np.flatnonzero(~below & (W[:, k] != 0))]
    if bad or not (W[:, k] > 0).any():
        raise InputError(
            f"hyperplane {k} is not hidden {when}: neurons {bad} of the next layer read it, and neither hide it nor are dead"
        )


@dataclass(frozen=True)
class Flip(Move):
    """Flip first-layer hyperplanes around a hidden one, for a single live neuron in layer 2.

    With ``W2[k] = 1`` and ``W2[l] = -1`` otherwise, ``(W1 | b1) -> M_I (W1 | b1)`` where
    ``M_I = Id - sum_{i in I} (2 e_i e_i^T + e_k e_i^T)`` (paper §5); other weights are brought to
    that gauge and back by the scaling symmetry. An involution.

    Parameters
    ----------
    neuron : int
        Index ``k`` of the hidden hyperplane.
    flipped : tuple of int
        The set ``I``, without ``k``.
    layer : int
        Hidden layer of the hyperplanes.
    """

    neuron: int
    flipped: tuple[int, ...]
    layer: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "flipped", tuple(sorted({int(i) for i in self.flipped})))
        if self.neuron in self.flipped:
            raise InputError(f"the hidden hyperplane {self.neuron} cannot be among the flipped ones {self.flipped}")

    def apply(self, net: ReLUNetwork) -> ReLUNetwork:
        """The flipped network; `InputError` unless one neuron of layer 2 is live and hides ``neuron``."""
        l = _two_hidden_layers(net, self.layer, "a flip")
        weights, biases = _layers(net)
        check_hides(weights[l + 1], biases[l + 1], self.neuron, "for a flip")
        live = np.flatnonzero(hides(weights[l + 1], biases[l + 1], self.neuron))
        if len(live) != 1:
            raise InputError(
                f"a flip needs exactly one live neuron in layer {self.layer + 1}; neurons {live.tolist()} are live"
            )
        W, b, row, k = weights[l], biases[l], weights[l + 1][live[0]], self.neuron
        if self.flipped and not 0 <= min(self.flipped) <= max(self.flipped) < W.shape[0]:
            raise InputError(
                f"hyperplanes {self.flipped} do not exist; layer {self.layer} has {words.count(W.shape[0], 'neuron')}"
            )
        for i in self.flipped:  # M_{i} with scales: row_k += (W2_i / W2_k) row_i, row_i = -row_i
            ratio = row[i] / row[k]
            W[k], b[k] = W[k] + ratio * W[i], b[k] + ratio * b[i]
            W[i], b[i] = -W[i], -b[i]
        return _rebuild(net, weights, biases)

    def inverse(self) -> Flip:
        """Itself."""
        return self

    def __str__(self) -> str:
        return f"flip hyperplanes {self.flipped} of layer {self.layer} around hidden hyperplane {self.neuron}"


@dataclass(frozen=True)
class Neurons:
    """Some neurons of one layer: rows, biases and outgoing columns.

    Attributes
    ----------
    weights : (k, n_in) array
    biases : (k,) array
    outgoing : (n_out, k) array
    """

    weights: Array
    biases: Array
    outgoing: Array

    def __post_init__(self) -> None:
        for name in ("weights", "biases", "outgoing"):
            array = np.array(getattr(self, name))
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        k = self.biases.shape[0]
        if self.weights.shape[0] != k or self.outgoing.shape[1] != k:
            raise ShapeError(
                f"{words.count(self.weights.shape[0], 'row')}, {k} biases and {self.outgoing.shape[1]} outgoing columns"
            )

    def __len__(self) -> int:
        return int(self.biases.shape[0])

    @classmethod
    def of(cls, net: ReLUNetwork, layer: int, indices: Sequence[int]) -> Neurons:
        """The neurons ``indices`` of a hidden layer."""
        l = _hidden_layer(net, layer)
        index = list(indices)
        return cls(net.weights[l][index], net.biases[l][index], net.weights[l + 1][:, index])


@dataclass(frozen=True)
class Replace(Move):
    """Exchange neurons of one hidden layer for others and correct the next layer's bias.

    Whether the function stays is a matter of the neurons; the constructors `drop_neurons`,
    `merge_neurons` and `refactor_linear` make only replacements that keep it, on the domain that
    they state. Applying checks that the removed neurons are the ones in the network.

    Parameters
    ----------
    layer : int
    positions : tuple of int
        Where the removed neurons stand.
    old : Neurons
    new_positions : tuple of int
        Where the new neurons stand afterwards.
    new : Neurons
    bias_change : (n_out,) array
        Added to the next layer's bias.
    why : str
        What the replacement is, for printing.
    """

    __repr__ = one_line

    layer: int
    positions: tuple[int, ...]
    old: Neurons
    new_positions: tuple[int, ...]
    new: Neurons
    bias_change: Array
    why: str = field(default="replace")

    def __post_init__(self) -> None:
        object.__setattr__(self, "positions", tuple(int(i) for i in self.positions))
        object.__setattr__(self, "new_positions", tuple(int(i) for i in self.new_positions))
        change = np.array(self.bias_change)
        change.setflags(write=False)
        object.__setattr__(self, "bias_change", change)
        for places, neurons in ((self.positions, self.old), (self.new_positions, self.new)):
            if len(places) != len(neurons) or len(set(places)) != len(places):
                raise ShapeError(f"{words.count(len(neurons), 'neuron')} at positions {places}")

    def apply(self, net: ReLUNetwork) -> ReLUNetwork:
        """The network with the new neurons; `InputError` if the old ones are not there."""
        l = _hidden_layer(net, self.layer)
        width = net.weights[l].shape[0]
        if self.positions and max(self.positions) >= width:
            raise InputError(f"layer {self.layer} has {words.count(width, 'neuron')}, none at {max(self.positions)}")
        present = Neurons.of(net, self.layer, self.positions)
        for name in ("weights", "biases", "outgoing"):
            mine, theirs = getattr(self.old, name), getattr(present, name)
            if mine.shape != theirs.shape or not _close(mine, theirs):
                raise InputError(
                    f"cannot {self.why}: the {name} of neurons {self.positions} of layer {self.layer} are others"
                )
        keep = [i for i in range(width) if i not in set(self.positions)]
        size = len(keep) + len(self.new)
        if size == 0:
            raise InputError(f"cannot {self.why}: layer {self.layer} would be left without neurons")
        if self.new_positions and max(self.new_positions) >= size:
            raise InputError(f"layer {self.layer} will have {size} neurons, none at {max(self.new_positions)}")
        rest = [i for i in range(size) if i not in set(self.new_positions)]
        weights, biases = _layers(net)
        dtype = object if net.is_exact else np.float64
        W = np.empty((size, weights[l].shape[1]), dtype=dtype)
        b = np.empty(size, dtype=dtype)
        C = np.empty((weights[l + 1].shape[0], size), dtype=dtype)
        W[rest], b[rest], C[:, rest] = weights[l][keep], biases[l][keep], weights[l + 1][:, keep]
        places = list(self.new_positions)
        if places:
            W[places] = _cast(self.new.weights, dtype)
            b[places] = _cast(self.new.biases, dtype)
            C[:, places] = _cast(self.new.outgoing, dtype)
        weights[l], biases[l], weights[l + 1] = W, b, C
        biases[l + 1] = biases[l + 1] + _cast(self.bias_change, dtype)
        return _rebuild(net, weights, biases)

    def inverse(self) -> Replace:
        """Old and new exchanged. Exact on rational networks; on floats the bias is rounded."""
        return Replace(
            self.layer,
            self.new_positions,
            self.new,
            self.positions,
            self.old,
            -self.bias_change,
            why=f"undo: {self.why}",
        )

    def __str__(self) -> str:
        before, after = words.neurons(self.layer, self.positions), words.listed(self.new_positions)
        return f"{self.why}: {before} as {after}" if self.new_positions else f"{self.why}: {before}"


@dataclass(frozen=True)
class Join(Move):
    """Take a layer out that acts affinely on what the layers before it produce: the next one reads their output
    instead.

    Whoever makes one has to know that it does; the move looks at its own two layers alone.

    Parameters
    ----------
    layer : int
        Hidden layer that goes.
    old : tuple of arrays
        Its ``(W, b)`` and those of the next layer.
    new : tuple of arrays
        ``(W, b)`` of both in one.
    why : str
    """

    layer: int
    old: tuple[Array, Array, Array, Array] = field(repr=False)
    new: tuple[Array, Array] = field(repr=False)
    why: str = "join a layer with the next one"

    def apply(self, net: ReLUNetwork) -> ReLUNetwork:
        """The network without the layer; `InputError` where it has another one there."""
        l = _hidden_layer(net, self.layer)
        there = net.weights[l], net.biases[l], net.weights[l + 1], net.biases[l + 1]
        if any(p.shape != q.shape or (p != q).any() for p, q in zip(self.old, there)):
            raise InputError(f"layers {self.layer} and {self.layer + 1} are not those that were joined")
        weights, biases = _layers(net)
        return _rebuild(
            net, [*weights[:l], self.new[0], *weights[l + 2 :]], [*biases[:l], self.new[1], *biases[l + 2 :]]
        )

    def inverse(self) -> Part:
        """The layer again."""
        return Part(self)

    def __str__(self) -> str:
        return f"layer {self.layer}: {self.why}"


@dataclass(frozen=True)
class Part(Move):
    """The opposite of `Join`."""

    join: Join

    def apply(self, net: ReLUNetwork) -> ReLUNetwork:
        """The network with the layer; `InputError` where the joined one is another."""
        l = self.join.layer - 1
        if not 0 <= l < len(net.weights) or any(
            p.shape != q.shape or (p != q).any() for p, q in zip(self.join.new, (net.weights[l], net.biases[l]))
        ):
            raise InputError(f"layer {l + 1} is not one that was joined")
        weights, biases = _layers(net)
        W, b, C, a = self.join.old
        return _rebuild(net, [*weights[:l], W, C, *weights[l + 1 :]], [*biases[:l], b, a, *biases[l + 1 :]])

    def inverse(self) -> Join:
        """Joined again."""
        return self.join

    def __str__(self) -> str:
        return f"layer {self.join.layer}: put it in again"


def drop_neurons(
    net: ReLUNetwork, layer: int, indices: Sequence[int], *, constants: Any = None, why: str = ""
) -> Replace:
    """Drop neurons whose activation is constant on the inputs that they receive.

    Parameters
    ----------
    net : ReLUNetwork
    layer : int
    indices : sequence of int
    constants : (k,) array_like, optional
        Their constant activations (default 0: dead neurons), moved into the next bias.
    why : str

    Notes
    -----
    The caller answers for the constancy: that no input reaches another activation is a statement
    about the image of the layers before. With every neuron of the layer dropped, one neuron with
    zero weights stays, since widths are at least 1.
    """
    index = tuple(int(i) for i in indices)
    old = Neurons.of(net, layer, index)
    change = _zeros(old.outgoing.shape[0], net.is_exact)
    if constants is not None:
        change = change + old.outgoing @ _vector(constants, net.is_exact)
    width = net.architecture[layer]
    rows = 1 if len(index) == width else 0
    new = Neurons(
        _zeros((rows, old.weights.shape[1]), net.is_exact),
        _zeros(rows, net.is_exact),
        _zeros((old.outgoing.shape[0], rows), net.is_exact),
    )
    return Replace(layer, index, old, tuple(range(rows)), new, change, why=why or "drop neurons")


def merge_neurons(
    net: ReLUNetwork, layer: int, indices: Sequence[int], *, ratios: Any = None, why: str = ""
) -> Replace:
    """Merge neurons whose rows are positive multiples of the first one's.

    Parameters
    ----------
    ratios : (k,) array_like, optional
        Row ``i`` is ``ratios[i]`` times row 0; measured at its largest entry when left out.

    Raises
    ------
    InputError
        The rows are not positive multiples of each other (each entry within 1e-9; exactly for rationals).
    """
    index = tuple(int(i) for i in indices)
    old = Neurons.of(net, layer, index)
    rows = np.concatenate([old.weights, old.biases[:, None]], axis=1)
    if ratios is None:
        at = max(range(rows.shape[1]), key=lambda j: abs(rows[0, j]))
        if rows[0, at] == 0:
            raise InputError(f"neuron {index[0]} of layer {layer} has zero weights; drop it instead of merging")
        ratios = rows[:, at] / rows[0, at]
    r = _vector(ratios, net.is_exact)
    multiples = r[:, None] * rows[0][None, :]
    slack = 0 if net.is_exact else 1e-9
    if not (r > 0).all() or not (abs(rows - multiples) <= slack * abs(rows)).all():
        raise InputError(f"rows {index} of layer {layer} are not positive multiples of each other")
    together = old.outgoing @ r
    if not net.is_exact:  # what rounding leaves of terms that cancel reads nothing
        together = np.where(abs(together) <= gamma(len(r) + 4) * (abs(old.outgoing) @ r), 0.0, together)
    new = Neurons(old.weights[:1], old.biases[:1], together[:, None])
    position = (index[0] - sum(1 for i in index[1:] if i < index[0]),)
    change = _zeros(old.outgoing.shape[0], net.is_exact)
    return Replace(layer, index, old, position, new, change, why=why or "merge neurons")


def refactor_linear(
    net: ReLUNetwork,
    layer: int,
    indices: Sequence[int],
    *,
    weights: Any,
    biases: Any,
    outgoing: Any,
    why: str = "",
) -> Replace:
    """Exchange neurons that act linearly for others with the same linear part.

    ``C W`` must be equal before and after; the constants go into the next bias. The function stays
    on every input on which all old and all new neurons are active (on the orthant: rows >= 0).

    Raises
    ------
    InputError
        ``C W`` differs by more than a relative 1e-9 (or at all, for rationals).
    """
    index = tuple(int(i) for i in indices)
    old = Neurons.of(net, layer, index)
    dtype = object if net.is_exact else np.float64
    new = Neurons(
        _cast(np.asarray(weights), dtype), _cast(np.asarray(biases), dtype), _cast(np.asarray(outgoing), dtype)
    )
    before, after = _product(old, net.is_exact), _product(new, net.is_exact)
    size = max(_largest(before), _largest(np.abs(new.outgoing) @ np.abs(new.weights)) if len(new) else 0)
    if before.shape != after.shape or not _close(before, after, scale=size):
        raise InputError(f"neurons {index} of layer {layer}: the new factors have another product")
    change = _zeros(old.outgoing.shape[0], net.is_exact)
    if len(index):
        change = change + old.outgoing @ old.biases
    if len(new):
        change = change - new.outgoing @ new.biases
    width = net.architecture[layer] - len(index)
    if width + len(new) == 0:
        new = Neurons(
            _zeros((1, old.weights.shape[1]), net.is_exact),
            _zeros(1, net.is_exact),
            _zeros((old.outgoing.shape[0], 1), net.is_exact),
        )
    places = tuple(range(width, width + len(new)))
    return Replace(layer, index, old, places, new, change, why=why or "refactor linear neurons")


@dataclass(frozen=True)
class Composition(Move):
    """Moves one after the other.

    Examples
    --------
    >>> from polyfiber.network.moves import Permute, Rescale
    >>> print(Permute(1, (1, 0)).then(Rescale(1, (2.0, 1.0))))
    permute layer 1 by (1, 0); rescale layer 1 by (2, 1)
    """

    __repr__ = one_line

    moves: tuple[Move, ...] = ()

    def apply(self, net: ReLUNetwork) -> ReLUNetwork:
        """Every move in order."""
        for move in self.moves:
            net = move.apply(net)
        return net

    def inverse(self) -> Composition:
        """The inverses in opposite order."""
        return Composition(tuple(move.inverse() for move in reversed(self.moves)))

    def __len__(self) -> int:
        return len(self.moves)

    def in_words(self, architecture: Sequence[int], without: Sequence[tuple[int, int]] = ()) -> tuple[str, ...]:
        """Each move as text; neurons have the numbers of a network of this architecture, from which the moves start.

        ``without``: neurons (layer, position) that were taken out before.

        Examples
        --------
        >>> import polyfiber as pf
        >>> net = pf.ReLUNetwork([[[1.0], [2.0], [0.0], [4.0]], [[1.0, 1.0, 1.0, 1.0]]], [[0.0, 1.0, -1.0, 2.0], [0.0]])
        >>> first = drop_neurons(net, 1, [2], why="drop dead neurons")
        >>> second = drop_neurons(first(net), 1, [2], constants=[0.0], why="drop what was neuron 3")
        >>> first.then(second).in_words(net.architecture)
        ('drop dead neurons: neuron 2 of layer 1', 'drop what was neuron 3: neuron 3 of layer 1')
        """
        rows = [[(l, i) for i in range(w)] for l, w in enumerate(architecture[1:-1], start=1)]
        labels: list[list[Any]] = [[name for name in row if name not in without] for row in rows]
        said = []
        for number, move in enumerate(self.moves, start=1):
            if isinstance(move, Replace):
                row, gone, made = labels[move.layer - 1], set(move.positions), set(move.new_positions)
                verb = "becomes" if len(move.positions) == 1 else "become"
                by = f" {verb} {words.count(len(made), 'neuron')}" if made else ""
                said.append(f"{move.why}: {_named([row[i] for i in move.positions])}{by}")
                rest = iter([name for i, name in enumerate(row) if i not in gone])
                size = len(row) - len(gone) + len(made)
                labels[move.layer - 1] = [number if i in made else next(rest) for i in range(size)]
            elif isinstance(move, Join):
                layers = [name[0] for name in labels.pop(move.layer - 1) if isinstance(name, tuple)]
                said.append(f"layer {layers[0] if layers else move.layer}: {move.why}")
            else:
                said.append(str(move))
        return tuple(said)

    def __str__(self) -> str:
        return "; ".join(map(str, self.moves)) if self.moves else "nothing"


def _named(labels: list[Any]) -> str:
    """Neurons of the first network, (layer, position), and what moves have made, by the number of the move."""
    parts = []
    for layer in sorted({name[0] for name in labels if isinstance(name, tuple)}):
        parts.append(words.neurons(layer, [name[1] for name in labels if isinstance(name, tuple) and name[0] == layer]))
    for move in sorted({name for name in labels if not isinstance(name, tuple)}):
        parts.append(f"{words.count(labels.count(move), 'neuron')} that move {move} made")
    return " and ".join(parts) or "none"


def compose(*moves: Move) -> Composition:
    """One composition of moves, flat."""
    flat: list[Move] = []
    for move in moves:
        flat.extend(move.moves if isinstance(move, Composition) else [move])
    return Composition(tuple(flat))


def random_trivial(net: ReLUNetwork, *, rng: Any = None, spread: float = 1.0) -> Composition:
    """A random permutation and scaling of every hidden layer; factors ``exp(spread * N(0, 1))``.

    Rational networks get powers of two, so that the result stays exact and short.
    """
    generator = generator_of(rng)
    moves: list[Move] = []
    for layer, width in enumerate(net.hidden_widths, start=1):
        moves.append(Permute(layer, tuple(int(i) for i in generator.permutation(width))))
        exponents = spread * generator.standard_normal(width)
        if net.is_exact:
            moves.append(Rescale(layer, tuple(Fraction(2) ** round(e) for e in exponents)))
        else:
            moves.append(Rescale(layer, tuple(float(v) for v in np.exp(exponents))))
    return compose(*moves)


def shuffled(net: ReLUNetwork, *, rng: Any = None, spread: float = 1.0) -> ReLUNetwork:
    """``random_trivial(net, rng=rng, spread=spread)(net)``, bit by bit, without making the moves; for very many
    networks.

    Examples
    --------
    >>> from polyfiber import ReLUNetwork
    >>> from polyfiber.network.moves import random_trivial, shuffled
    >>> net = ReLUNetwork.random((3, 4, 4, 1), rng=0)
    >>> shuffled(net, rng=5) == random_trivial(net, rng=5)(net)
    True
    """
    generator = generator_of(rng)
    if net.is_exact:
        return random_trivial(net, rng=generator, spread=spread)(net)
    weights, biases = _layers(net)
    for l, width in enumerate(net.hidden_widths):
        order = generator.permutation(width)
        factors = np.exp(spread * generator.standard_normal(width))
        weights[l], biases[l] = weights[l][order] * factors[:, None], biases[l][order] * factors
        weights[l + 1] = weights[l + 1][:, order] / factors
    return _rebuild(net, weights, biases)


# ---- small helpers on float and rational arrays ---------------------------------------------------
def _plain(value: Any) -> Any:
    if isinstance(value, Fraction):
        return value
    if isinstance(value, int | np.integer):
        return Fraction(int(value))
    return float(value)


def _vector(values: Any, exact: bool) -> Array:
    return _cast(np.asarray(values, dtype=object if exact else np.float64), object if exact else np.float64)


def _cast(array: Array, dtype: Any) -> Array:
    if dtype is not object:
        return np.asarray(array).astype(np.float64)
    return as_fractions(array)


def _zeros(shape: Any, exact: bool) -> Array:
    return np.full(shape, Fraction(0), dtype=object) if exact else np.zeros(shape)


def _product(neurons: Neurons, exact: bool) -> Array:
    if len(neurons):
        return np.asarray(neurons.outgoing @ neurons.weights)
    return _zeros((neurons.outgoing.shape[0], neurons.weights.shape[1]), exact)


def _largest(array: Array) -> float:
    return float(np.abs(array).max()) if array.size else 0.0


def _close(a: Array, b: Array, *, scale: float | None = None) -> bool:
    """Equal: exactly for two rational arrays, else within 1e-9 of the largest entry."""
    if a.dtype == object and b.dtype == object:
        return bool(np.array_equal(a, b))
    size = max(_largest(a), _largest(b)) if scale is None else scale
    return a.shape == b.shape and (a.size == 0 or _largest(a - b) <= 1e-9 * size)
