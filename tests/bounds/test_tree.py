"""Trees of halved boxes: leaves tile the box, codes go back and forth, others are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from polyfiber.bounds.tree import OPEN, OUTSIDE, PROVED, SIGNS, Growth, Tree
from polyfiber.errors import FileFormatError


def random_tree(seed: int, n: int = 3, halvings: int = 8) -> Tree:
    """A box halved so often, children after their parents in the order in which they are made."""
    rng = np.random.default_rng(seed)
    split, child, leaves = [OPEN], [0], [0]
    for _ in range(halvings):
        node = leaves.pop(int(rng.integers(len(leaves))))
        split[node], child[node] = int(rng.integers(n)), len(split)
        leaves += [len(split), len(split) + 1]
        split += [OPEN, OPEN]
        child += [0, 0]
    for leaf in leaves:
        split[leaf] = int(rng.choice([OPEN, PROVED, OUTSIDE]))
    return Tree(np.zeros(n), np.array([2.0**k for k in range(n)]), np.array(split), np.array(child))


@pytest.mark.parametrize("seed", range(4))
def test_leaves_tile_the_box(seed: int) -> None:
    tree = random_tree(seed)
    leaves = list(tree.leaves())
    assert len(leaves) == tree.n_leaves == 9
    assert sum(float(np.prod(hi - lo)) for lo, hi, _ in leaves) == float(np.prod(tree.hi - tree.lo))
    X = np.random.default_rng(seed).random((100, 3)) * tree.hi
    inside = sum(((lo < X) & (hi > X)).all(axis=1).astype(int) for lo, hi, _ in leaves)
    assert np.all(inside == 1)


@pytest.mark.parametrize("seed", range(4))
def test_codes_go_back_and_forth(seed: int) -> None:
    tree = random_tree(seed)
    codes = tree.packed()
    assert codes.dtype == np.int8
    again = Tree.unpacked(tree.lo, tree.hi, codes)
    assert again.packed().tolist() == codes.tolist()
    for (lo, hi, mark), (low, high, other) in zip(tree.leaves(), again.leaves(), strict=True):
        assert lo.tolist() == low.tolist()
        assert hi.tolist() == high.tolist()
        assert mark == other


def test_many_inputs_take_wider_codes() -> None:
    n = 200
    tree = Tree(np.zeros(n), np.ones(n), np.array([n - 1, PROVED, OPEN]), np.array([1, 0, 0]))
    assert tree.packed().tolist() == [n - 1, PROVED, OPEN]
    assert Tree.unpacked(tree.lo, tree.hi, tree.packed()).n_leaves == 2


@pytest.mark.parametrize(("inputs", "neurons", "size"), [(2, 6, 1), (20, 192, 2), (30_000, 5000, 4)])
def test_signs_and_statements_are_kept(inputs: int, neurons: int, size: int) -> None:
    rng = np.random.default_rng(inputs)
    growth = Growth(inputs, neurons, 3)
    assert len(set(growth.places)) == 3
    leaves = list(growth.places)
    for _ in range(30):
        child = growth.halved(leaves.pop(int(rng.integers(len(leaves)))), int(rng.integers(inputs + 2 * neurons)))
        leaves += [child, child + 1]
    tree = growth.proved(np.zeros(inputs), np.ones(inputs))
    assert tree.n_leaves == 33
    codes = tree.packed()
    assert codes.dtype.itemsize == size
    again = Tree.unpacked(tree.lo, tree.hi, codes, neurons)
    assert again.packed().tolist() == codes.tolist()
    assert [lo.tolist() for lo, _, _ in again.leaves()] == [lo.tolist() for lo, _, _ in tree.leaves()]
    with pytest.raises(FileFormatError, match="not those of a tree"):
        Tree.unpacked(tree.lo, tree.hi, np.where(codes == codes.max(), inputs + 2 * neurons + 1, codes), neurons)


def test_leaves_of_older_files_are_claims() -> None:
    assert Tree.unpacked(np.zeros(2), np.ones(2), np.array([SIGNS]), 3).packed().tolist() == [PROVED]


def test_halves_of_huge_boxes_do_not_overflow() -> None:
    top = np.finfo(float).max
    tree = Tree(np.array([-top]), np.array([top]), np.array([0, PROVED, PROVED]), np.array([1, 0, 0]))
    assert [(lo[0], hi[0]) for lo, hi, _ in tree.leaves()] == [(-top, 0.0), (0.0, top)]


@pytest.mark.parametrize(
    "codes", [[], [0], [0, -2], [0, -2, -2, -2], [-2, -2], [3, -2, -2], [-5], [0, 0, -2, -2], [0] * 9]
)
def test_codes_of_no_tree(codes: Any) -> None:
    with pytest.raises(FileFormatError, match="not those of a tree"):
        Tree.unpacked(np.zeros(3), np.ones(3), np.array(codes, dtype=np.int8))
