"""Networks that are not generic: every face of every dimension, covers, weights, domains."""

from __future__ import annotations

import itertools
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import polyfiber as pf
from polyfiber.budget import Monitor
from polyfiber.complexes.lattice.build import build_lattice, proportional_rows
from polyfiber.complexes.lattice.store import LatticeStore
from polyfiber.complexes.skeleton.arrays import make_frame
from polyfiber.errors import BudgetExceededError, FileFormatError, GenericityError, InputError
from polyfiber.testing import Case, degenerate_corpus, integer_networks, near_coincident_network
from tests.complexes.truths.test_against_exact import compare
from tests.golden.make_degenerate import digest
from tests.oracles.exact_faces import ExactComplex, exact_complex

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "degenerate.json").read_text())
CORPUS = degenerate_corpus()
EXTREME = {"huge-ratios-2-6-6", "subnormal-2-6-6", "rescaled-200"}


def domain_of(case: Case) -> pf.Polyhedron | None:
    return None if case.domain is None else pf.Polyhedron(*case.domain)


def lattice(net: pf.ReLUNetwork, domain: pf.Polyhedron | None = None) -> LatticeStore:
    """The face lattice, also of a generic network."""
    return LatticeStore(build_lattice(make_frame(net, domain), Monitor()))


def verified(store: LatticeStore) -> bool:
    return pf.PolyhedralComplex(store.frame, store.lattice).certificate.verify().ok


def check(net: pf.ReLUNetwork, domain: pf.Polyhedron | None = None) -> tuple[pf.PolyhedralComplex, ExactComplex]:
    truth = exact_complex(net.weights, net.biases, domain=None if domain is None else (domain.A, domain.b))
    cx = pf.canonical_complex(net, domain)
    compare(cx, truth)
    unbounded = {face.signs for face in truth.faces.values() if face.rays}
    for k in range(cx.dimension + 1):
        rows = [tuple(row) for row in cx.signs(k)[cx.is_unbounded(k)].tolist()]
        assert set(rows) == {s for s in unbounded if truth.faces[s].dim == k}
    return cx, truth


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.name)
def test_every_face_of_the_corpus(case: Case) -> None:
    truth = GOLDEN[case.name]
    cx = pf.canonical_complex(case.network, domain_of(case))
    assert list(cx.f_vector) == truth["f_vector"]
    assert cx.lineality_dimension == truth["lineality_dimension"]
    assert [digest(cx.signs(k).tolist()) for k in range(cx.dimension + 1)] == truth["signs"]
    assert pf.face_counts(case.network, domain_of(case)) == cx.f_vector
    verification = cx.certificate.verify()
    assert verification.ok, verification.problems


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.name)
def test_covers_maps_and_weights_of_the_corpus(case: Case) -> None:
    cx = pf.canonical_complex(case.network, domain_of(case))
    if sum(cx.f_vector) < 2500:
        report = cx.strata.validate()
        assert report.ok, report.problems
    if case.name in EXTREME or not cx.n_regions:
        return
    net = case.network.rounded() if case.network.is_exact else case.network
    points = np.random.default_rng(0).standard_normal((40, net.architecture[0])) * 2
    ids = cx.locate(points)
    assert (ids >= 0).all() or cx.domain is not None
    A, a = cx.affine_maps()
    for x, i in zip(points[ids >= 0], ids[ids >= 0]):
        y = net(x)
        assert np.allclose(A[i] @ x + a[i], y, atol=1e-9 * (1 + np.abs(y).max()))
    if cx.is_simple:
        return
    bp = cx.breakpoint_complex()
    assert bp.balancing_residual() < 1e-7
    B, b = bp.reconstruct()
    assert np.allclose(B, A, atol=1e-8 * (1 + np.abs(A).max()))
    assert np.allclose(b, a, atol=1e-8 * (1 + np.abs(a).max()))


@pytest.mark.parametrize(
    ("name", "regions"),
    [("concurrent-8", 16), ("duplicate-line", 11), ("two-parallel-pairs-and-diagonal", 12), ("max-network", 5), ("three-two", 4)],
)  # fmt: skip
def test_known_regions(name: str, regions: int) -> None:
    case = next(c for c in CORPUS if c.name == name)
    assert pf.canonical_complex(case.network).n_regions == regions


@settings(max_examples=50, deadline=None)
@given(integer_networks())
def test_small_integer_networks(net: pf.ReLUNetwork) -> None:
    check(net)


