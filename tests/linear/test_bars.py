"""Adapted bases: the fundamental theorem, flow subspaces, Lemma 1, duality, snapping."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import polyfiber as pf
from polyfiber.errors import InputError, RankAmbiguityError
from polyfiber.linear.weights import norm
from tests.linear.cases import small
from tests.oracles.linear_geometry import chain, flow_A, flow_B


def gap(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a @ a.T - b @ b.T).max()) if a.shape[0] else 0.0


def test_canonical_form_reproduces_random_points_of_small_strata() -> None:
    for s, _, b in small(0.1, 1):
        w = b.reconstruct()
        found = pf.linear.barcode(w)
        assert found.residual < 1e-13
        assert np.array_equal(found.ranks, s.ranks)
        for j, j_inv in zip(found.J, found.J_inv):
            assert np.abs(j @ j_inv - np.eye(len(j))).max(initial=0) < 1e-11


def test_flow_subspaces_against_their_definition_and_lemma_1() -> None:
    for s, _, b in small(0.02, 2):
        w, last = b.reconstruct(), len(s.widths) - 1
        found = pf.linear.barcode(w)
        omega = s.bars
        for k in range(last + 1):
            for i in range(last + 1):
                for j in range(i, min(k + 1, last) + 1):
                    a = found.flow_A(k, j, i)
                    assert a.shape[1] == sum(m for (p, q), m in omega.items() if p <= i and j <= q <= k)
                    assert gap(a, flow_A(w, k, j, i)) < 1e-8
                    for x in range(i, j + 1):
                        image = chain(w, j, x) @ found.flow_A(k, x, i)
                        assert np.abs(image - a @ (a.T @ image)).max(initial=0) < 1e-9
                        assert np.linalg.matrix_rank(image, tol=1e-8) == a.shape[1] if image.size else True
                for j in range(max(i - 1, 0), k + 1):
                    c = found.flow_B(k, j, i)
                    assert c.shape[1] == sum(m for (p, q), m in omega.items() if i <= p <= j and q >= k)
                    assert gap(c, flow_B(w, k, j, i)) < 1e-8


def test_prebases_are_dual_and_span_each_layer() -> None:
    for s, _, b in small(0.02, 3):
        found = pf.linear.barcode(b.reconstruct())
        for j in range(len(s.widths)):
            pairs = [(i, k) for (i, k) in s.bars if i <= j <= k]
            a = np.hstack([found.prebasis_a(k, j, i) for i, k in pairs])
            c = np.hstack([found.prebasis_b(k, j, i) for i, k in pairs])
            assert np.abs(c.T @ a - np.eye(s.widths[j])).max(initial=0) < 1e-10
            for i, k in pairs:
                assert found.prebasis_a(k, j, i).shape[1] == s.bars[i, k]


def test_transposition_exchanges_the_flow_subspaces() -> None:
    for s, _, b in small(0.01, 4):
        last = len(s.widths) - 1
        w = b.reconstruct()
        here, there = pf.linear.barcode(w), pf.linear.barcode(pf.linear.transpose(w))
        for k in range(last + 1):
            for i in range(k + 1):
                for j in range(i, k + 1):
                    assert gap(here.flow_B(k, j, i), there.flow_A(last - i, last - j, last - k)) < 1e-8


small_int = st.integers(-2, 2)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(1, 3), min_size=2, max_size=4).flatmap(
        lambda d: st.tuples(
            *(st.lists(st.lists(small_int, min_size=a, max_size=a), min_size=b, max_size=b) for a, b in zip(d, d[1:]))
        )
    )
)
def test_integer_weights_have_an_exact_canonical_form(weights: tuple) -> None:
    found = pf.linear.barcode(list(weights))
    assert found.residual == 0.0
    for w, v in zip(weights, found.reconstruct()):
        assert (np.array(w, dtype=object) == v).all()
    located = pf.linear.locate(list(weights))
    assert located.is_exact
    assert np.array_equal(located.ranks, found.ranks)
    layers = [np.array(w, float) for w in weights]
    for k in range(1, len(layers) + 1):
        for i in range(k):
            assert found.ranks[k, i] == np.linalg.matrix_rank(chain(layers, k, i))
    as_float = pf.linear.locate(list(weights), exact=False)
    assert np.array_equal(as_float.ranks, found.ranks)


def test_canonical_weights_have_their_ranks() -> None:
    for s in pf.linear.stratify((2, 3, 2, 3)):
        w = [v.astype(int) for v in pf.linear.canonical_weights(s.widths, s.label)]
        assert pf.linear.locate(w).stratum.label == s.label


@pytest.mark.parametrize("noise", [1e-12, 1e-9, 1e-6])
def test_noise_is_snapped_away(noise: float) -> None:
    rng = np.random.default_rng(5)
    for s, _, b in small(0.02, 6):
        w = b.reconstruct()
        noisy = [v + noise * rng.standard_normal(v.shape) for v in w]
        assert pf.linear.locate(noisy, noise=30 * noise, gap=1.0).ranks.tolist() == s.ranks.tolist()
        snapped = pf.linear.barcode(noisy, ranks=s).reconstruct()
        assert norm([x - y for x, y in zip(snapped, noisy)]) < 1e3 * noise * max(1.0, norm(w))
        assert pf.linear.locate(snapped).reading.label == s.label


def test_layers_of_very_different_size() -> None:
    rng = np.random.default_rng(7)
    for s, _, b in small(0.01, 8):
        w = [v * 10.0 ** rng.integers(-30, 30) for v in b.reconstruct()]
        assert pf.linear.locate(w).stratum.label == s.label
        assert pf.linear.barcode(w).residual < 1e-11


def test_widths_beyond_toys() -> None:
    widths = (40, 60, 50)
    label = [20, 10, 25]
    b = pf.linear.sample_barcode(label, widths=widths, rng=0)
    assert pf.linear.barcode(b.reconstruct()).residual < 1e-12


def test_bad_requests() -> None:
    good = [np.eye(2), np.eye(2)]
    for call in (
        lambda: pf.linear.barcode(good, ranks=[1, 2, 2]),
        lambda: pf.linear.barcode(good, ranks=[1.0, 1.0, 1.0]),
        lambda: pf.linear.barcode(good, ranks=np.zeros((2, 2, 2), int)),
        lambda: pf.linear.barcode(good, ranks=np.diag([3, 2, 2])),
        lambda: pf.linear.barcode([[[1]], [[1]]], ranks=[0, 0, 0]),
        lambda: pf.linear.barcode(good).flow_A(0, 2, 0),
        lambda: pf.linear.barcode(good).flow_B(0, 1, 0),
        lambda: pf.linear.canonical_weights((2, 2), [3]),
        lambda: pf.linear.barcode([np.full((2, 2), 1e308), np.eye(2)]),
        lambda: pf.linear.barcode([np.full((2, 2), 5e-324), np.eye(2)]),
    ):
        with pytest.raises(InputError):
            call()
    with pytest.raises(RankAmbiguityError, match="not decided"):
        pf.linear.barcode([np.diag([1.0, 1e-9]), np.eye(2)])
    half = Fraction(1, 2)
    assert pf.linear.barcode([np.array([[half]], object)]).residual == 0.0
