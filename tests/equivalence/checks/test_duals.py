"""Linear programs of checks: beside rationals for any multipliers and taken signs, and each rounding alone."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.bounds.goals import near
from polyfiber.bounds.pairing import Side, paired
from polyfiber.budget import Budget, Monitor
from polyfiber.equivalence.checks import duals
from polyfiber.equivalence.checks.duals import Forms, Program, Sign
from polyfiber.equivalence.checks.substitution import Pair
from tests.bounds.test_rounding import adversarial, affine, full
from tests.oracles.rationals import layers as exact_layers
from tests.oracles.rationals import outputs

F = Fraction
ONE = np.ones(1)


def below_rationals(rng: Any) -> str:
    """'right' where no bound, solved or by random multipliers, lies below an exact value where the taken signs hold."""
    n = int(rng.integers(1, 4))
    f, g = adversarial(rng, (n, *(int(rng.integers(1, 6)) for _ in range(int(rng.integers(1, 4)))), 2))
    if rng.random() < 0.5:
        f, g = (pf.ReLUNetwork.random(f.architecture, rng=rng) for _ in range(2))
    lo = rng.standard_normal(n)
    hi = lo + float(rng.choice([0.0, 1e-9, 1e-3, 1.0])) if rng.random() < 0.7 else np.nextafter(lo, np.inf)
    relative = float(rng.choice([0.0, 0.25]))
    x, y = paired(f, g, match=False)
    groups = near(np.zeros(2), np.full(2, relative))
    pair = Pair((x, y), groups)
    known = pair.look(lo, hi, [])[2]
    if not all(np.isfinite(np.stack(r[:6])).all() for r in known):
        return "skipped"
    p = np.clip(lo + (hi - lo) * rng.random(n), lo, hi)
    pre = [exact_layers(net, p) for net in (f, g)]
    signs = [
        Sign(l, i, which, pre[which][l][i] >= 0)
        for l, r in enumerate(known) for i in range(len(r.la)) for which in (0, 1) if rng.random() < 0.3
    ]  # fmt: skip
    A = rng.standard_normal((2, n))
    b = np.nextafter(A @ p + 1e-9 * np.abs(A).sum(axis=1), np.inf)
    inside = all(sum(F(float(a)) * F(float(v)) for a, v in zip(row, p)) <= F(float(c)) for row, c in zip(A, b))
    program = Program(pair, (lo, hi), known, signs, (A, b) if inside and rng.random() < 0.5 else None)
    u, v = pre[0][-1], pre[1][-1]
    for k, group in enumerate(groups):
        excess = [
            sum(F(c) * [*u, *(s - t for s, t in zip(u, v))][o] for o, c in terms.items()) for terms, _, _ in group
        ]
        found = program.violation(pair, k)
        if found.bound <= 0 < min(excess) or (
            len(group) == 1 and np.isfinite(found.bound) and F(found.bound) < excess[0]
        ):
            return f"WRONG: {found.bound!r} below {float(min(excess))!r}"
        rows = np.flatnonzero(pair.group == k)
        a, d = program._affine(program.last, np.arange(2), program.live, program.before)
        goal = program._goal((a, d), (pair.of_a[rows], pair.of_d[rows]), pair.shift[rows], pair.size[rows])
        part, many = rng.random(len(group)), rng.random(len(program.h)) * rng.integers(0, 2, len(program.h))
        bound = program.certified(goal, part, many)
        if np.isfinite(bound) and F(bound) < sum(F(float(w)) * e for w, e in zip(part, excess)):
            return f"WRONG: {bound!r} by random multipliers"
    return "right"


@pytest.mark.parametrize("seed", range(16))
def test_never_below_exact_values(seed: int) -> None:
    assert below_rationals(np.random.default_rng(seed)) in ("right", "skipped")


def test_without_charges_bounds_lie_below_exact_values() -> None:
    saved = duals.CHARGES.copy()
    try:
        duals.CHARGES[:] = 0.0
        assert any(below_rationals(np.random.default_rng(seed)).startswith("WRONG") for seed in range(24))
    finally:
        duals.CHARGES[:] = saved


def program(f: Any, g: Any, lo: Any, hi: Any, unit: Any, domain: Any = None) -> Program:
    sides = tuple(net if isinstance(net, Side) else Side.of(net) for net in (f, g))
    pair = Pair(sides, near(np.zeros(1), np.zeros(1)))  # type: ignore[arg-type]
    return Program(pair, (np.asarray(lo), np.asarray(hi)), [], (), domain, unit)


def test_signs_that_exclude_each_other_are_found_empty() -> None:
    f = pf.ReLUNetwork([[[1.0], [-1.0]], [[1.0, 1.0]]], [[-0.1, -0.1], [0.0]])
    g = pf.ReLUNetwork(f.weights, [f.biases[0], f.biases[1] + 5.0])
    pair = Pair(paired(f, g), near(np.ones(1), np.zeros(1)))
    known = pair.look(-ONE, ONE, [])[2]
    for signs, empty in (([Sign(0, 0, 0, True)], False), ([Sign(0, k, 0, True) for k in (0, 1)], True)):
        found = Program(pair, (-ONE, ONE), known, signs).violation(pair, 1)
        assert (found.bound <= 0) == empty


def test_the_time_is_heard() -> None:
    f = affine([[1.0]], 0.0)
    late = Monitor(Budget(seconds=0.0))
    one = program(f, f, -ONE, ONE, duals.CHARGES)
    assert one.violation(one.pair, 0, late).bound == np.inf


# ---- each charge alone covers what only it can lose, and without it something is lost --------------------------
def form_of(p: Program) -> tuple[Forms, Forms]:
    return p._affine(0, np.arange(1), p.live, p.before)


def within(form: Forms, true: Fraction) -> bool:
    """A form of a point: how far the constant is off."""
    return abs(F(float(form.M[0, 0])) - true) <= F(float(form.off[0]))


def case_half(rng: Any, unit: Any) -> bool:
    ends = np.sort(full(rng, 2) * rng.choice([-1.0, 1.0], 2) * 2.0 ** rng.integers(-4, 4, 2))
    f = affine([[1.0]], 0.0)
    middle, half = (F(float(v)) for v in program(f, f, ends[:1], ends[1:], unit).before[0].M[0])
    return middle + half >= F(float(ends[1])) and middle - half <= F(float(ends[0]))


def case_rows_of_domain(rng: Any, unit: Any) -> bool:
    A, x = full(rng, 1, 6) * rng.choice([-1, 1], 6), full(rng, 6)
    f = affine(np.ones((1, 6)), 0.0)
    made = program(f, f, x, x, unit, (A, np.zeros(1)))
    return F(float(made.h[0])) >= -sum(F(a) * F(v) for a, v in zip(A[0].tolist(), x.tolist()))


def case_sums(rng: Any, unit: Any) -> bool:
    x = full(rng, 6)
    f = affine(full(rng, 1, 6) * rng.choice([-1, 1], 6), 0.0)
    return within(form_of(program(f, f, x, x, unit))[0], outputs(f, x)[0])


def case_change(rng: Any, unit: Any) -> bool:
    f, g = affine([[float(rng.integers(1, 9))]], 0.0), affine(full(rng, 1, 1) * 2.0**-9, 0.0)
    return within(form_of(program(f, g, ONE, ONE, unit))[1], outputs(f, ONE)[0] - outputs(g, ONE)[0])


def case_fold(rng: Any, unit: Any) -> bool:
    net = affine([[3.0]], 1.0)
    error, shift = 2.0**-20 * float(rng.integers(1, 8)), 2.0**-20
    side = Side(net.weights, net.biases, (np.array([[error]]),), (np.array([shift]),))
    more = F(error) + F(shift)
    a, d = form_of(program(side, net, ONE, ONE, unit))
    return within(a, 4 + more) and within(d, more) and within(form_of(program(net, side, ONE, ONE, unit))[1], more)


def case_combined(rng: Any, unit: Any) -> bool:
    f = affine([[1.0]], 0.0)
    p, s, t = program(f, f, ONE, ONE, unit), full(rng, 1), full(rng, 1)
    one, two = (Forms(full(rng, 1, 2) * [1.0, 0.0], np.zeros(1)) for _ in range(2))
    true = sum(F(float(form.M[0, 0])) * F(float(c[0])) for form, c in ((one, s), (two, t)))
    return within(p._combined((one, s), (two, t)), true)


def case_line(rng: Any, unit: Any) -> bool:
    f = affine([[1.0]], 0.0)
    p, most, value = program(f, f, ONE, ONE, unit), full(rng, 1), full(rng, 1) * 2.0**-9
    p._add(Forms(np.array([[float(value[0]), 0.0]]), np.zeros(1)), most)
    return F(float(p.sides[-1][0])) >= F(float(most[0])) - F(float(value[0]))


def case_goal(rng: Any, unit: Any) -> bool:
    f = affine([[1.0]], 0.0)
    p, value, factor = program(f, f, ONE, ONE, unit), full(rng, 3, 1), full(rng, 1, 3)
    M = np.concatenate([value, np.zeros((3, 1))], axis=1)
    forms, none = Forms(M, np.zeros(3)), Forms(0 * M, np.zeros(3))
    true = sum(F(float(v)) * F(float(c)) for v, c in zip(value[:, 0], factor[0]))
    return within(p._goal((forms, none), (factor, 0 * factor), np.zeros(1), np.zeros(1)), true)


def case_dual(rng: Any, unit: Any) -> bool:
    f = affine([[1.0]], 0.0)
    p, n = program(f, f, ONE, ONE, unit), 4
    p.low, p.high, p.h = -rng.random(n), rng.random(n), full(rng, 3)
    p.G = np.concatenate([np.zeros((3, 1)), full(rng, 3, n)], axis=1)
    c, y = full(rng, 1, 1 + n), full(rng, 3)
    total = F(float(c[0, 0])) + sum(F(float(s)) * F(float(t)) for s, t in zip(y, p.h))
    for j in range(n):
        reduced = F(float(c[0, 1 + j])) - sum(F(float(y[i])) * F(float(p.G[i, 1 + j])) for i in range(3))
        total += max(reduced * F(float(p.low[j])), reduced * F(float(p.high[j])))
    return F(p.certified(Forms(c, np.zeros(1)), np.ones(1), y)) >= total


def case_underflow(rng: Any, unit: Any) -> bool:
    f = affine([[2.0**-600]], 0.0)
    x = np.array([2.0**-600 * float(rng.integers(1, 9))])
    return within(form_of(program(f, f, x, x, unit))[0], outputs(f, x)[0])


CASES = {name[5:].upper(): case for name, case in list(globals().items()) if name.startswith("case_")}


@pytest.mark.parametrize("name", sorted(CASES))
def test_each_rounding_is_charged(name: str) -> None:
    only, nothing = (np.zeros(len(duals.CHARGES)) for _ in range(2))
    only[getattr(duals, name)] = 1.0
    assert all(CASES[name](np.random.default_rng(seed), only) for seed in range(40))
    assert not all(CASES[name](np.random.default_rng(seed), nothing) for seed in range(40))
    assert all(CASES[name](np.random.default_rng(seed), duals.CHARGES) for seed in range(40))


def test_no_charge_is_without_a_case() -> None:
    assert {getattr(duals, name) for name in CASES} == set(range(len(duals.CHARGES)))
