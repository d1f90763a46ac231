"""Blocks: parts of a complex that are enumerated one by one, each in bounded memory.

A block is given by a path of decisions (neuron, sign). It is a polyhedron: each wall that the
path names is flat inside the block that the path had reached. The engine runs on it as on a whole
complex, with one side of these walls thrown away; nothing is rounded, since the walls are the network's own.

Blocks are half-open: a face on a wall of the path belongs to the block on the positive side. So the blocks of
a complete tree of paths have every face of the complex exactly once, whatever walls coincide.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ..._typing import Array, BoolArray
from ...domain import Polyhedron
from ...errors import InputError
from ...network.model import ReLUNetwork
from ...network.piecewise import PiecewiseLinearNetwork
from ...network.relu_form import relu_form
from ...numerics.exact import as_fractions

Decision = tuple[int, int]


@dataclass(frozen=True)
class Block:
    """One block: plain data, so a task that can be stored, sent and replayed.

    Attributes
    ----------
    path : tuple of (neuron, sign)
        Columns of the sign vector and 1 or -1, in the order of the decisions. The empty path is everything.
    active : tuple of tuples of int
        Where the path goes on to a later layer: for each layer before it, the neurons that are
        active in the block (every neuron of these layers has one sign inside).
    expected : float
        Expected number of vertices, nan where nobody guessed.

    Examples
    --------
    >>> from polyfiber.complexes.blocks.block import Block
    >>> whole = Block()
    >>> left, right = whole.split(3)
    >>> left.path, right.path, Block.from_dict(left.to_dict()) == left
    (((3, 1),), ((3, -1),), True)
    """

    path: tuple[Decision, ...] = ()
    active: tuple[tuple[int, ...], ...] = ()
    expected: float = float("nan")

    def __post_init__(self) -> None:
        if any(sign not in (1, -1) or neuron < 0 for neuron, sign in self.path):
            raise InputError(f"a path is made of (neuron, 1) and (neuron, -1), found {self.path}")
        if len({neuron for neuron, _ in self.path}) < len(self.path):
            raise InputError(f"a path decides a neuron once, found {self.path}")

    def __eq__(self, other: object) -> bool:
        """Equal paths; what was expected of them does not matter."""
        return isinstance(other, Block) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    @property
    def key(self) -> str:
        """The path as a short text that can be a file name; equal paths have equal keys."""
        return hashlib.sha256(repr(self.path).encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        data: dict[str, Any] = {"path": [list(step) for step in self.path]}
        if self.active:
            data["active"] = [list(layer) for layer in self.active]
        if np.isfinite(self.expected):
            data["expected"] = float(self.expected)
        return data

    @classmethod
    def from_dict(cls, data: Any) -> Block:
        """The block of `to_dict`.

        Raises
        ------
        InputError
            Data that describe no block.
        """
        try:
            path = tuple((int(neuron), int(sign)) for neuron, sign in data["path"])
            active = tuple(tuple(int(k) for k in layer) for layer in data.get("active", ()))
            expected = float(data.get("expected", "nan"))
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise InputError(f"{data!r} is no block: {error}") from None
        return cls(path, active, expected)

    def split(
        self, neuron: int, *, active: tuple[tuple[int, ...], ...] | None = None, share: float = 0.5
    ) -> tuple[Block, Block]:
        """The blocks on the positive and on the negative side of a wall.

        Parameters
        ----------
        neuron : int
            Not in the path; its wall must be flat inside the block (see ``active``).
        active : optional
            Of the children; by default as here.
        share : float
            Part of the vertices that is expected on the positive side.
        """
        active = self.active if active is None else active
        return (
            Block((*self.path, (int(neuron), 1)), active, self.expected * share),
            Block((*self.path, (int(neuron), -1)), active, self.expected * (1 - share)),
        )

    def owns(self, signs: Any) -> BoolArray:
        """Which sign vectors (…, N + D) are those of faces of this block."""
        rows = np.asarray(signs)
        own = np.ones(rows.shape[:-1], dtype=np.bool_)
        for neuron, sign in self.path:
            column = rows[..., neuron]
            own &= (column >= 0) if sign > 0 else (column < 0)
        return own

    def polyhedron(
        self, network: ReLUNetwork | PiecewiseLinearNetwork, domain: Polyhedron | None = None
    ) -> Polyhedron | None:
        """The closed block as inequalities, those of the domain first; None for all of Rⁿ.

        Exact: walls of the first layer are the rows of the network; those of later ones are
        products of its weights, in rationals.
        """
        if not self.path:
            return domain
        exact = bool(self.active) or network.is_exact or (domain is not None and domain.A.dtype == object)
        rows = [] if domain is None else [row * 1 for row in domain.affine_forms()]
        for neuron, sign in self.path:
            form = _form(network, neuron, self.active)
            rows.append(np.array([sign * value for value in form], dtype=object if exact else np.float64))
        table = np.array(rows, dtype=object if exact else np.float64)
        return Polyhedron(-table[:, :-1], table[:, -1])


def _form(network: ReLUNetwork | PiecewiseLinearNetwork, neuron: int, active: Sequence[Sequence[int]]) -> Array:
    """Affine form (n0 + 1,) of a neuron where exactly these neurons of the layers before are active."""
    layer, position = network.neuron(neuron)
    if isinstance(network, PiecewiseLinearNetwork):
        return _gate_form(network, layer, position, active)
    if layer == 1:
        return np.append(network.weights[0][position], network.biases[0][position])
    if len(active) < layer - 1:
        raise InputError(
            f"the path reaches layer {layer} but the block does not say which neurons are active before it"
        )
    row = [Fraction(w) for w in network.weights[layer - 1][position]]
    constant = Fraction(network.biases[layer - 1][position])
    offset = sum(network.hidden_widths[: layer - 1])
    for q in range(layer - 1, 0, -1):
        offset -= network.hidden_widths[q - 1]
        on = [k - offset for k in active[q - 1]]
        w, b = network.weights[q - 1], network.biases[q - 1]
        constant += sum((row[a] * Fraction(b[a]) for a in on), Fraction(0))
        row = [sum((row[a] * Fraction(w[a, c]) for a in on), Fraction(0)) for c in range(w.shape[1])]
    return np.array([*row, constant], dtype=object)


def _gate_form(network: PiecewiseLinearNetwork, block: int, position: int, active: Sequence[Sequence[int]]) -> Array:
    """The same for a gate of a network of gates."""
    form = relu_form(network)
    if block > 1 and len(active) < block - 1:
        raise InputError(f"the path reaches block {block} but the block does not say which gates are active before it")
    offsets = np.concatenate([[0], np.cumsum(form.widths)])
    on = {(q, k - int(offsets[q - 1])) for q in range(1, block) for k in active[q - 1]}
    total = as_fractions(form.bases[block - 1][position])
    waiting = {(j, i): Fraction(v) for j, i, v in form.terms(block, position)}
    while waiting:
        gate = max(waiting)
        factor = waiting.pop(gate)
        if gate in on and factor:
            total = total + factor * as_fractions(form.bases[gate[0] - 1][gate[1]])
            for j, i, v in form.terms(*gate):
                waiting[j, i] = waiting.get((j, i), Fraction(0)) + factor * Fraction(v)
    return total


def complement(done: Iterable[Block], *, network: ReLUNetwork | PiecewiseLinearNetwork) -> list[Block]:
    """The blocks that are missing for the given ones to be a whole complex.

    Parameters
    ----------
    done : blocks
        Leaves of one tree of decisions, none inside another.
    network : ReLUNetwork
        Tells the layers of neurons.

    Raises
    ------
    InputError
        The blocks overlap, or are not of one tree.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.complexes.blocks.block import Block, complement
    >>> net = pf.ReLUNetwork.random((2, 5, 1), rng=0)
    >>> [b.path for b in complement([Block(((3, 1), (0, -1)))], network=net)]
    [((3, 1), (0, 1)), ((3, -1),)]
    """
    missing: list[Block] = []
    work: list[tuple[tuple[Decision, ...], tuple[tuple[int, ...], ...], list[Block]]] = [((), (), list(done))]
    while work:
        path, active, inside = work.pop()
        depth = len(path)
        if not inside:
            missing.append(Block(path, active))
            continue
        if any(len(block.path) == depth for block in inside):
            if len(inside) > 1:
                raise InputError(f"the block of path {path} occurs twice, or others lie inside it")
            continue
        splitting = {block.path[depth][0] for block in inside}
        if len(splitting) > 1:
            raise InputError(f"after the path {path} the blocks split by different neurons: {sorted(splitting)}")
        neuron = splitting.pop()
        layer, _ = network.neuron(neuron)
        below = inside[0].active[: layer - 1]
        for sign in (-1, 1):
            child = (*path, (neuron, sign))
            work.append((child, below, [block for block in inside if block.path[depth][1] == sign]))
    return missing


__all__ = ["Block", "complement"]
