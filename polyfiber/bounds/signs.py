"""Splits on the signs of neurons of both networks, by what each is measured to gain; bounds by multipliers.

A node is a box with signs that are taken: bounds of neurons begin with those of its parent, meet the taken sign, and
are followed forward once more (`kernels.bounds.zonotopes`); then choices and multipliers are improved for its one
functional (`multipliers`). Many nodes at once. Where every sign is known and more steps do not prove a node, an input
is halved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .._typing import Array, FloatArray
from ..budget import Monitor
from ..kernels.bounds import zonotopes
from ..numerics.search import BestFirst
from .goals import Alternative
from .multipliers import Layers, Rows, met, tightened
from .programs import SignSplit
from .split import POOL_MEMORY, BoxSearch
from .tree import Growth

BATCH = 48
"""Nodes that are split at once."""
STEPS, ROOT, LAST = 40, 100, 300
"""Steps of improving a node, the whole box, and a node without a neuron that may switch."""
TRIED = 4
"""Nodes of a batch whose suggested input is tried."""
CANDIDATES = 3
"""Neurons whose halves are measured before one is split."""


@dataclass
class Node:
    """A box, taken signs of live neurons, bounds of all neurons, and what was chosen for the bound."""

    bound: float
    group: int
    lo: FloatArray
    hi: FloatArray
    box: FloatArray
    taken: Array
    free: FloatArray
    gain: FloatArray
    slope: FloatArray
    corner: FloatArray
    place: int = 0

    def alone(self) -> Node:
        """With arrays of its own: rows of many nodes at once would keep all of these in memory."""
        parts = self.lo, self.hi, self.box, self.taken, self.free, self.gain, self.slope, self.corner
        lo, hi, box, taken, free, gain, slope, corner = (part.copy() for part in parts)
        return Node(self.bound, self.group, lo, hi, box, taken, free, gain, slope, corner, self.place)

    @property
    def nbytes(self) -> int:
        """Of its arrays."""
        parts = self.lo, self.hi, self.box, self.taken, self.free, self.gain, self.slope, self.corner
        return sum(part.nbytes for part in parts)


class Nodes:
    """Several nodes as arrays."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.group, self.place = (np.array([getattr(n, name) for n in nodes]) for name in ("group", "place"))
        self.lo, self.hi = np.stack([n.lo for n in nodes]), np.stack([n.hi for n in nodes])
        self.box = np.stack([n.box for n in nodes])
        self.taken = np.stack([n.taken for n in nodes], axis=1)
        self.free = np.stack([n.free for n in nodes], axis=1)
        self.most = np.array([n.bound for n in nodes])

    def of(self, keep: Array) -> None:
        """Leave out all but some."""
        self.group, self.place, self.lo, self.hi, self.box, self.most = (
            part[keep] for part in (self.group, self.place, self.lo, self.hi, self.box, self.most)
        )
        self.taken, self.free = self.taken[:, keep], self.free[:, keep]


