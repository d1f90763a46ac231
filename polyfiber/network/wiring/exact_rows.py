"""Sparse affine maps with exact rational entries: what is multiplied out when affine maps stand in a row.

An entry of row i in column c is ``numerators[e] / (below[i] * scale[c])``: integers over denominators of rows and of
columns. Floats are integers over one power of two; a division by constants goes into the rows, or the columns where a
map is diagonal, so that no common denominator of hundreds of constants is ever formed unless a sum calls for it. A
product costs its nonzero products, not its shape.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from ..._typing import Array, FloatArray, IntArray
from ...errors import InputError

PRODUCT_LIMIT = 20_000_000
"""Nonzero products of integers that one exact product of maps may take (about ten seconds)."""

BIT_LIMIT = 320_000_000_000
"""Products times bits of the longest factor (seconds)."""

SQRT_BITS = 120
CHUNK = 1 << 19


def integers(values: Any) -> tuple[Array, int]:
    """Floats, integers or Fractions as integers (dtype object) over one positive denominator."""
    array = np.asarray(values)
    if array.dtype == object:
        flat = [Fraction(v) for v in array.ravel().tolist()]
        below = math.lcm(*{f.denominator for f in flat}) if flat else 1
        above = np.empty(len(flat), dtype=object)
        above[:] = [f.numerator * (below // f.denominator) for f in flat]
        return above.reshape(array.shape), below
    mantissas, exponents = np.frexp(array.astype(np.float64))
    whole = np.ldexp(mantissas, 53).astype(np.int64)
    powers = exponents.astype(np.int64) - 53
    nonzero = whole != 0
    lowest = np.where(nonzero, whole & -whole, 1)
    shift = np.frexp(lowest.astype(np.float64))[1].astype(np.int64) - 1
    whole >>= shift
    powers = np.where(nonzero, powers + shift, 0)
    least = min(int(powers.min()), 0) if powers.size else 0
    shifts = np.asarray(powers - least).astype(object)
    return np.asarray(np.left_shift(whole.astype(object), shifts), dtype=object), 2**-least


def upper(numerator: int, denominator: int) -> float:
    """A float64 not below ``numerator / denominator`` (both nonnegative); 0 only for 0."""
    if numerator == 0:
        return 0.0
    try:
        return math.nextafter(numerator / denominator, math.inf)
    except OverflowError:
        return math.inf


def _ones(count: int) -> Array:
    ones = np.empty(count, dtype=object)
    ones[:] = 1
    return ones


def rows_of(indptr: IntArray) -> IntArray:
    """The row of each entry."""
    return np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))


def entries_of(indptr: IntArray, which: IntArray) -> tuple[IntArray, IntArray]:
    """(indptr, places of the entries) of the chosen rows, in the order chosen."""
    lengths = (indptr[1:] - indptr[:-1])[which]
    ends = np.cumsum(lengths)
    begins = np.concatenate([[0], ends]).astype(np.int64)
    places = np.repeat(indptr[:-1][which] - begins[:-1], lengths) + np.arange(begins[-1])
    return begins, places


@dataclass(frozen=True)
class ExactRows:
    """Rows of rationals over numbered columns, each with an offset.

    ``sizes`` holds the same map of absolute values where irrational factors were replaced by close rationals: each
    product of the true map differs from that here by at most ``((1 + 2**-120)**steps - 1)`` times its size.
    """

    indptr: IntArray
    columns: IntArray
    numerators: Array
    below: Array  # (m,) positive integers
    scale: dict[int, int]  # column -> positive integer; 1 where missing
    offset_above: Array
    offset_below: Array
    steps: int = 0
    sizes: ExactRows | None = None

    @classmethod
    def of(cls, indptr: IntArray, columns: IntArray, data: Array, offset: Array | None, steps: int = 0) -> ExactRows:
        """Exactly the given numbers: floats or Fractions."""
        m = len(indptr) - 1
        below = _ones(m)
        if data.dtype == object:
            above = np.empty(len(data), dtype=object)
            fractions = [Fraction(v) for v in data.tolist()]
            for i in range(m):
                row = fractions[indptr[i] : indptr[i + 1]]
                below[i] = math.lcm(*(f.denominator for f in row))
                above[indptr[i] : indptr[i + 1]] = [f.numerator * (below[i] // f.denominator) for f in row]
        else:
            above, common = integers(data)
            below[:] = common
        if offset is None:
            offset_above, offset_below = 0 * _ones(m), _ones(m)
        elif offset.dtype == object:
            offset_above, offset_below = _ones(m), _ones(m)
            offset_above[:] = [Fraction(v).numerator for v in offset.tolist()]
            offset_below[:] = [Fraction(v).denominator for v in offset.tolist()]
        else:
            offset_above, common = integers(offset)
            offset_below = _ones(m) * common
        return cls(indptr, columns, above, below, {}, offset_above, offset_below, steps)

    @classmethod
    def units(cls, columns: IntArray) -> ExactRows:
        """Row k is column ``columns[k]``."""
        m = len(columns)
        return cls(np.arange(m + 1), columns, _ones(m), _ones(m), {}, 0 * _ones(m), _ones(m))

    def by_columns(self) -> ExactRows:
        """Denominators of rows as those of columns, where each row has one entry and no two share a column.

        Not for a map that is still to be composed with an inner one: there the columns have no denominators.
        """
        if np.any(np.diff(self.indptr) != 1) or len(np.unique(self.columns)) != len(self.columns):
            return self
        scale = dict(self.scale)
        for column, d in zip(self.columns.tolist(), self.below.tolist()):
            if d != 1:
                scale[column] = scale.get(column, 1) * d
        return replace(self, below=_ones(len(self.below)), scale=scale)

    def absolute(self) -> ExactRows:
        """The map of absolute values; of the products that were summed, where factors are irrational."""
        if self.sizes is not None:
            return self.sizes
        return replace(self, numerators=np.abs(self.numerators), offset_above=np.abs(self.offset_above), steps=0)

    def take(self, which: IntArray) -> ExactRows:
        """The chosen rows."""
        indptr, places = entries_of(self.indptr, which)
        return ExactRows(
            indptr,
            self.columns[places],
            self.numerators[places],
            self.below[which],
            self.scale,
            self.offset_above[which],
            self.offset_below[which],
            self.steps,
            None if self.sizes is None else self.sizes.take(which),
        )

    def rescaled(self, scale: dict[int, int]) -> ExactRows:
        """The same map with other denominators of columns, multiples of those here."""
        if scale == self.scale:
            return self
        ratio = {c: d // self.scale.get(c, 1) for c, d in scale.items()}
        factors = np.empty(len(self.columns), dtype=object)
        factors[:] = [ratio.get(c, 1) for c in self.columns.tolist()]
        sizes = None if self.sizes is None else self.sizes.rescaled(scale)
        return replace(self, numerators=self.numerators * factors, scale=scale, sizes=sizes)

    @staticmethod
    def stacked(parts: list[ExactRows]) -> ExactRows:
        """The rows of all parts, one part after the other."""
        if len(parts) == 1:
            return parts[0]
        steps = max(p.steps for p in parts)
        scale: dict[int, int] = {}
        for part in parts:
            for column, d in part.scale.items():
                scale[column] = math.lcm(scale.get(column, 1), d)
        parts = [p.rescaled(scale) for p in parts]
        starts = np.cumsum([0, *(p.indptr[-1] for p in parts)])
        indptr = np.concatenate([[0], *(p.indptr[1:] + s for p, s in zip(parts, starts))])
        columns, numerators, below, above, under = (
            np.concatenate([getattr(p, name) for p in parts])
            for name in ("columns", "numerators", "below", "offset_above", "offset_below")
        )
        sizes = ExactRows.stacked([p.absolute().rescaled(scale) for p in parts]) if steps else None
        return ExactRows(indptr, columns, numerators, below, scale, above, under, steps, sizes)

    def after(self, inner: ExactRows, where: IntArray, budget: Products) -> ExactRows:
        """The composition: entry e of this map multiplies row ``where[e]`` of the inner map; offsets too."""
        steps = self.steps + inner.steps
        sizes = self.absolute().after(inner.absolute(), where, budget) if steps else None
        m = len(self.indptr) - 1
        used = np.unique(where)
        common = math.lcm(*set(inner.below[used].tolist())) if len(used) else 1
        factors = _ones(len(inner.below))
        factors[used] = common // inner.below[used]
        numerators = inner.numerators
        if any(f != 1 for f in factors.tolist()):
            numerators = numerators * np.repeat(factors, np.diff(inner.indptr))
        lengths = np.diff(inner.indptr)[where]
        budget.spend(int(lengths.sum()), self.numerators, numerators)
        pieces = list(self._products(inner, where, lengths, numerators))
        counts = np.concatenate([p[0] for p in pieces]) if pieces else np.zeros(m, dtype=np.int64)
        columns = np.concatenate([p[1] for p in pieces]) if pieces else inner.columns[:0]
        products = np.concatenate([p[2] for p in pieces]) if pieces else numerators[:0]
        above, below = self._offsets(inner, where, used)
        indptr = np.concatenate([[0], np.cumsum(counts)])
        result = ExactRows(indptr, columns, products, self.below * common, inner.scale, above, below, steps, sizes)
        return result.by_columns()

    def _products(
        self, inner: ExactRows, where: IntArray, lengths: IntArray, numerators: Array
    ) -> Iterator[tuple[IntArray, IntArray, Array]]:
        """(entries of each row, columns, sums of products) for runs of rows."""
        m = len(self.indptr) - 1
        before = np.concatenate([[0], np.cumsum(lengths)])[self.indptr]
        i = 0
        while i < m:
            j = max(i + 1, int(np.searchsorted(before, before[i] + CHUNK, side="right")) - 1)
            entries = slice(self.indptr[i], self.indptr[j])
            _, places = entries_of(inner.indptr, where[entries])
            factors = np.repeat(self.numerators[entries], lengths[entries])
            products = factors * numerators[places]
            rows = np.repeat(np.repeat(np.arange(j - i), np.diff(self.indptr[i : j + 1])), lengths[entries])
            columns = inner.columns[places]
            order = np.lexsort((columns, rows))
            rows, columns = rows[order], columns[order]
            if len(order):
                first = np.concatenate([[True], (np.diff(rows) != 0) | (np.diff(columns) != 0)])
                products = np.add.reduceat(products[order], np.flatnonzero(first))
                rows, columns = rows[first], columns[first]
            yield np.bincount(rows, minlength=j - i), columns, products
            i = j

    def _offsets(self, inner: ExactRows, where: IntArray, used: IntArray) -> tuple[Array, Array]:
        """Offsets of the composition: sums over the rows of this map, over common denominators."""
        below = set(inner.offset_below[used].tolist())
        bits = sum(d.bit_length() for d in below)
        if len(used) * bits > BIT_LIMIT // 1000:
            raise InputError(
                f"a division by {len(below):,} different constants cannot be folded exactly; fold it before"
            )
        common = math.lcm(*below) if below else 1
        shifted = 0 * _ones(len(inner.below))
        shifted[used] = inner.offset_above[used] * (common // inner.offset_below[used])
        terms = shifted[where]
        live = np.flatnonzero(terms != 0)
        sums = 0 * _ones(len(self.below))
        np.add.at(sums, rows_of(self.indptr)[live], self.numerators[live] * terms[live])
        # the denominators of this map's columns are 1: its columns are rows of the inner map
        under = self.below * common
        same = self.offset_above == 0
        above = np.where(same, sums, sums * self.offset_below + self.offset_above * under)
        return above, np.where(same, under, under * self.offset_below)

    def rounded(self, what: str) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Entries and offsets as nearest float64, and for each an upper bound on the distance to the true number."""
        below = self.below[rows_of(self.indptr)]
        if self.scale:
            factors = np.empty(len(self.columns), dtype=object)
            factors[:] = [self.scale.get(c, 1) for c in self.columns.tolist()]
            below = below * factors
        sizes = self.absolute() if self.steps else None
        extra = None if sizes is None else sizes._sizes_of_entries()
        values, bounds = _round(self.numerators, below, extra, self.steps, what)
        offsets = None if sizes is None else (sizes.offset_above, sizes.offset_below)
        return (values, bounds, *_round(self.offset_above, self.offset_below, offsets, self.steps, what))

    def _sizes_of_entries(self) -> tuple[Array, Array]:
        below = self.below[rows_of(self.indptr)]
        if self.scale:
            factors = np.empty(len(self.columns), dtype=object)
            factors[:] = [self.scale.get(c, 1) for c in self.columns.tolist()]
            below = below * factors
        return self.numerators, below


