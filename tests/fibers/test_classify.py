"""Classification of whole networks: every reported component holds networks with the same function."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import InputError, NumericalError
from polyfiber.network import moves as mv
from scripts.attacks.fibers.wide import extreme


def wide_points(n0: int, seed: int = 0, count: int = 3000) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, n0)) * 10.0 ** rng.uniform(-2, 3, (count, 1))


def assert_same(a: pf.ReLUNetwork, b: pf.ReLUNetwork, rtol: float = 1e-8) -> None:
    X = wide_points(a.architecture[0], count=3000 if not a.is_exact else 30)
    y, z = a(X).astype(float), b(X).astype(float)
    size = 1 + np.abs(y) + np.abs(X).max(axis=1, keepdims=True)
    assert (np.abs(y - z) / size).max() < rtol


def with_signs(net: pf.ReLUNetwork, signs: np.ndarray) -> pf.ReLUNetwork:
    """Signs (n2, n1 + 1) imposed on (W2 | b2)."""
    W2 = np.abs(net.weights[1]) * signs[:, :-1]
    b2 = np.abs(net.biases[1]) * signs[:, -1]
    return pf.ReLUNetwork([net.weights[0], W2, net.weights[2]], [net.biases[0], b2, net.biases[2]])


CASES = {
    "identifiable": [[1, -1, 1, 1], [-1, 1, 1, -1]],
    "one linear": [[1, 1, 1, 1], [-1, 1, 1, -1]],
    "two linear": [[1, 1, 1, 1], [1, 1, 1, 1], [-1, 1, 1, -1]],
    "three linear": [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1], [-1, 1, 1, -1]],
    "dead": [[-1, -1, -1, -1], [-1, 1, 1, -1]],
    "dead and linear": [[-1, -1, -1, -1], [1, 1, 1, 1], [-1, 1, -1, 1]],
    "hiding two": [[-1, 1, -1, -1], [-1, 1, -1, -1]],
    "hiding one": [[-1, -1, 1, -1]],
    "hiding with dead": [[-1, 1, -1, -1], [-1, -1, -1, -1]],
    "constant": [[-1, -1, -1, -1], [-1, -1, -1, -1]],
}
EXPECTED = {
    "identifiable": ("identifiable", True, 0),
    "one linear": ("layerwise", False, 1),
    "two linear": ("layerwise", False, 4),
    "three linear": ("layerwise", False, 3 * 5 - 6),
    "dead": ("layerwise", False, 5),
    "dead and linear": ("layerwise", False, 6),
    "hiding two": ("hiding", False, 1),
    "hiding one": ("hiding", False, 1),
    "hiding with dead": ("hiding", False, 6),
    "constant": ("constant", False, 4 * 3 + 2 * 5),
}


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("case", list(CASES))
def test_every_kind(case: str, exact: bool) -> None:
    signs = np.array(CASES[case])
    base = pf.ReLUNetwork.random((4, 3, len(signs), 2), rng=len(case))
    net = with_signs(base, signs)
    if exact:
        net = pf.ReLUNetwork(
            [np.round(w * 256) / 256 + 1 / 512 for w in net.weights],
            [np.round(b * 256) / 256 - 1 / 512 for b in net.biases],
        )
        net = with_signs(net, signs).exact()
    report = pf.classify_fiber(net)
    assert (report.kind, report.identifiable, report.dimension) == EXPECTED[case], report.reason
    assert report.regime.applies
    components = list(itertools.islice(report.components(), 20))
    assert components
    assert max(c.dimension for c in components) == report.dimension
    rng = np.random.default_rng(1)
    for component in components:
        assert str(component)
        for other in (component.point(), component.sample(rng=rng)):
            assert other.architecture == net.architecture
            assert_same(net, other)
            assert report.contains(other)
    for other in report.sample(4, rng=2, trivial=True):
        assert_same(net, other)
        assert report.contains(other)
    if case == "hiding one":
        assert len(components) == 4
    if report.kind == "hiding":
        assert_same(net, components[0].end_point())
        assert report.hidden_hyperplane == int(np.flatnonzero(signs[0] > 0)[0])
    assert report.kind in str(report)


def test_contains_refuses_near_misses() -> None:
    for case in ("identifiable", "one linear", "hiding two", "hiding one", "dead", "constant"):
        signs = np.array(CASES[case])
        net = with_signs(pf.ReLUNetwork.random((4, 3, len(signs), 2), rng=3), signs)
        report = pf.classify_fiber(net)
        moved = mv.random_trivial(net, rng=4)(net)
        assert report.contains(moved)
        for l, (kind, index) in itertools.product((0, 1, 2), (("w", 0), ("b", 0))):
            weights, biases = [w.copy() for w in moved.weights], [b.copy() for b in moved.biases]
            target = weights if kind == "w" else biases
            target[l].flat[index] *= 1 + 1e-5
            other = pf.ReLUNetwork(weights, biases)
            X = wide_points(4)
            different = bool((np.abs(net(X) - other(X)) > 1e-9 * (1 + np.abs(X).max(axis=1, keepdims=True))).any())
            assert report.contains(other) != different, (case, l, kind)
    assert not report.contains(pf.ReLUNetwork.random((4, 3, 3, 2), rng=0))


def test_invariance_under_trivial_symmetries() -> None:
    rng = np.random.default_rng(5)
    kinds = set()
    for seed in range(60):
        n1, n2 = int(rng.integers(2, 4)), int(rng.integers(1, 4))
        net = pf.ReLUNetwork.random((4, n1, n2, 2), rng=seed)
        other = mv.random_trivial(net, rng=seed)(net)
        a, b = pf.classify_fiber(net), pf.classify_fiber(other)
        assert (a.kind, a.identifiable, a.dimension, sorted(a.roles)) == (
            b.kind,
            b.identifiable,
            b.dimension,
            sorted(b.roles),
        )
        assert a.regime.sign_margin == pytest.approx(b.regime.sign_margin, rel=1e-9)
        assert a.contains(other)
        assert b.contains(net)
        kinds.add(a.kind)
    assert kinds >= {"identifiable", "layerwise", "hiding"}


def test_labels_agree_with_single_classification() -> None:
    batch = pf.NetworkBatch.random((3, 3, 2, 1), 60, rng=6)
    labels = pf.fibers.classify_batch(batch)
    for net, name in zip(batch, labels.kind_names()):
        assert pf.classify_fiber(net).kind == name


def test_one_hidden_layer() -> None:
    net = pf.ReLUNetwork.random((3, 5, 2), rng=7)
    report = pf.classify_fiber(net)
    assert (report.kind, report.identifiable, report.dimension) == ("identifiable", True, 0)
    assert report.contains(mv.random_trivial(net, rng=1)(net))
    # c1 u1 + c2 u2 = 0: both can be flipped
    flip = pf.ReLUNetwork([[[1.0, 2], [1.0, 2]], [[1.0, -1.0]]], [[0.5, -0.5], [0.0]])
    report = pf.classify_fiber(flip)
    assert (report.kind, report.identifiable) == ("layerwise", False)
    found = list(report.components())
    assert len(found) == 2
    for component in found:
        assert_same(flip, component.point())
    W = np.vstack([net.weights[0], 2 * net.weights[0][:1]])
    b = np.r_[net.biases[0], 2 * net.biases[0][0]]
    C = np.hstack([net.weights[1], net.weights[1][:, :1]])
    double = pf.ReLUNetwork([W, C], [b, net.biases[1]])
    report = pf.classify_fiber(double)
    assert (report.kind, report.identifiable) == ("layerwise", False)
    for other in report.sample(5, rng=0):
        assert_same(double, other)
    opposite = pf.ReLUNetwork([[[1.0], [-1.0]], [[1.0, 2.0]]], [[0.3, -0.3], [0.0]])
    assert pf.classify_fiber(opposite).identifiable is None


def test_affine_map_and_bad_input() -> None:
    report = pf.classify_fiber(pf.ReLUNetwork([[[1.0, 2.0]]], [[0.5]]))
    assert (report.kind, report.identifiable, report.dimension) == ("identifiable", True, 0)
    with pytest.raises(InputError, match="ReLUNetwork"):
        pf.classify_fiber([[1.0]])  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(12))
def test_one_neuron_in_layer_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    net = pf.ReLUNetwork.random((3, 1, int(rng.integers(1, 4)), 2), rng=rng)
    report = pf.classify_fiber(net)
    assert report.kind != "undecided"
    assert report.contains(net)
    parts = list(itertools.islice(report.components(), 40))
    assert max(p.dimension for p in parts) == report.dimension
    assert report.identifiable == (len(parts) == 1 and parts[0].dimension == 0)
    assert report.dimension is not None
    assert pf.local_fiber(net).dimension <= report.dimension
    for part in parts:
        for other in (part.point(), part.sample(rng=rng)):
            assert_same(net, other)
            assert report.contains(other)


def test_values_and_breakpoints_at_zero_have_a_scale() -> None:
    """The value at the first breakpoint is 0: a sample has 5e-17 there, and is on the fiber."""
    net = pf.ReLUNetwork([[[-1.0]], [[1.0], [1.0], [0.0]], [[0.0, -1.0, 1.0]]], [[1.0], [1.0, 1.0, 0.0], [1.0]])
    report = pf.classify_fiber(net)
    for seed in range(20):
        for component in report.components():
            other = component.sample(rng=seed)
            assert_same(net, other)
            assert report.contains(other)


def test_reflection_of_a_bump() -> None:
    """n1 = 1, rows (-, +): constant on both sides, so that z can be reflected."""
    net = pf.ReLUNetwork([[[0.6, 0.8]], [[-1.0], [-2.0]], [[1.0, 1.0]]], [[0.2], [1.0, 0.5], [0.0]])
    report = pf.classify_fiber(net)
    directions = set()
    for part in report.components():
        other = part.point()
        assert_same(net, other)
        directions.add(tuple(np.round(other.weights[0][0] / np.linalg.norm(other.weights[0][0]), 9).tolist()))
    assert len(directions) == 2


def test_outside_the_theorem() -> None:
    net = pf.ReLUNetwork.random((2, 4, 3, 1), rng=1)
    plain = pf.classify_fiber(net, max_parameters=0)
    assert (plain.kind, plain.dimension) == ("undecided", None)
    assert "no bottleneck" in plain.reason
    with pytest.raises(NumericalError, match="not decided"):
        next(plain.components())
    with pytest.raises(NumericalError):
        plain.sample()
    wide = pf.classify_fiber(net)
    assert (wide.kind, wide.identifiable, wide.dimension) == ("flexible", False, pf.local_fiber(net).dimension)
    assert {g.basis for g in wide.grounds} == {"computed", "evidence"}
    for other in wide.sample(5, rng=0):
        assert_same(net, other)
        assert wide.contains(other)
    assert not wide.contains(pf.ReLUNetwork.random((2, 4, 3, 1), rng=5))
    rigid = pf.classify_fiber(pf.ReLUNetwork.random((2, 4, 3, 1), rng=0))
    assert (rigid.kind, rigid.identifiable, rigid.dimension, rigid.complete) == ("rigid", None, 0, False)
    deep = pf.ReLUNetwork.random((3, 3, 3, 3, 1), rng=2)
    report = pf.classify_fiber(deep)
    assert report.identifiable is None or report.findings
    assert report.contains(mv.random_trivial(deep, rng=0)(deep))
    assert not report.contains(pf.ReLUNetwork.random((3, 3, 3, 3, 1), rng=3))
    # a finding is enough to say no, anywhere
    W = deep.weights[2].copy()
    W[1] = -np.abs(W[1])
    b = deep.biases[2].copy()
    b[1] = -1.0
    dead = pf.ReLUNetwork([*deep.weights[:2], W, deep.weights[3]], [*deep.biases[:2], b, deep.biases[3]])
    report = pf.classify_fiber(dead)
    assert report.identifiable is False
    assert any(f.kind == "dead" and f.layer == 3 and f.neurons == (1,) for f in report.findings)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda W: W[1].__setitem__((0, 0), 0.0), "zero entry"),
        (lambda W: W[1].__setitem__((0, 0), 1e-19), "error bound"),
        (lambda W: W[0].__setitem__(slice(0, 1), 0.0), "zero rows"),
        (lambda W: W[0].__setitem__(0, W[0][1]), "full row rank"),
        (lambda W: W[2].__setitem__((slice(None), 0), 0.0), "zero output columns"),
        (lambda W: W[1].__setitem__((slice(None), 0), W[1][:, 1]), "general position"),
    ],
)
def test_non_generic_parameters_are_named(change: object, text: str) -> None:
    net = pf.ReLUNetwork.random((3, 3, 3, 2), rng=8)
    weights = [w.copy() for w in net.weights]
    change(weights)  # type: ignore[operator]
    report = pf.classify_fiber(pf.ReLUNetwork(weights, net.biases))
    assert report.kind in ("undecided", "rigid", "flexible")
    assert any(text in v for v in report.regime.violations), report.regime.violations
    assert report.identifiable is not True


def test_regime_says_what_was_assumed() -> None:
    small = pf.classify_fiber(pf.ReLUNetwork.random((3, 3, 2, 1), rng=9))
    assert small.regime.generic is pf.Verdict.YES
    assert not small.regime.assumed
    large = pf.classify_fiber(pf.ReLUNetwork.random((16, 16, 8, 4), rng=9))
    assert large.regime.generic is pf.Verdict.UNDECIDED
    assert len(large.regime.assumed) == 2
    assert large.identifiable is True
    assert 0 < large.regime.product_margin < 1


def test_activity_by_the_complex_where_the_theorem_is_silent() -> None:
    net = pf.ReLUNetwork.random((2, 4, 3, 1), rng=1)  # no bottleneck; a neuron of layer 2 never acts
    report = pf.classify_fiber(net)
    assert report.identifiable is False
    assert [(f.kind, f.by) for f in report.findings] == [("dead", "complex")]
    by_cells = pf.classify_fiber(net, max_faces=0)  # the cells of layer 1 are few
    assert by_cells.identifiable is False
    assert by_cells.beyond is not None
    assert by_cells.beyond.second is not None
    assert pf.classify_fiber(net, max_faces=0, max_parameters=0).identifiable is None
    assert pf.classify_fiber(net, budget=pf.Budget(seconds=0)).facts.source == "bounds"


def test_a_bounded_domain_is_outside_the_theorems() -> None:
    net = pf.ReLUNetwork.random((3, 3, 2, 1), rng=0)
    box = pf.Box(-0.05, 0.05, dimension=3)
    report = pf.classify_fiber(net, domain=box)
    assert report.kind == "undecided"
    assert "bounded domain" in report.reason
    by_bounds = pf.classify_fiber(net, domain=box, max_faces=0)
    assert by_bounds.facts.source == "bounds"
    assert {f.neurons for f in by_bounds.findings} <= {f.neurons for f in report.findings}
    given = pf.classify_fiber(net, domain=box, complex=pf.canonical_complex(net, box))
    assert given.facts.status == report.facts.status
    with pytest.raises(InputError, match="another"):
        pf.classify_fiber(net, complex=pf.canonical_complex(net, box))


def network(*layers: tuple[object, object]) -> pf.ReLUNetwork:
    return pf.ReLUNetwork([w for w, _ in layers], [b for _, b in layers])


@pytest.mark.parametrize("widths", [(2, 2, 2, 1), (3, 3, 3, 2), (2, 1, 2, 1), (2, 2, 2, 2, 1), (2, 3, 1), (1, 1, 1, 1)])
def test_zero_networks_are_answered(widths: tuple[int, ...]) -> None:
    pairs = list(zip(widths[1:], widths[:-1]))
    net = pf.ReLUNetwork([np.zeros(p) for p in pairs], [np.zeros(p[0]) for p in pairs])
    report = pf.classify_fiber(net)
    assert report.identifiable is False
    small = pf.minimize(net, prove=True)
    assert all(w == 1 for w in small.network.hidden_widths)
    assert small.proof is not None
    assert small.proof.verdict is pf.Verdict.YES


def test_no_live_neuron_is_constant_generic_or_not() -> None:
    net = network((np.eye(2), [1.0, 1.0]), (-np.ones((2, 2)), [-0.5, -0.5]), ([[1.0, 1.0]], [3.0]))
    report = pf.classify_fiber(net)
    assert (report.kind, report.identifiable, report.complete) == ("constant", False, False)
    assert all(report.contains(other) for other in report.sample(4, rng=0))


def test_nothing_hangs_on_an_entry_without_a_sign() -> None:
    """1e-17 beside 1 may be negative: then the neuron would bend."""
    net = network((np.eye(2), [1.0, 1.0]), ([[1.0, 1e-17], [1.0, -1.0]], [0.5, 0.5]), ([[1.0, 1.0]], [3.0]))
    report = pf.classify_fiber(net)
    assert report.identifiable is None
    assert any("within the error" in str(f) for f in report.findings)
    assert pf.classify_fiber(net.exact()).identifiable is False


@pytest.mark.parametrize("scale", [1e-310, 1e-200, 1e-120, 1e120, 1e200])
def test_extreme_first_layers_have_the_rank_of_their_rows(scale: float) -> None:
    W = scale * np.array([[1.0, 0.3], [0.2, 1.0]])
    net = network((W, [scale, 2.0]), ([[1.0, -2.0], [-1.0, 0.5]], [1.0, -1.0]), ([[1.0, 1.0]], [0.0]))
    report = pf.classify_fiber(net)
    assert not any("full row rank" in text for text in report.regime.violations)
    found = pf.minimize(net, prove=True, budget=pf.Budget(seconds=30))
    assert found.network == net
    assert found.verify().relative == 0


@pytest.mark.parametrize(
    "options",
    [
        {"limit": -1},
        {"limit": 0},
        {"sign_error": float("nan")},
        {"sign_error": -1.0},
        {"tolerance": 2.0},
        {"max_faces": -1},
    ],
)
def test_numbers_that_make_no_sense(options: dict[str, float]) -> None:
    with pytest.raises(InputError):
        pf.classify_fiber(pf.ReLUNetwork.random((3, 3, 2, 1), rng=0), **options)


def test_duplicates_on_the_image_of_the_layers_before() -> None:
    """A constant neuron makes rows of layer 2 differ that are one function of the input, up to a factor."""
    first = ([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [0.5, -0.25, 1.0])  # the third is the constant 1
    second = ([[1.0, 1.0, -1.0], [2.0, 2.0, 0.0], [1.0, -1.0, 0.5]], [0.0, -2.0, 0.25])
    third = ([[1.0, -1.0, 2.0], [0.5, 1.0, 1.0]], [0.0, 0.0])
    for net in (network(first, second, third), network(first, second, third).exact()):
        report = pf.classify_fiber(net, complex=pf.canonical_complex(net))
        mine = [f for f in report.findings if f.kind == "duplicate"]
        assert [(f.layer, f.neurons, f.by) for f in mine] == [(2, (0, 1), "complex")]
        assert report.identifiable is False
        # what the finding says: the outputs can be shared
        C = net.rounded().weights[2].copy()
        C[:, 0] += 2 * 0.125
        C[:, 1] -= 0.125
        other = network(first, second, (C, third[1]))
        X = np.random.default_rng(0).standard_normal((200, 2)) * 3
        assert np.allclose(net.rounded()(X), other(X), atol=1e-12)
    different = network(first, ([[1.0, 1.0, -1.0], [2.0, 2.0, 0.0], [1.0, -1.0, 0.5]], [0.0, -1.0, 0.25]), third)
    report = pf.classify_fiber(different, complex=pf.canonical_complex(different))
    assert not [f for f in report.findings if f.kind == "duplicate"]


@pytest.mark.parametrize("powers", [(0, -170), (0, -165), (0, 170), (-82, -82), (-300, 300), (300, 5)])
def test_tiny_and_huge_weights_have_no_families(powers: tuple[int, int]) -> None:
    """No sum of products of some neurons is zero; in floats all of them were, or were beyond."""
    s, t = (10.0**k for k in powers)
    W, b = np.array([[1.3, -0.4], [0.7, 0.9], [-0.2, 1.1]]), np.array([0.3, -0.5, 0.8])
    net = pf.ReLUNetwork([s * W, t * np.array([[1.0, 0.8, -1.2]])], [s * b, [0.3]])
    report = pf.classify_fiber(net)
    assert (report.kind, report.complete) == ("identifiable", True)
    assert report.sample(1, rng=0)[0] == net == report.network


@pytest.mark.parametrize("small", [1e-11, 1e-14, 1e-170])
def test_a_neuron_that_adds_little_cannot_be_flipped(small: float) -> None:
    rows, b = [[1.3, -0.4], [0.7, 0.9], [-0.2, 1.1]], [0.3, -0.5, 0.8]
    assert pf.classify_fiber(pf.ReLUNetwork([rows, [[1.0, 0.8, small]]], [b, [0.3]])).identifiable
    rows[1] = [-1.3, 0.4]  # the first two can
    report = pf.classify_fiber(pf.ReLUNetwork([rows, [[1.0, 1.0, small]]], [b, [0.3]]))
    assert (report.kind, report.complete, len(list(report.components()))) == ("layerwise", True, 2)


def test_weights_of_extreme_sizes() -> None:
    """The attack of scripts/attacks/fibers/wide.py on scales, for a moment."""
    tally: Counter[str] = Counter()
    for seed in range(25):
        extreme(np.random.default_rng([8, seed]), tally)
    assert tally["scaled wrong"] == 0
    assert min(tally["scaled samples"], tally["scaled minimized"]) > 3


def test_subnormal_parameters_are_classified() -> None:
    net = pf.ReLUNetwork([[[-2.5e-310, 0.0], [5e-324, -2.0]], [[-3.0, 1e-308]]], [[-2.0, 2.5e-310], [1e-323]])
    assert "1 hidden layer" in str(pf.classify_fiber(net))


def test_duplicates_on_the_image_are_told_apart_by_few_patterns(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one pattern tells apart is asked on no other; what is found is what all patterns together say."""
    from polyfiber.fibers import findings

    asked: list[int] = []
    pieces = findings.exact_pieces
    monkeypatch.setattr(findings, "exact_pieces", lambda *a: (asked.append(1), pieces(*a))[1])
    random = pf.ReLUNetwork.random((2, 12, 12, 1), rng=1)
    assert findings.image_duplicates(random, pf.canonical_complex(random, pf.Box([-1, -1], [1, 1])), ()) == ()
    few = len(asked)
    told = 0
    for seed in range(8):
        net = pf.ReLUNetwork.random((2, 3, 5, 2), rng=seed)
        W, b = ([np.round(64 * a) / 64 for a in arrays] for arrays in (net.weights, net.biases))  # sums are exact
        W[0][2], b[0][2] = 2 * W[0][1], 2 * b[0][1]
        W[1][3], b[1][3] = 1.5 * W[1][1] + [0, 0.5, -0.25], 1.5 * b[1][1]
        cx = pf.canonical_complex(net := pf.ReLUNetwork(W, b))
        for tolerance in (1e-9, 0.3):
            found = findings.image_duplicates(net, cx, (), tolerance=tolerance)
            with monkeypatch.context() as m:
                m.setattr(findings, "_not_apart", lambda rows, errors: list(range(len(rows))))
                assert found == findings.image_duplicates(net, cx, (), tolerance=tolerance)
            told += len(found)
    assert told > 4
    assert few <= 12
