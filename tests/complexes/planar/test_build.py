"""Slices by walking: against the complexes of chains, against dense sampling, and on inputs that are not generic."""

from __future__ import annotations

import copy
import pickle
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.complexes.planar.build import planar_slice

DATA = Path(__file__).resolve().parents[3] / "data"
SQUARE = pf.Box(-1, 1, dimension=2)


def rows(signs: np.ndarray) -> set[bytes]:
    return {row.astype(np.int8).tobytes() for row in signs}


def quantised(seed: int, widths: tuple[int, ...], *, biases: bool = True) -> pf.ReLUNetwork:
    """Small integers: equal and opposite rows, zero rows, walls that meet in one point."""
    rng = np.random.default_rng(seed)
    weights = [rng.integers(-1, 2, (b, a)).astype(float) for a, b in zip(widths, widths[1:])]
    shifts = [rng.integers(-1, 2, b) * (1.0 if biases else 0.0) for b in widths[1:]]
    return pf.ReLUNetwork(weights, shifts)


@pytest.mark.parametrize("seed", range(4))
def test_chains_as_the_complex(seed: int) -> None:
    net = pf.ReLUNetwork.random((7, 9, 8, 3), rng=seed)
    D = np.random.default_rng(seed).standard_normal((2, 7))
    a = pf.slice_complex(net, np.zeros(7), D, domain=SQUARE, arithmetic="exact")
    b = pf.slice_complex(net, np.zeros(7), D, domain=SQUARE, method="walk")
    assert isinstance(b, pf.PlanarSlice)
    assert a.f_vector == b.f_vector
    assert rows(a.complex.signs(2)[:, : net.n_hidden]) == rows(b.signs())
    assert b.verify(rng=seed).ok
    np.testing.assert_allclose(b.values, net(b.vertices), atol=1e-9)
    assert np.abs(b.values - net(b.vertices)).max() <= b.value_error + 1e-12


@pytest.mark.parametrize("seed", range(12))
def test_what_is_not_generic_as_the_lattice(seed: int) -> None:
    net = quantised(seed, (3, 5, 4, 2), biases=seed % 3 != 0)
    if seed % 4 == 1:  # a dead layer in part
        W, b = [w.copy() for w in net.weights], [v.copy() for v in net.biases]
        W[0][1] = 0.0
        b[0][1] = -1.0
        net = pf.ReLUNetwork(W, b)
    o, D = np.array([0.0, 0.5, 0.0]) * (seed % 2), np.array([[1.0, 0, 0], [0, 1.0, 1.0]])
    a = pf.slice_complex(net, o, D, domain=SQUARE, method="complex")
    b = pf.slice_complex(net, o, D, domain=SQUARE, method="walk")
    assert rows(a.complex.signs(2)[:, : net.n_hidden]) == rows(b.signs())
    assert a.f_vector == b.f_vector
    assert b.verify(rng=0).ok


@pytest.mark.parametrize("name", ["iris_petals_leaky", "wine_three_residual"])
def test_no_sampled_pattern_is_missing(name: str) -> None:
    net = pf.read_network(DATA / f"{name}.onnx")
    n = net.n_inputs
    D = np.eye(n)[:2] * 7.0
    s = pf.slice_complex(net, np.full(n, 3.0), D, domain=SQUARE, method="walk")
    assert isinstance(s, pf.PlanarSlice)
    t = np.random.default_rng(0).uniform(-1, 1, (20_000, 2))
    z = np.concatenate(net.preactivations(s.points(t))[:-1], axis=1)
    clear = (np.abs(z) > 1e-9).all(axis=1)
    assert clear.sum() > 19_000
    assert rows(np.sign(z[clear])) <= rows(s.signs())
    found = s.locate(t[clear])
    assert (found >= 0).all()
    A, a, _ = s.affine_maps(np.arange(s.n_regions))
    values = np.einsum("kij,kj->ki", A[found], t[clear]) + a[found]
    np.testing.assert_allclose(values, net(s.points(t[clear])), atol=1e-9)
    assert s.verify(rng=0).ok


