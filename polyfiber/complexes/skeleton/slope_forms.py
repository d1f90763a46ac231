"""Forms on cells from signs and slopes: what every block reads, carried forward as the network is defined.

The kernels know networks as ReLU gates that add to an affine function (`polyfiber.network.relu_form`). There a gate
whose slope on a cell is 0 may be a sum ``z - z`` of large numbers. Here each gate is multiplied by the slope that its
sign picks, so a form is as good as evaluating the network in floats is; where that is not enough, rationals say what it
is.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._typing import Array, FloatArray, SignArray
from ...network.model import ReLUNetwork
from ...network.relu_form import relu_form
from ...network.sparse import SparseMatrix
from ...numerics.exact import as_fractions
from ...numerics.floats import magnitudes_of, nearest
from ...numerics.hulls import AffineHull
from ...numerics.rounding import LEAST, UNIT, gamma
from .wires import magnitudes, roundings

if TYPE_CHECKING:
    from .arrays import Frame

SHARP = 1e-8
"""Bound of a form's error, relative to its largest coefficient, up to which floats are given out."""
LOWEST, HIGHEST = -1000, 1000
"""Exponents between which no product along a way through the network may leave the normal floats."""


class SlopeForms:
    """A network prepared for its forms on cells.

    Parameters
    ----------
    network : ReLUNetwork or PiecewiseLinearNetwork
    hull : AffineHull, optional
        A flat: forms then have gradients tangent to it.
    """

    def __init__(self, network: Any, hull: AffineHull | None = None) -> None:
        self.network, self.n0 = network, network.architecture[0]
        if isinstance(network, ReLUNetwork):
            maps = [({l: w}, b) for l, (w, b) in enumerate(zip(network.weights, network.biases))]
            pairs = [np.tile([0.0, 1.0], (w, 1)) for w in network.hidden_widths]
        else:
            maps = [(dict(a.weights), a.bias) for a in (*(b.affine for b in network.blocks), network.output)]
            pairs = [block.slopes for block in network.blocks]
        self._given = maps
        self._pairs = pairs
        self.starts = np.cumsum([0, *network.hidden_widths]).astype(np.int64)
        self.slopes = [nearest(p) for p in pairs]
        self.rows: list[FloatArray] = []
        self.row_sizes: list[FloatArray] = []
        self.reads: list[dict[int, Any]] = []
        self.terms: list[float] = []
        low = high = 0
        for l, (weights, bias) in enumerate(maps):
            own = self._base(weights, bias)
            own = own if hull is None else hull.tangential(own)
            self.rows.append(nearest(own))
            self.row_sizes.append(magnitudes_of(own))
            reads = {j: _floats(m) for j, m in weights.items() if j}
            self.reads.append(reads)
            width = sum(m.shape[1] for m in reads.values())
            self.terms.append(
                max([self.n0 + 2.0, *(self.terms[j - 1] + 4.0 for j in reads)]) + width + len(reads) + 2.0
            )
            parts = [self.rows[-1], *(m.data if hasattr(m, "indptr") else m for m in reads.values())]
            for values in (
                np.concatenate([np.abs(p).ravel() for p in parts]),
                *(np.abs(s) for s in self.slopes[l : l + 1]),
            ):
                values = values[values > 0]
                if len(values):
                    with np.errstate(invalid="ignore"):
                        least, most = np.frexp([values.min(), values.max()])[1].tolist()
                    low += min(0, least - 54)
                    high += max(0, most) if np.isfinite(values).all() else 4 * HIGHEST
            high += int(width + self.n0).bit_length()
        self.extreme = low < LOWEST or high > HIGHEST
        """Whether products may overflow or underflow: then floats say nothing."""

    def _base(self, weights: dict[int, Any], bias: Array) -> Array:
        own: Array = np.zeros((len(bias), self.n0))
        if 0 in weights:
            own = weights[0].toarray() if isinstance(weights[0], SparseMatrix) else weights[0]
        if own.dtype != bias.dtype:
            own, bias = as_fractions(own), as_fractions(bias)
        return np.concatenate([own, bias[:, None]], axis=1)

    def float_levels(self, signs: SignArray) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Of each block, the output last: forms (m_l, cells, n0 + 1) on cells given by signs (cells, N), and bounds of
        their errors.
        """
        cells = len(signs)
        behind: list[tuple[FloatArray, FloatArray]] = []
        with np.errstate(over="ignore", invalid="ignore"):
            for l, (row, wide, reads, terms) in enumerate(zip(self.rows, self.row_sizes, self.reads, self.terms)):
                m = len(row)
                form, size = (np.repeat(x[:, None, :], cells, axis=1) for x in (row, wide))
                for j, matrix in reads.items():
                    value, large = behind[j - 1]
                    form += (matrix @ value.reshape(len(value), -1)).reshape(m, cells, -1)
                    size += (abs(matrix) @ large.reshape(len(value), -1)).reshape(m, cells, -1)
                error = gamma(terms) * size
                yield form, np.where(np.isfinite(form) & np.isfinite(error) & (not self.extreme), error, np.inf)
                if l < len(self.slopes):
                    on = signs[:, self.starts[l] : self.starts[l + 1]].T > 0
                    slope = np.where(on, self.slopes[l][:, 1:], self.slopes[l][:, :1])[:, :, None]
                    behind.append((form * slope, size * np.abs(slope)))

    def floats(self, signs: SignArray) -> tuple[FloatArray, FloatArray]:
        """Forms (cells, nL, n0 + 1) of the outputs, and bounds of their errors."""
        *_, (form, error) = self.float_levels(signs)
        return form.swapaxes(0, 1), error.swapaxes(0, 1)

    def exact(self, signs: Any, block: int, row: int) -> list[Fraction]:
        """Form (n0 + 1) of a gate, or output, on a cell in rationals, pulled back along slopes that are not 0; not made
        tangent.

        block: from 1, the output's is the last; row: within the block; signs: (N,).
        """
        form = [Fraction(0)] * (self.n0 + 1)
        waiting = {(block, row): Fraction(1)}
        while waiting:
            at = max(waiting)
            factor = waiting.pop(at)
            l, i = at
            if at != (block, row):
                factor *= Fraction(self._pairs[l - 1][i, int(signs[self.starts[l - 1] + i] > 0)])
            if not factor:
                continue
            weights, bias = self._given[l - 1]
            form[-1] += factor * Fraction(bias[i])
            for j, matrix in weights.items():
                for c, value in _entries(matrix, i):
                    if j == 0:
                        form[c] += factor * Fraction(value)
                    else:
                        waiting[j, c] = waiting.get((j, c), Fraction(0)) + factor * Fraction(value)
        return form


def _floats(matrix: Any) -> Any:
    if isinstance(matrix, SparseMatrix):
        from scipy.sparse import csr_array

        return csr_array((nearest(matrix.data), matrix.indices, matrix.indptr), shape=matrix.shape)
    return nearest(matrix)


def _entries(matrix: Any, row: int) -> Iterator[tuple[int, Any]]:
    if isinstance(matrix, SparseMatrix):
        part = slice(matrix.indptr[row], matrix.indptr[row + 1])
        yield from zip(matrix.indices[part].tolist(), matrix.data[part].tolist())
    else:
        yield from ((c, v) for c, v in enumerate(matrix[row].tolist()) if v)


def unsure(forms: FloatArray, errors: FloatArray, reach: float = 1.0) -> Any:
    """Which forms (…, n + 1) have errors that matter, against the largest coefficient, or value within ``reach``; (…,)
    bool.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        size = np.abs(forms[..., :-1]).max(axis=-1, initial=0.0)
        sure = (errors[..., :-1].max(axis=-1, initial=0.0) <= SHARP * size) & np.isfinite(size)
        last = np.abs(forms[..., -1])
        sure &= (errors[..., -1] <= SHARP * np.maximum(last, min(reach, 1.0) * size)) & np.isfinite(last)
    return ~sure


