"""Verdicts that were wrong, by kind; and a part of the attack on pairs (`scripts/attacks/equivalence/pairs.py`)."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.budget import Monitor
from polyfiber.equivalence.regions.cover import CoverSearch
from polyfiber.equivalence.top1.decide import top1_agreement
from polyfiber.network.moves import random_trivial
from polyfiber.testing.rewritings import OPERATORS, rewritten
from polyfiber.verdict import Verdict

N, z = pf.ReLUNetwork, np.zeros
ROOT = Path(__file__).resolve().parents[2]


def attack() -> Any:
    spec = importlib.util.spec_from_file_location(
        "attack_pairs", ROOT / "scripts" / "attacks" / "equivalence" / "pairs.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["attack_pairs"] = module
    spec.loader.exec_module(module)
    return module


# ---- a unit that vanishes on a cell hides nothing ----------------------------------------------------------------------


def bump(net: pf.ReLUNetwork, where: Any, half: float) -> pf.ReLUNetwork:
    """A pyramid of height 1 in place of the first unit of layer 2, which is zero."""
    n = net.architecture[0]
    p, E = np.asarray(where, dtype=np.float64), np.vstack([np.eye(n), -np.eye(n)])
    W, b = [w.copy() for w in net.weights], [c.copy() for c in net.biases]
    rows = np.zeros((len(b[1]), 2 * n))
    rows[0] = -1.0
    b[1][0] = half
    W[2][:, 0] = 1 / half
    return N([np.vstack([W[0], E]), np.hstack([W[1], rows]), W[2]], [np.concatenate([b[0], -p, p]), b[1], b[2]])


def test_a_pruned_unit_hides_no_bump() -> None:
    f = N(
        [[[1, 0], [-1, 0], [0, -1]], -np.ones((1, 3)), [[1]], [[1]]],
        [[-3.5, 3.5, 2.5], [0.125], [0], [1]],
    )
    g = N([z((1, 2)), z((1, 1)), z((1, 1)), z((1, 1))], [[0], [0], [0], [1]])
    for a, b in ((f, g), (g, f)):
        answer = pf.are_equivalent(a, b)
        assert answer.verdict is Verdict.NO
        assert answer.verify()
        assert pf.are_equivalent(a, b, pf.Box([3, 2], [4, 3])).verdict is Verdict.NO
        assert pf.are_equivalent(a, b, pf.Box([5, 5], [6, 6])).verdict is Verdict.YES
    assert len(set(pf.equivalence_classes([f, g]).tolist())) == 2
    rng = np.random.default_rng(0)
    for k in range(14):
        n = 1 + k % 3
        W = [rng.standard_normal(s) for s in ((6, n), (6, 6), (1, 6))]
        W[1][0] = 0
        net = N(W, [rng.standard_normal(6), np.insert(rng.standard_normal(5), 0, 0.0), rng.standard_normal(1)])
        other = bump(net, rng.standard_normal(n) * (64 if k % 2 else 1), 2.0 ** -(k % 7))
        for a, b in ((net, other), (other, net)):
            assert pf.are_equivalent(a, b).verdict is Verdict.NO


def test_a_slope_that_begins_far_out_is_found() -> None:
    for k in (0, 10, 20, 30):
        f, g = N([[[1.0]], [[0.0]]], [[0], [0]]), N([[[1.0]], [[1.0]]], [[-(2.0**k)], [0]])
        assert pf.are_equivalent(f, g).verdict is Verdict.NO


# ---- rounding makes no difference ---------------------------------------------------------------------------------------


def test_slivers_of_either_complex_make_no_difference() -> None:
    f = N([[[1, 2], [2, -1]], [[1, 1]]], [[0.5, -0.25], [0]])
    W = np.array([[1, 2], [2, -1]] + [[0.3 * s, 0.7 * s] for s in (3, 5, 7)])
    b = np.array([0.5, -0.25] + [0.1 * s for s in (3, 5, 7)])
    g = N([W, np.eye(5), [[1, 1, 2 / 3, 3 / 5, -5 / 7]]], [b, z(5), [0]])
    box = pf.Box(-1, 1, dimension=2)
    for a, c in ((f, g), (g, f)):
        assert pf.are_equivalent(a, c).verdict is Verdict.YES
        assert pf.are_equivalent(a, c, box).verdict is Verdict.YES


def test_zero_and_constant_functions_have_a_scale() -> None:
    """The scale is that of the terms, not of what rounding leaves of them."""
    rows = np.array([[0.3 * s, 0.7 * s] for s in (3, 5, 7)])
    offsets = np.array([0.1 * s for s in (3, 5, 7)])
    box = pf.Box(-1, 1, dimension=2)
    for value in (0.0, 1.0):
        f = N([rows, [[2 / 3, 3 / 5, -5 / 7]]], [offsets, [value]])
        g = N([z((1, 2)), z((1, 1))], [[0], [value]])
        for domain in (None, box):
            assert pf.are_equivalent(f, g, domain).verdict is Verdict.YES
            assert pf.are_equivalent(g, f, domain).verdict is Verdict.YES


def test_forms_of_different_depth_prove_no_difference() -> None:
    x, y = N([[[1.0]]], [[0]]), N([[[1.0], [-1.0]], [[1.0, -1.0]]], [[0, 0], [0]])
    assert pf.are_equivalent(x, y).verdict is Verdict.YES
    assert pf.are_equivalent(y, x).verdict is Verdict.YES
    nets = []
    for depth in range(1, 6):
        W = [z((1, 1)) for _ in range(depth)]
        nets.append(N(W, [*(np.ones(1) for _ in range(depth - 1)), np.full(1, 3.0)]))
    for a, b in itertools.permutations(nets, 2):
        assert pf.are_equivalent(a, b).verdict is Verdict.YES


def test_outputs_of_different_size_count_each_by_itself() -> None:
    a = pf.ReLUNetwork.random((2, 4, 2), rng=0)
    size = np.array([[1.0], [1e-12]])
    f = N([a.weights[0], a.weights[1] * size], [a.biases[0], a.biases[1] * size[:, 0]])
    half = np.array([[1.0], [0.5]])
    g = N([f.weights[0], f.weights[1] * half], [f.biases[0], f.biases[1] * half[:, 0]])
    for domain in (None, pf.Box(-1, 1, dimension=2)):
        assert pf.are_equivalent(f, g, domain).verdict is Verdict.NO
        assert pf.are_equivalent(f, random_trivial(f, rng=1)(f), domain).verdict is Verdict.YES


# ---- flat domains --------------------------------------------------------------------------------------------------------


# ---- what may make a verdict ---------------------------------------------------------------------------------------------


def test_cells_cover_the_domain() -> None:
    """The bound holds at points that no step of the search has seen, and cells add up to the whole."""
    rng = np.random.default_rng(3)
    for seed in range(12):
        n = 1 + seed % 3
        f = pf.ReLUNetwork.random((n, 5, 4, 2), rng=seed)
        g = pf.ReLUNetwork.random((n, 4, 2), rng=seed + 100)
        if seed % 2:  # walls through one point, and parallel ones
            f = N([np.round(w) for w in f.weights], [0 * c for c in f.biases])
        box = pf.Box(-np.ones(n), 1.5 * np.ones(n))
        found = CoverSearch(f, g, box).run(np.full(2, np.inf), Monitor())
        assert found.complete
        assert found.share == 1.0
        X = rng.uniform(-1, 1.5, (20000, n))
        gaps = np.abs(f(X) - g(X))
        assert (gaps.max(axis=0) <= found.upper).all()
        assert (found.upper - found.gap <= 1e-9 * (1 + found.gap)).all()  # attained up to rounding
        true = pf.difference(f, g, box)
        assert true.maximum == pytest.approx(found.gap.max(), rel=1e-9, abs=1e-12)
        everywhere = CoverSearch(f, g).run(np.full(2, np.inf), Monitor())
        far = rng.standard_normal((2000, n)) * 10.0 ** rng.uniform(0, 3, (2000, 1))
        bounded = np.isfinite(everywhere.upper)
        assert (np.abs(f(far) - g(far)).max(axis=0)[bounded] <= everywhere.upper[bounded] * (1 + 1e-9)).all()


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_operators_keep_the_function(name: str) -> None:
    rng = np.random.default_rng(1)
    done = 0
    for seed in range(30):
        widths = ((2, 3, 1), (2, 2, 2, 1), (3, 3, 1, 2), (1, 4, 1), (2, 2, 2, 2, 1), (3, 2))[seed % 6]
        base = pf.ReLUNetwork.random(widths, rng=seed)
        if len(widths) == 4:  # one that hides
            W, b = [w.copy() for w in base.weights], [c.copy() for c in base.biases]
            W[1], b[1] = -np.abs(W[1]), -np.abs(b[1])
            W[1][:, 0] *= -1
            base = N(W, b)
        other = OPERATORS[name](base.exact(), rng)
        if other is None:
            continue
        done += 1
        for x in rng.integers(-9, 10, (4, widths[0])):
            point = [Fraction(int(v), 3) for v in x]
            assert (base.exact()(point) == other(point)).all()
    assert done >= 3


@pytest.mark.parametrize("mode", ["tolerance", "box", "exact"])
def test_a_part_of_the_attack(mode: str) -> None:
    one = attack().one
    left = 0
    for seed in range(8 if mode == "exact" else 32):
        found = one(seed, mode, 3 if mode == "exact" else 6)
        assert not found["wrong"], found
        left += found["said"] == "UNDECIDED" and not found["grey"]
    assert left <= 1


def test_equal_networks_are_confirmed_another_way() -> None:
    rng = np.random.default_rng(5)
    confirmed = 0
    for seed in range(6):
        base = pf.ReLUNetwork.random((2, 4, 3, 1), rng=seed).exact()
        f, g = (rewritten(base, rng, steps=3)[0].rounded() for _ in range(2))
        answer = pf.are_equivalent(f, g)
        assert answer.verdict is Verdict.YES
        again = answer.recheck(budget=pf.Budget(seconds=20))
        assert again.verdict is not Verdict.NO, again
        confirmed += again.verdict is Verdict.YES
    assert confirmed >= 4


# ---- bad input -----------------------------------------------------------------------------------------------------------


def test_whatever_comes_there_is_one_answer_or_one_error() -> None:
    a = pf.ReLUNetwork.random((2, 3, 1), rng=0)
    for bad in (np.nan, np.inf):
        with pytest.raises(pf.errors.InputError):
            N([np.full((1, 2), bad)], [[0]])
    huge = N([a.weights[0] * 1e200, a.weights[1] * 1e200], a.biases)
    assert pf.are_equivalent(a, huge).verdict is not Verdict.YES
    assert pf.are_equivalent(huge, random_trivial(huge, rng=1)(huge)).verdict in (Verdict.YES, Verdict.UNDECIDED)
    beyond = N([[[Fraction(10**400)]], [[1]]], [[0], [0]])
    small = N([[[1]], [[1]]], [[0], [0]])
    with pytest.raises(pf.errors.InputError, match="beyond the range of floats"):
        pf.are_equivalent(beyond, small, tolerance=0)
    affine = N([[[1.0, 2.0]]], [[0.5]])
    assert pf.are_equivalent(affine, N([[[1.0, 2.0]]], [[0.5]])).verdict is Verdict.YES
    assert pf.are_equivalent(affine, N([[[1.0, 2.5]]], [[0.5]])).verdict is Verdict.NO
    wide = N(
        [np.vstack([a.weights[0], [[0.5, 0.5]]]), np.append(a.weights[1], [[0.0]], axis=1)],
        [np.append(a.biases[0], 0.1), a.biases[1]],
    )
    for domain in (None, pf.Box(-1, 1, dimension=2)):
        for method in ("auto", "regions"):
            answer = pf.are_equivalent(a, wide, domain, budget=pf.Budget(seconds=0), method=method)
            assert answer.verdict in (Verdict.YES, Verdict.UNDECIDED)


def test_numbers_whose_products_leave_the_range_of_floats_prove_nothing() -> None:
    """Squares of 1e308 are infinite and infinite less infinite is no number; squares of 1e-300 are zero. Both counted as equal."""
    pairs = [
        (N([[[1e308, 1e308]], [[1e308]]], [[1e308], [0]]), N([[[1e308, 1e307]], [[1e308]]], [[1e308], [0]])),
        (N([[[1e-300]], [[1e-300]]], [[0], [0]]), N([[[1e-300]], [[2e-300]]], [[0], [0]])),
        (N([[[5e-324]], [[5e-324]]], [[5e-324], [0]]), N([[[5e-324]], [[0.0]]], [[5e-324], [0]])),
        (N([z((1, 1)), [[1e-200]]], [[1e-200], [0]]), N([z((1, 1)), [[1e-200]]], [[2e-200], [0]])),
        (N([[[1e-310]]], [[0]]), N([[[2e-310]]], [[0]])),
    ]
    for a, b in pairs:
        n = a.architecture[0]
        for f, g in ((a, b), (b, a)):
            for domain in (None, pf.Box(-1, 1, dimension=n)):
                assert pf.are_equivalent(f, g, domain).verdict is not Verdict.YES
            exactly = pf.are_equivalent(f, g, tolerance=0)
            assert exactly.verdict is Verdict.NO
            assert exactly.proof is not None
            assert exactly.proof.gap > 0
            assert exactly.verify()
        assert pf.are_equivalent(a, b).verdict is Verdict.NO  # by an exact input
        assert pf.equivalence_classes([a, b]).tolist() == [0, 1]
    # rescaled by powers of two far out: the same function, which floats see where products stay in range
    a = pf.ReLUNetwork.random((2, 4, 1), rng=0)
    for s in (2.0**-300, 2.0**300):
        b = N([a.weights[0] * s, a.weights[1] / s], [a.biases[0] * s, a.biases[1]])
        assert pf.are_equivalent(a, b).verdict is Verdict.YES


def test_a_box_that_is_one_point() -> None:
    a, b = (pf.ReLUNetwork.random((2, 4, 3, 2), rng=seed) for seed in (0, 1))
    point = pf.Box([1.0, 0.5], [1.0, 0.5])
    for method in ("auto", "regions"):
        assert pf.are_equivalent(a, b, point, method=method).verdict is Verdict.NO
        assert pf.are_equivalent(a, random_trivial(a, rng=1)(a), point, method=method).verdict is Verdict.YES
    assert top1_agreement(a, random_trivial(a, rng=1)(a), point, method="regions").verdict is Verdict.YES


def test_bad_arguments_are_one_error_each() -> None:
    a, b = (pf.ReLUNetwork.random((2, 4, 3, 2), rng=seed) for seed in (0, 1))
    box, empty = pf.Box(-1, 1, dimension=2), pf.Polyhedron([[1, 0], [-1, 0], [0, 1], [0, -1]], [0, -1, 1, 1])
    beyond = N([[[Fraction(10**400)] * 2] * 2], [[0, 0]])
    for call in (
        lambda: pf.are_equivalent(a, b, tolerance="a"),
        lambda: pf.are_equivalent(a, b, tolerance=None),
        lambda: pf.equivalence_classes([a, b], tolerance="a"),
        lambda: top1_agreement(a, b, box, margin=np.nan),
        lambda: top1_agreement(a, b, box, margin=-1.0),
        lambda: top1_agreement("a", b, box),
        lambda: top1_agreement(beyond, b, box),
        lambda: pf.equivalence_classes([a, beyond]),
        lambda: pf.difference(a, beyond, box),
    ):
        with pytest.raises(pf.errors.InputError):
            call()
    for question in (pf.are_equivalent, pf.difference):
        with pytest.raises(pf.errors.InputError, match="empty"):
            question(a, b, empty)


# ---- what the tolerance explains -----------------------------------------------------------------------------------------


def test_a_gap_that_moved_parameters_of_either_explain_is_no_proof() -> None:
    """Parameters moved by 1e-9 move this pyramid by a thousand times its width: it may as well not be there."""
    far, half = 2.0**20, 2.0**-20
    f = N([[[1.0], [-1.0]], [[0.0, 0.0]], [[1.0]]], [[0, 0], [0], [0]])
    g = N([[[1.0], [-1.0]], [[-1.0, -1.0]], [[1.0]]], [[-far, far], [half], [0]])
    for a, b in ((f, g), (g, f)):
        assert pf.are_equivalent(a, b).verdict is not Verdict.NO
        assert pf.are_equivalent(a, b, tolerance=0).verdict is Verdict.NO
    near = N(g.weights, [[-1.0, 1.0], [half], [0]])
    for a, b in ((f, near), (near, f)):
        assert pf.are_equivalent(a, b).verdict is Verdict.NO


# ---- every method answers the question that was asked -------------------------------------------------------------------
def test_methods_hear_epsilon_for_each_output_and_relative() -> None:
    f = pf.ReLUNetwork.random((2, 5, 2), rng=1)
    box = pf.Box(-1, 1, dimension=2)
    moved = pf.ReLUNetwork(f.weights, [f.biases[0], f.biases[1] + np.array([0.5, 0])])
    larger = pf.ReLUNetwork([f.weights[0], f.weights[1] * 1.1], [f.biases[0], f.biases[1] * 1.1])
    for method in ("auto", "regions", "bound"):
        assert pf.are_equivalent(f, moved, box, epsilon=np.array([1.0, 1e-6]), method=method).verdict is pf.Verdict.YES
        assert pf.are_equivalent(f, moved, box, epsilon=np.array([0.1, 1.0]), method=method).verdict is pf.Verdict.NO
        assert pf.are_equivalent(f, larger, box, epsilon=0.05, relative=0.2, method=method).verdict is pf.Verdict.YES
        for epsilon in (float("nan"), -1, "x", [1, 2, 3]):
            with pytest.raises(pf.errors.InputError, match="epsilon"):
                pf.are_equivalent(f, moved, box, epsilon=epsilon, method=method)
            with pytest.raises(pf.errors.InputError, match="epsilon"):
                pf.are_equivalent(f, f, box, epsilon=epsilon, method=method)
    with pytest.raises(pf.errors.InputError, match="relative"):
        pf.are_equivalent(f, f, box, epsilon=0.1, relative=-1)
    with pytest.raises(pf.errors.InputError, match="relative stands beside epsilon"):
        pf.are_equivalent(f, larger, box, relative=0.2)


def test_bounds_do_not_decide_exactly() -> None:
    f = pf.ReLUNetwork.random((2, 5, 2), rng=1)
    thirds = pf.ReLUNetwork([f.weights[0] / 3, f.weights[1] * 3], [f.biases[0] / 3, f.biases[1]])
    assert pf.are_equivalent(f, thirds, tolerance=0, method="bound").verdict is pf.Verdict.NO


def test_forms_on_a_box() -> None:
    f = pf.ReLUNetwork.random((2, 5, 2), rng=1)
    copy = pf.ReLUNetwork([f.weights[0] / 3, f.weights[1] * 3], [f.biases[0] / 3, f.biases[1]])
    other = pf.ReLUNetwork(f.weights, [f.biases[0], f.biases[1] + 0.5])
    box = pf.Box(-1, 1, dimension=2)
    found = pf.are_equivalent(f, copy, box, method="forms")
    assert (found.verdict, found.method) == (pf.Verdict.YES, "canonical form")
    assert pf.are_equivalent(f, other, box, method="forms").verdict is pf.Verdict.NO


def test_numbers_at_the_ends_of_floats() -> None:
    tiny = [pf.ReLUNetwork([[[Fraction(k, 10**400)]]], [[Fraction(0)]]) for k in (1, 2)]
    with pytest.raises(pf.errors.InputError, match="below the range of floats"):
        pf.are_equivalent(*tiny)
    f, g = pf.ReLUNetwork([[[1.0, 2.0]]], [[0.0]]), pf.ReLUNetwork([[[0.0, 0.0]]], [[0.0]])
    assert pf.are_equivalent(f, g, pf.Box(-1e308, 1e308, dimension=2)).verdict is pf.Verdict.NO
    assert pf.are_equivalent(f, f.exact(), tolerance=Fraction(1, 10**9)).verdict is pf.Verdict.YES
    with pytest.raises(pf.errors.InputError, match="seconds"):
        pf.Budget(seconds="x")  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [499, 957])
def test_what_is_equal_exactly_is_equal_within_a_tolerance(seed: int) -> None:
    """Half the weights zero, all of size 1e4 or 1e7, copied by permutations and powers of two: cells alone left them undecided."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 5))
    widths = [n, *(int(rng.integers(1, 9)) for _ in range(rng.integers(1, 4))), int(rng.integers(1, 4))]
    W, b, size = [], [], 10.0 ** rng.integers(-8, 9)
    for i, o in itertools.pairwise(widths):
        W.append(rng.standard_normal((o, i)) * (rng.random((o, i)) >= 0.5) * size)
        b.append(rng.standard_normal(o) * (rng.random(o) >= 0.5) * size)
    V, c = [w.copy() for w in W], [v.copy() for v in b]
    for l in range(len(W) - 1):
        order = rng.permutation(len(c[l]))
        scale = 2.0 ** rng.integers(-6, 7, len(order))
        V[l], c[l], V[l + 1] = V[l][order] * scale[:, None], c[l][order] * scale, V[l + 1][:, order] / scale
    found = pf.are_equivalent(pf.ReLUNetwork(W, b), pf.ReLUNetwork(V, c))
    assert found.verdict is pf.Verdict.YES
    assert found.recheck(budget=pf.Budget(seconds=20)).verdict is not pf.Verdict.NO
