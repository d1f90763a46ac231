"""Query files: both versions, and what is refused."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import pytest

import polyfiber as pf
from polyfiber.equivalence.queries.formulas import Variable, cases, holds
from polyfiber.equivalence.queries.vnnlib import number, parse_query, read_query

ONE = "(declare-const X_0 Real) (declare-const X_1 Real) (declare-const Y_0 Real) ; a remark (\n"
TWO = """(vnnlib-version <2.0>)
(declare-network f (declare-input X Real [1,2]) (declare-output Y Real [2]))
(declare-network g (isomorphic-to f) (declare-input A Real [1,2]) (declare-output B Real [2]))
"""


def test_version_1() -> None:
    query = parse_query(ONE + "(assert (or (and (<= X_0 (+ X_1 (* 2 Y_0) (- 0.5))) (>= X_1 1e-1)) (< Y_0 (- 3 1 .5))))")
    assert (query.version, query.networks[0].n_inputs, query.networks[0].n_outputs) == (1, 2, 1)
    assert [len(case) for case in cases(query.formula)] == [2, 1]
    x, z, y = Variable(0, False, 0), Variable(0, False, 1), Variable(0, True, 0)
    at = {x: Fraction("7.6"), z: Fraction("0.1"), y: Fraction(4)}
    assert holds(query.formula, at)
    assert not holds(query.formula, {**at, x: Fraction("7.601")})
    assert not holds(query.formula, {**at, x: Fraction(9), y: Fraction(3, 2)})
    assert holds(query.formula, {**at, x: Fraction(9), y: Fraction("1.4")})


def test_version_2() -> None:
    pytest.importorskip("vnnlib")
    query = parse_query(TWO + "(assert (== X[0,1] A[0,1])) (assert (or (> (- Y[1] B[1]) 0.05) (!= (* 2.0 B[0]) -0.5)))")
    assert [net.isomorphic_to for net in query.networks] == ["", "f"]
    assert [len(case) for case in cases(query.formula)] == [3, 3, 3]
    at = {Variable(k, output, i): Fraction(0) for k in (0, 1) for output in (False, True) for i in (0, 1)}
    at[Variable(1, True, 0)] = Fraction(-1, 4)
    assert not holds(query.formula, at)
    assert not holds(query.formula, {**at, Variable(0, True, 1): Fraction(1, 20)})
    assert holds(query.formula, {**at, Variable(0, True, 1): Fraction("0.0500000001")})


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vnnlib", None)
    with pytest.raises(pf.errors.MissingDependencyError, match=r"polyfiber\[vnnlib\]"):
        parse_query(TWO + "(assert (<= Y[1] 0.0))")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "is empty"), ("; nothing\n", "is empty"), ("(assert (<= X_0 1)", "brackets"), (")(", "brackets"),
        ("(" * 300 + ")" * 300, "200 inside each other"), ("(assert (<= X_0 1))", "at least one each"),
        (ONE + "(assert (<= X_0 one))", "decimal number"), (ONE + "(assert (<= X_0 1e999))", "beyond the range"),
        (ONE + "(assert (<= X_0))", "comparison of two terms"), (ONE + "(assert (not (<= X_0 1)))", "expected and, or"),
        (ONE + "(assert (<= X_2 1))", "uses entry 2 of 2"), (ONE + "(check-sat)", r"expected \(declare-const"),
        (ONE + "(assert (<= (* X_0 Y_0) 1))", "product of two"), (ONE + "(declare-const Z_0 Real)", "X_i or an output"),
        (ONE + "(declare-const Y_1 Int)", "expected Real"), (ONE + "(assert (<= () 1))", "expected a term"),
        (ONE + "(assert (<= (+) 1))", "expected a term"), (ONE + "(assert X_0)", "expected a comparison"),
    ],
)  # fmt: skip
def test_what_is_no_query_is_refused(text: str, what: str) -> None:
    with pytest.raises(pf.errors.InputError, match=what):
        parse_query(text)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("(vnnlib-version <2.0>) (assert (<= 1 2))", "no query of VNN-LIB 2"),
        (TWO + "(assert (<= Y[2] 1.0))", "no query of VNN-LIB 2"), (TWO + "(assert (<= (* Y[0] Y[1]) 1.0))", "product of two"),
        (TWO.replace("Real", "int8") + "(assert (<= Y[1] 1))", "element type"),
        (TWO + "(declare-network h (declare-input C Real [1]) (declare-output D Real [1])) (assert (<= D[0] 1.0))", "3 networks"),
        (TWO.replace("[1,2]", "[99999,99999]") + "(assert (<= Y[1] 1.0))", "entries"),
        ('(vnnlib-version <2.0>)(declare-network f (declare-input X Real [1])(declare-hidden H Real [1] "h")'
         "(declare-output Y Real [1]))(assert (<= H[0] 1.0))", "hidden nodes"),
    ],
)  # fmt: skip
def test_what_version_2_cannot_say_is_refused(text: str, what: str) -> None:
    pytest.importorskip("vnnlib")
    with pytest.raises(pf.errors.InputError, match=what):
        parse_query(text)


def test_files(tmp_path: Path) -> None:
    with pytest.raises(pf.errors.FileFormatError, match="cannot be read"):
        read_query(tmp_path / "none.vnnlib")
    (tmp_path / "bytes.vnnlib").write_bytes(b"\xff\xfe(")
    with pytest.raises(pf.errors.FileFormatError, match="cannot be read"):
        read_query(tmp_path / "bytes.vnnlib")


def test_numbers_are_what_is_written() -> None:
    assert number("0.1") == Fraction(1, 10) != Fraction(0.1)
    for text in ("", "0x1p3", "1/3", "nan", "inf", "1" * 5000, "--1", "1e99999"):
        with pytest.raises(pf.errors.FileFormatError):
            number(text)
