"""From a wiring to a network: what is dead goes, affine maps between gates are multiplied out, gates become blocks.

Where one affine map stands between gates, its numbers are those of the file. Where several do, they are multiplied out
in exact rational arithmetic, and each parameter is rounded once, to nearest; the distance to the exact product is
recorded, rounded upwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..._typing import Array, BoolArray, FloatArray, IntArray
from ...errors import InputError
from ..model import ReLUNetwork
from ..piecewise import AffineMap, GateBlock, PiecewiseLinearNetwork
from ..sparse import SparseMatrix
from .exact_rows import ExactRows, Products, entries_of
from .slots import Affine, Gates, Wiring

WRITTEN_OUT = 1 << 22
SPARSITY = 8
"""A chain is written out with its zeros if it then has at most WRITTEN_OUT entries, or SPARSITY times its nonzeros."""

MOST_WRITTEN_OUT = 1 << 26
READ_LIMIT = 1 << 17
"""Pairs of a block and one that it reads, each with a matrix of its own: some seconds."""


@dataclass
class _Rows:
    """Some slots as affine functions of inputs and gates: floats as in the file, or exact products."""

    indptr: IntArray
    columns: IntArray
    data: Array  # empty where exact
    offset: Array | None
    exact: ExactRows | None
    operations: tuple[str, ...]
    dense: Affine | None = None  # all rows of a dense layer, whose entries are not unpacked yet

    def unpacked(self) -> _Rows:
        if self.dense is None:
            return self
        indptr, columns, data = self.dense.rows()
        return _Rows(indptr, columns, data, self.dense.offset, None, self.operations)

    def take(self, which: IntArray) -> _Rows:
        rows = self.unpacked()
        if rows.exact is not None:
            return _Rows(rows.indptr, rows.columns, rows.data, None, rows.exact.take(which), rows.operations)
        indptr, places = entries_of(rows.indptr, which)
        offset = None if rows.offset is None else rows.offset[which]
        return _Rows(indptr, rows.columns[places], rows.data[places], offset, None, rows.operations)

    def as_exact(self, steps: int = 0) -> ExactRows:
        rows = self.unpacked()
        if rows.exact is not None:
            return rows.exact
        return ExactRows.of(rows.indptr, rows.columns, rows.data, rows.offset, steps).by_columns()


@dataclass
class _Layer:
    """Rows of one block, or of the output, in floats over slots of inputs and gates."""

    indptr: IntArray
    columns: IntArray
    data: FloatArray
    offset: FloatArray
    operations: tuple[str, ...] = ()
    folded: bool = False
    errors: FloatArray = field(default_factory=lambda: np.zeros(0))
    offset_errors: FloatArray = field(default_factory=lambda: np.zeros(0))
    dense: Affine | None = None

    @property
    def size(self) -> int:
        return len(self.offset)


def assemble(
    wiring: Wiring,
    outputs: IntArray,
    source: Mapping[str, Any],
    *,
    input_shape: Sequence[int] | None = None,
    head: str | None = None,
    notes: Sequence[str] = (),
    chain: bool = False,
) -> ReLUNetwork | PiecewiseLinearNetwork:
    """The network of a wiring.

    Parameters
    ----------
    outputs : (m,) slots
    source : mapping
        Gains dtype (unless it has one), head, folding and notes.
    chain : bool
        Whether a ReLU chain comes out as a `ReLUNetwork` however sparse it is.

    Returns
    -------
    ReLUNetwork or PiecewiseLinearNetwork
        The former where all gates are ReLUs and each block reads the one before it only, unless its matrices would be
        nearly all zeros (convolutions on large inputs).
    """
    return _Assembly(wiring, outputs).network(source, input_shape, head, notes, chain)


class _Assembly:
    def __init__(self, wiring: Wiring, outputs: IntArray) -> None:
        self.w = wiring
        self.outputs = outputs
        self.starts = np.array([0, *(n.start for n in wiring.nodes)])
        self.products = Products()
        self.live = self._live()
        self.made: dict[int, _Rows] = {}
        self.places: dict[int, IntArray] = {}  # node -> row of `made` for each of its slots

    def _live(self) -> BoolArray:
        """Slots that the outputs depend on, as far as the wiring shows."""
        live = np.zeros(self.w.size, dtype=bool)
        live[self.outputs[self.outputs >= 0]] = True
        for node in reversed(self.w.nodes):
            here = live[node.start : node.start + node.size]
            if not here.any():
                continue
            if isinstance(node, Gates):
                live[node.before[here]] = True
            elif node.reads is not None:
                live[node.reads] = True
            else:
                assert node.indptr is not None
                assert node.columns is not None
                _, places = entries_of(node.indptr, np.flatnonzero(here))
                live[node.columns[places]] = True
        return live

    def _owner(self, slots: IntArray) -> IntArray:
        """Number of the node of each slot; -1 for inputs, -2 for zeros."""
        return np.where(slots < 0, -2, np.searchsorted(self.starts, slots, side="right") - 2)

    def _is_base(self, slots: IntArray) -> BoolArray:
        """Which slots are inputs or gates (or zeros)."""
        gates = np.array([True, True, *(isinstance(n, Gates) for n in self.w.nodes)])  # zero, input, nodes
        return np.asarray(gates[self._owner(slots) + 2])

    # ---- affine maps over inputs and gates --------------------------------------------------
    def resolve(self) -> None:
        """Every live affine value as a function of inputs and gates."""
        for k, node in enumerate(self.w.nodes):
            here = self.live[node.start : node.start + node.size]
            if not isinstance(node, Affine) or not here.any():
                continue
            which = np.flatnonzero(here)
            self.places[k] = np.cumsum(here) - 1
            plain = node.matrix is not None and node.matrix.dtype != object
            plain = plain and (node.offset is None or node.offset.dtype != object)
            if plain and len(which) == node.size and node.reads is not None and self._is_base(node.reads).all():
                nothing = np.zeros(0, dtype=np.int64)
                self.made[k] = _Rows(nothing, nothing, np.zeros(0), None, None, (node.name,), node)
                continue
            indptr, columns, data = node.rows()
            if len(which) < node.size:
                indptr, places = entries_of(indptr, which)
                columns, data = columns[places], data[places]
            offset = None if node.offset is None else node.offset[which]
            self.products.what = f"{node.name}"
            self.made[k] = self._composed(node, indptr, columns, data, offset)

    def _composed(self, node: Affine, indptr: IntArray, columns: IntArray, data: Array, offset: Array | None) -> _Rows:
        floats = data.dtype != object and (offset is None or offset.dtype != object)
        if self._is_base(columns).all():
            rows = _Rows(indptr, columns, data, offset, None, (node.name,))
            if floats and not node.steps:
                return rows
            exact = ExactRows.of(indptr, columns, data, offset, node.steps).by_columns()
            return _Rows(indptr, columns, data[:0], None, exact, (node.name,))
        if bool(np.all(np.diff(indptr) == 1)) and bool(np.all(data == 1)) and not node.steps:
            inner = self.gather(columns)  # values moved, or a bias added
            if offset is None or not np.any(offset):
                return inner
            held = inner.offset if inner.dense is None else inner.dense.offset
            if inner.exact is None and floats and (held is None or not np.any(held)):
                dense = None if inner.dense is None else replace(inner.dense, offset=offset)
                operations = _merged(inner.operations, (node.name,))
                return _Rows(inner.indptr, inner.columns, inner.data, offset, None, operations, dense)
        used, where = np.unique(columns, return_inverse=True)
        inner = self.gather(used)
        outer = ExactRows.of(indptr, where, data, offset, node.steps)
        exact = outer.after(inner.as_exact(), where, self.products)
        return _Rows(indptr[:0], columns[:0], data[:0], None, exact, _merged(inner.operations, (node.name,)))

    def gather(self, slots: IntArray) -> _Rows:
        """Rows of any slots, in their order."""
        owners = self._owner(slots)
        kinds = np.unique(owners)
        if len(kinds) == 1 and int(kinds[0]) in self.made:
            k = int(kinds[0])
            rows, places = self.made[k], self.places[k][slots - self.w.nodes[k].start]
            whole = rows.dense is not None and np.array_equal(places, np.arange(self.w.nodes[k].size))
            return rows if whole else rows.take(places)
        parts: list[_Rows] = []
        order: list[IntArray] = []
        base = np.asarray(self._is_base(slots))
        if base.any():
            where = np.flatnonzero(base)
            named = slots[where] >= 0
            indptr = np.concatenate([[0], np.cumsum(named)]).astype(np.int64)
            parts.append(_Rows(indptr, slots[where][named], np.ones(int(named.sum())), None, None, ()))
            order.append(where)
        for k in kinds.tolist():
            if k in self.made:
                where = np.flatnonzero(owners == k)
                parts.append(self.made[k].take(self.places[k][slots[where] - self.w.nodes[k].start]))
                order.append(where)
        back = np.argsort(np.concatenate(order), kind="stable")
        return _stacked(parts).take(back)

    # ---- the network ------------------------------------------------------------------------
    def network(
        self,
        source: Mapping[str, Any],
        input_shape: Sequence[int] | None,
        head: str | None,
        notes: Sequence[str],
        chain: bool,
    ) -> ReLUNetwork | PiecewiseLinearNetwork:
        w = self.w
        self.resolve()
        gates = [n for n in w.nodes if isinstance(n, Gates) and self.live[n.start : n.start + n.size].any()]
        levels = sorted({n.level for n in gates})
        block_of, place_of = np.zeros(w.size, dtype=np.int64), np.arange(w.size)
        layers: list[_Layer] = []
        kept: list[list[tuple[Gates, IntArray]]] = []
        for block, level in enumerate(levels, start=1):
            members = [(n, np.flatnonzero(self.live[n.start : n.start + n.size])) for n in gates if n.level == level]
            kept.append(members)
            count = 0
            for n, which in members:
                block_of[n.start + which] = block
                place_of[n.start + which] = count + np.arange(len(which))
                count += len(which)
            before = np.concatenate([n.before[which] for n, which in members])
            layers.append(self._layer(before, block))
        layers.append(self._layer(self.outputs, len(levels) + 1))
        all_notes = [*notes, *w.notes, *self._identities(kept)]
        if head is not None:
            all_notes.append(f"the file ends in {head}; the network as read gives its logits")
        widths = [w.n_inputs, *(sum(len(which) for _, which in members) for members in kept)]
        facts = {
            "dtype": "+".join(sorted(w.dtypes)) or "float64",
            **source,
            "head": head,
            "notes": tuple(dict.fromkeys(all_notes)),
        }
        if self._is_chain(layers, kept, block_of, widths, chain):
            matrices = [_matrix(layer, place_of, width) for layer, width in zip(layers, widths)]
            facts["folding"] = tuple(
                _record(layer, l, _spread(layer, layer.errors, place_of, width))
                for l, (layer, width) in enumerate(zip(layers, widths), start=1)
                if layer.folded
            )
            if input_shape is not None and len(input_shape) > 1:
                facts["input_shape"] = tuple(input_shape)
            return ReLUNetwork(matrices, [layer.offset for layer in layers], source=facts)
        facts["folding"] = tuple(
            _record(layer, l, layer.errors) for l, layer in enumerate(layers, start=1) if layer.folded
        )
        read = 0
        for layer in layers:
            read += len(np.unique(block_of[layer.columns]))
            if read > READ_LIMIT:
                raise InputError(f"blocks read others more than {READ_LIMIT:,} times, the limit", limit=READ_LIMIT)
        maps = [_affine(layer, block_of, place_of, widths) for layer in layers]
        blocks = []
        for affine, members in zip(maps, kept):
            slopes = np.concatenate([n.slopes[which] for n, which in members])
            groups = [n.group(which) for n, which in members]
            blocks.append(GateBlock(affine.weights, affine.bias, slopes=_floats(slopes), groups=groups))
        return PiecewiseLinearNetwork(w.n_inputs, blocks, maps[-1], input_shape=input_shape, source=facts)

    def _layer(self, slots: IntArray, number: int) -> _Layer:
        rows = self.gather(slots)
        zero = np.zeros(len(slots))
        if rows.dense is not None:
            offset = zero if rows.dense.offset is None else rows.dense.offset
            return _Layer(rows.indptr, rows.columns, rows.data, offset, rows.operations, dense=rows.dense)
        if rows.exact is None:
            return _Layer(
                rows.indptr, rows.columns, rows.data, zero if rows.offset is None else rows.offset, rows.operations
            )
        e = rows.exact
        data, errors, offset, offset_errors = e.rounded(f"layer {number} ({', '.join(rows.operations)})")
        return _Layer(e.indptr, e.columns, data, offset, rows.operations, True, errors, offset_errors)

    def _identities(self, kept: list[list[tuple[Gates, IntArray]]]) -> list[str]:
        notes = []
        if not kept and np.array_equal(self.outputs, self.w.inputs):
            notes.append("no layer with weights was found: the network is the identity")
        if kept:
            if all(np.array_equal(n.before[which], self.w.inputs[: len(which)]) for n, which in kept[0]):
                notes.append("no affine map stood before the first ReLU: layer 1 is the identity")
            if self._is_base(self.outputs).all():
                notes.append(f"no affine map stood after the last ReLU: layer {len(kept) + 1} is the identity")
        return notes

    def _is_chain(
        self,
        layers: list[_Layer],
        kept: list[list[tuple[Gates, IntArray]]],
        block_of: IntArray,
        widths: list[int],
        chain: bool,
    ) -> bool:
        for members in kept:
            if not all(bool(np.all(n.slopes[which] == np.array([0.0, 1.0]))) for n, which in members):
                return False
        entries = nonzeros = 0
        for l, layer in enumerate(layers):
            columns = layer.columns if layer.dense is None else layer.dense.reads
            if np.any(block_of[columns] != l):
                return False
            entries += layer.size * widths[l]
            nonzeros += len(layer.columns) if layer.dense is None else layer.size * widths[l]
        if chain and entries > MOST_WRITTEN_OUT:
            raise InputError(
                f"the layers would be written out as {entries:,} numbers; the limit is {MOST_WRITTEN_OUT:,}. "
                "Merge layers that act on each value by itself into the layers beside them"
            )
        return chain or entries <= WRITTEN_OUT or entries <= min(SPARSITY * nonzeros, MOST_WRITTEN_OUT)


def _merged(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))


def _floats(slopes: Array) -> Array:
    """Slopes as float64 if they all are floats."""
    if slopes.dtype != object:
        return slopes
    rounded = slopes.astype(np.float64)
    return rounded if bool(np.all(rounded == slopes)) else slopes


def _stacked(parts: list[_Rows]) -> _Rows:
    parts = [p.unpacked() for p in parts]
    if len(parts) == 1:
        return parts[0]
    operations: tuple[str, ...] = ()
    for part in parts:
        operations = _merged(operations, part.operations)
    nothing = np.zeros(0, dtype=np.int64)
    if any(p.exact is not None for p in parts):
        exact = ExactRows.stacked([p.as_exact() for p in parts])
        return _Rows(nothing, nothing, np.zeros(0), None, exact, operations)
    starts = np.cumsum([0, *(p.indptr[-1] for p in parts)])
    indptr = np.concatenate([[0], *(p.indptr[1:] + s for p, s in zip(parts, starts))])
    offset = None
    if any(p.offset is not None for p in parts):
        offset = np.concatenate([np.zeros(len(p.indptr) - 1) if p.offset is None else p.offset for p in parts])
    columns, data = (np.concatenate([getattr(p, name) for p in parts]) for name in ("columns", "data"))
    return _Rows(indptr, columns, data, offset, None, operations)


def _matrix(layer: _Layer, place_of: IntArray, width: int) -> Array:
    """The layer of a chain with its zeros."""
    if layer.dense is not None:
        assert layer.dense.matrix is not None
        assert layer.dense.reads is not None
        order = place_of[layer.dense.reads]
        if len(order) == width and np.array_equal(order, np.arange(width)):
            return layer.dense.matrix
        matrix = np.zeros((layer.size, width))
        matrix[:, order] = layer.dense.matrix
        return matrix
    return _spread(layer, layer.data, place_of, width)


def _spread(layer: _Layer, values: FloatArray, place_of: IntArray, width: int) -> FloatArray:
    matrix = np.zeros((layer.size, width))
    rows = np.repeat(np.arange(layer.size), np.diff(layer.indptr))
    matrix[rows, place_of[layer.columns]] = values
    return matrix


def _affine(layer: _Layer, block_of: IntArray, place_of: IntArray, widths: list[int]) -> AffineMap:
    """The layer as maps from the blocks that it reads: dense where at least a quarter of the entries is not zero."""
    if layer.dense is not None:
        indptr, columns, data = layer.dense.rows()
        layer = _Layer(indptr, columns, data, layer.offset)
    rows = np.repeat(np.arange(layer.size), np.diff(layer.indptr))
    blocks, places = block_of[layer.columns], place_of[layer.columns]
    weights: dict[int, Any] = {}
    order = np.lexsort((places, rows, blocks))
    found, begin = np.unique(blocks[order], return_index=True)
    for j, mine in zip(found.tolist(), np.split(order, begin[1:])):
        data, shape = layer.data[mine], (layer.size, widths[j])
        if layer.size * widths[j] <= min(4 * np.count_nonzero(data), WRITTEN_OUT):
            weights[j] = np.zeros(shape, dtype=data.dtype)
            weights[j][rows[mine], places[mine]] = data
        else:
            indptr = np.concatenate([[0], np.cumsum(np.bincount(rows[mine], minlength=layer.size))])
            weights[j] = SparseMatrix(indptr, places[mine], data, shape)
    return AffineMap(weights, layer.offset)


def _record(layer: _Layer, number: int, weight_bounds: FloatArray) -> dict[str, Any]:
    weight_bounds.setflags(write=False)
    layer.offset_errors.setflags(write=False)
    return {
        "layer": number,
        "operations": layer.operations,
        "exact": not (layer.errors.any() or layer.offset_errors.any()),
        "weight_error": float(layer.errors.max(initial=0.0)),
        "bias_error": float(layer.offset_errors.max(initial=0.0)),
        "weight_bounds": weight_bounds,
        "bias_bounds": layer.offset_errors,
    }
