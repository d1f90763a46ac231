"""Networks whose products may leave the range of floats, and what underflow may take from their forms.

A float is a multiple of the last bit of its significand, so a product of floats, rounded or not, is a multiple of the
product of those bits, and so are sums. Where that is at least the smallest float, nothing underflows: a sum that is
zero in floats is zero up to the usual error. Elsewhere `Losses` says what underflow may take, and sizes are worked out
in rationals. See docs/certification.md, section 2a.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..._typing import Array, FloatArray
from ...network.relu_form import relu_form
from ...network.sparse import SparseMatrix, dense
from ...numerics.exact import as_fractions
from ...numerics.floats import magnitudes_of, nearest
from ...numerics.products import exact_product
from ...numerics.rounding import LEAST

if TYPE_CHECKING:
    from .arrays import Frame

LOWEST, HIGHEST = -1074, 1023
"""Exponents of the smallest float above 0, and of the largest power of two."""


class Losses(NamedTuple):
    """Sizes of forms along all ways, in all inputs, and what underflow may take from them, block by block; the output
    last.
    """

    levels: list[FloatArray]
    """(m_l, n0 + 1): sums of absolute values along all ways."""
    forms: list[FloatArray]
    """(n0 + 1,): lost by the forms of a block that are pulled back from it."""
    columns: FloatArray
    """(N, nL): lost by the column of a gate in the outputs."""


def network_parts(frame: Frame) -> list[list[Array]]:
    """What each block, and the output, reads: its rows on the input, and dense matrices on blocks before."""
    form = relu_form(frame.network)
    bases = [frame.rows[frame.n_domain :], *(frame.deep or form.bases[1:])]
    return [[base, *(dense(m) for m in reads.values())] for base, reads in zip(bases, form.reads)]


def are_extreme(frame: Frame) -> bool:
    """Whether a product along some way through the network may overflow or underflow."""
    if not frame.n_neurons:
        return False
    form, low, high = relu_form(frame.network), 0, 0
    for base, reads in zip([frame.rows[frame.n_domain :], *(frame.deep or form.bases[1:])], form.reads):
        parts = [base, *reads.values()]
        given = [part.data if isinstance(part, SparseMatrix) else part for part in parts]
        values = np.concatenate([np.abs(nearest(part)).ravel() for part in given])
        values = values[values > 0]
        if not np.isfinite(values).all():
            return True
        if len(values):
            exponents = np.frexp([values.min(), values.max()])[1]
            low += min(0, int(exponents[0]) - 53)
            high += max(0, int(exponents[1])) + sum(part.shape[1] for part in parts).bit_length()
    return low < LOWEST or high > HIGHEST


def losses_of(frame: Frame) -> Losses:
    """Sizes and losses of a network with extreme weights; exact products of all matrices."""
    form, parts = relu_form(frame.network), network_parts(frame)
    widths, n0, n_out = form.widths, form.n_inputs, len(form.bases[-1])
    own = (2 * sum(widths) + 2 * n0 + 8) * LEAST
    exact: list[Array] = []
    levels, forms = [], []
    with np.errstate(over="ignore", invalid="ignore"):
        lost = np.full(n0 + 1, own)
        if not all(np.isfinite(magnitudes_of(part)).all() for block in parts for part in block):
            lost[:] = np.inf  # rationals that floats do not hold
        for part, reads in zip(parts, form.reads):
            level = np.abs(as_fractions(part[0]))
            for j, matrix in zip(reads, part[1:]):
                level = level + exact_product(np.abs(as_fractions(matrix)), exact[j - 1])
            exact.append(level)
            levels.append(nearest(level))
            forms.append(lost)
            lost = lost + own * levels[-1].sum(axis=0)
        # ways from a gate to all others, and from all others to an output: one of the two, as the kernels go
        onward = [np.ones(w) for w in widths]
        back: list[FloatArray] = []
        for l, (part, reads) in reversed(list(enumerate(zip(parts[:-1], form.reads), start=1))):
            for j, matrix in zip(reads, part[1:]):
                onward[j - 1] += np.abs(nearest(matrix)).T @ onward[l - 1]
        for part, reads in zip(parts, form.reads):
            size = np.ones(len(part[0]))
            for j, matrix in zip(reads, part[1:]):
                size = size + np.abs(nearest(matrix)) @ back[j - 1]
            back.append(size)
        columns = (
            lost.max() * np.ones((sum(widths), n_out))
            if np.isinf(forms[0]).any()
            else own * (np.concatenate([*onward, np.zeros(0)])[:, None] + back[-1][None])
        )
        return Losses(levels, [_sure(x) for x in forms], _sure(columns))


def _sure(values: Any) -> FloatArray:
    """Bounds with what is no number infinite."""
    return np.where(np.isnan(values), np.inf, values)
