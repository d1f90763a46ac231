"""From weights to strata: gaps, ambiguity, exactness, comparisons, hostile input."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber import Verdict
from polyfiber.errors import InputError, RankAmbiguityError, ShapeError
from tests.linear.cases import small


def test_random_points_are_found_with_wide_gaps() -> None:
    for s, _, b in small(0.1, 1):
        at = pf.linear.locate(b.reconstruct())
        assert at.verdict is Verdict.YES
        assert at.stratum.label == s.label
        assert (at.stratum.dim, at.stratum.dof, at.stratum.rdof) == (s.dim, s.dof, s.rdof)
        assert min(g.ratio for g in at.gaps.values()) > 1e3
        assert np.array_equal(at.lower, at.upper)


def test_values_between_the_levels_are_ambiguous() -> None:
    w = [np.diag([1.0, 3e-10]), np.eye(2)]
    at = pf.linear.locate(w)
    assert at.verdict is Verdict.UNDECIDED
    assert (1, 0) in at.ambiguous
    assert at.reading is not None
    with pytest.raises(RankAmbiguityError, match="singular values"):
        _ = at.stratum
    labels = {c.label for c in at.candidates()}
    assert {(1, 1, 2), (2, 2, 2)} <= labels
    assert pf.linear.locate(w, tolerance=1e-8).stratum.layer_ranks == (1, 2)
    assert pf.linear.locate(w, tolerance=1e-13).stratum.layer_ranks == (2, 2)
    assert pf.linear.locate(w, exact=True).stratum.layer_ranks == (2, 2)
    assert pf.linear.locate(w, gap=1.0).stratum.layer_ranks == (2, 2)


def test_noise_carried_through_small_singular_values_makes_later_ranks_ambiguous() -> None:
    # the image of layer 1 is known up to 1e-10 / 1e-4; a value of 3e-5 after that is neither
    # noise (1e-6) nor a hundred times the noise
    tilt = np.array([[1.0, 0.0], [0.0, 1e-4], [0.0, 0.0]])
    w = [tilt, np.array([[1.0, 0.0, 0.0], [0.0, 3e-5, 1.0]])]
    at = pf.linear.locate(w)
    assert at.ambiguous == ((2, 0),)
    assert (at.gaps[2, 0].low, at.gaps[2, 0].high) == (1, 2)


def test_a_layer_that_is_only_noise_needs_an_absolute_level() -> None:
    rng = np.random.default_rng(0)
    w = [np.eye(2), 1e-9 * rng.standard_normal((2, 2))]
    assert pf.linear.locate(w).stratum.label == (2, 2, 2)
    assert pf.linear.locate(w, noise=1e-8).stratum.label == (2, 0, 0)


def test_products_of_many_layers_are_not_multiplied_out() -> None:
    w = [np.diag([1.0, 1e-3])] * 12  # the product has condition 1e36
    assert pf.linear.locate(w).stratum.rank == 2
    nilpotent = [np.array([[0.0, 1.0], [0.0, 0.0]])] * 3
    assert pf.linear.locate(nilpotent).stratum.label == (1, 0, 1, 0, 0, 1)


def test_float32_weights_get_a_wider_tolerance() -> None:
    rng = np.random.default_rng(0)
    w = [v.astype(np.float32) for v in pf.linear.sample([2, 2, 4], widths=(5, 6, 4), rng=rng)]
    assert pf.linear.locate(w).tolerance == 1e-5
    assert pf.linear.locate(w).stratum.label == (2, 2, 4)


def test_rationals_are_exact() -> None:
    third = Fraction(1, 3)
    w = [np.array([[third, 2 * third], [1, 2]], object), np.array([[1, -third]], object)]
    at = pf.linear.locate(w)
    assert at.is_exact
    assert at.stratum.label == (1, 0, 1)
    almost = [np.array([[third, 2 * third], [1, 2 + Fraction(1, 10**40)]], object), w[1]]
    assert pf.linear.locate(almost).stratum.label == (2, 1, 1)


def test_comparisons() -> None:
    zero, low, high = [[[0]], [[0]]], [[[3]], [[0]]], [[[3]], [[2]]]
    other = [[[0]], [[2]]]
    assert pf.linear.same_stratum(low, [[[-1]], [[0]]]) is Verdict.YES
    assert pf.linear.same_stratum(low, other) is Verdict.NO
    assert pf.linear.in_closure(zero, low) is Verdict.YES
    assert pf.linear.in_closure(low, zero) is Verdict.NO
    assert pf.linear.in_closure(low, other) is Verdict.NO
    assert pf.linear.in_closure(low, high) is Verdict.YES
    fuzzy = [np.diag([1.0, 1e-9]), np.eye(2)]
    assert pf.linear.same_stratum(fuzzy, [np.eye(2), np.eye(2)]) is Verdict.UNDECIDED
    assert pf.linear.in_closure(fuzzy, [np.eye(2), np.eye(2)]) is Verdict.YES
    assert pf.linear.in_closure([np.eye(2), np.eye(2)], fuzzy) is Verdict.UNDECIDED
    assert pf.linear.in_closure([np.eye(2), np.eye(2)], [np.diag([1.0, 0.0]), np.eye(2)]) is Verdict.NO
    with pytest.raises(InputError, match="different widths"):
        pf.linear.same_stratum(zero, fuzzy)


def test_duality_of_locations() -> None:
    for s, _, b in small(0.03, 2):
        t = pf.linear.locate(pf.linear.transpose(b.reconstruct())).stratum
        assert (t.dim, t.dof, t.rdof) == (s.dim, s.dof, s.rdof)
        last = len(s.widths) - 1
        assert {(last - k, last - i): m for (i, k), m in s.bars.items()} == t.bars


@pytest.mark.parametrize(
    ("weights", "error"),
    [
        ([], InputError),
        (None, InputError),
        ("abc", InputError),
        (np.eye(3), ShapeError),
        ([np.eye(2), np.eye(3)], ShapeError),
        ([np.zeros(3)], ShapeError),
        ([[[1.0, np.nan]]], InputError),
        ([[[1.0, np.inf]]], InputError),
        ([[[1.0 + 2j]]], InputError),
        ([[["a"]]], InputError),
        ([[[1.0, 2.0], [3.0]]], ShapeError),
        ({"W": np.eye(2)}, InputError),
        ([np.ma.array(np.eye(2), mask=[[1, 0], [0, 0]])], InputError),
        ((w for w in [np.eye(2)]), InputError),
        ([[[None]]], InputError),
    ],
)
def test_hostile_weights_are_refused(weights: object, error: type) -> None:
    with pytest.raises(error):
        pf.linear.locate(weights)


@pytest.mark.parametrize(
    "options", [{"tolerance": 0.0}, {"tolerance": -1}, {"tolerance": np.nan}, {"gap": 0.5}, {"noise": -1.0}]
)
def test_senseless_tolerances_are_refused(options: dict) -> None:
    with pytest.raises(InputError):
        pf.linear.locate([np.eye(2)], **options)


def test_extreme_but_legal_weights() -> None:
    assert pf.linear.locate([np.zeros((3, 2)), np.zeros((1, 3))]).stratum.label == (0, 0, 0)
    assert pf.linear.locate([np.full((2, 2), 1e300), np.full((2, 2), 1e-300)]).stratum.label == (1, 1, 1)
    tiny = np.full((2, 2), 5e-324)
    assert pf.linear.locate([tiny, np.eye(2)]).stratum.label == (1, 1, 2)
    assert pf.linear.locate([np.zeros((0, 2)), np.zeros((3, 0))]).stratum.label == (0, 0, 0)
    assert pf.linear.locate([np.eye(2, dtype=bool)]).is_exact
    assert pf.linear.locate([np.full((2, 2), 1e308)] * 2, noise=1e300).stratum.label == (1, 1, 1)
    assert "decided" in repr(pf.linear.locate([np.eye(2)]))


def test_effective_ranks_are_a_reading_at_a_scale() -> None:
    w = [np.diag([2.0, 0.5, 1e-3]), np.diag([2.0, 0.5, 1e-3])]
    assert pf.linear.effective_ranks(w, 0.1)[np.tril_indices(3, -1)].tolist() == [2, 2, 2]
    assert pf.linear.effective_ranks(w, 1.0)[np.tril_indices(3, -1)].tolist() == [1, 1, 1]
    assert pf.linear.effective_ranks(w, 10.0)[np.tril_indices(3, -1)].tolist() == [0, 0, 0]
    with pytest.raises(InputError):
        pf.linear.effective_ranks(w, 0.0)


def test_deep_products_of_one_rank_are_decided() -> None:
    rng = np.random.default_rng(3)
    for depth in (10, 20, 40):
        layers = [rng.standard_normal((10, 3)) @ rng.standard_normal((3, 10)) for _ in range(depth)]
        at = pf.linear.locate(layers)
        assert at.verdict is Verdict.YES
        assert set(at.stratum.label) == {3}
        # noise below the tolerance changes nothing
        noisy = [w * (1.0 + 1e-12 * rng.standard_normal(w.shape)) for w in layers]
        assert pf.linear.locate(noisy).stratum.label == at.stratum.label
    # a product that loses rank between layers of one rank is not called one of full rank
    a, b = np.eye(4)[:, :2], np.eye(4)[:, 2:]
    broken = [a @ rng.standard_normal((2, 4)), rng.standard_normal((4, 2)) @ b.T, rng.standard_normal((4, 4))]
    at = pf.linear.locate(broken)
    assert (at.ranks[1, 0], at.ranks[2, 1], at.ranks[2, 0], at.ranks[3, 0]) == (2, 2, 0, 0)


def test_undecided_weights_have_a_best_reading_with_its_backward_error() -> None:
    rng = np.random.default_rng(4)
    graded = np.diag([1.0] * 3 + [1e-3] * 3 + [0.0] * 4)
    layers = [rng.standard_normal((10, 10)) @ graded @ rng.standard_normal((10, 10)) for _ in range(12)]
    at = pf.linear.locate(layers)
    assert at.verdict is Verdict.UNDECIDED
    assert at.reading is not None
    assert set(at.reading.label) == {6}
    assert at.backward_error < 1e-14
    # a rank near the tolerance: the reading is one change of that size away
    layers = [np.diag([1.0, 3e-9]), np.diag([1.0, 0.5])]
    at = pf.linear.locate(layers)
    assert at.verdict is Verdict.UNDECIDED
    assert at.reading is not None
    assert at.backward_error < 1e-8
    assert np.isnan(pf.linear.locate([np.eye(2)]).backward_error)
    assert pf.linear.locate([[[1, 0], [0, 0]]]).backward_error == 0.0


@pytest.mark.parametrize("depth", [10, 20, 40])
def test_the_best_reading_of_a_deep_product_is_one_backward_error_away(depth: int) -> None:
    # layers of rank 3 and a fourth direction too weak to count, too strong to be noise
    rng = np.random.default_rng(depth)
    frames = [np.linalg.qr(rng.standard_normal((10, 10)))[0] for _ in range(depth + 1)]
    strength = np.diag([1.0, 0.8, 0.6, 3e-10] + [0.0] * 6)
    layers = [frames[j + 1] @ strength @ frames[j].T for j in range(depth)]
    at = pf.linear.locate(layers)
    assert at.verdict is Verdict.UNDECIDED
    assert at.reading is not None
    wanted = at.reading.ranks
    assert 0.0 <= at.backward_error < 1e-9
    # the change exists: every layer cut to the rank of the reading is no farther, and its products have those ranks
    cut = []
    for j, w in enumerate(layers):
        u, s, vt = np.linalg.svd(w)
        r = int(wanted[j + 1, j])
        cut.append((u[:, :r] * s[:r]) @ vt[:r])
        assert np.linalg.norm(cut[-1] - w, 2) <= at.backward_error * np.linalg.norm(w, 2) + 1e-14
    for i in range(depth):
        run = cut[i] / np.linalg.norm(cut[i], 2)
        for k in range(i + 1, depth + 1):
            if k > i + 1:
                run = cut[k - 1] @ run
                run /= np.linalg.norm(run, 2)
            assert int((np.linalg.svd(run, compute_uv=False) > 1e-12).sum()) <= wanted[k, i]
    assert wanted[-1, 0] in (3, 4)
