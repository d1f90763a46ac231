"""Images, preimages and injectivity: against sampling, determinants, and pairs that are evaluated exactly."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from scripts.attacks.complexes.gates import attack as gates_attack


def test_images_hold_the_values() -> None:
    net = pf.ReLUNetwork.random((2, 6, 2), rng=0)
    cx = pf.canonical_complex(net, pf.Box([-1, -1], [1, 1]))
    shown = cx.image()
    from scipy.spatial import ConvexHull

    x = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    for y, r in zip(net(x), cx.locate(x)):
        if shown.rank[r] == 2:
            hull = ConvexHull(shown.points[r])
            assert (hull.equations[:, :-1] @ y + hull.equations[:, -1] <= 1e-9).all()


def test_a_preimage_is_what_is_mapped_there() -> None:
    net = pf.ReLUNetwork.random((2, 6, 4, 2), rng=1)
    cx = pf.canonical_complex(net, pf.Box([-2, -2], [2, 2]))
    low, high = np.quantile(net(np.random.default_rng(0).uniform(-2, 2, (500, 2))), [0.2, 0.8], axis=0)
    found = cx.preimage(pf.Box(low, high))
    x = np.random.default_rng(1).uniform(-2, 2, (20000, 2))
    share = ((net(x) >= low) & (net(x) <= high)).all(axis=1).mean()
    assert found.sizes().sum() / 16 == pytest.approx(share, abs=0.02)
    assert found.certificate.verify().ok
    with pytest.raises(pf.errors.ShapeError):
        cx.preimage(pf.Box([0], [1]))


def _check(found: object, net: pf.ReLUNetwork) -> None:
    a, b = found.witness  # type: ignore[attr-defined]
    assert a != b
    exact = net.exact()
    rows = np.array([list(a), list(b)], dtype=object)
    values = exact(rows)
    assert (values[0] == values[1]).all()


@pytest.mark.parametrize("seed", range(10))
def test_injectivity_has_a_witness_or_a_proof(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kind = seed % 5
    if kind == 0:  # leaky ReLU of an invertible map: injective
        W = rng.standard_normal((2, 2))
        net = pf.ReLUNetwork([np.vstack([W, -W]), np.hstack([np.eye(2), -0.5 * np.eye(2)])], [np.zeros(4), np.zeros(2)])
        assert pf.is_injective(net).verdict.name == "YES"
        return
    if kind == 1:  # fewer outputs than inputs
        net = pf.ReLUNetwork.random((2, 4, 1), rng=seed)
    elif kind == 2:  # a fold: |x| beside y
        net = pf.ReLUNetwork([[[1, 0], [-1, 0], [0, 1], [0, -1]], [[1, 1, 0, 0], [0, 0, 1, -1]]], [[0] * 4, [0, 0]])
    elif kind == 3:
        net = pf.ReLUNetwork.random((2, 5, 3), rng=seed)
    else:
        net = pf.ReLUNetwork([np.round(rng.standard_normal(s) * 2) for s in ((3, 1), (2, 3))], [[0, -1, 1], [0, 0]])
    found = pf.is_injective(net, budget=pf.Budget(seconds=30))
    if found.verdict.name == "NO":
        _check(found, net)
    if kind in (1, 2):
        assert found.verdict.name == "NO"


@pytest.mark.parametrize("seed", range(12))
def test_a_layer_by_its_criterion_and_by_comparing_regions(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of a layer that are on span on every region, or two inputs say no; comparing images says the same."""
    rng = np.random.default_rng(seed)
    n = 1 + seed % 2
    rows = np.round(2 * rng.standard_normal((2 * n + seed % 3, n)))
    W = np.concatenate([rows, -rows[:n]]) if seed % 2 else rows
    b = np.round(rng.standard_normal(len(W))) * (seed % 4 > 1)
    after = np.round(3 * rng.standard_normal((len(W) + 1, len(W))))
    net = pf.ReLUNetwork([W, after], [b, np.zeros(len(after))])
    domain = pf.Box([-2] * n, [2] * n) if seed % 3 == 0 else None
    if np.linalg.matrix_rank(after) < len(W) or pf.canonical_complex(net, domain).lineality_dimension:
        return
    quick = pf.is_injective(net, domain)
    monkeypatch.setattr("polyfiber.complexes.topology.images._is_layer", lambda cx: False)
    assert pf.is_injective(net, domain).verdict is quick.verdict
    if quick.verdict.name == "NO":
        _check(quick, net)


