"""Prove a statement about two networks again on the leaves that a search left: by another relaxation, in other code.

The search (`kernels.bounds`, `bounds.signs`) follows zonotopes forward and improves lines by gradients. Here nothing is
taken over from it but what was split: bounds come from substituting planes backwards (`substitution`), and where signs
of neurons are taken, from one linear program a leaf, certified by weak duality (`duals`); with accounts of rounding of
their own. A leaf for which that does not suffice is split further. Where a node is proved, what lies below it is. That
leaves cover the domain is seen from the tree: inputs are halved in the middle, a neuron is off or on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from ... import words
from ..._typing import FloatArray, IntArray
from ...bounds.goals import Alternative
from ...bounds.pairing import Side
from ...bounds.tree import OPEN, OUTSIDE, PROVED, Tree
from ...budget import Monitor
from .duals import Program, Sign
from .substitution import Pair, Ranges, met

INHERIT = 3
"""Levels of the tree between boxes whose bounds of neurons the boxes inside begin with."""
LARGEST = 1 << 26
"""Numbers in the rows of one program."""


class Region(NamedTuple):
    """A box on which signs are taken, bounds of the neurons of a region that holds it, the statements to be proved, and
    its part of the whole.
    """

    lo: FloatArray
    hi: FloatArray
    known: list[Ranges]
    signs: tuple[Sign, ...]
    groups: tuple[int, int]
    share: float

    def halves(self, k: int, widths: Sequence[int]) -> tuple[Region, Region] | None:
        """Both parts of a split as `Tree` names it; None where it is none."""
        n0, n, half = len(self.lo), sum(widths), 0.5 * self.share
        if k < n0:
            middle = 0.5 * self.lo[k] + 0.5 * self.hi[k]
            left, right = self.hi.copy(), self.lo.copy()
            left[k] = right[k] = middle
            return self._replace(hi=left, share=half), self._replace(lo=right, share=half)
        if k < n0 + 2 * n:
            which, i = divmod(k - n0, n)
            layer = 0
            while i >= widths[layer]:
                i, layer = i - widths[layer], layer + 1
            return self.taken(Sign(layer, i, which, False)), self.taken(Sign(layer, i, which, True))
        first, last = self.groups
        middle = (first + last) // 2
        if middle == first:
            return None
        return self._replace(groups=(first, middle), share=half), self._replace(groups=(middle, last), share=half)

    def taken(self, sign: Sign) -> Region:
        """The part where a neuron has a sign."""
        known = self.known
        if known:
            r, name = known[sign.layer], ("la", "lb") if sign.on else ("ua", "ub")
            ends = getattr(r, name[sign.which]).copy()
            ends[sign.neuron] = max(ends[sign.neuron], 0.0) if sign.on else min(ends[sign.neuron], 0.0)
            known = [*known]
            known[sign.layer] = met(r._replace(**{name[sign.which]: ends}))
        return self._replace(known=known, signs=(*self.signs, sign), share=0.5 * self.share)

    @property
    def empty(self) -> bool:
        """Whether bounds of a neuron exclude each other."""
        return any(((r.la > r.ua) | (r.lb > r.ub) | (r.ld > r.ud)).any() for r in self.known)


@dataclass
class LeafCheck:
    """What a second look came to.

    Attributes
    ----------
    complete : bool
        Every box is proved again.
    failed : str
        Why the evidence is no evidence, where it is not.
    share : float
        Of the volume; a split of signs or statements counts as half.
    boxes, halved : int
        Leaves proved, and how often one had to be split further.
    seconds : float
    """

    complete: bool = False
    failed: str = ""
    share: float = 0.0
    boxes: int = 0
    halved: int = 0
    seconds: float = 0.0


def prove_leaves(
    sides: tuple[Side, Side], groups: Sequence[Sequence[Alternative]], tree: Tree,
    rows: tuple[FloatArray, FloatArray] | None, *, monitor: Monitor, part: tuple[int, int] = (0, 1),
    known: list[Ranges] | None = None,
) -> LeafCheck:  # fmt: skip
    """Prove the groups on every leaf of a tree again, until done or the time of the monitor is used up.

    Parameters
    ----------
    sides : (Side, Side)
        From `pairing.paired`.
    groups : sequence of sequences of alternatives
    tree : Tree
    rows : (A, b), optional
        Leaves that are marked as outside must violate one of ``A x <= b`` everywhere.
    part : (i, k)
        Only the i-th of k equal parts of the leaves in their order, from 0.
    known : list of Ranges, optional
        From `common`, where several parts begin with it.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.budget import Monitor
    >>> from polyfiber.equivalence.bounds.near_equal import Question
    >>> from polyfiber.equivalence.checks.leaves import prove_leaves
    >>> a = pf.ReLUNetwork.random((2, 6, 5, 1), rng=0)
    >>> b = pf.ReLUNetwork([W * 1.001 for W in a.weights], a.biases)
    >>> q = Question.of(a, b, pf.Box(-1, 1, dimension=2), 0.01)
    >>> found = q.search().run(Monitor())
    >>> prove_leaves(q.sides, q.groups, found.tree, None, monitor=Monitor()).complete
    True
    """
    result, started = LeafCheck(), monitor.elapsed
    widths = [len(b) for b in sides[0].biases[:-1]]
    result.failed = _damage(tree, len(sides[0].weights[0][0]), sum(widths))
    if result.failed:
        return _ended(result, monitor, started)
    checker = _Checker(sides, groups, rows, bool(tree.neurons))
    if known is None:
        known = common(sides, groups, tree, rows, monitor=monitor)
    index, count = 0, _leaf_counts(tree)
    begin, end = (int(count[0]) * i // part[1] for i in (part[0], part[0] + 1))
    stack = [(0, 0, Region(tree.lo, tree.hi, known, (), (0, len(groups)), 1.0))]
    while stack and not result.failed:
        if monitor.late:
            return _ended(result, monitor, started)
        node, depth, region = stack.pop()
        k, leaves = int(tree.split[node]), int(count[node])
        if index + leaves <= begin or index >= end:
            index += leaves
            continue
        done = k == OUTSIDE
        if done and (rows is None or not _surely_outside(rows, region.lo, region.hi)):
            result.failed = "a box that is said to lie outside the domain does not"
        elif k >= 0:
            if tree.neurons or depth % INHERIT == 0:
                whole = begin <= index and index + leaves <= end
                region, done = checker.glance(region, leaves if whole else 0, monitor)
            if not done:
                halves = region.halves(k, widths)
                if halves is None:
                    result.failed = "the tree divides a single statement"
                    break
                child = int(tree.child[node])
                stack += [(child + 1, depth + 1, halves[1]), (child, depth + 1, halves[0])]
                continue
        else:
            done = checker.settle(region, result, monitor)
            if not done and monitor.late:
                return _ended(result, monitor, started)
            if not done and not result.failed:
                result.failed = "a box as small as floats allow is not proved"
        index += leaves
        result.boxes += leaves
        result.share += region.share
        monitor.report("boxes again", result.boxes, tree.n_leaves, share=round(result.share, 6), halved=result.halved)
    result.complete = not result.failed
    return _ended(result, monitor, started)


def common(
    sides: tuple[Side, Side], groups: Sequence[Sequence[Alternative]], tree: Tree,
    rows: tuple[FloatArray, FloatArray] | None, *, monitor: Monitor,
) -> list[Ranges]:  # fmt: skip
    """Bounds of all neurons on the whole box that every part of a tree with signs may begin with; none for boxes.

    Where there are more leaves than neurons that may switch, each of these is bounded by linear programs.
    """
    if not tree.neurons:
        return []
    pair = Pair(sides, groups)
    layers = pair.look(tree.lo, tree.hi, [])[2]
    for l in range(1, len(layers)):
        if sum(int(r.open.sum()) for r in layers) > tree.n_leaves or not _finite(layers):
            break
        chosen = np.flatnonzero(layers[l].open)
        program = Program(pair, (tree.lo, tree.hi), layers[:l], (), rows)
        if program.G.size > LARGEST:
            break
        ends = {name: getattr(layers[l], name).copy() for name in Ranges._fields[:6]}
        for name, forms in zip("abd", program.neurons(chosen)):
            low, high = ends["l" + name], ends["u" + name]
            for j, i in enumerate(chosen.tolist()):
                if name == "d" or low[i] < 0 < high[i]:
                    one = forms.of(np.array([j]))
                    high[i] = min(high[i], program.highest(one, monitor).bound)
                    low[i] = max(low[i], -program.highest(one._replace(M=-one.M), monitor).bound)
        layers = [*layers[:l], met(layers[l]._replace(**ends)), *layers[l + 1 :]]
        layers = pair.look(tree.lo, tree.hi, layers)[2]
    return layers


def _finite(layers: Sequence[Ranges]) -> bool:
    return all(bool(np.isfinite(np.stack(r[:6])).all()) for r in layers)


def _damage(tree: Tree, inputs: int, hidden: int) -> str:
    """Why a tree is none, or has open leaves; nothing where it is in order."""
    size, inner = len(tree.split), np.flatnonzero(tree.split >= 0)
    child = np.asarray(tree.child)[inner]
    if tree.neurons not in (0, hidden):
        return f"the tree splits signs of {words.count(tree.neurons, 'neuron')}, the networks have {hidden}"
    names = inputs + (2 * hidden + 1 if tree.neurons else 0)
    if not size or tree.split.max() >= names or not np.isin(tree.split[tree.split < 0], (OPEN, PROVED, OUTSIDE)).all():
        return "the tree has splits that are none"
    if (child <= inner).any() or np.sort(np.concatenate([[0], child, child + 1])).tolist() != list(range(size)):
        return "the tree is none: some node is reached twice, or never"
    return "the tree has boxes that are open" if (tree.split == OPEN).any() else ""


def _leaf_counts(tree: Tree) -> IntArray:
    """Leaves below every node; children follow their nodes."""
    count = (tree.split < 0).astype(np.int64)
    for node in np.flatnonzero(tree.split >= 0)[::-1].tolist():
        child = int(tree.child[node])
        count[node] = count[child] + count[child + 1]
    return count


def _ended(result: LeafCheck, monitor: Monitor, started: float) -> LeafCheck:
    result.share = min(result.share, 1.0)
    result.seconds = monitor.elapsed - started
    return result


def _surely_outside(rows: tuple[FloatArray, FloatArray], lo: FloatArray, hi: FloatArray) -> bool:
    """Whether an inequality fails on a whole box, in rationals."""
    for row, side in zip(rows[0].tolist(), rows[1].tolist()):
        least = sum(
            (
                min(Fraction(c) * Fraction(x), Fraction(c) * Fraction(y))
                for c, x, y in zip(row, lo.tolist(), hi.tolist())
            ),
            Fraction(0),
        )
        if least > Fraction(side):
            return True
    return False


class _Checker:
    """Proofs of the groups on one region after the other."""

    def __init__(
        self, sides: tuple[Side, Side], groups: Sequence[Sequence[Alternative]],
        rows: tuple[FloatArray, FloatArray] | None, signs: bool,
    ) -> None:  # fmt: skip
        self.sides, self.groups, self.rows, self.signs = sides, groups, rows, signs
        self.pairs: dict[tuple[int, int], Pair] = {}
        self.tried, self.won = np.zeros(64), np.zeros(64)

    def pair(self, groups: tuple[int, int]) -> Pair:
        """The question about some of the groups."""
        if groups not in self.pairs:
            self.pairs[groups] = Pair(self.sides, self.groups[slice(*groups)])
        return self.pairs[groups]

    def look(self, region: Region) -> tuple[Region, FloatArray, FloatArray, bool]:
        """A region with its own bounds of neurons; bounds of the groups by planes, slopes of the function that gave the
        largest, and whether it is proved.
        """
        pair = self.pair(region.groups)
        tops, slopes, known = pair.look(region.lo, region.hi, region.known)
        region = region._replace(known=known)
        tops = np.where(np.isnan(tops), np.inf, tops)
        least = np.full(pair.n_groups, np.inf)
        np.minimum.at(least, pair.group, tops)
        own = np.flatnonzero(pair.group == int(np.argmax(least)))
        return region, least, slopes[own[np.argmin(tops[own])]], bool((least <= 0).all()) or region.empty

    def glance(self, region: Region, leaves: int, monitor: Monitor) -> tuple[Region, bool]:
        """A region with its own bounds; whether it is proved, which saves so many leaves below it."""
        region, least, _, done = self.look(region)
        kind = leaves.bit_length()
        if done or not self.signs or len(least) > 1 or leaves * (self.won[kind] + 1) < self.tried[kind] + 2:
            return region, done and leaves > 0
        self.tried[kind] += 1
        program = self.program(region)
        done = program is not None and program.violation(self.pair(region.groups), 0, monitor).bound <= 0
        self.won[kind] += done
        return region, done

    def program(self, region: Region) -> Program | None:
        """Its linear program; None where that is too large, or bounds are infinite."""
        size = sum(int(r.open.sum()) for r in region.known)
        if not _finite(region.known) or 12 * size * (len(region.lo) + 2 * size) > LARGEST:
            return None
        return Program(self.pair(region.groups), (region.lo, region.hi), region.known, region.signs, self.rows)

    def settle(self, region: Region, result: LeafCheck, monitor: Monitor) -> bool:
        """Prove a region, splitting it as often as needed."""
        work = [region]
        while work:
            if monitor.late:
                return False
            region, least, slope, done = self.look(work.pop())
            program = self.program(region) if self.signs and not done else None
            if done:
                continue
            split: tuple[Region, Region] | None = None
            if program is not None:
                pair = self.pair(region.groups)
                found = [program.violation(pair, int(g), monitor) for g in np.flatnonzero(least > 0)]
                if all(one.bound <= 0 for one in found):
                    continue
                signs = program.splits(max(found, key=lambda one: one.bound))
                if signs:
                    sign = signs[0][1]
                    split = region.taken(sign._replace(on=False)), region.taken(sign)
            if monitor.late:
                return False
            if split is None:
                width = region.hi - region.lo
                middle = 0.5 * region.lo + 0.5 * region.hi
                reach = np.abs(np.nan_to_num(slope)) * width + 1e-9 * width
                reach[~((region.lo < middle) & (middle < region.hi))] = -1.0
                k = int(np.argmax(reach))
                if reach[k] < 0:
                    return False
                split = region.halves(k, ())
            assert split is not None
            result.halved += 1
            work += reversed(split)
        return True


__all__ = ["LeafCheck", "Region", "common", "prove_leaves"]
