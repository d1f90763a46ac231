"""Is a network in the regime of the theorem: bottleneck, and generic with which margins?

Generic (Def. 8) asks for general position of the bent hyperplanes and for the largest possible rank
of every masked product of weight matrices. For a bottleneck both reduce to finite lists: minors of
``(W2 | b2)`` and products ``W3 D2 W2 D1 W1``. The lists grow exponentially; within a limit they are
gone through completely, beyond it a sample is checked and the rest is named as assumed.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._typing import FloatArray, IntArray
from ..budget import heed
from ..kernels.fibers import regime as kernels
from ..network.float_or_rational import all_in_range, gauge_norms, levelled, row_norms
from ..network.model import ReLUNetwork
from ..numerics.rounding import UNIT
from ..verdict import Verdict
from ..words import count, one_line

LARGEST_MINOR = 96
"""Size of the largest minors that are sampled: relative determinants of larger ones are below any rounding."""
PIECE = 1 << 28
"""Multiplications between two looks at the clock, about."""


@dataclass(frozen=True)
class Regime:
    """Where a network stands relative to the hypotheses of the classification.

    Attributes
    ----------
    bottleneck : bool
        Two hidden layers with ``n0 >= n1 >= 2``.
    generic : Verdict
        YES: every condition was checked and holds. NO: one fails (see `violations`). UNDECIDED:
        none of those checked fails, but not all were checked (see `assumed`).
    sign_margin : float
        Least entry of ``(W2 | b2)`` relative to its row, in the gauge of unit rows in layer 1.
    first_layer_margin : float
        Least singular value of W1 with unit rows.
    product_margin : float
        Least of the singular values that must not vanish, over the masked products looked at, relative to the
        norms of the factors.
    position_margin : float
        Least ``|det| / product of row norms`` over the square minors of ``(W2 | b2)`` looked at.
    products_checked, products_total, minors_checked, minors_total : int
    violations, assumed : tuple of str
    """

    __repr__ = one_line

    bottleneck: bool
    generic: Verdict
    sign_margin: float
    first_layer_margin: float
    product_margin: float
    position_margin: float
    products_checked: int
    products_total: int
    minors_checked: int
    minors_total: int
    violations: tuple[str, ...]
    assumed: tuple[str, ...]

    @property
    def applies(self) -> bool:
        """Whether the theorem may be used: a bottleneck with no violated condition."""
        return self.bottleneck and not self.violations


def normalised(net: ReLUNetwork) -> tuple[list[FloatArray], list[FloatArray]]:
    """Float weights and biases with unit weight rows in every hidden layer (zero rows stay)."""
    near = net.rounded() if all_in_range(net) else levelled(net)
    weights, biases = [w.copy() for w in near.weights], [b.copy() for b in near.biases]
    for l in range(len(weights) - 1):
        norms = gauge_norms(weights[l])
        weights[l], biases[l] = weights[l] / norms[:, None], biases[l] / norms
        weights[l + 1] = weights[l + 1] * norms
    return weights, biases


def rounding_of(widths: Sequence[int]) -> float:
    """Relative size below which a margin counts as zero: ``64 n`` units of rounding."""
    return 64 * max(widths) * UNIT


def check_regime(net: ReLUNetwork, *, limit: int = 2048, sign_error: float = 4 * UNIT) -> Regime:
    """Check the hypotheses of the classification for a network with two hidden layers.

    Parameters
    ----------
    net : ReLUNetwork
    limit : int
        Most masked products, and most minors, to look at; beyond it a fixed random sample.
    sign_error : float
        Relative accuracy of the entries.

    Notes
    -----
    Floating point: a quantity below ``64 n`` units of rounding counts as zero, since a network
    that near to a degenerate one cannot be told from it.
    """
    widths = net.architecture
    if len(widths) != 4:
        text = f"{len(widths) - 2} hidden layers; the theorem is about two"
        return Regime(False, Verdict.NO, 0.0, 0.0, 0.0, 0.0, 0, 0, 0, 0, (text,), ())
    n0, n1, n2, _ = widths
    violations: list[str] = []
    assumed: list[str] = []
    if n0 < n1:
        violations.append(f"no bottleneck: n0 = {n0} < n1 = {n1}")
    if n1 < 2:
        violations.append("n1 = 1: a function of one scalar")
    (W1, W2, W3), (_, b2, _) = normalised(net)
    own = row_norms(W1)[:, None]
    W1 = W1 / np.where(own > 0, own, 1.0)  # also rows too extreme for a gauge: ranks do not depend on it
    zero_rows = [int(i) for i in np.flatnonzero(~(net.weights[0] != 0).any(axis=1))]
    if zero_rows:
        violations.append(f"zero rows {zero_rows} in W1")
    noise = rounding_of(widths)
    first = float(np.linalg.svd(W1, compute_uv=False)[-1]) if n0 >= n1 else 0.0
    if n0 >= n1 and not first > noise:
        violations.append(f"W1 has not full row rank (least singular value {first:.2g})")
    rows = np.concatenate([W2, b2[:, None]], axis=1)
    norms = row_norms(rows)[:, None]
    relative = np.abs(rows) / np.where(norms > 0, norms, 1.0)
    sign_margin = float(relative.min())
    zeros = int((relative == 0).sum())
    near = int(((relative > 0) & (relative <= (0.0 if net.is_exact else sign_error))).sum())
    if not (np.isfinite(rows).all() and np.isfinite(W3).all()):
        violations.append("weights too far apart in size for floats")
    if zeros:
        violations.append(f"{count(zeros, 'zero entry', 'zero entries')} in (W2 | b2)")
    if near:
        violations.append(
            f"{count(near, 'entry', 'entries')} of (W2 | b2) within the error bound {sign_error:.2g} of zero"
        )
    unused = [int(j) for j in np.flatnonzero(~(net.weights[2] != 0).any(axis=0))]
    if unused:
        violations.append(f"zero output columns of neurons {unused} of layer 2")
    heed("checking genericity")
    if violations:
        return Regime(
            n0 >= n1 >= 2, Verdict.NO, sign_margin, first, 0.0, 0.0, 0, 2 ** (n1 + n2), 0, 0, tuple(violations), ()
        )
    minor, minors, minors_total = least_minors((rows / norms)[None], limit)
    position = float(minor[0])
    if not position > noise:
        violations.append(f"hyperplanes of layer 2 are not in general position (relative minor {position:.2g})")
    if minors < minors_total:
        assumed.append(f"general position of layer 2: {minors} of {minors_total} minors checked")
    masked, checked, total = least_products(W1[None], (W2 / norms)[None], (W3 * norms.T)[None], limit)
    product = float(masked[0])
    if not product > noise:
        violations.append(f"a masked product of the weights drops its rank (relative singular value {product:.2g})")
    if checked < total:
        assumed.append(f"ranks of masked products: {checked} of {total} checked")
    verdict = Verdict.NO if violations else (Verdict.UNDECIDED if assumed else Verdict.YES)
    return Regime(
        True, verdict, sign_margin, first, product, position, checked, total, minors, minors_total,
        tuple(violations), tuple(assumed),
    )  # fmt: skip


@functools.lru_cache(maxsize=64)
def minor_picks(height: int, width: int, limit: int) -> tuple[IntArray, IntArray, IntArray, int, int]:
    """Which square minors are looked at: sizes, rows, columns; how many that are; how many there are."""
    total = math.comb(height + width, height) - 1
    most = min(height, width) if total <= limit else min(height, width, LARGEST_MINOR)
    generator = np.random.default_rng(0)
    rows: list[Sequence[int]] = []
    columns: list[Sequence[int]] = []
    for size in range(1, most + 1):
        if total <= limit:
            for r, c in itertools.product(
                itertools.combinations(range(height), size), itertools.combinations(range(width), size)
            ):
                rows.append(r)
                columns.append(c)
            continue
        count = math.comb(height, size) * math.comb(width, size)
        for _ in range(min(count, max(16, limit // most))):
            rows.append(generator.permutation(height)[:size].tolist())
            columns.append(generator.permutation(width)[:size].tolist())
    sizes = np.array([len(r) for r in rows], dtype=np.int64)
    packed = [np.array([[*p, *[0] * (most - len(p))] for p in picks], dtype=np.int64) for picks in (rows, columns)]
    return sizes, packed[0], packed[1], min(len(rows), total), total


@functools.lru_cache(maxsize=64)
def product_masks(n1: int, n2: int, smallest: int, limit: int) -> tuple[FloatArray, FloatArray, IntArray, int]:
    """Which masks of the two hidden layers are looked at, which singular value must not vanish, how many there are."""
    total = (2**n1 - 1) * (2**n2 - 1)
    if total <= limit:
        first = np.array(list(itertools.product((False, True), repeat=n1))[1:])
        second = np.array(list(itertools.product((False, True), repeat=n2))[1:])
        masks1, masks2 = np.repeat(first, len(second), axis=0), np.tile(second, (len(first), 1))
    else:
        generator = np.random.default_rng(0)
        masks1 = generator.random((limit, n1)) < generator.random((limit, 1))
        masks2 = generator.random((limit, n2)) < generator.random((limit, 1))
        keep = masks1.any(axis=1) & masks2.any(axis=1)
        masks1, masks2 = masks1[keep], masks2[keep]
    needed = np.minimum(np.minimum(masks1.sum(axis=1), masks2.sum(axis=1)), smallest).astype(np.int64)
    first, second = (np.ascontiguousarray(m.T, dtype=np.float64) for m in (masks1, masks2))
    return first, second, needed, total


def least_minors(rows: FloatArray, limit: int) -> tuple[FloatArray, int, int]:
    """Least relative square minor of each matrix (B, n2, n1 + 1); how many were looked at; how many there are."""
    sizes, at_rows, at_columns, done, total = minor_picks(*rows.shape[1:], limit)
    least = np.full(len(rows), np.inf)
    kernels.least_minors(np.ascontiguousarray(rows), sizes, at_rows, at_columns, least)
    return least, done, total


def least_products(W1: FloatArray, W2: FloatArray, W3: FloatArray, limit: int) -> tuple[FloatArray, int, int]:
    """Least relative singular value (B,) that must not vanish among ``W3 D2 W2 D1 W1``; how many were looked at;
    all.
    """
    n1, n0 = W1.shape[1:]
    m, n2 = W3.shape[1:]
    masks1, masks2, needed, total = product_masks(n1, n2, min(m, n0), limit)
    least = np.full(len(W1), np.inf)
    first, second, third = (np.ascontiguousarray(w) for w in (W1, W2, W3))
    step = max(32, PIECE // (len(W1) * min(m, n0) * (n1 * n2 + n1 * n0)))
    for start in range(0, len(needed), step):
        heed("checking genericity")
        part = slice(start, start + step)
        some = (np.ascontiguousarray(masks1[:, part]), np.ascontiguousarray(masks2[:, part]), needed[part])
        kernels.least_products(first, second, third, *some, least)
    return least, len(needed), total
