"""The tree of boxes of a branch and bound: what was halved where, as evidence that can be kept and checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .._typing import Array, FloatArray
from .._values.read_only import closed
from ..errors import FileFormatError

OPEN, PROVED, OUTSIDE, SIGNS = -1, -2, -3, -4
"""Marks of leaves; the last: proved by splitting signs of neurons."""


@closed
@dataclass(frozen=True, eq=False)
class Tree:
    """A box halved again and again.

    Attributes
    ----------
    lo, hi : (n0,) arrays
    split : (nodes,) int array
        The input that a node halves, or the mark of a leaf.
    child : (nodes,) int array
        Its lower half; the upper half follows.

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
            middle = 0.5 * lo[k] + 0.5 * hi[k]
            left, right = hi.copy(), lo.copy()
            left[k] = right[k] = middle
            child = int(self.child[node])
            stack.append((child + 1, right, hi))
            stack.append((child, lo, left))

    def packed(self) -> Array:
        """Splits and marks in depth-first order: int8 up to 124 inputs, int16 beyond."""
        order = np.empty(len(self.split), dtype=np.int16 if len(self.lo) > 124 else np.int8)
        stack, count = [0], 0
        while stack:
            node = stack.pop()
            order[count] = self.split[node]
            count += 1
            if self.split[node] >= 0:
                stack += [int(self.child[node]) + 1, int(self.child[node])]
        return order[:count]

    @classmethod
    def unpacked(cls, lo: FloatArray, hi: FloatArray, codes: Array) -> Tree:
        """The tree of packed codes.

        Raises
        ------
        FileFormatError
            The codes are not those of a tree.
        """
        codes = np.asarray(codes).astype(np.int32)
        child = np.zeros(len(codes), dtype=np.int32)
        split = np.full(len(codes), OPEN, dtype=np.int32)
        stack, made = [0], 1
        for k in codes.tolist():
            if not stack or not -5 < k < len(lo) or made > len(codes):
                raise FileFormatError("these codes are not those of a tree of boxes")
            node = stack.pop()
            split[node] = k
            if k >= 0:
                if made + 2 > len(codes):
                    raise FileFormatError("these codes are not those of a tree of boxes: it has no end")
                child[node] = made
                stack += [made + 1, made]
                made += 2
        if stack or made != len(codes):
            raise FileFormatError("these codes are not those of a tree of boxes: it has no end")
        return cls(np.asarray(lo, dtype=np.float64), np.asarray(hi, dtype=np.float64), split, child)
