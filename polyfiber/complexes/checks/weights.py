"""Weights of breakpoint facets against the jump of the gradient."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import words
from ...budget import heed
from ...network.relu_form import relu_form
from ...numerics.exact import as_fractions
from ...numerics.floats import nearest, root
from ...numerics.products import exact_product
from ...numerics.rounding import LEAST, UNIT
from ..skeleton.extremes import network_parts

if TYPE_CHECKING:
    from ..complex import PolyhedralComplex
    from ..skeleton.arrays import Frame

BATCH = 1 << 12


def check_weights(cx: PolyhedralComplex, problems: list[str]) -> int:
    """Whether ``A_P - A_Q`` is the weight times the normal, for every facet between two regions; returns their number.

    The maps are made by gating weight matrices with the signs of the regions, in numpy; what rounding may change is
    bounded by the magnitudes along all paths.
    """
    d = cx.dimension
    if d == 0 or not cx.n_regions:
        return 0
    bp = cx.breakpoint_complex()
    indptr, indices = cx._store.covers_above(d - 1)
    two = np.flatnonzero(np.diff(indptr) == 2)
    signs = cx.signs(d)
    walls = bp._walls[two] - cx._frame.n_domain
    wrong = 0
    with np.errstate(all="ignore"):
        wired = cx._frame.form is not None
        weights: Any = _blocks(cx) if wired else [nearest(w) for w in cx.network.weights]
        if (
            cx._frame.hull is not None and cx._frame.n_neurons and not wired
        ):  # on a flat domain only gradients along it count
            weights[0] = nearest(cx._frame.rows[cx._frame.n_domain :, :-1])
        linear = _block_parts if wired else _linear_parts
        size, lost, terms = _sizes(weights if wired else _chain(weights))
        slack = 2.02 * terms * UNIT * size + 2 * lost[:, None] + 1e-300
        for start in range(0, len(two), BATCH):
            heed("the check of breakpoint weights")
            part = slice(start, start + BATCH)
            facets = two[part]
            first, second = indices[indptr[facets]], indices[indptr[facets] + 1]
            jump = linear(weights, signs[first]) - linear(weights, signs[second])
            jump *= np.where(signs[first, walls[part]] > 0, 1.0, -1.0)[:, None, None]
            form = bp._forms[facets, :-1]
            largest = np.abs(form).max(axis=1, keepdims=True)
            normal = form / largest
            normal /= np.linalg.norm(normal, axis=1, keepdims=True)
            said = bp._all_weights[facets][:, :, None] * normal[:, None, :]
            # entries of a normal far below its length, and their products, underflow
            under = (np.abs(bp._all_weights[facets][:, :, None]) + 1) * LEAST * 8
            sure = (np.abs(jump - said) <= slack + under + 1e-12 * np.abs(said)) & np.isfinite(slack + said)
            for i in np.flatnonzero(~sure.all(axis=(1, 2))).tolist():
                heed("the check of breakpoint weights")
                f = int(facets[i])
                sides = signs[first[i]], signs[second[i]]
                if sides[0][walls[part][i]] < 0:
                    sides = sides[1], sides[0]
                wrong += not _is_jump(cx._frame, sides, bp._forms[f, :-1], bp._all_weights[f])
    if wrong:
        problems.append(
            f"{words.count(wrong, 'weight of a facet is not the jump', 'weights of facets are not the jumps')} of the gradient there"
        )
    visible = np.flatnonzero((bp._all_weights != 0).any(axis=1))
    if not (
        np.array_equal(visible, bp.facets) and np.array_equal(bp.weights, bp._all_weights[visible], equal_nan=True)
    ):
        problems.append("the visible facets are not those with a weight")
    return len(two)


def _is_jump(frame: Frame, sides: tuple[np.ndarray, np.ndarray], form: np.ndarray, weights: np.ndarray) -> bool:
    """In rationals: whether weights have the lengths and directions of the jump, the first side being the form's
    positive one.

    Lengths beyond floats, or below the normal ones, are told from zero alone.
    """
    normal = _rational_normal(form)
    size = sum((x * x for x in normal), Fraction(0))
    for said, jump in zip(weights.tolist(), _exact_jump(frame, sides)):
        along = sum((a * b for a, b in zip(jump, normal)), Fraction(0))
        square = sum((x * x for x in jump), Fraction(0))
        if (said > 0) - (said < 0) != (along > 0) - (along < 0) or (square > 0) != (along != 0):
            return False
        # the jump lies along the normal, and its length is the weight
        if abs(along * along / size - square) > square / 10**20:
            return False
        if 1e-300 < abs(said) < np.inf and abs(Fraction(said) ** 2 - square) > square / 10**10:
            return False
    return True


def jump_along(frame: Frame, sides: Any, form: np.ndarray) -> np.ndarray:
    """The jump of the gradient to the first of two sides along the unit normal of a form, in rationals and rounded
    once.
    """
    normal = _rational_normal(form)
    length = root(sum((x * x for x in normal), Fraction(0)))
    jumps = [sum((a * b for a, b in zip(jump, normal)), Fraction(0)) / length for jump in _exact_jump(frame, sides)]
    return nearest(np.array(jumps, dtype=object))


def _rational_normal(form: np.ndarray) -> list[Fraction]:
    """The direction of a form, its largest entry 1."""
    return [Fraction(x) for x in (form / np.abs(form).max()).tolist()]


def _exact_jump(frame: Frame, sides: Any) -> list[list[Fraction]]:
    upper, lower = (_exact_parts(frame, row) for row in sides)
    return [[a - b for a, b in zip(one, two)] for one, two in zip(upper.tolist(), lower.tolist())]


def _exact_parts(frame: Frame, signs: np.ndarray) -> Any:
    """Rational linear part (nL, n0) of the outputs on a region."""
    behind: list[Any] = []
    column = 0
    level: Any = None
    for (base, *matrices), reads in zip(network_parts(frame), relu_form(frame.network).reads):
        level = as_fractions(base[:, :-1])
        for j, matrix in zip(reads, matrices):
            level = level + exact_product(as_fractions(matrix), behind[j - 1])
        if column < frame.n_neurons:  # outputs have no signs; what follows are those of the domain's sides
            level[~(signs[column : column + len(base)] > 0)] = Fraction(0)
        column += len(base)
        behind.append(level)
    return level


def _chain(weights: list[np.ndarray]) -> list[tuple[np.ndarray, dict[int, Any]]]:
    """The same of a chain, whose layers from the second on read the one before alone."""
    n0 = weights[0].shape[1]
    return [(w if l == 0 else np.zeros((len(w), n0)), {l: w} if l else {}) for l, w in enumerate(weights)]


def _blocks(cx: PolyhedralComplex) -> list[tuple[np.ndarray, dict[int, Any]]]:
    """Linear part on the input, and matrices on blocks, of each block and the output."""
    frame = cx._frame
    assert frame.form is not None
    rows = [nearest(part)[:, :-1] for part in (frame.rows[frame.n_domain :], *frame.deep)]
    return list(zip(rows, frame.form.floats.reads))


def _sizes(blocks: list[tuple[np.ndarray, dict[int, Any]]]) -> tuple[np.ndarray, np.ndarray, float]:
    """Sizes of the output's coefficients along all ways, what underflow takes from each (m,), and roundings on a
    way.
    """
    sizes: list[np.ndarray] = []
    lost: list[np.ndarray] = []
    terms = 4.0
    for base, reads in blocks:
        sizes.append(sum((abs(m) @ sizes[j - 1] for j, m in reads.items()), np.abs(base)))
        own = np.full(len(base), 8 * LEAST)
        lost.append(sum((abs(m) @ lost[j - 1] + 2 * m.shape[1] * LEAST for j, m in reads.items()), own))
        terms += base.shape[1] + 4 + sum(m.shape[1] for m in reads.values())
    return sizes[-1], lost[-1], terms


def _block_parts(blocks: list[tuple[np.ndarray, dict[int, Any]]], signs: np.ndarray) -> np.ndarray:
    """The same for a network of gates: linear parts behind the gates of each block, from the first on."""
    behind: list[np.ndarray] = []
    total, column = np.zeros(0), 0
    for base, reads in blocks:
        total = np.broadcast_to(base, (len(signs), *base.shape))
        for j, matrix in reads.items():
            dense = matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
            total = total + dense @ behind[j - 1]
        on = signs[:, column : column + len(base)] > 0
        behind.append(total * on[:, :, None] if on.shape[1] == len(base) else total)
        column += len(base)
    return total


def _linear_parts(weights: list[np.ndarray], signs: np.ndarray) -> np.ndarray:
    """Linear parts (m, nL, n0) on regions given by their signs (m, N + D)."""
    total = np.broadcast_to(weights[0], (len(signs), *weights[0].shape))
    column = 0
    for w in weights[1:]:
        width = w.shape[1]
        total = w @ (total * (signs[:, column : column + width] > 0)[:, :, None])
        column += width
    return total
