"""Jacobians of the affine pieces of a network of gates by its parameters: modulo a prime for many regions, or in
rationals.

Parameters are the entries of the matrices as they are stored (all of a dense one, the kept ones of a sparse one) and
the offsets, block by block, then those of the output; slopes stay what they are. Weights that a file shares are as many
parameters as the maps have entries, unless they are tied: then a parameter is a class of entries that move together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ..._typing import Array, BoolArray, IntArray, SignArray
from ..._values.checked import generator_of
from ...budget import Monitor
from ...kernels.fibers.jacobians import PRIME, insert_rows, null_vector
from ...network.piecewise import PiecewiseLinearNetwork
from ...network.sparse import SparseMatrix
from ...numerics import exact

TOGETHER = 1 << 22
"""Entries of the forms of regions that are looked at together."""


@dataclass(frozen=True)
class Read:
    """One matrix: the block that reads (from 1; L + 1 the output), the block that is read, where the entries stand."""

    block: int
    of: int
    rows: IntArray
    columns: IntArray
    first: int  # of its parameters


class WiredParameters:
    """The parameters of a network of gates as one vector, and derivatives of its affine pieces by them.

    Parameters
    ----------
    network : PiecewiseLinearNetwork

    Attributes
    ----------
    count : int
        Number P of parameters.
    reads : list of Read
    biases : (L + 1,) int64
        First offset of each block and the output.
    theta : (P,) int64
        Residues modulo 2^31 - 1.
    ties : (P,) int64 or None
        With tied entries: the parameter of each entry, -1 where it stays.
    free : int
        Number of parameters: P, or that of the classes.

    Examples
    --------
    >>> import polyfiber as pf
    >>> net = pf.PiecewiseLinearNetwork(
    ...     1, [pf.GateBlock({0: [[1.0]]}, [0.0], slopes=(-1, 1))], pf.AffineMap({0: [[1.0]], 1: [[1.0]]}, [0.0]))
    >>> WiredParameters(net).count
    5
    """

    def __init__(self, network: PiecewiseLinearNetwork, *, shared: bool = False) -> None:
        self.network = network
        self.widths = [network.n_inputs, *network.hidden_widths, network.n_outputs]
        self.reads: list[Read] = []
        values: list[Array] = []
        biases, at = [], 0
        for l, affine in enumerate((*(b.affine for b in network.blocks), network.output), start=1):
            for j, matrix in affine.weights.items():
                if isinstance(matrix, SparseMatrix):
                    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
                    columns, entries = np.asarray(matrix.indices, dtype=np.int64), matrix.data
                else:
                    rows, columns = (i.ravel() for i in np.indices(matrix.shape))
                    entries = matrix.ravel()
                self.reads.append(Read(l, j, rows, columns, at))
                values.append(entries)
                at += len(entries)
            biases.append(at)
            values.append(affine.bias)
            at += len(affine.bias)
        self.count, self.biases = at, np.array(biases, dtype=np.int64)
        self.values = values
        self.theta: IntArray = np.concatenate([exact.residues(v) for v in values])
        self.slopes = np.concatenate([b.slopes for b in network.blocks]) if network.blocks else np.zeros((0, 2))
        self.starts = np.concatenate([[0], np.cumsum(network.hidden_widths)]).astype(np.int64)
        self.ties = self._shared() if shared else None
        self.free = self.count if self.ties is None else int(self.ties.max(initial=-1)) + 1

    # ---- arithmetic -------------------------------------------------------------------------
    def _matrix(self, read: Read, theta: Array) -> Array:
        """A matrix of a parameter vector with its zeros."""
        out = np.zeros((self.widths[read.block], self.widths[read.of]), dtype=theta.dtype)
        if theta.dtype == object:
            out[:] = Fraction(0)
        np.add.at(out, (read.rows, read.columns), theta[read.first : read.first + len(read.rows)])
        return out

    def _bias(self, block: int, theta: Array) -> Array:
        first = int(self.biases[block - 1])
        return theta[first : first + self.widths[block]]

    def _levels(self, slopes: Array, theta: Array) -> list[Array]:
        """Forms (…, m_l, n0 + 1) of the input, behind the gates of each block, and of the outputs."""
        levels = [self._identity(theta)]
        for l in range(1, len(self.widths)):
            z = self._offset(l, theta)
            for read in self._of(l):
                z = _reduced(z + _product(self._matrix(read, theta), levels[read.of]))
            levels.append(z if l == len(self.widths) - 1 else _reduced(self._mask(slopes, l)[..., None] * z))
        return levels

    def _identity(self, theta: Array) -> Array:
        n0 = self.widths[0]
        out = np.zeros((n0, n0 + 1), dtype=np.int64)
        out[np.arange(n0), np.arange(n0)] = 1
        return exact.as_fractions(out) if theta.dtype == object else out

    def _offset(self, block: int, theta: Array) -> Array:
        bias = self._bias(block, theta)
        out = np.zeros((len(bias), self.widths[0] + 1), dtype=theta.dtype)
        if theta.dtype == object:
            out[:] = Fraction(0)
        out[:, -1] = bias
        return out

    def _of(self, block: int) -> list[Read]:
        return [r for r in self.reads if r.block == block]

    def _mask(self, slopes: Array, block: int) -> Array:
        return np.asarray(slopes[..., self.starts[block - 1] : self.starts[block]])

    def slopes_on(self, masks: SignArray, *, rational: bool = False) -> Array:
        """(R, N) the slope of each gate on each region, as residues or Fractions; masks: 1 where a gate is positive."""
        pairs = exact.as_fractions(self.slopes) if rational else exact.residues(self.slopes)
        return np.where(masks > 0, pairs[:, 1], pairs[:, 0])

    # ---- derivatives ------------------------------------------------------------------------
    def moves(self, masks: SignArray, direction: IntArray) -> BoolArray:
        """(R,) whether the affine piece of each region changes along a direction of the parameters, modulo the
        prime.
        """
        size = max(self.widths) * (self.widths[0] + 1)
        step = max(1, TOGETHER // size)
        parts = [self._moves(self.slopes_on(masks[k : k + step]), direction) for k in range(0, len(masks), step)]
        return np.concatenate(parts)

    def _moves(self, slopes: Array, direction: IntArray) -> BoolArray:
        levels = self._levels(slopes, self.theta)
        changes = [0 * levels[0]]
        for l in range(1, len(self.widths)):
            d = self._offset(l, direction)
            for read in self._of(l):
                d = _reduced(d + _product(self._matrix(read, direction), levels[read.of]))
                d = _reduced(d + _product(self._matrix(read, self.theta), changes[read.of]))
            changes.append(d if l == len(self.widths) - 1 else _reduced(self._mask(slopes, l)[..., None] * d))
        changed = np.broadcast_to(changes[-1], (len(slopes), *changes[-1].shape[-2:]))
        return np.asarray((changed != 0).any(axis=(1, 2)))

    def rows(self, mask: SignArray, *, rational: bool = False) -> Array:
        """Jacobian (nL (n0 + 1), P) of the affine piece (A | a) on one region."""
        theta = np.concatenate([exact.as_fractions(v) for v in self.values]) if rational else self.theta
        slopes = self.slopes_on(mask[None], rational=rational)[0]
        levels = self._levels(slopes, theta)
        n_out, c = self.widths[-1], self.widths[0] + 1
        unit = np.eye(n_out, dtype=np.int64)
        zero: Any = Fraction(0) if rational else 0
        behind: dict[int, Array] = {len(self.widths) - 1: exact.as_fractions(unit) if rational else unit}
        out = np.zeros((n_out, c, self.count), dtype=theta.dtype)
        out[:] = zero
        for l in range(len(self.widths) - 1, 0, -1):
            G = behind.pop(l, None)  # of the outputs by y_l
            if G is None:
                continue
            if l < len(self.widths) - 1:
                G = _reduced(G * self._mask(slopes, l))
            first = int(self.biases[l - 1])
            out[:, -1, first : first + self.widths[l]] = G
            for read in self._of(l):
                part = slice(read.first, read.first + len(read.rows))
                out[:, :, part] = _reduced(G[:, None, read.rows] * levels[read.of][read.columns].T[None])
                if read.of:
                    more = _product(G, self._matrix(read, theta))
                    behind[read.of] = _reduced(behind[read.of] + more) if read.of in behind else more
        return out.reshape(n_out * c, self.count)

    # ---- ranks ------------------------------------------------------------------------------
    def _shared(self) -> IntArray:
        """Entries of one matrix, or of one list of offsets, that hold the same number; zeros stay."""
        ties, count = np.full(self.count, -1, dtype=np.int64), 0
        parts = [(read.first, len(read.rows)) for read in self.reads]
        parts += [(int(first), width) for first, width in zip(self.biases, self.widths[1:])]
        values = np.concatenate([np.asarray(v, dtype=object) for v in self.values])
        for first, size in parts:
            known: dict[Any, int] = {}
            for k in range(first, first + size):
                if values[k] != 0:
                    ties[k] = known.setdefault(values[k], count + len(known))
            count += len(known)
        return ties

    def tied(self, columns: Array) -> Array:
        """Columns (…, P) by entries, added up to those by parameters (…, free)."""
        if self.ties is None:
            return columns
        out = np.zeros((*columns.shape[:-1], self.free), dtype=columns.dtype)
        moved = np.flatnonzero(self.ties >= 0)
        for k, t in zip(moved.tolist(), self.ties[moved].tolist()):
            out[..., t] = out[..., t] + columns[..., k]
        return _reduced(out)

    def untied(self, direction: IntArray) -> IntArray:
        """A direction of the parameters (free,) as one of the entries (P,)."""
        if self.ties is None:
            return direction
        return np.where(self.ties >= 0, direction[np.maximum(self.ties, 0)] if self.free else 0, 0)

    def rank(self, masks: SignArray, *, upper: int, rng: Any, monitor: Monitor) -> tuple[int, int]:
        """Rank modulo the prime of the Jacobians stacked over regions, and how many null vectors were tried."""
        P = self.free
        generator = generator_of(rng)
        basis, pivots, rank, rounds = np.zeros((P, P), dtype=np.int64), np.zeros(P, dtype=np.int64), 0, 0
        direction = np.empty(P, dtype=np.int64)
        while rank < upper:
            monitor.check_time("the functional dimension", partial=rank)
            null_vector(basis, pivots, rank, generator.integers(0, PRIME, P), direction)
            candidates = np.flatnonzero(self.moves(masks, self.untied(direction)))
            rounds += 1
            if not len(candidates):
                break
            wanted = max(8, 2 * (P - rank) // (self.widths[-1] * (self.widths[0] + 1)))
            for r in generator.permutation(candidates)[:wanted]:
                monitor.check_time("the functional dimension", partial=rank)
                rank = int(insert_rows(np.ascontiguousarray(self.tied(self.rows(masks[r]))), basis, pivots, rank))
        return rank, rounds

    def exact_rank(self, masks: SignArray) -> int:
        """The rank over the rationals."""
        rows = [self.tied(self.rows(m, rational=True)) for m in np.unique(masks, axis=0)]
        return exact.rank(np.concatenate(rows)) if self.free else 0

    # ---- what certainly changes nothing -------------------------------------------------------
    def certain_freedom(self, masks: SignArray) -> int:
        """Dimension of directions that certainly keep the function: all of gates that give 0 everywhere, and scalings.

        Of tied entries scalings alone: a class moves with gates that do not give 0, too.
        """
        if self.ties is not None:
            return self.scaling_dimension()
        gone: BoolArray = np.asarray((self.slopes_on(masks, rational=True) == 0).all(axis=0), dtype=bool)
        return int(self._free(gone).sum()) + self.scaling_dimension(gone)

    def _free(self, gone: BoolArray) -> BoolArray:
        free = np.zeros(self.count, dtype=bool)
        for read in self.reads:
            part = slice(read.first, read.first + len(read.rows))
            if read.block <= len(self.network.blocks):
                free[part] |= gone[self.starts[read.block - 1] + read.rows]
            if read.of:
                free[part] |= gone[self.starts[read.of - 1] + read.columns]
        for l in range(1, len(self.widths) - 1):
            first = int(self.biases[l - 1])
            free[first : first + self.widths[l]] |= gone[self.starts[l - 1] : self.starts[l]]
        return free

    def scaling_dimension(self, gone: BoolArray | None = None) -> int:
        """Gates that some positive scaling moves; those that are ``gone`` count as cut off.

        Gates connected by entries that are not 0, with no bias, no input and no output among them, are scaled together
        without any parameter changing.
        """
        N = self.network.n_hidden
        if self.ties is not None:
            return self._tied_scalings(self.ties)
        free = self._free(np.zeros(N, dtype=bool) if gone is None else gone)
        parent = list(range(N + 1))  # N: what cannot be scaled

        def root(x: int) -> int:
            while parent[x] != x:
                parent[x] = parent[parent[x]]
                x = parent[x]
            return x

        for a, b in self._bonds(free):
            parent[root(a)] = root(b)
        loose = {root(i) for i in range(N)} - {root(N)}
        return N - len(loose)

    def _tied_scalings(self, ties: IntArray) -> int:
        """Dimension of the scalings under which entries that are tied stay equal, by what they do to the parameters.

        A scaling multiplies an entry by the factor of the gate that reads over that of the gate read: in logarithms a
        row with +1 and -1. Rows of a class must agree, and its first row says how the parameter moves.
        """
        N = self.network.n_hidden
        first: dict[int, tuple[int, int]] = {}
        agree: set[tuple[int, ...]] = set()
        for k, (above, below) in self._ends():
            t = int(ties[k])
            if t >= 0 and first.setdefault(t, (above, below)) != (above, below):
                agree.add((*first[t], above, below))
        rows = np.zeros((len(agree), N + 1), dtype=np.int64)
        for row, (a, b, c, d) in zip(rows, sorted(agree)):
            for at, step in ((a, 1), (b, -1), (c, -1), (d, 1)):
                row[at] += step
        moved = np.zeros((len(first), N + 1), dtype=np.int64)
        for row, (a, b) in zip(moved, first.values()):
            row[a] += 1
            row[b] -= 1
        both = np.concatenate([rows, moved])[:, :N]  # what cannot be scaled has factor 1
        return _rank(both) - _rank(both[: len(rows)])

    def _ends(self) -> Iterator[tuple[int, tuple[int, int]]]:
        """For each entry the gate that reads and the one that is read; N for inputs, outputs and offsets."""
        N, last = self.network.n_hidden, len(self.widths) - 1
        for read in self.reads:
            for at in range(len(read.rows)):
                above = N if read.block == last else int(self.starts[read.block - 1] + read.rows[at])
                below = N if read.of == 0 else int(self.starts[read.of - 1] + read.columns[at])
                yield read.first + at, (above, below)
        for l in range(1, last + 1):
            for i in range(self.widths[l]):
                yield int(self.biases[l - 1]) + i, (N if l == last else int(self.starts[l - 1]) + i, N)

    def _bonds(self, free: BoolArray) -> Iterator[tuple[int, int]]:
        live = (self.theta != 0) & ~free
        yield from (ends for k, ends in self._ends() if live[k])


def _reduced(values: Array) -> Array:
    return values if values.dtype == object else values % PRIME


def _rank(matrix: IntArray) -> int:
    """Rank of a matrix of small integers, modulo the prime."""
    n = matrix.shape[1]
    basis, pivots = np.zeros((n, n), dtype=np.int64), np.zeros(n, dtype=np.int64)
    return int(insert_rows(np.ascontiguousarray(np.unique(matrix % PRIME, axis=0)), basis, pivots, 0)) if n else 0


def _product(left: Array, right: Array) -> Array:
    """``left @ right`` along the last two axes; residues are multiplied in halves so that no sum overflows."""
    if left.dtype == object or right.dtype == object:
        return np.asarray(left @ right)
    high, low = left >> 16, left & 0xFFFF
    return np.asarray((((high @ right) % PRIME << 16) + (low @ right) % PRIME) % PRIME)


__all__ = ["Read", "WiredParameters"]
