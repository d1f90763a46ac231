"""Level sets, sublevel sets and decision boundaries of a complex."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import words
from ..._typing import Array, BoolArray, IntArray, SignArray
from ...budget import Budget, Monitor, did
from ...errors import InputError
from ...network.model import ReLUNetwork
from ...network.piecewise import PiecewiseLinearNetwork
from ...numerics import exact
from ...numerics.exact import as_fractions
from ...numerics.products import exact_product
from ..build import canonical_complex
from .cells import Cells, Csr, Layer, SomeCells, section
from .gates import Gates, changes_uncut, with_gates
from .sets import PolyhedralSet, require_output, require_value, shown_value

if TYPE_CHECKING:
    from ..breakpoints.simple import BreakpointComplex
    from ..complex import PolyhedralComplex


STEP = "cells of the set"


def level_set(
    cx: PolyhedralComplex,
    value: Any = 0,
    output: Any = 0,
    *,
    keep: tuple[int, ...] = (0,),
    budget: Budget | None = None,
) -> PolyhedralSet:
    """The set where outputs have given values, or lie on one side of them.

    Parameters
    ----------
    cx : PolyhedralComplex
    value : number or sequence of numbers
        Finite floats or Fractions, taken exactly.
    output : int or sequence of int
        One output for each value: the sets are intersected.
    keep : tuple of int
        Signs of ``f - value`` that belong to the set.
    budget : Budget, optional

    Raises
    ------
    BudgetExceededError
        ``partial`` is a `polyfiber.budget.SoFar` with the number of cells that were made; ``partial.found`` are these
        cells, `SomeCells`, dimension by dimension, or None before the last of several outputs.
    """
    values, outputs = (
        list(v) if isinstance(v, (list, tuple)) or getattr(v, "ndim", 0) == 1 else [v] for v in (value, output)
    )
    if len(values) != len(outputs) or not values:
        raise InputError(
            f"give one value for each output, found {words.count(len(values), 'value')} and {words.count(len(outputs), 'output')}"
        )
    chosen = [require_output(cx, o) for o in outputs]
    levels = [require_value(v) for v in values]
    refuse_without_walls(cx)
    rows = _zeros((len(chosen), cx.network.architecture[-1]))
    for r, o in enumerate(chosen):
        rows[r, o] = Fraction(1)
    monitor = Monitor(budget, None)
    with monitor.watching():
        did(STEP, 0)
        constants, last = np.array([-v for v in levels], dtype=object), len(chosen) - 1
        cx = _with_cut_directions(cx, rows, constants, monitor)
        gates = Gates(cx, rows, constants)
        cells = section(cx, gates, step="" if last else STEP) if keep == (0,) else None
        for g in range(len(chosen)) if cells is None else range(1, len(chosen)):
            cells = (cells or Cells.of(cx, gates)).cut(g, keep, step=STEP if g == last else "")
        assert cells is not None
    relation = {(0,): "=", (-1, 0): "<=", (0, 1): ">="}[keep]
    text = " and ".join(f"f_{o} {relation} {shown_value(v)}" for o, v in zip(chosen, levels))
    return PolyhedralSet(cells, text, keep=keep)


def _with_cut_directions(cx: PolyhedralComplex, rows: Array, constants: Array, monitor: Monitor) -> PolyhedralComplex:
    """The complex; where combinations of outputs change along directions that no wall cuts, that with a gate for each.

    On a face of the complex the combination then takes every value, and no vertex tells where. With its zeros as a wall
    that no gate reads, faces have corners, and those on the wall are the cells of the level set.
    """
    frame, given = cx._frame, cx.network
    net = PiecewiseLinearNetwork.from_chain(given) if isinstance(given, ReLUNetwork) else given
    if frame.form is None or not changes_uncut(frame, exact_product(rows, as_fractions(frame.form.bases[-1]))):
        return cx
    found = with_gates(net, rows, constants)
    walls = PiecewiseLinearNetwork(net.n_inputs, found.blocks, net.output, source=net.source)
    return canonical_complex(walls, cx.domain, budget=monitor.rest())


def decision_boundary(cx: PolyhedralComplex, *, budget: Budget | None = None) -> PolyhedralSet:
    """Where the largest output is attained twice or more; with one output, where it is zero.

    Raises
    ------
    BudgetExceededError
        ``partial`` is a `polyfiber.budget.SoFar`: how many pairs of classes were done, and in ``partial.found`` the
        cells where both are largest, ``{(i, j): SomeCells}``. With one output as in `level_set`.
    """
    refuse_without_walls(cx)
    n = cx.network.architecture[-1]
    if n == 1:
        found = level_set(cx, budget=budget)
        both = [np.ones((c, 2), dtype=np.bool_) for c in found.f_vector]
        return PolyhedralSet(found._cells, "decision boundary f_0 = 0 of classes 0 and 1", both)
    with Monitor(budget, None).watching():
        pairs = list(combinations(range(n), 2))
        made: dict[tuple[int, int], SomeCells] = {}
        did("pairs of classes", 0, len(pairs), made)
        gates, index = class_gates(cx)
        everything = Cells.of(cx, gates)
        parts = []
        for i, j in pairs:
            cells = everything.cut(index[i, j], (0,))
            for k in range(n):
                if k not in (i, j) and cells.dimension >= 0:
                    cells = cells.cut(index[min(i, k), max(i, k)], (0, 1) if i < k else (-1, 0))
            if cells.dimension >= 0:
                parts.append((cells, [_tying(layer, i, n, index) for layer in cells.layers]))
            made[i, j] = SomeCells.of(cx, cells.layers[: cells.dimension + 1])
            did("pairs of classes", len(made), len(pairs), made)
        cells, classes = _united(gates, parts)
    return PolyhedralSet(cells, f"decision boundary of {n} classes", classes)


def class_region(cx: PolyhedralComplex, label: int, *, budget: Budget | None = None) -> PolyhedralSet:
    """Where a class attains the largest output; with one output class 0 is ``f <= 0`` and class 1 is ``f >= 0``."""
    refuse_without_walls(cx)
    n = max(2, cx.network.architecture[-1])
    if not isinstance(label, (int, np.integer)) or isinstance(label, bool) or not 0 <= int(label) < n:
        raise InputError(f"class {label!r} does not exist; the classes are 0 to {n - 1}")
    i = int(label)
    if cx.network.architecture[-1] == 1:
        found = level_set(cx, keep=(0, 1) if i else (-1, 0), budget=budget)
        ties = [layer.gates[:, 0] == 0 for layer in found._cells.layers]
        classes = [np.stack([t | (i == 0), t | (i == 1)], axis=1) for t in ties]
        return PolyhedralSet(found._cells, f"class {i}: f_0 {'>=' if i else '<='} 0", classes, label=i)
    with Monitor(budget, None).watching():
        did(STEP, 0)
        gates, index = class_gates(cx)
        cells, others = Cells.of(cx, gates), [k for k in range(n) if k != i]
        for k in others:
            last = k == others[-1]
            cells = cells.cut(index[min(i, k), max(i, k)], (0, 1) if i < k else (-1, 0), step=STEP if last else "")
    classes = [_tying(layer, i, n, index) for layer in cells.layers]
    return PolyhedralSet(cells, f"class {i} of {n}", classes, label=i)


def breakpoint_set(bp: BreakpointComplex) -> PolyhedralSet:
    """The closed visible facets of a complex, with all their faces."""
    cx = bp.complex
    refuse_without_walls(cx)
    constant = Gates(cx, _zeros((1, cx.network.architecture[-1])), np.array([Fraction(1)], dtype=object))
    cells = Cells.of(cx, constant)
    kept = [np.zeros(count, dtype=np.bool_) for count in cx.f_vector]
    if cx.dimension:
        kept[cx.dimension - 1][bp.facets] = True
    for k in range(cx.dimension - 1, 0, -1):
        below = cells.layers[k].below
        kept[k - 1][below.indices[kept[k][below.owners]]] = True
    found = cells.subcomplex(kept)
    for layer in found.layers:
        layer.gates[:] = 1
    return PolyhedralSet(found, "breakpoint complex", kind="breakpoints")


def class_gates(cx: PolyhedralComplex) -> tuple[Gates, dict[tuple[int, int], int]]:
    """The gates ``f_i - f_j``, i < j, and the number of each."""
    n = cx.network.architecture[-1]
    pairs = list(combinations(range(n), 2))
    rows = _zeros((len(pairs), n))
    for r, (i, j) in enumerate(pairs):
        rows[r, i], rows[r, j] = Fraction(1), Fraction(-1)
    return Gates(cx, rows, _zeros(len(pairs))), {pair: r for r, pair in enumerate(pairs)}


def refuse_without_walls(cx: PolyhedralComplex) -> None:
    """Say so where there is no complex to cut."""
    if not cx.network.n_hidden:
        raise InputError("the network is affine: its level sets are hyperplanes; a complex needs a hidden layer")
    if cx._skeleton.is_block:
        raise InputError("a closed block has lost its neighbours; enumerate the whole complex")


def cells_again(owner: PolyhedralSet, cx: PolyhedralComplex) -> list[set[bytes]]:
    """The cells of a set by dimension, as bytes of their signs, read from the complex in which its gates are
    neurons.
    """
    gates = owner._cells.gates
    n, q = gates.complex.network.n_hidden, gates.count
    dims = range(cx.dimension + 1)
    found: list[set[bytes]] = [set() for _ in dims]
    if owner.kind == "breakpoints":
        return _bending_again(owner, cx)
    n_classes = max(2, gates.complex.network.architecture[-1])
    pairs = list(combinations(range(n_classes), 2))
    seen: dict[bytes, int] = {}
    for k in dims:
        signs = cx.signs(k)
        values, rest = signs[:, n : n + q], np.delete(signs, np.s_[n : n + q], axis=1)
        if owner._classes is None:
            mine = (values[:, None, :] == np.array(owner.keep, dtype=np.int8)[None, :, None]).any(axis=1).all(axis=1)
            labels = values
        else:
            single = (
                gates.complex.network.architecture[-1] == 1
            )  # class 0 is f <= 0: the gate of f_0 - f_1 turned round
            tie = _largest(-values if single else values, pairs, n_classes)
            if owner.label is None:
                mine = tie.sum(axis=1) > 1
            else:
                mine = tie[:, owner.label]
            labels = np.where(tie, 0, -1).astype(np.int8)
        for row in np.concatenate([rest[mine], labels[mine]], axis=1):
            key = row.tobytes()
            seen[key] = max(seen.get(key, -1), k)  # walls of classes that lose divide a cell; its largest piece counts
    for key, k in seen.items():
        found[k].add(key)
    return found


def _bending_again(owner: PolyhedralSet, cx: PolyhedralComplex) -> list[set[bytes]]:
    """Closed facets across which the function is not affine, by its exact values inside of the regions on both
    sides.
    """
    net, n, q, d = owner.complex.network.exact(), owner.complex.network.n_hidden, owner._cells.gates.count, cx.dimension
    found: list[set[bytes]] = [set() for _ in range(d + 1)]
    if not d:
        return found
    regions = cx.signs(d)[:, :n]
    inner = _inner(cx, net, regions)
    values = [net(x[None])[0] for x in inner]
    above, rows = cx._store.covers_above(d - 1)
    kept = np.zeros(cx.f_vector[d - 1], dtype=np.bool_)
    for f in np.flatnonzero(np.diff(above) == 2).tolist():
        one, two = (int(r) for r in rows[above[f] : above[f] + 2])
        step = Fraction(1, 2)
        while (_signs_at(net, inner[one] + step * (inner[two] - inner[one]), n) != regions[one]).any():
            step /= 2
        near = net((inner[one] + step * (inner[two] - inner[one]))[None])[0]
        kept[f] = (values[one] + (near - values[one]) / step != values[two]).any()
    for k in range(d - 1, -1, -1):
        signs = np.delete(cx.signs(k), np.s_[n : n + q], axis=1)[kept]
        gate = np.ones((len(signs), q), dtype=np.int8)
        found[k] = {row.tobytes() for row in np.concatenate([signs, gate], axis=1)}
        if k:
            ptr, idx = cx._store.covers_above(k - 1)
            kept = np.logical_or.reduceat(kept[idx], ptr[:-1])
    return found


def _signs_at(net: Any, x: Array, n: int) -> Array:
    """Signs of the hidden neurons at a rational point."""
    values = np.concatenate([np.ravel(z) for z in net.preactivations(x[None])])[:n]
    return np.array([(v > 0) - (v < 0) for v in values], dtype=np.int8)


def _inner(cx: PolyhedralComplex, net: Any, regions: SignArray) -> Array:
    """A rational point inside of every region: the float one where it is, else the mean of its corners and a step along
    its rays.
    """
    guess = cx.interior_points(cx.dimension)
    found = exact.as_fractions(np.where(np.isfinite(guess), guess, 0.0))
    missed = [r for r, x in enumerate(found) if (_signs_at(net, x, regions.shape[1]) != regions[r]).any()]
    if missed:
        found[missed] = cx.interior_points(cx.dimension, exact=True)[missed]
    return found


def _largest(values: Array, pairs: list[tuple[int, int]], n: int) -> BoolArray:
    """Which classes are largest, from the signs of all differences."""
    best = np.ones((len(values), n), dtype=np.bool_)
    for g, (i, j) in enumerate(pairs):
        best[:, i] &= values[:, g] >= 0
        best[:, j] &= values[:, g] <= 0
    return best


def _tying(layer: Layer, i: int, n: int, index: dict[tuple[int, int], int]) -> BoolArray:
    """(m, n) classes that tie with class i, which is largest on every cell of the layer."""
    out = np.zeros((len(layer), n), dtype=np.bool_)
    out[:, i] = True
    for k in range(n):
        if k != i:
            out[:, k] = layer.gates[:, index[min(i, k), max(i, k)]] == 0
    return out


def _united(gates: Gates, parts: list[tuple[Cells, list[BoolArray]]]) -> tuple[Cells, list[BoolArray]]:
    """The union of sets of cells; cells in one face with the same tying classes are one."""
    top = max((len(cells.layers) for cells, _ in parts), default=0)
    layers: list[Layer] = []
    classes: list[BoolArray] = []
    points = np.zeros(0, dtype=np.int64)
    ends = np.zeros((0, 2), dtype=np.int64)
    before: dict[int, IntArray] = {}
    for k in range(top):
        own = [(c, t[k]) for c, t in parts if k < len(c.layers)]
        tied = np.concatenate([t for _, t in own])
        planes = np.concatenate([c.layers[k].planes for c, _ in own])
        keys = np.concatenate([planes.view(np.uint8), np.packbits(tied, axis=1)], axis=1)
        _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        inverse = inverse.reshape(-1)
        shifts = np.cumsum([0, *(len(c.layers[k]) for c, _ in own)])
        number = {id(c): inverse[a:b] for (c, _), a, b in zip(own, shifts, shifts[1:])}
        below = Csr(np.zeros(len(first) + 1, dtype=np.int64), np.zeros(0, dtype=np.int64))
        if k:
            owners, members = [], []
            for (c, _), a in zip(own, shifts):
                pairs = c.layers[k].below
                new = np.isin(pairs.owners + a, first)
                owners.append(number[id(c)][pairs.owners[new]])
                members.append(before[id(c)][pairs.indices[new]])
            below = Csr.of(np.concatenate(owners), np.concatenate(members), len(first))
        else:
            points = np.concatenate([c.points for c, _ in own])[first]
        if k == 1:
            every = np.concatenate([c.ends for c, _ in own])[first]
            far = gates.far
            same = np.full(gates.n_points, -1, dtype=np.int64)
            for c, _ in parts:
                same[c.points] = points[before[id(c)]]
            ends = np.where(far[every], every, same[every])
        layers.append(Layer(planes[first], np.concatenate([c.layers[k].gates for c, _ in own])[first], below))
        classes.append(tied[first])
        before = number
    return Cells(gates, layers, points, ends), classes


def _zeros(shape: Any) -> Array:
    return np.full(shape, Fraction(0), dtype=object)
