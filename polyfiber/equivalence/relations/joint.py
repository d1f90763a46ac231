"""Two networks over one list of functions: layer by layer, every neuron as a multiple of a function that both may
share.

``psi`` is the list: the inputs x, the constant 1, then ``relu(rho_h . psi)`` for each *head* ``rho_h``, a form over
what stands before it. A neuron is a positive multiple of ``relu(rho_h . psi)``, or of
``relu(-rho_h . psi) = relu(rho_h . psi) - rho_h . psi``, so that forms of the next layer, of both networks, are linear
in the same list, and neurons with proportional forms are one function up to a factor. Where all coefficients agree the
networks are equal on all of R^n, at any width and depth; where they do not, nothing is proved.

Four facts about signs are used, each by the coefficients of the neuron's own network over features, which are never
negative: no coefficient is negative: ``relu(z) = z``; none is positive: ``relu(z) = 0``; exactly one is, that of
``relu(z_k)``, and no constant: ``relu(z) = relu(z with z_k for relu(z_k))`` (a hidden hyperplane, whatever its gauge
and flips); on a cell of inputs: the sign of a form that is an inequality of the cell.

In rationals forms are primitive integer vectors, and nothing is rounded. In floats forms within a tolerance are one,
and everything that is left out is bounded over ``(|x|, 1)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from ..._once import cached_property
from ..._typing import Array, FloatArray, IntArray
from ...budget import heed
from ...fibers.relations.grouping import group_rows
from ...network.model import ReLUNetwork
from ...numerics.dyadic import dyadic
from ...numerics.rounding import NOISE, TINY, gamma

FAINT = 16 * NOISE
"""Relative to the terms that it is summed from: a coefficient that is taken for zero (and charged)."""
Fact = tuple[Array, int]
"""A form (n0 + 1) over (x, 1) and its sign on the cell: +1 where it is nowhere negative, -1 nowhere positive."""


@dataclass(frozen=True)
class Neurons:
    """What the neurons of one layer of one network are.

    Attributes
    ----------
    head : (k,) int64
        Head of each neuron, -1 for constants.
    side : (k,) int8
        ``relu(side * rho_head . psi)``.
    scale : (k,) array
        Times this; the value of a constant.
    features : tuple of (head, side)
        What the next layer reads.
    """

    head: IntArray
    side: IntArray
    scale: Array
    features: tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class Unit:
    """A neuron whose preactivation has one sign on the whole domain, proved elsewhere (`units`).

    Attributes
    ----------
    network, layer, neuron : int
        0 for the first network, 1 for the second; layers from 0.
    sign : int
        +1 nowhere negative, -1 nowhere positive.
    bound : (n0 + 1,) float64
        How far on the other side it may be, over ``(|x|, 1)``; 0 in rationals.
    proof : object
        What shows it (a `Splitting` of the neuron against zero).
    """

    network: int
    layer: int
    neuron: int
    sign: int
    bound: FloatArray
    proof: Any = field(default=None, repr=False)


class Event(NamedTuple):
    """What became known of a head after the rows of a layer were made.

    ``rule`` is +1 or -1 for the sign of its form, or ``(side, other, other side, ratio)`` for
    ``relu(side z) = ratio relu(other side z_other)``. ``why``: ('fact', i), ('range',), ('neuron', network, j),
    ('unit', i), or ('hides', network, j, t, feature or None, whether the head is the row's, its factor).
    """

    layer: int
    head: int
    rule: Any
    why: tuple[Any, ...]


@dataclass(eq=False)
class _Side:
    """One network while it is rewritten."""

    weights: list[Array]
    biases: list[Array]
    features: list[tuple[int, int]] = field(default_factory=list)
    neurons: list[Neurons] = field(default_factory=list)
    error: FloatArray | None = None  # of the neurons of the last layer, over (|x|, 1)


@dataclass
class _Rows:
    """Forms of a layer of one network over the list so far: row = unit * Z, with the terms they are summed from."""

    Z: Array
    unit: Array
    terms: FloatArray | None
    error: FloatArray | None
    sign: IntArray  # +1 nowhere negative, -1 nowhere positive
    # of rows: two forms (one the row or its negative) with the same relu; that sign, and the feature that is hidden
    identities: list[tuple[int, Array, Array, tuple[int, tuple[int, int] | None]]]


class Joint:
    """The two networks over one list; see the module.

    Attributes
    ----------
    heads : list of arrays
        Form of each head over the list before it.
    kind : list of int
        0: a function of its own; +1, -1: its form has this sign everywhere, so its relu is linear or zero.
    layer : list of int
        Layer of each head (from 0).
    column : list of int
        Place of each head in the list, -1 where it needs none.
    difference : (nL, D) array
        Of the outputs over the list.
    distance : float
        Largest relative difference: of forms taken for one, and of the outputs (0 in rationals where the difference
        is).
    bound : (nL, n0 + 1) float64
        ``|f_o - g_o| <= bound @ (|x|, 1)``, everything included (floats only).
    slack : (nL, n0 + 1) float64
        The same without the difference itself (floats only).
    terms : (nL, D) float64
        Magnitudes that the outputs are summed from (floats only).
    events : list of Event
        What was learned of heads, in order: with heads and neurons this is what `checks.functions` checks.
    """

    def __init__(
        self, a: ReLUNetwork, b: ReLUNetwork, *, tolerance: float, facts: tuple[Fact, ...] = (), box: Any = None,
        units: tuple[Unit, ...] = (),
    ) -> None:  # fmt: skip
        self.exact = tolerance == 0
        nets = [net.exact() if net.is_exact else net for net in (a, b)] if self.exact else [a.rounded(), b.rounded()]
        self.tolerance, self.n = tolerance, a.architecture[0]
        self.sides = [_Side([*net.weights], [*net.biases]) for net in nets]
        self.heads: list[Array] = []
        self.kind: list[int] = []
        self.layer: list[int] = []
        self.column: list[int] = []
        self.users: list[set[int]] = []
        self.size = self.n + 1
        self.distance = 0.0
        self.reach: FloatArray = np.eye(self.n + 1)  # |psi| <= reach @ (|x|, 1)
        self.low, self.high = self._ranges(box)
        self.facts = [self._fact(f) for f in facts]
        self.units = units
        self.events: list[Event] = []
        self.instead: dict[int, tuple[int, int, int, Any]] = {}  # relu(s z_h) = ratio relu(s' z_h')
        self.loose: dict[int, FloatArray] = {}  # how far below zero a form may be that counts as nowhere negative
        for l in range(max(len(s.weights) for s in self.sides) - 1):
            heed("rewriting networks over their shared features")
            self._layer(l)
        self._compare()

    # ---- numbers ----------------------------------------------------------------------------
    def _zeros(self, *shape: int) -> Array:
        return np.zeros(shape, dtype=object) if self.exact else np.zeros(shape)

    def _wide(self, row: Array) -> Array:
        """A form over the whole list so far."""
        full = self._zeros(self.size)
        full[: len(row)] = row
        return full

    def _integers(self, table: Array) -> tuple[Array, Array]:
        """Rows as integers, and the positive factor of each (rationals only)."""
        if table.dtype != object:
            whole, exponent = dyadic(table)
            return whole, np.full(len(table), Fraction(2) ** exponent)
        units, rows = [], []
        for row in table:
            common = math.lcm(*(int(Fraction(v).denominator) for v in row))
            rows.append([int(Fraction(v) * common) for v in row])
            units.append(Fraction(1, common))
        result = np.empty(table.shape, dtype=object)
        for i, row in enumerate(rows):
            result[i] = row
        return result, np.array(units, dtype=object)

    def _fact(self, fact: Fact) -> Fact:
        row, sign = fact
        if self.exact:
            whole, _ = self._integers(np.asarray(row)[None])
            divisor = math.gcd(*whole[0]) or 1
            return np.array([v // divisor for v in whole[0]], dtype=object), sign
        return np.asarray(row, dtype=np.float64), sign

    # ---- one layer --------------------------------------------------------------------------
    def _rows(self, side: _Side, l: int) -> _Rows:
        W, b = side.weights[l], side.biases[l]
        if l == 0:
            table = np.concatenate([W, b[:, None]], axis=1)
            k = len(table)
            zero = np.zeros(k, dtype=np.int64)
            if self.exact:
                whole, unit = self._integers(table)
                return _Rows(whole, unit, None, None, zero, [])
            return _Rows(table, np.ones(k), np.abs(table), np.zeros((k, self.n + 1)), zero, [])
        V, bias, unit, terms, loose = self._over_features(side, l)
        sign = self._signs(V, bias, side.features, loose)
        forms = self._zeros(len(side.features), self.size)
        for i, feature in enumerate(side.features):
            self._add_form(forms[i], *feature, self._common(*feature))
        Z = self._zeros(len(V), self.size)
        Z[:, self.n] = bias
        Z = Z + V @ forms
        if self.exact:
            return _Rows(Z, unit, None, None, sign, self._hiding(side, V, bias, Z, forms, sign))
        assert terms is not None
        assert loose is not None
        assert side.error is not None
        total = terms[0] @ np.abs(forms)
        total[:, self.n] += terms[1]
        faint = (np.abs(Z) <= FAINT * total) & (Z != 0)
        error = np.abs(W) @ side.error + loose + np.where(faint, np.abs(Z), 0.0) @ self.reach
        Z[faint] = 0.0
        # a column adds as many terms as features have there, and constants; forms of features that others stand for
        # take more steps
        steps = 8 + 2 * max((len(self._chain(h)) for h, _ in side.features), default=0)
        steps += int((side.neurons[-1].head < 0).sum())
        error = error + (gamma((forms != 0).sum(axis=0) + steps) * total + TINY) @ self.reach
        identities = self._hiding(side, V, bias, Z, forms, sign)
        for j, bare, *_ in identities:
            bare[np.abs(bare) <= FAINT * total[j]] = 0.0
        return _Rows(Z, unit, total, error, sign, identities)

    def _hiding(
        self, side: _Side, V: Array, bias: Array, Z: Array, forms: Array, sign: IntArray
    ) -> list[tuple[int, Array, Array, tuple[int, tuple[int, int] | None]]]:
        """Rows, or their negatives, that hide a feature: one weight is positive, no constant is, so its relu makes no
        difference.
        """
        found = []
        for t in (1, -1):
            above, below = (t * V > 0).sum(axis=1), (t * V < 0).sum(axis=1)
            one = (above == 1) & (t * bias <= 0) & ((below > 0) | (bias != 0))
            for j in np.flatnonzero(sign == 0):  # a known sign is that of the form as it is
                form, h = t * Z[j], -1
                hidden: tuple[int, int] | None = None
                if one[j]:
                    k = int(np.argmax(t * V[j] > 0))
                    h, s = side.features[k]
                    if self.kind[h] != 0 or h in self.instead:
                        h = -1
                if h >= 0:
                    hidden = h, s
                    weight = t * V[j, k]
                    bare = form.copy()
                    # relu(z) = e becomes z; relu(-z) = e - z becomes -z
                    bare[self.column[h]] -= weight
                    if s > 0:
                        bare[: len(self.heads[h])] += weight * self.heads[h]
                    # where the one is positive the relu of the other side is zero, and elsewhere it does not matter
                    for i, (other, _) in enumerate(side.features):
                        if other == h and t * V[j, i] < 0:
                            bare -= t * V[j, i] * forms[i]
                else:
                    h = self._hidden_in_form(form)
                    if h < 0:
                        continue
                    weight, bare = form[self.column[h]], form.copy()
                    bare[self.column[h]] -= weight
                    bare[: len(self.heads[h])] += weight * self.heads[h]
                found.append((int(j), bare, form, (t, hidden)))
        return found

    def _over_features(
        self, side: _Side, l: int
    ) -> tuple[Array, Array, Array, tuple[FloatArray, FloatArray] | None, Any]:
        """Weights of a layer over the features of its network, each once, and the bias with constants folded in."""
        W, b, last = side.weights[l], side.biases[l], side.neurons[-1]
        place = {f: i for i, f in enumerate(side.features)}
        V = np.full((len(W), len(side.features)), Fraction(0)) if self.exact else np.zeros((len(W), len(side.features)))
        size, many = np.zeros(V.shape), np.zeros(len(side.features), dtype=np.int64)
        bias, level = (
            (b + Fraction(0) if self.exact and b.dtype == object else b.copy()),
            np.abs(b).astype(np.float64) if not self.exact else None,
        )
        if self.exact:
            bias = np.array([Fraction(v) for v in bias], dtype=object)
        for i in range(W.shape[1]):
            h, s = int(last.head[i]), int(last.side[i])
            column = np.array([Fraction(v) for v in W[:, i]], dtype=object) if self.exact else W[:, i]
            if h < 0:
                bias = bias + column * last.scale[i]
                if level is not None:
                    level = level + np.abs(W[:, i]) * last.scale[i]
                continue
            f = place.get((h, s))
            if f is None:
                continue  # zero
            V[:, f] = V[:, f] + column * last.scale[i]
            if not self.exact:
                size[:, f] += np.abs(W[:, i]) * last.scale[i]
                many[f] += 1
        if self.exact:
            for (h, s), f in place.items():
                V[:, f] = V[:, f] / self._common(h, s)
            whole, unit = self._integers(np.concatenate([V, bias[:, None]], axis=1))
            return whole[:, :-1], whole[:, -1], unit, None, None
        faint = (np.abs(V) <= FAINT * size) & (V != 0)
        assert level is not None
        faint_bias = (np.abs(bias) <= FAINT * level) & (bias != 0)
        sizes = np.array([self._size_of(h, s) for h, s in side.features]).reshape(len(side.features), self.n + 1)
        loose = np.where(faint, np.abs(V), 0.0) @ sizes + (gamma(many + 2) * size + TINY) @ sizes
        loose[:, -1] += np.where(faint_bias, np.abs(bias), 0.0)
        V[faint], bias[faint_bias] = 0.0, 0.0
        return V, bias, np.ones(len(V)), (size, np.asarray(level)), loose

    def _size_of(self, h: int, s: int) -> FloatArray:
        return np.asarray(np.abs(self.heads[h]) @ self.reach[: len(self.heads[h])])

    def _common(self, h: int, s: int) -> int:
        """What makes the form of a feature integral (1 in floats)."""
        if not self.exact or h not in self.instead:
            return 1
        _, other, side, ratio = self.instead[h]
        return int(Fraction(ratio).denominator) * self._common(other, side)

    def _add_form(self, form: Array, h: int, s: int, times: Any) -> None:
        """``times * relu(s rho_h . psi)`` as a form over the list."""
        if self.kind[h] != 0:
            if self.kind[h] == s:
                form[: len(self.heads[h])] += times * s * self.heads[h]
        elif h in self.instead:
            mine, other, side, ratio = self.instead[h]
            share = int(times * ratio) if self.exact else times * ratio
            self._add_form(form, other, side, share)
            if s != mine:  # relu(-z) = relu(z) - z
                form[: len(self.heads[h])] -= times * mine * self.heads[h]
        else:
            form[self.column[h]] += times
            if s < 0:
                form[: len(self.heads[h])] -= times * self.heads[h]

    def root(self, h: int) -> int:
        """The head whose relu stands for that of h."""
        return self.root(self.instead[h][1]) if self.kind[h] == 0 and h in self.instead else h

    def _signs(self, V: Array, bias: Array, features: list[tuple[int, int]], loose: Any) -> IntArray:
        """Which rows are nowhere negative (+1), which nowhere positive (-1), by their weights over features."""
        above, below = (V > 0).sum(axis=1), (V < 0).sum(axis=1)
        sign = np.where((below == 0) & (bias >= 0), 1, np.where((above == 0) & (bias <= 0), -1, 0))
        tops = [self._top(h, s) for h, s in features]
        for j in np.flatnonzero(
            (sign == 0) & (bias != 0) & ((above == 0) | (below == 0))
        ):  # one constant against bounded features
            s = 1 if bias[j] > 0 else -1
            used = np.flatnonzero(V[j] != 0).tolist()
            if all(tops[k] is not None for k in used):
                most = sum((abs(V[j, k]) * tops[k] for k in used), 0 * bias[j])
                slack = 0 if self.exact else gamma(len(used) + 4) * (most + abs(bias[j]))
                if most <= abs(bias[j]) + slack:
                    sign[j] = s
                    if slack:
                        loose[j, -1] += 2 * slack
        return np.asarray(sign, dtype=np.int64)

    def _hidden_in_form(self, row: Array) -> int:
        """The head that a form over the list hides: no inputs, no positive constant, one positive coefficient."""
        if (row[: self.n] != 0).any() or row[self.n] > 0:
            return -1
        above = np.flatnonzero(row[self.n + 1 :] > 0)
        if len(above) != 1 or not (row[self.n] < 0 or (row[self.n + 1 :] < 0).any()):
            return -1
        return self.column.index(self.n + 1 + int(above[0]))

    def _identify(
        self, h: tuple[int, int, Any], p: tuple[int, int, Any], borrowed: dict[int, tuple[Any, ...]], why: Any
    ) -> None:
        """One neuron is a multiple of two heads' relu: one of them stands for the other."""
        if h[0] < 0 or p[0] < 0 or self.root(h[0]) == self.root(p[0]):
            return
        free = [self.kind[x[0]] == 0 and x[0] not in self.instead and self.column[x[0]] < 0 for x in (h, p)]
        if self.kind[h[0]] == 0 and free[0]:
            gone, stays = h, p
        elif free[1]:
            gone, stays = p, h
        else:
            return
        ratio = Fraction(stays[2], gone[2]) if self.exact else stays[2] / gone[2]
        self.instead[gone[0]] = rule = (gone[1], stays[0], stays[1], ratio)
        k, j, form, bare, (t, hidden), network, l = why
        borrowed[gone[0]] = (k, j, form, bare, h, p, gone[2])
        self.events.append(Event(l, gone[0], rule, ("hides", network, j, t, hidden, gone is h, gone[2])))

    def _layer(self, l: int) -> None:
        which = [i for i, s in enumerate(self.sides) if l < len(s.weights) - 1]
        taking = [self.sides[i] for i in which]
        rows = [self._rows(s, l) for s in taking]
        proved = {(which.index(u.network), u.neuron): i for i, u in enumerate(self.units) if u.layer == l}
        for k, j in proved:
            rows[k].sign[j] = self.units[proved[k, j]].sign
        tables = [r.Z for r in rows]
        pairs = [(k, j, form, bare, how) for k, r in enumerate(rows) for j, bare, form, how in r.identities]
        found = self._group(tables, [row for pair in pairs for row in pair[2:4]])
        ends = np.cumsum([0, *(len(t) for t in tables)])
        borrowed: dict[int, tuple[Any, ...]] = {}
        fresh = list(range(len(self.heads), len(found.heads)))
        for h in fresh:
            self.heads.append(found.heads[h])
            self.kind.append(0)
            self.layer.append(l)
            self.column.append(-1)
            self.users.append(set())
        shown: dict[int, tuple[int, int]] = {}
        for k, r in enumerate(rows):
            for j in range(len(r.Z)):
                h, s, _ = found.at(int(ends[k]) + j)
                if h >= 0 and r.sign[j] and self.kind[h] == 0:
                    self.kind[h] = int(r.sign[j]) * s
                    shown[h] = (k, j)
                    why = ("unit", proved[k, j]) if (k, j) in proved else ("neuron", which[k], j)
                    self.events.append(Event(l, h, self.kind[h], why))
        for h in fresh:
            self._by_facts(h, l)
            self._by_form(h, l)
        for at, pair in enumerate(pairs):
            own, other = (found.at(int(ends[-1]) + 2 * at + i) for i in (0, 1))
            self._identify(own, other, borrowed, (*pair, which[pair[0]], l))
        for k, (side, r) in enumerate(zip(taking, rows)):
            self._settle(side, r, tables[k], int(ends[k]), found)
        for h in sorted({self.root(h) for side in taking for h, _ in side.features}):
            if self.kind[h] == 0 and self.column[h] < 0:
                self.column[h] = self.size
                self._range_of(h)
                self.size += 1
                self.reach = np.concatenate([self.reach, self._size_of(h, 1)[None]]) if not self.exact else self.reach
        if not self.exact:
            beyond = {at: self.units[i].bound for at, i in proved.items()}
            self._errors(taking, rows, tables, ends, found, borrowed, shown, beyond)
        for index, side in enumerate(self.sides):
            if l < len(side.weights) - 1:
                for h, _ in side.features:
                    self.users[self.root(h)].add(index)

    def _group(self, tables: list[Array], aliases: list[Array]) -> _Found:
        """Which rows are a multiple of a head; heads of earlier layers first, then new ones."""
        rows = np.concatenate([*tables, np.array(aliases, dtype=tables[0].dtype).reshape(len(aliases), self.size)])
        slopes = np.delete(np.arange(self.size), self.n)
        bent = np.flatnonzero((rows[:, slopes] != 0).any(axis=1))
        head, side = np.full(len(rows), -1), np.ones(len(rows), dtype=np.int64)
        known = len(self.heads)
        if not self.exact:
            order = [*slopes, self.n]
            before = np.array([self._wide(h) for h in self.heads]).reshape(known, self.size)
            groups = group_rows(np.concatenate([before, rows[bent]])[:, order], tolerance=self.tolerance)
            scale = np.ones(len(rows))
            # two old heads may have come together, where what told them apart is now known: the first stands for both
            firsts = {int(g): h for h, g in reversed(list(enumerate(groups.head[:known])))}
            new = [g for g in range(len(groups.heads)) if g not in firsts]
            place = {**firsts, **{g: known + i for i, g in enumerate(new)}}
            head[bent] = [place[int(g)] for g in groups.head[known:]]
            heads = np.zeros((len(groups.heads), self.size))
            heads[:, order] = groups.heads
            every = [*(self._wide(h) for h in self.heads), *(-h if self._rises(h) else h for h in heads[new])]
            # relative to the head that stands for the group
            tops = np.abs(rows[bent][:, slopes]).max(axis=1)
            for i, top in zip(bent, tops):
                own = every[head[i]]
                scale[i] = top / np.abs(own[slopes]).max()
                side[i] = 1 if float(rows[i][slopes] @ own[slopes]) > 0 else -1
            return _Found(every, head, side, scale)
        seen: dict[tuple[int, ...], int] = {}
        for h in range(known):
            seen.setdefault(tuple(self._wide(self.heads[h]).tolist()), h)
        count = known
        factors = np.full(len(rows), 1, dtype=object)
        every = [*self.heads]
        for i in bent:
            heed("rewriting networks over their shared features")
            row = rows[i].tolist()
            divisor = math.gcd(*row)
            up = next(v for v in row if v) > 0
            if not any(row[: self.n]):  # bounded above rather than below, see `_rises`
                up = next(v for v in row[self.n + 1 :] if v) < 0
            side[i] = 1 if up else -1
            whole = divisor if up else -divisor
            key = tuple(v // whole for v in row)
            head[i] = seen.setdefault(key, count)
            if head[i] == count:
                every.append(np.array(key, dtype=object))
                count += 1
            factors[i] = divisor
        return _Found(every, head, side, factors)

    def _by_facts(self, h: int, l: int) -> None:
        if self.kind[h] == 0 and not (self.heads[h][self.n + 1 :] != 0).any():
            self.kind[h], at = self._known(h)
            if self.kind[h] != 0:
                self.events.append(Event(l, h, self.kind[h], ("fact", at)))

    def _known(self, h: int) -> tuple[int, int]:
        """The sign of a head on the cell, where it is one of its inequalities, and which (in floats: up to what `loose`
        says).
        """
        row = self.heads[h][: self.n + 1]
        for at, (fact, sign) in enumerate(self.facts):
            if self.exact:
                if (row == fact).all() or (row == -fact).all():
                    return (sign if (row == fact).all() else -sign), at
                continue
            size = np.abs(fact[:-1]).max(initial=0.0)
            for s in (1, -1) if size > 0 else ():
                gap = np.abs(s * row - fact / size)
                if (gap[:-1] <= self.tolerance).all() and gap[-1] <= self.tolerance * max(1.0, abs(row[-1])):
                    self.loose[h] = gap + gamma(2) * np.abs(fact) / size
                    return s * sign, at
        return 0, -1

    def _rises(self, row: Array) -> bool:
        """A form of other functions whose first weight is positive: its negative is taken, which is more often bounded
        above, and so is its relu.
        """
        rest = row[self.n + 1 :]
        return not (row[: self.n] != 0).any() and bool(rest[np.flatnonzero(rest != 0)[0]] > 0)

    def _ranges(self, box: Any) -> tuple[list[Any], list[Any]]:
        """Least and largest value of everything in the list, None where there is none."""
        if box is None:
            return [*[None] * self.n, 1], [*[None] * self.n, 1]
        number = Fraction if self.exact else float
        lo, hi = ([None if v is None else number(v) for v in side] for side in box)
        return [*lo, 1], [*hi, 1]

    def _least(self, row: Array, sign: int) -> Any:
        """Lower bound of ``sign * row . psi``, or None."""
        total: Any = 0
        for k in np.flatnonzero(row != 0).tolist():
            weight = sign * row[k]
            end = self.low[k] if weight > 0 else self.high[k]
            if end is None:
                return None
            total = total + weight * end
        return total

    def _top(self, h: int, s: int) -> Any:
        """Upper bound of a feature, by the ranges of what its form is made of, or None."""
        least = self._least(self.heads[h], -s)
        if least is None:
            return None
        return max(-least, 0) * self._common(h, s) if self.exact else max(-least, 0.0) * (1 + gamma(self.size + 4))

    def _by_form(self, h: int, l: int) -> None:
        """The sign of a form that the ranges of what it is made of show."""
        row = self.heads[h]
        if self.kind[h] == 0:
            least = {s: self._least(row, s) for s in (1, -1)}
            if least[1] is None and least[-1] is None:
                return
            slack = 0.0
            if not self.exact:
                ends = [max(abs(v or 0.0), abs(w or 0.0)) for v, w in zip(self.low, self.high)]
                slack = float(gamma(len(row) + 2) * (np.abs(row) @ np.array(ends)[: len(row)]))
            for s, value in least.items():
                if value is not None and value >= -slack:
                    self.kind[h] = s
                    self.events.append(Event(l, h, s, ("range",)))
                    if slack:
                        self.loose[h] = self.loose.get(h, 0.0) + np.append(np.zeros(self.n), 2 * slack)
                    return

    def _range_of(self, h: int) -> None:
        """The range of a function that joins the list."""
        top = self._least(self.heads[h], -1)
        if top is not None and not self.exact:
            top = top - 1e-9 * abs(top)  # above all rounding
        self.low.append(0)
        self.high.append(None if top is None else max(-top, 0 * top))

    def _settle(self, side: _Side, r: _Rows, table: Array, start: int, found: _Found) -> None:
        """Say what each neuron of a layer is."""
        k = len(table)
        head, sides, scale = (
            np.full(k, -1),
            np.ones(k, dtype=np.int64),
            np.empty(k, dtype=object if self.exact else float),
        )
        features: dict[tuple[int, int], None] = {}
        for j in range(k):
            h, s, c = found.at(start + j)
            if h < 0:  # a constant
                value = table[j, self.n] * r.unit[j]
                scale[j] = value if value > 0 else 0 * value
                continue
            head[j], sides[j], scale[j] = h, s, c * r.unit[j]
            if self.kind[h] != -s:
                features.setdefault((h, s))
        side.features = list(features)
        side.neurons.append(Neurons(head, sides, scale, tuple(features)))

    def _errors(
        self, taking: list[_Side], rows: list[_Rows], tables: list[Array], ends: IntArray, found: _Found,
        borrowed: dict[int, tuple[Any, ...]], shown: dict[int, tuple[int, int]], beyond: dict[tuple[int, int], FloatArray],
    ) -> None:  # fmt: skip
        """How far each neuron is from what it is taken for, over (|x|, 1)."""
        apart: list[FloatArray] = []
        for k, (r, table) in enumerate(zip(rows, tables)):
            assert r.error is not None
            assert r.terms is not None
            head, side_of, scale = (part[ends[k] : ends[k + 1]] for part in (found.head, found.side, found.scale))
            bent = head >= 0
            taken = np.array([self._wide(found.heads[h])[: table.shape[1]] for h in head[bent].tolist()])
            own = np.zeros((len(table), self.n + 1))
            if bent.any():
                gap = np.abs(table[bent] - (side_of * scale)[bent, None] * taken)
                self._see(gap, r.terms[bent])
                own[bent] = (gap + gamma(4) * np.abs(table[bent]) + TINY) @ self.reach[: table.shape[1]]
            apart.append(own + r.error)
        for h, (k, j) in shown.items():  # a form is as little below zero as the row that shows its sign is far from it
            self.loose[h] = (apart[k][j] + beyond.get((k, j), 0.0)) / found.at(int(ends[k]) + j)[2]
        for h, (k, j, form, bare, *which, c) in borrowed.items():
            r = rows[k]
            assert r.terms is not None
            assert r.error is not None
            total = 2 * r.error[j]
            for row, (head, side_, scale) in zip((form, bare), which):
                far = np.abs(row - side_ * scale * self._wide(found.heads[head])[: len(row)])
                self._see(far[None], r.terms[j][None])
                total = total + (far + gamma(4) * np.abs(row) + TINY) @ self.reach[: len(row)]
            self.loose[h] = self.loose.get(h, 0.0) + total / c
        for k, side in enumerate(taking):
            error, last = apart[k].copy(), side.neurons[-1]
            for j, h in enumerate(last.head.tolist()):
                for other in self._chain(h):
                    if other in self.loose:
                        error[j] = error[j] + last.scale[j] * self._stretch(h, other) * self.loose[other]
            side.error = error

    def _chain(self, h: int) -> list[int]:
        """A head and those that stand for it."""
        if h < 0:
            return []
        return [h, *(self._chain(self.instead[h][1]) if self.kind[h] == 0 and h in self.instead else [])]

    def _stretch(self, h: int, other: int) -> float:
        """How often the relu of ``other`` stands for that of h."""
        return 1.0 if h == other else float(self.instead[h][3]) * self._stretch(self.instead[h][1], other)

    def _see(self, gap: FloatArray, terms: FloatArray) -> None:
        """Forms apart relative to the largest terms of each; offsets to themselves where they exceed them."""
        slopes = np.delete(terms, self.n, axis=1).max(axis=1, initial=0.0)
        size = np.repeat(np.where(slopes > 0, slopes, 1.0)[:, None], gap.shape[1], axis=1)
        size[:, self.n] = np.maximum(size[:, self.n], terms[:, self.n])
        worst = float((gap / size).max(initial=0.0))
        self.distance = max(self.distance, worst if np.isfinite(worst) else np.inf)

    # ---- outputs ----------------------------------------------------------------------------
    def _compare(self) -> None:
        rows = [self._rows(s, len(s.weights) - 1) for s in self.sides]
        if not self.exact and len({len(s.weights) for s in self.sides}) > 1:
            for side, r in zip(self.sides, rows):  # what was learned behind its last layer
                self._later(side, r)
        for r in rows:
            if r.Z.shape[1] < self.size:
                pad = self._zeros(len(r.Z), self.size - r.Z.shape[1])
                r.Z = np.concatenate([r.Z, pad], axis=1)
                r.terms = None if r.terms is None else np.concatenate([r.terms, pad], axis=1)
        f, g = rows
        if self.exact:
            difference = [[p * u - q * v for p, q in zip(x, y)] for x, y, u, v in zip(f.Z, g.Z, f.unit, g.unit)]
            self.difference = np.array(difference, dtype=object).reshape(len(f.Z), self.size)
            self.distance = 0.0 if not (self.difference != 0).any() else np.inf
            self.bound = np.zeros((len(f.Z), self.n + 1))
            self.terms = np.zeros((0, 0))
            return
        assert f.terms is not None
        assert g.terms is not None
        assert f.error is not None
        assert g.error is not None
        self.difference, self.terms = f.Z - g.Z, np.maximum(f.terms, g.terms)
        self._see(np.abs(self.difference), self.terms)
        above = 1 + 4 * gamma(sum(len(W) + W.shape[1] for s in self.sides for W in s.weights) + self.size)
        self.slack = (f.error + g.error) * above + TINY
        self.bound = np.abs(self.difference) @ self.reach * above + self.slack
        self.magnitude = self.terms @ self.reach

    def _later(self, side: _Side, r: _Rows) -> None:
        """Charge outputs for rules of the features that they read (again, where the last layer did)."""
        last, W = side.neurons[-1] if side.neurons else None, np.abs(side.weights[-1])
        for i, h in enumerate([] if last is None else last.head.tolist()):
            for other in self._chain(h):
                if other in self.loose:
                    assert r.error is not None
                    assert last is not None
                    r.error = r.error + W[:, i, None] * last.scale[i] * self._stretch(h, other) * self.loose[other]

    @property
    def equal(self) -> bool:
        """Whether the difference of the outputs is zero (rationals)."""
        return self.exact and self.distance == 0.0

    # ---- what the difference is made of -------------------------------------------------------
    @cached_property
    def _at(self) -> dict[int, int]:
        return {column: h for h, column in enumerate(self.column) if column >= 0}

    def made_of(self, h: int) -> list[int]:
        """Heads that the form of a head names; none where it is a form over the inputs."""
        return self._heads_in(self.heads[h] != 0)

    def _heads_in(self, used: Any) -> list[int]:
        return [self._at[int(k)] for k in np.flatnonzero(used[self.n + 1 :]) + self.n + 1]

    def differing(self) -> list[int]:
        """Heads whose functions the outputs do not share; in floats those beyond the tolerance, or else the worst."""
        gap = np.abs(self.difference)
        if self.exact:
            return self._heads_in((gap != 0).any(axis=0))
        size = np.delete(self.terms, self.n, axis=1).max(axis=1, initial=0.0)[:, None]
        relative = (gap / np.where(size > 0, size, 1.0)).max(axis=0, initial=0.0)
        relative[: self.n + 1] = 0.0
        return self._heads_in(relative > min(self.tolerance, float(relative.max()) * 0.5))

    def apart(self, h: int, other: int) -> list[int]:
        """Heads in which the forms of two heads depart from being multiples (a guess, in floats)."""
        p, q = (np.array(self._wide(self.heads[k]) / np.abs(self.heads[k]).max(), dtype=float) for k in (h, other))
        both = np.flatnonzero((p != 0) & (q != 0))
        if not len(both):
            return self._heads_in((p != 0) | (q != 0))
        ratio = float(np.median(p[both] / q[both]))
        return self._heads_in(np.abs(p - ratio * q) > 1e-9)


@dataclass(frozen=True)
class _Found:
    """Heads of one layer, and which row is a multiple of which: ``row ~ side * scale * head``."""

    heads: list[Array]
    head: IntArray
    side: IntArray
    scale: Array

    def at(self, i: int) -> tuple[int, int, Any]:
        return int(self.head[i]), int(self.side[i]), self.scale[i]
