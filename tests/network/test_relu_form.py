"""The form that the engine works on is the network, exactly: gates and outputs at rational points."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import InputError
from polyfiber.network import relu_form as module
from polyfiber.network.relu_form import ReluForm, relu_form
from polyfiber.network.sparse import SparseMatrix
from polyfiber.testing.graphs import KINDS, WEIGHTS, WIRINGS, random_graph


def values(form: ReluForm, x: list[Fraction]) -> list[list[Fraction]]:
    """Before the gates of each block, and last the outputs, number by number."""
    found: list[list[Fraction]] = []
    for l, base in enumerate(form.bases, start=1):
        z = []
        for i, row in enumerate(base.tolist()):
            total = sum((Fraction(a) * v for a, v in zip(row[:-1], x)), Fraction(row[-1]))
            for j, k, weight in form.terms(l, i):
                total += Fraction(weight) * max(found[j - 1][k], Fraction(0))
            z.append(total)
        found.append(z)
    return found


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("kind", [*KINDS, "mixed"])
def test_the_form_is_the_network(kind: str, weights: str) -> None:
    for seed, wiring in enumerate(WIRINGS):
        net = random_graph(seed, 2, (3, 2, 3), kind=kind, wiring=wiring, weights=weights, outputs=2)
        form, exact = relu_form(net), net.exact()
        for p, q in ((1, 3), (-5, 7), (0, 1), (4, -9)):
            x = [Fraction(p, 8), Fraction(q, 3)]
            expected: Any = [z.tolist() for z in exact.preactivations(np.array(x, dtype=object))]
            assert values(form, x) == expected


def test_floats_stay_floats_where_nothing_is_multiplied() -> None:
    chain = pf.ReLUNetwork.random((3, 5, 4, 2), rng=0)
    form = relu_form(pf.PiecewiseLinearNetwork.from_chain(chain))
    assert form.is_float
    assert form.reads[1][1] is not None
    assert np.array_equal(form.reads[1][1], chain.weights[1])
    assert relu_form(random_graph(0, 2, (3, 2), kind="abs", wiring="dense", weights="integer")).is_float
    assert not relu_form(random_graph(0, 2, (3, 2), kind="leaky", wiring="dense")).is_float


def test_products_beyond_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PRODUCT_LIMIT", 20)
    with pytest.raises(InputError, match="restrict the network"):
        relu_form(random_graph(0, 2, (6, 5), kind="leaky", wiring="chain"))


def test_sizes_beyond_memory_are_one_error() -> None:
    n = 200_000
    eye = SparseMatrix(np.arange(n + 1), np.arange(n), np.ones(n), (n, n))
    last = pf.AffineMap({1: SparseMatrix([0, 1], [0], [1.0], (1, n))}, [0.0])
    net = pf.PiecewiseLinearNetwork(n, [pf.GateBlock({0: eye}, np.zeros(n), slopes=(0.1, 1))], last)
    for ask in (pf.canonical_complex, pf.estimate_size, pf.PiecewiseLinearNetwork.to_chain):
        with pytest.raises(InputError, match=r"too large|more than"):
            ask(net)
