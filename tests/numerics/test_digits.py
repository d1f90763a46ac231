"""Texts of rationals against Python's own, and beyond the digits that Python converts."""

from __future__ import annotations

import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyfiber.errors import FileFormatError, InputError
from polyfiber.numerics.digits import MOST, PIECE, check_digits, fraction_of, text_of


@settings(max_examples=25, deadline=None)
@given(st.fractions())
def test_texts_are_those_of_python(value: Fraction) -> None:
    assert text_of(value) == str(value)
    assert fraction_of(text_of(value)) == value


@pytest.mark.parametrize("digits", [PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 7])
def test_more_digits_than_python_converts(digits: int) -> None:
    value = Fraction(10 ** (digits - 1) + 1, 2)
    text = text_of(-value)
    assert text == "-1" + (digits - 2) * "0" + "1/2"
    assert fraction_of(text) == -value
    if digits > sys.get_int_max_str_digits() > 0:
        with pytest.raises(ValueError, match="limit"):
            str(value)


def test_floats_are_the_rationals_they_store() -> None:
    assert text_of(0.1) == "3602879701896397/36028797018963968"
    assert text_of(-0.0) == "0"


@pytest.mark.parametrize("text", ["", "-", "1/0", "1/00", "0.5", "1e3", " 1", "1 ", "--1", "1/-2", "+1", "１", "1/2/3"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="no fraction"):
        fraction_of(text)


def test_the_limit_of_digits() -> None:
    assert fraction_of("0" * (MOST - 1) + "7") == 7
    with pytest.raises(InputError, match="no fraction"):
        fraction_of("0" * MOST + "7")


def test_work_is_counted_before_it_is_done() -> None:
    short, long = np.array(["1/3"] * 50), np.array(["{" + "1" * 90_000 + "}", "7" * 90_000])
    check_digits([short, long, np.ones(3)])
    with pytest.raises(FileFormatError, match="the limit is 10 s"):
        check_digits([np.array(["7" * 90_000])] * 300)
