"""Verdicts on domains that floats do not lie in exactly: flats, rational boxes, facets; and on empty ones."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import InputError

from ..oracles.flats import fractions, largest_gap, random_flat
from ..oracles.memory import opened

SIDES = [[1, 0], [-1, 0], [0, 1], [0, -1]]
SUM = pf.Polyhedron([[1, 1], [-1, -1], *SIDES], [1, -1, 1, 1, 1, 1])  # x + y = 1
BELOW = pf.Polyhedron([[1, 1], *SIDES], [1, 1, 1, 1, 1])  # x + y <= 1
THIRDS = pf.Polyhedron([[3, -1], [-3, 1], *SIDES], [0.1, -0.1, 1, 1, 1, 1])


def bent(row: list[float], bias: float, height: float) -> pf.ReLUNetwork:
    return pf.ReLUNetwork([[row], [[height]]], [[bias], [0.0]])


@pytest.mark.parametrize("domain", [SUM, BELOW], ids=["flat", "solid"])
def test_functions_that_differ_beyond_the_domain_only(domain: pf.Polyhedron) -> None:
    """0.1 + 0.9 is 1 in floats and more than 1 exactly: no input of the domain."""
    f, g = bent([1, 1], -1, 1), bent([1, 1], -1, 2)
    for tolerance in (0.0, 1e-9):
        found = pf.are_equivalent(f, g, domain, tolerance=tolerance, budget=pf.Budget(seconds=20))
        assert found.verdict is not pf.Verdict.NO, tolerance
    assert domain.exact_point([0.1, 0.9]) is None or domain is SUM


@pytest.mark.parametrize("domain", [SUM, THIRDS], ids=["sum", "thirds"])
@pytest.mark.parametrize("tolerance", [0.0, 1e-9])
def test_a_difference_on_a_slanted_flat_is_found(domain: pf.Polyhedron, tolerance: float) -> None:
    f = pf.ReLUNetwork.random((2, 5, 3, 1), rng=1)
    g = pf.ReLUNetwork(f.weights, [*f.biases[:-1], f.biases[-1] + 0.25])
    found = pf.are_equivalent(f, g, domain, tolerance=tolerance, budget=pf.Budget(seconds=20))
    assert found.verdict is pf.Verdict.NO
    point = domain.exact_point(found.proof.x)
    assert domain.affine_hull.contains(point)
    u, v = f.exact()(point), g.exact()(point)
    assert abs(abs(u - v)[0] - Fraction(1, 4)) < Fraction(1, 10**12)
    assert found.recheck().verdict is pf.Verdict.YES


def test_a_witness_outside_is_noticed() -> None:
    f = pf.ReLUNetwork.random((2, 5, 3, 1), rng=1)
    g = pf.ReLUNetwork(f.weights, [*f.biases[:-1], f.biases[-1] + 0.25])
    for domain in (SUM, pf.Box(-1, 1, dimension=2)):
        found = pf.are_equivalent(f, g, domain)
        opened(found.proof.x)[:] = [3.0, 3.0]
        assert found.recheck().verdict is pf.Verdict.NO


def test_same_winners_on_the_flat_alone() -> None:
    """The outputs change places on x + y = 1 only where floats stray from it."""
    f = pf.ReLUNetwork([[[1, 1]], [[1.0], [0.0]]], [[-1.0], [0.0, 1e-30]])
    g = pf.ReLUNetwork([[[1, 1]], [[0.0], [0.0]]], [[-1.0], [0.0, 1e-30]])
    assert pf.top1_agreement(f, g, SUM, margin=0.0, budget=pf.Budget(seconds=2)).verdict is not pf.Verdict.NO


@pytest.mark.parametrize("box", [pf.Box([0.25, 0.5], [0.25, 0.5]), pf.Box([Fraction(1, 3)] * 2, [Fraction(1, 3)] * 2)])
def test_single_points(box: pf.Box) -> None:
    f = pf.ReLUNetwork.random((2, 5, 3, 1), rng=1)
    g = pf.ReLUNetwork(f.weights, [*f.biases[:-1], f.biases[-1] + 0.25])
    assert pf.are_equivalent(f, g, box).verdict is pf.Verdict.NO
    assert pf.are_equivalent(f, g, box, method="regions").verdict is pf.Verdict.NO
    found = pf.difference(f, g, box)
    assert abs(found.maximum - 0.25) <= 1e-12
    assert found.upper >= 0.25


@pytest.mark.parametrize("rows", [([[1, 1]], [-3]), ([[1, 1], [-1, -1]], [0, -1])])
def test_empty_domains_are_refused(rows: tuple[list[list[float]], list[float]]) -> None:
    empty = pf.Polyhedron([*SIDES, *rows[0]], [1, 1, 1, 1, *rows[1]])
    f, g = bent([1, 1], -1, 1), bent([1, 1], -1, 2)
    for ask in (pf.are_equivalent, pf.difference):
        with pytest.raises(InputError, match="empty"):
            ask(f, g, empty)
    with pytest.raises(InputError, match="empty"):
        pf.are_equivalent(f, g, empty, epsilon=0.1)


@pytest.mark.parametrize("n", [5, 7, 8])
def test_flats_of_many_inputs_have_no_raw_errors(n: int) -> None:
    """Their corners were clipped in all coordinates before, where they are degenerate."""
    rng = np.random.default_rng(n)
    row = rng.integers(-3, 4, size=n).astype(float)
    A = np.concatenate([np.eye(n), -np.eye(n), [row, -row], rng.standard_normal((6, n))])
    domain = pf.Polyhedron(A, np.r_[np.ones(2 * n), 0.25, -0.25, np.full(6, 1.5)])
    f = pf.ReLUNetwork.random((n, 6, 1), rng=0)
    g = pf.ReLUNetwork([w * (1 + 1e-7) for w in f.weights], f.biases)
    for ask in (pf.are_equivalent, pf.difference):
        ask(f, g, domain, budget=pf.Budget(seconds=0.5))


# ---- near-equality: epsilon around the exact maximum ---------------------------------------------------------------------
@pytest.mark.parametrize("denominator", [4, 3])
@pytest.mark.parametrize(("n", "k"), [(2, 1), (3, 2), (3, 1), (3, 0), (4, 2)])
def test_epsilon_around_the_largest_gap_on_a_flat(n: int, k: int, denominator: int) -> None:
    rng = np.random.default_rng(10 * n + k)
    a = pf.ReLUNetwork.random((n, 5, 4, 2), rng=rng)
    b = pf.ReLUNetwork([w + 1e-2 * rng.standard_normal(w.shape) for w in a.weights], a.biases)
    domain, lift = random_flat(rng, n, k, denominator)
    most = float(largest_gap(a, b, domain, lift))
    budget = pf.Budget(seconds=60)
    above = pf.are_equivalent(a, b, domain, epsilon=most * (1 + 1e-6), budget=budget, method="bound")
    assert above.verdict is pf.Verdict.YES
    assert above.recheck().verdict is not pf.Verdict.NO
    below = pf.are_equivalent(a, b, domain, epsilon=most * (1 - 1e-6), budget=budget, method="bound")
    assert below.verdict is pf.Verdict.NO
    x = domain.exact_point(below.witness)
    assert domain.affine_hull.contains(x)
    assert max(abs(a.exact()(x) - b.exact()(x))) > Fraction(most * (1 - 1e-6))
    assert below.recheck().verdict is pf.Verdict.YES


def test_a_rational_box_without_extent() -> None:
    third = np.array([Fraction(1, 3), Fraction(-1)], dtype=object)
    box = pf.Box(third, np.array([Fraction(1, 3), Fraction(1)], dtype=object))
    f = pf.ReLUNetwork([np.eye(2), [[1.0, 1.0]]], [np.zeros(2), [0.0]])
    g = pf.ReLUNetwork([np.eye(2), [[1.0, 0.5]]], [np.zeros(2), [0.0]])
    assert pf.are_equivalent(f, g, box, epsilon=0.5000001).verdict is pf.Verdict.YES
    assert pf.are_equivalent(f, g, box, epsilon=0.4999999).verdict is pf.Verdict.NO


def test_what_a_file_rounded_is_charged_on_a_flat() -> None:
    """Two networks that are the same float by float; their files may differ by 1e-3 in each weight of the first layer."""
    W, b = pf.ReLUNetwork.random((2, 4, 1), rng=0).weights, [np.zeros(4), np.zeros(1)]
    folded = {"layer": 1, "weight_bounds": np.full((4, 2), 1e-3), "bias_bounds": np.zeros(4)}
    f, g = pf.ReLUNetwork(W, b), pf.ReLUNetwork(W, b, source={"folding": [folded]})
    reach = float(np.abs(W[1]).sum()) * 1e-3
    for epsilon, verdict in ((2.5 * reach, pf.Verdict.YES), (0.1 * reach, pf.Verdict.UNDECIDED)):
        found = pf.are_equivalent(f, g, SUM, epsilon=epsilon, budget=pf.Budget(seconds=2), method="bound")
        assert found.verdict is verdict


# ---- exactly, at inputs of the domain alone ------------------------------------------------------------------------------
HALF = pf.Polyhedron([[1.0, 2.0]], [-1.0])
STEP = pf.ReLUNetwork([[[1.0, 2.0], [1.0, 0.0]], [[1.0, 1.0]]], [[1.0, 0.0], [0.0]])
PLAIN = pf.ReLUNetwork([[[1.0, 0.0]], [[1.0]]], [[0.0], [0.0]])
ONE = pf.ReLUNetwork([[[0.0]]], [[1.0]])
THIRD = pf.Polyhedron([[3.0], [-3.0]], [1.0, -1.0])


@pytest.mark.parametrize(
    ("f", "g", "domain"),
    [
        (STEP, PLAIN, HALF),  # relu(x + 2 y + 1) is zero where x + 2 y <= -1
        (pf.ReLUNetwork([[[3.0], [-3.0]], [[1.0, 1.0]]], [[-1.0, 1.0], [1.0]]), ONE, THIRD),  # |3 x - 1| at x = 1/3
        (pf.ReLUNetwork([[[-3.0]], [[1.0]]], [[1.0], [1.0]]), ONE, pf.Box([Fraction(1, 3)], [Fraction(1)])),
    ],
    ids=["half-plane", "point", "rational box"],
)
def test_inputs_that_rounding_takes_out_of_the_domain_prove_nothing(f, g, domain) -> None:
    found = pf.are_equivalent(f, g, domain, tolerance=0)
    assert found.verdict is pf.Verdict.YES
    assert pf.are_equivalent(f, g, domain).exact_verdict is not pf.Verdict.NO


@pytest.mark.parametrize("denominator", [1, 4, 3])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_rows_moved_along_an_equation_change_nothing_exactly(n: int, denominator: int) -> None:
    """The last coordinate is an affine function of the others; multiples of that equation are added to rows of the first layer."""
    rng = np.random.default_rng(10 * n + denominator)
    equation = np.array(
        [Fraction(int(v), denominator) for v in rng.integers(-3, 4, n + 1)], dtype=object
    )  # constant last
    equation[n - 1] = Fraction(-1)
    cube = fractions(np.concatenate([np.eye(n, dtype=int), -np.eye(n, dtype=int)]))
    A = np.concatenate([np.stack([equation[:n], -equation[:n]]), cube])
    b = np.concatenate([[-equation[n], equation[n]], fractions([4] * (2 * n))])
    domain = pf.Polyhedron(A, b) if denominator == 3 else pf.Polyhedron(A.astype(float), b.astype(float))
    f = pf.ReLUNetwork(
        [rng.integers(-3, 4, (3, n)), rng.integers(-3, 4, (2, 3)), rng.integers(-3, 4, (1, 2))],
        [rng.integers(-2, 3, 3), rng.integers(-2, 3, 2), rng.integers(-2, 3, 1)],
    )
    exact = f.exact()
    times = fractions(rng.integers(-3, 4, 3))
    moved = (
        [exact.weights[0] + times[:, None] * equation[:n], *exact.weights[1:]],
        [
            exact.biases[0] + times * equation[n],
            *exact.biases[1:],
        ],
    )
    g = pf.ReLUNetwork(*moved)
    assert pf.are_equivalent(f, g, domain, tolerance=0).verdict is pf.Verdict.YES
    h = pf.ReLUNetwork(g.weights, [*g.biases[:-1], g.biases[-1] + Fraction(1, 10**9)])
    found = pf.are_equivalent(f, h, domain, tolerance=0)
    assert found.verdict is pf.Verdict.NO
    x = domain.exact_point(found.witness)
    assert abs(exact(x) - h(x))[0] == Fraction(1, 10**9)


def test_a_witness_is_what_its_floats_stand_for() -> None:
    """A unit that is on between the float below 2/3 and 2/3 itself, the end of the box: no float input shows it."""
    third = Fraction(2, 3)
    box = pf.Box([Fraction(0)], [third])
    f = pf.ReLUNetwork([[[1.0]], [[1.0]]], [[0.0], [0.0]])
    g = pf.ReLUNetwork([[[1.0], [1.0]], [[1.0, 1.0]]], [[0.0, -float(third)], [0.0]])
    found = pf.are_equivalent(f, g, box, tolerance=0)
    assert found.verdict is not pf.Verdict.YES
    assert found.recheck().verdict is not pf.Verdict.NO


def test_a_part_of_the_attack_on_domains() -> None:
    import importlib.util
    import sys
    from pathlib import Path

    path = Path(__file__).resolve().parents[2] / "scripts" / "attacks" / "complexes" / "domains.py"
    spec = importlib.util.spec_from_file_location("attack_on_domains", path)
    attack = sys.modules["attack_on_domains"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(attack)
    outcomes = {seed: attack.case(seed) for seed in range(2000, 2014)}
    assert not [o for o in outcomes.items() if o[1].startswith("WRONG")]
    assert sum(o == "right" for o in outcomes.values()) > 10