@settings(max_examples=25, deadline=None)
@given(integer_networks(max_inputs=2, max_abs=1, max_depth=4, max_width=3, max_hidden=9))
def test_covers_are_those_of_the_oracle(net: pf.ReLUNetwork) -> None:
    cx, truth = check(net)
    strata = cx.strata
    rows = [tuple(r) for k in range(cx.dimension + 1) for r in cx.signs(k).tolist()]
    pairs = {(rows[j], rows[i]) for i in range(len(rows)) for j in strata.below(i)}
    assert pairs == truth.covers()


@settings(max_examples=25, deadline=None)
@given(
    integer_networks(max_inputs=3, max_width=3, max_hidden=5, max_depth=2),
    st.lists(st.tuples(*[st.integers(-2, 2)] * 4), min_size=1, max_size=7),
)
def test_integer_domains(net: pf.ReLUNetwork, sides: list[tuple[int, ...]]) -> None:
    n = net.architecture[0]
    rows = [side for side in sides if any(side[:n])]
    if not rows:
        return
    domain = pf.Polyhedron([r[:n] for r in rows], [r[3] for r in rows])
    truth = exact_complex(net.weights, net.biases, domain=(domain.A, domain.b))
    if not truth.faces:
        with pytest.raises(InputError, match="empty"):
            pf.canonical_complex(net, domain)
        return
    check(net, domain)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10_000), st.sampled_from([(2, 5, 4, 1), (3, 4, 3, 1), (1, 6, 3, 1), (3, 2, 4, 2, 1), (4, 5, 2, 1)])
)
def test_generic_networks_have_the_same_lattice(seed: int, architecture: tuple[int, ...]) -> None:
    net = pf.ReLUNetwork.random(architecture, rng=seed)
    cx, store = pf.canonical_complex(net), lattice(net)
    assert cx.is_simple
    assert store.counts == cx.f_vector
    for k in range(cx.dimension + 1):
        assert store.fingerprint(k) == cx.fingerprint(k)
    for k in range(cx.dimension):
        assert len(store.covers_above(k)[1]) == len(cx._store.covers_above(k)[1])
    assert verified(store)


# ---- domains ------------------------------------------------------------------------------------
OCTAHEDRON = [list(signs) for signs in itertools.product([1, -1], repeat=3)]


def test_octahedron() -> None:
    """Four facets at each vertex."""
    net = pf.ReLUNetwork.random((3, 3, 1), rng=0)
    nothing = pf.ReLUNetwork(net.weights, [net.biases[0] + 100, net.biases[1]])
    cx, _ = check(nothing, pf.Polyhedron(OCTAHEDRON, [1] * 8))
    assert cx.f_vector == (6, 12, 8, 1)
    assert np.allclose(cx.volumes(), 4 / 3)
    check(net, pf.Polyhedron(OCTAHEDRON, [1] * 8))
    walls = pf.ReLUNetwork([np.eye(3), [[1, 1, 1]]], [[0, 0, 0], [0]])
    cx, _ = check(walls, pf.Polyhedron(OCTAHEDRON, [1] * 8))
    assert cx.n_regions == 8
    assert np.allclose(cx.volumes(), 1 / 6)


def test_redundant_duplicate_and_scaled_inequalities() -> None:
    rows = [*OCTAHEDRON, OCTAHEDRON[0], [2 * v for v in OCTAHEDRON[1]], [1, 0, 0], [1, 0, 0]]
    domain = pf.Polyhedron(rows, [1] * 8 + [1, 2, 1, 5])
    net = pf.ReLUNetwork(
        [[[1, 0, 0], [1, 1, 0], [0, 0, 2]], [[1, 1, -1], [1, 0, 0]], [[1, 1]]], [[0, -1, 0], [0, -1], [0]]
    )
    cx, _ = check(net, domain)
    assert cx.volumes().sum() == pytest.approx(4 / 3)


def test_unbounded_domain_with_a_crowded_apex() -> None:
    """The cone |x| + |y| <= z has four facets at its apex."""
    cone = pf.Polyhedron([[1, 1, -1], [1, -1, -1], [-1, 1, -1], [-1, -1, -1]], [0] * 4)
    net = pf.ReLUNetwork([[[1, 0, 0], [0, 0, 1], [0, 0, 1], [1, 0, 1]], [[1] * 4]], [[0, -1, -2, 0], [0]])
    cx, _ = check(net, cone)
    assert np.isfinite(cx.volumes()).sum() == 4


