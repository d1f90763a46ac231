"""Dimensions and named directions near a parameter, beside the functional dimension and floating-point ranks."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import BudgetExceededError, InputError, ShapeError
from polyfiber.fibers.image.activity import Activity, activity_from_complex, sampled_activity, scattered_points
from polyfiber.fibers.image.directions import named_directions
from polyfiber.fibers.image.local import local_structure
from polyfiber.fibers.image.relatives import nonlocal_relative, planted
from polyfiber.numerics import exact, modular


@pytest.mark.parametrize("widths", [(1, 3, 4, 1), (2, 4, 3, 1), (2, 5, 4, 2), (1, 2, 3, 2), (3, 4, 3, 1)])
def test_named_directions_add_up_to_the_exact_dimension(widths: tuple[int, ...]) -> None:
    for seed in range(3):
        net = pf.ReLUNetwork.random(widths, rng=seed)
        cx = pf.canonical_complex(net)
        found = local_structure(net, complex=cx)
        expected = pf.local_fiber(net, regions=cx).dimension
        assert found.upper == expected == found.found
        assert found.lower <= found.upper
        assert found.explained
        assert found.named().basis == "computed"
        assert found.dimension in (expected, None)


@pytest.mark.parametrize("role", ["dead", "linear", "hiding", "apart"])
def test_planted_roles_are_found(role: str) -> None:
    for seed in range(4):
        net = planted((2, 5, 3, 1), [role], rng=seed)
        cx = pf.canonical_complex(net)
        found = local_structure(net, complex=cx)
        assert found.explained
        if role in ("dead", "linear"):
            assert found.activity.roles(2)[0] == role
            assert not found.is_rigid
        if role == "apart":
            assert found.activity.idle()[1][0, 0]
        kinds = {kind for kind, _, _ in found.directions.kinds} if found.directions else set()
        assert kinds >= {"scaling"}


def test_every_direction_keeps_all_pieces_to_first_order() -> None:
    """Each vector is in the kernel of the Jacobian on every region, by rational rows of another program."""
    from polyfiber.fibers.dimension import _exact_rows

    net = planted((2, 4, 3, 2), ["linear", "hiding"], rng=3)
    activity = activity_from_complex(net, pf.canonical_complex(net))
    directions = named_directions(activity)
    for mask in activity.masks:
        rows = exact.residues(_exact_rows(net, mask))
        assert not modular.product(rows, directions.vectors.T).any()
    assert directions.counts_by_kind()["scaling"] == net.n_hidden


def test_exchange_smallest_example() -> None:
    """Two walls, each hidden in its own part of the line, move together: neither can alone, the next bias makes up for both."""
    net = pf.ReLUNetwork([[[-1.0], [3.0]], [[3.0, 3.0]], [[2.0]]], [[-2.5, -1.5], [-2.0], [1.0]])
    found = local_structure(net, complex=pf.canonical_complex(net))
    assert found.directions is not None
    assert found.directions.counts_by_kind() == {"scaling": 3, "exchange": 1}
    assert (found.dimension, found.lower) == (1, 0)
    moved = pf.ReLUNetwork(net.weights, [[-2.25, -1.25], [-2.75], [1.0]])
    x = np.arange(-72, 73)[:, None] / 8
    assert np.array_equal(net(x), moved(x))


def test_sampled_regions_bound_from_above() -> None:
    net = pf.ReLUNetwork.random((2, 4, 3, 1), rng=1)
    cx = pf.canonical_complex(net)
    every = activity_from_complex(net, cx)
    some = sampled_activity(net, scattered_points(net, 200))
    known = {m.tobytes() for m in every.masks}
    assert all(m.tobytes() in known for m in some.masks)
    assert local_structure(net, activity=some).upper >= local_structure(net, activity=every).upper
    assert local_structure(net).directions is None
    with pytest.raises(InputError, match="clear of every wall"):
        sampled_activity(pf.ReLUNetwork([[[1.0]], [[1.0]]], [[0.0], [0.0]]), np.zeros((3, 1)))


def test_parallel_walls_are_not_generic_far_out() -> None:
    W = [[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0, 1.0]]]
    net = pf.ReLUNetwork(W, [[0.0, 1.0, 0.5], [0.0]])
    cx = pf.canonical_complex(net)
    assert cx.is_simple
    assert not activity_from_complex(net, cx).generic
    assert activity_from_complex(
        pf.ReLUNetwork.random((2, 3, 1), rng=0), pf.canonical_complex(pf.ReLUNetwork.random((2, 3, 1), rng=0))
    ).generic
    found = local_structure(net, complex=cx)
    assert found.is_rigid == (found.upper == 0)


def test_rationals_deep_and_bad_input() -> None:
    net = pf.ReLUNetwork.random((2, 3, 2, 1), rng=2)
    cx = pf.canonical_complex(net)
    assert (
        local_structure(net.exact(), complex=pf.canonical_complex(net.exact())).upper
        == local_structure(net, complex=cx).upper
    )
    with pytest.raises(BudgetExceededError, match="more than 10"):
        local_structure(net, max_parameters=10)
    with pytest.raises(InputError, match="another network"):
        activity_from_complex(pf.ReLUNetwork.random((2, 3, 2, 1), rng=3), cx)
    with pytest.raises(ShapeError, match="patterns"):
        Activity(net, np.ones((2, 3), bool), True, True)
    with pytest.raises(InputError, match="roles"):
        planted((2, 4, 3, 1), ["asleep"])


@pytest.mark.parametrize("seed", range(6))
def test_relatives_of_the_non_local_example_are_not_identifiable(seed: int) -> None:
    net = nonlocal_relative(rng=seed)
    report = pf.classify_fiber(net)
    assert report.identifiable is False
    assert report.kind == "flexible"
