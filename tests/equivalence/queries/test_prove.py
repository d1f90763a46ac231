"""Queries beside one linear program for each activation pattern, and the corners of the language."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.equivalence.queries.formulas import Atom, Both, Either, Formula, Variable, decimal, holds
from polyfiber.equivalence.queries.prove import prove
from polyfiber.equivalence.queries.vnnlib import Declared, Query, Tensor, parse_query
from tests.oracles.patterns import slack
from tests.oracles.rationals import outputs

ABSOLUTE = pf.ReLUNetwork([[[1.0], [-1.0]], [[1.0, 1.0]]], [[0.0, 0.0], [0.0]])
TIES = (
    "(assert (> Y_0 1.0))",
    "(assert (!= Y_0 X_0))(assert (>= X_0 0))",
    "(assert (> Y_0 0.1))(assert (<= X_0 -0.1))(assert (>= X_0 -0.1))",
)
ONE = "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (<= X_0 1))(assert (>= X_0 -1))"
TWO = """(vnnlib-version <2.0>)
(declare-network f (declare-input X Real [1]) (declare-output Y Real [1]))
(declare-network g ({} f) (declare-input A Real [1]) (declare-output B Real [1]))
(assert (<= X[0] 1.0)) (assert (>= X[0] -1.0))
"""


def asked(text: str, *networks: pf.ReLUNetwork) -> Any:
    return prove(parse_query(text), networks, budget=pf.Budget(seconds=1))


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("(assert (>= Y_0 1.0))", "sat"), ("(assert (> Y_0 1.0))", "unsat"), ("(assert (< Y_0 -0.01))", "unsat"),
        ("(assert (>= Y_0 0.1))(assert (<= X_0 -0.1))(assert (>= X_0 -0.1))", "sat"),  # one point, which is no float
        ("(assert (> Y_0 0.1))(assert (<= X_0 -0.1))(assert (>= X_0 -0.1))", "unsat"),
        ("(assert (>= (- Y_0 X_0) 1.5))", "sat"), ("(assert (> (- Y_0 X_0) 2.01))", "unsat"),  # inputs beside outputs
        ("(assert (or (and (>= X_0 0.5) (>= Y_0 2)) (and (<= X_0 -0.25) (<= X_0 -1) (>= Y_0 1))))", "sat"),
        ("(assert (or (and (>= X_0 0.5) (>= Y_0 2)) (and (<= X_0 -0.25) (<= X_0 -2))))", "unsat"),
        ("(assert (!= Y_0 X_0))(assert (>= X_0 0))", "unsat"), ("(assert (or (>= X_0 0.5) (>= Y_0 3)))", "sat"),
        ("(assert (>= (* 0.1 Y_0) 0.1))", "sat"), ("(assert (>= (* 0.3 Y_0) 0.3000001))", "unsat"), ("(assert (<= 2 1))", "unsat"),
    ],
)  # fmt: skip
def test_one_network(text: str, status: str) -> None:
    found = asked(ONE + text, ABSOLUTE)
    if found.status == "unknown":  # ties: the limit is attained, or nearly
        assert status == "unsat"
        assert text in TIES
        return
    assert found.status == status, found.reason
    if status == "sat":
        x = {Variable(0, False, 0): found.inputs[0][0], Variable(0, True, 0): found.outputs[0][0]}
        assert holds(found.query.formula, x)
        assert abs(found.inputs[0][0]) == found.outputs[0][0]


@pytest.mark.parametrize(
    ("kind", "text", "status"),
    [
        ("isomorphic-to", "(assert (== X[0] A[0])) (assert (> (- Y[0] B[0]) 0.51))", "unsat"),
        ("isomorphic-to", "(assert (== X[0] A[0])) (assert (> (- Y[0] B[0]) 0.49))", "sat"),
        ("equal-to", "(assert (<= (- A[0] X[0]) 0.1)) (assert (>= (- A[0] X[0]) -0.1)) (assert (> (- Y[0] B[0]) 0.11))", "unsat"),
        ("equal-to", "(assert (<= (- A[0] X[0]) 0.1)) (assert (>= (- A[0] X[0]) -0.1)) (assert (> (- Y[0] B[0]) 0.09))", "sat"),
        ("equal-to", "(assert (<= A[0] 2.0)) (assert (>= A[0] -2.0)) (assert (> (- B[0] Y[0]) 1.9))", "sat"),
        ("equal-to", "(assert (<= A[0] 2.0)) (assert (>= A[0] -2.0)) (assert (> (- B[0] Y[0]) 2.1))", "unsat"),
        ("equal-to", "(assert (== (+ X[0] A[0]) 0.0)) (assert (>= A[0] -1.5)) (assert (> (- B[0] Y[0]) 0.1))", "unsat"),
    ],
)  # fmt: skip
def test_two_networks(kind: str, text: str, status: str) -> None:
    pytest.importorskip("vnnlib")
    halved = pf.ReLUNetwork(ABSOLUTE.weights, [*ABSOLUTE.biases[:-1], [-0.5]])
    found = asked(TWO.format(kind) + text, *([ABSOLUTE] if kind == "equal-to" else [ABSOLUTE, halved]))
    assert found.status in (status, "unknown") if "==" in text and "+" in text else found.status == status
    if found.status == "sat":
        lines = found.to_text().split("\n")
        assert lines[0] == "sat"
        assert [line.split()[0] for line in lines[1::2]] == ["X", "Y", "A", "B"]


def test_widths_may_differ_and_outputs_too() -> None:
    pytest.importorskip("vnnlib")
    g = pf.ReLUNetwork([[[1.0], [2.0], [0.5]], np.ones((2, 3))], [np.zeros(3), [0.0, 5.0]])
    text = TWO.replace("({} f)", "").replace("B Real [1]", "B Real [2]") + "(assert (== X[0] A[0]))"
    assert asked(text + "(assert (> (+ Y[0] B[1]) 9.6))", ABSOLUTE, g).status == "unsat"
    assert asked(text + "(assert (> (+ Y[0] B[1]) 9.4))", ABSOLUTE, g).status == "sat"


def random_query(rng: Any) -> tuple[Query, list[pf.ReLUNetwork], list[Any], Any, Any]:
    """A random query about one or two small networks, and the same for the oracle: a list of cases."""
    count = int(rng.integers(1, 3))
    n, m = int(rng.integers(1, 3)), int(rng.integers(1, 3))
    hidden = [[3] if count == 2 else [3, 2], [2]]
    nets = [pf.ReLUNetwork.random((n, *hidden[k], m), rng=rng) for k in range(count)]
    nets = [
        pf.ReLUNetwork([np.round(4 * W) / 4 for W in f.weights], [np.round(4 * b) / 4 for b in f.biases]) for f in nets
    ]
    lo, hi = np.full(n, -1.0), np.array([1.0, 0.5][:n])
    atoms: list[Formula] = []
    for k in range(count):
        for i in range(n):
            x, z = Variable(0, False, i), Variable(k, False, i)
            if k:
                atoms += [Atom({x: Fraction(s), z: Fraction(-s)}, Fraction(0), False) for s in (1, -1)]
            else:
                atoms += [
                    Atom({x: Fraction(1)}, -Fraction(hi[i]), False),
                    Atom({x: Fraction(-1)}, Fraction(lo[i]), False),
                ]
    cases, formulas = [], []
    for _ in range(int(rng.integers(1, 4))):
        case: list[Any] = []
        parts: list[Formula] = []
        for _ in range(int(rng.integers(1, 3))):
            terms: dict[Any, float] = {}
            for _ in range(int(rng.integers(1, 4))):
                output = bool(rng.random() < 0.75)
                v = (int(rng.integers(count)) if output else 0, output, int(rng.integers(m if output else n)))
                terms[v] = float(rng.integers(-3, 4)) / float(rng.choice([1, 4, 3]))
            terms = {v: c for v, c in terms.items() if c} or {(0, True, 0): 1.0}
            constant = float(rng.normal())
            case.append((terms, constant))
            parts.append(
                Atom(
                    {Variable(*v): Fraction(c) for v, c in terms.items()}, Fraction(constant), bool(rng.random() < 0.5)
                )
            )
        cases.append(case)
        formulas.append(Both(tuple(parts)))
    declared = tuple(
        Declared(f"N{k}", (Tensor(f"X{k}", "Real", (n,), 0),), (Tensor(f"Y{k}", "Real", (m,), 0),))
        for k in range(count)
    )
    return Query(2, declared, Both((*atoms, Either(tuple(formulas))))), nets, cases, lo, hi


def judged(rng: Any) -> str:
    """What a random query is answered, beside the oracle: 'right', 'undecided', or what is wrong."""
    query, nets, cases, lo, hi = random_query(rng)
    found = prove(query, nets, budget=pf.Budget(seconds=5))
    plain = [(list(f.weights), list(f.biases)) for f in nets]
    true = max(slack(plain, case, lo, hi) for case in cases)
    if found.status == "unsat":
        return "right" if true < 1e-6 else f"WRONG: unsat, but there is room of {true}"
    if found.status == "unknown":
        return "right" if abs(true) < 1e-6 else f"undecided: {found.reason}, room {true}"
    at = {}
    for k, (f, x) in enumerate(zip(nets, found.inputs)):
        y = outputs(f, x)
        at |= {Variable(k, False, i): Fraction(v) for i, v in enumerate(x)} | {
            Variable(k, True, i): v for i, v in enumerate(y)
        }
    return "right" if holds(query.formula, at) and true > -1e-6 else f"WRONG: sat, but room {true}"


@pytest.mark.parametrize("seed", range(10))
def test_beside_one_program_for_each_pattern(seed: int) -> None:
    assert judged(np.random.default_rng(seed)) == "right"


def test_limits_and_errors() -> None:
    query = parse_query("(declare-const X_0 Real)(declare-const Y_0 Real)(assert (<= X_0 1))(assert (>= Y_0 1))")
    with pytest.raises(pf.errors.InputError, match="bound"):
        prove(query, [ABSOLUTE])
    with pytest.raises(pf.errors.InputError, match="no bounds"):
        asked("(declare-const X_0 Real)(declare-const Y_0 Real)(assert (>= Y_0 1))", ABSOLUTE)
    with pytest.raises(pf.errors.ShapeError, match="needs 1 network "):
        asked(ONE, ABSOLUTE, ABSOLUTE)
    with pytest.raises(pf.errors.ShapeError, match="declared with 1 input "):
        asked(ONE, pf.ReLUNetwork.random((2, 2, 1), rng=0))
    wide = pf.ReLUNetwork.random((3, 40, 40, 1), rng=0)
    text = "".join(f"(declare-const X_{i} Real)(assert (<= X_{i} 9))(assert (>= X_{i} -9))" for i in range(3))
    found = prove(
        parse_query(text + "(declare-const Y_0 Real)(assert (>= Y_0 1e6))"), [wide], budget=pf.Budget(seconds=0)
    )
    assert found.status in ("unknown", "unsat")


def test_domains_by_inequalities_alone() -> None:
    text = "(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)"
    text += "(assert (<= (+ X_0 X_1) 1))(assert (>= X_0 0))(assert (>= X_1 0))"
    net = pf.ReLUNetwork([np.eye(2), [[1.0, 1.0]]], [np.zeros(2), [0.0]])
    assert asked(text + "(assert (>= Y_0 1.0000001))", net).status == "unsat"
    assert asked(text + "(assert (>= Y_0 0.99))", net).status == "sat"


def test_decimals_are_read_back() -> None:
    for value in (Fraction(1, 10), Fraction(0.1), Fraction(-3), Fraction(1e-30), Fraction("0.679857769")):
        back = Fraction(decimal(value))
        assert back == value or float(back) == float(value)
