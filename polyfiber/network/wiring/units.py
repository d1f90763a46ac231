"""Units of files as gates: ReLU and its kin, clips, maxima and minima.

- ``clip(z, lo, hi) = lo + relu(z - lo) - relu(z - hi)``: two gates with parallel walls. With a large ``lo`` that sum
  would cancel in floats: ``z + relu(lo - z) - relu(z - hi)`` then.
- With ``g = relu(a - b)`` for slots a < b: ``max(a, b) = b + g`` and ``min(a, b) = a - g``. Whoever compares the same
  two values shares the gate.
- The maximum of k values is taken in pairs: 1st with 2nd, 3rd with 4th, …, then the winners, in order.
- ``max(relu a, relu b) = relu(max(a, b))``, as for every increasing function: maxima go before such functions, since
  behind them ``a - b`` vanishes wherever both are off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ..._typing import Array, IntArray
from .slots import Activation, Place, Wiring

LARGE = 2.0**20
"""Lower limits of clips beyond this are not added and taken away again."""


def _full(n: int, value: Any) -> Array:
    full = np.empty(n, dtype=object)
    full[:] = Fraction(value)
    return full


def sloped(w: Wiring, slots: IntArray, slopes: Any, place: Place) -> IntArray:
    """Gates with two slopes, (2,) or (n, 2); a slot that is never negative is multiplied by its upper slope."""
    pairs = np.broadcast_to(np.asarray(slopes), (len(slots), 2))
    positive = w.nonnegative(slots)
    made = np.full(len(slots), -1, dtype=np.int64)
    known = np.flatnonzero(positive & (slots >= 0))
    if len(known):
        made[known] = w.diagonal(slots[known], scale=pairs[known, 1], name=place.node)
    rest = np.flatnonzero(~positive)
    if len(rest):
        made[rest] = w.gates(slots[rest], pairs[rest], place.at(rest))
        for low, high in {tuple(pair) for pair in pairs[rest].tolist()}:
            if low >= 0 and high >= 0:
                same = np.asarray((pairs[rest, 0] == low) & (pairs[rest, 1] == high), dtype=bool)
                which = rest[same & (made[rest] != slots[rest])]  # slopes (1, 1) change nothing
                w.mark(made[which], slots[which], Activation("sloped", (low, high)))
    return made


def relu(w: Wiring, slots: IntArray, place: Place) -> IntArray:
    """ReLU; one that follows another changes nothing."""
    if len(slots) and bool(w.nonnegative(slots).all()):
        w.notes.append(f"{place.node}: a ReLU directly after a ReLU was dropped")
        return slots
    return sloped(w, slots, (0.0, 1.0), place)


def clip(w: Wiring, slots: IntArray, low: float, high: float, place: Place) -> IntArray:
    """Values limited to ``[low, high]``, infinite ends included; the limits are floats of the file."""
    if low >= high:
        return w.constant(np.full(len(slots), high), name=place.node)
    if low == 0 and high == math.inf:
        return relu(w, slots, place)
    if low == -math.inf and high == math.inf:
        return slots
    n = len(slots)
    zero = np.flatnonzero(slots < 0)
    if len(zero):
        slots = slots.copy()
        slots[zero] = w.constant(np.zeros(len(zero)), name=place.node)
    terms: list[tuple[IntArray, Any]] = []
    offset: Array | None = None
    rising = low == -math.inf or (low <= 0 and bool(w.nonnegative(slots).all()))
    if rising:
        terms.append((slots, 1))
    elif abs(low) > LARGE:
        under = w.diagonal(slots, scale=_full(n, -1), shift=_full(n, low), name=place.node)
        terms += [(slots, 1), (w.gates(under, (0.0, 1.0), place, "lower"), 1)]
    else:
        below = w.diagonal(slots, shift=_full(n, -low), name=place.node)
        terms.append((w.gates(below, (0.0, 1.0), place, "lower"), 1))
        offset = np.full(n, low) if low else None
    if high < math.inf:
        above = w.diagonal(slots, shift=_full(n, -high), name=place.node)
        terms.append((w.gates(above, (0.0, 1.0), place, "upper"), -1))
    made = w.total(terms, name=place.node, offset=offset)
    w.mark(made, slots, Activation("clip", (low, high)))
    return made


def _apply(w: Wiring, activation: Activation, slots: IntArray, place: Place) -> IntArray:
    if activation.kind == "clip":
        low, high = activation.parameters
        return clip(w, slots, low, high, place)
    return sloped(w, slots, activation.parameters, place)


def _compared(w: Wiring, a: IntArray, b: IntArray, place: Place) -> IntArray:
    """Slots of ``relu(a - b)`` for pairs of slots a < b, shared where two were compared before."""
    pairs = list(zip(a.tolist(), b.tolist()))
    fresh: dict[tuple[int, int], int] = {}
    for k, pair in enumerate(pairs):
        if pair not in w.compared:
            fresh.setdefault(pair, k)
    if fresh:
        which = np.fromiter(fresh.values(), dtype=np.int64)
        difference = w.total([(a[which], 1), (b[which], -1)], name=place.node)
        made = w.gates(difference, (0.0, 1.0), place.at(which), "compares")
        w.compared.update(zip(fresh, made.tolist()))
    return np.array([w.compared[pair] for pair in pairs], dtype=np.int64)


def _pair(w: Wiring, a: IntArray, b: IntArray, place: Place, *, largest: bool) -> IntArray:
    """The larger or smaller of two slots, place by place."""
    made = a.copy()
    one_zero = np.flatnonzero((a != b) & ((a < 0) | (b < 0)))
    if len(one_zero):
        other = np.maximum(a, b)[one_zero]
        slopes = (0.0, 1.0) if largest else (1.0, 0.0)
        made[one_zero] = sloped(w, other, slopes, place.at(one_zero))
    both = np.flatnonzero((a != b) & (a >= 0) & (b >= 0))
    if len(both):
        low, high = np.minimum(a, b)[both], np.maximum(a, b)[both]
        gate = _compared(w, low, high, place.at(both))
        terms = [(high, 1), (gate, 1)] if largest else [(low, 1), (gate, -1)]
        made[both] = w.total(terms, name=place.node)
    return made


def extremum(w: Wiring, operands: Sequence[IntArray], place: Place, *, largest: bool = True) -> IntArray:
    """The maximum (or minimum) of arrays of slots, place by place; a place of an operand may be left out by -2."""
    count = np.sum([o != -2 for o in operands], axis=0)
    if len(operands) == 1:
        return operands[0]
    n = len(operands[0])
    made = np.full(n, -1, dtype=np.int64)
    stack = np.stack(operands)
    for size in np.unique(count).tolist():
        if size == 0:
            made[count == 0] = -2
            continue
        which = np.flatnonzero(count == size)
        part = stack[:, which]
        order = np.argsort(part == -2, axis=0, kind="stable")  # those left out last, the others in order
        chosen = np.take_along_axis(part, order, axis=0)[:size]
        made[which] = _tournament(w, list(chosen), place.at(which), largest=largest)
    return made


def _tournament(w: Wiring, operands: list[IntArray], place: Place, *, largest: bool) -> IntArray:
    if len(operands) == 1:
        return operands[0]
    marks = [w.marked(o) for o in operands]
    numbers = np.stack([m[0] for m in marks])
    common = np.where((numbers == numbers[0]).all(axis=0), numbers[0], 0)
    made = np.full(len(common), -1, dtype=np.int64)
    for number in np.unique(common).tolist():
        which = np.flatnonzero(common == number)
        here = place.at(which)
        if number:  # the same increasing function of all: first the maximum, then the function
            before = [m[1][which] for m in marks]
            made[which] = _apply(w, w.activations[number - 1], _tournament(w, before, here, largest=largest), here)
            continue
        level = [o[which] for o in operands]
        while len(level) > 1:
            paired = [_pair(w, a, b, here, largest=largest) for a, b in zip(level[::2], level[1::2])]
            level = [*paired, *level[len(level) - len(level) % 2 :]]
        made[which] = level[0]
    return made


def limited(w: Wiring, slots: IntArray, values: Array, place: Place, *, largest: bool) -> IntArray:
    """The maximum (or minimum) with a constant at each place."""
    if not np.any(values != 0):
        return sloped(w, slots, (0.0, 1.0) if largest else (1.0, 0.0), place) if not largest else relu(w, slots, place)
    held = w.constant(values, name=place.node)
    zero = np.flatnonzero(slots < 0)
    if len(zero):
        slots = slots.copy()
        slots[zero] = w.constant(np.zeros(len(zero)), name=place.node)
    difference = w.total([(slots, 1), (held, -1)], name=place.node)
    gate = sloped(w, difference, (0.0, 1.0) if largest else (1.0, 0.0), place)
    return w.total([(held, 1), (gate, 1)], name=place.node)
