"""Critical points and persistence against known functions, the Euler characteristic, and sublevel sets."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf


def pyramid(n: int) -> pf.ReLUNetwork:
    W = np.vstack([np.eye(n), -np.eye(n)])
    return pf.ReLUNetwork([W, np.ones((1, 2 * n))], [np.zeros(2 * n), np.zeros(1)])


@pytest.mark.parametrize("n", [1, 2, 3])
def test_minima_saddles_and_maxima(n: int) -> None:
    box = pf.Box([-1.0] * n, [1.0] * n)
    assert pf.canonical_complex(pyramid(n), box).critical_points().counts == (1,)
    W, b = pyramid(n).weights, pyramid(n).biases
    top = pf.ReLUNetwork([W[0], -W[1]], b)
    assert pf.canonical_complex(top, box).critical_points().counts == (0,) * n + (1,)
    signs = np.array(
        [[1.0 if i % n else -1.0 for i in range(2 * n)]]
    )  # falls along the first axis, rises along the others
    saddle = pf.ReLUNetwork([W[0], signs], b)
    assert pf.canonical_complex(saddle, box).critical_points().counts == (0, 1)


@pytest.mark.parametrize("seed", range(12))
def test_persistence_gives_the_betti_numbers_of_every_sublevel_set(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 1 + seed % 3
    net = pf.ReLUNetwork.random((n, 6, 4, 1), rng=seed)
    if seed % 4 == 1:
        net = pf.ReLUNetwork([np.round(2 * w) / 2 for w in net.weights], [np.round(2 * b) / 2 for b in net.biases])
    cx = pf.canonical_complex(net, pf.Box([-2.0] * n, [2.0] * n))
    diagram = cx.persistence()
    values = net(cx.vertices)[:, 0]
    for value in rng.uniform(values.min(), values.max(), 6):
        found = cx.sublevel_set(float(value))
        betti = found.betti_numbers() + (0,) * n
        assert (diagram.betti(float(value)) + (0,) * n)[: n + 1] == betti[: n + 1]
    assert diagram.betti(float(values.max()) + 1)[0] == 1


@pytest.mark.parametrize("seed", range(8))
def test_critical_points_change_the_euler_characteristic(seed: int) -> None:
    """Passing one inner vertex changes the Euler characteristic of the sublevel set by (-1)^index, or not at all."""
    n = 2 + seed % 2
    net = pf.ReLUNetwork.random((n, 5, 4, 1), rng=seed)
    if seed % 2:
        net = pf.ReLUNetwork([np.round(4 * w) / 4 for w in net.weights], [np.round(4 * b) / 4 for b in net.biases])
    cx = pf.canonical_complex(net, pf.Box([-2.0] * n, [2.0] * n))
    found = cx.critical_points()
    values = net(cx.vertices)[:, 0]
    order = np.sort(values)
    signs = cx.signs(0)[:, net.n_hidden :]
    checked = 0
    for v in np.flatnonzero((signs != 0).all(axis=1)):
        gap = np.abs(values - values[v])
        gap[v] = np.inf
        if gap.min() < 1e-6 or v in found.degenerate:
            continue
        eps = gap.min() / 3
        change = (
            cx.sublevel_set(values[v] + eps).euler_characteristic()
            - cx.sublevel_set(values[v] - eps).euler_characteristic()
        )
        mine = found.vertices == v
        assert change == int((found.multiplicity[mine] * (-1) ** found.index[mine]).sum())
        checked += 1
    assert checked or len(order) == 0 or len(found.degenerate)


def test_simple_and_general_rules_agree() -> None:
    from polyfiber.complexes.topology import critical

    net = pf.ReLUNetwork.random((2, 8, 5, 1), rng=2)
    cx = pf.canonical_complex(net, pf.Box([-3, -3], [3, 3]))
    gates = critical._gates(cx, 0)
    values = critical._Values(gates)
    ends, finite = cx._edges, cx._finite_index
    up = values.slope_signs(ends[:, 0], ends[:, 1])
    wanted = critical._inside(cx)
    args = (cx, gates, up, finite[ends[:, 0]], finite[ends[:, 1]], wanted)
    a, b = critical._simple(*args), critical._by_links(*args)
    for x, y in zip(a, b):
        assert x.tolist() == y.tolist()


def test_unbounded_domains_are_refused() -> None:
    with pytest.raises(pf.errors.InputError, match="bounded domain"):
        pf.canonical_complex(pyramid(2)).persistence()


@pytest.mark.parametrize("size", [1.0, 2.0**511, 2.0**600])
def test_persistence_of_values_beyond_floats(size: float) -> None:
    """Values 0, 5, 3, 1, 3 at 0, …, 4, times size^2: pieces of sublevel sets are counted by hand."""
    W = [[[size]] * 4, [[5 * size, -7 * size, 0, 4 * size]]]
    net = pf.ReLUNetwork(W, [[0, -size, -2 * size, -3 * size], [0]])
    cx = pf.canonical_complex(net, pf.Box([0], [4]))
    heights, square = net.exact()(np.array([[Fraction(i)] for i in range(5)])), int(size) ** 2
    assert [h / square for h in heights[:, 0]] == [0, 5, 3, 1, 3]
    diagram = cx.persistence()
    for half, pieces in ((-1, 0), (0, 1), (1, 1), (2, 2), (7, 2), (9, 2), (10, 1), (11, 1)):
        assert diagram.betti(Fraction(half * square, 2))[0] == pieces
    assert not np.isnan(diagram.birth).any()
    assert not np.isnan(cx.critical_points().values).any()
