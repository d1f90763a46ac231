"""Networks as they stand in files: numbered values, affine maps between them, gates.

A reader gives each value of each tensor a number, its *slot*. Whatever only moves values about (slices, transposes,
concatenation, padding by zeros, pooling windows) is then an operation on arrays of slots and costs no arithmetic. Two
kinds of nodes make new slots: affine maps, sparse, as they stand in the file; and gates. `assembly` multiplies out the
affine maps that stand between gates and sorts the gates into blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ..._typing import Array, BoolArray, IntArray
from ...errors import InputError, ShapeError
from ..names import printable
from ..piecewise import GateGroup

NONZERO_LIMIT = 1 << 24
"""Entries of all sparse affine maps of one network."""

DENSE_LIMIT = 1 << 26
"""Entries of all dense ones (a small file can name a tensor often)."""

SLOT_LIMIT = 1 << 23
"""Values of all tensors of one network."""

GATE_LIMIT = 1 << 20
"""Gates of one network, those that nobody reads in the end included."""


@dataclass(frozen=True)
class Affine:
    """``data`` in compressed rows over slots, or a dense ``matrix`` on the slots ``reads``; plus an offset."""

    start: int
    size: int
    name: str
    level: int
    reads: IntArray | None  # slots that live on with any row; None: those with an entry in a live row
    matrix: Array | None
    indptr: IntArray | None
    columns: IntArray | None
    data: Array | None
    offset: Array | None
    steps: int = 0  # irrational factors that were replaced

    def rows(self) -> tuple[IntArray, IntArray, Array]:
        """(indptr, slots, data) with the zeros of a dense matrix left out."""
        if self.matrix is None:
            assert self.indptr is not None
            assert self.columns is not None
            assert self.data is not None
            return self.indptr, self.columns, self.data
        assert self.reads is not None
        which = np.asarray(self.matrix != 0, dtype=bool)
        indptr = np.concatenate([[0], np.cumsum(which.sum(axis=1))]).astype(np.int64)
        order = np.argsort(self.reads, kind="stable")  # columns ascend with slots
        if np.array_equal(order, np.arange(len(order))):
            return indptr, self.reads[np.nonzero(which)[1]], self.matrix[which]
        return indptr, self.reads[order][np.nonzero(which[:, order])[1]], self.matrix[:, order][which[:, order]]


@dataclass(frozen=True)
class Gates:
    """Gates on slots; where they come from in the file."""

    start: int
    size: int
    level: int
    before: IntArray  # slots that the gates read
    slopes: Array  # (size, 2)
    node: str
    operation: str
    shape: tuple[int, ...]
    positions: IntArray
    role: str

    def group(self, live: IntArray) -> GateGroup:
        """The gates that are left, for the network."""
        return GateGroup(self.node, self.operation, self.shape, self.positions[live], self.role)


@dataclass(frozen=True)
class Place:
    """Where in a file an operation stands: node, operation, shape of its output, and a place in it for each value."""

    node: str
    operation: str
    shape: tuple[int, ...]
    positions: IntArray

    @classmethod
    def whole(cls, node: str, operation: str, shape: Sequence[int]) -> Place:
        """Every place of an output, row by row."""
        shape = tuple(int(n) for n in shape)
        return cls(printable(node), operation, shape, np.arange(int(np.prod(shape, dtype=np.int64))))

    def at(self, which: IntArray) -> Place:
        """Some of the places."""
        return Place(self.node, self.operation, self.shape, self.positions[which])


@dataclass(frozen=True)
class Activation:
    """An increasing function of one variable: its kind and its parameters."""

    kind: str
    parameters: tuple[Any, ...]


class Wiring:
    """The values, maps and gates of a network that is being read.

    Parameters
    ----------
    n_inputs : int
        Slots 0 … n_inputs - 1 are the inputs.

    Examples
    --------
    >>> from polyfiber.network.wiring.assembly import assemble
    >>> w = Wiring(2)
    >>> h = w.dense(w.inputs, [[1.0, -1.0]], None, name="hidden")
    >>> y = w.gates(h, (0.0, 1.0), Place.whole("relu", "Relu", (1,)))
    >>> assemble(w, w.total([(y, 1), (w.inputs[:1], 1)], name="skip"), {})
    PiecewiseLinearNetwork(2-1-1, float64, 1 gate, 4 nonzeros)
    """

    def __init__(self, n_inputs: int) -> None:
        if n_inputs < 1:
            raise ShapeError(f"a network needs at least one input; found {n_inputs}")
        if n_inputs > SLOT_LIMIT:
            raise ShapeError(f"{n_inputs:,} inputs; the limit is {SLOT_LIMIT:,}")
        self.n_inputs = int(n_inputs)
        self.inputs: IntArray = np.arange(n_inputs)
        self.nodes: list[Affine | Gates] = []
        self.size = int(n_inputs)
        self.n_gates = 0
        self.dtypes: set[str] = set()
        self.notes: list[str] = []
        self.held = {"sparse": 0, "dense": 0}
        self.activations: list[Activation] = []
        self.compared: dict[tuple[int, int], int] = {}  # the gate of a - b, for slots a < b
        room = max(64, 2 * n_inputs)
        self._levels = np.zeros(room, dtype=np.int32)
        self._nonnegative = np.zeros(room, dtype=bool)
        self._activation = np.zeros(room, dtype=np.int32)  # 1 + place in activations; 0: none
        self._before = np.zeros(room, dtype=np.int64)

    # ---- slots ------------------------------------------------------------------------------
    def level(self, slots: IntArray) -> int:
        """The last block of gates that any of the slots depends on; 0 if none."""
        return int(self._levels[slots[slots >= 0]].max(initial=0))

    def nonnegative(self, slots: IntArray) -> BoolArray:
        """Which slots are 0, or outputs of gates that never give a negative value."""
        return np.asarray((slots < 0) | self._nonnegative[slots])

    def mark(self, slots: IntArray, before: IntArray, activation: Activation) -> None:
        """State that slots are an increasing function of others, so that a maximum may be taken before it."""
        known = self.activations.index(activation) if activation in self.activations else len(self.activations)
        if known == len(self.activations):
            self.activations.append(activation)
        made = slots >= 0
        self._activation[slots[made]] = known + 1
        self._before[slots[made]] = before[made]

    def marked(self, slots: IntArray) -> tuple[IntArray, IntArray]:
        """(1 + number of the activation that made each slot, or 0; the slot before it)."""
        number = np.where(slots < 0, 0, self._activation[slots])
        return number, np.where(number > 0, self._before[slots], -1)

    def _grow(self, size: int, level: int, what: str) -> IntArray:
        start, self.size = self.size, self.size + int(size)
        if self.size > SLOT_LIMIT:
            raise InputError(f"{what}: the network has more than {SLOT_LIMIT:,} values", limit=SLOT_LIMIT)
        if self.size > len(self._levels):
            room = 2 * self.size
            for field in ("_levels", "_nonnegative", "_activation", "_before"):
                setattr(self, field, np.resize(getattr(self, field), room))
        self._levels[start : self.size] = level
        self._nonnegative[start : self.size] = False
        self._activation[start : self.size] = 0
        return np.arange(start, self.size)

    def _hold(self, kind: str, size: int, what: str) -> None:
        self.held[kind] += size
        limit = NONZERO_LIMIT if kind == "sparse" else DENSE_LIMIT
        if self.held[kind] > limit:
            raise InputError(f"{what}: the layers up to here hold more than {limit:,} numbers", limit=limit)

    def expect(self, count: int, what: str) -> None:
        """InputError if so many entries are more than one network may have; asked before arrays of them are made."""
        if count > NONZERO_LIMIT:
            raise InputError(
                f"{what}: {count:,} values or entries; the limit is {NONZERO_LIMIT:,}", limit=NONZERO_LIMIT
            )

    def numbers(self, values: Any, what: str, *, note: bool = True) -> Array:
        """Finite float64, or Fractions as they are; the floating type in the file is noted."""
        array = np.asarray(values)
        if array.dtype == object:
            return array
        if array.dtype.kind == "f" and array.dtype.itemsize <= 8:
            if note:
                self.dtypes.add(array.dtype.name)
        elif array.dtype.kind not in "iu":
            raise InputError(f"{what} has dtype {array.dtype}; expected float16, float32 or float64")
        elif array.size and int(np.abs(array.astype(object)).max()) > 2**53:
            raise InputError(f"{what} holds integers above 2**53, which float64 cannot hold")
        with np.errstate(invalid="ignore"):  # a signalling NaN
            array = array.astype(np.float64)
        if not np.isfinite(array).all():
            index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise InputError(f"{what} holds {array[index]} at {index}; expected finite numbers", index=index)
        return array

    # ---- affine maps ------------------------------------------------------------------------
    def dense(self, slots: IntArray, weight: Any, bias: Any = None, *, name: str) -> IntArray:
        """``weight @ values + bias``: weight (m, n), bias (m,) or None."""
        name = printable(name)
        w = self.numbers(weight, f"{name}: weight")
        if w.ndim != 2 or 0 in w.shape:
            raise ShapeError(
                f"{name}: the weight has shape {w.shape}; expected a matrix (outputs, inputs), one of each or more"
            )
        if w.shape[1] != len(slots):
            raise ShapeError(
                f"{name}: expects {w.shape[1]} inputs but the layer before gives {len(slots)} (weight shape {w.shape})"
            )
        b = None if bias is None else self.numbers(bias, f"{name}: bias")
        if b is not None and b.shape != (w.shape[0],):
            raise ShapeError(f"{name}: {w.shape[0]} neurons but a bias of shape {b.shape}")
        self._hold("dense", w.size, name)
        if len(np.unique(slots)) < len(slots) or np.any(slots < 0):  # one value twice, or a zero of a padding
            which = np.asarray(w != 0, dtype=bool) & (slots >= 0)
            rows, places = np.nonzero(which)
            return self.entries(w.shape[0], rows, slots[places], w[which], b, reads=slots[slots >= 0], name=name)
        level = self.level(slots)
        made = self._grow(w.shape[0], level, name)
        self.nodes.append(Affine(int(made[0]), len(made), name, level, slots, w, None, None, None, b))
        return made

    def entries(
        self,
        size: int,
        rows: IntArray,
        slots: IntArray,
        data: Array,
        offset: Array | None,
        *,
        reads: IntArray | None,
        name: str,
        steps: int = 0,
    ) -> IntArray:
        """A sparse map by its entries (row, slot, number), float64 or Fractions; entries of one place are added up."""
        name = printable(name)
        self._hold("sparse", len(rows) + size, name)
        order = np.lexsort((slots, rows))
        rows, columns, data = rows[order], slots[order], data[order]
        same = (np.diff(rows) == 0) & (np.diff(columns) == 0)
        if same.any():
            first = np.flatnonzero(np.concatenate([[True], ~same]))
            exact = np.empty(len(data), dtype=object)
            exact[:] = [Fraction(v) for v in data.tolist()]
            rows, columns, data = rows[first], columns[first], np.add.reduceat(exact, first)
        indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=size))]).astype(np.int64)
        level = self.level(columns if reads is None else reads)
        made = self._grow(size, level, name)
        self.nodes.append(Affine(int(made[0]), size, name, level, reads, None, indptr, columns, data, offset, steps))
        return made

    def diagonal(
        self, slots: IntArray, *, scale: Any = None, shift: Any = None, name: str, irrational: bool = False
    ) -> IntArray:
        """``scale * values + shift`` entrywise; each of the shape of the slots or None.

        ``irrational`` says that the given scale is within ``2**-120`` relatively of the true one.
        """
        name, n = printable(name), len(slots)
        s = None if scale is None else self.numbers(scale, f"{name}: scale")
        t = None if shift is None else self.numbers(shift, f"{name}: shift")
        for values in (s, t):
            if values is not None and values.shape != (n,):
                raise ShapeError(f"{name}: shape {values.shape} does not fit {n} values")
        if (s is None or bool(np.all(s == 1))) and (t is None or not np.any(t)):
            return slots
        s = np.ones(n) if s is None else s
        rows = np.flatnonzero(slots >= 0)
        return self.entries(n, rows, slots[rows], s[rows], t, reads=None, name=name, steps=int(irrational))

    def total(self, terms: Sequence[tuple[IntArray, Any]], *, name: str, offset: Array | None = None) -> IntArray:
        """``sum of coefficient * values`` entrywise over arrays of slots of one length."""
        n = len(terms[0][0])
        rows = np.tile(np.arange(n), len(terms))
        slots = np.concatenate([s for s, _ in terms])
        exact = any(isinstance(c, Fraction) for _, c in terms)
        data = np.empty(len(rows), dtype=object if exact else np.float64)
        for k, (_, coefficient) in enumerate(terms):
            data[k * n : (k + 1) * n] = coefficient
        keep = slots >= 0
        return self.entries(n, rows[keep], slots[keep], data[keep], offset, reads=None, name=name)

    def constant(self, values: Any, *, name: str) -> IntArray:
        """Values that do not depend on the input."""
        flat = self.numbers(values, printable(name), note=False).reshape(-1)
        none = np.zeros(0, dtype=np.int64)
        return self.entries(len(flat), none, none, np.zeros(0), flat, reads=None, name=name)

    # ---- gates ------------------------------------------------------------------------------
    def gates(self, slots: IntArray, slopes: Any, place: Place, role: str = "") -> IntArray:
        """One gate on each slot; slopes (2,) or (n, 2), floats or Fractions; a slope twice is no gate but a factor."""
        n = len(slots)
        if np.any(slots < 0):
            raise ShapeError(f"{place.node}: a gate on a constant zero")
        pairs = np.broadcast_to(self.numbers(slopes, f"{place.node}: slopes", note=False), (n, 2))
        equal = np.asarray(pairs[:, 0] == pairs[:, 1], dtype=bool)
        if equal.all():
            return self.diagonal(slots, scale=pairs[:, 1], name=place.node)
        if equal.any():
            made = np.empty(n, dtype=np.int64)
            made[equal] = self.diagonal(slots[equal], scale=pairs[equal, 1], name=place.node)
            made[~equal] = self.gates(slots[~equal], pairs[~equal], place.at(np.flatnonzero(~equal)), role)
            return made
        self.n_gates += n
        if self.n_gates > GATE_LIMIT:
            raise InputError(f"{place.node}: the network has more than {GATE_LIMIT:,} gates", limit=GATE_LIMIT)
        level = self.level(slots) + 1
        made = self._grow(n, level, place.node)
        self._nonnegative[made] = np.asarray((pairs[:, 0] <= 0) & (pairs[:, 1] >= 0), dtype=bool)
        self.nodes.append(
            Gates(int(made[0]), n, level, slots, pairs, place.node, place.operation, place.shape, place.positions, role)
        )
        return made
