"""The one definition of the tolerance: no pair has a YES by one way and a NO by another."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.equivalence.allowance import Allowance, directions, parameters_within
from polyfiber.equivalence.collections.classes import group_networks
from polyfiber.equivalence.forms.canonical import canonical_form, flat_parameters
from polyfiber.equivalence.forms.shared_features import shared_features
from polyfiber.equivalence.relations.prove import by_relations
from polyfiber.equivalence.relations.split import by_splitting
from polyfiber.kernels.fibers.spread import parameters_near, sensitivities, spreads
from polyfiber.network.moves import random_trivial

TOLERANCE = 1e-9


def beside_large(factor: float, change: str, where: float = 1000.0) -> tuple[pf.ReLUNetwork, pf.ReLUNetwork]:
    """relu(x), and the same with a difference of 1e-4 near the origin, beside units of slope ``factor`` far out that may cancel."""
    far = (
        [(1.0, -where, factor)]
        if change == "slope beside a unit"
        else [(1.0, -where, factor), (3.0, -3 * where, -factor / 3)]
    )
    f = [(1.0, 0.0, 1.0), *far]
    g = [(1.0, 0.0, 1.0001), *far] if change.startswith("slope") else [
        *f, (1.0, 1e-3 - 0.7123, 0.1), (1.0, -0.7123, -0.2), (1.0, -1e-3 - 0.7123, 0.1)
    ]  # fmt: skip
    return tuple(  # type: ignore[return-value]
        pf.ReLUNetwork([[[w] for w, _, _ in units], [[c for _, _, c in units]]], [[b for _, b, _ in units], [0.0]])
        for units in (f, g)
    )


def ways_to_yes(f: pf.ReLUNetwork, g: pf.ReLUNetwork, domain: pf.Box | None = None) -> list[str]:
    """Which proofs of equality succeed, each asked by itself."""
    found = []
    allowance = Allowance(f, g, TOLERANCE, domain)
    x, y = canonical_form(f), canonical_form(g)
    noise = x.noise + y.noise
    flat = None
    if f.architecture == g.architecture:
        flat = np.stack([flat_parameters(f), flat_parameters(g)]), np.array(f.architecture)
    if x.distance(y) <= TOLERANCE + noise and allowance.admits_forms(x.distance(y) + noise, flat):
        found.append("forms")
    shared = shared_features(f, g, tolerance=TOLERANCE)
    if shared is not None and allowance.admits_forms(shared + noise):
        found.append("features")
    if by_relations(f, g, tolerance=TOLERANCE, domain=domain) is not None:
        found.append("relations")
    split = by_splitting(f, g, tolerance=TOLERANCE, domain=domain, most=64)
    if split is not None and split.equal:
        found.append("splitting")
    for method in ("forms", "regions", "auto"):
        answer = pf.are_equivalent(f, g, domain, tolerance=TOLERANCE, method=method, budget=pf.Budget(seconds=1))
        if answer.verdict is pf.Verdict.YES:
            found.append(method)
    return found


@pytest.mark.parametrize("factor", [1e6, 1e9, 1e11])
@pytest.mark.parametrize("change", ["slope", "slope beside a unit", "pyramid"])
@pytest.mark.parametrize("domain", [None, pf.Box([0.0], [1.0])])
def test_large_terms_elsewhere_explain_nothing_here(factor: float, change: str, domain: pf.Box | None) -> None:
    f, g = beside_large(factor, change)
    for a, b in ((f, g), (g, f)):
        assert ways_to_yes(a, b, domain) == []
        answer = pf.are_equivalent(a, b, domain, budget=pf.Budget(seconds=10))
        assert answer.verdict is pf.Verdict.NO
        assert answer.recheck(budget=pf.Budget(seconds=10)).verdict is pf.Verdict.YES


def test_large_terms_that_cancel_on_one_side_explain_nothing_on_the_other() -> None:
    # relu(x) + 1e9 (relu(-x) - relu(-3 x) / 3), and 1.0001 relu(x) + the same
    W, c = [[1.0], [-1.0], [-3.0]], np.zeros(3)
    f, g = (pf.ReLUNetwork([W, [[s, 1e9, -1e9 / 3]]], [c, [0.0]]) for s in (1.0, 1.0001))
    assert ways_to_yes(f, g) == []
    assert pf.are_equivalent(f, g).verdict is pf.Verdict.NO


@pytest.mark.parametrize("seed", range(16))
def test_where_one_way_says_yes_no_input_says_no(seed: int) -> None:
    rng = np.random.default_rng(seed)
    widths = [(1, 4, 1), (2, 5, 2), (2, 4, 3, 1), (3, 4, 4, 2)][seed % 4]
    net = pf.ReLUNetwork.random(widths, rng=rng)
    W, b = [w.copy() for w in net.weights], [v.copy() for v in net.biases]
    out = 10.0 ** rng.uniform(-6, 6, W[-1].shape[1])  # terms of very different size
    W[-1] = W[-1] * out
    b[0] = b[0] * 10.0 ** rng.uniform(-3, 3, len(b[0]))
    if rng.random() < 0.5:  # large terms that cancel
        W[0], b[0] = np.concatenate([W[0], W[0][:1] * 3]), np.append(b[0], b[0][0] * 3)
        big = 10.0 ** rng.uniform(3, 9)
        for l in (1,):
            W[l] = np.concatenate([W[l], np.full((len(W[l]), 1), -big / 3)], axis=1)
            W[l][:, 0] += big
    f = pf.ReLUNetwork(W, b)
    level = 10.0 ** rng.uniform(-16, -3)
    V = [w * (1 + level * rng.standard_normal(w.shape) * (rng.random(w.shape) < 0.3)) for w in W]
    g = random_trivial(pf.ReLUNetwork(V, b), rng=rng)(pf.ReLUNetwork(V, b))
    yes = ways_to_yes(f, g)
    allowance = Allowance(f, g, TOLERANCE)
    n = widths[0]
    X = rng.standard_normal((4000, n)) * 10.0 ** rng.uniform(-4, 8, (4000, 1))
    worst = float(allowance.excess(X).max())
    assert not yes or worst <= 1, (yes, worst, level)


@pytest.mark.parametrize("widths", [(2, 4, 1), (4, 4, 3, 2), (16, 16, 8, 4), (10, 64, 64, 4), (3, 8, 8, 8, 2)])
def test_permutations_and_scalings_are_seen_entry_by_entry(widths: tuple[int, ...]) -> None:
    for seed in range(5):
        f = pf.ReLUNetwork.random(widths, rng=seed)
        g = random_trivial(f, rng=seed)(f)
        flat = np.stack([flat_parameters(f), flat_parameters(g)])
        assert parameters_near(flat, np.array(widths), 1e-14)
        at = (-1 - len(f.biases[-1]), 2, -1)[seed % 3]  # a weight of an output, one of the first layer, a bias
        flat[1, at] *= 1 + 1e-6
        assert not parameters_near(flat, np.array(widths), 1e-9)
        assert not parameters_near(flat, np.array(widths), 4.9e-7)
        assert parameters_near(flat, np.array(widths), 2.1e-6)
        flat[1, at] = np.nan
        assert not parameters_near(flat, np.array(widths), 1e-2)


def test_copies_within_a_looser_tolerance_are_equal() -> None:
    net = pf.ReLUNetwork.random((6, 32, 32, 4), rng=0)
    short = pf.ReLUNetwork(
        [w.astype(np.float32).astype(float) for w in net.weights],
        [v.astype(np.float32).astype(float) for v in net.biases],
    )
    answer = pf.are_equivalent(net, short, tolerance=1e-6)
    assert (answer.verdict, answer.method) == (pf.Verdict.YES, "canonical form")
    assert parameters_within(1e-6, 3) > 6e-8


@pytest.mark.parametrize("seed", range(10))
def test_sensitivities_bound_moved_blocks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    widths = [(2, 4, 1), (2, 4, 3, 1), (3, 5, 4, 3, 2)][seed % 3]
    f = pf.ReLUNetwork.random(widths, rng=rng)
    k = np.empty((1, widths[-1], 2))
    sensitivities(flat_parameters(f)[None], np.array(widths), k)
    scale = np.ones(widths[0])
    d, V, c = 1e-6, [], []
    for l, (W, b) in enumerate(zip(f.weights, f.biases)):
        last = l == len(f.weights) - 1
        sizes = np.linalg.norm(W * scale, axis=1) if not last else np.abs(W * scale).max(axis=1)
        V.append(W + d * sizes[:, None] / scale * rng.choice([-1, 1], W.shape))
        c.append(b + d * np.maximum(sizes, np.abs(b)) * rng.choice([-1, 1], b.shape))
        scale = np.linalg.norm(W * scale, axis=1)
    g = pf.ReLUNetwork(V, c)
    X = rng.standard_normal((3000, widths[0])) * 10.0 ** rng.uniform(-2, 4, (3000, 1))
    bound = d * (k[0, :, 0] + np.abs(X).max(axis=1)[:, None] * k[0, :, 1]) * (1 + 1e-3)
    assert (np.abs(f(X) - g(X)) <= bound).all()
    out = np.empty(1)
    spreads(flat_parameters(f)[None], np.array(widths), directions(widths[0])[:2], out)
    reach = Allowance(f, f, TOLERANCE).reach(X)
    assert (k[0, :, 0] + np.abs(X).max(axis=1)[:, None] * k[0, :, 1] <= out[0] * reach).all()


def test_classes_keep_to_the_same_definition() -> None:
    nets = [net for factor in (1e6, 1e9) for change in ("slope", "pyramid") for net in beside_large(factor, change)]
    found = group_networks(nets)
    for i in range(0, len(nets), 2):
        assert found.labels[i] != found.labels[i + 1]


def test_products_beyond_floats_are_told_apart_by_an_exact_input() -> None:
    f = pf.ReLUNetwork([[[1e308], [1.0]], [[1e308, 1.0]], [[1.0]]], [[0, 0], [0], [0.0]])
    g = pf.ReLUNetwork([[[1e308], [1.0]], [[1e307, 1.0]], [[1.0]]], [[0, 0], [0], [0.0]])
    for domain in (None, pf.Box([-1.0], [2.0])):
        for a, b in ((f, g), (g, f)):
            answer = pf.are_equivalent(a, b, domain)
            assert answer.verdict is pf.Verdict.NO
            assert answer.proof is not None
            assert isinstance(answer.proof.values[0][0], Fraction)
            assert answer.recheck().verdict is pf.Verdict.YES
        assert pf.are_equivalent(f, f, domain).verdict is pf.Verdict.YES


@pytest.mark.parametrize("factor", [1e6, 1e9, 1e11])
@pytest.mark.parametrize("change", [1e-4, 1e-6])
def test_winners_beside_large_terms_elsewhere(factor: float, change: float) -> None:
    f, g = (
        pf.ReLUNetwork([[[1.0], [1.0]], [[s, factor], [0.0, factor]]], [[0.0, -1000.0], [0.0, 0.5]])
        for s in (1.0, 1.0 + change)
    )
    answer = pf.top1_agreement(f, g, pf.Box([0.0], [1.0]))
    assert answer.verdict is pf.Verdict.NO
    assert answer.verify()


def test_numbers_beyond_floats_are_refused_where_nothing_can_be_said() -> None:
    huge = pf.ReLUNetwork.random((2, 4, 3, 2), rng=0)
    huge = pf.ReLUNetwork([huge.weights[0] * 1e308, *huge.weights[1:]], huge.biases)
    far = pf.ReLUNetwork([np.full((2, 2), Fraction(10) ** 400)] * 2, [np.full(2, Fraction(0))] * 2)
    box = pf.Box(-1, 1, dimension=2)
    for net in (huge, far):
        with pytest.raises(pf.errors.InputError, match="range of floats"):
            pf.minimize(net)
        with pytest.raises(pf.errors.InputError, match="range of floats"):
            pf.minimize(net, domain=box, epsilon=0.1, prove=True)
        with pytest.raises(pf.errors.InputError, match="range of floats"):
            pf.align(net, net)
    assert pf.top1_agreement(huge, huge, box).verdict is pf.Verdict.YES
    assert pf.difference(huge, huge, box, budget=pf.Budget(seconds=5)).upper >= 0
