"""Plans: every network once, the same partitions again, and documents that say something else are refused."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from polyfiber.datasets import Spec, make_plan
from polyfiber.datasets.plan import Plan
from polyfiber.errors import FileFormatError, InputError

SPEC: dict[str, Any] = {
    "name": "tiny", "seed": 5, "partition": 4,
    "networks": [
        {"name": "r", "kind": "random", "architecture": [2, 4, 1], "count": 9},
        {"kind": "perturbed", "of": "r", "noise": 1e-3},
        {"kind": "linear", "architecture": [3, 4, 2], "count": 3},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(Spec.of(SPEC))


def test_every_network_is_planned_once(plan: Plan) -> None:
    assert [p.index for p in plan.partitions] == list(range(len(plan.partitions)))
    planned = [n for p in plan.partitions for n in range(p.first, p.stop)]
    assert planned == list(range(9 + 9 + 3))
    assert max(map(len, plan.partitions)) == 4
    for p in plan.partitions:  # within one entry, at its own number
        source = plan.spec.source_of(p.first)
        assert source is plan.spec.source_of(p.stop - 1)
        assert p.offset == p.first - source.first
        assert plan.partition(p.index) is p
    with pytest.raises(InputError, match="does not exist; the plan has"):
        plan.partition(99)


def test_documents_give_the_plan_again(plan: Plan) -> None:
    document = json.loads(json.dumps(plan.to_json()))
    again = Plan.from_json(document)
    assert again.partitions == plan.partitions
    assert again.fingerprint == plan.fingerprint == document["fingerprint"]
    assert again.to_json() == plan.to_json()
    other = make_plan(Spec.of({**SPEC, "seed": 6}))
    assert other.fingerprint != plan.fingerprint


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format",), "other"), (("format_version",), 10**6), (("partitions", 0, "networks", 1), 3), (("partitions", 1, "index"), 7),
        (("partitions", 0, "seed", "offset"), 1), (("partitions", 0, "seed", "entropy"), 6), (("partitions", 2, "source"), "x"),
        (("partitions",), []), (("partitions", 0), 3), (("spec", "networks", 0, "count"), 8), (("fingerprint",), "0" * 64),
        (("partitions", 0, "networks"), ["a", "b"]), (("more",), 1), (("partitions", 0, "blocks"), [{"path": []}]),
    ],
)  # fmt: skip
def test_documents_that_say_something_else(plan: Plan, path: tuple[Any, ...], value: Any) -> None:
    document = copy.deepcopy(json.loads(json.dumps(plan.to_json())))
    at = document
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    with pytest.raises((FileFormatError, InputError)):
        Plan.from_json(document)


@pytest.mark.parametrize("missing", ["format", "spec", "partitions", "fingerprint", "versions", "resolved"])
def test_documents_with_something_missing(plan: Plan, missing: str) -> None:
    document = {k: v for k, v in plan.to_json().items() if k != missing}
    with pytest.raises(FileFormatError):
        Plan.from_json(document)


def test_too_many_partitions_are_counted_first() -> None:
    spec = Spec.of({**SPEC, "partition": 1, "networks": [{**SPEC["networks"][0], "count": 1_000_001}]})
    with pytest.raises(InputError, match="at least 2 networks per partition"):
        make_plan(spec)
    with pytest.raises(InputError, match="expected a Spec"):
        make_plan(SPEC)
