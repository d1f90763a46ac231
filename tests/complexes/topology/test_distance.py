"""Nearest points against dense sampling, and cells and networks in the formats of other programs."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.complexes.topology import exchange


@pytest.mark.parametrize("seed", range(6))
def test_nothing_on_the_boundary_is_nearer(seed: int) -> None:
    rng = np.random.default_rng(seed)
    net = pf.ReLUNetwork.random((2, 6, 4, 3), rng=seed)
    if seed % 2:
        net = pf.ReLUNetwork([np.round(4 * w) / 4 for w in net.weights], [np.round(4 * b) / 4 for b in net.biases])
    cx = pf.canonical_complex(net, pf.Box([-2, -2], [2, 2]))
    boundary = cx.decision_boundary()
    x = rng.uniform(-1.5, 1.5, 2)
    near = boundary.nearest_point(x)
    if boundary.dimension < 0:
        assert near.distance == np.inf
        return
    ends = boundary.vertices[boundary.edges]
    t = np.linspace(0, 1, 2001)[:, None, None]
    points = (ends[None, :, 0] * (1 - t) + ends[None, :, 1] * t).reshape(-1, 2)
    assert np.linalg.norm(points - x, axis=1).min() == pytest.approx(near.distance, abs=1e-3)
    assert (np.linalg.norm(points - x, axis=1) >= near.distance - 1e-9).all()
    values = net.exact()(np.array([list(near.exact_point)], dtype=object))[0]
    assert sorted(values)[-1] == sorted(values)[-2]
    assert near.squared == sum((a - Fraction(float(b))) ** 2 for a, b in zip(near.exact_point, x))


def test_region_as_an_lp_file_and_as_text(tmp_path) -> None:
    highspy = pytest.importorskip("highspy")
    net = pf.ReLUNetwork.random((2, 5, 3, 1), rng=0)
    cx = pf.canonical_complex(net, pf.Box([-2, -2], [2, 2]))
    region = 3
    path = tmp_path / "r.lp"
    exchange.write_text(exchange.region_text(cx, region, "lp"), path)
    vertices = cx.v_representation(region).vertices
    for direction in np.random.default_rng(0).standard_normal((5, 2)):
        solver = highspy.Highs()
        solver.setOptionValue("output_flag", False)
        solver.readModel(str(path))
        solver.changeColsCost(2, np.arange(2, dtype=np.int32), direction)
        solver.run()
        assert solver.getInfo().objective_function_value == pytest.approx((vertices @ direction).min(), abs=1e-6)
    rows = exchange.exact_region_rows(cx, region)
    inside = cx.interior_points()[region]
    assert all(sum(a * Fraction(float(v)) for a, v in zip(row, inside)) + row[-1] > 0 for row in rows)
    for form, word in (("polymake", "INEQUALITIES"), ("sage", "ieqs"), ("smtlib", "assert")):
        assert exchange.region_text(cx, region, form).count("\n") > len(rows)
        assert word in exchange.region_text(cx, region, form)
    with pytest.raises(pf.errors.InputError, match="form"):
        exchange.region_text(cx, region, "excel")


def test_regions_as_smtlib_are_the_regions() -> None:
    """On the text of a region every neuron has its sign, by a solver that knows nothing of the region; beyond a side it has not."""
    z3 = pytest.importorskip("z3")
    net = pf.ReLUNetwork.random((2, 4, 3, 1), rng=4)
    box = pf.Box([-1, -1], [1, 1])
    cx = pf.canonical_complex(net, box)
    whole = exchange.network_text(net, box, "smtlib")
    for region in range(0, cx.n_regions, 3):
        text, signs = exchange.region_text(cx, region, "smtlib"), cx.signs(2)[region]
        alone = z3.Solver()
        alone.from_string(text)
        assert alone.check() == z3.sat
        lines = [line for line in text.splitlines() if line.startswith("(assert")]
        for i, line in enumerate(lines):  # no inequality follows from the others
            rest = z3.Solver()
            rest.from_string(
                "\n".join([*text.splitlines()[:3], *lines[:i], *lines[i + 1 :], f"(assert (not {line[8:-1]}))"])
            )
            assert rest.check() == z3.sat
        on = [f"(> h_{layer}_{i} 0.0)" for layer, width in ((1, 4), (2, 3)) for i in range(width)]
        same = " ".join(on[k] if signs[k] > 0 else f"(= h{on[k][4:-5]} 0.0)" for k in range(7))
        other = z3.Solver()
        other.from_string(
            whole + "\n".join(f"(assert (> {line[11:-4]} 0.0))" for line in lines) + f"(assert (not (and {same})))"
        )
        assert other.check() == z3.unsat


def test_network_as_a_mixed_integer_program(tmp_path) -> None:
    highspy = pytest.importorskip("highspy")
    net = pf.ReLUNetwork.random((2, 5, 4, 1), rng=1)
    box = pf.Box([-1, -1], [1, 1])
    path = tmp_path / "n.lp"
    exchange.write_text(exchange.network_text(net, box, "lp"), path)
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.readModel(str(path))
    column = solver.getColByName("y0")[1]
    solver.changeColsCost(1, np.array([column], dtype=np.int32), np.array([1.0]))
    solver.run()
    lowest = net(pf.canonical_complex(net, box).vertices).min()
    assert solver.getInfo().objective_function_value == pytest.approx(lowest, abs=1e-5)


@pytest.mark.parametrize("gates", [False, True])
def test_network_as_smtlib(gates: bool) -> None:
    z3 = pytest.importorskip("z3")
    net: Any = pf.ReLUNetwork.random((2, 4, 3, 1), rng=2)
    if gates:
        W = np.round(4 * np.random.default_rng(2).standard_normal((4, 2))) / 4
        leaky = pf.GateBlock({0: W}, [0.5, 0.0, -0.25, 0.0], slopes=(0.25, 1))
        net = pf.PiecewiseLinearNetwork(2, [leaky], pf.AffineMap({0: [[0.5, 0.0]], 1: np.ones((1, 4))}, [0.0]))
    box = pf.Box([-1, -1], [1, 1])
    text = exchange.network_text(net, box, "smtlib")
    top = float(net(pf.canonical_complex(net, box).vertices).max())
    for bound, answer in ((top + 1e-6, z3.unsat), (top - 1e-6, z3.sat)):
        solver = z3.Solver()
        solver.from_string(text + f"(assert (> y0 {bound:.12f}))")
        assert solver.check() == answer
