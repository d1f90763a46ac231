"""Check in rationals that two networks are what a list of functions says, by code of its own.

The claims are matrices: a form for each function over the inputs, 1 and earlier functions, for each neuron which
function it is a multiple of, and in which order signs and identities were learned. How they were found does not matter:
every form is multiplied out again from the stored weights, a sign or an identity counts from where it was shown on, and
what the claims leave out is added up over ``(|x|, 1)``. The functions themselves are exactly ``relu`` of exactly these
forms, so floats in the claims are no approximation but a choice. The claims are all that is shared with the answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from ... import words
from ..._typing import Array
from ...budget import heed
from ...network.model import ReLUNetwork
from ...numerics.exact import as_fractions
from ..relations.claims import Claims

_ZERO = Fraction(0)


class Unproved(ValueError):
    """A claim that does not hold, or does not follow from those before it."""


def proved_bound(a: ReLUNetwork, b: ReLUNetwork, claims: Claims, *, box: Any = None) -> Array:
    """What ``|f - g|`` is at most, over ``(|x|, 1)``, by the claims; all zeros proves that both are the same function
    (where the facts hold).

    Parameters
    ----------
    a, b : ReLUNetwork
        Their stored numbers count as rationals.
    claims : Claims
    box : (lower, upper), optional
        Ranges of the inputs, None where there is no end.

    Returns
    -------
    (nL, n0 + 1) array of Fraction

    Raises
    ------
    Unproved
        A claim is wrong, or is not shown where it is used.

    Notes
    -----
    About 1 s at 6-64-64-4.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.equivalence.relations.claims import Claims
    >>> from polyfiber.equivalence.relations.joint import Joint
    >>> f = pf.ReLUNetwork([[[1.0], [-1.0]], [[1.0, -1.0]]], [[0, 0], [0.5]])        # x + 1/2
    >>> g = pf.ReLUNetwork([[[2.0], [-3.0]], [[0.5, -1 / 4]]], [[0, 0], [0.5]])      # not for x < 0, by x/4
    >>> for net in (f, g):
    ...     bound = proved_bound(f, net, Claims.of(Joint(f, net, tolerance=0)))
    ...     print([[str(v) for v in row] for row in bound])
    [['0', '0']]
    [['1/2', '0']]
    """
    found = proved(a, b, claims, box=box)
    return np.array([found.size(i) for i in range(len(found.difference))], dtype=object).reshape(
        -1, found.slack.shape[1]
    )


def proved(a: ReLUNetwork, b: ReLUNetwork, claims: Claims, *, box: Any = None) -> Proved:
    """The difference itself, of which `proved_bound` is the bound."""
    return _Check(a, b, claims, box).outputs()


@dataclass(frozen=True, eq=False)
class Proved:
    """``f - g`` is ``difference`` over the functions, up to ``slack`` over ``(|x|, 1)``.

    Attributes
    ----------
    difference : list of dict
        For each output: place (inputs, 1, functions) to coefficient.
    slack : (nL, n0 + 1) array of Fraction
    """

    difference: list[dict[int, Fraction]]
    slack: Array
    check: Any

    def size(self, i: int) -> Array:
        """Bound of an output's difference over ``(|x|, 1)``."""
        return np.asarray(self.check._size(self.difference[i]) + self.slack[i])


@dataclass
class _Feature:
    """One function that a layer hands on: ``relu(side . rho)``, its form over the functions, and how far that may be
    off.
    """

    head: int
    side: int
    form: dict[int, Fraction]
    loose: Array


class _Reads(NamedTuple):
    """What a layer reads: neuron i is ``of[i][1]`` times feature ``of[i][0]`` (-1: the constant), a feature is (head,
    side) or (-1, input).
    """

    of: list[tuple[int, Fraction]]
    features: list[tuple[int, int]]
    errors: list[Array]
    constants: dict[int, Fraction]


@dataclass
class _Layer:
    """A layer of one network, multiplied out: rows over its distinct features, forms, and what the error of its inputs
    adds.
    """

    V: list[dict[int, Fraction]]
    bias: list[Fraction]
    features: list[_Feature]
    forms: list[dict[int, Fraction]]
    carried: list[Array]


