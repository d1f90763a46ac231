"""Directions in parameter space that keep the function to first order, by name.

All of them change two consecutive layers at most, on the image of the layers before. They are found modulo a prime from
the patterns of the regions: a feature is affine on each of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..._typing import BoolArray, IntArray
from ..._values.read_only import closed
from ...budget import Monitor
from ...errors import old_name
from ...numerics import exact, modular
from .activity import Activity

KINDS = ("scaling", "dead", "unused", "linear", "translation", "relation", "rotation", "exchange")
"""Names of directions, in the order in which they are counted.

scaling: a row times a number, its column divided by it. dead: all of a neuron that is never active on the image.
unused: the weight of a feature that is never active where the neuron is. linear: a neuron that is active on the whole
image takes on another one's row or a larger bias. translation: the bias of a neuron whose wall no later neuron sees.
relation: a row moves by a relation among features that holds where its neuron is active. rotation: a row turns where
later neurons can make up for it. exchange: several rows of one layer change at once, for instance where a feature is
active only when two neurons with one outgoing direction both are.
"""
MOST_UNKNOWN = 1000
"""Entries of the rows of one layer up to which exchanges among all its rows are looked for."""


@closed
@dataclass(frozen=True)
class Directions:
    """Tangent directions of the fiber, with their names.

    Attributes
    ----------
    vectors : (k, P) int64
        Independent, modulo 2^31 - 1; parameters in the order W_1, b_1, W_2, ….
    kinds : tuple of (kind, layer, neuron)
        One a vector.
    """

    vectors: IntArray
    kinds: tuple[tuple[str, int, int], ...]

    @property
    def rank(self) -> int:
        """How many are independent, scalings included."""
        return len(self.kinds)

    def counts_by_kind(self) -> dict[str, int]:
        """How many independent ones each name adds to those before it in `KINDS`."""
        return {k: n for k in KINDS if (n := sum(1 for kind, _, _ in self.kinds if kind == k))}

    counts = old_name("counts_by_kind")


class _Frame:
    """Residues of the parameters and of the features on every pattern."""

    def __init__(self, activity: Activity, rng: np.random.Generator, theta: list[tuple[IntArray, IntArray]]) -> None:
        net = activity.network
        self.activity, self.rng, self.net = activity, rng, net
        self.W, self.b = [w for w, _ in theta], [b for _, b in theta]
        self.offsets = np.concatenate([[0], np.cumsum([w.size + b.size for w, b in theta])])
        n0 = net.architecture[0]
        self.features: list[IntArray] = [np.eye(n0 + 1, dtype=np.int64)[None]]
        for l in range(1, len(self.W)):
            patterns, _ = activity.prefixes[l]
            shorter, _ = activity.prefixes[l - 1]
            # which shorter pattern each pattern begins with
            table = {p.tobytes(): k for k, p in enumerate(np.packbits(shorter, axis=1))} if shorter.shape[1] else {}
            packed = np.packbits(patterns[:, : shorter.shape[1]], axis=1)
            parent = [table[p.tobytes()] for p in packed] if table else [0] * len(patterns)
            rows = np.concatenate([self.W[l - 1], self.b[l - 1][:, None]], axis=1)
            own = patterns[:, shorter.shape[1] :]
            made = np.zeros((len(patterns), rows.shape[0] + 1, n0 + 1), dtype=np.int64)
            for u in range(len(patterns)):
                made[u, :-1] = modular.product(rows, self.features[-1][parent[u]]) * own[u][:, None]
            made[:, -1, n0] = 1
            self.features.append(made)
            self.parents = [*getattr(self, "parents", [np.zeros(1, dtype=np.int64)]), np.array(parent)]

    def stacked(self, l: int, chosen: IntArray) -> IntArray:
        """Features (n_l + 1, columns) of layer l and the constant, on the chosen patterns side by side."""
        return self.features[l][chosen].transpose(1, 0, 2).reshape(self.features[l].shape[1], -1)

    def unit(self, l: int, j: int, row: IntArray) -> IntArray:
        """Parameter vector that changes row j of layer l (1, 2, …): weights, then the bias."""
        out = np.zeros(int(self.offsets[-1]), dtype=np.int64)
        self.put(out, l, j, row)
        return out

    def put(self, out: IntArray, l: int, j: int, row: IntArray) -> None:
        """Add a change of row j of layer l to a parameter vector."""
        n = self.W[l - 1].shape[1]
        start = int(self.offsets[l - 1])
        at = slice(start + j * n, start + (j + 1) * n)
        out[at] = (out[at] + row[:n]) % exact.PRIME
        bias = start + self.W[l - 1].size + j
        out[bias] = (out[bias] + row[n]) % exact.PRIME


def named_directions(
    activity: Activity, *, theta: list[tuple[IntArray, IntArray]] | None = None, monitor: Monitor | None = None
) -> Directions:
    """Directions that keep the function to first order and change at most two consecutive layers.

    Parameters
    ----------
    activity : Activity
        All regions: a relation must hold on each.
    theta : list of (W, b) residues, optional
        Another parameter with the same patterns; the network's own by default.

    Notes
    -----
    For neuron k of layer l all changes of its row are found that the rows of layer l + 1 can make up for, on the patterns where those
    are active; for each row all relations among the features where its neuron is active. Cost: an elimination of
    about n_l rows for each pair of consecutive neurons.
    """
    net = activity.network
    own = theta or [(exact.residues(W), exact.residues(b)) for W, b in zip(net.weights, net.biases)]
    frame = _Frame(activity, np.random.default_rng(1), own)
    monitor = monitor or Monitor()
    found: list[tuple[tuple[str, int, int], IntArray]] = []
    L = len(own)
    for l in range(1, L + 1):
        cells = activity.cells(l)
        for j in range(net.architecture[l]):
            monitor.check_time("relations among features")
            found += _relations(frame, l, j, np.flatnonzero(cells[j]))
        if l < L:
            roles = activity.roles(l)
            after = activity.cells(l + 1)
            for k in range(net.architecture[l]):
                monitor.check_time("rows that can turn")
                if roles[k] != "dead":
                    found += _turns(frame, l, k, roles[k] == "linear", after)
            live = [k for k, r in enumerate(roles) if r != "dead"]
            if 0 < len(live) * (frame.W[l - 1].shape[1] + 1) <= MOST_UNKNOWN:
                found += _exchanges(frame, l, live, after)
    found.sort(key=lambda item: KINDS.index(item[0][0]))
    return _independent(found, int(frame.offsets[-1]))


def _independent(found: list[tuple[tuple[str, int, int], IntArray]], size: int) -> Directions:
    if not found:
        return Directions(np.zeros((0, size), dtype=np.int64), ())
    _, pivots = modular.echelon(np.array([v for _, v in found]).T)
    return Directions(np.array([found[k][1] for k in pivots]), tuple(found[k][0] for k in pivots))


def _relations(frame: _Frame, l: int, j: int, chosen: IntArray) -> list[tuple[tuple[str, int, int], IntArray]]:
    n = frame.W[l - 1].shape[1]
    if not len(chosen):
        return [(("dead", l, j), frame.unit(l, j, row)) for row in np.eye(n + 1, dtype=np.int64)]
    active = frame.features[l - 1][chosen].any(axis=(0, 2))
    idle = np.flatnonzero(~active)
    result = []
    for k in idle:
        kind = "dead" if l > 1 and frame.activity.roles(l - 1)[k] == "dead" else "unused"
        result.append(((kind, l, j), frame.unit(l, j, np.eye(n + 1, dtype=np.int64)[k])))
    few = frame.rng.permutation(chosen)[: n + 2]
    null = modular.left_null(frame.stacked(l - 1, few)) if len(few) < len(chosen) else None
    if null is None or len(null) > len(idle):
        null = modular.left_null(modular.condensed(frame.stacked(l - 1, chosen), frame.rng))
    if len(null) > len(idle):
        result += [(("relation", l, j), frame.unit(l, j, row)) for row in null if row[active].any()]
    return result


def _moves(frame: _Frame, l: int, rows: list[int], after: BoolArray) -> tuple[IntArray, list[tuple[int, IntArray]]]:
    """Changes of some rows of layer l that rows of layer l + 1 make up for.

    Returns a basis of the changes, row after row, and for each reader i its answers to them.
    """
    n, width = frame.W[l - 1].shape[1], frame.W[l - 1].shape[0]
    weights = frame.W[l]
    patterns, _ = frame.activity.prefixes[l]
    on = patterns[:, patterns.shape[1] - width :][:, rows]
    parents = frame.parents[l]
    size = len(rows) * (n + 1)
    moves = np.eye(size, dtype=np.int64)
    answers: list[tuple[int, IntArray]] = []
    for i in np.flatnonzero(weights[:, rows].any(axis=1)):
        every = np.flatnonzero(after[i])
        if not len(every) or not len(moves):
            continue
        enough = (len(moves) + width + 8) // frame.features[0].shape[2] + 2
        rounds = [frame.rng.permutation(every)[:enough]] if enough < len(every) else []
        own = np.zeros((len(moves), width + 1), dtype=np.int64)
        for chosen in [*rounds, every]:
            columns = np.concatenate(
                [frame.stacked(l, chosen), _pushed(frame, l, rows, int(i), chosen, on, parents, moves)]
            )
            null = modular.left_null(modular.condensed(columns, frame.rng))
            keep = modular.echelon(null[:, width + 1 :].T)[1]
            chosen_moves, own = null[keep][:, width + 1 :], null[keep][:, : width + 1]
            moves = modular.product(chosen_moves, moves)
            answers = [(a, modular.product(chosen_moves, r)) for a, r in answers]
            if not len(moves):
                break
        answers.append((int(i), own))
    return moves, answers


def _pushed(
    frame: _Frame, l: int, rows: list[int], i: int, chosen: IntArray, on: BoolArray, parents: IntArray, moves: IntArray
) -> IntArray:
    """What each change of the rows does to the preactivation of neuron i of layer l + 1 on the chosen patterns."""
    before = frame.features[l - 1][parents[chosen]]  # (patterns, n + 1, n0 + 1)
    n = before.shape[1]
    total = np.zeros((len(moves), len(chosen) * before.shape[2]), dtype=np.int64)
    for at, k in enumerate(rows):
        weight = int(frame.W[l][i, k])
        block = moves[:, at * n : (at + 1) * n]
        lit = np.flatnonzero(on[chosen, at])
        if not weight or not block.any() or not len(lit):
            continue
        there = modular.product(block * weight % exact.PRIME, before[lit].transpose(1, 0, 2).reshape(n, -1))
        columns = (lit[:, None] * before.shape[2] + np.arange(before.shape[2])).ravel()
        total[:, columns] = (total[:, columns] + there) % exact.PRIME
    return total


def _vector(frame: _Frame, l: int, rows: list[int], change: IntArray, answers: list[tuple[int, IntArray]]) -> IntArray:
    out = np.zeros(int(frame.offsets[-1]), dtype=np.int64)
    n = frame.W[l - 1].shape[1] + 1
    for at, k in enumerate(rows):
        frame.put(out, l, k, change[at * n : (at + 1) * n])
    for i, row in answers:
        frame.put(out, l + 1, i, row)
    return out


def _turns(
    frame: _Frame, l: int, k: int, linear: bool, after: BoolArray
) -> list[tuple[tuple[str, int, int], IntArray]]:
    """Directions that change row k of layer l and what reads it."""
    moves, answers = _moves(frame, l, [k], after)
    row = np.concatenate([frame.W[l - 1][k], frame.b[l - 1][k : k + 1]])
    bias = np.zeros(len(row), dtype=np.int64)
    bias[-1] = 1
    result = []
    for kind, c in _in_basis(moves, [("scaling", row), ("linear" if linear else "translation", bias)]):
        own = [(i, modular.product(c[None], rows)[0]) for i, rows in answers]
        vector = _vector(frame, l, [k], modular.product(c[None], moves)[0], own)
        result.append(((kind or ("linear" if linear else "rotation"), l, k), vector))
    return result


def _exchanges(frame: _Frame, l: int, rows: list[int], after: BoolArray) -> list[tuple[tuple[str, int, int], IntArray]]:
    """Directions that change several rows of layer l at once."""
    moves, answers = _moves(frame, l, rows, after)
    n = frame.W[l - 1].shape[1] + 1
    result = []
    for at, change in enumerate(moves):
        first = rows[int(np.flatnonzero(change)[0]) // n]
        result.append((("exchange", l, first), _vector(frame, l, rows, change, [(i, r[at]) for i, r in answers])))
    return result


def _in_basis(moves: IntArray, named: list[tuple[str, IntArray]]) -> list[tuple[str, IntArray]]:
    """Coordinates in ``moves`` of a basis of their span that begins with the named vectors that lie in it."""
    count = len(moves)
    result: list[tuple[str, IntArray]] = []
    for kind, vector in named:
        null = modular.left_null(np.concatenate([moves, vector[None]]))
        hit = [r for r in null if r[count]]
        if vector.any() and hit:
            result.append((kind, -hit[0][:count] * pow(int(hit[0][count]), -1, exact.PRIME) % exact.PRIME))
    rows = [c for _, c in result]
    for unit in np.eye(count, dtype=np.int64):
        if len(rows) < count and modular.rank_of(np.array([*rows, unit])) > len(rows):
            rows.append(unit)
            result.append(("", unit))
    return result