def test_flat_domains() -> None:
    """A domain without an interior is treated in its own dimension."""
    net = pf.ReLUNetwork([[[1, 0], [0, 1]], [[1, 1]]], [[0, 0], [0]])
    segment = pf.Polyhedron([[1, 1], [-1, -1], [1, 0], [-1, 0]], [1, -1, 2, 2])
    cx, _ = check(net, segment)
    assert (cx.f_vector, cx.n_regions) == ((4, 3), 3)
    found = cx.locate([[0.5, 0.5], [0.5, 0.25]])
    assert found[0] >= 0
    assert found[1] == -1
    assert np.allclose(np.sort(cx.volumes()), np.sqrt(2) * np.array([1, 1, 2]))
    point, _ = check(net, pf.Polyhedron([[1, 0], [-1, 0], [0, 1], [0, -1]], [1, -1, 2, -2]))
    assert point.f_vector == (1,)
    assert point.vertices.tolist() == [[1, 2]]


def test_empty_domain() -> None:
    net = pf.ReLUNetwork([[[1, 0], [0, 1]], [[1, 1]]], [[0, 0], [0]])
    with pytest.raises(InputError, match="empty"):
        pf.canonical_complex(net, pf.Polyhedron([[1, 0], [-1, 0], [1, 0], [0, 1]], [0, 0, -1, 0]))


# ---- geometry -----------------------------------------------------------------------------------
def test_volumes_and_halfspaces() -> None:
    cx = pf.canonical_complex(
        pf.ReLUNetwork([[[1, 0], [0, 1], [1, 1], [1, -1]], [[1] * 4]], [[0] * 4, [0]]), pf.Box([-1, -1], [1, 1])
    )
    assert cx.f_vector == (9, 16, 8)
    assert np.allclose(cx.volumes(), 0.5)
    for r in range(8):
        h, v = cx.h_representation(r), cx.v_representation(r)
        assert h.A.shape == (3, 2)
        assert v.vertices.shape == (3, 2)
        slack = h.b[:, None] - h.A @ v.vertices.T
        assert (slack > -1e-12).all()
        assert sorted((np.abs(slack) < 1e-12).sum(axis=1).tolist()) == [2, 2, 2]
    graph = cx.dual_graph
    assert np.diff(graph.indptr).tolist() == [2] * 8
    assert cx.locate([[0.0, 0.0]])[0] == 0


def test_a_point_on_shared_walls_gets_the_smallest_region_around_it() -> None:
    net = pf.ReLUNetwork([[[1, 0], [2, 0], [0, 1], [1, 1]], [[1] * 4]], [[0] * 4, [0]])
    cx = pf.canonical_complex(net)
    signs = cx.signs(2)
    for x in ([0.0, 2.0], [0.0, 0.0], [3.0, 0.0]):
        row = np.sign(np.array([x[0], x[0], x[1], x[0] + x[1]])).astype(int)
        around = np.flatnonzero(((row == 0) | (row == signs)).all(axis=1))
        assert cx.locate(np.array(x)) == around.min()


def test_weights_where_walls_share_a_facet() -> None:
    """x^+ + (2x)^+ - (-x)^+ bends by 1 + 2 - 1 at x = 0; x^+ - (-x)^+ not at all."""
    bend = pf.ReLUNetwork([[[1], [2], [-1]], [[1, 1, -1]]], [[0] * 3, [0]])
    bp = pf.canonical_complex(bend).breakpoint_complex()
    assert bp.weights.tolist() == [[2.0]]
    assert bp.sharing(0).tolist() == [0, 1, 2]
    none = pf.canonical_complex(pf.ReLUNetwork([[[1], [-1]], [[1, -1]]], [[0, 0], [0]])).breakpoint_complex()
    assert none.weights.shape == (0, 1)
    assert none.invisible.tolist() == [0]
    thirds = np.array([[Fraction(1, 3)], [Fraction(-1, 3)]], dtype=object)
    exact = pf.ReLUNetwork([thirds, [[3, -3]]], [[0, 0], [0]])
    assert len(pf.canonical_complex(exact).breakpoint_complex().facets) == 0


@settings(max_examples=20, deadline=None)
@given(integer_networks(max_inputs=3, max_abs=1))
def test_balancing_and_reconstruction(net: pf.ReLUNetwork) -> None:
    cx = pf.canonical_complex(net)
    bp = cx.breakpoint_complex()
    assert bp.balancing_residual() < 1e-9
    A, a = cx.affine_maps()
    B, b = bp.reconstruct()
    assert np.allclose(A, B, atol=1e-9 * (1 + np.abs(A).max()))
    assert np.allclose(a, b, atol=1e-9 * (1 + np.abs(a).max()))
    assert np.allclose(bp.weights, bp.weights_by_jumps(), atol=1e-9 * (1 + np.abs(A).max()))