def test_a_wide_layer_is_decided_at_once() -> None:
    rng = np.random.default_rng(0)
    W = rng.standard_normal((20, 3))
    net = pf.ReLUNetwork([np.concatenate([W, -W]), np.eye(40)], [np.zeros(40), np.zeros(40)])
    found = pf.is_injective(net)
    assert (found.verdict.name, found.n_pairs) == ("YES", 0)
    assert "layer" in found.reason


def test_one_dimension_is_monotone_or_not() -> None:
    """In one dimension a network is injective exactly when all its slopes have one sign."""
    answers = set()
    for seed in range(40):
        rng = np.random.default_rng(seed)
        net = pf.ReLUNetwork(
            [
                np.round(rng.standard_normal((4, 1)) * 2) / 2,
                np.round(rng.standard_normal((1, 4)) * 2) / 2 + (seed % 2) * 2,
            ],
            [np.round(rng.standard_normal(4)), np.zeros(1)],
        )
        if not (net.weights[0] != 0).any():
            continue
        cx = pf.canonical_complex(net)
        if cx.lineality_dimension:
            continue
        slopes = cx.affine_maps()[0].ravel()
        found = pf.is_injective(net)
        assert found.verdict.name == ("YES" if (slopes > 0).all() or (slopes < 0).all() else "NO")
        if found.verdict.name == "NO":
            _check(found, net)
        answers.add(found.verdict.name)
    assert "NO" in answers


def test_a_budget_of_nothing_is_undecided() -> None:
    net = pf.ReLUNetwork.random((2, 12, 8, 3), rng=0)
    found = pf.is_injective(net, budget=pf.Budget(seconds=0.02))
    assert found.verdict.name in ("UNDECIDED", "NO")


@pytest.mark.parametrize("domain", [
    None, pf.Box([-1, -1], [1, 1]), pf.Polyhedron([[1.0, 0.0]], [1.0]), pf.Polyhedron([[1.0, 0.0], [0.0, 1.0]], [1.0, -5.0])
])  # fmt: skip
def test_affine_networks_are_answered_by_rank(domain: pf.Polyhedron | None) -> None:
    """Unimodular integers have full rank, whatever is stacked on; a row and its multiples, or fewer rows, do not."""
    for W, verdict in (
        ([[2, 1], [1, 1]], "YES"),
        ([[2, 1], [1, 1], [3, 5]], "YES"),
        ([[1, 2], [2, 4], [-3, -6]], "NO"),
        ([[0, 0]], "NO"),
        ([[1, 1 / 3]], "NO"),
    ):
        net = pf.ReLUNetwork([np.array(W, dtype=float)], [np.ones(len(W))])
        found = pf.is_injective(net, domain)
        assert found.verdict.name == verdict
        if verdict == "NO":
            _check(found, net)
            rows = np.zeros((0, 3)) if domain is None else domain.affine_forms()
            for x in found.witness or ():
                assert all(sum(Fraction(a) * v for a, v in zip(row, x)) + Fraction(row[-1]) >= 0 for row in rows)


@pytest.mark.parametrize("domain", [None, pf.Polyhedron([[1.0, 0.0]], [1.0])])
def test_a_skip_is_not_called_constant(domain: pf.Polyhedron | None) -> None:
    """x + relu(x_0) is injective; the walls alone do not tell, and the reason says so. Without the skip of x_1, a witness."""
    gates = [pf.GateBlock({0: [[1.0, 0.0]]}, [0.0])]
    read: list[list[float]] = [[1.0], [0.0]]
    skip = pf.PiecewiseLinearNetwork(2, gates, pf.AffineMap({0: np.eye(2), 1: read}, [0.0, 0.0]))
    found = pf.is_injective(skip, domain)
    assert found.verdict.name == "UNDECIDED"
    assert "read directions" in found.reason
    half = pf.PiecewiseLinearNetwork(2, gates, pf.AffineMap({0: [[1.0, 0], [0, 0]], 1: read}, [0.0, 0.0]))
    found = pf.is_injective(half, domain)
    assert found.verdict.name == "NO"
    _check(found, half)  # type: ignore[arg-type]


def test_flat_domains_are_refused() -> None:
    with pytest.raises(pf.errors.InputError, match="flat"):
        pf.is_injective(pf.ReLUNetwork.random((2, 6, 4, 3), rng=0), pf.Box([-1, 0], [1, 0]))


def test_networks_of_gates() -> None:
    _, wrong = gates_attack(seed=900, count=20, seconds=60.0, parts=("injective",))
    assert not wrong