class SignSearch:
    """Branch and bound on signs and inputs, for groups of one alternative each, on a whole box.

    Parameters
    ----------
    search : BoxSearch
        The question; its compiled arrays are used.
    box : (6, N) array
        Bounds of all neurons on the whole box, finite.
    """

    def __init__(self, search: BoxSearch, box: FloatArray) -> None:
        self.search = search
        lo, hi = search.lo, search.hi
        rough = Layers(search.sides, lo, hi, box)
        self.root = tightened(rough, box, STEPS // 2)
        self.layers = Layers(search.sides, lo, hi, self.root)
        m = len(search.sides[0].biases[-1])
        alternatives: list[Alternative] = [group[0] for group in search.groups]
        self.P, self.Q = (np.zeros((len(alternatives), m)) for _ in range(2))
        self.constant = np.zeros(len(alternatives))
        for k, (terms, constant, limit) in enumerate(alternatives):
            for c, v in terms.items():
                (self.P if c < m else self.Q)[k, c % m] += v
            self.constant[k] = constant - limit
        self.count = 0
        self.growth = Growth(len(lo), box.shape[1], len(alternatives))

    def lowered(self, nodes: Nodes, steps: int) -> list[Node]:
        """Bounds of nodes after so many steps; in the nodes that are returned."""
        g = nodes.group
        rows = Rows(self.layers.depth - 1, self.P[g], self.Q[g], self.constant[g])
        box = nodes.box[:, :, self.layers.live]
        found = self.layers.lowered(rows, (nodes.lo, nodes.hi), box, nodes.free, nodes.taken, steps)
        bound = np.minimum(found.bound, nodes.most)
        return [
            Node(
                float(bound[r]), int(g[r]), nodes.lo[r], nodes.hi[r], nodes.box[r], nodes.taken[:, r], found.free[:, r],
                found.gain[:, r], found.slope[r], found.corner[r], int(nodes.place[r]),
            )
            for r in range(len(g))
        ]  # fmt: skip

    def forward(self, nodes: Nodes) -> Array:
        """Follow the bounds of neurons forward, in place; which nodes hold an input still."""
        s = self.search
        empty = met(nodes.box)
        for r in np.flatnonzero(~empty):
            zonotopes.forward(s.pair, nodes.lo[r], nodes.hi[r], nodes.box[r], s.forms, s.unit)
        return np.asarray(~(empty | (nodes.box[:, 0::2] > nodes.box[:, 1::2]).any(axis=(1, 2))))

    # ---- splitting -------------------------------------------------------------------------------
    def candidates(self, node: Node) -> list[int]:
        """Splits to be measured: the sign of a of live neuron i is n0 + i, of b n0 + n + i.

        Where no neuron may switch, input j is j.
        """
        n0, n = len(node.lo), self.layers.n
        if n and node.gain.max() >= 0.0:
            top, other = node.gain.max(axis=0), node.gain.argmax(axis=0)
            return [n0 + int(other[i]) * n + i for i in np.argsort(-top)[:CANDIDATES].tolist() if top[i] >= 0.0]
        middle = 0.5 * node.lo + 0.5 * node.hi
        reach = np.where((node.lo < middle) & (middle < node.hi), np.abs(node.slope) * (node.hi - node.lo), -1.0)
        j = int(np.argmax(reach))
        return [j] if reach[j] >= 0.0 else []

    def half(self, node: Node, k: int, upper: bool) -> Node:
        """One half of a node."""
        n0, n = len(node.lo), self.layers.n
        lo, hi, box, taken = node.lo, node.hi, node.box.copy(), node.taken
        if k < n0:
            lo, hi = lo.copy(), hi.copy()
            (lo if upper else hi)[k] = 0.5 * node.lo[k] + 0.5 * node.hi[k]
        else:
            which, i = divmod(k - n0, n)
            taken = taken.copy()
            taken[which, i] = 1 if upper else -1
            at = int(self.layers.live[i])
            if upper:
                box[2 * which, at] = max(box[2 * which, at], 0.0)
            else:
                box[2 * which + 1, at] = min(box[2 * which + 1, at], 0.0)
        return Node(
            node.bound, node.group, lo, hi, box, taken, node.free, node.gain, node.slope, node.corner, node.place
        )

    def bounded(self, nodes: Sequence[Node]) -> list[Node]:
        """Nodes followed forward and improved; without those that hold no input."""
        every = Nodes(nodes)
        alive = self.forward(every)
        every.of(alive)
        return self.lowered(every, STEPS) if alive.any() else []

    def start(self) -> list[Node]:
        """The whole box, for each group."""
        layers, lo, hi = self.layers, self.search.lo, self.search.hi
        lines = layers.lines(self.root[None, :, layers.live])
        free, none = layers.start(lines)[:, 0], np.zeros((2, layers.n), dtype=np.int8)
        groups = range(len(self.constant))
        first = [
            Node(np.inf, g, lo, hi, self.root, none, free, free[:2], lo, lo, self.growth.places[g]) for g in groups
        ]
        return self.lowered(Nodes(first), ROOT)

    def halves(self, nodes: Sequence[Node]) -> list[Node]:
        """The halves with the lowest bounds of each node, measured before anything is improved; without proved ones."""
        tried = [(t, k) for t, node in enumerate(nodes) for k in self.candidates(node)]
        every = Nodes([self.half(nodes[t], k, upper) for t, k in tried for upper in (False, True)])
        bound = np.full(len(every.group), -np.inf)
        alive = np.flatnonzero(self.forward(every))
        every.of(alive)
        made: dict[int, Node] = {}
        if len(alive):
            for r, node in zip(alive.tolist(), self.lowered(every, 0)):
                bound[r], made[r] = node.bound, node
        best: dict[int, tuple[tuple[float, float], int]] = {}
        for j, (t, _) in enumerate(tried):
            low, high = sorted(max(float(bound[2 * j + side]), 0.0) for side in (0, 1))
            if t not in best or (low + high, high) < best[t][0]:
                best[t] = (low + high, high), j
        self.count += 2 * len(tried)
        for t, (_, j) in best.items():
            place = self.growth.halved(nodes[t].place, self._name(tried[j][1]))
            for side in (0, 1):
                if 2 * j + side in made:
                    made[2 * j + side].place = place + side
        kept = [2 * j + side for _, j in best.values() for side in (0, 1)]
        return [made[r] for r in kept if bound[r] > 0.0]

    def _name(self, k: int) -> int:
        """A candidate as trees name it."""
        n0 = len(self.search.lo)
        which, i = divmod(k - n0, max(self.layers.n, 1))
        return k if k < n0 else n0 + which * self.growth.neurons + int(self.layers.live[i])

    def run(self, monitor: Monitor, tried: Callable[[FloatArray], bool] | None = None) -> SignSplit:
        """Until every group is proved, an input violates one, or the time is used up."""
        heap = BestFirst[Node]()
        worst = -np.inf

        def kept(nodes: Sequence[Node]) -> None:
            nonlocal worst
            self.count += len(nodes)
            for node in nodes:
                if node.bound > 0.0:
                    heap.push(node.bound, node.alone())
                else:
                    worst = max(worst, node.bound)

        kept(self.start())
        most = POOL_MEMORY if monitor.budget.memory is None else monitor.budget.memory // 2
        while heap:
            batch = [heap.pop()[1] for _ in range(min(BATCH, len(heap)))]
            top = batch[0].bound
            if tried is not None and any(tried(node.corner) for node in batch[:TRIED]):
                return SignSplit("violated", top, self.count)
            stuck = [node for node in batch if not self.candidates(node)]
            used = (len(heap) + len(batch)) * batch[0].nbytes
            monitor.report("signs", self.count, None, bound=top, open=len(heap) + len(batch))
            if monitor.late or stuck or used > most:
                return SignSplit("open", top, self.count)
            fixed = [node for node in batch if node.gain.max(initial=-1.0) < 0.0]
            if fixed:  # every sign is known: a linear program, by more steps
                again = self.lowered(Nodes(fixed), LAST)
                gone = {id(a) for a, b in zip(fixed, again) if b.bound <= 0.0}
                batch = [node for node in batch if id(node) not in gone]
            better = self.halves(batch) if batch else []
            if better:
                kept(self.lowered(Nodes(better), STEPS))
        return SignSplit("proved", min(worst, 0.0), self.count, self.growth.proved(self.search.lo, self.search.hi))


__all__ = ["SignSearch"]
