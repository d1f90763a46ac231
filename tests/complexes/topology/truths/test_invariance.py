"""What a set's numbers do under exact symmetries of networks and exact changes of coordinates; and the topology that is known."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import polyfiber as pf

SUPPORTS = ("bounded", "compactified", "borel-moore")
SHAPES = [(1, 3, 2), (2, 3, 1), (2, 3, 2), (2, 3, 2, 1), (3, 3, 1), (2, 2, 3)]


def rational(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    numbers = [
        Fraction(int(a), int(b))
        for a, b in zip(rng.integers(-6, 7, int(np.prod(shape))), rng.integers(1, 4, int(np.prod(shape))))
    ]
    return np.array(numbers, dtype=object).reshape(shape)


def network(seed: int) -> pf.ReLUNetwork:
    rng = np.random.default_rng(seed)
    widths = SHAPES[seed % len(SHAPES)]
    W = [rational(rng, (b, a)) for a, b in zip(widths, widths[1:])]
    b = [rational(rng, (n,)) * int(seed % 4 != 0) for n in widths[1:]]
    return pf.ReLUNetwork(W, b)


def facts(found: Any) -> dict[str, Any]:
    pointed = not found.lineality_dimension or found.dimension < 0
    supports = SUPPORTS if pointed else SUPPORTS[1:]
    return {
        "f": found.f_vector,
        "betti": [found.betti_numbers(s, field) for s in supports for field in (2, 0)],
        "euler": [found.euler_characteristic(s) for s in supports],
        "components": found.connected_components()[0],
        "compact": found.is_compact,
        "unbounded": [int(found.is_unbounded(k).sum()) for k in range(found.dimension + 1)],
    }


def sets(net: pf.ReLUNetwork, box: Any, value: Fraction) -> list[Any]:
    cx = pf.canonical_complex(net, box)
    return [
        cx.level_set(value),
        cx.sublevel_set(value),
        cx.decision_boundary(),
        cx.class_region(0),
        cx.breakpoint_complex().as_set(),
    ]


def polyhedron(n: int) -> tuple[Any, Any]:
    """A box with one corner cut off, as rational inequalities."""
    eye = np.array([[Fraction(int(i == j)) for j in range(n)] for i in range(n)], dtype=object)
    A = np.concatenate([eye, -eye, np.full((1, n), Fraction(1), dtype=object)])
    b = np.array([Fraction(2)] * n + [Fraction(3, 2)] * n + [Fraction(3)], dtype=object)
    return A, b


def changed(net: pf.ReLUNetwork, how: str, rng: np.random.Generator) -> tuple[pf.ReLUNetwork, Any, Any]:
    """The network written otherwise, and ``x = M y + t`` of its new inputs."""
    W, b = [w.copy() for w in net.weights], [x.copy() for x in net.biases]
    n = net.architecture[0]
    M = np.array([[Fraction(int(i == j)) for j in range(n)] for i in range(n)], dtype=object)
    t = np.array([Fraction(0)] * n, dtype=object)
    if how == "permutation":
        for k in range(len(W) - 1):
            p = rng.permutation(len(b[k]))
            W[k], b[k], W[k + 1] = W[k][p], b[k][p], W[k + 1][:, p]
    elif how == "scaling":
        for k in range(len(W) - 1):
            s = np.array([Fraction(int(v), 3) for v in rng.integers(1, 9, len(b[k]))], dtype=object)
            W[k], b[k], W[k + 1] = W[k] * s[:, None], b[k] * s, W[k + 1] / s[None]
    elif how == "flip":  # relu(z) = z + relu(-z), with z written as relu(z0) - relu(-z0) of a neuron of the same wall
        k = len(W) - 2
        z, c, out = W[k][:1], b[k][:1], W[k + 1][:, :1]
        W[k], b[k] = np.concatenate([-z, z, -z, W[k][1:]]), np.concatenate([-c, c, -c, b[k][1:]])
        W[k + 1] = np.concatenate([out, out, -out, W[k + 1][:, 1:]], axis=1)
    elif how == "translation":
        t = np.array([Fraction(int(v), 2) for v in rng.integers(-4, 5, n)], dtype=object)
        b[0] = b[0] + W[0] @ t
    else:  # an affine change of coordinates
        while True:
            M = rational(rng, (n, n))
            if abs(float(np.linalg.det(M.astype(float)))) > 0.2:
                break
        t = np.array([Fraction(int(v), 2) for v in rng.integers(-4, 5, n)], dtype=object)
        b[0] = b[0] + W[0] @ t
        W[0] = W[0] @ M
    return pf.ReLUNetwork(W, b), M, t


@pytest.mark.parametrize("how", ["permutation", "scaling", "flip", "translation", "affine"])
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 10_000), value=st.sampled_from([Fraction(0), Fraction(1, 3), Fraction(-1)]), boxed=st.booleans()
)
def test_exact_symmetries_change_no_number(how: str, seed: int, value: Fraction, boxed: bool) -> None:
    net = network(seed)
    other, M, t = changed(net, how, np.random.default_rng(seed + 1))
    A, b = polyhedron(net.architecture[0])
    here = pf.Polyhedron(A, b) if boxed else None
    there = pf.Polyhedron(A @ M, b - A @ t) if boxed else None
    factor = abs(float(np.linalg.det(M.astype(float))))
    for one, two in zip(sets(net, here, value), sets(other, there, value)):
        assert facts(one) == facts(two), (how, one, two)
        full = one.dimension == net.architecture[0]
        if one.dimension >= 0 and boxed and (full or how in ("permutation", "scaling", "flip", "translation")):
            scale = factor if full else 1.0
            assert float(one.sizes().sum()) == pytest.approx(float(two.sizes().sum()) * scale, rel=1e-9, abs=1e-12)
        if one.dimension >= 0 and not one.lineality_dimension:
            points = {one.exact_vertex(i) for i in range(one.f_vector[0])}
            moved = {tuple(M @ np.array(two.exact_vertex(i), dtype=object) + t) for i in range(two.f_vector[0])}
            assert points == moved


# ---- known topology ---------------------------------------------------------------------------------
def absolute(n: int) -> tuple[list[Any], list[Any]]:
    eye = np.eye(n)
    return [np.vstack([eye, -eye]), np.ones((1, 2 * n))], [np.zeros(2 * n), np.zeros(1)]


def nested() -> pf.ReLUNetwork:
    """``||x| + |y| - 2|``: two nested diamonds at level 1/2."""
    W, b = absolute(2)
    one = np.array([[1.0] * 4, [-1.0] * 4])
    return pf.ReLUNetwork([W[0], one, np.array([[1.0, 1.0]])], [b[0], np.array([-2.0, 2.0]), np.zeros(1)])


def torus_like() -> pf.ReLUNetwork:
    """``||x| + |y| - 2| + |z|``: its level set 1/2 is a torus."""
    first = np.zeros((6, 3))
    first[[0, 1], 0] = first[[2, 3], 1] = first[[4, 5], 2] = 1.0, -1.0
    second = np.array([[1.0, 1, 1, 1, 0, 0], [-1.0, -1, -1, -1, 0, 0], [0, 0, 0, 0, 1, 1]])
    return pf.ReLUNetwork([first, second, np.ones((1, 3))], [np.zeros(6), np.array([-2.0, 2.0, 0]), np.zeros(1)])


@pytest.mark.parametrize("domain", ["space", "box"])
@pytest.mark.parametrize(
    ("name", "level", "betti"),
    [
        ("circle", 1, (1, 1)), ("sphere", 1, (1, 0, 1)), ("nested", Fraction(1, 2), (2, 2)), ("torus", Fraction(1, 2), (1, 2, 1)),
        ("circle", 0, (1,)), ("nested", 0, (1, 1)), ("nested", 2, (2, 1)), ("torus", 0, (1, 1)),
    ],
)  # fmt: skip
def test_compact_shapes_have_their_homology_in_all_supports(
    domain: str, name: str, level: Any, betti: tuple[int, ...]
) -> None:
    net = {
        "circle": pf.ReLUNetwork(*absolute(2)), "sphere": pf.ReLUNetwork(*absolute(3)), "nested": nested(), "torus": torus_like(),
    }[name]  # fmt: skip
    n = net.architecture[0]
    found = pf.canonical_complex(net, pf.Box([-5.0] * n, [5.0] * n) if domain == "box" else None).level_set(level)
    assert found.is_compact
    for support in SUPPORTS:
        for field in (2, 0):
            assert found.betti_numbers(support, field) == betti  # type: ignore[arg-type]
        assert found.euler_characteristic(support) == sum((-1) ** k * v for k, v in enumerate(betti))  # type: ignore[arg-type]
    assert found.connected_components()[0] == betti[0]
    assert found.validate() == ()


@pytest.mark.parametrize("name", ["circle", "sphere", "nested", "torus"])
def test_alexander_duality_in_a_box(name: str) -> None:
    """Reduced ``b_k`` of the outside of an open neighbourhood is ``b_{n-1-k}`` of the set, but for the sphere at the rim."""
    net, level = {
        "circle": (pf.ReLUNetwork(*absolute(2)), 1), "sphere": (pf.ReLUNetwork(*absolute(3)), 1),
        "nested": (nested(), Fraction(1, 2)), "torus": (torus_like(), Fraction(1, 2)),
    }[name]  # fmt: skip
    n = net.architecture[0]
    cx = pf.canonical_complex(net, pf.Box([-5.0] * n, [5.0] * n))
    surface, sides = cx.level_set(level), (cx.sublevel_set(level), cx.superlevel_set(level))
    own = [*surface.betti_numbers(), *[0] * n]
    around = [sum(([*s.betti_numbers(), *[0] * n])[k] for s in sides) for k in range(n)]
    # the complement in the sphere: the two open sides, the outer one with the rest of the sphere glued on along the rim
    around[n - 1] -= 1
    reduced = [around[k] - (k == 0) for k in range(n)]
    assert reduced == [own[n - 1 - k] - (n - 1 - k == 0) for k in range(n)]


def test_constants() -> None:
    cx = pf.canonical_complex(pf.ReLUNetwork([[[1, 0], [0, 1]], [[0, 0]]], [[0, 0], [3]]))
    assert cx.level_set(3).f_vector == cx.f_vector == (1, 4, 4)
    assert cx.level_set(3).betti_numbers("borel-moore") == (0, 0, 1)  # the plane
    assert cx.level_set(3).betti_numbers("compactified") == (1, 0, 1)
    assert cx.level_set(2).f_vector == ()
    assert cx.sublevel_set(2).betti_numbers() == (0,)
