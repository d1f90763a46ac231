"""Findings about gates, against signs and forms of all regions by brute force."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import InputError
from polyfiber.fibers.gates import findings
from polyfiber.fibers.gates.findings import gate_findings
from polyfiber.testing.graphs import random_graph
from scripts.attacks.complexes.gates import attack


def test_the_attack_finds_nothing() -> None:
    _, wrong = attack(seed=300, count=10, seconds=60.0, parts=("findings", "removal"))
    assert not wrong


def kinds(net: pf.PiecewiseLinearNetwork, domain: pf.Box | None = None) -> dict[str, list[tuple[int, tuple[int, ...]]]]:
    found: dict[str, list[tuple[int, tuple[int, ...]]]] = {}
    for f in gate_findings(net, domain):
        found.setdefault(f.kind, []).append((f.layer, f.neurons))
    return found


def test_each_kind() -> None:
    first = pf.GateBlock({0: [[1.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 1.0]]}, [0.0, 0.0, 5.0, -5.0, 0.5])
    second = pf.GateBlock({0: [[2.0, 0.0]]}, [0.0], slopes=(-1, 1))
    net = pf.PiecewiseLinearNetwork(
        2, [first, second], pf.AffineMap({1: [[1.0, 1.0, 1.0, 1.0, 0.0]], 2: [[1.0]]}, [0.0])
    )
    assert kinds(net, pf.Box([-1, -1], [1, 1])) == {
        "unused": [(1, (4,))], "linear": [(1, (2,))], "dead": [(1, (3,))], "opposite": [(1, (0, 1))], "duplicate": [(2, (0,))],
    }  # fmt: skip
    hidden = pf.PiecewiseLinearNetwork(
        1, [pf.GateBlock({0: [[1.0]]}, [0.0]), pf.GateBlock({1: [[1.0]]}, [1.0])], pf.AffineMap({2: [[1.0]]}, [0.0])
    )
    assert kinds(hidden) == {"linear": [(2, (0,))]}


def test_bounds_where_no_complex_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    net, box = random_graph(2, 2, (6, 5), kind="leaky", wiring="residual"), pf.Box(-0.1, 0.1, dimension=2)
    exact = {(f.kind, f.layer, f.neurons) for f in gate_findings(net, box)}
    monkeypatch.setattr(findings, "MOST_FACES", 0)
    found = gate_findings(net, box)
    assert {(f.kind, f.layer, f.neurons) for f in found} <= exact
    assert {f.by for f in found} == {"linear bounds"}
    with pytest.raises(InputError, match="bounded domain"):
        gate_findings(net)


def test_chains_are_refused() -> None:
    with pytest.raises(InputError, match="classify_fiber"):
        gate_findings(pf.ReLUNetwork.random((2, 3, 1), rng=np.random.default_rng(0)))  # type: ignore[arg-type]
