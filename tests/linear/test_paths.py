"""Sampling, explicit moves (exact limits into lower strata), paths, nearest points, the variety."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber import Verdict
from polyfiber.errors import InputError, ShapeError
from polyfiber.linear.bars import make_barcode
from polyfiber.linear.strata import Move
from polyfiber.linear.weights import norm, product
from tests.linear.cases import small


def exact_point(s, rng):
    """Exact integer bases and weights on a stratum."""
    J = []
    for d in s.widths:
        lower = np.tril(rng.integers(-1, 2, (d, d)), -1) + np.eye(d, dtype=int)
        upper = np.triu(rng.integers(-1, 2, (d, d)), 1) + np.eye(d, dtype=int)
        m = np.empty((d, d), object)
        m[...] = [[Fraction(int(v)) for v in row] for row in lower @ upper]
        J.append(m)
    return make_barcode(s.widths, s.ranks, J, None)


def check_limits(widths: tuple[int, ...], rank: int | None) -> int:
    """Every comparable pair: an exact curve from the lower stratum into the upper one."""
    rng = np.random.default_rng(0)
    st = pf.linear.stratify(widths, rank=rank)
    done = 0
    for low in st:
        at = exact_point(low, rng)
        here = at.reconstruct()
        for j in st.strata.star(low.id):
            up = st[int(j)]
            off = []
            for size in (Fraction(1, 10), Fraction(1, 10**6)):
                there = pf.linear.raise_to(at, up, size=size)
                assert pf.linear.locate(there).stratum.label == up.label
                if rank is not None:
                    assert (chain_exact(there) == chain_exact(here)).all()
                off.append(max(abs(x - y).max(initial=0) for x, y in zip(there, here)))
            assert off[1] <= off[0] * Fraction(1, 10**4) if off[0] else off[1] == 0
            done += 1
    return done


def chain_exact(layers):
    out = layers[0]
    for w in layers[1:]:
        out = w @ out
    return out


@pytest.mark.parametrize(("widths", "rank"), [((2, 2, 2), 1), ((2, 2, 2), None), ((2, 3, 2), 0), ((1, 2, 2, 1), 1)])
def test_closure_order_against_exact_curves(widths: tuple[int, ...], rank: int | None) -> None:
    assert check_limits(widths, rank) >= 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("widths", "rank"), [((2, 2, 2, 2), None), ((3, 3, 3), None), ((2, 3, 2, 2), 1), ((2, 2, 2, 2, 2), 1)]
)
def test_closure_order_against_exact_curves_in_larger_cases(widths: tuple[int, ...], rank: int | None) -> None:
    assert check_limits(widths, rank) > 30


def test_no_curve_where_the_order_says_no() -> None:
    with pytest.raises(InputError, match="not in the closure"):
        pf.linear.raise_to([[[1]], [[0]]], [0, 0, 1])


def test_one_move_is_one_rank_one_change_of_one_layer() -> None:
    st = pf.linear.stratify((3, 3, 3, 3), rank=1)
    rng = np.random.default_rng(1)
    for n, (lower, upper, move) in enumerate(st.covers()):
        if n % 29:
            continue
        at = pf.linear.sample_barcode(st[lower], rng=rng)
        w = at.reconstruct()
        for size in (0.7, -1e-3):
            v = pf.linear.apply_move(at, move, size).reconstruct()
            changed = [j for j in range(3) if norm([v[j] - w[j]]) > 1e-9 * abs(size)]
            assert changed == [move.layer - 1]
            assert np.linalg.matrix_rank(v[changed[0]] - w[changed[0]], tol=1e-9) == 1
            assert np.abs(product(v) - product(w)).max() < 1e-11
            assert pf.linear.locate(v).reading.label == st[upper].label


def test_samples_lie_where_they_should() -> None:
    for s, w, b in small(0.05, 2):
        x = pf.linear.sample(s, product=w, rng=int(s.id))
        assert np.abs(product(x) - w).max() < 1e-11
        assert pf.linear.locate(x).stratum.label == s.label
        assert all(np.array_equal(p, q) for p, q in zip(x, pf.linear.sample(s, product=w, rng=int(s.id))))
        assert norm([p - q for p, q in zip(x, b.reconstruct())]) > 0 or s.dim == 0


def test_bad_samples_are_refused() -> None:
    for call, error in (
        (lambda: pf.linear.sample([1, 1, 1]), InputError),
        (lambda: pf.linear.sample([1, 1, 1], widths=(2, 2, 2), product=np.eye(2)), InputError),
        (lambda: pf.linear.sample([1, 1, 1], widths=(2, 2, 2), product=np.eye(3)), ShapeError),
        (lambda: pf.linear.sample([1, 1, 1], widths=(2, 2, 2), spread=-1), InputError),
        (lambda: pf.linear.sample([1, 1, 1], widths=(2, 2, 2), rng="x"), InputError),
        (lambda: pf.linear.fiber_variety((2, 2), rank=None), InputError),
        (lambda: pf.linear.apply_move(pf.linear.barcode([np.eye(2)] * 2), Move(0, 0, 1, 1)), InputError),
        (lambda: pf.linear.apply_move(pf.linear.barcode([np.eye(2)] * 2), Move(0, 0, 1, 1), 0), InputError),
    ):
        with pytest.raises(error):
            call()


def test_paths_stay_on_the_stratum_and_parts_are_counted() -> None:
    for s, w, _ in small(0.012, 3):
        rng = np.random.default_rng(s.id)
        classes: list = []
        for _ in range(8):
            x = pf.linear.sample(s, product=w, rng=rng)
            for c in classes:
                way = pf.linear.connect(c, x)
                if way.verdict is Verdict.YES:
                    for t in (0.0, 0.25, 0.8, 1.0):
                        y = way(t)
                        assert np.abs(product(y) - w).max() < 1e-8
                        assert pf.linear.locate(y, tolerance=1e-9, gap=1.0).ranks.tolist() == s.ranks.tolist()
                    assert norm([p - q for p, q in zip(way(0.0), c)]) < 1e-9
                    assert norm([p - q for p, q in zip(way(1.0), x)]) < 1e-9
                    break
                assert way.signs
            else:
                classes.append(x)
        assert len(classes) <= pf.linear.connected_parts(s.widths, s)


@pytest.mark.parametrize(
    ("widths", "label", "parts"),
    [
        ((1, 1), [1], 1),
        ((1, 1, 1), [1, 1, 1], 2),
        ((1, 1, 1, 1), [1, 1, 1, 1, 1, 1], 4),
        ((1, 1, 1, 1), [1, 0, 0, 0, 0, 1], 4),
        ((1, 1, 1, 1), [1, 1, 1, 0, 0, 0], 4),
        ((2, 2, 2), [2, 2, 2], 2),
        ((2, 3, 2), [2, 2, 2], 1),
        ((2, 1, 1), [1, 0, 0], 1),
        ((2, 1, 1), [0, 0, 1], 2),
    ],
)
def test_known_numbers_of_connected_parts(widths: tuple[int, ...], label: list[int], parts: int) -> None:
    assert pf.linear.connected_parts(widths, label) == parts
    last = len(widths) - 1
    rho = label[last * (last - 1) // 2]
    target = np.eye(widths[-1], widths[0]) * (np.arange(widths[-1]) < rho)[:, None]
    classes: list = []
    rng = np.random.default_rng(0)
    for _ in range(60):
        x = pf.linear.sample(label, widths=widths, product=target, rng=rng)
        if not any(pf.linear.connect(c, x).verdict for c in classes):
            classes.append(x)
    assert len(classes) == parts


def test_connect_refuses_other_strata_and_products() -> None:
    one = [np.eye(2), np.eye(2)]
    with pytest.raises(InputError, match="products differ"):
        pf.linear.connect(one, [np.eye(2), 2 * np.eye(2)])
    with pytest.raises(InputError, match="different strata"):
        pf.linear.connect(one, [np.eye(2), np.diag([1.0, 0.0])])
    with pytest.raises(InputError, match="cannot be joined"):
        pf.linear.connect(one, [np.eye(2)])
    with pytest.raises(InputError, match="time"):
        pf.linear.connect(one, one)(2.0)
    flipped = [np.diag([1.0, -1.0]), np.diag([1.0, -1.0])]
    way = pf.linear.connect(one, flipped)
    assert way.verdict is Verdict.NO
    with pytest.raises(InputError, match="different connected parts"):
        way(0.5)


def test_nearest_points() -> None:
    rng = np.random.default_rng(4)
    st = pf.linear.stratify((2, 3, 2), rank=1)
    target = np.outer([1.0, 2.0], [1.0, -1.0])
    for top in st.maximal():
        w = pf.linear.sample(st[int(top)], product=target, rng=rng)
        for low in st.strata.closure([top]):
            found = pf.linear.nearest(w, st[int(low)], starts=2)
            assert found.lower_bound <= found.distance + 1e-9
            assert np.abs(product(found.weights) - target).max() < 1e-9
            assert pf.linear.locate(found.weights, gap=1.0).ranks.tolist() == st[int(low)].ranks.tolist()
            if low == top:
                assert found.distance < 1e-9
            if found.converged:
                off = [x - y for x, y in zip(w, found.weights)]
                inside = pf.linear.tangent_space(found.weights, ranks=st[int(low)]).project(off)
                assert norm(inside) <= 1e-5 * norm(w)
    # all of the first layer free: the least change is the least singular value (Eckart and Young)
    w = [np.diag([3.0, 0.1]), np.zeros((1, 2))]
    found = pf.linear.nearest(w, [1, 0, 0])
    assert found.distance == pytest.approx(0.1)
    assert found.lower_bound == pytest.approx(0.1)
    with pytest.raises(InputError, match="starts"):
        pf.linear.nearest(w, [1, 0, 0], starts=0)


def test_components_and_singular_locus() -> None:
    axes = pf.linear.fiber_variety((1, 1, 1, 1), rank=0)
    assert len(axes.components) == 3
    assert axes.singular_dim == 1
    assert not axes.is_smooth
    assert len(pf.linear.fiber_variety((1,) * 6, rank=0).components) == 5
    assert len(pf.linear.fiber_variety((4, 4, 4, 4), rank=1).components) == 10
    assert pf.linear.fiber_variety((3, 3, 3), rank=3).is_smooth
    assert pf.linear.fiber_variety((3, 5, 3), rank=3).is_equidimensional
    for widths, rank in (((2, 2, 2), 1), ((2, 3, 2, 2), 1), ((3, 2, 3), 0)):
        v = pf.linear.fiber_variety(widths, rank=rank)
        assert np.array_equal(v.components, v.stratification.strata.maximal())
        assert v.smooth[v.components].all()
        assert not (v.smooth & v.crossing).any()
        low, high = v.stratification.dim, v.stratification.dof
        assert (low <= v.local_dimension).all()
        assert (v.local_dimension <= high).all()
    with pytest.raises(InputError, match="over rank"):
        pf.linear.fiber_variety(pf.linear.stratify((2, 2)), rank=1)