def test_leaky_of_slope_zero_is_relu_and_absolute_values_are_two_relus() -> None:
    chain = pf.ReLUNetwork.random((4, 8, 6, 2), rng=3)
    net = pf.PiecewiseLinearNetwork.from_chain(chain)
    D = np.eye(4)[:2]
    a, b = (planar_slice(n, np.full(4, 0.1), D, domain=SQUARE) for n in (chain, net))
    assert a.f_vector == b.f_vector
    blocks = [pf.GateBlock(g.weights, g.bias, slopes=(-1.0, 1.0)) for g in net.blocks]
    folded = pf.PiecewiseLinearNetwork(4, blocks, net.output)
    c = planar_slice(folded, np.full(4, 0.1), D, domain=SQUARE)
    assert c.verify(rng=1).ok
    emulated = pf.slice_complex(folded.to_chain(), np.full(4, 0.1), D, domain=SQUARE, method="walk")
    assert emulated.n_regions == c.n_regions  # pairs z and -z share their walls


def test_equal_inputs_share_gates() -> None:
    """Two pixels that are equal on the whole slice: their comparison is zero, what sees only one of them is one gate."""
    W = np.array([[1.0, 0.0, 0.3], [0.0, 1.0, 0.3], [1.0, -1.0, 0.0]])
    net = pf.ReLUNetwork([W, np.eye(3), np.ones((1, 3))], [np.full(3, -0.2), np.full(3, 0.1), np.zeros(1)])
    s = planar_slice(net, np.zeros(3), [[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]], domain=SQUARE)
    assert s.stats.merged == 2
    assert s.stats.constant == 2  # the comparison, always off, and what reads it, always on
    signs = s.signs()
    assert np.array_equal(signs[:, 0], signs[:, 1])
    assert (signs[:, 2] == -1).all()
    assert s.verify(rng=0).ok


def test_exact_networks() -> None:
    W = np.array([[Fraction(1, 3), Fraction(1)], [Fraction(1, 7), Fraction(-1, 3)]], dtype=object)
    net = pf.ReLUNetwork([W, W], [np.array([Fraction(1, 9), Fraction(0)], dtype=object)] * 2)
    a = pf.slice_complex(net, [0, 0], np.eye(2), domain=SQUARE, method="complex")
    b = pf.slice_complex(net, [0, 0], np.eye(2), domain=SQUARE, method="walk")
    assert a.f_vector == b.f_vector
    assert b.verify(rng=0).ok


def test_lines() -> None:
    net = pf.ReLUNetwork.random((6, 12, 12, 2), rng=5)
    x0, x1 = np.full(6, -2.0), np.full(6, 2.0)
    s = pf.slice_through(net, x0, x1)
    expected = pf.segment_regions(net, x0, x1)
    assert s.f_vector == (s.n_regions + 1, s.n_regions)
    assert s.n_regions == expected.n_regions
    assert (np.diff(s.coordinates[:, 0]) > 0).all()
    assert s.euler_characteristic == 1
    assert s.verify(rng=0).ok
    with pytest.raises(pf.errors.InputError, match="plane"):
        s.statistics()


def test_polygons_of_all_kinds() -> None:
    net = pf.ReLUNetwork.random((5, 10, 10, 2), rng=2)
    D = np.random.default_rng(0).standard_normal((2, 5))
    triangle = pf.Polyhedron([[-1, 0], [0, -1], [1, 1]], [0, 0, 1])
    a = planar_slice(net, np.zeros(5), D, domain=triangle)
    b = planar_slice(net, np.zeros(5), D, corners=[[0, 0], [1, 0], [0, 1]])
    c = pf.slice_through(net, np.zeros(5), D[0], D[1])
    assert a.f_vector == b.f_vector == c.f_vector
    far = planar_slice(net, np.zeros(5), D, domain=pf.Box([1000, -1e-3], [1001, 1e-3]))
    assert far.verify(rng=0).ok
    thin = planar_slice(net, np.zeros(5), D, domain=pf.Box([-1, 0], [1, 1e-12]))
    assert thin.verify(rng=0).ok


