"""The tree of a branch and bound: what was halved where, as evidence that can be kept and checked.

A node halves an input in the middle, or takes the sign of a neuron of one network (off below, on above), or divides the
statements that are to be proved. Whatever a tree says, its leaves cover everything: to prove each of them is to prove
the whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .._typing import Array, FloatArray
from .._values.read_only import closed
from ..errors import FileFormatError

OPEN, PROVED, OUTSIDE = -1, -2, -3
"""Marks of leaves."""
SIGNS = -4
"""In older files a leaf that was proved by signs of neurons, without saying which."""


@closed
@dataclass(frozen=True, eq=False)
class Tree:
    """A box halved again and again.

    Of n0 inputs and N hidden neurons in each network, a split k < n0 halves input k; ``n0 + i`` takes the sign of the
    pre-activation of neuron i of f, ``n0 + N + i`` of g; ``n0 + 2 N`` leaves the first half of the statements to the
    first child.

    Attributes
    ----------
    lo, hi : (n0,) arrays
    split : (nodes,) int array
        What a node halves, or the mark of a leaf.
    child : (nodes,) int array
        Its lower half; the upper half follows.
    neurons : int
        N, or 0 where only inputs are halved.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.bounds.tree import Tree
    >>> tree = Tree(np.zeros(2), np.ones(2), np.array([1, -2, -2]), np.array([1, 0, 0]))
    >>> [(lo.tolist(), hi.tolist()) for lo, hi, _ in tree.leaves()]
    [([0.0, 0.0], [1.0, 0.5]), ([0.0, 0.5], [1.0, 1.0])]
    >>> len(tree.packed())
    3
    """

    lo: FloatArray
    hi: FloatArray
    split: Array
    child: Array
    neurons: int = 0

    @property
    def n_leaves(self) -> int:
        """Boxes that are not halved."""
        return int((self.split < 0).sum())

    def leaves(self) -> Iterator[tuple[FloatArray, FloatArray, int]]:
        """Ends of every leaf and its mark, in depth-first order."""
        stack = [(0, self.lo.copy(), self.hi.copy())]
        while stack:
            node, lo, hi = stack.pop()
            k = int(self.split[node])
            if k < 0:
                yield lo, hi, k
                continue
            child = int(self.child[node])
            if k >= len(self.lo):
                stack += [(child + 1, lo, hi), (child, lo, hi)]
                continue
            middle = 0.5 * lo[k] + 0.5 * hi[k]
            left, right = hi.copy(), lo.copy()
            left[k] = right[k] = middle
            stack.append((child + 1, right, hi))
            stack.append((child, lo, left))

    def packed(self) -> Array:
        """Splits and marks in depth-first order: int8 up to 124 inputs and signs, int16 or int32 beyond."""
        names = len(self.lo) + 2 * self.neurons
        order = np.empty(len(self.split), dtype=np.int8 if names <= 124 else np.int16 if names < 1 << 15 else np.int32)
        stack, count = [0], 0
        while stack:
            node = stack.pop()
            order[count] = self.split[node]
            count += 1
            if self.split[node] >= 0:
                stack += [int(self.child[node]) + 1, int(self.child[node])]
        return order[:count]

    @classmethod
    def unpacked(cls, lo: FloatArray, hi: FloatArray, codes: Array, neurons: int = 0) -> Tree:
        """The tree of packed codes.

        Raises
        ------
        FileFormatError
            The codes are not those of a tree.
        """
        codes = np.asarray(codes).astype(np.int32)
        child = np.zeros(len(codes), dtype=np.int32)
        split = np.full(len(codes), OPEN, dtype=np.int32)
        names = len(lo) + (2 * neurons + 1 if neurons else 0)
        stack, made = [0], 1
        for k in codes.tolist():
            if not stack or not SIGNS <= k < names or made > len(codes):
                raise FileFormatError("these codes are not those of a tree of boxes")
            node = stack.pop()
            split[node] = k if k != SIGNS else PROVED
            if k >= 0:
                if made + 2 > len(codes):
                    raise FileFormatError("these codes are not those of a tree of boxes: it has no end")
                child[node] = made
                stack += [made + 1, made]
                made += 2
        if stack or made != len(codes):
            raise FileFormatError("these codes are not those of a tree of boxes: it has no end")
        return cls(np.asarray(lo, dtype=np.float64), np.asarray(hi, dtype=np.float64), split, child, neurons)


class Growth:
    """A tree in the making, begun with a node for each of some statements.

    Parameters
    ----------
    inputs, neurons, statements : int

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.bounds.tree import Growth
    >>> growth = Growth(1, 4, 2)
    >>> _ = growth.halved(growth.places[1], 0)
    >>> growth.proved(np.zeros(1), np.ones(1)).packed().tolist()
    [9, -2, 0, -2, -2]
    """

    def __init__(self, inputs: int, neurons: int, statements: int) -> None:
        self.split, self.child = [OPEN], [0]
        self.neurons = neurons
        self.places = [0] * statements
        work = [(0, 0, statements)]
        while work:
            place, first, last = work.pop()
            self.places[first:last] = [place] * (last - first)
            if last - first > 1:
                child, middle = self.halved(place, inputs + 2 * neurons), (first + last) // 2
                work += [(child + 1, middle, last), (child, first, middle)]

    def halved(self, place: int, k: int) -> int:
        """Split a leaf; its first child, which the second follows."""
        child = len(self.split)
        self.split[place], self.child[place] = k, child
        self.split += [OPEN, OPEN]
        self.child += [0, 0]
        return child

    def proved(self, lo: FloatArray, hi: FloatArray) -> Tree:
        """The tree on a box, once every leaf is proved."""
        split = np.array(self.split, dtype=np.int32)
        split[split == OPEN] = PROVED
        return Tree(lo, hi, split, np.array(self.child, dtype=np.int32), self.neurons)
