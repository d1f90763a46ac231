"""What the texts of options mean, and which are refused before any file is opened."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

import polyfiber as pf
from polyfiber.cli.grammar import parsing as module
from polyfiber.errors import InputError


def test_domains(tmp_path: Path) -> None:
    assert module.parse_domain(None, 2) is None
    assert module.parse_domain(" ALL ", 2) is None
    both = module.parse_domain("-1:1", 2)
    assert isinstance(both, pf.Box)
    assert (both.lo.tolist(), both.hi.tolist()) == ([-1, -1], [1, 1])
    each = module.parse_domain("0,1,2,3", 2)
    assert isinstance(each, pf.Box)
    assert (each.lo.tolist(), each.hi.tolist()) == ([0, 2], [1, 3])
    np.savez(tmp_path / "d.npz", A=[[1.0, 1.0]], b=[1.0])
    assert module.parse_domain(str(tmp_path / "d.npz"), 2).contains([0.0, 0.5])  # type: ignore[union-attr]
    for text, n in (("0,1,0,1", 3), (str(tmp_path / "d.npz"), 3)):
        with pytest.raises(InputError):
            module.parse_domain(text, n)
    np.savez(tmp_path / "e.npz", A=[[1.0]])
    with pytest.raises(InputError, match="expected arrays A and b"):
        module.parse_domain(str(tmp_path / "e.npz"), 1)


@pytest.mark.parametrize("text", ["", "1", "1,0", "a,b", "0,inf", "nan,1", "0,1,2", "1,1,3,2"])
def test_domains_that_are_none(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        module.one_domain([text])


def test_one_domain_at_most() -> None:
    assert module.one_domain(["0,1"]) == ["0,1"]
    assert module.one_domain(None) is None
    with pytest.raises(typer.BadParameter, match="are one option"):
        module.one_domain(["0,1", "0,2"])


def test_points() -> None:
    assert module.parse_point(None, 2, "the point") == [0.0, 0.0]
    assert module.parse_point("0.5", 3, "the point") == [0.5] * 3
    assert module.parse_point("1,-2", 2, "the point") == [1.0, -2.0]
    with pytest.raises(InputError, match="has 3 numbers; the network has 2"):
        module.parse_point("1,2,3", 2, "the point")


@pytest.mark.parametrize(
    ("read", "text", "found"),
    [
        (module.parse_widths, "4,6,5", (4, 6, 5)), (module.parse_widths, "4-6 - 5", (4, 6, 5)), (module.parse_widths, "4x6", (4, 6)),
        (module.parse_axes, "2,0", [2, 0]), (module.parse_level, "1/3", Fraction(1, 3)), (module.parse_level, "0.1", Fraction(1, 10)),
        (module.parse_level, "-2e-3", Fraction(-1, 500)), (module.readable_depth, "12", "12"), (module.readable_depth, "inf", "inf"),
        (module.readable_seconds, 0.0, 0.0), (module.readable_memory, "1GiB", "1GiB"),
    ],
)  # fmt: skip
def test_texts_that_are_read(read: Any, text: Any, found: Any) -> None:
    assert read(text) == found


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (module.parse_widths, "4"), (module.parse_widths, "4,,5"), (module.parse_widths, "0,2"), (module.parse_widths, "a,2"),
        (module.parse_axes, "0,0"), (module.parse_axes, "-1"), (module.parse_axes, "0,1,2,3"), (module.parse_level, "x"),
        (module.parse_level, "1/0"), (module.parse_level, "inf"), (module.parse_level, "1e999999999"),
        (module.readable_depth, "0"), (module.readable_depth, "-1"), (module.readable_depth, "1.5"), (module.readable_depth, "²"),
        (module.readable_seconds, -1.0), (module.readable_seconds, float("nan")), (module.readable_memory, "much"),
    ],
)  # fmt: skip
def test_texts_that_are_usage_errors(read: Any, text: Any) -> None:
    with pytest.raises(typer.BadParameter):
        read(text)


def test_ranges() -> None:
    assert module.parse_ranges(None, "--partitions") is None
    assert module.parse_ranges("0,3-5, 9", "--partitions") == [0, 3, 4, 5, 9]
    assert module.parse_ranges("4-4", "--partitions") == [4]


@pytest.mark.parametrize("text", ["", "-3", "7-3", "1-2-3", "a", "²", "1,", "0-99999999999", "1-" + "9" * 400])
def test_ranges_that_say_nothing_or_too_much(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="--partitions: "):
        module.parse_ranges(text, "--partitions")