# ---- options and evidence -----------------------------------------------------------------------
def test_refuse() -> None:
    net = pf.ReLUNetwork([[[1, 0], [0, 1], [1, 1]], [[1, 1, 1]]], [[0] * 3, [0]])
    with pytest.raises(GenericityError):
        pf.canonical_complex(net, on_degenerate="refuse")
    with pytest.raises(GenericityError):
        pf.face_counts(net, on_degenerate="refuse")
    with pytest.raises(InputError, match="resolve"):
        pf.canonical_complex(net, on_degenerate="maybe")
    assert pf.canonical_complex(net).certificate.zeros == 1


@pytest.mark.parametrize("inflate", [1e6, 1e14])
def test_inflated_bounds_change_nothing(inflate: float) -> None:
    for case in CORPUS:
        if sum(GOLDEN[case.name]["f_vector"]) < 120:
            cx = pf.canonical_complex(case.network, domain_of(case), inflate=inflate)
            assert [digest(cx.signs(k).tolist()) for k in range(cx.dimension + 1)] == GOLDEN[case.name]["signs"]


def test_verification_notices_tampering() -> None:
    net = pf.ReLUNetwork([[[1, 0], [0, 1], [1, 1], [1, -1]], [[1, 1, -1, 1]], [[1]]], [[0, 0, 0, -1], [-1], [0]])

    def fresh() -> Any:
        store = lattice(net)
        assert verified(store)
        return store, store.lattice

    store, lat = fresh()
    v = int(np.flatnonzero(lat.tables[0].planes[: lat.nv].any(axis=1))[0])
    W = lat.frame.n_words
    lat.tables[0].planes[v] = np.concatenate([lat.tables[0].planes[v, W:], lat.tables[0].planes[v, :W]])
    assert not verified(store)
    store, lat = fresh()
    table = lat.tables[2]
    others = set(range(lat.tables[1].count)) - set(
        table.pool[table.start[0] : table.start[0] + table.length[0]].tolist()
    )
    table.pool[table.start[0]] = min(others)
    assert not verified(store)
    store, lat = fresh()
    lat.tables[2].count -= 1
    assert not verified(store)


def test_every_neuron_constant() -> None:
    net = pf.ReLUNetwork([np.zeros((3, 2)), [[1, 1, 1], [1, 0, -1]], [[1, 1]]], [[1, -1, 0], [-1, 0], [0]])
    cx = pf.canonical_complex(net)
    assert (cx.f_vector, cx.dimension, cx.lineality_dimension) == ((1,), 0, 2)
    assert cx.signs(0).tolist() == [[1, -1, 0, 0, 1]]
    assert cx.locate([[5.0, 7.0]]).tolist() == [0]
    assert cx.certificate.verify().ok
    assert len(cx.breakpoint_complex().facets) == 0


def test_budgets_stop_the_lattice() -> None:
    net = pf.ReLUNetwork(pf.ReLUNetwork.random((3, 24, 24, 1), rng=0).weights, [np.zeros(24), np.ones(24), [0]])
    with pytest.raises(BudgetExceededError):
        pf.canonical_complex(net, budget=pf.Budget(memory="100kB"))
    with pytest.raises(BudgetExceededError):
        pf.canonical_complex(net, budget=pf.Budget(seconds=0))


def test_proportional_rows() -> None:
    rows = np.array([[1.0, 2.0, 0.5], [0.0, 1.0, 0.0], [-2.0, -4.0, -1.0], [1.0, 2.0, 0.5000000001], [0.1, 0.2, 0.05]])
    assert proportional_rows(rows, np.arange(5)) == [[(0, 1), (2, -1), (4, 1)]]
    assert proportional_rows(np.array([[0.1, 0.7], [3 * 0.1, 3 * 0.7]]), np.arange(2)) == []  # rounded
    exact = np.array([[Fraction(1, 3), Fraction(1)], [Fraction(-1), Fraction(-3)]], dtype=object)
    assert proportional_rows(exact, np.arange(2)) == [[(0, 1), (1, -1)]]