def test_values_travel() -> None:
    s = pf.slice_through(pf.ReLUNetwork.random((4, 6, 2), rng=0), [0] * 4, [1] * 4, [1, 0, 1, 0])
    for other in (pickle.loads(pickle.dumps(s)), copy.deepcopy(s)):
        assert other.f_vector == s.f_vector
        assert np.array_equal(other.signs(), s.signs())
    assert np.array_equal(s.signs([2, 0]), s.signs()[[2, 0]])


def test_bad_input() -> None:
    net = pf.ReLUNetwork.random((3, 4, 2), rng=0)
    leaky = pf.PiecewiseLinearNetwork(
        3, [pf.GateBlock({0: np.eye(3)}, np.zeros(3), slopes=(0.1, 1.0))], pf.AffineMap({1: np.ones((1, 3))}, [0.0])
    )
    error = pf.errors.InputError
    with pytest.raises(error, match="dependent"):
        planar_slice(net, np.zeros(3), [[1, 0, 0], [2, 0, 0]], domain=SQUARE)
    with pytest.raises(error, match="one line"):
        pf.slice_through(net, [0, 0, 0], [1, 1, 1], [2, 2, 2])
    with pytest.raises(error, match="one line"):
        pf.slice_through(net, [0, 0, 0], [0, 0, 0])
    with pytest.raises(error, match="bounded"):
        pf.slice_complex(leaky, np.zeros(3), np.eye(3)[:2], method="walk")
    with pytest.raises(error, match="unbounded"):
        planar_slice(net, np.zeros(3), np.eye(3)[:2], domain=pf.Polyhedron([[1, 0], [0, 1], [0, -1]], [1, 1, 1]))
    with pytest.raises(error, match="unbounded"):
        planar_slice(net, np.zeros(3), np.eye(3)[:1], domain=pf.Polyhedron([[1]], [1]))
    with pytest.raises(error, match="1 or 2 directions"):
        planar_slice(net, np.zeros(3), np.eye(3), domain=pf.Box(-1, 1, dimension=3))
    with pytest.raises(error, match="interior"):
        planar_slice(net, np.zeros(3), np.eye(3)[:2], domain=pf.Box([0, 0], [1, 0]))
    with pytest.raises(error, match="numbers"):
        pf.slice_through(net, [0, 0], [1, 1], [2, 0])
    with pytest.raises(error, match="finite"):
        pf.slice_through(net, [0, 0, float("nan")], [1, 1, 0], [2, 0, 0])
    with pytest.raises(error, match="expected two"):
        pf.slice_through(net, [0, 0, 0])
    with pytest.raises(error, match="method"):
        pf.slice_complex(net, np.zeros(3), np.eye(3)[:2], domain=SQUARE, method="fast")
    big = pf.ReLUNetwork([np.full((2, 3), 1e200), np.full((1, 2), 1.0)], [np.ones(2), np.ones(1)])
    with pytest.raises(error, match="beyond"):
        planar_slice(big, np.zeros(3), np.eye(3)[:2], domain=SQUARE)


def test_a_budget_is_heard() -> None:
    net = pf.read_network(DATA / "digits_cnn.onnx")
    images = np.random.default_rng(0).integers(0, 17, (3, 64))
    with pytest.raises(pf.errors.BudgetExceededError) as caught:
        pf.slice_through(net, *images, budget=pf.Budget(seconds=0.05))
    assert caught.value.partial.step == "regions of the slice"
    assert caught.value.partial.done < 20_000