class _Check:
    """Forms are dicts: place (inputs, 1, functions) to coefficient."""

    def __init__(self, a: ReLUNetwork, b: ReLUNetwork, claims: Claims, box: Any) -> None:
        self.claims, self.n = claims, a.architecture[0]
        self.nets = [[(as_fractions(W), as_fractions(c)) for W, c in zip(net.weights, net.biases)] for net in (a, b)]
        self.none: Array = np.full(self.n + 1, _ZERO, dtype=object)
        self.heads = [_sparse(row) for row in claims.heads]
        self.own: dict[int, int] = {}
        for h, c in enumerate(claims.column):
            if c >= 0:
                self.own[self.n + 1 + c] = h
        if sorted(self.own) != list(range(self.n + 1, self.n + 1 + len(self.own))):
            raise Unproved("functions are not numbered one after the other")
        for place, h in self.own.items():
            if max(self.heads[h], default=0) >= place:
                raise Unproved("the form of a function names a later one")
        self.at = 0
        self.rules: dict[int, Any] = {}
        self.off: dict[int, Array] = {}  # how far a rule is from the truth, over (|x|, 1)
        self._reach: dict[int, Array] = {}
        self._range: dict[int, tuple[Fraction, Fraction | None]] = {}
        lo, hi = ([None] * self.n, [None] * self.n) if box is None else box
        self.ends = [(None if p is None else Fraction(p), None if q is None else Fraction(q)) for p, q in zip(lo, hi)]

    def outputs(self) -> Proved:
        """Layer by layer, then the outputs."""
        state = [self._inputs() for _ in self.nets]
        pending = list(self.claims.events)
        for l in range(max(len(net) for net in self.nets) - 1):
            self.at = l
            layers = {k: self._multiplied(*net[l], state[k]) for k, net in enumerate(self.nets) if l < len(net) - 1}
            apart = {k: self._apart(k, layer) for k, layer in layers.items()}
            while pending and pending[0][0] == l:
                self._learn(pending.pop(0), layers, apart)
            for k, layer in layers.items():
                state[k] = self._handed_on(k, layer, apart[k])
        if pending:
            raise Unproved("something was learned behind the last layer")
        f, g = (self._multiplied(*net[-1], reads) for net, reads in zip(self.nets, state))
        difference = [_minus(p, q) for p, q in zip(f.forms, g.forms)]
        slack = [p + q for p, q in zip(f.carried, g.carried)]
        return Proved(difference, np.array(slack, dtype=object).reshape(len(difference), self.n + 1), self)

    # ---- layers -----------------------------------------------------------------------------------------------
    def _inputs(self) -> _Reads:
        one = Fraction(1)
        return _Reads([(j, one) for j in range(self.n)], [(-1, j) for j in range(self.n)], [self.none] * self.n, {})

    def _multiplied(self, W: Array, b: Array, read: _Reads) -> _Layer:
        """Rows of a layer over the features of the one before, by the rules that hold now."""
        V, bias, forms, carried = [], [], [], []
        reads, errors, constants = read.of, read.errors, read.constants
        features = [
            _Feature(-1, 1, {s: Fraction(1)}, self.none)
            if h < 0
            else _Feature(h, s, self._expanded(h, s), self._looseness(h))
            for h, s in read.features
        ]
        wrong = [i for i, e in enumerate(errors) if (e != 0).any()]
        loose = [i for i, f in enumerate(features) if (f.loose != 0).any()]
        for row, constant in zip(W, b):
            heed("checking shared functions")
            own: dict[int, Fraction] = {}
            for i in np.flatnonzero(row != 0).tolist():
                at, scale = reads[i]
                if at < 0:
                    constant = constant + row[i] * constants[i]
                else:
                    own[at] = own.get(at, _ZERO) + row[i] * scale
            own = {k: v for k, v in own.items() if v}
            nothing = {i: v for i, v in own.items() if not features[i].form}
            own = {i: v for i, v in own.items() if i not in nothing}
            form = _combined(own, [f.form for f in features], constant, self.n)
            error = self.none
            for i in wrong:
                if row[i]:
                    error = error + abs(row[i]) * errors[i]
            for i in loose:
                share = own.get(i) or nothing.get(i)
                if share:
                    error = error + abs(share) * features[i].loose
            V.append(own)
            bias.append(Fraction(constant))
            forms.append(form)
            carried.append(_up(error))
        return _Layer(V, bias, features, forms, carried)

    def _apart(self, k: int, layer: _Layer) -> list[Array]:
        """How far each form is from what its neuron is said to be."""
        heads, sides, scales = self.claims.neurons[k][self.at]
        if not len(heads) == len(sides) == len(scales) == len(layer.forms):
            raise Unproved(
                f"layer {self.at + 1} has {words.count(len(layer.forms), 'neuron')}, and claims about {len(heads)}"
            )
        found = []
        for form, h, s, c in zip(layer.forms, heads.tolist(), sides.tolist(), scales):
            if h < 0:
                constant = form.get(self.n, _ZERO)
                rest = {i: v for i, v in form.items() if i != self.n}
                value = max(constant, _ZERO)
                found.append(self._size(rest) + self._constant(abs(value - Fraction(c))))
                continue
            if s not in (1, -1) or not Fraction(c) > 0:
                raise Unproved("a side is no sign, or a scale not positive")
            found.append(self._size(_minus(form, _times(self.heads[h], s * Fraction(c)))))
        return found

    def _handed_on(self, k: int, layer: _Layer, apart: list[Array]) -> _Reads:
        """What the next layer reads, with the error of each neuron."""
        heads, sides, scales = self.claims.neurons[k][self.at]
        place: dict[tuple[int, int], int] = {}
        reads: list[tuple[int, Fraction]] = []
        constants: dict[int, Fraction] = {}
        for i, (h, s, c) in enumerate(zip(heads.tolist(), sides.tolist(), scales)):
            if h < 0:
                reads.append((-1, _ZERO))
                constants[i] = Fraction(c)
            else:
                reads.append((place.setdefault((h, s), len(place)), Fraction(c)))
        errors = [_up(x + y) for x, y in zip(apart, layer.carried)]
        return _Reads(reads, list(place), errors, constants)

    # ---- what heads are ---------------------------------------------------------------------------------------
    def _expanded(self, h: int, s: int) -> dict[int, Fraction]:
        """``relu(s rho_h)`` over the functions, by the rules that hold now."""
        rule = self.rules.get(h)
        if rule is None:
            c = self.claims.column[h]
            if c < 0:
                raise Unproved("a neuron is a multiple of a head that is no function and has no rule")
            own = {self.n + 1 + c: Fraction(1)}
            return own if s > 0 else _minus(own, self.heads[h])
        if rule in (1, -1):
            return _times(self.heads[h], Fraction(s)) if rule == s else {}
        mine, other, side, ratio = rule
        form = _times(self._expanded(other, side), Fraction(ratio))
        return form if s == mine else _minus(form, _times(self.heads[h], Fraction(mine)))

    def _looseness(self, h: int) -> Array:
        """How far that is from the truth."""
        rule = self.rules.get(h)
        if rule is None:
            return self.none
        if rule in (1, -1):
            return self.off[h]
        return _up(self.off[h] + Fraction(rule[3]) * self._looseness(rule[1]))

    def _learn(self, event: Any, layers: dict[int, _Layer], apart: dict[int, list[Array]]) -> None:
        """Take a rule in, if what it is said to follow from shows it."""
        _, h, rule, why = event
        if isinstance(self.rules.get(h), int):
            raise Unproved("a head has its sign already")
        if why[0] == "hides":
            self.off[h] = _up(self._identity(h, rule, why, layers))
        elif rule not in (1, -1):
            raise Unproved("a rule is no sign")
        elif why[0] == "fact":
            self.off[h] = _up(self._by_fact(h, rule, why[1]))
        elif why[0] == "range":
            self.off[h] = self._constant(self._below_zero(_times(self.heads[h], Fraction(rule))))
        elif why[0] in ("neuron", "unit"):
            self.off[h] = _up(self._by_neuron(h, rule, why, layers, apart))
        else:
            raise Unproved(f"no reason: {why!r}")
        self.rules[h] = rule

    def _by_fact(self, h: int, rule: int, at: int) -> Array:
        row, sign = self.claims.facts[at]
        fact, own = _sparse(row), self.heads[h]
        if max(own, default=0) > self.n:
            raise Unproved("a fact about inputs is no sign of other functions")
        place = max((i for i in own if i < self.n), key=lambda i: abs(own[i]), default=None)
        if place is None or not fact.get(place):
            raise Unproved("a fact is about another hyperplane")
        ratio = own[place] / fact[place]
        if (ratio > 0) != (rule == sign):
            raise Unproved("a fact says the other sign")
        return self._size(_minus(own, _times(fact, ratio)))

    def _by_neuron(
        self, h: int, rule: int, why: Any, layers: dict[int, _Layer], apart: dict[int, list[Array]]
    ) -> Array:
        if why[0] == "unit":
            unit = self.claims.units[why[1]]
            k, j, sign = unit.network, unit.neuron, unit.sign
            if unit.layer != self.at:
                raise Unproved("a unit is in another layer")
        else:
            _, k, j = why
        if k not in layers:
            raise Unproved("a network has no such layer")
        heads, sides, scales = self.claims.neurons[k][self.at]
        if int(heads[j]) != h:
            raise Unproved("a neuron shows the sign of another head")
        side, scale, layer = int(sides[j]), Fraction(scales[j]), layers[k]
        away = apart[k][j] + layer.carried[j]
        if why[0] == "unit":
            if sign * side != rule:
                raise Unproved("a unit has the other sign")
            return np.asarray((away + as_fractions(unit.bound)) / scale)
        return np.asarray((away + self._wrong_side(layer, j, rule * side, ())) / scale)

    def _wrong_side(self, layer: _Layer, j: int, sign: int, without: tuple[int, ...]) -> Array:
        """How far ``sign`` times a row over its features may be below zero: terms of the wrong sign, against the
        constant where they are bounded.
        """
        level, charge = sign * layer.bias[j], self.none
        if self.at == 0:  # rows of inputs, of which nothing but ranges is known
            return self._constant(self._below_zero(_times(layer.forms[j], Fraction(sign))))
        for i, v in layer.V[j].items():
            if i in without or sign * v > 0:
                continue
            feature = layer.features[i]
            top = self._top(feature)
            if top is not None:
                level = level - abs(v) * top
            else:
                charge = charge + abs(v) * self._size(self.heads[feature.head])
        return np.asarray(charge + self._constant(max(-level, _ZERO)))

    def _identity(self, h: int, rule: Any, why: Any, layers: dict[int, _Layer]) -> Array:
        """``relu(p) = relu(q)`` where p hides a feature ``relu(u)``: p = w relu(u) + v relu(-u) - R with w > 0, R >= 0,
        and q = w u - R.

        Where u >= 0 they are equal, elsewhere neither is positive (v <= 0).
        """
        mine, other, side, ratio = rule
        _, k, j, t, hidden, is_row, _ = why
        if k not in layers:
            raise Unproved("a network has no such layer")
        layer = layers[k]
        form = _times(layer.forms[j], Fraction(t))
        if hidden is None:
            rest, p = self._hidden_function(form)
            wrong = rest
            q = p
        else:
            places = {(f.head, f.side): i for i, f in enumerate(layer.features)}
            at = places.get(tuple(hidden), -1)
            w = t * layer.V[j].get(at, _ZERO)
            if at < 0 or not w > 0 or layer.features[at].head < 0:
                raise Unproved("a row does not hide this feature")
            back = places.get((hidden[0], -hidden[1]), -1)
            v = t * layer.V[j].get(back, _ZERO)
            if v > 0:
                raise Unproved("a row has both sides of what it hides")
            wrong = self._wrong_side(layer, j, -t, (at, back)) + 2 * self._loose_terms(layer, j)
            q = _minus(form, _times(layer.features[at].form, w))
            if v:
                q = _minus(q, _times(layer.features[back].form, v))
            q = _plus(q, _times(self.heads[hidden[0]], w * hidden[1]))
        gone, stays = (form, q) if is_row else (q, form)
        top = max(self.heads[h], key=lambda i: abs(self.heads[h][i]))
        scale = mine * gone.get(top, _ZERO) / self.heads[h][top]
        if not scale > 0 or not Fraction(ratio) > 0 or mine not in (1, -1) or side not in (1, -1):
            raise Unproved("an identity is about other heads")
        apart = self._size(_minus(gone, _times(self.heads[h], mine * scale)))
        apart = apart + self._size(_minus(stays, _times(self.heads[other], side * scale * Fraction(ratio))))
        seen, at = {h}, other
        while True:  # rules that lead back would define nothing
            if at in seen:
                raise Unproved("an identity leads back to itself")
            seen.add(at)
            after = self.rules.get(at)
            if after is None or after in (1, -1):
                break
            at = after[1]
        return np.asarray((apart + wrong) / scale)

    def _hidden_function(self, form: dict[int, Fraction]) -> tuple[Array, dict[int, Fraction]]:
        """The same for a form over the functions themselves: what has the wrong sign in it, and q."""
        positive = [i for i, v in form.items() if v > 0 and i > self.n]
        if not positive:
            raise Unproved("a form hides no function")
        at = max(positive, key=lambda i: form[i])
        wrong = {i: v for i, v in form.items() if i < self.n or (v > 0 and i != at)}
        q = dict(form)
        w = q.pop(at)
        return self._size(wrong), _plus(q, _times(self.heads[self.own[at]], w))

    def _loose_terms(self, layer: _Layer, j: int) -> Array:
        total = self.none
        for i, v in layer.V[j].items():
            total = total + abs(v) * layer.features[i].loose
        return total

    # ---- sizes ------------------------------------------------------------------------------------------------
    def _constant(self, value: Fraction) -> Array:
        row = self.none.copy()
        row[-1] = value
        return row

    def _size(self, form: dict[int, Fraction]) -> Array:
        """``|form . psi|`` is at most this over ``(|x|, 1)``."""
        total = self.none
        for i, v in form.items():
            if v:
                total = total + abs(v) * self._reached(i)
        return total

    def _reached(self, place: int) -> Array:
        if place <= self.n:
            row = self.none.copy()
            row[place] = Fraction(1)
            return row
        if place not in self._reach:
            self._reach[place] = _up(self._size(self.heads[self.own[place]]))
        return self._reach[place]

    def _ends_of(self, place: int) -> tuple[Fraction | None, Fraction | None]:
        if place == self.n:
            return Fraction(1), Fraction(1)
        if place < self.n:
            return self.ends[place]
        if place not in self._range:
            least = self._least(_times(self.heads[self.own[place]], Fraction(-1)))
            self._range[place] = _ZERO, None if least is None else max(-least, _ZERO)
        return self._range[place]

    def _least(self, form: dict[int, Fraction]) -> Fraction | None:
        total = _ZERO
        for i, v in form.items():
            end = self._ends_of(i)[0 if v > 0 else 1]
            if v and end is None:
                return None
            total += v * (end or 0)
        return total

    def _below_zero(self, form: dict[int, Fraction]) -> Fraction:
        least = self._least(form)
        if least is None:
            raise Unproved("ranges show no sign")
        return max(-least, _ZERO)

    def _top(self, feature: _Feature) -> Fraction | None:
        least = self._least(_times(self.heads[feature.head], Fraction(-feature.side)))
        return None if least is None else max(-least, _ZERO)


