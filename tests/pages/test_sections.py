"""Words and numbers of a page."""

from __future__ import annotations

import pytest

from polyfiber.pages.sections import MOST_LINES, count, first, number, point


def test_numbers_are_written_for_people() -> None:
    assert number(1234567) == "1,234,567"
    assert number(0.1234567891) == "0.123457"
    assert number(True) == "yes"
    assert number(10**400) == f"{10**400:,}"
    assert count(0, "face") == "0 faces"


def test_points_can_be_pasted_back() -> None:
    x = [0.1, -1 / 3]
    assert [float(v) for v in point(x).strip("()").split(",")] == x


@pytest.mark.parametrize("n", [0, MOST_LINES, MOST_LINES + 1])
def test_long_lists_say_how_many_follow(n: int) -> None:
    lines = first([f"line {i}" for i in range(n)], "lines")
    assert len(lines) == min(n, MOST_LINES) + (n > MOST_LINES)
    assert ("… and 1 lines" in lines) == (n > MOST_LINES)
