"""What a page says, as plain data: sections with a sentence, rows, a table, remarks and commands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .. import words
from ..numerics.floats import as_float
from ..verdict import Verdict
from ..words import one_line

MOST_LINES = 40
"""Rows, moves and remarks of a section that are written out; of more, the first and how many there are."""

LONGEST = 400
"""Characters of one cell."""


@dataclass(frozen=True)
class Section:
    """One question of a page and its answer.

    Attributes
    ----------
    name : str
        Of the anchor.
    title : str
        The question.
    lead : str
        The answer in a sentence.
    state : Verdict or None
        Shown as a mark; None where the section gives no verdict.
    word : str
        Of the mark; by default 'certified', 'no' or 'open'.
    rows : sequence of pairs of str
    header, table : sequence of str, sequence of rows
    remarks : sequence of str
    commands : sequence of str
        What to type to see or check it.
    waits : bool
        Whether more time or a smaller domain may settle what is open.
    """

    __repr__ = one_line

    name: str
    title: str
    lead: str
    state: Verdict | None = None
    word: str = ""
    rows: Sequence[tuple[str, str]] = ()
    header: Sequence[str] = ()
    table: Sequence[Sequence[str]] = ()
    remarks: Sequence[str] = ()
    commands: Sequence[str] = ()
    waits: bool = True


def count(n: int, one: str, many: str | None = None) -> str:
    """A number and its noun.

    Examples
    --------
    >>> count(1, "region"), count(12000, "vertex", "vertices")
    ('1 region', '12,000 vertices')
    """
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def number(value: Any, digits: int = 6) -> str:
    """A number as a page writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    try:
        return f"{float(value):.{digits}g}"
    except (TypeError, ValueError, OverflowError):
        return str(value)


def point(values: Any) -> str:
    """A point to paste; the beginning of a long one."""
    shown = list(values[:12])
    texts = [words.number(v) if math.isinf(w := as_float(v)) else f"{w:.17g}" for v in shown]
    return f"({', '.join(texts)}{', …' if len(values) > 12 else ''})"


def first(lines: Sequence[str], what: str = "more") -> list[str]:
    """The first lines, shortened, and how many follow."""
    shown = [t if len(t) <= LONGEST else t[: LONGEST - 1] + "…" for t in lines[:MOST_LINES]]
    if len(lines) > MOST_LINES:
        shown.append(f"… and {len(lines) - MOST_LINES:,} {what}")
    return shown
