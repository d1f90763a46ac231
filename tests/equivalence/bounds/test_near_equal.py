"""Near-equal networks: verdicts against exact maxima, hostile questions, and what a budget leaves."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor, Executor, ThreadPoolExecutor
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.bounds.goals import near as near_groups
from polyfiber.bounds.pairing import Side, paired
from polyfiber.bounds.tree import Tree
from polyfiber.budget import Monitor
from polyfiber.equivalence import decide
from polyfiber.equivalence.bounds.near_equal import Question, largest_difference, near_equal
from polyfiber.equivalence.checks.leaves import prove_leaves
from polyfiber.equivalence.checks.near import prove_in_parts
from polyfiber.equivalence.checks.substitution import Pair
from polyfiber.errors import FileFormatError, InputError, ShapeError
from polyfiber.verdict import Verdict

from ...oracles.rationals import outputs

pytestmark = pytest.mark.usefixtures("forked")


def copy_of(net: pf.ReLUNetwork, rng: Any, kind: int) -> pf.ReLUNetwork:
    """Noise, pruning, rounding, another network."""
    W, b = [w.copy() for w in net.weights], [c.copy() for c in net.biases]
    if kind == 0:
        W = [w + 1e-2 * rng.standard_normal(w.shape) for w in W]
    elif kind == 1:
        W = [w * (np.abs(w) > 0.3) for w in W]
    elif kind == 2:
        W, b = [np.round(w * 16) / 16 for w in W], [np.round(c * 16) / 16 for c in b]
    else:
        return pf.ReLUNetwork.random((*net.architecture[:1], 4, *net.architecture[-1:]), rng=rng)
    return pf.ReLUNetwork(W, b)


@pytest.mark.parametrize("seed", range(16))
def test_verdicts_around_the_exact_maximum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a = pf.ReLUNetwork.random((2, 6, 5, 2), rng=rng)
    b = copy_of(a, rng, seed % 4)
    box = pf.Box(-1, 1, dimension=2)
    exact = pf.difference(a, b, box, method="regions")
    assert exact.complete
    for factor, verdict in ((1 + 1e-6, Verdict.YES), (1 - 1e-6, Verdict.NO)):
        answer = pf.are_equivalent(a, b, box, epsilon=exact.maximum * factor)
        assert answer.verdict is verdict
        assert answer.near is not None
        if verdict is Verdict.NO:
            assert answer.witness is not None
            gap = max(abs(p - q) for p, q in zip(outputs(a, answer.witness), outputs(b, answer.witness)))
            assert gap > Fraction(exact.maximum * factor)
        else:
            assert answer.bound is not None
            assert exact.maximum * (1 - 1e-12) <= answer.bound <= exact.maximum * (1 + 1e-6)
    found = pf.difference(a, b, box, method="bound")
    assert found.complete
    assert found.maximum <= exact.upper
    assert found.upper >= exact.maximum * (1 - 1e-12)


def test_polyhedra_and_flat_boxes() -> None:
    rng = np.random.default_rng(0)
    a = pf.ReLUNetwork.random((2, 6, 5, 1), rng=rng)
    b = copy_of(a, rng, 0)
    triangle = pf.Polyhedron([[-1, 0], [0, -1], [1, 1]], [0, 0, 1])
    exact = pf.difference(a, b, triangle, method="regions").maximum
    found = largest_difference(a, b, triangle, monitor=Monitor(pf.Budget(seconds=20)))
    assert found.attained <= exact * (1 + 1e-9)
    assert exact * (1 - 1e-9) <= found.upper <= exact * (1 + 1e-3)
    assert near_equal(a, b, triangle, epsilon=1.001 * exact).verdict is Verdict.YES
    assert near_equal(a, b, triangle, epsilon=0.99 * exact).verdict is Verdict.NO
    # a box without extent in one coordinate: the segment
    question = Question.of(a, b, pf.Box(-1, 1, dimension=2), 0.0)
    flat = Question(a, b, question.domain, question.epsilon, question.relative, question.groups, question.sides,
                    (np.array([-1.0, 0.25]), np.array([1.0, 0.25])), None)  # fmt: skip
    t = np.linspace(-1, 1, 4001)
    X = np.stack([t, np.full_like(t, 0.25)], axis=1)
    seen = float(np.abs(a(X) - b(X)).max())
    outcome = flat.search(follow=True).run(Monitor())
    assert outcome.status == "proved"
    assert seen <= outcome.excess <= seen * 1.01
    point = Question(a, b, question.domain, question.epsilon, question.relative, question.groups, question.sides,
                     (X[0], X[0]), None)  # fmt: skip
    outcome = point.search(follow=True).run(Monitor())
    assert outcome.excess == pytest.approx(abs(a(X[0]) - b(X[0])).max(), rel=1e-9)


def test_epsilon_for_each_output_and_relative() -> None:
    rng = np.random.default_rng(3)
    a = pf.ReLUNetwork.random((2, 6, 2), rng=rng)
    b = copy_of(a, rng, 0)
    box = pf.Box(-1, 1, dimension=2)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 201)] * 2), axis=-1).reshape(-1, 2)
    gaps = np.abs(a(grid) - b(grid)).max(axis=0)
    assert near_equal(a, b, box, epsilon=1.05 * gaps).verdict is Verdict.YES
    for o in range(2):
        less = 1.05 * gaps
        less[o] *= 0.5
        answer = near_equal(a, b, box, epsilon=less)
        assert answer.verdict is Verdict.NO
        assert answer.excess is not None
        assert answer.excess > 0
    # |f - g| <= e + r |f|, with e what is missing at the worst point of the grid
    missing = float((np.abs(a(grid) - b(grid)) - 0.01 * np.abs(a(grid))).max())
    assert near_equal(a, b, box, epsilon=1.05 * missing, relative=0.01).verdict is Verdict.YES
    assert near_equal(a, b, box, epsilon=0.9 * missing, relative=0.01).verdict is Verdict.NO


def test_networks_of_other_shapes_are_brought_to_one() -> None:
    rng = np.random.default_rng(4)
    shapes = [(2, 3), (2, 4, 3), (2, 4, 5, 3), (2, 2, 2, 2, 3)]
    nets = [pf.ReLUNetwork.random(s, rng=rng) for s in shapes]
    X = rng.standard_normal((20, 2))
    for f in nets:
        for g in nets:
            for net, side in zip((f, g), paired(f, g)):
                same = pf.ReLUNetwork(side.weights, side.biases)
                assert np.allclose(same(X), net(X), rtol=1e-12, atol=1e-12)
            x, y = paired(f, g)
            assert x.widths == y.widths


def test_permuted_and_rescaled_copies_are_put_side_by_side() -> None:
    rng = np.random.default_rng(5)
    a = pf.ReLUNetwork.random((4, 12, 12, 2), rng=rng)
    order, factors = rng.permutation(12), 2.0 ** rng.integers(-3, 4, 12)
    W = [a.weights[0][order] * factors[:, None], a.weights[1][:, order] / factors, a.weights[2]]
    b = pf.ReLUNetwork(W, [a.biases[0][order] * factors, *a.biases[1:]])
    x, y = paired(a, b)
    assert max(float(np.abs(V - U).max()) for V, U in zip(x.weights, y.weights)) < 1e-12
    assert near_equal(a, b, pf.Box(-1, 1, dimension=4), epsilon=1e-9).verdict is Verdict.YES


def test_rounding_of_the_reader_is_charged() -> None:
    a = pf.ReLUNetwork([[[1.0]]], [[0.0]])
    record = {"layer": 1, "weight_bounds": np.array([[0.25]]), "bias_bounds": np.array([0.0])}
    b = pf.ReLUNetwork([[[1.0]]], [[0.0]], source={"folding": (record,)})
    box = pf.Box([0.0], [1.0])
    assert Side.of(b).weight_errors[0][0, 0] == 0.25
    assert near_equal(a, b, box, epsilon=0.26).verdict is Verdict.YES
    c = pf.ReLUNetwork([[[1.2]]], [[0.0]], source={"folding": (record,)})
    # the networks as read differ by 0.2, but what the file says may be equal
    assert near_equal(a, c, box, epsilon=0.1, budget=pf.Budget(seconds=0.2)).verdict is Verdict.UNDECIDED
    d = pf.ReLUNetwork([[[1.5]]], [[0.0]], source={"folding": (record,)})
    assert near_equal(a, d, box, epsilon=0.1).verdict is Verdict.NO


@pytest.mark.parametrize("epsilon", [float("nan"), -1.0, float("inf"), "much", [1.0, -1.0]])
def test_epsilons_that_are_none(epsilon: Any) -> None:
    a, b = (pf.ReLUNetwork.random((2, 3, 2), rng=k) for k in range(2))
    with pytest.raises(InputError, match="epsilon"):
        pf.are_equivalent(a, b, pf.Box(-1, 1, dimension=2), epsilon=epsilon)


def test_hostile_questions_have_one_clear_answer() -> None:
    a, b = (pf.ReLUNetwork.random((2, 3, 2), rng=k) for k in range(2))
    box = pf.Box(-1, 1, dimension=2)
    with pytest.raises(ShapeError):
        pf.are_equivalent(a, b, box, epsilon=[1.0, 1.0, 1.0])
    with pytest.raises(InputError, match="domain"):
        pf.are_equivalent(a, b, epsilon=1.0)
    with pytest.raises(InputError, match=r"unbounded|empty"):
        near_equal(a, b, pf.Polyhedron([[1.0, 0.0]], [0.0]), epsilon=1.0)
    with pytest.raises(ShapeError):
        near_equal(a, b, pf.Box(-1, 1, dimension=3), epsilon=1.0)
    assert pf.are_equivalent(a, b, box, epsilon=0.0).verdict is Verdict.NO
    # values beyond floats prove nothing
    huge = pf.ReLUNetwork([[[1e200, 0.0]], [[1e200]]], [[0.0], [0.0]])
    other = pf.ReLUNetwork([[[1e200, 0.0]], [[1.1e200]]], [[0.0], [0.0]])
    answer = near_equal(huge, other, box, epsilon=1.0, budget=pf.Budget(seconds=0.5))
    assert answer.verdict is Verdict.NO  # the exact gap is 1e399
    assert answer.gap is not None
    assert answer.gap > 10**398


def test_a_budget_and_an_interruption_leave_what_was_found() -> None:
    rng = np.random.default_rng(6)
    a = pf.ReLUNetwork.random((8, 24, 24, 2), rng=rng)
    b = copy_of(a, rng, 0)
    box = pf.Box(-1, 1, dimension=8)
    X = rng.uniform(-1, 1, (10000, 8))
    seen = float(np.abs(a(X) - b(X)).max())

    def stop(event: Any) -> None:
        assert {"share", "bound", "rate"} <= set(event.facts)
        raise KeyboardInterrupt

    for answer in (
        near_equal(a, b, box, epsilon=3 * seen, budget=pf.Budget(seconds=0.2)),
        near_equal(a, b, box, epsilon=3 * seen, progress=stop),
    ):
        assert answer.verdict in (Verdict.UNDECIDED, Verdict.YES)
        if answer.verdict is Verdict.UNDECIDED:
            assert answer.n_open > 0
            assert 0 <= answer.proved < 1
            assert answer.gap is not None
            assert seen <= answer.bound
            assert answer.reason


def test_little_memory_goes_deep_first() -> None:
    rng = np.random.default_rng(7)
    a = pf.ReLUNetwork.random((3, 16, 16, 2), rng=rng)
    b = copy_of(a, rng, 0)
    box = pf.Box(-1, 1, dimension=3)
    best = largest_difference(a, b, box, monitor=Monitor(pf.Budget(seconds=20)))
    answer = near_equal(a, b, box, epsilon=best.upper * (1 + 1e-5), budget=pf.Budget(seconds=60, memory=400_000))
    assert answer.verdict is Verdict.YES


def test_trees_are_packed_and_unpacked() -> None:
    rng = np.random.default_rng(8)
    a = pf.ReLUNetwork.random((3, 8, 8, 1), rng=rng)
    tree = near_equal(a, copy_of(a, rng, 0), pf.Box(-1, 1, dimension=3), epsilon=0.3).tree
    again = Tree.unpacked(tree.lo, tree.hi, tree.packed())
    one, two = list(tree.leaves()), list(again.leaves())
    assert len(one) == len(two) == tree.n_leaves
    assert all((x[0] == y[0]).all() and (x[1] == y[1]).all() and x[2] == y[2] for x, y in zip(one, two))
    assert sum(float(np.prod(hi - lo)) for lo, hi, _ in one) == pytest.approx(8.0)
    for codes in ([0, -2], [0, -2, -2, -2], [5, -2, -2], [], [0, 0, 0, 0]):
        with pytest.raises(FileFormatError):
            Tree.unpacked(tree.lo, tree.hi, np.array(codes))


def test_boxes_are_proved_again_by_other_code() -> None:
    rng = np.random.default_rng(9)
    a = pf.ReLUNetwork.random((3, 8, 8, 2), rng=rng)
    b = copy_of(a, rng, 0)
    box = pf.Box(-1, 1, dimension=3)
    best = largest_difference(a, b, box, monitor=Monitor(pf.Budget(seconds=20)))
    answer = pf.are_equivalent(a, b, box, epsilon=1.05 * best.upper)
    assert answer.verdict is Verdict.YES
    assert answer.verify()
    near = answer.near
    assert near is not None
    # the same boxes prove nothing less: the search may not be believed below the maximum
    question = Question.of(a, b, box, 0.98 * best.attained)
    found = prove_leaves(question.sides, question.groups, near.tree, None, monitor=Monitor(pf.Budget(seconds=2)))
    assert not found.complete
    open_tree = Tree(near.tree.lo, near.tree.hi, np.where(near.tree.split < 0, -1, near.tree.split), near.tree.child)
    question = Question.of(a, b, box, 1.05 * best.upper)
    assert prove_leaves(question.sides, question.groups, open_tree, None, monitor=Monitor()).failed
    outside = Tree(near.tree.lo, near.tree.hi, np.where(near.tree.split < 0, -3, near.tree.split), near.tree.child)
    assert prove_leaves(question.sides, question.groups, outside, None, monitor=Monitor()).failed
    parts = [
        prove_leaves(question.sides, question.groups, near.tree, None, monitor=Monitor(), part=(i, 2)) for i in (0, 1)
    ]
    assert all(part.complete for part in parts)
    assert sum(part.boxes for part in parts) == near.tree.n_leaves
    assert pf.are_equivalent(a, b, box, epsilon=0.5 * best.attained).verify()


def test_boxes_are_proved_again_in_parts() -> None:
    rng = np.random.default_rng(9)
    a = pf.ReLUNetwork.random((3, 8, 8, 2), rng=rng)
    b = copy_of(a, rng, 0)
    box = pf.Box(-1, 1, dimension=3)
    best = largest_difference(a, b, box, monitor=Monitor(pf.Budget(seconds=20)))
    answer = pf.are_equivalent(a, b, box, epsilon=1.05 * best.upper)
    assert answer.near is not None
    n = answer.near.tree.n_leaves
    assert n > 16
    alone, two = answer.recheck(), answer.recheck(workers=2)
    assert alone.verdict is two.verdict is Verdict.YES
    assert f"{n} boxes" in two.reason
    with ThreadPoolExecutor(2) as threads:
        assert answer.verify(scheduler=threads)
    question = Question.of(a, b, box, 0.98 * best.attained)
    below = prove_in_parts(question, answer.near, Monitor(pf.Budget(seconds=3)), workers=2)
    assert not below.complete

    class Lost(Executor):
        def map(self, *_: Any, **__: Any) -> Any:
            raise BrokenExecutor("a worker died")

    found = answer.recheck(scheduler=Lost())
    assert found.verdict is Verdict.UNDECIDED
    assert "lost" in found.reason
    with pytest.raises(InputError, match="workers"):
        answer.recheck(workers=0)


@pytest.mark.parametrize("seed", range(8))
def test_the_second_look_is_above_exact_values(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a = pf.ReLUNetwork.random((2, 5, 4, 3, 2), rng=rng)
    b = copy_of(a, rng, seed % 4)
    x, y = paired(a, b)
    checker = Pair((x, y), near_groups(np.zeros(2), np.zeros(2)))
    lo = rng.standard_normal(2)
    hi = lo + (0.0 if seed == 0 else 10.0 ** rng.uniform(-6, 0.5))
    tops, _, ranges = checker.look(lo, hi, [])
    tops2, _, _ = checker.look(lo, hi, ranges)
    for _ in range(60):
        p = np.clip(lo + (hi - lo) * rng.random(2), lo, hi)
        u, v = outputs(a, p), outputs(b, p)
        for k, (o, sign) in enumerate((o, sign) for o in range(2) for sign in (1, -1)):
            assert sign * (u[o] - v[o]) <= min(Fraction(float(tops[k])), Fraction(float(tops2[k])))


def test_a_box_that_takes_longer_than_the_budget_is_not_begun() -> None:
    rng = np.random.default_rng(10)
    a = pf.ReLUNetwork.random((200, 700, 700, 2), rng=rng)
    b = pf.ReLUNetwork([W * (1 + 1e-9) for W in a.weights], a.biases)
    box = pf.Box(-0.01, 0.01, dimension=200)
    answer = near_equal(a, b, box, epsilon=1e-3, budget=pf.Budget(seconds=0.5))
    assert answer.verdict is Verdict.UNDECIDED
    assert "one box" in answer.reason
    assert answer.n_boxes == 0


def test_a_difference_of_zero_is_proved_at_once() -> None:
    """Absolute values as chains have dead ways: 1e-300 of underflow was charged, and boxes were halved until time was up."""
    a = pf.PiecewiseLinearNetwork(
        1, [pf.GateBlock({0: [[1.0], [1.0]]}, [0.5, 0.25], slopes=(0.125, 1))], pf.AffineMap({1: [[1.0, -3.0]]}, [0.25])
    )
    found = pf.difference(a, a, pf.Box(-1, 1, dimension=1), method="bound", budget=pf.Budget(seconds=20))
    assert found.maximum == 0.0
    assert found.complete
    assert found.upper < 1e-290
    assert found.stats["boxes"] < 10


def large(rng: Any) -> tuple[pf.ReLUNetwork, pf.ReLUNetwork, pf.Box]:
    a = pf.ReLUNetwork.random((5, 50, 50, 50, 50, 5), rng=rng)
    return a, copy_of(a, rng, 0), pf.Box(-1, 1, dimension=5)


@pytest.mark.parametrize("seconds", [0.01, 0.3, 1.0])
def test_short_budgets_leave_what_boxes_showed(seconds: float) -> None:
    a, b, box = large(np.random.default_rng(0))
    found = pf.are_equivalent(a, b, box, epsilon=1e-3 + 1e3 * (seconds > 0.5), budget=pf.Budget(seconds=seconds))
    if found.verdict is Verdict.UNDECIDED:
        assert found.near is not None
        assert found.near.n_boxes >= 1
        assert found.bound == found.near.bound


def test_an_interruption_before_boxes_leaves_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(decide, "expected_vertices", stop)
    a, b, box = large(np.random.default_rng(0))
    found = pf.are_equivalent(a, b, box, epsilon=0.5)
    assert (found.verdict, found.reason.split(":")[0]) == (Verdict.UNDECIDED, "interrupted")
    assert found.near is not None


@pytest.mark.parametrize("method", ["auto", "regions", "bound"])
def test_what_underflows_is_in_the_bound(method: Any) -> None:
    a, b = (pf.ReLUNetwork([[[1e-200]], [[t]]], [[0.0], [0.0]]) for t in (1e-200, 2e-200))
    found = pf.are_equivalent(a, b, pf.Box([0.0], [1.0]), epsilon=5e-324, method=method, budget=pf.Budget(seconds=0.5))
    assert found.verdict is Verdict.UNDECIDED
    assert found.bound is not None
    assert found.bound > 0


def test_forms_know_no_epsilon() -> None:
    a = pf.ReLUNetwork.random((2, 4, 1), rng=0)
    with pytest.raises(InputError, match="knows no epsilon"):
        pf.are_equivalent(
            a, copy_of(a, np.random.default_rng(0), 0), pf.Box(-1, 1, dimension=2), epsilon=0.1, method="forms"
        )


def test_balls_that_miss_the_domain_are_refused() -> None:
    from polyfiber.equivalence.bounds.near_equal import balls

    with pytest.raises(pf.errors.InputError, match="around point 1 does not meet the domain"):
        balls([[0.5, 0.5], [5.0, 0.5]], 0.1, domain=pf.Box(0, 1, dimension=2))
    assert balls([[1.1, 0.5]], 0.2, domain=pf.Box(0, 1, dimension=2))[0].hi.tolist() == [1.0, 0.7]


def test_a_truth_value_is_no_epsilon() -> None:
    net = pf.ReLUNetwork.random((2, 3, 1), rng=0)
    with pytest.raises(pf.errors.InputError, match="found True"):
        pf.are_equivalent(net, net, pf.Box(0, 1, dimension=2), epsilon=True)
