"""Values of outputs at the vertices, carried from one to the next: exact rationals lie within the bounds."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.complexes.topology.gates import Gates
from polyfiber.complexes.topology.values import UNKNOWN


def gates_of(cx: pf.PolyhedralComplex, count: int, rng: np.random.Generator) -> Gates:
    """Some combinations of the outputs, with sevenths among their factors."""
    n_out = cx.network.architecture[-1]
    rows = np.array([[Fraction(int(k), 7) for k in rng.integers(-9, 10, n_out)] for _ in range(count)], dtype=object)
    return Gates(cx, rows, np.array([Fraction(int(k), 8) for k in rng.integers(-9, 10, count)], dtype=object))


def exact_values(gates: Gates, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the gates at vertices of the skeleton, or slopes along rays: from differences of values far out, in rationals; signs."""
    cx, found, signs = gates.complex, [], []
    exact = cx.network.exact()
    frame = cx._frame
    for v in rows.tolist():
        place, direction = gates.exact(v)
        points = [np.array(place, dtype=object)]
        if direction is not None:
            step, far = np.array(direction, dtype=object), Fraction(2) ** 200
            points = [points[0] + far * step, points[0] + 2 * far * step]
        full = np.full((len(points), cx.network.architecture[0]), Fraction(0), dtype=object)
        full[:, frame.columns] = points
        values = exact(frame.lifted(full)) @ gates._rows.T + gates._constants
        found.append(values[0] if direction is None else (values[1] - values[0]) / far)
        signs.append([(v > 0) - (v < 0) for v in values[-1]])
    return np.array(found), np.array(signs)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "shape", [(2, 5, 2), (3, 9, 2), (2, 6, 9, 3), (3, 5, 4, 1), (2, 4, 11, 3, 2), (2, 3, 3, 3, 3, 1), (1, 9, 9, 1)]
)
def test_the_bounds_hold(shape: tuple[int, ...], seed: int) -> None:
    rng = np.random.default_rng([seed, *shape])
    net = pf.ReLUNetwork.random(shape, rng=rng)
    domain = pf.Box([-1.0] * shape[0], [1.5] * shape[0]) if seed == 1 else None
    cx = pf.canonical_complex(net.exact() if seed == 2 else net, domain)
    if domain:
        moved(cx, 1e-3, rng)
    gates = gates_of(cx, 3, rng)
    value, bound = gates.at_vertices.bounded()
    some = rng.permutation(cx._skeleton.nv)[:60]
    far = cx._skeleton.state.at_inf[some] >= 0
    truth, right = exact_values(gates, some)
    scale = np.array([1 / max(abs(c) for c in gates.exact(int(v))[1] or [1]) for v in some], dtype=object)
    unit = np.where(far, scale, Fraction(1))[:, None]  # a direction in floats has any length: its largest entry is 1
    length = np.abs(cx._skeleton.state.x[some]).max(axis=1, initial=0.0)
    stretch = np.where(far, [Fraction(float(x)) for x in length], Fraction(1))[:, None]
    wrong = np.abs(truth * unit * stretch - np.vectorize(Fraction)(value[some])) > bound[some] * (1 + 1e-9)
    assert not wrong.any()
    signs = gates.at_vertices.signs()[some]
    sure = signs != UNKNOWN
    assert sure.mean() > 0.5
    assert (signs[sure] == right[sure]).all()
    assert (gates.signs[some] == right).all()


def test_many_vertices_in_one_group_and_in_several_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    cx = pf.canonical_complex(pf.ReLUNetwork.random((3, 8, 8, 4, 2), rng=5))
    gates = gates_of(cx, 2, np.random.default_rng(5))
    whole = gates.at_vertices.signs()
    monkeypatch.setattr("polyfiber.complexes.topology.values.PORTION", 100)
    parts = gates.at_vertices.signs()
    both = (whole != UNKNOWN) & (parts != UNKNOWN)
    assert both.mean() > 0.9
    assert (whole[both] == parts[both]).all()


@pytest.mark.parametrize("shape", [(2, 7, 9, 2), (3, 6, 5, 1), (1, 5, 4, 2)])
@pytest.mark.parametrize("boxed", [False, True])
def test_in_the_order_of_a_walk_too(shape: tuple[int, ...], boxed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    domain = pf.Box([-1.0] * shape[0], [1.5] * shape[0]) if boxed else None
    cx = pf.canonical_complex(pf.ReLUNetwork.random(shape, rng=5), domain)
    gates = gates_of(cx, 2, np.random.default_rng(5))
    grouped = gates.at_vertices.signs()
    monkeypatch.setattr("polyfiber.complexes.topology.values.WALKED", -1.0)
    order = np.concatenate(list(gates.at_vertices._orders()))
    assert sorted(order.tolist()) == list(range(cx._skeleton.nv))
    walked = gates.at_vertices.signs()
    both = (grouped != UNKNOWN) & (walked != UNKNOWN)
    assert both.mean() > 0.5
    assert (grouped[both] == walked[both]).all()
    value, bound = gates.at_vertices.bounded()
    some = np.flatnonzero(cx._skeleton.state.at_inf[: cx._skeleton.nv] < 0)[:30]
    truth, _ = exact_values(gates, some)
    assert not (np.abs(truth - np.vectorize(Fraction)(value[some])) > bound[some] * (1 + 1e-9)).any()


def moved(cx: pf.PolyhedralComplex, by: float, rng: np.random.Generator) -> None:
    """Coordinates as poor as their bounds say: within ``by`` of where they were."""
    st, nv = cx._skeleton.state, cx._skeleton.nv
    st.x[:nv] += rng.uniform(-by, by, (nv, cx.dimension))
    st.err[:nv] += by * (1 + 1e-9) + 1e-15


def test_a_neuron_that_is_off_counts_nothing_at_a_point_outside() -> None:
    """The error bounds leave out a neuron that is off on the whole box, and beside the box it is on."""
    rng, h = np.random.default_rng(0), 96
    corner = np.array([1.0, 1.0])
    first = np.concatenate([np.full((1, 2), 1e4), rng.normal(size=(h, 2))])
    net = pf.ReLUNetwork([first, np.ones((1, h + 1))], [np.append(-2e4 - 1e-2, rng.normal(size=h) * 0.3), np.zeros(1)])
    cx = pf.canonical_complex(net, pf.Box([0, 0], corner))
    assert cx._frame.settled.signs[0] == -1
    moved(cx, 1e-4, rng)
    gates = Gates(cx, np.array([[Fraction(1)]], dtype=object), np.array([Fraction(0)], dtype=object))
    value, bound = gates.at_vertices.bounded()
    near = np.abs(cx._skeleton.state.x[: cx._skeleton.nv] - corner).max(axis=1).argsort()[:5]
    truth = exact_values(gates, near)[0]
    assert bound[near].max() < 0.1
    assert (np.abs(truth - np.vectorize(Fraction)(value[near])) <= bound[near]).all()
