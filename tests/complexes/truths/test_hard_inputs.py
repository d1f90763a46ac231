"""Hard inputs: every face of every network of the corpus, whatever is degenerate about it, equals exact truth."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import polyfiber as pf
from polyfiber.errors import GenericityError, PolyfiberError
from polyfiber.testing import (
    Case,
    degenerate_corpus,
    huge_ratio_network,
    integer_networks,
    near_coincident_network,
    rescaled,
    subnormal_network,
)
from scripts.attacks.complexes.geometry import given_out
from tests.complexes.truths.test_against_exact import compare
from tests.oracles.exact_faces import ExactComplex, exact_complex


def test_rescaled_networks_have_the_same_faces() -> None:
    rng = np.random.default_rng(5)
    for seed in range(4):
        net = pf.ReLUNetwork.random((2, 5, 4, 1), rng=seed)
        twin = rescaled(net, [rng.integers(-200, 201, size=5), rng.integers(-200, 201, size=4)])
        one, two = pf.canonical_complex(net), pf.canonical_complex(twin)
        for k in range(3):
            assert {tuple(r) for r in one.signs(k).tolist()} == {tuple(r) for r in two.signs(k).tolist()}


ADVERSARIAL = [
    *[("huge", huge_ratio_network, a, s) for s in range(3) for a in [(2, 5, 4, 1), (3, 3, 3, 1), (2, 3, 3, 3, 1)]],
    *[("near", near_coincident_network, a, s) for s in range(3) for a in [(2, 6, 4, 1), (3, 4, 3, 1), (2, 4, 4, 3, 1)]],
    *[("subnormal", subnormal_network, a, s) for s in range(3) for a in [(2, 5, 4, 1), (3, 3, 3, 1)]],
]


@pytest.mark.parametrize(
    ("kind", "make", "architecture", "seed"), ADVERSARIAL, ids=lambda v: getattr(v, "__name__", str(v))
)
def test_adversarial_weights(kind: str, make: Any, architecture: tuple[int, ...], seed: int) -> None:
    """Right; coordinates are not compared (they may not fit a float)."""
    net = make(architecture, rng=seed)
    truth = exact_complex(net.weights, net.biases)
    try:
        cx = pf.canonical_complex(net, on_degenerate="refuse")
    except GenericityError:
        assert not is_generic(truth), "a generic network was refused"
        return
    compare(cx, truth, coordinates=False)


def is_generic(truth: ExactComplex) -> bool:
    """Supertransversal, as far as it shows: every k-face has exactly d - k zeros."""
    return all(sum(s == 0 for s in face.signs) == truth.dim - face.dim for face in truth.faces.values())


@pytest.mark.parametrize("case", degenerate_corpus(), ids=lambda c: c.name)
def test_degenerate_corpus(case: Case) -> None:
    net = case.network
    truth = exact_complex(net.weights, net.biases, domain=case.domain)
    domain = None if case.domain is None else pf.Polyhedron(*case.domain)
    try:
        cx = pf.canonical_complex(net, domain=domain, on_degenerate="refuse")
    except GenericityError:
        assert not is_generic(truth), "a generic network was refused"
        return
    compare(cx, truth, coordinates=False)
    assert tuple(pf.face_counts(net, domain=domain)) == truth.f_vector


@settings(max_examples=60, deadline=None)
@given(integer_networks())
def test_integer_networks(net: pf.ReLUNetwork) -> None:
    truth = exact_complex(net.weights, net.biases)
    try:
        cx = pf.canonical_complex(net, on_degenerate="refuse")
    except GenericityError:
        assert not is_generic(truth), "a generic network was refused"
        return
    compare(cx, truth)


@settings(max_examples=30, deadline=None)
@given(integer_networks())
def test_refusing_is_exactly_for_networks_that_are_not_generic(net: pf.ReLUNetwork) -> None:
    truth = exact_complex(net.weights, net.biases)
    if is_generic(truth):
        compare(pf.canonical_complex(net, on_degenerate="refuse"), truth)
    else:
        with pytest.raises(GenericityError):
            pf.canonical_complex(net, on_degenerate="refuse")


# ---- numbers at the ends of floats ----------------------------------------------------------------
PLAIN = pf.ReLUNetwork.random((2, 5, 3, 2), rng=0)
MOVED = pf.ReLUNetwork(PLAIN.weights, [*PLAIN.biases[:-1], PLAIN.biases[-1] + 0.25])
STRETCHED = pf.ReLUNetwork([w * 1e200 for w in PLAIN.weights], PLAIN.biases)
SQUARE = [[1, 0], [-1, 0], [0, 1], [0, -1]]
HUGE = Fraction(10) ** 400
ENDS = {
    "1e308": pf.Box([-1e308] * 2, [1e308] * 2),
    "subnormal": pf.Box([-5e-324] * 2, [5e-324] * 2),
    "both": pf.Box([-1e308, -5e-324], [1e308, 5e-324]),
    "an ulp": pf.Box([1.0, 0.0], [np.nextafter(1.0, 2.0), 1.0]),
    "slope 1e300": pf.Polyhedron([[1e300, 1], [-1e300, -1], *SQUARE], [0, 0, 1, 1, 1, 1]),
    "slope 1e400": pf.Polyhedron(
        np.array([[HUGE, Fraction(1)], [-HUGE, Fraction(-1)], *SQUARE], dtype=object),
        np.array([0, 0, 1, 1, 1, 1], dtype=object),
    ),
}


@pytest.mark.parametrize("where", ENDS)
@pytest.mark.parametrize("net", [PLAIN, STRETCHED], ids=["plain", "stretched"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_ends_of_floats_have_an_answer_or_a_refusal(where: str, net: pf.ReLUNetwork) -> None:
    domain, limits = ENDS[where], pf.Budget(seconds=1)
    cx = pf.canonical_complex(net, domain)
    assert cx.certificate.verify(everything=True).verdict is pf.Verdict.YES
    assert not np.isnan(cx.vertices).any()
    assert not np.isnan(cx.volume_errors).any()
    assert pf.activation_bounds(net, domain).verify()
    pf.top1_agreement(net, MOVED, domain, budget=limits)
    assert pf.are_equivalent(net, MOVED, domain, epsilon=0.3, budget=limits).verdict in pf.Verdict
    found = pf.difference(net, MOVED, domain, budget=limits)
    assert not np.isnan([found.maximum, found.upper]).any()
    assert found.maximum <= found.upper
    with contextlib.suppress(PolyfiberError):
        pf.region(net, [0.0, 0.0], domain=domain)
    pf.classify_fiber(net, domain=domain, budget=limits)


# ---- neurons that a domain settles ----------------------------------------------------------------
def test_a_neuron_that_is_off_by_less_than_rounding_counts_nothing() -> None:
    """A neuron of terms of 2^16, below zero on all of a box by 1e-6; rounded to single precision, a corner has it at 2^-7."""
    big, h, rng = Fraction(2**16), 64, np.random.default_rng(0)

    def shift(corner: np.ndarray) -> float:
        return float(-big * (Fraction(corner[0]) + Fraction(corner[1])) - Fraction(1, 10**6))

    def rounded(corner: np.ndarray) -> float:
        value = np.float32(shift(corner))
        for x in corner:
            value = np.float32(value + np.float32(x) * np.float32(big))
        return float(value)

    corner = rng.random(2)
    while rounded(corner) < 2.0**-7:
        corner = rng.random(2)
    first, shifts = rng.normal(size=(h, 2)), rng.normal(size=h) * 0.3
    second = rng.normal(size=(h, h)) * 0.1
    through = np.linspace(-0.02, 0.02, h) - second @ np.maximum(first @ corner + shifts, 0)  # walls close to the corner
    plain = pf.ReLUNetwork([first, second, np.ones((1, h))], [shifts, through, np.zeros(1)])
    off = pf.ReLUNetwork(
        [np.concatenate([np.full((1, 2), float(big)), first]), np.hstack([np.full((h, 1), 4.0), second]), np.ones((1, h))],
        [np.append(shift(corner), shifts), through, np.zeros(1)],
    )  # fmt: skip
    box = pf.Box([0, 0], corner)
    cx = pf.canonical_complex(off, box)
    assert cx._frame.settled.signs[0] == -1
    assert cx.f_vector == pf.canonical_complex(plain, box).f_vector
    assert cx.certificate.verify().ok


def test_slopes_and_bends_where_products_underflow() -> None:
    """1e269 * 1e-202 * 1e-205 is an ordinary number, the product of the last two is not."""
    for first, second, third in ((1e269, 1e-202, 1e-205), (1e200, 1e-200, 1e-200), (1e-200, 1e-200, 1e300)):
        cx = pf.canonical_complex(pf.ReLUNetwork([[[first]], [[second]], [[third]]], [[0.0], [1.0], [0.0]]))
        slope = Fraction(first) * Fraction(second) * Fraction(third)
        said = cx.lipschitz()
        assert abs(Fraction(said.value) - slope) <= Fraction(said.error) <= slope / 10**9
        assert abs(Fraction(cx.affine_maps()[0].max()) - slope) <= slope / 10**15
        assert cx.breakpoint_complex().weights.tolist() == [[float(slope)]]
        assert cx.certificate.verify(everything=True)
    cx = pf.canonical_complex(pf.ReLUNetwork([[[1e200, 1e-200]], [[1.0]]], [[0.0], [0.0]]))
    assert cx.certificate.verify(everything=True)


def test_a_rational_below_floats_is_not_the_smallest_float() -> None:
    weights = [[[10**300]], [[Fraction(1, 10**400)]], [[1]]]
    exact = [np.array([[Fraction(x) for x in row] for row in w], dtype=object) for w in weights]
    shifts = [np.array([Fraction(b)], dtype=object) for b in (0, -Fraction(1, 10**50), 0)]
    cx = pf.canonical_complex(pf.ReLUNetwork(exact, shifts))
    (region,) = cx.locate([[1e5]])
    assert cx.signs(1)[region].tolist() == [1, -1]
    assert len(cx.breakpoint_complex().facets) == 1
    assert cx.certificate.verify(everything=True)


def test_rationals_beyond_floats_are_refused_with_one_error() -> None:
    weights = [np.array([[Fraction(10) ** 400]], dtype=object), np.array([[Fraction(1)]], dtype=object)]
    net = pf.ReLUNetwork(weights, [np.array([Fraction(1)], dtype=object), np.array([Fraction(0)], dtype=object)])
    box = pf.Box([-1], [1])
    asked: list[Any] = [
        *(lambda m=m: pf.activation_bounds(net, box, method=m) for m in ("interval", "relaxation", "lp", "exact")),
        lambda: pf.simplify_on(net, box),
        lambda: pf.genericity(net),
        lambda: pf.classify_fiber(net),
    ]
    for ask in asked:
        with pytest.raises(PolyfiberError, match="beyond the range of floats"):
            ask()
    # a value beyond floats is infinite
    np.testing.assert_array_equal(pf.segment_regions(net, [-1.0], [1.0]).values.ravel(), [0.0, 1.0, np.inf])
    assert "2 regions" in pf.canonical_complex(net, box)._repr_html_()


def test_centres_and_distances_beyond_floats_are_infinite() -> None:
    cx = pf.canonical_complex(pf.ReLUNetwork([[[5e-324, 0.0], [0, 1.0]], [[1.0, 1.0]]], [[1e300, 0.0], [0.0]]))
    assert np.isinf(cx.chebyshev_center(0)[0][0])
    assert cx.distance([0.0, 0.0], 0)[0] == np.inf


# ---- what is given out, in the coordinates of the inputs -------------------------------------------
def ridge(e: float) -> pf.PolyhedralComplex:
    """Two parallel lines next to the axis: one wall, one side of the domain."""
    net = pf.ReLUNetwork([[[e, 1.0]], [[1.0]]], [[1.0], [0.0]])
    return pf.canonical_complex(net, pf.Polyhedron([[-e, -1.0]], [5.0]))


@pytest.mark.parametrize("e", [1e-15, 1e-16, 1e-30, 1e-150, 1e-200, 1e-300])
def test_points_between_parallel_lines(e: float) -> None:
    """Once both vertices were the origin, the ray and a point inside no numbers, and verify said YES."""
    cx = ridge(e)
    assert given_out(cx) == ""
    assert sorted(cx.vertices[:, 1].tolist()) == pytest.approx([-5, -1], rel=1e-12)
    assert cx.vertex_errors.max() < 1e-13
    assert cx.rays[1].tolist() == [[e, 1.0]]


FLATS = {
    "slanted": ([[[1e-7, 1]], [[1]]], [[1], [0]], [[1e-7, 1], [-1e-7, -1]], [5, -5]),
    "far": (
        [[[1e-155, 3, 1e-80]], [[3e155]]], [[2e155], [0]], [[2e-155, -1, -2e-155], [-2e-155, 1, 2e-155]], [2, -2],
    ),
    "subnormal": (
        [[[0.0, -1e-323, 2e-323]], [[1.5e-323]]], [[-1.5e-323], [-1.5e-323]],
        [[-1e-323, 2e-323, -2e-323], [5e-324, -1.5e-323, -1e-323], [2e-323, -1e-323, -1e-323], [1e-323, -2e-323, 2e-323]],
        [2e-323, 2e-323, 2e-323, -2e-323],
    ),
}  # fmt: skip


@pytest.mark.parametrize("which", FLATS)
def test_points_of_flats_lie_within_their_bounds(which: str) -> None:
    """Once refused by verify: a bound of 0, coordinates of -inf and 0 within a finite bound, a check that met no number."""
    W, b, A, sides = FLATS[which]
    cx = pf.canonical_complex(pf.ReLUNetwork(W, b), pf.Polyhedron(A, sides))
    assert given_out(cx) == ""
    assert cx.certificate.verify(everything=True).verdict is pf.Verdict.YES
    if which == "far":
        assert cx.vertices[0].tolist() == pytest.approx([-1.4e161, 4e80, -2e235], rel=1e-12)


INSIDE = {
    "box": (pf.ReLUNetwork([[[1, 0]], [[1]]], [[0], [0]]), pf.Box([-1e308] * 2, [1e308] * 2)),
    "walls near the largest float": (pf.ReLUNetwork([[[1], [1]], [[1, 1]]], [[-1.7e308, -1.6e308], [0]]), None),
    "a half line": (pf.ReLUNetwork([[[1]], [[1]]], [[-1e17], [0]]), None),
}


@pytest.mark.parametrize("where", INSIDE)
def test_points_inside_lie_inside(where: str) -> None:
    cx = pf.canonical_complex(*INSIDE[where])
    inside = cx.interior_points()
    assert np.isfinite(inside).all()
    assert cx.locate(inside).tolist() == list(range(cx.n_regions))
    for r in range(cx.n_regions):
        ball = pf.region(cx.network, inside[r], domain=cx.domain).inscribed_ball
        assert not np.isnan(ball.center).any()
        assert not np.isnan(ball.radius)


def test_a_cell_without_floats_has_a_rational_point_alone() -> None:
    low = 2.0**60
    net = pf.ReLUNetwork([[[1], [1]], [[1, 1]]], [[-low, -np.nextafter(low, np.inf)], [0]])
    cx = pf.canonical_complex(net)
    (between,) = np.flatnonzero(~cx.is_unbounded(1))
    assert np.isnan(cx.interior_points()[between]).all()
    assert low < cx.interior_points(exact=True)[between, 0] < np.nextafter(low, np.inf)


def test_a_check_refuses_what_is_no_number_and_bounds_that_do_not_hold() -> None:
    cx = ridge(1e-16)
    points, errors, rays = cx.vertices, cx.vertex_errors, cx.rays
    for name, damaged in {
        "_points": [
            (points * np.nan, errors),
            (points * 0, errors),
            (points, errors * np.nan),
            (points + 1e-12, errors),
        ],
        "rays": [(rays[0], rays[1] * np.nan), (rays[0], -rays[1])],
    }.items():
        kept = cx._kept[name]
        for value in damaged:
            cx._kept[name] = value
            assert cx.certificate.verify().verdict is pf.Verdict.NO, (name, value)
        cx._kept[name] = kept
    assert cx.certificate.verify().verdict is pf.Verdict.YES


def test_sharpened_coordinates_do_not_change_what_was_given_out() -> None:
    """The bounds of all are those of the coordinates of all, also where some were made sharper since."""
    cx = pf.canonical_complex(pf.ReLUNetwork.random((3, 6, 4, 1), rng=3))
    points, errors = cx.vertices, cx.vertex_errors.copy()
    cx.sharpened(np.arange(cx.f_vector[0]), rtol=1e-16)
    assert cx.vertex_errors.tolist() == errors.tolist()
    for x, error, true in zip(points.tolist(), errors.tolist(), cx.exact_vertices().tolist()):
        assert max(abs(Fraction(a) - t) for a, t in zip(x, true)) <= Fraction(error)


LARGEST = float(np.finfo(np.float64).max)
EXTREME = {
    "largest floats": (
        [[[LARGEST] * 2, [LARGEST, -LARGEST], [LARGEST, LARGEST / 2]], [[LARGEST, -LARGEST, LARGEST]], [[LARGEST]]],
        [[LARGEST, -LARGEST, 1], [LARGEST], [0]], pf.Box(-LARGEST, LARGEST, dimension=2),
    ),
    "slopes of 1e300": ([[[1e300, 1e300], [1e300, -1e300]], [[1e300, 1e300]], [[1e300]]], [[1, 1], [1], [0]], None),
    "subnormal slopes": ([[[5e-324, 5e-324], [5e-324, -5e-324]], [[5e-324, 5e-324]], [[5e-324]]], [[1, 0], [5e-324], [0]], None),
    "a box of one step": ([[[-0.5]], [[0.5], [0.1], [-0.5]], [[0, 0.4, 0.5]], [[-0.2]]], [[-0.4], [0.3, -0.2, 0.5], [-0.2], [0.3]], pf.Box([0.0], [5e-324])),
    "both ends": ([[[1e300, 5e-324], [1e-300, -1e300]], [[LARGEST, 1], [-1e-308, 1]], [[1, -LARGEST]]], [[1, 5e-324], [-LARGEST, 1], [0]], None),
}  # fmt: skip


@pytest.mark.parametrize("which", EXTREME)
@pytest.mark.filterwarnings("error")
def test_overflow_warns_of_nothing_and_refutes_nothing(which: str) -> None:
    """Also where somebody makes errors of warnings: what is not finite is unsure, and rationals decide."""
    weights, biases, domain = EXTREME[which]
    net = pf.ReLUNetwork(weights, biases)
    with np.errstate(all="raise"):
        cx = pf.canonical_complex(net, domain)
        found = cx.certificate.verify(everything=True)
        assert found.verdict is not pf.Verdict.NO, found.problems
        assert cx.certificate.verify().verdict is pf.Verdict.YES
        net(np.ones(net.architecture[0]))
        pf.genericity(net, domain)
        bends = cx.breakpoint_complex()
        jumps = bends.weights_by_jumps()
        assert np.array_equal(np.isfinite(jumps), np.isfinite(bends.weights))
        assert np.array_equal(np.sign(jumps), np.sign(bends.weights))
        for point in cx.interior_points():
            if np.isfinite(point).all():
                here = pf.region(net, point, domain=domain)
                assert here.verify().ok
                assert not np.isnan(here.distance)
                assert here.inscribed_ball.radius >= 0


@pytest.mark.filterwarnings("error")
def test_nothing_is_asked_of_numpy_but_numbers() -> None:
    """Questions about networks with weights of 1e±200, where NumPy raises whatever it sees."""
    rng = np.random.default_rng(0)
    for size in (1e200, 1e-200):
        shapes = [(3, 2), (2, 3), (1, 2)]
        net = pf.ReLUNetwork(
            [rng.standard_normal(s) * size for s in shapes], [rng.standard_normal(s[0]) for s in shapes]
        )
        box = pf.Box([-1, -1], [1, 1])
        with np.errstate(all="raise"):
            for domain in (None, box):
                pf.estimate_size(net, domain)
                pf.feasibility(net, domain)
                pf.classify_fiber(net, domain=domain)
                bends = pf.breakpoint_complex(net, domain)
                assert np.isfinite(bends.normals).all()
                bends.reconstruct()
            pf.activation_bounds(net, box)
            with contextlib.suppress(PolyfiberError):  # facets beyond floats
                pf.explore(net, [0.1, 0.2])
            pf.equivalence_classes([net, net])


def test_a_stage_that_ends_in_a_warning_refutes_nothing() -> None:
    from polyfiber.complexes.certificate import _Check

    def warn() -> None:
        raise RuntimeWarning("overflow encountered")

    check = _Check(None)
    assert check.stage("a stage", warn, otherwise=3) == 3
    assert check.problems == []
    assert len(check.unfinished) == 1


def test_regions_that_reach_beyond_floats_have_points_inside() -> None:
    weights, biases, _ = EXTREME["subnormal slopes"]
    cx = pf.canonical_complex(pf.ReLUNetwork(weights, biases))
    inside = cx.interior_points()
    found = np.isfinite(inside).all(axis=1)
    assert found.tolist() == (cx.signs(2)[:, 0] > 0).tolist()  # where x + y < -2e323 there is no float
    assert cx.locate(inside[found]).tolist() == np.flatnonzero(found).tolist()
    huge = Fraction(10) ** 400
    cx = pf.canonical_complex(pf.ReLUNetwork([[[huge], [Fraction(1)]], [[1, 1]]], [[1, huge], [0]]))
    inside = cx.interior_points()[:, 0]
    assert np.isfinite(inside).tolist() == (cx.signs(1)[:, 1] > 0).tolist()


def test_a_distance_whose_way_overflows_is_worked_out_in_rationals() -> None:
    weights, biases, domain = EXTREME["largest floats"]
    net, x = pf.ReLUNetwork(weights, biases), [0.25, -0.5]
    here = pf.region(net, x, domain=domain)
    forms = here.exact_polyhedron()[0]
    true = min(
        (Fraction(b) - sum(Fraction(a) * Fraction(v) for a, v in zip(row, x))) ** 2 / sum(Fraction(a) ** 2 for a in row)
        for row, b in zip(forms.A.tolist(), forms.b.tolist())
    )
    assert here.distance > 0
    assert abs(Fraction(here.distance) ** 2 / true - 1) < Fraction(1, 10**12)


def test_a_point_may_be_asked_about_in_a_box_of_one_step() -> None:
    here = pf.region(
        pf.ReLUNetwork.random((2, 5, 3, 1), rng=1), [0.0, 0.0], domain=pf.Box(-5e-324, 5e-324, dimension=2)
    )
    assert here.n_facets == 4
    assert here.distance == 5e-324


def test_lifted_coordinates_that_overflow_on_the_way_are_worked_out_in_rationals() -> None:
    """They were infinite, with the wrong sign, where floats hold them well."""
    tiny = Fraction(1, 10**700)
    flat = [[Fraction(1, 10), tiny], [Fraction(-1, 10), -tiny]]
    domain = pf.Polyhedron(np.array(flat, dtype=object), np.array([Fraction(3, 10), Fraction(-3, 10)], dtype=object))
    for row, bias in (([0, 1], -(10**20)), ([1, 0], -3), ([1, 1], -(10**9)), ([0, 1], -(10**629))):
        net = pf.ReLUNetwork(
            [[row], [[1]]], np.array([np.array([Fraction(bias)]), np.array([Fraction(0)])], dtype=object)
        )
        cx = pf.canonical_complex(net, domain)
        for point, error, true in zip(cx.vertices.tolist(), cx.vertex_errors.tolist(), cx.exact_vertices().tolist()):
            for x, t in zip(point, true):
                if abs(t) < Fraction(10) ** 307:
                    assert np.isfinite(x)
                    assert abs(Fraction(x) - t) <= abs(t) / 10**9
                else:
                    assert x == np.inf * (1 if t > 0 else -1)
                    assert error == np.inf
