"""Labels of stacks are those of `classify_fiber`, network by network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import polyfiber as pf
from polyfiber.fibers.batch.classify_many import FiberTable, label_fibers
from polyfiber.fibers.batch.labels import KINDS
from polyfiber.fibers.hyperplanes import ROLES


def agree(table: FiberTable, networks: Any, **options: Any) -> None:
    for i, net in enumerate(networks):
        report = pf.classify_fiber(net, **{"max_parameters": 0, **options})  # what batches ask for
        assert KINDS[table.kind[i]] == report.kind
        assert {1: True, 0: False, -1: None}[int(table.identifiable[i])] == report.identifiable
        assert table.hidden[i] == (-1 if report.hidden_hyperplane is None else report.hidden_hyperplane)
        assert table.dimension[i] == (-1 if report.dimension is None else report.dimension)
        assert table.complete[i] == report.complete
        assert [ROLES[r] for r in table.roles[i]] == list(report.roles)
        assert {1: "yes", 0: "no", -1: "undecided"}[int(table.generic[i])] == report.regime.generic.value
        assert table.reasons[i] == report.reason
        for name in ("sign_margin", "first_layer_margin", "product_margin", "position_margin"):
            assert np.isclose(getattr(table, name)[i], getattr(report.regime, name), rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize(
    "widths", [(8, 8, 6, 2), (4, 3, 3, 2), (3, 2, 2, 1), (2, 2, 1, 1), (3, 3, 13, 2), (4, 4, 5, 1), (2, 4, 3, 1)]
)
def test_labels_are_those_of_the_classifier(widths: tuple[int, ...]) -> None:
    batch = pf.NetworkBatch.random(widths, 40, rng=4)
    agree(label_fibers(batch, limit=128), batch, limit=128)


@given(st.integers(0, 2**32 - 1), st.integers(2, 4), st.integers(1, 4), st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_labels_of_small_integer_networks(seed: int, n1: int, n2: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    nets = [
        pf.ReLUNetwork(
            [rng.integers(-3, 4, s).astype(float) for s in ((n1, n1), (n2, n1), (m, n2))],
            [rng.integers(-3, 4, s).astype(float) for s in (n1, n2, m)],
        )
        for _ in range(4)
    ]
    agree(label_fibers(nets, limit=64), nets, limit=64)


def test_two_rows_that_nearly_coincide_are_classified_alone() -> None:
    batch = pf.NetworkBatch.random((5, 4, 3, 2), 6, rng=1)
    W2, b2 = batch.weights[1].copy(), batch.biases[1].copy()
    W2[:, 1], b2[:, 1] = 2 * W2[:, 0], 2 * b2[:, 0]
    W2[3:, 1, 0] *= 1 + 1e-7
    near = pf.NetworkBatch([batch.weights[0], W2, batch.weights[2]], [batch.biases[0], b2, batch.biases[2]])
    table = label_fibers(near)
    assert table.alone.all()
    agree(table, near)


@pytest.mark.parametrize("widths", [(3, 4, 2), (2, 3, 3, 3, 1), (3, 2)])
def test_other_depths(widths: tuple[int, ...]) -> None:
    nets = [pf.ReLUNetwork.random(widths, rng=s) for s in range(3)]
    agree(label_fibers(nets), nets)


def test_a_zero_row_is_classified_alone() -> None:
    batch = pf.NetworkBatch.random((4, 3, 3, 2), 4, rng=2)
    W2, b2 = batch.weights[1].copy(), batch.biases[1].copy()
    W2[:2, 1], b2[:2, 1] = 0.0, 0.0
    some = pf.NetworkBatch([batch.weights[0], W2, batch.weights[2]], [batch.biases[0], b2, batch.biases[2]])
    table = label_fibers(some)
    assert table.alone[:2].all()
    agree(table, some)


@pytest.mark.parametrize("powers", [(-600, -600, 0), (600, 300, 0), (-200, 500, 100), (0, 0, -1000), (130, 0, 0)])
def test_labels_do_not_depend_on_powers_of_two(powers: tuple[int, int, int]) -> None:
    base = pf.NetworkBatch.random((4, 4, 3, 2), 40, rng=1)
    p, q, r = powers
    (U, V, W), (b, c, d) = base.weights, base.biases
    there = pf.NetworkBatch(
        [np.ldexp(U, p), np.ldexp(V, q - p), np.ldexp(W, r - q)], [np.ldexp(b, p), np.ldexp(c, q), d]
    )
    here, signs = label_fibers(base), pf.fibers.classify_batch(there)
    np.testing.assert_array_equal(label_fibers(there).identifiable, here.identifiable)
    np.testing.assert_array_equal(signs.kind, pf.fibers.classify_batch(base).kind)
    assert np.isfinite(signs.margin).all()