# ---- merging ------------------------------------------------------------------------------------
def test_merging_nearly_equal_walls() -> None:
    w1 = np.array([[1.0, 0.0], [0.0, 1.0], [3.0, 3e-13], [-1.0, 1e-14], [1.0, 1.0]])
    net = pf.ReLUNetwork([w1, [[1.0, 2.0, 3.0, 4.0, 5.0]]], [[0.1, 0.2, 0.3, -0.1 - 1e-14, 5.0], [0.0]])
    exact = pf.canonical_complex(net)
    merged = pf.canonical_complex(net, merge_tolerance=1e-9)
    assert exact.merged == ()
    assert [(m.layer, m.neuron, m.into, m.sign) for m in merged.merged] == [(1, 2, 0, 1), (1, 3, 0, -1)]
    assert all(0 < m.distance < 1e-12 for m in merged.merged)
    assert exact.n_regions > merged.n_regions == 7
    signs = merged.signs(2)
    assert (signs[:, 0] == signs[:, 2]).all()
    assert (signs[:, 0] == -signs[:, 3]).all()
    with pytest.raises(InputError, match="merge_tolerance"):
        pf.canonical_complex(net, merge_tolerance=-1)


def test_merging_leaves_other_networks_alone() -> None:
    net = pf.ReLUNetwork.random((2, 6, 6, 1), rng=0)
    cx = pf.canonical_complex(net, merge_tolerance=1e-9)
    assert cx.merged == ()
    assert cx.network is net
    assert cx.is_simple


# ---- archives -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "name", ["max-in-triangle", "exact-thirds", "narrow-first-layer", "all-rows-zero", "flat-domain", "zero-biases-3d"]
)
def test_archives(tmp_path: Path, name: str) -> None:
    case = next(c for c in CORPUS if c.name == name)
    cx = pf.canonical_complex(case.network, domain_of(case))
    path = tmp_path / "complex.npz"
    cx.save(path)
    back = pf.PolyhedralComplex.load(path)
    assert not back.is_simple
    assert back.network == cx.network
    assert back.f_vector == cx.f_vector
    for k in range(cx.dimension + 1):
        assert np.array_equal(back.signs(k), cx.signs(k))
        assert np.array_equal(back.is_unbounded(k), cx.is_unbounded(k))
    assert np.array_equal(back.vertices, cx.vertices)
    assert np.array_equal(back.edges, cx.edges)
    assert back.certificate.verify().ok


def test_damaged_archives_are_refused(tmp_path: Path) -> None:
    case = next(c for c in CORPUS if c.name == "max-network")
    path = tmp_path / "complex.npz"
    pf.canonical_complex(case.network).save(path)
    with np.load(path) as store:
        arrays = dict(store)
    header = json.loads(str(arrays["header"]))
    del header["digests"]
    arrays["header"] = np.array(json.dumps(header))
    facets = arrays["faces_2_facets"].copy()
    facets[0] = arrays["faces_1_planes"].shape[0]
    swapped = arrays["faces_1_planes"][::-1].copy()
    for broken, match in [
        ({"faces_2_facets": facets}, "does not exist"),
        ({"faces_1_planes": swapped}, "damaged"),
        ({"faces_1_length": arrays["faces_1_length"][1:]}, "fit together"),
    ]:
        np.savez(path, **{**arrays, **broken})
        with pytest.raises(FileFormatError, match=match):
            pf.PolyhedralComplex.load(path)


def test_an_inequality_that_cuts_only_what_is_gone() -> None:
    """All edges that wait for it lie outside an earlier one."""
    net = pf.ReLUNetwork([[[1, 1]], [[1]]], [[0], [0]])
    check(net, pf.Polyhedron([[1, 0], [1, -1], [0, -1], [0, -1]], [1, 1, -1, 1]))


@pytest.mark.parametrize("byte", [0, 200, 254, 255])
def test_nothing_depends_on_fresh_memory(byte: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records are not cleared when they are made; whatever they hold, no decision may read it."""
    from polyfiber.complexes.skeleton import build, entering
    from polyfiber.complexes.skeleton import layout as records

    class Poisoned:
        def __getattr__(self, name: str) -> Any:
            return getattr(np, name)

        @staticmethod
        def empty(shape: Any, dtype: Any = float) -> Any:
            array = np.empty(shape, dtype=dtype)
            array.view(np.uint8).reshape(-1)[...] = byte
            return array

    monkeypatch.setattr(build, "np", Poisoned())
    monkeypatch.setattr(entering, "np", Poisoned())
    monkeypatch.setattr(records, "np", Poisoned())
    for architecture, seed in [((2, 4, 4, 3, 1), 1), ((2, 4, 4, 3, 1), 2), ((3, 4, 3, 1), 1)]:
        net = near_coincident_network(architecture, rng=seed)
        assert pf.canonical_complex(net).f_vector == exact_complex(net.weights, net.biases).f_vector
