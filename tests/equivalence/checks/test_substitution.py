"""Planes of checks for two networks: beside rationals, and each rounding alone."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.bounds.goals import near
from polyfiber.bounds.pairing import Side, paired
from polyfiber.equivalence.checks import substitution
from polyfiber.equivalence.checks.substitution import Pair, Ranges, chord, met
from tests.bounds.test_rounding import GAP, TOP, adversarial, affine, full
from tests.oracles.rationals import hidden_values, outputs

F = Fraction
ONE = np.ones(1)


def below_rationals(rng: Any) -> str:
    """'right' where no bound on a point or a small box lies below an exact value at one of its inputs."""
    n = int(rng.integers(1, 4))
    f, g = adversarial(rng, (n, *(int(rng.integers(1, 6)) for _ in range(int(rng.integers(0, 4)))), 2))
    lo = rng.standard_normal(n)
    hi = lo + float(rng.choice([0.0, 1e-9, 1e-3, 1.0])) if rng.random() < 0.7 else np.nextafter(lo, np.inf)
    pair = Pair(paired(f, g), near(np.zeros(2), np.zeros(2)))
    tops, _, layers = pair.look(lo, hi, [])
    again = pair.look(lo, hi, layers)[0]
    for _ in range(8):
        p = np.clip(lo + (hi - lo) * rng.random(n), lo, hi)
        u, v = outputs(f, p), outputs(g, p)
        for k, (o, sign) in enumerate((o, sign) for o in range(2) for sign in (1, -1)):
            for bound in (float(tops[k]), float(again[k])):
                if np.isfinite(bound) and sign * (u[o] - v[o]) > F(bound):
                    return f"WRONG: {bound!r} below an exact value"
        if f.architecture == g.architecture and layers:
            ends = [np.concatenate([r[k] for r in layers]) for k in range(6)]
            for i, (a, b) in enumerate(zip(hidden_values(f, p), hidden_values(g, p))):
                for k, value in enumerate((a, b, a - b)):
                    low, high = float(ends[2 * k][i]), float(ends[2 * k + 1][i])
                    if (np.isfinite(low) and value < F(low)) or (np.isfinite(high) and value > F(high)):
                        return f"WRONG: bounds of neuron {i}"
    return "right"


@pytest.mark.parametrize("seed", range(12))
def test_never_below_exact_values(seed: int) -> None:
    assert below_rationals(np.random.default_rng(seed)) == "right"


# ---- each charge alone covers what only it can lose, and without it something is lost --------------------------
def top(f: Any, g: Any, x: Any, groups: Any, unit: Any, hi: Any = None) -> Fraction:
    sides = tuple(net if isinstance(net, Side) else Side.of(net) for net in (f, g))
    return F(float(Pair(sides, groups, unit).look(x, x if hi is None else hi, [])[0][0]))  # type: ignore[arg-type]


def ranges(ends: Any) -> Ranges:
    return Ranges(*(np.array([v]) for v in ends), np.zeros(1), np.zeros(1))


def case_sums(rng: Any, unit: Any) -> bool:
    p, v = full(rng, 5) * rng.choice([-1, 1], 5), full(rng, 5)
    f = affine(v[:, None], np.zeros(5))
    groups = [[(dict(enumerate(p.tolist())), 0.0, 0.0)]]
    return top(f, f, ONE, groups, unit) >= sum(F(a) * F(b) for a, b in zip(p.tolist(), v.tolist()))


def case_change(rng: Any, unit: Any) -> bool:
    f, g = affine([[float(rng.integers(1, 9))]], 0.0), affine(full(rng, 1, 1) * 2.0**-9, 0.0)
    return top(f, g, ONE, GAP, unit) >= outputs(f, ONE)[0] - outputs(g, ONE)[0]


def case_fold(rng: Any, unit: Any) -> bool:
    net = affine([[3.0]], 1.0)
    error, shift = 2.0**-20 * float(rng.integers(1, 8)), 2.0**-20
    side, plain = Side(net.weights, net.biases, (np.array([[error]]),), (np.array([shift]),)), Side.of(net)
    more = F(error) + F(shift)
    return all(
        (
            top(side, plain, ONE, TOP, unit) >= 4 + more,
            top(plain, side, ONE, GAP, unit) >= more,
            top(side, plain, ONE, GAP, unit) >= more,
        )
    )


def case_mutual(rng: Any, unit: Any) -> bool:
    a, b = (float(v) for v in full(rng, 2) * rng.choice([-1, 1], 2))
    d = met(ranges([a, a, b, b, -99.0, 99.0]), unit)
    other = met(ranges([a, a, -99.0, 99.0, b, b]), unit)
    return (
        F(float(d.ld[0])) <= F(a) - F(b) <= F(float(d.ud[0])) and F(float(other.lb[0])) <= F(a) - F(b) <= F(float(other.ub[0]))
    )  # fmt: skip


def case_lift(rng: Any, unit: Any) -> bool:
    low, high = -full(rng, 1), full(rng, 1)
    slope, lift = (float(part[0]) for part in chord(low, high, unit))
    return F(lift) >= max(-F(slope) * F(float(low[0])), (1 - F(slope)) * F(float(high[0])))


def planes(C: Any, unit: Any) -> Any:
    """Above C relu(a) for a of both networks within -1 and 3: slopes 3/4, lifts 3/4, exactly."""
    n = C.shape[1]
    ends = (np.full(n, v) for v in (-1.0, 3.0, -1.0, 3.0, 0.0, 0.0, 1.0, 0.0))
    return substitution._planes(C, np.zeros_like(C), Ranges(*ends), unit)


def case_plane(rng: Any, unit: Any) -> bool:
    c = float(full(rng, 1)[0])
    P, _, _, charge = planes(np.array([[c]]), unit)
    above = [F(float(P[0, 0])) * a + F(3, 4) * F(c) + F(float(charge[0])) for a in (-1, 3)]
    return above[0] >= 0 and above[1] >= 3 * F(c)


def case_tops(rng: Any, unit: Any) -> bool:
    C = full(rng, 1, 7)
    _, _, more, charge = planes(C, unit)
    return F(float(more[0])) + F(float(charge[0])) >= F(3, 4) * sum(map(F, C[0].tolist()))


def case_constant(rng: Any, unit: Any) -> bool:
    b, c = float(full(rng, 1)[0]), float(full(rng, 1)[0]) * 2.0**-9
    f = affine([[0.0]], b)
    return top(f, f, ONE, [[({0: 1.0}, c, 0.0)]], unit) >= F(b) + F(c)


def case_ends(rng: Any, unit: Any) -> bool:
    w, lo, hi = full(rng, 6) * rng.choice([-1, 1], 6), -full(rng, 6), full(rng, 6)
    f = affine(w[None], 0.0)
    exact = sum(max(F(v) * F(a), F(v) * F(b)) for v, a, b in zip(w.tolist(), lo.tolist(), hi.tolist()))
    return top(f, f, lo, TOP, unit, hi) >= exact


def case_mean(rng: Any, unit: Any) -> bool:
    s, o = full(rng, 1, 1), full(rng, 1, 1)
    none = np.zeros(1)
    found = substitution._ends(0.75 * s + 0.25 * o, none, ONE, ONE, unit, (np.abs(s) + np.abs(o), none))
    return F(float(found[0])) >= F(3, 4) * F(float(s[0, 0])) + F(1, 4) * F(float(o[0, 0]))


def case_underflow(rng: Any, unit: Any) -> bool:
    """A coefficient that underflows times a large input."""
    f = pf.ReLUNetwork([[[2.0**-600]], [[2.0**-600]]], [[0.0], [0.0]])
    x = np.array([2.0**700 * float(rng.integers(1, 9))])
    return top(f, f, x, TOP, unit) >= outputs(f, x)[0]


CASES = {name[5:].upper(): case for name, case in list(globals().items()) if name.startswith("case_")}


@pytest.mark.parametrize("name", sorted(CASES))
def test_each_rounding_is_charged(name: str) -> None:
    only, nothing = (np.zeros(len(substitution.CHARGES)) for _ in range(2))
    only[getattr(substitution, name)] = 1.0
    assert all(CASES[name](np.random.default_rng(seed), only) for seed in range(40))
    assert not all(CASES[name](np.random.default_rng(seed), nothing) for seed in range(40))
    assert all(CASES[name](np.random.default_rng(seed), substitution.CHARGES) for seed in range(40))


def test_no_charge_is_without_a_case() -> None:
    assert {getattr(substitution, name) for name in CASES} == set(range(len(substitution.CHARGES)))
