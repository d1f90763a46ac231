"""Every rounding of the joint bounds is charged: with one charge alone what only it can lose is covered, and without it something is lost.

The numbers of each case are such that all other steps are exact, so that the slack of the other charges hides nothing.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.bounds.goals import near
from polyfiber.bounds.pairing import Side, paired
from polyfiber.bounds.split import CHARGES, BoxSearch
from polyfiber.kernels.bounds import boxes, pair, planes, zonotopes

from ..oracles.rationals import hidden_values, outputs

F = Fraction
NAMES = {
    name: value
    for name, value in vars(pair).items()
    if isinstance(value, int) and name.isupper() and name != "N_CHARGES"
}


def only(charge: int | None) -> Any:
    """No charge but one."""
    unit = np.zeros(pair.N_CHARGES)
    if charge is not None:
        unit[charge] = 2.0**-53
    return unit


def search_on(f: Any, g: Any, lo: Any, hi: Any, groups: Any, unit: Any) -> BoxSearch:
    sides = tuple(net if isinstance(net, Side) else Side.of(net) for net in (f, g))
    found = BoxSearch(sides, groups, np.asarray(lo, dtype=float), np.asarray(hi, dtype=float))
    found.unit = unit
    return found


def forward(s: BoxSearch) -> list[float]:
    """Bounds of all alternatives by the forms; the bounds of the neurons are left in ``s.state.box``."""
    box = s.state.box
    box[0::2], box[1::2] = -np.inf, np.inf
    zonotopes.forward(s.pair, s.lo, s.hi, box, s.forms, s.unit)
    return [zonotopes.bound_of_alternative(s.pair, s.goal, k, s.forms, s.unit) for k in range(len(s.goal.limit))]


def backward(s: BoxSearch) -> list[float]:
    """The same by planes."""
    forward(s)
    s.state.points.point[:] = 0.5 * s.lo + 0.5 * s.hi
    boxes.attempt(s.pair, s.goal, s.state.points.point, 0, s.state)
    planes.losses(s.pair, s.lo, s.hi, s.state.box, s.planes, s.unit)
    return [
        boxes.from_corner(s.pair, s.goal, k, s.lo, s.hi, s.state, s.planes, s.unit) for k in range(len(s.goal.limit))
    ]


def full(rng: Any, *shape: int) -> Any:
    """Numbers with all 53 bits."""
    return 1.0 + rng.random(shape) * 2.0 ** rng.integers(-3, 4, shape)


def short(rng: Any, *shape: int) -> Any:
    """Numbers with 20 bits."""
    return np.round(rng.standard_normal(shape) * 2**16) / 2**16


def affine(W: Any, b: Any) -> pf.ReLUNetwork:
    return pf.ReLUNetwork([np.atleast_2d(W)], [np.atleast_1d(b)])


TOP = [[({0: 1.0}, 0.0, 0.0)]]
GAP = [[({1: 1.0}, 0.0, 0.0)]]


def case_form_a(rng: Any, unit: Any) -> bool:
    W, x = full(rng, 1, 6) * rng.choice([-1, 1], 6), full(rng, 6)
    f = affine(W, 0.0)
    return F(forward(search_on(f, f, x, x, TOP, unit))[0]) >= outputs(f, x)[0]


def case_form_d(rng: Any, unit: Any) -> bool:
    x = full(rng, 6)
    f, g = affine(short(rng, 1, 6), 0.0), affine(short(rng, 1, 6), 0.0)
    return F(forward(search_on(f, g, x, x, GAP, unit))[0]) >= outputs(f, x)[0] - outputs(g, x)[0]


def case_bias(rng: Any, unit: Any) -> bool:
    """w + b is rounded; taking b off again, exactly, leaves a small number."""
    w, b = float(full(rng, 1)[0]) * 2.0**-9, float(full(rng, 1)[0])
    f = affine([[w], [0.0]], [b, b])
    one = np.ones(1)
    return F(forward(search_on(f, f, one, one, [[({0: 1.0, 1: -1.0}, 0.0, 0.0)]], unit))[0]) >= F(w)


def case_difference(rng: Any, unit: Any) -> bool:
    f, g = affine([[float(rng.integers(1, 9))]], 0.0), affine(full(rng, 1, 1) * 2.0**-9, 0.0)
    one = np.ones(1)
    return F(forward(search_on(f, g, one, one, GAP, unit))[0]) >= outputs(f, one)[0] - outputs(g, one)[0]


def case_relu(rng: Any, unit: Any) -> bool:
    """The forms after the ReLU are the stated multiples of the forms before it, up to the error that is carried on."""
    f = pf.ReLUNetwork([full(rng, 1, 2), [[1.0]]], [-full(rng, 1), [0.0]])
    g = pf.ReLUNetwork([full(rng, 1, 2), [[1.0]]], [-full(rng, 1), [0.0]])
    s = search_on(f, g, [0.0, 0.0], [1.0, 2.0], TOP, unit)
    w, v, stride = s.forms, s.forms.now.vectors, int(s.forms.sizes[0])
    box = s.state.box
    box[0::2], box[1::2] = -np.inf, np.inf
    zonotopes.begin(s.lo, s.hi, w, unit)
    w.kept.counts[1] = 1, 3, 0
    w.kept.lists[1, 0] = 0
    zonotopes.affine(s.pair, 0, 2, 3, 0, w, unit)
    v[zonotopes.EA], v[zonotopes.ED] = 0.0, 0.0
    _, top, more = zonotopes.neurons(s.pair, 0, 3, 0, box, w, unit)
    zonotopes.rectify(0, 3, 0, top, more, w)
    number = {name: F(float(v[getattr(zonotopes, name), 0])) for name in ("LAM", "MU", "P", "Q", "SHIFT")}
    lam, other = number["LAM"], F(float(zonotopes.clamp(box[3, 0] / (box[3, 0] - box[2, 0]))))
    theta = number["P"] == 0
    lost = [F(0), F(0)]
    for r in range(3):
        a, d = F(float(w.kept.pre[r * stride])), F(float(w.before.d[r * stride]))
        shift = number["MU"] if r == 0 else F(0)
        lost[0] += abs(F(float(w.after.y[r * stride])) - lam * a - shift)
        p, q = (F(0), number["Q"]) if theta else (lam - other, other)
        shift = number["SHIFT"] if r == 0 else F(0)
        lost[1] += abs(F(float(w.after.d[r * stride])) - p * a - q * d - shift)
    return lost[0] <= F(float(v[zonotopes.EA, 0])) and lost[1] <= F(float(v[zonotopes.ED, 0]))


def case_offset(rng: Any, unit: Any) -> bool:
    low, high = -float(full(rng, 1)[0]), float(full(rng, 1)[0])
    slope = high / (high - low)
    return F(zonotopes.lift(slope, low, high, unit)) >= max(-F(slope) * F(low), (1 - F(slope)) * F(high))


def case_radius(rng: Any, unit: Any) -> bool:
    h = full(rng, 9)
    f = affine(np.ones((1, 9)), 0.0)
    return F(forward(search_on(f, f, -h, h, TOP, unit))[0]) >= sum(map(F, h.tolist()))


def case_half(rng: Any, unit: Any) -> bool:
    ends = np.sort(full(rng, 2) * rng.choice([-1.0, 1.0], 2) * 2.0 ** rng.integers(-4, 4, 2))
    f = affine([[1.0]], 0.0)
    s = search_on(f, f, ends[:1], ends[1:], TOP, unit)
    forward(s)
    middle, half = F(float(s.forms.box.middle[0])), F(float(s.forms.box.half[0]))
    return middle + half >= F(float(ends[1])) and middle - half <= F(float(ends[0]))


def case_mutual(rng: Any, unit: Any) -> bool:
    box = np.zeros((6, 1))
    a, b = np.sort(full(rng, 2)), np.sort(full(rng, 2)) * 2.0**-7
    box[0:2, 0], box[2:4, 0] = a, b
    box[4, 0], box[5, 0] = -np.inf, np.inf
    zonotopes.meet(box, 0, unit)
    return F(float(box[4, 0])) <= F(float(a[0])) - F(float(b[1])) and F(float(box[5, 0])) >= F(float(a[1])) - F(
        float(b[0])
    )


def case_back(rng: Any, unit: Any) -> bool:
    f = pf.ReLUNetwork([full(rng, 5, 1), full(rng, 1, 5)], [np.zeros(5), [0.0]])
    one = np.ones(1)
    return F(backward(search_on(f, f, one, one, TOP, unit))[0]) >= outputs(f, one)[0]


def case_plane(rng: Any, unit: Any) -> bool:
    """Coefficient c and slope 3/4: c times the slope is rounded, the offset is not; checked at the upper end."""
    c = float(full(rng, 1)[0])
    f = pf.ReLUNetwork([[[4.0]], [[c]]], [[-1.0], [0.0]])
    s = search_on(f, f, [0.0], [1.0], TOP, unit)
    forward(s)
    s.state.box[0:4, 0] = -1.0, 3.0, -1.0, 3.0
    s.state.box[4:6, 0] = 0.0, 0.0
    planes.losses(s.pair, s.lo, s.hi, s.state.box, s.planes, unit)
    w, last = s.planes, len(f.weights) - 1
    boxes.start_functional(s.pair, s.goal, 0, 0, w)
    planes.carry(s.pair, last, 1, w)
    planes.relax(s.pair, last - 1, 1, s.state.box, np.array([1.0, 0.0]), np.zeros(2), w, unit)
    value = F(float(w.rows.alpha[0])) * 3 + F(float(w.rows.constant[0])) + F(float(w.rows.error[0]))
    below = F(float(w.rows.alpha[0])) * -1 + F(float(w.rows.constant[0])) + F(float(w.rows.error[0]))
    return value >= 3 * F(c) and below >= 0


def case_constant(rng: Any, unit: Any) -> bool:
    f = pf.ReLUNetwork([np.zeros((6, 1)), np.ones((1, 6))], [full(rng, 6), full(rng, 1)])
    one = np.ones(1)
    return F(backward(search_on(f, f, one, one, TOP, unit))[0]) >= outputs(f, one)[0]


def case_evaluate(rng: Any, unit: Any) -> bool:
    f = affine(full(rng, 1, 6) * rng.choice([-1, 1], 6), 0.0)
    lo = -full(rng, 6)
    hi = full(rng, 6)
    W = f.weights[0][0]
    value = planes.top(W, 0.0, 0.0, lo, hi, unit)
    return F(value) >= sum(max(F(w) * F(a), F(w) * F(b)) for w, a, b in zip(W.tolist(), lo.tolist(), hi.tolist()))


def case_goal(rng: Any, unit: Any) -> bool:
    f = affine(short(rng, 2, 1), [0.0, 0.0])
    c, one = full(rng, 2), np.ones(1)
    groups = [[({0: float(c[0]), 1: float(c[1])}, 0.0, 0.0)]]
    true = sum(F(v) * y for v, y in zip(c.tolist(), outputs(f, one)))
    return F(forward(search_on(f, f, one, one, groups, unit))[0]) >= true


def case_fold(rng: Any, unit: Any) -> bool:
    """The true weight is the given one plus what its bound allows."""
    net = affine([[3.0]], 1.0)
    error, shift = 2.0**-20 * float(rng.integers(1, 8)), 2.0**-20
    side = Side(net.weights, net.biases, (np.array([[error]]),), (np.array([shift]),))
    plain = Side.of(net)
    one = np.ones(1)
    checks = [
        F(forward(search_on(side, plain, one, one, TOP, unit))[0]) >= 4 + F(error) + F(shift),
        F(backward(search_on(side, plain, one, one, TOP, unit))[0]) >= 4 + F(error) + F(shift),
        F(forward(search_on(plain, side, one, one, GAP, unit))[0]) >= F(error) + F(shift),
        F(backward(search_on(plain, side, one, one, GAP, unit))[0]) >= F(error) + F(shift),
    ]
    return all(checks)


def case_tiny(rng: Any, unit: Any) -> bool:
    x = np.array([2.0**-600 * float(rng.integers(1, 9))])
    f = affine([[2.0**-600]], 0.0)
    true = outputs(f, x)[0]
    s = search_on(f, f, x, x, TOP, unit)
    small = F(forward(s)[0]) >= true and F(backward(s)[0]) >= true
    x = np.array([2.0**700 * float(rng.integers(1, 9))])  # before a coefficient that underflows
    f = pf.ReLUNetwork([[[2.0**-600]], [[2.0**-600]]], [[0.0], [0.0]])
    s = search_on(f, f, x, x, TOP, unit)
    return small and F(forward(s)[0]) >= outputs(f, x)[0] <= F(backward(s)[0])


CASES = {name.removeprefix("case_").upper(): case for name, case in globals().items() if name.startswith("case_")}


def test_there_is_a_case_for_every_charge() -> None:
    assert {getattr(pair, name) for name in CASES} == set(range(pair.N_CHARGES))


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_charge_alone_covers_what_only_it_can_lose(name: str) -> None:
    case, charge = CASES[name], getattr(pair, name)
    with_it = [case(np.random.default_rng(seed), only(charge)) for seed in range(60)]
    without = [case(np.random.default_rng(seed), only(None)) for seed in range(60)]
    assert all(with_it)
    assert not all(without)
    assert all(case(np.random.default_rng(seed), CHARGES) for seed in range(60))


def adversarial(rng: Any, widths: tuple[int, ...]) -> tuple[pf.ReLUNetwork, pf.ReLUNetwork]:
    """Weights whose terms cancel, of very different sizes, with rows near-equal in both networks."""
    W = [rng.standard_normal((b, a)) * 2.0 ** rng.integers(-20, 21, (b, a)) for a, b in zip(widths, widths[1:])]
    b = [rng.standard_normal(n) * 2.0 ** rng.integers(-20, 21, n) for n in widths[1:]]
    V, c = [w.copy() for w in W], [v.copy() for v in b]
    for l in range(len(V)):
        kind = rng.integers(3)
        if kind == 0:
            V[l] = np.nextafter(V[l], np.inf)
        elif kind == 1:
            V[l] *= 1 + 1e-3 * rng.standard_normal(V[l].shape)
        c[l] = c[l] * (1 + 1e-9 * rng.standard_normal(c[l].shape))
    return pf.ReLUNetwork(W, b), pf.ReLUNetwork(V, c)


@pytest.mark.parametrize("seed", range(40))
def test_points_and_boxes_one_step_wide_against_rationals(seed: int) -> None:
    rng = np.random.default_rng(seed)
    widths = (int(rng.integers(1, 4)), *(int(rng.integers(1, 6)) for _ in range(int(rng.integers(0, 4)))), 2)
    f, g = adversarial(rng, widths)
    x = rng.standard_normal(widths[0])
    hi = x if seed % 2 else np.nextafter(x, np.inf)
    s = search_on(f, g, x, hi, near(np.zeros(2), np.zeros(2)), CHARGES)
    corners = [np.where([(k >> j) & 1 for j in range(len(x))], hi, x) for k in range(1 << len(x))]
    true = [max(sign * (outputs(f, c)[o] - outputs(g, c)[o]) for c in corners) for o in range(2) for sign in (1, -1)]
    for bounds in (forward(s), backward(s)):
        assert all(F(bound) >= value for bound, value in zip(bounds, true))
    boxes.refine(s.pair, s.goal, s.lo, s.hi, s.state, s.planes, s.unit)
    hidden = [[*hidden_values(f, c), *hidden_values(g, c)] for c in corners]
    n = f.n_hidden
    for values in hidden:
        for i in range(n):
            a, b = values[i], values[n + i]
            for k, v in ((0, a), (2, b), (4, a - b)):
                assert F(float(s.state.box[k, i])) <= v <= F(float(s.state.box[k + 1, i]))


@pytest.mark.parametrize("seed", range(12))
def test_bounds_are_above_exact_values_at_points_of_boxes(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    f, g = (
        adversarial(rng, (2, 5, 4, 2))
        if seed % 2
        else (pf.ReLUNetwork.random((2, 5, 4, 2), rng=rng), pf.ReLUNetwork.random((2, 3, 2), rng=rng))
    )
    lo, hi = -rng.random(2), rng.random(2)
    x, y = paired(f, g)
    s = search_on(x, y, lo, hi, near(np.zeros(2), np.zeros(2)), CHARGES)
    bounds = [forward(s), backward(s)]
    for _ in range(40):
        p = lo + (hi - lo) * rng.random(2)
        u, v = outputs(f, p), outputs(g, p)
        for found in bounds:
            for k, (o, sign) in enumerate((o, sign) for o in range(2) for sign in (1, -1)):
                assert F(found[k]) >= sign * (u[o] - v[o])
