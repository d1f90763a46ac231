"""One hidden layer on all of R^n: every parameter of a function, not only the generic ones.

Every neuron lies on a visible hyperplane, in a group whose outgoing weights cancel, or has no input weights (The
Symmetries of Three-Layer ReLU Networks, Definitions 21 and 22). Up to permuting neurons a parameter has a *type*: how
many neurons see each visible hyperplane from either side, the sizes of the two sides of each group, and the number of
constant neurons. A group of one is a neuron that lies anywhere, since its outgoing weights are 0. The fiber is the
union of one piece for each type.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from math import factorial
from typing import Any

import numpy as np

from ... import words
from ..._once import cached_property
from ..._typing import Array, RngLike
from ..._values.checked import generator_of
from ...budget import Budget, Monitor
from ...errors import BudgetExceededError, InputError
from ...network.float_or_rational import draw
from ...network.model import ReLUNetwork
from ...network.piecewise import require_chain
from ...numerics import exact
from ..hyperplanes import HyperplaneRepresentation, analyse_layer
from ..linear_neurons import two_layer_strata
from .largest import largest_dimension

Sides = tuple[int, int]
WIDEST = 10
"""Neurons up to which the size of a fiber is told unasked."""
MOST_TYPES = 512
"""Types that are looked at for that."""


@dataclass(frozen=True)
class NeuronType:
    """How the neurons of one hidden layer share the work, up to permutation.

    Attributes
    ----------
    visible : tuple of (int, int)
        For each visible hyperplane: neurons active on the side of the reference region, and on the other.
    groups : tuple of (int, int)
        For each cancelling group: neurons on its two sides, the larger number first (one input: in the order of the
        line). A group of one neuron lies anywhere: its outgoing weights are 0.
    constants : int
        Neurons without input weights.
    """

    visible: tuple[Sides, ...]
    groups: tuple[Sides, ...]
    constants: int

    @property
    def n_neurons(self) -> int:
        """Width of the layer."""
        return sum(a + b for a, b in (*self.visible, *self.groups)) + self.constants

    @property
    def n_labelled(self) -> int:
        """How many assignments of labelled neurons have this type."""
        ways = factorial(self.n_neurons) // factorial(self.constants)
        for a, b in (*self.visible, *self.groups):
            ways //= factorial(a) * factorial(b)
        for sides, times in Counter(self.groups).items():
            ways //= factorial(times) * (2**times if sides[0] == sides[1] else 1)
        return ways

    def __str__(self) -> str:
        parts = [f"hyperplane {j}: {a}+{b}" for j, (a, b) in enumerate(self.visible)]
        parts += [f"group {a}+{b}" for a, b in self.groups] + [f"{self.constants} constant"] * (self.constants > 0)
        return ", ".join(parts) or "no neurons"


@dataclass(frozen=True)
class ShallowFiber:
    """All parameters of one hidden layer that compute one function on R^n.

    Attributes
    ----------
    representation : HyperplaneRepresentation
        Rational.
    width : int
    own : NeuronType or None
        Type of the parameter that it was made from.
    complete : bool
        True: no parameter is left out.
    """

    representation: HyperplaneRepresentation
    width: int
    own: NeuronType | None = None
    complete = True

    # ---- types ------------------------------------------------------------------------------
    def types(self, *, budget: Budget | None = None) -> Iterator[NeuronType]:
        """Types of non-empty pieces, lazily; those with the fewest spare neurons in groups first.

        Raises
        ------
        BudgetExceededError
            Time ends; what was found before has been yielded.
        """
        monitor = Monitor(budget)
        n_visible = self.representation.n_hyperplanes
        ordered = self.representation.slope.shape[1] == 1
        for spent in range(self.width - n_visible, -1, -1):  # constants, and neurons that lie anywhere
            for core in self._cores(self.width - spent):
                monitor.check_time("listing the types of a fiber")
                if self.fits(core):
                    for lone in range(spent + 1):
                        for back in range(lone + 1 if ordered else 1):
                            groups = (*core.groups, *((1, 0),) * (lone - back), *((0, 1),) * back)
                            yield replace(_sorted(core.visible, groups, ordered), constants=spent - lone)

    def _cores(self, total: int) -> Iterator[NeuronType]:
        """Candidates with so many neurons, none of them constant or alone in a group."""
        N = self.representation.n_hyperplanes
        ordered = self.representation.slope.shape[1] == 1
        for sizes in _shares(total, N):
            left = total - sum(sizes)
            for groups in _groups(left, ordered):
                for visible in itertools.product(*([(a, k - a) for a in range(k, -1, -1)] for k in sizes)):
                    yield NeuronType(tuple(visible), groups, 0)

    def count(self, *, labelled: bool = False, budget: Budget | None = None) -> int:
        """Number of non-empty pieces, up to permutation or (``labelled``) of all assignments."""
        return sum(t.n_labelled if labelled else 1 for t in self.types(budget=budget))

    def type_of(self, net: ReLUNetwork) -> NeuronType:
        """Type of a parameter of this fiber; floats are taken as the rationals they store.

        Raises
        ------
        InputError
            Another architecture, or another function.
        """
        n, m = self.representation.slope.shape[::-1]
        if tuple(net.architecture) != (n, self.width, m):
            raise InputError(f"expected widths {words.widths((n, self.width, m))}, found {net!r}")
        kind = _type_of(net, self.representation)
        if kind is None:
            raise InputError("the network computes another function than this fiber")
        return kind

    # ---- one piece ----------------------------------------------------------------------------
    @cached_property
    def _parts(self) -> tuple[Array, ...]:
        rep = self.representation
        return tuple(rep.weights[j][:, None] * rep.normals[j][None, :] for j in range(rep.n_hyperplanes))

    def _need(self, kind: NeuronType) -> tuple[Array, Array, int, int]:
        """What mixed hyperplanes and groups must supply; normals of the mixed ones, their rank, and the rank beyond
        them.
        """
        need = self.representation.slope
        for j, (_, off) in enumerate(kind.visible):
            if not off:
                need = need - self._parts[j]
        mixed = [j for j, (a, b) in enumerate(kind.visible) if a and b]
        normals = self.representation.normals[mixed]
        own = exact.rank(normals) if mixed else 0
        return need, normals, own, exact.rank(np.concatenate([need, normals])) - own

    def fits(self, kind: NeuronType) -> bool:
        """Whether some parameter has this type: groups with both sides supply one rank each of what is left."""
        return self._need(kind)[3] <= _mixed(kind.groups)

    def dimension_of(self, kind: NeuronType) -> int:
        """Dimension of a piece modulo scaling; -1 when empty."""
        _, normals, own, rank = self._need(kind)
        m, n = self.representation.slope.shape
        G = _mixed(kind.groups)
        if rank > G:
            return -1
        total = kind.constants * m + m * (len(normals) - own)
        for a, b in kind.visible:
            total += (a + b - (2 if a and b else 1)) * m
        for a, b in kind.groups:
            total += (a + b - 2) * m + 1 if a and b else (a + b - 1) * m + n
        if G:
            free = n - own
            inner = m * G if free == 0 else max(d for _, _, d in two_layer_strata(free, G, m, rank))
            total += inner + G * own - G
        return total

    @cached_property
    def dimension(self) -> int:
        """Largest dimension of a piece modulo scaling; -1 if the width is too small for the function.

        By `largest_dimension`, within a minute.
        """
        return self.largest_dimension(budget=Budget(seconds=60))

    def largest_dimension(self, *, budget: Budget | None = None) -> int:
        """The dimension within a budget.

        At once where the parameter has every hyperplane from one side only and groups supply nothing, as random ones
        do; else sums of jumps are searched.

        Raises
        ------
        BudgetExceededError
            Time ends before larger pieces are excluded.
        """
        known = None if self.own is None else self._need(self.own)[2:]
        return largest_dimension(self.representation, self.width, known, Monitor(budget))

    def size_told(self, *, seconds: float = 1.0) -> str | None:
        """That other parameters compute the function, with types and dimension; None where this was not found (in so
        many seconds).

        Examples
        --------
        ``relu(x) - relu(-x)`` is x whatever the offset of its hyperplane.

        >>> import polyfiber as pf
        >>> from polyfiber.fibers.whole.assignments import shallow_fiber
        >>> shallow_fiber(pf.ReLUNetwork([[[1], [-1]], [[1, -1]]], [[0, 0], [0]])).size_told()
        'the whole fiber has 1 type of parameters, of dimension up to 1 modulo scaling'
        """
        if self.width > WIDEST:
            return None
        try:
            types = list(itertools.islice(self.types(budget=Budget(seconds=seconds)), MOST_TYPES))
            dimension = self.largest_dimension(budget=Budget(seconds=seconds))
        except BudgetExceededError:
            return None
        if dimension == 0 and len(types) < 2:
            return None
        many = f"{'at least ' * (len(types) == MOST_TYPES)}{words.count(len(types), 'type')}"
        return f"the whole fiber has {many} of parameters, of dimension up to {dimension} modulo scaling"

    def point(self, kind: NeuronType, *, rng: RngLike = 0) -> ReLUNetwork:
        """A random rational parameter of a type.

        Raises
        ------
        InputError
            No parameter has it.
        """
        if not self.fits(kind):
            raise InputError(f"no parameter has the type {kind}")
        generator = generator_of(rng)
        rep = self.representation
        m, n = rep.slope.shape
        rational = np.dtype(object)
        need, normals, own, _ = self._need(kind)
        V = draw(generator, (_mixed(kind.groups), n), rational)
        Q = draw(generator, (m, len(V)), rational)
        if len(V) and own < n:  # what is left beyond the normals of the mixed hyperplanes is a product of Q and V
            beyond = exact.nullspace(normals) if len(normals) else exact.as_fractions(np.eye(n, dtype=int))
            rest = need @ beyond
            reduced, pivots = exact.rref(rest)
            rank = len(pivots)
            Q = 0 * Q
            if rank:
                lift = exact.solve(beyond.T, reduced[:rank].T)
                answer = exact.solve(reduced[:rank].T, rest.T)
                assert lift is not None
                assert answer is not None
                V[:rank], Q[:, :rank] = lift.T, answer.T
        if n == 1:  # sides in the order of the line
            turned = V[:, 0] < 0
            V[turned], Q[:, turned] = -V[turned], -Q[:, turned]
        p = np.zeros((m, 0), dtype=object)
        if len(normals):
            solved = exact.solve(normals.T, (need - Q @ V).T)
            assert solved is not None
            p = solved.T
        rows, offsets, columns = [], [], []
        constant, at = rep.constant.copy(), 0

        def add(total: Any, count: int, u: Array, t: Any) -> None:
            """Neurons on one side that share an outgoing weight."""
            shares = draw(generator, (count, m), rational)
            shares[0] = shares[0] + total - shares.sum(axis=0)
            for c in shares:
                rows.append(u)
                offsets.append(t)
                columns.append(c)

        for j, (a, b) in enumerate(kind.visible):
            u, t, c = rep.normals[j], rep.offsets[j], rep.weights[j]
            on = c if not b else 0 * c
            if a and b:
                on, at = p[:, at], at + 1
            if a:
                add(on, a, u, t)
            if b:
                add(c - on, b, -u, -t)
            constant = constant - on * t
        at = 0
        for a, b in kind.groups:
            s = draw(generator, 1, rational)[0]
            if a and b:
                v, q, at = V[at], Q[:, at], at + 1
                add(q, a, v, s)
                add(-q, b, -v, -s)
                constant = constant - q * s
            else:
                v = draw(generator, n, rational)
                v = abs(v) if n == 1 else v
                side = 1 if a else -1
                add(0 * constant, a + b, side * v, side * s)
        for _ in range(kind.constants):
            bias, c = draw(generator, 1, rational)[0], draw(generator, m, rational)
            rows.append(np.array([Fraction(0)] * n, dtype=object))
            offsets.append(bias)
            columns.append(c)
            constant = constant - c * max(bias, Fraction(0))
        W = np.array(rows, dtype=object).reshape(len(rows), n)
        return ReLUNetwork([W, np.array(columns, dtype=object).reshape(len(rows), m).T], [offsets, constant])

    # ---- connected components -----------------------------------------------------------------
    def n_components(self, *, budget: Budget | None = None) -> tuple[int, int]:
        """Connected components of the fiber modulo permuting neurons: at least, at most (equal where it is decided).

        Notes
        -----
        A neuron whose outgoing weight vanishes moves anywhere, so a piece meets each piece that has it elsewhere; a group meets what its
        hyperplane can move onto. A piece is connected, but where its groups supply exactly the rank that is needed: then the sign of a
        determinant splits it in two (Trager, Kohn and Bruna), unless a permutation changes that sign.
        """
        import networkx as nx

        monitor = Monitor(budget)
        graph = nx.Graph()
        merges: list[tuple[Any, Any]] = []
        N = self.representation.n_hyperplanes
        cores = [c for total in range(N, self.width + 1) for c in self._cores(total) if self.fits(c)]
        known = set(cores)
        for core in cores:
            monitor.check_time("connected components of a fiber")
            graph.add_nodes_from(self._nodes(core))
            for less in _released(core, self.representation.slope.shape[1] == 1):
                if less in known:
                    graph.add_edges_from(self._paired(core, less))
            for more in self._merged(core):
                if more in known:
                    ends = list(itertools.product(self._nodes(core), self._nodes(more)))
                    if len(ends) == 1:
                        graph.add_edges_from(ends)
                    else:  # they meet, but on which side of the determinant is not known
                        merges += ends
        most = nx.number_connected_components(graph) if len(graph) else 0
        graph.add_edges_from(merges)
        return (nx.number_connected_components(graph) if len(graph) else 0), most

    def _nodes(self, core: NeuronType) -> list[tuple[NeuronType, int]]:
        n = self.representation.slope.shape[1]
        mixed = [g for g in core.groups if g[0] and g[1]]
        twice = len(set(mixed)) < len(mixed) or any(a == b for a, b in mixed)
        split = n > 1 and mixed and self._need(core)[3] == len(mixed) and not twice
        return [(core, 1), (core, -1)] if split else [(core, 0)]

    def _paired(self, a: NeuronType, b: NeuronType) -> list[tuple[Any, Any]]:
        first, second = self._nodes(a), self._nodes(b)
        if len(first) == len(second) == 2:
            return list(zip(first, second))
        return list(itertools.product(first, second))

    def _merged(self, core: NeuronType) -> Iterator[NeuronType]:
        """What a core becomes when the hyperplane of a group moves onto another one."""
        for g, (a, b) in enumerate(core.groups):
            rest = core.groups[:g] + core.groups[g + 1 :]
            both = a and b
            for j, (x, y) in enumerate(core.visible):
                need, normals, _, _ = self._need(core)
                more = np.concatenate([normals, self.representation.normals[j][None]])
                if both and exact.rank(np.concatenate([need, more])) - exact.rank(more) > _mixed(rest):
                    continue
                for s, t in {(a, b), (b, a)}:
                    yield NeuronType((*core.visible[:j], (x + s, y + t), *core.visible[j + 1 :]), rest, 0)
            for h, (x, y) in enumerate(rest):
                others = rest[:h] + rest[h + 1 :]
                if both and x and y and self._need(core)[3] > _mixed(core.groups) - 1:
                    continue
                ordered = self.representation.slope.shape[1] == 1
                for s, t in {(a, b)} if ordered else {(a, b), (b, a)}:
                    yield _sorted(core.visible, (*others, (x + s, y + t)), ordered)


def shallow_fiber(net: ReLUNetwork) -> ShallowFiber:
    """Every parameter of the architecture of a network with one hidden layer that computes its function on R^n.

    Parameters
    ----------
    net : ReLUNetwork
        One hidden layer; floats are taken as the rationals they store.

    Raises
    ------
    InputError
        Another number of hidden layers.

    Examples
    --------
    ``|x|`` with three neurons: one is spare.

    >>> import polyfiber as pf
    >>> from polyfiber.fibers.whole.assignments import shallow_fiber
    >>> fiber = shallow_fiber(pf.ReLUNetwork([[[1], [-1], [0]], [[1, 1, 0]]], [[0, 0, 0], [0]]))
    >>> print(*fiber.types(), sep=" | ")
    hyperplane 0: 1+1, 1 constant | hyperplane 0: 1+1, group 1+0 | hyperplane 0: 1+1, group 0+1 | hyperplane 0: 1+0, group 1+1 | hyperplane 0: 0+1, group 1+1 | hyperplane 0: 2+1 | hyperplane 0: 1+2
    >>> fiber.dimension, fiber.n_components()
    (1, (1, 1))
    """
    net = require_chain(net, "the whole fiber")
    if len(net.weights) != 2:
        raise InputError(f"expected one hidden layer, found {net!r}")
    own = net.exact()
    analysis = analyse_layer(own.weights[0], own.biases[0], own.weights[1], own.biases[1], domain="space")
    return ShallowFiber(analysis.representation, net.architecture[1], _type_of(own, analysis.representation))


def _type_of(net: ReLUNetwork, representation: HyperplaneRepresentation) -> NeuronType | None:
    """How the neurons of a parameter lie; None where it computes another function."""
    own = net.exact()
    W, b = own.weights[0], own.biases[0]
    found = analyse_layer(W, b, own.weights[1], own.biases[1], domain="space")
    rep = found.representation
    places = {(*u, t): j for j, (u, t) in enumerate(zip(representation.normals, representation.offsets))}
    order = [places.get((*u, t), -1) for u, t in zip(rep.normals, rep.offsets)]
    if len(order) != len(places) or -1 in order:
        return None
    pairs = (
        (rep.weights, representation.weights[order]),
        (rep.slope, representation.slope),
        (rep.constant, representation.constant),
    )
    if any((x != y).any() for x, y in pairs):
        return None
    ordered = W.shape[1] == 1
    visible, groups = [(0, 0)] * len(order), []
    for members in found.groups:
        j = found.hyperplane[members[0]]
        u = representation.normals[order[j]] if j >= 0 else W[members[0]]
        u = abs(u) if j < 0 and ordered else u
        with_it = sum(1 for i in members if W[i] @ u > 0)
        sides = with_it, len(members) - with_it
        if j >= 0:
            visible[order[j]] = sides
        else:
            groups.append(sides)
    constants = int((W == 0).all(axis=1).sum())
    return replace(_sorted(tuple(visible), tuple(groups), ordered), constants=constants)


def _mixed(groups: tuple[Sides, ...]) -> int:
    return sum(1 for a, b in groups if a and b)


def _shares(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    """Numbers of at least 1 that add up to at most ``total``."""
    if parts == 0:
        yield ()
        return
    for first in range(1, total - parts + 2):
        for rest in _shares(total - first, parts - 1):
            yield (first, *rest)


def _groups(total: int, ordered: bool, most: Sides | None = None) -> Iterator[tuple[Sides, ...]]:
    """Multisets of groups of at least two neurons with ``total`` of them; sides in order or the larger first."""
    if total == 0:
        yield ()
        return
    for size in range(total, 1, -1):
        for a in range(size, -1, -1):
            sides = (a, size - a)
            if (not ordered and a < size - a) or (most is not None and sides > most):
                continue
            for rest in _groups(total - size, ordered, sides):
                yield (sides, *rest)


def _sorted(visible: tuple[Sides, ...], groups: tuple[Sides, ...], ordered: bool) -> NeuronType:
    made = groups if ordered else tuple((max(g), min(g)) for g in groups)
    return NeuronType(visible, tuple(sorted(made, reverse=True)), 0)


def _released(core: NeuronType, ordered: bool) -> Iterator[NeuronType]:
    """The core without one neuron whose outgoing weight vanishes; a group of two dissolves."""
    for j, (a, b) in enumerate(core.visible):
        if a + b > 1:
            for sides in ((a - 1, b), (a, b - 1)):
                if min(sides) >= 0:
                    yield NeuronType((*core.visible[:j], sides, *core.visible[j + 1 :]), core.groups, 0)
    for g, (a, b) in enumerate(core.groups):
        rest = core.groups[:g] + core.groups[g + 1 :]
        if a + b == 2:
            yield NeuronType(core.visible, rest, 0)
            continue
        for sides in ((a - 1, b), (a, b - 1)):
            if min(sides) >= 0:
                yield _sorted(core.visible, (*rest, sides), ordered)
