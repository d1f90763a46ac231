"""Functional dimension: against floats, against the rationals, and against the classification."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import InputError, ShapeError
from polyfiber.fibers.dimension import LocalFiber, local_fiber, scaling_dimension
from polyfiber.network import moves as mv


def float_rank(net: pf.ReLUNetwork, masks: np.ndarray) -> int:
    """Rank by differences of the affine pieces: the coefficients are polynomials, steps are complex."""
    shapes = [p.shape for pair in zip(net.weights, net.biases) for p in pair]
    theta = np.concatenate([p.ravel() for pair in zip(net.weights, net.biases) for p in pair])
    rows = []
    for mask in masks:
        columns = []
        for k in range(len(theta)):
            step = theta.astype(complex)
            step[k] += 1e-30j
            position, start = 0, 0
            A, a = np.eye(net.architecture[0], dtype=complex), np.zeros(net.architecture[0], dtype=complex)
            for l in range(len(net.weights)):
                W = step[position : position + np.prod(shapes[2 * l])].reshape(shapes[2 * l])
                position += W.size
                b = step[position : position + shapes[2 * l + 1][0]]
                position += b.size
                A, a = W @ A, W @ a + b
                if l < len(net.weights) - 1:
                    D = mask[start : start + len(b)] > 0
                    start += len(b)
                    A, a = A * D[:, None], a * D
            columns.append(np.concatenate([A.ravel(), a]).imag / 1e-30)
        rows.append(np.array(columns).T)
    J = np.vstack(rows)
    return int(np.linalg.matrix_rank(J, tol=1e-10 * np.linalg.norm(J, 2)))


@pytest.mark.parametrize("widths", [(2, 3, 1), (2, 2, 2, 1), (3, 2, 2), (1, 3, 2, 1), (2, 3, 2, 2, 1)])
def test_against_complex_steps_and_rationals(widths: tuple[int, ...]) -> None:
    for seed in range(3):
        net = pf.ReLUNetwork.random(widths, rng=seed)
        cx = pf.canonical_complex(net)
        found = local_fiber(net, regions=cx, exact_rank=True)
        masks = cx.signs(cx.dimension)[:, : net.n_hidden]
        assert found.functional_dimension == found.exact_rank == float_rank(net, masks)
        assert found.functional_dimension == pf.functional_dimension(net, regions=masks, rng=seed)
        assert found.proven
        assert found.n_regions == len(masks)
        assert found.scaling_dimension == net.n_hidden
        rational = local_fiber(net.exact(), regions=masks)
        assert rational.functional_dimension == found.functional_dimension


def signed(rng: np.random.Generator, widths: tuple[int, int, int, int], rows: list[str], k: int) -> pf.ReLUNetwork:
    net = pf.ReLUNetwork.random(widths, rng=rng)
    W, b = np.abs(net.weights[1]), np.abs(net.biases[1])
    for j, row in enumerate(rows):
        if row == "dead":
            W[j], b[j] = -W[j], -b[j]
        elif row == "hiding":
            W[j], b[j] = -W[j], -b[j]
            W[j, k] *= -1
        elif row == "bent":  # mixed, and no row that could hide: bias positive, first weight negative
            W[j] *= np.where(rng.random(len(W[j])) < 0.5, 1, -1)
            W[j, 0] = -abs(W[j, 0])
    return pf.ReLUNetwork([net.weights[0], W, net.weights[2]], [net.biases[0], b, net.biases[2]])


def own_dimension(report: pf.FiberReport) -> int:
    if report.kind != "layerwise":
        assert report.dimension is not None
        return report.dimension
    layer = report.layer
    assert layer is not None
    return layer.component(layer.own_orientation, report.roles.count("linear")).dimension


ROWS = {
    "identifiable": ["bent"], "l < min": ["bent", "linear"], "l = n1 <= m": ["bent", "linear", "linear"],
    "l > min": ["bent", "linear", "linear", "linear"], "dead": ["bent", "dead"],
    "dead and linear": ["bent", "linear", "dead"], "hiding one": ["hiding"], "hiding two": ["hiding", "hiding"],
    "hiding and dead": ["hiding", "dead"], "constant": ["dead"], "bent pair": ["bent", "bent"],
}  # fmt: skip


def check_row(name: str, count: int) -> None:
    rng = np.random.default_rng(len(name))
    rows = ROWS[name]
    for _ in range(count):
        n1 = int(rng.integers(2, 4))
        m = int(rng.integers(1, 4))
        widths = (n1 + int(rng.integers(0, 2)), n1, len(rows), m)
        if name == "l = n1 <= m":
            widths = (2, 2, 3, max(2, m))
        net = signed(rng, widths, rows, int(rng.integers(n1)))
        report = pf.classify_fiber(net)
        assert report.kind != "undecided", report.reason
        measured = pf.local_fiber(net)
        expected = own_dimension(report)
        assert measured.dimension == expected, (name, widths, report.reason)
        assert measured.raw_dimension == expected + net.n_hidden


@pytest.mark.parametrize("name", list(ROWS))
def test_agrees_with_the_classification(name: str) -> None:
    check_row(name, 25)


def test_dimension_is_the_same_at_sampled_points_of_the_fiber() -> None:
    rng = np.random.default_rng(1)
    net = signed(rng, (3, 3, 3, 2), ["bent", "linear", "linear"], 0)
    report = pf.classify_fiber(net)
    expected = pf.local_fiber(net).dimension
    for component in report.components():
        if component.dimension == expected:
            assert pf.local_fiber(component.sample(rng=rng)).dimension == expected
    hidden = signed(rng, (3, 3, 1, 2), ["hiding"], 1)
    for component in pf.classify_fiber(hidden).components():
        assert pf.local_fiber(component.sample(rng=rng)).dimension == 1


def test_samples_of_inputs_would_be_wrong_where_regions_are_small() -> None:
    """A neuron that acts only far out: sampled patterns miss it and give a larger nullity."""
    net = pf.ReLUNetwork([[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [[1.0, 2.0, 0.5]]], [[0.3, -0.2, -1e6], [0.0]])
    complete = pf.local_fiber(net)
    x = np.random.default_rng(0).standard_normal((4000, 2))
    seen = np.where(np.unique(net.preactivations(x)[0] > 0, axis=0), 1, -1)
    assert local_fiber(net, regions=seen).dimension > complete.dimension == 0


def test_local_dimension_of_the_report() -> None:
    net = pf.ReLUNetwork.random((2, 4, 3, 1), rng=0)
    report = pf.classify_fiber(net)
    assert report.kind == "rigid"
    assert report.dimension == 0
    assert report.local_dimension == pf.local_fiber(net).dimension


def test_scalings_of_disconnected_neurons() -> None:
    net = pf.ReLUNetwork([[[0.0], [1.0]], [[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0]]], [[0.0, 1.0], [0.0, 0.0], [0.0]])
    # neurons 0 of both layers hang on each other only: they scale together, and nothing shows it
    assert scaling_dimension(net) == 3
    assert scaling_dimension(pf.ReLUNetwork.random((2, 3, 3, 1), rng=0)) == 6


def test_exact_parameters_and_bad_regions() -> None:
    third = Fraction(1, 3)
    net = pf.ReLUNetwork([[[third], [-2 * third]], [[1, third]]], [[third, 1], [0]])
    assert isinstance(local_fiber(net, regions=[[1, 1], [-1, 1], [1, -1]]), LocalFiber)
    with pytest.raises(ShapeError):
        local_fiber(net, regions=[[1]])
    with pytest.raises(InputError, match="signs"):
        local_fiber(net, regions=[[2, 1]])
    assert local_fiber(net, regions=[[0, 1]]).n_ambiguous == 1


def test_moves_do_not_change_the_dimension() -> None:
    for seed in range(4):
        net = pf.ReLUNetwork.random((2, 4, 3, 2), rng=seed)
        assert pf.local_fiber(net).dimension == pf.local_fiber(mv.random_trivial(net, rng=seed)(net)).dimension
