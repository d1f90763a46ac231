"""Exact ranges of neurons against the complex; what was not reached is said; hostile weights give sound bounds."""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction

import numpy as np
import pytest
from typer.testing import CliRunner

import polyfiber as pf
from polyfiber.bounds.relaxation import System, bounding_box, relaxed, safe_minimum
from polyfiber.cli.app import app
from polyfiber.complexes.ranges import activation as module
from polyfiber.complexes.ranges.exact_ranges import Points, certainly_empty
from polyfiber.errors import InputError

TRIANGLE = pf.Polyhedron(np.r_[-np.eye(3), np.ones((1, 3))], [0.3, 0.3, 0.3, 0.4])
BOX = pf.Box(-0.6, 0.8, dimension=3)


def all_bounds(b: pf.ActivationBounds) -> tuple[np.ndarray, np.ndarray]:
    return np.r_[b.lower, b.output_lower], np.r_[b.upper, b.output_upper]


@pytest.mark.parametrize("branching", [False, True], ids=["vertices", "branching"])
@pytest.mark.parametrize("domain", [BOX, TRIANGLE], ids=["box", "polyhedron"])
@pytest.mark.parametrize("seed", range(2))
def test_exact_ranges_are_those_of_the_complex(
    domain: pf.Polyhedron, seed: int, branching: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if branching:
        monkeypatch.setattr(module, "ENUMERABLE_INPUTS", 0)
    net = pf.ReLUNetwork.random((3, 7, 6, 4, 2), rng=seed)
    b = pf.activation_bounds(net, domain, method="exact", budget=pf.Budget(seconds=600))
    z = np.concatenate(net.preactivations(pf.canonical_complex(net, domain).vertices), axis=1)
    low, high = all_bounds(b)
    slack = 1e-10 * np.abs(z).max()
    assert np.abs(low - z.min(axis=0)).max() < slack
    assert np.abs(high - z.max(axis=0)).max() < slack
    assert (low <= b.attained_lower).all()
    assert (b.attained_upper <= high).all()
    assert b.complete
    assert b.is_exact.all()
    assert set(b.methods) == {"exact"}
    assert (b.stats["nodes"] > 0) == branching
    assert len(b.undecided) == 0
    assert b.verify()
    widest = int(np.argmax(high))
    assert abs(float(b.value(widest)) - high[widest]) < slack


@pytest.mark.parametrize("method", ["interval", "relaxation", "lp"])
@pytest.mark.parametrize("domain", [BOX, TRIANGLE], ids=["box", "polyhedron"])
def test_attained_values_are_inside_whatever_the_method(domain: pf.Polyhedron, method: str) -> None:
    net = pf.ReLUNetwork.random((3, 8, 8, 2), rng=5)
    b = pf.activation_bounds(net, domain, method=method)
    z = np.concatenate(net.preactivations(pf.canonical_complex(net, domain).vertices), axis=1)
    slack = 1e-12 * np.abs(z).max()
    assert (z.min(axis=0) <= b.attained_lower + slack).all()
    assert (z.max(axis=0) >= b.attained_upper - slack).all()
    assert b.verify()
    both = (z[:, :16] < -slack).any(axis=0) & (z[:, :16] > slack).any(axis=0)
    assert np.isin(b.unstable, np.flatnonzero(both)).all()
    assert set(b.methods) <= {"interval", "relaxation", "lp"}


def test_verify_sees_a_wrong_point_and_a_wrong_value() -> None:
    net = pf.ReLUNetwork.random((3, 5, 4, 1), rng=0)
    b = pf.activation_bounds(net, BOX, method="exact")
    outside = b.upper_at.copy()
    outside[2] = 5.0
    assert not dataclasses.replace(b, upper_at=outside).verify()
    assert not dataclasses.replace(b, attained_upper=b.attained_upper + 1e-6).verify()
    assert not dataclasses.replace(b, upper=b.upper - 1e-6).verify()


def test_a_neuron_that_touches_zero_is_decided() -> None:
    """At the corner (1, 1) the second layer is exactly 0, and nowhere more."""
    second = [[1.0, 1.0], [1.0, -1.0]]
    net = pf.ReLUNetwork([[[1.0, 0.0], [0.0, 1.0]], second, [[1.0, 1.0]]], [[0, 0], [-2.0, 0.0], [0.5]])
    box = pf.Box(-1, 1, dimension=2)
    assert 2 in pf.activation_bounds(net, box).undecided
    b = pf.activation_bounds(net, box, method="exact")
    assert b.signs.tolist() == [0, 0, -1, 0]
    assert pf.simplify_on(net, box, bounds=b).inactive.tolist() == [2]
    dead = pf.ReLUNetwork([np.zeros((3, 2)), np.zeros((2, 3)), np.ones((1, 2))], [np.zeros(3), np.zeros(2), [1.0]])
    assert (pf.activation_bounds(dead, box, method="exact").signs == -1).all()


@pytest.mark.parametrize("seed", range(6))
def test_integer_and_rational_networks(seed: int) -> None:
    """Ties everywhere: signs from exact vertices agree with signs at exact points of the rational complex."""
    rng = np.random.default_rng(seed)
    net = pf.ReLUNetwork(
        [rng.integers(-2, 3, s) for s in ((5, 2), (5, 5), (1, 5))], [rng.integers(-2, 3, s) for s in (5, 5, 1)]
    )
    domain = pf.Box([Fraction(-1, 3), Fraction(-1)], [Fraction(1, 3), Fraction(2, 3)])
    b = pf.activation_bounds(net.exact(), domain, method="exact")
    assert b.complete, b.fallback
    assert b.verify()
    cx = pf.canonical_complex(net.exact(), domain)
    signs = cx.signs(0)[:, :10]
    expected = np.where((signs <= 0).all(axis=0), -1, np.where((signs >= 0).all(axis=0), 1, 0))
    assert b.signs.tolist() == expected.tolist()


def test_what_time_did_not_allow_is_said() -> None:
    net = pf.ReLUNetwork.random((3, 8, 8, 8, 2), rng=0)
    box = pf.Box(-1, 1, dimension=3)
    for method in ("lp", "exact"):
        b = pf.activation_bounds(net, box, method=method, budget=pf.Budget(seconds=0))
        assert not b.complete
        assert any("time was up" in text or "budget ended" in text for text in b.fallback)
        assert {"interval", "relaxation"} & set(b.methods)
        assert b.verify()
    assert pf.activation_bounds(net, box).complete


@pytest.mark.parametrize("scale", [1e200, 1e-200, 1e-310])
@pytest.mark.parametrize("method", ["interval", "relaxation", "lp", "exact"])
def test_extreme_weights(scale: float, method: str) -> None:
    net = pf.ReLUNetwork([np.full((3, 2), scale), np.full((2, 3), scale), np.ones((1, 2))], [[0] * 3, [0] * 2, [0.0]])
    b = pf.activation_bounds(net, pf.Box(-1, 1, dimension=2), method=method, budget=pf.Budget(seconds=5))
    low, high = all_bounds(b)
    assert not np.isnan(low).any()
    assert not np.isnan(high).any()
    assert (low <= high).all()
    assert b.upper[:3].min() >= 2 * scale * (1 - 1e-12)
    assert b.complete or method in ("lp", "exact")
    assert b.verify()


def test_multipliers_only_weaken_a_bound() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        A, b, cost = rng.standard_normal((4, 3)), rng.uniform(0.1, 1, 4), rng.standard_normal(3)
        low, high = np.full(3, -1.0), np.full(3, 1.0)
        X = rng.uniform(-1, 1, (4000, 3))
        X = X[(b >= X @ A.T).all(axis=1)]
        bound = safe_minimum(cost, A, b, rng.uniform(0, 1, 4), low, high)
        assert bound <= (X @ cost).min()
    assert safe_minimum(np.array([np.inf]), A[:, :1], b, np.ones(4), low[:1], high[:1]) == -np.inf


def test_emptiness_needs_a_proof() -> None:
    box = np.full(2, -1.0), np.full(2, 1.0)
    empty = System(np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([-0.1, -0.1]), *box)
    thin = System(np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([-0.1, 0.1]), *box)
    assert certainly_empty(empty)
    assert not certainly_empty(thin)


def test_points_stay_inside() -> None:
    points = Points(pf.ReLUNetwork.random((3, 4, 1), rng=0), TRIANGLE)
    X = points.inside(10 * np.random.default_rng(0).standard_normal((200, 3)))
    assert len(X) == 200
    rows = [[Fraction(v) for v in row] for row in TRIANGLE.affine_forms()]
    for x in X[:40]:
        assert all(sum((a * Fraction(v) for a, v in zip(row, x)), row[-1]) >= 0 for row in rows)


def test_relaxed_without_lines_is_wider() -> None:
    net = pf.ReLUNetwork.random((3, 6, 6, 1), rng=2)
    plain, lines = relaxed(net, bounding_box(BOX), lines=False), relaxed(net, bounding_box(BOX))
    assert plain.high[-1][0] - plain.low[-1][0] >= lines.high[-1][0] - lines.low[-1][0]


def test_command(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = str(tmp_path / "net.npz")
    pf.ReLUNetwork.random((3, 6, 6, 2), rng=0).save(path)
    result = CliRunner().invoke(app, ["bounds", path, "--box", "-1,1", "--method", "exact", "--json"])
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer["largest_gap"] < 1e-9
    assert set(answer["methods"]) == {"exact"}
    result = CliRunner().invoke(app, ["bounds", path, "--box", "-1,1", "--method", "lp", "--seconds", "0"])
    assert result.exit_code == 3
    assert "time was up" in result.output


@pytest.mark.parametrize("shape", [(2, 6, 5, 1), (3, 7, 6, 4, 2), (5, 8, 8, 2), (3, 4, 2)], ids=str)
def test_over_a_region_programs_are_exact(shape: tuple[int, ...]) -> None:
    net = pf.ReLUNetwork.random(shape, rng=3)
    box = pf.Box(-1, 1, dimension=shape[0])
    x = np.full(shape[0], 0.21)
    region = pf.region(net, x, domain=box)
    b = pf.activation_bounds(net, region)
    cx = pf.canonical_complex(net, box)
    r = int(cx.locate(x[None])[0])
    assert (cx.signs(cx.dimension)[r] == region.signs).all()
    z = np.concatenate(net.preactivations(cx.v_representation(r).vertices), axis=1)
    low, high = all_bounds(b)
    assert np.allclose(low, z.min(axis=0), atol=1e-10)
    assert np.allclose(high, z.max(axis=0), atol=1e-10)
    assert b.complete
    assert b.is_exact.all()
    assert len(b.unstable) == 0
    assert (b.signs == region.signs[: net.n_hidden]).all()
    assert b.verify()
    late = pf.activation_bounds(net, region, budget=pf.Budget(seconds=0))
    assert not late.complete
    assert (late.signs == b.signs).all()


def test_a_region_must_be_bounded_and_ones_own() -> None:
    net = pf.ReLUNetwork.random((2, 2, 1), rng=0)
    with pytest.raises(InputError, match="unbounded"):
        pf.activation_bounds(net, pf.region(net, [0.0, 0.0]))
    with pytest.raises(InputError, match="another network"):
        pf.activation_bounds(pf.ReLUNetwork.random((2, 2, 1), rng=1), pf.region(net, [0.0, 0.0]))


def test_command_at_a_point(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = str(tmp_path / "net.npz")
    pf.ReLUNetwork.random((3, 6, 6, 2), rng=0).save(path)
    result = CliRunner().invoke(app, ["bounds", path, "--box", "-1,1", "--at", "0.2,0.1,-0.3", "--json"])
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert set(answer["methods"]) == {"exact"}
    assert 0 not in answer["signs"]


def test_a_box_without_floats_has_bounds_and_no_points() -> None:
    third = Fraction(1, 3)
    box = pf.Box([third], [third + Fraction(1, 10**30)])
    b = pf.activation_bounds(pf.ReLUNetwork([[[1.0], [-2.0]], [[1.0, 1.0]]], [[-1.0, 2.0], [0.0]]), box)
    assert b.signs.tolist() == [-1, 1]
    assert np.isnan(b.upper_at).all()
    assert b.verify()
    with pytest.raises(InputError, match="no point"):
        b.value(0)