def _sparse(row: Any) -> dict[int, Fraction]:
    return {i: Fraction(v) for i, v in enumerate(row) if v}


def _combined(V: dict[int, Fraction], forms: list[dict[int, Fraction]], constant: Any, n: int) -> dict[int, Fraction]:
    """``sum V_i form_i + constant`` in integers over one denominator each."""
    if not V:
        return {n: Fraction(constant)} if constant else {}
    bottoms = [math.lcm(v.denominator, *(c.denominator for c in forms[i].values())) for i, v in V.items()]
    total: dict[int, Any] = {}
    common = math.lcm(*(b * v.denominator for b, v in zip(bottoms, V.values())), Fraction(constant).denominator)
    for (i, v), bottom in zip(V.items(), bottoms):
        share = v.numerator * (common // (v.denominator * bottom))
        for place, c in forms[i].items():
            total[place] = total.get(place, 0) + share * (c.numerator * (bottom // c.denominator))
    constant = Fraction(constant)
    total[n] = total.get(n, 0) + constant.numerator * (common // constant.denominator)
    return {place: Fraction(v, common) for place, v in total.items() if v}


def _times(form: dict[int, Fraction], factor: Fraction) -> dict[int, Fraction]:
    return {i: v * factor for i, v in form.items()} if factor else {}


def _plus(p: dict[int, Fraction], q: dict[int, Fraction]) -> dict[int, Fraction]:
    total = dict(p)
    for i, v in q.items():
        total[i] = total.get(i, _ZERO) + v
    return {i: v for i, v in total.items() if v}


def _minus(p: dict[int, Fraction], q: dict[int, Fraction]) -> dict[int, Fraction]:
    return _plus(p, {i: -v for i, v in q.items()})


def _up(row: Array) -> Array:
    """Rationals with few digits that are no smaller."""
    return np.array([_rounded_up(v) for v in row], dtype=object)


def _rounded_up(value: Fraction) -> Fraction:
    if not value:
        return _ZERO
    shift = value.denominator.bit_length() - value.numerator.bit_length() + 60
    if shift > 0:
        return Fraction(-((-value.numerator << shift) // value.denominator), 1 << shift)
    return Fraction(-((-value.numerator) // (value.denominator << -shift)) << -shift)