class Products:
    """How many nonzero products of integers may still be formed."""

    def __init__(self, limit: int = PRODUCT_LIMIT) -> None:
        self.limit = limit
        self.spent = 0
        self.what = ""

    def spend(self, products: int, left: Array, right: Array) -> None:
        """Count products before they are formed; InputError beyond the limit."""
        self.spent += products
        if self.spent > self.limit:
            raise InputError(
                f"{self.what}: folding would take {self.spent:,} exact multiplications or more; the limit is "
                f"{self.limit:,}. Merge these affine layers before exporting the network",
                cost=self.spent,
            )
        longest = max((n.bit_length() for values in (left, right) for n in values.tolist()), default=0)
        if products * longest > BIT_LIMIT or longest > 1 << 20:
            raise InputError(
                f"{self.what}: the layers to fold hold numbers too long for an exact product; fold them before"
            )


def _round(
    above: Array, below: Array, sizes: tuple[Array, Array] | None, steps: int, what: str
) -> tuple[FloatArray, FloatArray]:
    values, bounds = np.empty(len(above)), np.zeros(len(above))
    if len(above) == 0:
        return values, bounds
    common = below[0]
    plain = (
        sizes is None and common & (common - 1) == 0 and common.bit_length() <= 1000 and bool(np.all(below == common))
    )
    if plain and int(np.abs(above).max()).bit_length() <= 53:
        return np.ldexp(above.astype(np.float64), 1 - common.bit_length()), bounds
    for i, (n, d) in enumerate(zip(above.tolist(), below.tolist())):
        try:
            value = n / d  # integer division rounds to nearest
        except OverflowError:
            raise InputError(f"{what}: folding gives a number beyond float64") from None
        p, q = value.as_integer_ratio()
        values[i] = value
        if sizes is None:
            bounds[i] = upper(abs(n * q - p * d), q * d)
        else:
            # |true - exact| <= ((1 + 2^-120)^steps - 1) * size <= steps 2^-119 size, for steps <= 2^100
            size, under = sizes[0][i], sizes[1][i]
            room = under << (SQRT_BITS - 1)
            bounds[i] = upper(abs(n * q - p * d) * room + steps * size * q * d, q * d * room)
    return values, bounds