def levels_of(frame: Frame) -> list[tuple[FloatArray, float]]:
    """Of each block, the output last: sizes (m, n0 + 1) of the coefficients along all ways, and roundings on a way."""
    network, n0 = frame.network, frame.network.architecture[0]
    with np.errstate(over="ignore", invalid="ignore"):
        if frame.form is not None:
            rows = [nearest(b) for b in (frame.rows[frame.n_domain :], *frame.deep)]
            off = [np.zeros(w, dtype=np.bool_) for w in frame.form.widths]
            levels = [level for level, _, _ in magnitudes(frame.form, rows, off, n0)]
            return list(zip(levels, roundings(frame.form, n0)))
        if not frame.n_neurons:
            row = np.concatenate([nearest(network.weights[0]), nearest(network.biases[0])[:, None]], axis=1)
            return [(np.abs(row), n0 + 4.0)]
        found = [(np.abs(nearest(frame.rows[frame.n_domain :])), n0 + 4.0)]
        for w, b in zip(network.weights[1:], network.biases[1:]):
            level = np.abs(nearest(w)) @ found[-1][0]
            level[:, -1] += np.abs(nearest(b))
            found.append((level, found[-1][1] + w.shape[1] + 4.0))
        return found


def output_errors(frame: Frame) -> FloatArray:
    """Bounds (nL, n0 + 1) of the errors of what the kernels' forms of outputs are, on any cell; see
    docs/certification.md.
    """
    if frame.extreme:
        # what underflow takes is below a unit roundoff of the entry, or the entry was rounded from a rational
        sizes, n0 = frame.losses.levels[-1], frame.network.architecture[0]
        count = roundings(relu_form(frame.network), n0)[-1]
        with np.errstate(over="ignore", invalid="ignore"):
            return np.where(np.isfinite(sizes), (count + 4) * (2 * UNIT) * sizes + 16 * LEAST, np.inf)
    level, terms = levels_of(frame)[-1]
    return _relative(level, terms)


def facet_errors(frame: Frame) -> FloatArray:
    """The same (D + N, n0 + 1) for the forms of facets."""
    given = magnitudes_of(frame.rows)  # as they are, but for rounding rationals
    parts = [np.where(np.isfinite(given), _relative(given, 1.0), np.inf)]
    if not frame.extreme:
        return np.concatenate([*parts, *(_relative(*pair) for pair in levels_of(frame)[1:-1])])
    form, losses = relu_form(frame.network), frame.losses
    counts = roundings(form, form.n_inputs)
    for level, lost, terms in list(zip(losses.levels, losses.forms, counts))[1:-1]:
        parts.append(_relative(level, terms) + lost)
    bound = np.concatenate(parts)
    return np.where(np.isnan(bound), np.inf, bound)


def _relative(level: FloatArray, terms: float) -> FloatArray:
    with np.errstate(over="ignore", invalid="ignore"):
        bound: FloatArray = terms * (2 * UNIT) * level + 1e-300 * (1.0 + level) * (level > 0)
    return np.where(np.isnan(bound), np.inf, bound)


__all__ = ["SHARP", "SlopeForms", "facet_errors", "levels_of", "output_errors", "unsure"]
