"""minimize: what it saves, that the function stays, that the moves reproduce the result."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.equivalence.checks.sample import deviation
from polyfiber.equivalence.minimize import MinimizeResult
from polyfiber.errors import InputError
from polyfiber.fibers.activity import facts_from_complex, facts_on
from polyfiber.fibers.examples import nonlocal_example
from polyfiber.testing.near_misses import FAMILIES, WEIGHTS, base_network
from polyfiber.testing.rewritings import rewritten
from scripts.attacks.complexes.gates import attack as gates_attack


def check(net: pf.ReLUNetwork, result: object, rtol: float = 1e-11) -> None:
    assert isinstance(result, MinimizeResult)
    assert result.moves(net) == result.network
    assert deviation(net, result.network).relative < rtol
    if net.is_exact:
        X = np.random.default_rng(0).integers(-20, 21, (40, net.architecture[0]))
        assert (net(X) == result.network(X)).all()


def blown_up(rng: np.random.Generator, exact: bool = False) -> tuple[pf.ReLUNetwork, tuple[int, ...]]:
    """A (3, 3, 3, 2) network with one linear neuron, widened by everything that can be taken back."""
    base = pf.ReLUNetwork.random((3, 3, 3, 2), rng=rng)
    W1, W2, W3 = (np.round(w * 64) / 64 for w in base.weights)
    b1, b2, b3 = (np.round(b * 64) / 64 + 1 / 128 for b in base.biases)
    W2[0], b2[0] = np.abs(W2[0]) + 1 / 64, abs(b2[0])
    W2[1, 0], W2[1, 1] = abs(W2[1, 0]) + 1 / 64, -abs(W2[1, 1]) - 1 / 64
    W2[2, 0], W2[2, 1] = -abs(W2[2, 0]) - 1 / 64, abs(W2[2, 1]) + 1 / 64
    # layer 2: a dead one, a duplicate, the linear one split in two, a constant one
    W2 = np.vstack([W2, -np.abs(W2[1]) - 0.5, 2 * W2[1], 0.5 * W2[0], np.zeros(3)])
    b2 = np.r_[b2, -0.5, 2 * b2[1], 0.25 * b2[0], 0.75]
    W3 = np.hstack([W3, np.round(rng.standard_normal((2, 4)) * 64) / 64])
    W3[:, 5] = 2 * W3[:, 0]
    # layer 1: a duplicate row, and one without effect
    W1 = np.vstack([W1, 4 * W1[1], [[1.0, 1.0, -1.0]]])
    b1 = np.r_[b1, 4 * b1[1], 0.125]
    W2 = np.hstack([W2, W2[:, 1:2] / 8, np.zeros((7, 1))])
    net = pf.ReLUNetwork([W1, W2, W3], [b1, b2, b3])
    return (net.exact() if exact else net), (3, 3, 3, 2)


@pytest.mark.parametrize("exact", [False, True])
def test_takes_back_what_was_added(exact: bool) -> None:
    for seed in range(4):
        net, widths = blown_up(np.random.default_rng(seed), exact)
        result = pf.minimize(net)
        assert result.network.architecture == widths, [str(m) for m in result.moves.moves]
        check(net, result)
        assert result.saved_neurons == 6
        assert "->" in repr(result)
        again = pf.minimize(result.network)
        assert len(again.moves) == 0
        assert again.network == result.network


def test_tiny_layers_and_far_hyperplanes_keep_their_function() -> None:
    """Products of layers that underflow were lost; hyperplanes far out were one where their offsets agreed."""
    W = [
        np.array([[1.3, -0.4, 0.2], [0.7, 0.9, -0.3], [-0.2, 1.1, 0.6]]),
        np.array([[1.0, -0.8, 0.5], [-0.3, 0.9, 0.4]]),
    ]
    tiny = pf.ReLUNetwork(
        [1e-160 * W[0], 1e-160 * W[1], [[1.0, -0.7]]],
        [1e-160 * np.array([0.3, -0.5, 0.8]), 1e-320 * np.array([0.1, -0.2]), [0.5]],
    )
    found = pf.minimize(tiny)
    assert found.network == tiny == found.original
    far = pf.ReLUNetwork([[[1.0, -1.0], [-1.0, -1.0], [2.0, -2.0]], [[1.0, 2.0, 1.0]]], [[-1e15, -1e15, -2e15], [0.0]])
    kept = pf.minimize(far)  # copies go, other normals stay
    assert (kept.network.architecture, kept.network.is_exact) == ((2, 2, 1), False)
    assert kept.prove(budget=pf.Budget(seconds=20))


def test_many_linear_neurons_shrink_to_nonnegative_rank() -> None:
    rng = np.random.default_rng(5)
    for n1, m in ((3, 1), (3, 2), (2, 3)):
        base = pf.ReLUNetwork.random((4, n1, 8, m), rng=rng)
        W2, b2 = base.weights[1].copy(), base.biases[1].copy()
        W2[:6], b2[:6] = np.abs(W2[:6]), np.abs(b2[:6])
        W2[6:, 0], W2[6:, 1], b2[6:] = -1.0, 1.0, 0.4
        W2[7, 0] = -2.0
        net = pf.ReLUNetwork([base.weights[0], W2, base.weights[2]], [base.biases[0], b2, base.biases[2]])
        result = pf.minimize(net)
        assert result.network.architecture[2] <= 2 + min(n1, m + 1)
        product = W2[:6].T @ base.weights[2][:, :6].T
        assert result.network.architecture[2] <= 2 + pf.nonnegative_column_rank(product.T).rank
        check(net, result)


def test_first_layer_pairs_that_cancel() -> None:
    # relu(h) - relu(-h) + relu(-h) * 2 ... : three neurons on one hyperplane are one and a linear part of rank 0
    w = np.array([[1.0, -2.0], [-1.0, 2.0], [3.0, 1.0], [2.0, -4.0]])
    b = np.array([0.5, -0.5, 0.2, 1.0])
    net = pf.ReLUNetwork([w, [[1.0, 0.0, 1.0, -0.25]]], [b, [0.0]])
    result = pf.minimize(net)
    assert result.network.architecture == (2, 2, 1)
    check(net, result)


def test_constant_networks_keep_one_neuron_per_layer() -> None:
    net = pf.ReLUNetwork([np.eye(2), -np.ones((3, 2)), [[1.0, 2.0, 3.0]]], [np.zeros(2), -np.ones(3), [4.0]])
    result = pf.minimize(net)
    assert result.network.architecture == (2, 1, 1, 1)
    check(net, result)
    assert result.network([[5.0, 5.0]]) == [[4.0]]


def test_deep_networks_and_facts_of_the_complex() -> None:
    net = pf.ReLUNetwork.random((2, 4, 4, 3, 1), rng=7)
    result = pf.minimize(net)
    check(net, result)
    assert result.source == "complex"
    by_bounds = pf.minimize(net, use_complex=False)
    assert by_bounds.source == "bounds"
    assert by_bounds.saved_neurons <= result.saved_neurons
    example = nonlocal_example((4, 3, 3, 3, 1), rng=1)
    result = pf.minimize(example)
    # three always-active neurons of layer 3 feed one output on bounded inputs: rank 1
    assert result.network.architecture[3] == 1
    check(example, result)


def test_generic_networks_are_minimal_already() -> None:
    for seed in range(5):
        net = pf.ReLUNetwork.random((4, 3, 3, 2), rng=100 + seed)
        result = pf.minimize(net, use_complex=False)
        check(net, result)
        report = pf.classify_fiber(net)
        if report.identifiable:
            assert result.saved_neurons == 0


def test_epsilon_bounds_the_change_on_the_box() -> None:
    rng = np.random.default_rng(8)
    net = pf.ReLUNetwork.random((3, 12, 8, 2), rng=rng)
    weights = [w.copy() for w in net.weights]
    weights[2][:, :4] *= 1e-4
    weights[1][:, :5] *= 1e-5
    net = pf.ReLUNetwork(weights, net.biases)
    lower, upper = -np.ones(3), np.ones(3)
    X = rng.uniform(-1, 1, (5000, 3))
    saved = []
    for epsilon in (1e-9, 1e-3, 1e-2):
        result = pf.minimize(net, epsilon=epsilon, domain=pf.Box(lower, upper), use_complex=False)
        assert result.bound <= epsilon * (1 + 1e-6)
        assert np.abs(net(X) - result.network(X)).max() <= result.bound + 1e-12
        saved.append(result.saved_neurons)
    assert saved[0] < saved[1] <= saved[2]
    with pytest.raises(InputError, match="box"):
        pf.minimize(net, epsilon=1e-3)
    with pytest.raises(InputError, match="ReLUNetwork"):
        pf.minimize("net")  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore::polyfiber.errors.PolyfiberDeprecationWarning")
def test_on_a_box_more_can_go() -> None:
    rng = np.random.default_rng(10)
    base = pf.ReLUNetwork.random((2, 8, 6, 2), rng=rng)
    biases = [base.biases[0].copy(), *base.biases[1:]]
    biases[0][:5] = 10.0  # always active on the box, not on the plane
    biases[0][5] = -10.0  # dead on the box
    net = pf.ReLUNetwork(base.weights, biases)
    everywhere = pf.minimize(net)
    on_box = pf.minimize(net, domain=pf.Box(-1, 1, dimension=net.architecture[0]))
    assert everywhere.network.architecture[1] == 8
    assert on_box.network.architecture[1] <= 4
    assert on_box.bound == 0.0
    check = on_box.verify()
    assert (check.source, check.relative < 1e-11) == ("complexes", True)
    X = rng.uniform(-1, 1, (4000, 2))
    np.testing.assert_allclose(on_box.network(X), net(X), atol=1e-10)
    assert np.abs(on_box.network(100 * X) - net(100 * X)).max() > 1e-3
    for lower, upper in ((1.0, -1.0), (0.0, np.inf), (0.0, None), ([0.0], [1.0, 2.0, 3.0])):
        with pytest.raises(InputError, match="box"):
            pf.minimize(net, lower=lower, upper=upper)


def test_near_duplicates_are_not_merged() -> None:
    net = pf.ReLUNetwork.random((3, 3, 3, 1), rng=9)
    W = net.weights[1].copy()
    W[1] = W[0] * (1 + 1e-7 * np.arange(3))
    b = net.biases[1].copy()
    b[1] = b[0]
    result = pf.minimize(pf.ReLUNetwork([net.weights[0], W, net.weights[2]], [net.biases[0], b, net.biases[2]]))
    assert result.network.architecture[2] == 3


def dead_by_programs() -> pf.ReLUNetwork:
    """On [-1, 1]^2 neuron 2 of layer 2 is never active, which takes a program (or the complex) to see."""
    first = [[2, 1], [0, -2], [-1, -3], [-3, -3], [-2, 2]]
    second = [[1, 3, 0, 1, 3], [2, 1, 0, 0, 3], [-2, 2, 1, -3, -1], [3, 0, -3, 2, 2]]
    biases = [[2.0, -2.0, -2.0, 2.0, -2.0], [-1.0, -4.0, -2.0, -1.0], [0.0]]
    return pf.ReLUNetwork([first, second, [[1.0, 1.0, 1.0, 1.0]]], biases)


def test_every_step_says_what_decided_it() -> None:
    net = dead_by_programs()
    box = {"domain": pf.Box(-1, 1, dimension=net.architecture[0])}
    result = pf.minimize(net, use_complex=False, prove=True, **box)
    assert result.network.architecture[2] <= 3
    assert "LP bounds" in result.decided_by
    assert "by LP bounds" in str(result.moves.moves[0])
    assert result.source == "bounds"
    assert result.proof is not None
    assert result.proof.verdict is pf.Verdict.YES
    by_complex = pf.minimize(net, use_complex=True, **box)
    assert "complex" in by_complex.decided_by
    assert by_complex.network.architecture[2] <= result.network.architecture[2]
    assert pf.minimize(net).saved_neurons == 0


def test_facts_on_a_box_are_those_of_the_complex_or_weaker() -> None:
    names = {"interval bounds", "linear bounds", "LP bounds", "exact range"}
    for seed in range(3):
        net = pf.ReLUNetwork.random((3, 8, 8, 6, 1), rng=seed)
        box = pf.Box(-0.3, 0.4, dimension=3)
        true = facts_from_complex(net, pf.canonical_complex(net, box))
        z = net.preactivations(pf.canonical_complex(net, box).vertices)
        for method in ("interval", "relaxation", "lp", "exact"):
            found = facts_on(net, box, method=method)
            for layer in range(3):
                for i, (kind, exact) in enumerate(zip(found.status[layer], true.status[layer])):
                    assert kind in ("bent", exact), (seed, method, layer, i)
                    assert found.methods[layer][i] in names
                    if method == "exact":
                        assert kind == exact
                assert (z[layer] <= found.upper[layer] + 1e-12).all()
                assert (z[layer] >= found.lower[layer] - 1e-12).all()


def test_a_proof_by_every_road() -> None:
    for exact in (False, True):
        net, widths = blown_up(np.random.default_rng(1), exact)
        result = pf.minimize(net, prove=True, budget=pf.Budget(seconds=300))
        assert result.network.architecture == widths
        assert result.proof is not None
        assert result.proof.verdict is pf.Verdict.YES, str(result.proof)
        assert (result.proof.tolerance == 0) == exact
        assert result.verify().verdict is pf.Verdict.YES
    assert pf.minimize(net).verify().verdict is pf.Verdict.UNDECIDED  # no proof was asked for
    net = dead_by_programs().exact()
    result = pf.minimize(net, domain=pf.Box(-1, 1, dimension=net.architecture[0]), prove=True)
    assert result.network.architecture[2] <= 3
    assert result.proof is not None
    assert (result.proof.verdict, result.proof.tolerance) == (pf.Verdict.YES, 0.0)


def test_a_proof_within_epsilon_on_a_box() -> None:
    net = pf.ReLUNetwork.random((2, 8, 6, 2), rng=3)
    result = pf.minimize(net, epsilon=0.5, domain=pf.Box(-1, 1, dimension=net.architecture[0]), prove=True)
    assert result.proof is not None
    assert result.proof.verdict is pf.Verdict.YES
    assert result.proof.epsilon == 0.5
    assert result.proof.bound is not None
    assert result.proof.bound <= 0.5 * (1 + 1e-9)


def test_a_wrong_result_is_not_proved() -> None:
    net, _ = blown_up(np.random.default_rng(2))
    result = pf.minimize(net)
    weights = [w.copy() for w in result.network.weights]
    weights[0][0, 0] += 0.25
    wrong = dataclasses.replace(result, network=pf.ReLUNetwork(weights, result.network.biases))
    assert wrong.prove().verdict is pf.Verdict.NO
    wrong = dataclasses.replace(wrong, proof=result.prove())
    assert wrong.verify().relative > 1e-6


def test_what_cannot_be_proved_says_why() -> None:
    base = pf.ReLUNetwork.random((12, 20, 20, 20, 2), rng=0)
    W, b, C = base.weights[1], base.biases[1], base.weights[2]
    twin = pf.ReLUNetwork(
        [base.weights[0], np.vstack([W, W[:1]]), np.hstack([C, C[:, :1]]), base.weights[3]],
        [base.biases[0], np.r_[b, b[:1]], base.biases[2], base.biases[3]],
    )
    result = pf.minimize(twin, prove=True)
    assert result.saved_neurons == 1
    assert result.proof is not None
    if result.proof.verdict is pf.Verdict.UNDECIDED:
        assert "beyond enumeration" in result.proof.reason
    assert result.verify(use_complexes=False).verdict is result.proof.verdict


def test_a_huge_neuron_that_is_off_hides_nothing() -> None:
    """Neuron 1 of layer 2 has terms of 1e150 and never acts on the box; the function beside it is of size 1."""
    net = pf.ReLUNetwork(
        [[[1e150, 1.0], [1.0, 1e-150]], [[1e-150, 1.0], [1.0, -1e150]], [[1.0, 1.0]]], [[1, 1], [1, -1], [0.0]]
    )
    for box in ({}, {"domain": pf.Box(-1, 1, dimension=2)}):
        result = pf.minimize(net, **box)
        X = np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 0.0], [-1.0, -1.0], [-0.5, 1.0]])
        assert np.allclose(net(X), result.network(X), rtol=1e-12)
        # and the comparison would have seen it
        constant = pf.ReLUNetwork([np.zeros((1, 2)), np.zeros((1, 1)), np.zeros((1, 1))], [[0.0], [0.0], [1.0]])
        assert dataclasses.replace(result, network=constant).verify().relative > 0.1


@pytest.mark.parametrize(
    "options",
    [
        {"epsilon": float("nan"), "lower": -1, "upper": 1},
        {"epsilon": -1.0, "lower": -1, "upper": 1},
        {"epsilon": float("inf"), "lower": -1, "upper": 1},
        {"tolerance": float("nan")},
        {"tolerance": -1e-3},
        {"lower": 0.0},
        {"lower": float("nan"), "upper": 1.0},
        {"lower": 1.0, "upper": -1.0},
    ],
)
@pytest.mark.filterwarnings("ignore::polyfiber.errors.PolyfiberDeprecationWarning")
def test_numbers_that_make_no_sense(options: dict[str, float]) -> None:
    with pytest.raises(InputError):
        pf.minimize(pf.ReLUNetwork.random((2, 3, 2, 1), rng=0), **options)


def test_the_old_names_of_a_box_warn_and_work() -> None:
    net = pf.ReLUNetwork.random((2, 3, 2, 1), rng=0)
    with pytest.warns(pf.errors.PolyfiberDeprecationWarning, match="domain="):
        old = pf.minimize(net, lower=-1.0, upper=1.0)
    assert old.network == pf.minimize(net, domain=pf.Box(-1, 1, dimension=2)).network


def test_gates_on_one_side_and_unread_ones_go_exactly() -> None:
    block = pf.GateBlock({0: [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]]}, [0.0, 3.0, 0.0, 0.0], slopes=(0.25, 1))
    after = pf.GateBlock({1: [[1.0, 1.0, 0.0, 1.0]]}, [0.0], slopes=(-1, 1))
    net = pf.PiecewiseLinearNetwork(2, [block, after], pf.AffineMap({0: [[1.0, 0.0]], 2: [[1.0]]}, [0.0]))
    found = pf.minimize(net, domain=pf.Box([-1, -1], [1, 1]), prove=True)
    assert found.network.hidden_widths == (1,)  # gate 1 is affine, 2 unread, 3 zero; then the second block is positive
    assert found.neurons == ((0,), ())
    assert found.proof.verdict is pf.Verdict.YES
    assert found.verify().relative < 1e-12
    assert "saved" in str(found).lower()
    assert pf.minimize(net).network.hidden_widths == (2, 1)
    with pytest.raises(InputError, match="epsilon"):
        pf.minimize(net, epsilon=0.1, domain=pf.Box([-1, -1], [1, 1]))


def test_the_attack_on_gates_finds_nothing() -> None:
    _, wrong = gates_attack(seed=700, count=6, seconds=60.0, parts=("removal",))
    assert not wrong


@pytest.mark.parametrize("seed", [1594, 1885])
def test_linear_neurons_of_very_different_size_are_left_alone(seed: int) -> None:
    """Their product has a rank that is clear, and factors that are not faithful: that ended in an error."""
    rng = np.random.default_rng(seed)
    family, weights = FAMILIES[int(rng.integers(len(FAMILIES)))], WEIGHTS[int(rng.integers(len(WEIGHTS)))]
    net = base_network(family, weights, rng)
    if rng.random() < 0.6:
        net, _ = rewritten(net, rng, steps=int(rng.integers(0, 4)), hidden=20)
    found = pf.minimize(net.rounded())
    assert any("linear neurons" in text for text in found.undecided)
    assert found.verify().relative < 1e-9
