"""Canonical forms: equal for equal functions, and only then; one pair."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.equivalence.collections.collection import unflatten
from polyfiber.equivalence.forms.canonical import CanonicalForm, canonical_form, flat_parameters
from polyfiber.equivalence.forms.exact import exact_normal_form
from polyfiber.errors import FileFormatError, InputError, NumericalError, ShapeError
from polyfiber.network.moves import Permute, Rescale, Translate, random_trivial
from polyfiber.verdict import Verdict

ARCHITECTURES = [
    (4, 4, 3, 2),
    (4, 3, 1, 2),
    (3, 2, 1, 1),
    (8, 6, 4, 3),
    (3, 5, 2),
    (3, 4, 4, 4, 2),
    (3, 2),
    (3, 1, 3, 2),
]


def equal_copy(net: pf.ReLUNetwork, rng: np.random.Generator) -> pf.ReLUNetwork:
    """Another point of the fiber where it is known, else a trivial copy."""
    if len(net.weights) == 3 and net.architecture[1] > 1:
        report = pf.classify_fiber(net)
        if report.kind != "undecided":
            return report.sample(1, rng=rng, trivial=True)[0]
    return random_trivial(net, rng=rng)(net)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_equal_functions_have_equal_forms_and_others_do_not(architecture: tuple[int, ...]) -> None:
    rng = np.random.default_rng(5)
    previous = None
    for _ in range(25):
        net = pf.ReLUNetwork.random(architecture, rng=rng)
        form, other = canonical_form(net), canonical_form(equal_copy(net, rng))
        assert form.matches(other)
        assert set(form.keys()) & set(other.keys())
        if previous is not None and "constant" not in (form.kind, previous.kind):
            assert form.distance(previous) > 1e-3
        previous = form


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_a_form_is_the_function_and_goes_back_to_a_network(architecture: tuple[int, ...]) -> None:
    rng = np.random.default_rng(6)
    for _ in range(15):
        net = pf.ReLUNetwork.random(architecture, rng=rng)
        form = canonical_form(net)
        X = 3 * rng.standard_normal((50, architecture[0]))
        again = form.to_network()
        np.testing.assert_allclose(form(X), net(X), atol=1e-11)
        np.testing.assert_allclose(again(X), net(X), atol=1e-11)
        assert form.matches(canonical_form(again))


def test_forms_are_saved_and_read(tmp_path) -> None:
    for seed in range(8):
        form = canonical_form(pf.ReLUNetwork.random((4, 3, 1, 2), rng=seed))
        form.save(tmp_path / "form.npz")
        back = CanonicalForm.load(tmp_path / "form.npz")
        assert back == form
        assert hash(back) == hash(form)
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    with pytest.raises(FileFormatError):
        CanonicalForm.load(tmp_path / "bad.npz")
    with pytest.raises(InputError):
        canonical_form("net")  # type: ignore[arg-type]


def test_gone_neurons_leave_no_trace() -> None:
    net = pf.ReLUNetwork.random((3, 3, 2, 1), rng=3)
    W, b = [w.copy() for w in net.weights], [v.copy() for v in net.biases]
    # a constant neuron and a duplicate in layer 1, a dead and an unused neuron in layer 2
    W[0] = np.concatenate([W[0], np.zeros((1, 3)), 2.0 * W[0][:1]])
    b[0] = np.concatenate([b[0], [0.7], 2.0 * b[0][:1]])
    W[1] = np.concatenate([W[1], [[0.3], [-0.2]], 0.25 * W[1][:, :1]], axis=1)
    W[1][:, 0] *= 0.5
    b[1] = b[1] - 0.7 * W[1][:, 3]
    W[1] = np.concatenate([W[1], -np.ones((1, 5)), np.ones((1, 5))])
    b[1] = np.concatenate([b[1], [-0.1, 0.3]])
    W[2] = np.concatenate([W[2], [[5.0, 0.0]]], axis=1)
    wide = pf.ReLUNetwork(W, b)
    X = np.random.default_rng(0).standard_normal((100, 3))
    np.testing.assert_allclose(wide(X), net(X), atol=1e-12)
    assert canonical_form(wide).matches(canonical_form(net))
    assert pf.are_equivalent(wide, net).verdict is Verdict.YES
    assert pf.equivalence_classes([net, wide]).tolist() == [0, 0]


def test_rows_that_tie_in_projection_are_matched() -> None:
    rng = np.random.default_rng(0)
    lost = 0
    for _ in range(300):
        net = pf.ReLUNetwork(
            [rng.integers(-2, 3, (4, 4)).astype(float), rng.standard_normal((3, 4)), rng.standard_normal((2, 3))],
            [rng.integers(-2, 3, 4).astype(float), rng.standard_normal(3), rng.standard_normal(2)],
        )
        lost += not canonical_form(net).matches(canonical_form(random_trivial(net, rng=rng)(net)))
    assert lost == 0


def test_exact_forms_tell_what_a_tolerance_cannot() -> None:
    net = pf.ReLUNetwork.random((4, 4, 3, 2), rng=0)
    doubled = Rescale(1, (2.0, 0.5, 4.0, 1.0))(Permute(1, (3, 1, 0, 2))(net))
    third = Rescale(1, (1 / 3, 1.0, 1.0, 1.0))(net)
    assert exact_normal_form(net) == exact_normal_form(doubled)
    for other, exact in ((doubled, Verdict.YES), (third, Verdict.NO)):
        answer = pf.are_equivalent(net, other)
        assert answer.verdict is Verdict.YES
        assert answer.exact_verdict is exact
        assert pf.are_equivalent(net, other, tolerance=0).verdict is exact
        assert answer.verify()
    rational = net.exact()
    report = pf.classify_fiber(rational)
    for other in report.sample(3, rng=1, trivial=True):
        assert exact_normal_form(other) == exact_normal_form(rational)
    W = [w.copy() for w in rational.weights]
    W[0][0, 0] += Fraction(1, 10**40)
    assert exact_normal_form(pf.ReLUNetwork(W, rational.biases)) != exact_normal_form(rational)


@pytest.mark.parametrize("size", [1e-3, 1e-5, 1e-7])
@pytest.mark.parametrize("architecture", [(4, 4, 3, 2), (3, 6, 2), (2, 3, 3, 3, 1)], ids=str)
def test_near_misses_are_different_with_a_witness(architecture: tuple[int, ...], size: float) -> None:
    rng = np.random.default_rng(9)
    for _ in range(5):
        net = pf.ReLUNetwork.random(architecture, rng=rng)
        form = canonical_form(net)
        if form.kind == "constant" or form.widths != net.architecture:
            continue
        W = [w.copy() for w in net.weights]
        layer = int(rng.integers(len(W)))
        W[layer][np.unravel_index(np.argmax(np.abs(W[layer])), W[layer].shape)] *= 1 + size
        near = random_trivial(net, rng=rng)(pf.ReLUNetwork(W, net.biases))
        answer = pf.are_equivalent(net, near, tolerance=1e-10)
        assert answer.verdict is Verdict.NO
        assert answer.witness is not None
        assert answer.verify()
        assert len(set(pf.equivalence_classes([net, near], tolerance=1e-10).tolist())) == 2


def test_translations_end_where_they_end() -> None:
    rng = np.random.default_rng(10)
    done = 0
    while done < 5:
        W2 = -np.abs(rng.standard_normal((2, 3)))
        W2[:, 1] *= -1
        net = pf.ReLUNetwork(
            [rng.standard_normal((3, 4)), W2, rng.standard_normal((2, 2))],
            [rng.standard_normal(3), -np.abs(rng.standard_normal(2)), rng.standard_normal(2)],
        )
        end = float(np.min(-net.biases[1] / net.weights[1][:, 1]))
        at_end = Translate(1, end)(net)
        assert pf.are_equivalent(net, at_end).verdict is Verdict.YES
        b1, b2 = net.biases[0].copy(), net.biases[1].copy()
        b1[1] -= end + 1e-4
        b2 = b2 + (end + 1e-4) * net.weights[1][:, 1]
        beyond = pf.ReLUNetwork(net.weights, [b1, b2, net.biases[2]])
        answer = pf.are_equivalent(net, beyond)
        assert answer.verdict is Verdict.NO
        assert answer.verify()
        done += 1


def test_bad_input_is_refused() -> None:
    a, b = pf.ReLUNetwork.random((2, 3, 1), rng=0), pf.ReLUNetwork.random((3, 3, 1), rng=0)
    with pytest.raises(ShapeError, match="2 and 3 inputs"):
        pf.are_equivalent(a, b)
    with pytest.raises(InputError):
        pf.are_equivalent(a, a, tolerance=2.0)
    with pytest.raises(InputError):
        pf.are_equivalent(a, a, epsilon=1.0)
    with pytest.raises(InputError):
        pf.equivalence_classes([a, 3])
    with pytest.raises(InputError):
        unflatten(np.zeros(3), (2, 2))
    assert unflatten(flat_parameters(a), a.architecture) == a


@pytest.mark.parametrize("row", [[1e308, 1e308], [1e-200, 1e-200]])
def test_forms_are_refused_where_products_leave_the_floats(row: list[float]) -> None:
    with pytest.raises(NumericalError, match="range of floats"):
        pf.canonical_form(pf.ReLUNetwork([[row], [[1.0]]], [[0.0], [0.0]]))