def test_gates_whose_values_are_equal_floats_at_both_ends_of_an_edge() -> None:
    """Two equal patches of a blank image: dozens of gates share walls, and a vertex once came out as 0 / 0."""
    net = pf.read_network(Path(__file__).parents[3] / "data" / "digits_cnn.onnx")
    rng = np.random.default_rng(0)
    D, patch = np.zeros((2, 1, 8, 8)), rng.standard_normal((1, 2, 2))
    y, x = int(rng.integers(0, 2)), int(rng.integers(0, 2))
    D[0, :, y : y + 2, x : x + 2], D[1, :, y + 4 : y + 6, x + 4 : x + 6] = patch, patch
    box = pf.Box([-1, -1], [1, 1])
    found = [
        pf.slice_complex(net, np.zeros(64), D.reshape(2, 64), domain=box, method=way).f_vector  # type: ignore[arg-type]
        for way in ("walk", "complex")
    ]
    assert found[0] == found[1] == (114, 207, 94)


def gates(*blocks: tuple[dict[int, list[list[float]]], list[float], tuple[float, float]]) -> pf.PiecewiseLinearNetwork:
    """A network of these blocks; its output is the last block's first gate."""
    built = [pf.GateBlock(reads, bias, slopes=slopes) for reads, bias, slopes in blocks]
    out = [[1.0] + [0.0] * (built[-1].width - 1)]
    return pf.PiecewiseLinearNetwork(2, built, pf.AffineMap({len(built): out}, [0.0]))


def test_values_at_a_corner_are_not_those_of_forms_elsewhere() -> None:
    """On the far side of the first wall the second gate's form has another sign at the corner than the function."""
    eps = 2.0**-64
    net = gates(
        ({0: [[1.0, 1.0]]}, [-(2.0**-52)], (-1.0, 1.0)),
        ({1: [[1.0]]}, [-eps], (-1.0, 1.0)),
    )
    s = planar_slice(net, np.zeros(2), np.eye(2), corners=[(0, 0), (1, 0), (0, 1)])
    assert rows(s.signs()) == {bytes(np.array(v, dtype=np.int8)) for v in [(1, 1), (1, -1), (-1, 1), (-1, -1)]}
    assert s.euler_characteristic == 1
    assert s.verify(rng=0).ok  # regions of width 2^-64, whose middles are rational


def test_products_that_underflow_are_paid_for() -> None:
    """1e-200 times a slope of 1e-200 is 0 in floats, and what it multiplies is 1e120: more than the offset beside it."""
    net = gates(
        ({0: [[1e120, 0.0]]}, [2e120], (0.0, 1e-200)),
        ({1: [[-1e-200]], 0: [[0.0, 1e-290]]}, [2e-290], (0.0, 1.0)),
    )
    s = pf.slice_complex(net, np.zeros(2), np.eye(2), domain=SQUARE, method="walk")
    assert s.signs().tolist() == [[1, -1]]


def test_walls_in_the_twentieth_digit_are_told_apart_without_integers() -> None:
    near = 1.0 + 2.0**-52
    W = [[1.0, 1.0], [1.0, near], [near, 1.0], [1.0, -1.0]]
    net = gates(
        ({0: W}, [0.25, 0.25 + 2.0**-54, 0.25, 0.0], (0.0, 1.0)), ({1: [[1.0, -1.0, 1.0, 0.5]]}, [2.0**-60], (0.0, 1.0))
    )
    a = pf.slice_complex(net, np.zeros(2), np.eye(2), domain=SQUARE, method="walk")
    b = pf.slice_complex(net, np.zeros(2), np.eye(2), domain=SQUARE, method="complex")
    assert a.f_vector == b.f_vector
    assert a.stats.doubled_signs > 0


@pytest.mark.parametrize("size", [1e-145, 1e-156, 1e-160, 1e-300])
def test_small_pieces_of_the_plane(size: float) -> None:
    """Six lines through one point make twelve regions, where products of their entries underflow in part."""
    W = np.random.default_rng(1).normal(size=(6, 2))
    net = pf.PiecewiseLinearNetwork.from_chain(pf.ReLUNetwork([W, np.ones((1, 6))], [np.zeros(6), [0]]))
    s = pf.slice_through(net, *(size * np.array([[-1.0, -1.0], [2.0, -1.0], [-1.0, 2.0]])))
    assert s.n_regions == 12
    assert s.verify().ok
