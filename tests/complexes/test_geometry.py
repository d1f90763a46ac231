"""Geometry of cells: maps, representations, volumes, location, norms, graphs."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy.spatial import ConvexHull

import polyfiber as pf
from polyfiber.complexes import geometry
from polyfiber.complexes.geometry import form_room
from polyfiber.complexes.skeleton.arrays import make_frame
from polyfiber.complexes.skeleton.layout import unpack
from polyfiber.errors import InputError, ShapeError
from polyfiber.kernels.complexes import affine_maps as maps

CASES = [
    ((2, 8, 8, 1), None),
    ((2, 8, 8, 2), (-1.0, 1.0)),
    ((3, 6, 5, 2), None),
    ((3, 6, 5, 1), (-1.0, 1.0)),
    ((4, 6, 5, 1), (-2.0, 1.0)),
    ((5, 3, 4, 2), None),
    ((5, 3, 4, 2), (-1.0, 1.0)),
    ((1, 6, 4, 1), None),
    ((2, 4, 4, 4, 4, 2), None),
]


def build(architecture: tuple[int, ...], box: tuple[float, float] | None, seed: int = 1) -> pf.PolyhedralComplex:
    domain = None if box is None else pf.Box(*box, dimension=architecture[0])
    return pf.canonical_complex(pf.ReLUNetwork.random(architecture, rng=seed), domain)


@pytest.mark.parametrize(("architecture", "box"), CASES)
def test_affine_maps_agree_with_the_network_inside_every_region(architecture, box) -> None:
    cx = build(architecture, box)
    points = cx.interior_points()
    A, a = cx.affine_maps()
    values = cx.network(points)
    scale = 1 + np.abs(points).max(axis=1, keepdims=True)
    assert np.abs(np.einsum("rij,rj->ri", A, points) + a - values).max(initial=0) <= 1e-12 * scale.max()
    assert (cx.locate(points) == np.arange(cx.n_regions)).all()
    some = [0, cx.n_regions - 1]
    assert np.array_equal(cx.affine_maps(some)[0], A[some])


@pytest.mark.parametrize(("architecture", "box"), CASES)
def test_interior_points_have_the_signs_of_their_faces(architecture, box) -> None:
    cx = build(architecture, box)
    for d in range(cx.dimension + 1):
        points = cx.interior_points(d)
        z = np.concatenate(cx.network.preactivations(points)[:-1], axis=1)
        signs = cx.signs(d)[:, : cx.network.n_hidden]
        tolerance = 1e-9 * (1 + np.abs(points).max(axis=1, keepdims=True))
        assert (np.abs(z) <= tolerance)[signs == 0].all()
        assert (np.sign(z) == signs)[(signs != 0) & (np.abs(z) > tolerance)].all()


@pytest.mark.parametrize(("architecture", "box"), CASES)
def test_representations_fit_each_other(architecture, box) -> None:
    cx = build(architecture, box)
    unbounded = cx.is_unbounded(cx.dimension)
    for r in range(0, cx.n_regions, max(1, cx.n_regions // 20)):
        h, v = cx.h_representation(r), cx.v_representation(r)
        slack = h.b - v.vertices @ h.A.T
        scale = np.abs(h.A).sum(axis=1) * (1 + np.abs(v.vertices).max()) + np.abs(h.b)
        assert (slack >= -1e-11 * scale).all()
        assert len(v.vertices) == 0 or ((slack <= 1e-11 * scale).sum(axis=0) + len(v.rays) > 0).all()
        if len(v.rays):
            assert (v.rays @ h.A.T).max() <= 1e-11 * np.abs(h.A).sum(axis=1).max()
        if len(v.lineality):
            assert np.abs(v.lineality @ h.A.T).max(initial=0) < 1e-12
        assert unbounded[r] == (len(v.rays) > 0)
        # every row is needed: some vertex or ray is the only one beyond it when it is dropped
        assert len(h.facets) == len(np.unique(h.facets)) == len(cx.facets_of(r))


@pytest.mark.parametrize("architecture", [(2, 8, 8, 1), (3, 6, 5, 1), (4, 5, 4, 1)])
def test_volumes_fill_the_box_and_agree_with_hulls(architecture) -> None:
    cx = build(architecture, (-1.5, 1.0))
    volumes = cx.volumes()
    assert volumes.sum() == pytest.approx(2.5 ** architecture[0], rel=1e-12)
    for r in range(0, cx.n_regions, max(1, cx.n_regions // 15)):
        if volumes[r] > 1e-9:
            assert volumes[r] == pytest.approx(ConvexHull(cx.v_representation(r).vertices).volume, rel=1e-7)
    free = build(architecture, None)
    assert np.isinf(free.volumes()).sum() == free.is_unbounded(free.dimension).sum() > 0


@pytest.mark.parametrize("ord", [1, 2, np.inf])
def test_lipschitz_constant_bounds_all_and_is_attained(ord) -> None:
    cx = build((3, 6, 5, 2), None)
    answer = cx.lipschitz(ord)
    A, _ = cx.affine_maps()
    norms = np.array([np.linalg.norm(M, ord) for M in A])
    assert answer.value == pytest.approx(norms.max(), rel=1e-14)
    assert norms[answer.region] == pytest.approx(norms.max(), rel=1e-14)
    x = np.random.default_rng(0).standard_normal((500, 2, 3)) * 3
    gap = np.linalg.norm(cx.network(x[:, 0]) - cx.network(x[:, 1]), ord, axis=1)
    assert (gap <= answer.value * np.linalg.norm(x[:, 0] - x[:, 1], ord, axis=1) * (1 + 1e-12)).all()
    with pytest.raises(InputError, match="ord"):
        cx.lipschitz(3)


def test_locate_on_walls_outside_and_with_bad_points() -> None:
    net = pf.ReLUNetwork([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0]]], [[0.0, 0.0], [0.0]])
    cx = pf.canonical_complex(net, pf.Box([-1, -1], [1, 1]))
    assert cx.locate([2.0, 0.5]) == -1
    origin = int(cx.locate([0.0, 0.0]))
    assert origin == 0
    wall = int(cx.locate([0.0, 0.5]))
    assert cx.signs(2)[wall, 1] == 1
    tiny = int(cx.locate([5e-324, 0.5]))
    assert cx.signs(2)[tiny, 0] == 1
    assert cx.locate(np.zeros((2, 3, 2))).shape == (2, 3)
    with pytest.raises(ShapeError):
        cx.locate([1.0, 2.0, 3.0])
    with pytest.raises(InputError, match="finite"):
        cx.locate([np.nan, 0.0])


def test_the_dual_graph_is_the_facet_graph() -> None:
    cx = build((3, 6, 5, 2), None)
    graph = cx.dual_graph
    signs = cx.signs(3)
    source = np.repeat(np.arange(cx.n_regions), np.diff(graph.indptr))
    assert ((signs[source] != signs[graph.indices]).sum(axis=1) == 1).all()
    assert len(graph.indices) == 2 * cx.f_vector[2]
    nx_graph = graph.to_networkx()
    assert nx_graph.number_of_edges() == cx.f_vector[2]
    assert nx_graph.number_of_nodes() == cx.n_regions


def test_chebyshev_centre_and_distance() -> None:
    cx = build((2, 5, 4, 1), (-1.0, 1.0))
    for r in range(0, cx.n_regions, 5):
        centre, radius = cx.chebyshev_center(r)
        h = cx.h_representation(r)
        assert (h.b - h.A @ centre >= radius * np.linalg.norm(h.A, axis=1) - 1e-7).all()
    distance, point = cx.distance([0.0, 0.0], int(cx.locate([0.0, 0.0])))
    assert distance == 0
    assert point.tolist() == [0.0, 0.0]
    far, nearest = cx.distance([5.0, 0.0], 0)
    assert far == pytest.approx(np.linalg.norm(nearest - [5.0, 0.0]))
    assert far >= 4.0 - 1e-6


def test_interior_points_in_rationals_have_the_signs_of_their_faces() -> None:
    """Also on unbounded faces, whose rays are exact."""
    net = pf.ReLUNetwork.random((3, 4, 3, 1), rng=1)
    exact = net.exact()
    for domain in (None, pf.Box([-1, -1, 0.25], [1, 1, 0.25])):
        cx = pf.canonical_complex(net, domain)
        for dim in range(cx.dimension + 1):
            for x, signs in zip(cx.interior_points(dim, exact=True), cx.signs(dim)):
                found: list[int] = []
                for W, b in zip(exact.weights[:-1], exact.biases[:-1]):
                    z = W @ x + b
                    found += [(v > 0) - (v < 0) for v in z]
                    x = np.where(z > 0, z, 0 * z)
                assert found == signs[: net.n_hidden].tolist()


def test_the_largest_ball_is_bounded_both_ways() -> None:
    cx = build((2, 5, 4, 1), (-1.0, 1.0))
    balls = [cx.largest_ball(r) for r in range(cx.n_regions)]
    assert all(0 < b.radius <= b.upper < b.radius * (1 + 1e-9) for b in balls)
    flat = pf.canonical_complex(pf.ReLUNetwork.random((3, 5, 1), rng=2), pf.Box([-1, -1, 0.5], [1, 1, 0.5]))
    assert all(0 < (b := flat.largest_ball(r)).radius <= b.upper < b.radius + 1e-9 for r in range(flat.n_regions))
    cone = pf.canonical_complex(pf.ReLUNetwork([[[1, 0], [0, 1]], [[1, 1]]], [[0, 0], [0]]))
    assert cone.chebyshev_center(0)[1] == np.inf


def test_distances_of_a_region_are_within_their_errors() -> None:
    from fractions import Fraction

    for seed in range(4):
        region = pf.region(pf.ReLUNetwork.random((3, 8, 6, 1), rng=seed), [0.1, 0.2, 0.3])
        polyhedron, _ = region.exact_polyhedron()
        for row, side, near, off in zip(polyhedron.A, polyhedron.b, region.wall_distances, region.wall_distance_errors):
            slack = side - sum(a * Fraction(float(x)) for a, x in zip(row, region.point))
            size = sum(v * v for v in row)
            low, high = max(Fraction(0), Fraction(near) - Fraction(off)), Fraction(near) + Fraction(off)
            assert low**2 * size <= slack**2 <= high**2 * size
            assert off <= 1e-12
        assert region.distance_error <= region.wall_distance_errors.max()


def test_vertices_carry_their_error_bounds() -> None:
    net = pf.ReLUNetwork.random((3, 5, 4, 1), rng=3)
    cx = pf.canonical_complex(net)
    predicate, state = cx._skeleton.predicate, cx._skeleton.state
    for i in range(0, cx.f_vector[0], 7):
        v = int(cx._finite[i])
        exact, _ = predicate.point(state.star[v, 6:], state.words[v], ray=False)
        error = max(abs(Fraction(float(c)) - x) for c, x in zip(cx.vertices[i], exact))
        assert error <= cx.vertex_errors[i] < 1e-9


def test_rational_networks_are_exact_throughout() -> None:
    third = Fraction(1, 3)
    net = pf.ReLUNetwork(
        [[[third, 1], [1, -third], [-1, 2 * third]], [[1, 1, 1]]], [[third, Fraction(1, 7), -third], [0]]
    )
    cx = pf.canonical_complex(net)
    assert cx.network.is_exact
    assert cx.f_vector == (3, 9, 7)
    forced = pf.canonical_complex(net, inflate=1e15)
    assert forced.stats.exact > 0
    assert forced.f_vector == (3, 9, 7)


def test_domains_with_bad_arguments() -> None:
    net = pf.ReLUNetwork.random((2, 4, 1), rng=0)
    with pytest.raises(InputError, match="is above hi"):
        pf.Box([0, 0], [1, -1])
    with pytest.raises(ShapeError, match="dimension"):
        pf.Box(0, 1)
    with pytest.raises(InputError, match="zero"):
        pf.Polyhedron([[0, 0]], [1])
    with pytest.raises(ShapeError, match="3 coordinates"):
        pf.canonical_complex(net, pf.Box(0, 1, dimension=3))
    with pytest.raises(InputError, match="empty"):
        pf.canonical_complex(net, pf.Polyhedron([[1, 0], [-1, 0]], [-1, -1]))
    with pytest.raises(InputError, match="ReLUNetwork"):
        pf.canonical_complex("net.onnx")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="domain"):
        pf.canonical_complex(net, (0, 1))  # type: ignore[arg-type]


def test_an_unbounded_polyhedron() -> None:
    net = pf.ReLUNetwork.random((2, 6, 5, 1), rng=0)
    strip = pf.canonical_complex(net, pf.Polyhedron([[1, 0], [-1, 0]], [1, 1]))
    whole = pf.canonical_complex(net)
    inside = np.abs(whole.interior_points()[:, 0]) < 1
    assert strip.euler_characteristic == -1 + 1 + 1 - 1 or strip.n_regions >= inside.sum()
    assert strip.certificate.verify().ok
    assert strip.is_unbounded(2).sum() >= 2


@pytest.mark.parametrize(
    ("n", "facets", "widths"), [(1, 0, (64, 9)), (2, 3, (70, 5, 4)), (2, 61, (80, 6)), (3, 6, (65, 4, 4, 3))]
)
def test_forms_of_wide_first_layers_are_sums_over_active_neurons(n: int, facets: int, widths: tuple[int, ...]) -> None:
    """Eight terms at a time, wherever the layer begins in the words of signs; the other way gives the same up to rounding."""
    rng = np.random.default_rng(n)
    net = pf.ReLUNetwork.random((n, *widths, 2), rng=rng)
    normals = rng.normal(size=(facets, n))
    domain = pf.Polyhedron(normals, 1 + rng.random(facets)) if facets else None
    frame = make_frame(net, domain)
    assert frame.net.affine.columns.shape[1] >= widths[0]
    first = frame.net.layers.first
    words = rng.integers(0, 1 << 63, size=(20, frame.n_words), dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    active = unpack(words)
    ids = np.concatenate([np.arange(first[2], frame.net.inf), frame.net.inf + 1 + np.arange(2)])
    for slow in (False, True):
        used = frame.net._replace(affine=frame.net.affine._replace(columns=np.zeros((1, 0)))) if slow else frame.net
        A, a = np.empty((20, len(ids), n)), np.empty((20, len(ids)))
        maps.forms(words, ids.astype(np.int64), used, form_room(frame), A, a)
        for r in range(20):
            form = np.c_[net.weights[0], net.biases[0]][:, [*frame.columns, n]]
            found = []
            for l in range(1, len(widths) + 1):
                on = active[r, first[l] : first[l + 1]]
                form = net.weights[l] @ (form * on[:, None])
                form[:, -1] += net.biases[l]
                found.append(form)
            expected = np.concatenate(found)
            assert np.allclose(np.c_[A[r], a[r]], expected, rtol=0, atol=1e-12 * (1 + np.abs(expected).max()))


def test_maps_on_flats_of_wide_networks_are_those_of_the_whole_space() -> None:
    """Three of five inputs are free: the complex sums forms in the flat, maps are asked in all five."""
    net = pf.ReLUNetwork.random((5, 70, 4, 1), rng=0)
    box = pf.Box([-1, -1, 0.25, -1, 0.5], [1, 1, 0.25, 1, 0.5])
    cx = pf.canonical_complex(net, box)
    A, a = cx.affine_maps()
    points = cx.interior_points()
    values = np.einsum("roi,ri->ro", A, points) + a
    assert np.allclose(values, net(points), rtol=0, atol=1e-10)


def flat_below() -> pf.PiecewiseLinearNetwork:
    """``x + 1/4`` twice where ``x + 1/4 >= 0``, behind a gate that is 0 on all of [-1, 1] and reads 1e17 (x + 2)."""
    return pf.PiecewiseLinearNetwork(
        1,
        [pf.GateBlock({0: [[1e17]]}, [2e17], slopes=(1, 0)), pf.GateBlock({0: [[1.0]]}, [0.25])],
        pf.AffineMap({0: [[1.0]], 1: [[1.0]], 2: [[1.0]]}, [0.5]),
    )


@pytest.mark.parametrize("exact", [False, True])
def test_a_gate_that_is_zero_adds_nothing_to_affine_maps(exact: bool) -> None:
    """As ReLU gates it is ``z - z``, 2e17 minus 2e17, in which what others add is lost."""
    net, box = flat_below(), pf.Box([-1], [1])
    cx = pf.canonical_complex(net.exact() if exact else net, box)
    A, a = cx.affine_maps()
    assert A.ravel().tolist() == [1.0, 2.0]
    assert a.ravel().tolist() == [0.5, 0.75]
    lipschitz = cx.lipschitz()
    assert lipschitz.value == 2.0
    assert lipschitz.error < 1e-6
    assert sorted(float(y) for p in cx.image().points for y in p.ravel()) == [-0.5, 0.25, 0.25, 2.75]
    assert cx.breakpoint_complex().weights.ravel().tolist() == [1.0]
    here = pf.region(net.exact() if exact else net, [0.5], domain=box)
    assert [v.tolist() for v in here.affine_map] == [[[2.0]], [0.75]]


def test_rational_chains_whose_floats_cancel_have_right_maps() -> None:
    """(10^17 + 1) relu(x) - 10^17 relu(x) is relu(x); the first number is no float."""
    large = 10**17
    W = [
        np.array([[Fraction(1)], [Fraction(1)]], dtype=object),
        np.array([[Fraction(large + 1), Fraction(-large)]], dtype=object),
    ]
    b = [np.array([Fraction(0), Fraction(0)], dtype=object), np.array([Fraction(0)], dtype=object)]
    net = pf.ReLUNetwork(W, b)
    cx = pf.canonical_complex(net)
    assert sorted(cx.affine_maps()[0].ravel().tolist()) == [0.0, 1.0]
    assert cx.lipschitz().value == 1.0
    assert cx.breakpoint_complex().weights.ravel().tolist() == [1.0]
    assert pf.region(net, [1.0]).affine_map[0].tolist() == [[1.0]]
    pieces = pf.segment_regions(net, [-1.0], [1.0])
    assert pieces.slopes.ravel().tolist() == [0.0, 2.0]
    assert pieces.values.ravel().tolist() == [0.0, 0.0, 1.0]


def test_verify_finds_wrong_affine_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    cx = pf.canonical_complex(flat_below(), pf.Box([-1], [1]))
    assert cx.certificate.verify().ok
    monkeypatch.setattr(geometry, "_settle_sums", lambda *_: None)  # as the kernels' ReLU gates add up
    wrong = cx.certificate.verify()
    assert wrong.verdict is pf.Verdict.NO
    assert "affine maps" in wrong.problems[0]
