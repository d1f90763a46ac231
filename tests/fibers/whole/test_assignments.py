"""Every parameter of one hidden layer: points of each type in rationals, counts by brute force, dimensions by equations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import BudgetExceededError, InputError
from polyfiber.fibers.whole.assignments import NeuronType, ShallowFiber, shallow_fiber
from polyfiber.numerics import exact
from polyfiber.numerics.exact import as_fractions

ABS = pf.ReLUNetwork([[[1.0], [-1.0], [0.0]], [[1.0, 1.0, 0.0]]], [[0.0, 0.0, 0.0], [0.0]])


def networks(count: int) -> list[pf.ReLUNetwork]:
    rng = np.random.default_rng(1)
    found = [ABS]
    while len(found) < count:
        n, h, m = int(rng.integers(1, 4)), int(rng.integers(1, 5)), int(rng.integers(1, 3))
        W, C = rng.integers(-2, 3, (h, n)), rng.integers(-2, 3, (m, h))
        found.append(
            pf.ReLUNetwork([W.astype(float), C.astype(float)], [rng.integers(-2, 3, h).astype(float), np.zeros(m)])
        )
    return found


def test_points_of_every_type_are_the_same_function() -> None:
    seen = 0
    for net in networks(14):
        fiber = shallow_fiber(net)
        x = as_fractions(np.random.default_rng(0).integers(-40, 41, (20, net.architecture[0])) / 8)
        expected = net.exact()(x)
        types = list(fiber.types())
        assert len(types) == len(set(types))
        for kind in types:
            assert kind.n_neurons == fiber.width
            assert fiber.dimension_of(kind) >= 0
            assert (fiber.point(kind, rng=3)(x) == expected).all()
            seen += 1
    assert seen > 30


def test_the_type_of_the_network_is_listed() -> None:
    """|x| with a spare neuron: by hand, seven types and thirty assignments of labelled neurons."""
    fiber = shallow_fiber(ABS)
    assert {str(t) for t in fiber.types()} == {
        "hyperplane 0: 1+1, 1 constant",
        "hyperplane 0: 1+1, group 1+0",
        "hyperplane 0: 1+1, group 0+1",
        "hyperplane 0: 1+0, group 1+1",
        "hyperplane 0: 0+1, group 1+1",
        "hyperplane 0: 2+1",
        "hyperplane 0: 1+2",
    }
    assert (fiber.count(), fiber.count(labelled=True), fiber.dimension, fiber.complete) == (7, 30, 1, True)
    assert fiber.n_components() == (1, 1)
    two = shallow_fiber(pf.ReLUNetwork([[[1.0], [-1.0]], [[1.0, 1.0]]], [[0.0, 0.0], [0.0]]))
    assert (two.count(), two.dimension, two.n_components()) == (1, 0, (1, 1))


def test_labelled_counts_by_brute_force() -> None:
    """All places of labelled neurons: a hyperplane and a side, a set and a side, or constant."""
    for visible, groups, constants in (
        (((1, 1), (2, 0)), (), 1), (((1, 0),), ((2, 1),), 0), ((), ((1, 1), (1, 1)), 1), ((), ((2, 1), (2, 1)), 0),
    ):  # fmt: skip
        kind = NeuronType(visible, groups, constants)
        places = [(j, s) for j in range(len(visible)) for s in (0, 1)]
        places += [(len(visible) + g, s) for g in range(len(groups)) for s in (0, 1)] + [(-1, 0)] * bool(constants)
        found = set()
        for chosen in itertools.product(places, repeat=kind.n_neurons):
            sizes = [[sum(p == (j, s) for p in chosen) for s in (0, 1)] for j in range(len(visible) + len(groups))]
            if [tuple(v) for v in sizes[: len(visible)]] != list(visible):
                continue
            if sorted(tuple(sorted(v, reverse=True)) for v in sizes[len(visible) :]) != sorted(groups):
                continue
            sets = [
                frozenset(frozenset(i for i, p in enumerate(chosen) if p == (j, s)) for s in (0, 1))
                for j in range(len(visible), len(visible) + len(groups))
            ]
            found.add((tuple(p if 0 <= p[0] < len(visible) else None for p in chosen), frozenset(sets)))
        assert len(found) == kind.n_labelled


def by_equations(fiber: ShallowFiber, kind: NeuronType) -> int:
    """Unknowns minus the rank of the equations of Definition 22 at a random point of the piece."""
    net = fiber.point(kind, rng=5)
    m, n = fiber.representation.slope.shape
    C, W = net.weights[1], net.weights[0]
    H = fiber.width - kind.constants
    n_groups = len(kind.groups)
    size = H * m + n_groups * n
    rows = []
    at = 0
    slope = exact.as_fractions(np.zeros((m * n, size), dtype=int))
    for j, (a, b) in enumerate((*kind.visible, *kind.groups)):
        for o in range(m):
            row = exact.as_fractions(np.zeros(size, dtype=int))
            row[[i * m + o for i in range(at, at + a + b)]] = exact.as_fractions(np.ones(1, dtype=int))[0]
            rows.append(row)
        if a:
            u = W[at]
            for i in range(at, at + a):
                for o, k in itertools.product(range(m), range(n)):
                    slope[o * n + k, i * m + o] = u[k]
            g = j - len(kind.visible)
            if g >= 0:
                q = C[:, at : at + a].sum(axis=1)
                for o, k in itertools.product(range(m), range(n)):
                    slope[o * n + k, H * m + g * n + k] = q[o]
        at += a + b
    rank = exact.rank(np.concatenate([np.array(rows, dtype=object).reshape(len(rows), size), slope]))
    # offsets of groups are free, their normals have unit length
    return size - rank + n_groups - n_groups + kind.constants * m


def test_dimensions_against_the_equations() -> None:
    """At a smooth point both agree; a singular one has more directions."""
    equal = total = 0
    for net in networks(14):
        fiber = shallow_fiber(net)
        for kind in itertools.islice(fiber.types(), 12):
            found, other = fiber.dimension_of(kind), by_equations(fiber, kind)
            assert found <= other
            equal += found == other
            total += 1
    assert equal >= 0.8 * total


def test_components_separate() -> None:
    """x with two neurons is one component; a sign of a determinant makes two where nothing is spare."""
    flat = pf.ReLUNetwork([[[1.0, 0.0], [-1.0, 0.0]], [[1.0, -1.0]]], [[0.0, 0.0], [0.0]])
    assert shallow_fiber(flat).n_components() == (1, 1)
    low, high = shallow_fiber(pf.ReLUNetwork.random((2, 3, 1), rng=0)).n_components()
    assert low == high == 1
    for net in networks(10):
        low, high = shallow_fiber(net).n_components()
        assert 1 <= low <= high


def random_relative(net: pf.ReLUNetwork, rng: np.random.Generator) -> pf.ReLUNetwork:
    """Neurons that nothing reads move, become constant or copies, or supply a line together; order and scale change."""
    (W, C), (b, a) = ([v.copy() for v in part] for part in (net.weights, net.biases))
    n = len(W)
    for step in rng.integers(0, 5, 4):
        unread = [i for i in range(n) if not (C[:, i] != 0).any()]
        shift, c = (as_fractions(rng.integers(-6, 7, size)) / 3 for size in (1, C.shape[0]))
        j = int(rng.integers(n))
        if step == 0 and unread:
            W[unread[0]], b[unread[0]] = as_fractions(rng.integers(-6, 7, W.shape[1])) / 2, shift[0]
        if step == 1 and unread:
            W[unread[0]], b[unread[0]], C[:, unread[0]] = 0 * W[0], shift[0], c
            a = a - c * max(shift[0], 0 * shift[0])
        if step == 2 and unread and j != unread[0]:
            W[unread[0]], b[unread[0]], C[:, unread[0]], C[:, j] = 2 * W[j], 2 * b[j], c, C[:, j] - 2 * c
        if step == 3 and len(unread) > 1 and j not in unread[:2]:  # relu(z) = relu(-z) + z
            p, q = unread[:2]
            out, W[p], W[q], b[p], b[q] = C[:, j].copy(), W[j], -W[j], b[j] + shift[0], -b[j] - shift[0]
            C[:, p], C[:, q], W[j], b[j] = out, -out, -W[j], -b[j]
            a = a - out * shift[0]
        if step == 4:
            order, scale = rng.permutation(n), as_fractions(rng.integers(1, 4, n)) / 2
            W, b, C = W[order] * scale[:, None], b[order] * scale, C[:, order] / scale
    return pf.ReLUNetwork([W, C], [b, a])


def test_parameters_and_their_relatives_have_a_listed_type_and_a_dimension_between_two_bounds() -> None:
    rng = np.random.default_rng(3)
    relatives = moved = 0
    for net in networks(120):
        (W, C), (b, a) = ([v.copy() for v in part] for part in (net.exact().weights, net.exact().biases))
        C[:, rng.random(len(W)) < 0.3] *= 0
        own = pf.ReLUNetwork([W, C], [b, a])
        fiber = shallow_fiber(own)
        types = list(fiber.types())
        assert len(set(types)) == len(types)
        sizes = [fiber.dimension_of(kind) for kind in types]
        unread = sum(not (C[:, i] != 0).any() for i in range(len(W)))
        assert fiber.dimension == ShallowFiber(fiber.representation, fiber.width).dimension == max(sizes)
        assert fiber.dimension >= max(unread * W.shape[1], sum(not (w != 0).any() for w in W) * len(a))
        x = as_fractions(rng.integers(-40, 41, (12, W.shape[1]))) / 8
        for _ in range(3):
            other = random_relative(own, rng)
            assert (other(x) == own(x)).all()
            assert fiber.type_of(other) in types
            assert shallow_fiber(other).dimension == fiber.dimension
            relatives += 1
            moved += fiber.type_of(other) != fiber.own
        k = int(rng.integers(len(types)))
        point = fiber.point(types[k], rng=4)
        assert fiber.type_of(point) == types[k]
        assert sizes[k] <= pf.local_fiber(point).dimension
    assert relatives == 360
    assert moved > 60


def test_neurons_that_nothing_reads_move_freely() -> None:
    """Each of them in n dimensions modulo scaling; 16 for eight neurons of the zero function on the plane."""
    for n in (2, 5, 8):
        zero = shallow_fiber(pf.ReLUNetwork([[[0, 0]] * n, [[0] * n]], [[0] * n, [0]]))
        assert (zero.dimension, zero.n_components()) == (2 * n, (1, 1))
    net = pf.ReLUNetwork([[[1, 0, 0, 0, 0], [-1, 0, 0, 0, 0], [1, 2, 3, 4, 5]], [[1, 1, 0]]], [[0, 0, 7], [0]])
    assert shallow_fiber(net).dimension == 5


def test_wide_layers_have_a_dimension() -> None:
    net = pf.ReLUNetwork.random((3, 60, 1), rng=0)
    assert shallow_fiber(net).dimension == 0
    pruned = pf.ReLUNetwork([net.weights[0], net.weights[1] * (np.arange(60) % 3 > 0)], net.biases)
    assert shallow_fiber(pruned).dimension == 60
    W, C = net.weights[0].copy(), net.weights[1]
    W[1], b = -W[0], net.biases[0].copy()
    b[1] = -b[0]
    bent = shallow_fiber(pf.ReLUNetwork([W, C], [b, net.biases[1]]))
    with pytest.raises(BudgetExceededError, match="excluding larger pieces"):
        bent.largest_dimension(budget=pf.Budget(seconds=0.2))
    few = shallow_fiber(pf.ReLUNetwork([W[:20], C[:, :20]], [b[:20], net.biases[1]]))
    assert few.largest_dimension(budget=pf.Budget(seconds=60)) == 0  # its spare neuron is needed to bend both ways


def test_bad_input() -> None:
    with pytest.raises(InputError, match="ReLUNetwork"):
        shallow_fiber(None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="expected widths 1-3-1"):
        shallow_fiber(ABS).type_of(pf.ReLUNetwork.random((2, 3, 1), rng=0))
    with pytest.raises(InputError, match="another function"):
        shallow_fiber(ABS).type_of(pf.ReLUNetwork.random((1, 3, 1), rng=0))
    with pytest.raises(InputError, match="one hidden layer"):
        shallow_fiber(pf.ReLUNetwork.random((2, 2, 2, 1), rng=0))
    with pytest.raises(InputError, match="no parameter"):
        shallow_fiber(ABS).point(NeuronType(((3, 0),), (), 0))
    with pytest.raises(BudgetExceededError):
        list(shallow_fiber(ABS).types(budget=pf.Budget(seconds=0)))


def test_degenerate_layers_are_not_identifiable_where_the_whole_fiber_says_so() -> None:
    line = pf.ReLUNetwork([[[1], [-1]], [[1, -1]]], [[0, 0], [0]])
    W = [[1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [-1, -1]]
    for net in (line, line.exact(), pf.ReLUNetwork([W, [[1] * 6]], [[0] * 6, [0]])):
        report = pf.classify_fiber(net)
        assert report.identifiable is False
        assert "the whole fiber has" in report.reason
    assert (
        shallow_fiber(pf.ReLUNetwork([[[1], [-1]], [[1, 1]]], [[0, 0], [0]])).size_told() is None
    )  # |x| by two neurons
    assert pf.classify_fiber(pf.ReLUNetwork([[[1], [-1]], [[1, 1]]], [[0, 0], [0]])).identifiable is None
