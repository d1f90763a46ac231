"""Any network of the class as ReLU gates that read the input and all earlier gates.

With ``y = s⁻ z + (s⁺ - s⁻) relu(z)`` what a gate passes on below its wall is an affine function of what it reads. Put
into the maps behind it, every network of gates with slopes becomes

    ``z_l = A_l (x, 1) + sum_{1 <= j < l} M_{l,j} r_j``,   ``r_j = relu(z_j)``,   ``f = A_out (x, 1) + sum_j M_out,j r_j``

with the same gates, the same walls and the same function. The engine knows this form alone: on a cell, a gate that is
off adds nothing, whatever its slopes are, so a form costs as many rows as there are gates on. Where slopes below are 0
nothing is multiplied out; elsewhere the products are exact rationals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from .. import words
from .._once import cached_property
from .._typing import Array, FloatArray
from ..errors import InputError
from ..numerics.exact import as_fractions
from ..numerics.floats import magnitudes_of, nearest
from ..numerics.hulls import simplest
from ..numerics.products import exact_product
from .model import ReLUNetwork
from .piecewise import PiecewiseLinearNetwork
from .sparse import DENSE_LIMIT, Matrix, SparseMatrix, dense

PRODUCT_LIMIT = 1 << 26
"""Products of rationals that putting the slopes below into the maps may take (about ten seconds)."""


@dataclass(frozen=True, eq=False)
class ReluForm:
    """ReLU gates with skips; see the module.

    Attributes
    ----------
    bases : tuple of (m_l, n0 + 1) arrays
        What each block, and last the output, reads of the input, the constant last; float64, or Fractions where floats
        do not suffice.
    reads : tuple of dict
        For each block, and last the output: by the number j >= 1 of an earlier block, the (m_l, m_j) matrix on it.
    """

    bases: tuple[Array, ...]
    reads: tuple[dict[int, Any], ...]

    @property
    def n_inputs(self) -> int:
        """Number n0 of inputs."""
        return self.bases[0].shape[1] - 1

    @property
    def widths(self) -> tuple[int, ...]:
        """Gates of each block."""
        return tuple(len(b) for b in self.bases[:-1])

    @cached_property
    def floats(self) -> ReluForm:
        """The form in float64, each number rounded to the nearest, infinite beyond their range; sparse matrices are
        scipy's.
        """
        return ReluForm(
            tuple(nearest(b) for b in self.bases),
            tuple({j: _mapped(nearest, m) for j, m in r.items()} for r in self.reads),
        )

    @cached_property
    def sizes(self) -> ReluForm:
        """Absolute values of the numbers, infinite where rounding one to a float is no relative error."""
        return ReluForm(
            tuple(magnitudes_of(b) for b in self.bases),
            tuple({j: _mapped(magnitudes_of, m) for j, m in r.items()} for r in self.reads),
        )

    @cached_property
    def is_float(self) -> bool:
        """Whether floats hold all numbers exactly."""
        parts = [*self.bases, *(m for r in self.reads for m in r.values())]
        return all(p.dtype != object for p in parts)

    def terms(self, block: int, row: int) -> Iterator[tuple[int, int, Any]]:
        """The entries (block j, gate, number) that a gate of a block reads; block ``len(widths) + 1`` is the output."""
        for j, matrix in self.reads[block - 1].items():
            if isinstance(matrix, SparseMatrix):
                part = slice(matrix.indptr[row], matrix.indptr[row + 1])
                yield from ((j, int(i), v) for i, v in zip(matrix.indices[part], matrix.data[part].tolist()))
            else:
                values = matrix[row].tolist()
                yield from ((j, i, v) for i, v in enumerate(values) if v != 0)


def _mapped(to_floats: Callable[[Array], FloatArray], matrix: Matrix) -> Any:
    if isinstance(matrix, SparseMatrix):
        from scipy.sparse import csr_array

        return csr_array((to_floats(matrix.data), matrix.indices, matrix.indptr), shape=matrix.shape)
    return to_floats(matrix)


def relu_form(network: ReLUNetwork | PiecewiseLinearNetwork) -> ReluForm:
    """The form of a network; kept with a `PiecewiseLinearNetwork`.

    Raises
    ------
    InputError
        Slopes below that are not 0 in a network too large to multiply them out; too many gates and inputs for a matrix.

    Examples
    --------
    ``|x| = -x + 2 relu(x)``:

    >>> import polyfiber as pf
    >>> net = pf.PiecewiseLinearNetwork(
    ...     1, [pf.GateBlock({0: [[1.0]]}, [0.0], slopes=(-1, 1))], pf.AffineMap({1: [[1.0]]}, [0.0]))
    >>> form = relu_form(net)
    >>> form.bases[1].tolist(), form.reads[1][1].tolist()
    ([[-1.0, 0.0]], [[2.0]])
    """
    if isinstance(network, ReLUNetwork):
        chain = zip(network.weights, network.biases)
        w, b = next(chain)
        bases, reads = [np.concatenate([w, b[:, None]], axis=1)], [dict[int, Matrix]()]
        for l, (w, b) in enumerate(chain, start=1):
            zeros = np.zeros((len(b), network.architecture[0]))
            bases.append(np.concatenate([as_fractions(zeros) if b.dtype == object else zeros, b[:, None]], axis=1))
            reads.append({l: w})
        return ReluForm(tuple(bases), tuple(reads))
    if network._relu is None:
        network._relu = _formed(network)
    form: ReluForm = network._relu
    return form


def _formed(network: PiecewiseLinearNetwork) -> ReluForm:
    n0 = network.n_inputs
    bases: list[Array] = []
    reads: list[dict[int, Matrix]] = []
    slopes = [_slopes(block.slopes) for block in network.blocks]
    for affine in (*(block.affine for block in network.blocks), network.output):
        if affine.n_rows * (n0 + 1) > DENSE_LIMIT:
            raise InputError(
                f"what {words.count(f'{affine.n_rows:,}', 'gate or output reads', 'gates or outputs read')} of {words.count(f'{n0:,}', 'input')} is too large to be written out; restrict the "
                "network to a slice"
            )
        zero = np.zeros((affine.n_rows, n0))
        own = affine.dense(0, n0) if 0 in affine.weights else as_fractions(zero) if affine.is_exact else zero
        base = np.concatenate([own, affine.bias[:, None]], axis=1)
        found: dict[int, Matrix] = {}
        for j, matrix in affine.weights.items():
            if j == 0:
                continue
            below, step = slopes[j - 1]
            found[j] = _sum(found.get(j), _scaled(matrix, step))
            if any(s != 0 for s in below):
                low = _scaled(matrix, below)
                base = _plain(as_fractions(base) + as_fractions(_product(low, bases[j - 1])))
                for i, inner in reads[j - 1].items():
                    found[i] = _sum(found.get(i), _product(low, inner))
        bases.append(base)
        reads.append({j: found[j] for j in sorted(found) if _any(found[j])})
    return ReluForm(tuple(bases), tuple(reads))


def _slopes(pairs: Array) -> tuple[list[Fraction], list[Fraction]]:
    """Slopes below, and the step from below to above, of each gate."""
    known: dict[tuple[Any, Any], tuple[Fraction, Fraction]] = {}  # of a million gates nearly all have one pair
    found = [
        known.get((a, b)) or known.setdefault((a, b), (low := Fraction(a), Fraction(b) - low))
        for a, b in pairs.tolist()
    ]
    return [low for low, _ in found], [step for _, step in found]


def _any(matrix: Matrix) -> bool:
    return matrix.nnz > 0 if isinstance(matrix, SparseMatrix) else bool(np.any(matrix != 0))


def _scaled(matrix: Matrix, factors: list[Fraction]) -> Matrix:
    """The matrix with its columns multiplied; floats stay floats where that is exact."""
    if all(f == 1 for f in factors):
        return matrix
    if isinstance(matrix, SparseMatrix):
        data = _times(matrix.data, [factors[c] for c in matrix.indices.tolist()])
        return SparseMatrix(matrix.indptr, matrix.indices, data, matrix.shape)
    return _times(matrix, factors)


def _times(values: Array, factors: list[Fraction]) -> Array:
    """Products along the last axis."""
    if values.dtype != object:
        floats = np.array([float(f) for f in factors])
        exact = all(Fraction(f) == g for f, g in zip(floats.tolist(), factors))
        if exact and bool(np.isin(np.abs(np.frexp(floats)[0]), (0.0, 0.5)).all()):
            with np.errstate(all="ignore"):
                product = values * floats
            size = np.abs(product)
            if bool(np.all(((size >= 2.0**-1000) & (size < np.inf)) | (values == 0) | (floats == 0))):
                return np.asarray(product + 0.0)
    column = np.empty(len(factors), dtype=object)
    column[:] = factors
    return simplest(as_fractions(values) * column)


def _plain(values: Array) -> Array:
    return values if values.dtype != object else simplest(values)


def _product(left: Matrix, right: Matrix) -> Matrix:
    """Exact product; sparse only where the left one is and the right one too."""
    if isinstance(left, SparseMatrix) and isinstance(right, SparseMatrix):
        return _sparse_product(left, right)
    _limit(left.shape[0] * left.shape[1] * right.shape[1], max(left.shape[0], right.shape[1]) * left.shape[1])
    return simplest(exact_product(as_fractions(dense(left)), as_fractions(dense(right))))


def _limit(products: float, entries: float) -> None:
    if products > PRODUCT_LIMIT or entries > DENSE_LIMIT:
        raise InputError(
            f"putting slopes below the walls into the maps behind them would take {products:.3g} exact products, the limit "
            f"is {PRODUCT_LIMIT:.3g}; restrict the network to a slice or a smaller part"
        )


def _sparse_product(left: SparseMatrix, right: SparseMatrix) -> SparseMatrix:
    lengths = np.diff(right.indptr)
    _limit(float(lengths[left.indices].sum()), 0.0)
    pointers, columns, data = [0], list[int](), list[Fraction]()
    inner = [Fraction(v) for v in right.data.tolist()]
    for row in range(left.shape[0]):
        total: dict[int, Fraction] = {}
        part = slice(left.indptr[row], left.indptr[row + 1])
        for k, value in zip(left.indices[part].tolist(), left.data[part].tolist()):
            factor = Fraction(value)
            for e in range(right.indptr[k], right.indptr[k + 1]):
                c = int(right.indices[e])
                total[c] = total.get(c, Fraction(0)) + factor * inner[e]
        columns += sorted(total)
        data += [total[c] for c in sorted(total)]
        pointers.append(len(columns))
    values = np.empty(len(data), dtype=object)
    values[:] = data
    return SparseMatrix(pointers, columns, simplest(values), (left.shape[0], right.shape[1]))


def _sum(first: Matrix | None, second: Matrix) -> Matrix:
    if first is None:
        return second
    if isinstance(first, SparseMatrix) and isinstance(second, SparseMatrix):
        return _sparse_sum(first, second)
    return simplest(as_fractions(dense(first)) + as_fractions(dense(second)))


def _sparse_sum(first: SparseMatrix, second: SparseMatrix) -> SparseMatrix:
    pointers, columns, data = [0], list[int](), list[Fraction]()
    for row in range(first.shape[0]):
        total: dict[int, Fraction] = {}
        for matrix in (first, second):
            part = slice(matrix.indptr[row], matrix.indptr[row + 1])
            for c, value in zip(matrix.indices[part].tolist(), matrix.data[part].tolist()):
                total[c] = total.get(c, Fraction(0)) + Fraction(value)
        columns += sorted(total)
        data += [total[c] for c in sorted(total)]
        pointers.append(len(columns))
    values = np.empty(len(data), dtype=object)
    values[:] = data
    return SparseMatrix(pointers, columns, simplest(values), first.shape)


__all__ = ["ReluForm", "relu_form"]
