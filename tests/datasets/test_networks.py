"""Networks by number: alone or in any order the same, and failures that are rows."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from polyfiber.datasets import Networks, Spec
from polyfiber.datasets.networks import reason_of
from polyfiber.datasets.tables.base import OUT_OF_TIME
from polyfiber.errors import BudgetExceededError, InputError

SPEC: dict[str, Any] = {
    "name": "tiny", "seed": 5,
    "networks": [
        {"name": "r", "kind": "random", "architecture": [2, 4, 1], "count": 6},
        {"kind": "perturbed", "of": "r", "noise": 1e-3},
    ],
}  # fmt: skip


def test_in_any_order_the_same() -> None:
    one, two = Networks(Spec.of(SPEC)), pickle.loads(pickle.dumps(Networks(Spec.of(SPEC))))
    forward = [item.network for item in one.items(0, 12)]
    backward = [two.item(k).network for k in reversed(range(12))][::-1]
    assert forward == backward
    assert len(set(forward)) == 12
    assert Networks(Spec.of({**SPEC, "seed": 6})).item(0).network != forward[0]


def test_items_say_where_they_come_from() -> None:
    nets = Networks(Spec.of(SPEC))
    base, made = nets.item(2), nets.item(8)
    assert (base.source, base.index, base.entropy, base.key, base.origin_id) == ("r", 2, 5, (0, 2), -1)
    assert (made.kind, made.index, made.key, made.origin_id) == ("perturbed", 2, (1, 2), 2)
    gap = max(abs(a - b).max() for a, b in zip(base.network.weights, made.network.weights))
    assert 0 < gap < 0.1


def test_what_cannot_be_made_is_a_row_that_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    nets = Networks(Spec.of(SPEC))

    def fails(*_: Any) -> Any:
        raise InputError("no\nsuch thing")

    monkeypatch.setattr(nets, "_make", fails)
    item = nets.item(3)
    assert item.failed == "InputError: no such thing"
    assert (item.id, item.source) == (3, "r")
    with pytest.raises((InputError, IndexError)):
        nets.item(12)


def test_reasons_hold_no_time_that_was_measured() -> None:
    assert reason_of(BudgetExceededError("took 3.2 s", seconds=3.2)) == OUT_OF_TIME
    assert reason_of(BudgetExceededError("too large", memory=7)) == "BudgetExceededError: too large"
