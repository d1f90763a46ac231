"""Networks of every kind that has a rule are drawn again from it; a parameter of another seed is noticed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from polyfiber.datasets import Networks, Spec
from polyfiber.datasets.checks.draws import differences

pytest.importorskip("pyarrow")

from polyfiber.datasets.storage.networks import parameters_of

ENTRIES: list[dict[str, Any]] = [
    *(
        {"kind": "random", "architecture": [[3, 5, 2], [2, 2, 4, 1]], "count": 4, "law": law, "scale": scale, "bias": bias}
        for law, scale, bias in (
            ("normal", "he", "uniform"), ("uniform", "xavier", "integer"), ("orthogonal", "one", "normal"), ("integer", "lecun", "zero"),
        )
    ),
    {"kind": "linear", "architecture": [3, 2, 2], "count": 2, "law": "normal"},
    {"name": "all", "kind": "perturbed", "of": "e1", "noise": [1e-2, 0.5], "per": 2},
    {"name": "one", "kind": "perturbed", "of": "e0", "noise": 1e-2, "where": "one", "per": 3},
]  # fmt: skip


def test_the_rule_draws_the_networks_of_all_kinds_that_have_one() -> None:
    entries = [{"name": f"e{i}"} | entry for i, entry in enumerate(ENTRIES)]
    spec = Spec.of({"name": "drawn", "seed": 12345678901234567890, "networks": entries})
    items = list(Networks(spec).items(0, spec.count))
    other = Networks(Spec.of({"name": "drawn", "seed": 7, "networks": entries}))

    def base(number: int) -> tuple[Any, Any]:
        return parameters_of(items[number].network), items[number].network.architecture

    for item in items:
        parameters = parameters_of(item.network)
        assert list(differences(spec, item.id, parameters, base)) == []
        assert list(differences(spec, item.id, parameters_of(other.item(item.id).network), base))
        moved = parameters.copy()
        moved[-1 - item.id % 3] += 1e-5
        assert list(differences(spec, item.id, moved, base))
        assert list(differences(spec, item.id, parameters[:-1], base))
    assert len({item.source for item in items}) == len(ENTRIES)
    assert np.isfinite(sum(parameters_of(item.network).sum() for item in items))
