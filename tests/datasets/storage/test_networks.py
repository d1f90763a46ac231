"""Networks as rows: chains and gates of every wiring come back, and rows that do not fit are refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.datasets.storage.networks import n_numbers, network_of, parameters_of, wiring_of
from polyfiber.errors import FileFormatError
from polyfiber.testing.graphs import WEIGHTS, WIRINGS, random_graph


def row_of(net: Any) -> dict[str, Any]:
    return {"architecture": list(net.architecture), "parameters": parameters_of(net).tolist(), "wiring": wiring_of(net)}


def test_chains_layer_by_layer() -> None:
    net = pf.ReLUNetwork([[[1.0, 2.0]], [[3.0]]], [[4.0], [5.0]])
    assert parameters_of(net).tolist() == [1.0, 2.0, 4.0, 3.0, 5.0]
    assert wiring_of(net) == ""
    assert network_of(row_of(net)) == net
    assert n_numbers(net) == 5


@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("weights", WEIGHTS)
def test_gates_of_every_wiring(wiring: str, weights: str) -> None:
    net = random_graph(3, 2, (3, 2), wiring=wiring, weights=weights, outputs=2)
    row = row_of(net)
    assert len(row["parameters"]) == n_numbers(net)
    again = network_of(row)
    X = np.random.default_rng(0).standard_normal((20, 2))
    np.testing.assert_array_equal(again(X), net(X))
    assert row_of(again) == row


@pytest.mark.parametrize("change", [-1, 1])
def test_numbers_that_do_not_fit(change: int) -> None:
    row = row_of(random_graph(3, 2, (3, 2), weights="sparse"))
    row["parameters"] = row["parameters"][:-1] if change < 0 else [*row["parameters"], 0.0]
    with pytest.raises(FileFormatError, match="do not fit each other"):
        network_of(row)


@pytest.mark.parametrize(
    "wiring", ["[", "3", "[[0]]", '[{"9": null}, {"1": null}]', '[{"x": null}, {}]', "[{}]", '[{"0": [[0, 1], [5]]}, {"1": null}]',
               '[{"0": [1]}, {}]'],
)  # fmt: skip
def test_wirings_that_do_not_fit(wiring: str) -> None:
    with pytest.raises(FileFormatError, match="do not fit each other"):
        network_of({"architecture": [2, 1, 1], "parameters": [1.0] * 8, "wiring": wiring})
    assert json.loads(wiring_of(random_graph(0, 2, (1,))))[0] == {"0": None}
