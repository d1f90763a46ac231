"""The attacks of scripts/attacks/complexes/geometry.py for a moment, and inputs that once were wrong with their right values."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.complexes.skeleton import entering
from polyfiber.errors import BudgetExceededError
from scripts.attacks.complexes.geometry import attack
from tests.oracles.exact_faces import box, exact_complex
from tests.oracles.volumes import region_volumes

Net = pf.ReLUNetwork


@pytest.mark.parametrize(
    ("part", "seed", "count"),
    [("faces", 97, 10), ("volumes", 7, 40), ("overflow", 5, 8), ("flats", 7, 24), ("sizes", 7, 20), ("tilted", 7, 40), ("wide", 7, 8)],
)  # fmt: skip
def test_attacks_find_nothing(part: str, seed: int, count: int) -> None:
    """Of faces and overflow the seeds are those that have every kind of weights, in few and small networks."""
    tried, _, wrong = attack(part, seed=seed, count=count, seconds=math.inf)
    assert wrong == []
    assert sum(tried.values()) > count // 2


# ---- limits -------------------------------------------------------------------------------------
@pytest.mark.parametrize("n", [31, 32, 33, 64, 65])
def test_dimensions_around_a_word(n: int) -> None:
    """General position: f_k = C(m, n - k) sum_i C(m - n + k, i)."""
    m = n + 1
    cx = pf.canonical_complex(Net.random((n, m, 1), rng=n))
    f = [sum(math.comb(m, n - k) * math.comb(m - n + k, i) for i in range(k + 1)) for k in range(n + 1)]
    assert cx.f_vector == tuple(f)
    assert cx.signs(1).shape == (f[1], m)
    assert int(cx.is_unbounded(1).sum()) == f[1] - math.comb(m, 2)
    if n != 64:  # as many words as 65
        assert cx.certificate.verify().ok


def test_counts_beyond_machine_integers() -> None:
    cx = pf.canonical_complex(Net.random((784, 128, 10), rng=0))
    assert cx.f_vector == tuple(math.comb(128, k) * 2**k for k in range(129))
    assert cx.signs(1).shape == (256, 128)
    for ask in (lambda: cx.signs(8), lambda: cx.strata, cx.volumes, lambda: cx.volume_errors):
        with pytest.raises(BudgetExceededError, match="restrict the domain"):
            ask()


def test_two_facets_more_than_dimensions() -> None:
    assert pf.canonical_complex(Net.random((36, 38, 1), rng=0)).f_vector[1] == 33744


def test_lattices_that_begin_too_large_are_refused() -> None:
    rows = np.concatenate([np.eye(20), np.ones((1, 20))])
    with pytest.raises(BudgetExceededError, match="lattice of all faces"):
        pf.canonical_complex(Net([rows, np.ones((1, 21))], [np.zeros(21), np.zeros(1)]))


# ---- what is not finite -------------------------------------------------------------------------
def as_rationals(values: Any) -> Any:
    return np.vectorize(Fraction, otypes=[object])(np.array(values))


def test_values_that_overflow_decide_nothing() -> None:
    W, b = [[[1e81], [1]], [[-1e-81, 3]], [[1]]], [[0, -1e291], [2e291], [0]]
    assert pf.canonical_complex(Net(W, b)).f_vector == (2, 3)
    exact = Net([as_rationals(w) for w in W], [as_rationals(v) for v in b])
    assert pf.canonical_complex(exact).f_vector == (2, 3)


def test_products_of_deep_layers_that_underflow() -> None:
    """From the last layer down the product is 0, from the first one up it is 1e-100."""
    net = Net([[[1e300]], [[1e-200]], [[1e-200]], [[1]]], [[1.0], [-1e-100], [-1e-310], [0]])
    assert pf.canonical_complex(net).f_vector == exact_complex(net.weights, net.biases).f_vector


def test_coordinates_beyond_floats_are_infinite() -> None:
    cx = pf.canonical_complex(Net([[[1e-300], [1e-300]], [[1, 1]]], [[1e10, 1e10], [0]]))
    assert cx.vertices.tolist() == [[-math.inf]]
    assert cx.vertex_errors.tolist() == [math.inf]
    assert cx.exact_vertices()[0, 0] == -Fraction(1e10) / Fraction(1e-300)
    big = Net(
        [as_rationals([[10**400], [1]]), as_rationals([[1, 10**400]])], [as_rationals([1, 10**800]), as_rationals([0])]
    )
    cx = pf.canonical_complex(big)
    assert cx.f_vector == (2, 3)
    assert -math.inf in cx.vertices
    assert (cx.vertices != 0).all()
    assert cx.certificate.verify().ok


def test_the_largest_box() -> None:
    net = Net.random((2, 5, 3, 1), rng=1)
    side = np.full(2, 1e308)
    cx = pf.canonical_complex(net, pf.Box(-side, side))
    assert cx.f_vector == exact_complex(net.weights, net.biases, domain=box(-side, side)).f_vector
    assert cx.certificate.verify().ok


# ---- values -------------------------------------------------------------------------------------
def test_volumes_with_faces_thinner_than_rounding() -> None:
    net = Net([[[-0.2, 0, 0.1], [0.4, 0.2, 0.1]], [[0.1, -0.5]], [[1]]], [[-0.1, -0.1], [0.5], [0]])
    lo, hi = [-2, -1, -0.25], [4, 5, 1]
    cx = pf.canonical_complex(net, pf.Box(lo, hi))
    truth = region_volumes(exact_complex(net.weights, net.biases, domain=box(lo, hi)))
    exact = cx.volumes(exact=True)
    assert exact.sum() == 45
    for signs, value, volume, error in zip(cx.signs(3).tolist(), exact, cx.volumes(), cx.volume_errors):
        assert value == truth[tuple(signs)]
        assert abs(Fraction(volume) - value) <= Fraction(error)


def test_exact_vertices_are_within_their_bounds() -> None:
    cx = pf.canonical_complex(Net.random((3, 6, 4, 1), rng=2))
    exact = cx.exact_vertices()
    for point, true, error in zip(cx.vertices, exact, cx.vertex_errors):
        assert all(abs(Fraction(a) - b) <= Fraction(error) for a, b in zip(point.tolist(), true))
    narrow = pf.canonical_complex(Net.random((5, 3, 1), rng=2))
    assert np.allclose(narrow.exact_vertices().astype(float), narrow.vertices)


def test_lipschitz_constants_hold_their_bounds() -> None:
    for make in (lambda r, s: r.standard_normal(s), lambda r, s: np.round(r.standard_normal(s) * 4) / 10):
        for seed in range(10):
            rng = np.random.default_rng(seed)
            net = Net([make(rng, (5, 2)), make(rng, (4, 5)), make(rng, (1, 4))], [make(rng, 5), make(rng, 4), [0]])
            cx = pf.canonical_complex(net)
            exact = net.exact()
            best = Fraction(0)
            for signs in cx.signs(2):
                gates = [signs[:5] > 0, signs[5:9] > 0]
                row = (exact.weights[2][:, gates[1]] @ exact.weights[1][gates[1]])[:, gates[0]] @ exact.weights[0][
                    gates[0]
                ]
                best = max(best, sum((abs(v) for v in np.ravel(row)), Fraction(0)))
            found = cx.lipschitz(np.inf)
            assert abs(Fraction(found.value) - best) <= Fraction(found.error)
    tiny = Net([[[1e-200, 0]], [[1]]], [[0], [0]])
    assert pf.canonical_complex(tiny).lipschitz().value == pytest.approx(1e-200, rel=1e-12, abs=0)


def test_interior_points_next_to_vertices() -> None:
    for seed in range(6):
        net = Net.random((3, 7, 5, 1), rng=seed)
        cx = pf.canonical_complex(net)
        for v in cx.vertices[:6]:
            for x in (v, np.nextafter(v, 0), v + 1e-15):
                region = pf.region(net, x)
                assert region.verify().ok
                if np.isfinite(region.interior_point).all():
                    assert pf.region(net, region.interior_point).signs.tolist() == region.signs.tolist()


# ---- flat domains -------------------------------------------------------------------------------
def test_flat_boxes_are_restricted_networks() -> None:
    """Faces, affine maps, Lipschitz constants and regions as those of the network on the flat."""
    rng = np.random.default_rng(5)
    for seed in range(6):
        net = Net.random((3, 5, 4, 2), rng=seed)
        at, value = int(rng.integers(3)), float(np.round(rng.standard_normal() * 8) / 8)
        lo, hi = -np.ones(3), np.ones(3)
        lo[at] = hi[at] = value
        rest = [c for c in range(3) if c != at]
        W = net.weights[0]
        small = Net(
            [W[:, rest].astype(object) * Fraction(1), *net.weights[1:]],
            [
                np.array([Fraction(b) + Fraction(w) * Fraction(value) for b, w in zip(net.biases[0], W[:, at])]),
                *net.biases[1:],
            ],
        )
        flat, plain = pf.canonical_complex(net, pf.Box(lo, hi)), pf.canonical_complex(small, pf.Box(lo[rest], hi[rest]))
        assert flat.f_vector == plain.f_vector
        assert {tuple(r[:9]) for r in flat.signs(2).tolist()} == {tuple(r[:9]) for r in plain.signs(2).tolist()}
        for norm in (1, 2, np.inf):
            assert flat.lipschitz(norm).value == pytest.approx(plain.lipschitz(norm).value, rel=1e-12)
        assert flat.volumes().sum() == pytest.approx(4.0)
        assert flat.certificate.verify(everything=True).ok
        assert pf.face_counts(net, pf.Box(lo, hi)) == flat.f_vector
        x = np.zeros(3)
        x[at] = value
        assert pf.region(net, x, domain=pf.Box(lo, hi)).verify().ok
        assert pf.explore(net, x, domain=pf.Box(lo, hi)).n_regions == flat.n_regions
        for domain in (pf.Box(lo, hi), pf.Polyhedron(*map(np.array, (pf.Box(lo, hi).A, pf.Box(lo, hi).b)))):
            found = pf.activation_bounds(net, domain)
            z = np.concatenate(list(net.preactivations(flat.vertices))[:-1], axis=1)
            assert (found.lower <= z + 1e-12).all()
            assert (found.upper >= z - 1e-12).all()


def test_a_point_is_a_domain() -> None:
    net = Net([[[1, 0], [1, 1], [1, -1]], [[1, 2, -1]]], [[0, 0.5, 0.3], [0]])
    cx = pf.canonical_complex(net, pf.Box([1, 0], [1, 0]))
    assert (cx.f_vector, cx.vertices.tolist(), cx.lipschitz().value) == ((1,), [[1, 0]], 0.0)
    assert cx.signs(0).tolist() == [[1, 1, 1, 0, 0, 0, 0]]
    assert cx.certificate.verify().ok
    assert pf.region(net, [1, 0], domain=pf.Box([1, 0], [1, 0])).verify().ok


# ---- entering layers ----------------------------------------------------------------------------
def _wide_and_coarse(seed: int) -> pf.ReLUNetwork:
    """More neurons than a word has bits, in steps of an eighth, some of them pruned."""
    rng = np.random.default_rng(seed)
    coarse = [np.round(8 * rng.standard_normal(shape)) / 8 for shape in ((90, 2), (70, 90), (1, 70))]
    coarse[1] *= rng.random(coarse[1].shape) < 0.3
    return Net(coarse, [rng.standard_normal(len(w)) for w in coarse])


@pytest.mark.parametrize("domain", [None, pf.Box([-1, -1], [1, 1])])
def test_wide_forms_carried_along_decide_the_same(monkeypatch: pytest.MonkeyPatch, domain: pf.Box | None) -> None:
    nets = [Net.random((2, 97, 130, 1), rng=0), _wide_and_coarse(1)]
    monkeypatch.setattr(entering, "CARRIED", 1000)
    plain = [pf.canonical_complex(net, domain) for net in nets]
    monkeypatch.setattr(entering, "CARRIED", 1)
    for net, before in zip(nets, plain):
        cx = pf.canonical_complex(net, domain)
        assert [cx.fingerprint(k) for k in range(3)] == [before.fingerprint(k) for k in range(3)]


def test_forms_that_may_overflow_are_not_carried_to_a_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entering, "CARRIED", 1)
    big = 1e160 * np.array([[1.0, 0.5], [-0.3, 1.0], [0.7, -0.9]])
    net = Net(
        [big, 1e150 * np.array([[1.0, -2.0, 0.5], [0.3, 1.0, -1.0]]), [[1.0, 1.0]]],
        [[1e160, 2e159, 0], [1e308, -1e308], [0]],
    )
    assert pf.canonical_complex(net).f_vector == exact_complex(net.weights, net.biases).f_vector


def test_forms_carried_along_decide_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    nets = [Net.random((2, 9, 6, 4, 1), rng=s) for s in range(3)]
    plain = [pf.canonical_complex(net) for net in nets]
    monkeypatch.setattr(entering, "CARRIED", 1)
    for net, before in zip(nets, plain):
        cx = pf.canonical_complex(net)
        assert [cx.fingerprint(k) for k in range(3)] == [before.fingerprint(k) for k in range(3)]
        assert cx.f_vector == exact_complex(net.weights, net.biases).f_vector
