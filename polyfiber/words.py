"""How answers are worded: counts, neurons, domains, numbers, lines that stay short.

Every answer begins with a sentence for someone who has not read the papers: what is so, up to what, how sure, what to
do next. Results have it as ``sentence``, ``str(result)`` begins with it, and the command line prints it first. The same
words name the same things everywhere: *neuron 3 of layer 2* (layers from 1, neurons from 0), *yes* and *no*, *inf*.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from enum import Enum
from fractions import Fraction
from numbers import Rational
from typing import Any

LINE = 200
"""Characters of a one-line ``repr``, at most."""


_at_terminal: ContextVar[bool] = ContextVar("polyfiber_at_terminal", default=False)
"""Whether a command answers."""


@contextmanager
def at_terminal() -> Iterator[None]:
    """Within this block sentences are read at a terminal, where options are typed."""
    token = _at_terminal.set(True)
    try:
        yield
    finally:
        _at_terminal.reset(token)


def way(typed: str, called: str) -> str:
    """How a reader does something: an option where a command answers, an argument, method or function in Python.

    Examples
    --------
    >>> way("--prove", "prove=True")
    'prove=True'
    >>> with at_terminal():
    ...     way("--prove", "prove=True")
    '--prove'
    """
    return typed if _at_terminal.get() else called


def count(n: Any, noun: str, plural: str | None = None) -> str:
    """A number, or its text, with its noun.

    Examples
    --------
    >>> count(1, "region"), count(3, "vertex", "vertices"), count(0, "region")
    ('1 region', '3 vertices', 'no regions')
    """
    many = plural or f"{noun}s"
    return f"no {many}" if n in (0, "0") else f"{n} {noun if n in (1, '1') else many}"


def every(n: int, noun: str, plural: str | None = None, each: str = "all") -> str:
    """All of a number of things.

    Examples
    --------
    >>> every(1, "region"), every(3, "region"), every(3, "region", each="one of")
    ('the only region', 'all 3 regions', 'one of 3 regions')
    """
    return f"the only {noun}" if n == 1 else f"{each} {n} {plural or f'{noun}s'}"


def about(n: Any) -> str:
    """A large count in a few digits, also where floats do not hold it.

    Examples
    --------
    >>> about(1234567), about(7 * 10**400)
    ('1.23e+06', '1e+400')
    """
    try:
        return f"{float(n):.3g}"
    except OverflowError:
        return f"1e+{int(math.log10(n))}"


def size(n_bytes: int) -> str:
    """Bytes in the unit in which they are read.

    >>> size(5), size(43648), size(4096 * 10**9), size(10**300)
    ('5 bytes', '43.6 kB', '4096 GB', '1e+291 GB')
    """
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if 10000 * n_bytes >= 9995 * unit:
            near = f"{n_bytes / unit:.3g}" if n_bytes < 999 * unit else str(n_bytes // unit)
            return f"{near if n_bytes < 10**15 else about(n_bytes // unit)} {name}"
    return count(n_bytes, "byte")


def listed(items: Iterable[Any], most: int = 4) -> str:
    """A list in words, cut where it gets long.

    Examples
    --------
    >>> listed([1, 2, 3]), listed(range(9))
    ('1, 2 and 3', '0, 1, 2, 3 and 5 more')
    """
    texts = [str(i) for i in items]
    if len(texts) > most + 1:
        texts = [*texts[:most], f"{len(texts) - most} more"]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}" if texts else "none"


def neuron(layer: int, position: int) -> str:
    """The name of a hidden neuron: layers count from 1, neurons of a layer from 0."""
    return f"neuron {position} of layer {layer}"


def neurons(layer: int, positions: Sequence[int]) -> str:
    """Neurons of one layer.

    Examples
    --------
    >>> neurons(2, [0, 3]), neurons(1, [5])
    ('neurons 0 and 3 of layer 2', 'neuron 5 of layer 1')
    """
    return neuron(layer, positions[0]) if len(positions) == 1 else f"neurons {listed(positions)} of layer {layer}"


def widths(architecture: Sequence[int]) -> str:
    """An architecture: ``2-8-8-1``; of a deep one the ends.

    Examples
    --------
    >>> widths((2, 8, 8, 1))
    '2-8-8-1'
    """
    texts = [str(w) for w in architecture]
    return "-".join(texts if len(texts) <= 12 else [*texts[:5], "…", *texts[-5:]])


def number(value: Any) -> str:
    """A number to six digits, also one that no float is near; ``inf``, ``-inf``.

    Examples
    --------
    >>> from fractions import Fraction
    >>> number(1 / 3), number(Fraction(-(10**400), 3)), number(Fraction(1, 10**400))
    ('0.333333', '-3.33333e+399', '1e-400')
    """
    if isinstance(value, Rational) and value and not 1e-300 < abs(Fraction(value)) < 10**300:
        near = Context(prec=6).divide(Decimal(int(value.numerator)), Decimal(int(value.denominator)))
        return f"{near.normalize():g}"
    return f"{float(value):.6g}"


def at_most(value: Any, digits: int = 6) -> str:
    """A bound from above, rounded up: what is printed is a bound too.

    Examples
    --------
    >>> at_most(0.246799502), at_most(0.25), at_most(-0.246799502), at_most(float("inf"))
    ('0.2468', '0.25', '-0.246799', 'inf')
    """
    return _to_one_side(float(value), digits, ROUND_CEILING)


def at_least(value: Any, digits: int = 6) -> str:
    """A bound from below, rounded down.

    Examples
    --------
    >>> at_least(0.246799502), at_least(0.25)
    ('0.246799', '0.25')
    """
    return _to_one_side(float(value), digits, ROUND_FLOOR)


def _to_one_side(value: float, digits: int, rounding: str) -> str:
    if not math.isfinite(value):
        return str(value)
    near = Context(prec=digits, rounding=rounding).create_decimal(value)  # no float, which would round once more
    text = f"{near:.{digits}g}"
    return re.sub(r"(\.\d*?)0+(e|$)", r"\1\2", text).replace(".e", "e").removesuffix(".") if "." in text else text


def place(domain: Any, dimension: int) -> str:
    """Where something holds.

    Examples
    --------
    >>> import polyfiber as pf
    >>> place(None, 3), place(pf.Box(-1, 1, dimension=3), 3), place(pf.Box([0, -1], [1, 2]), 2)
    ('on all of R^3', 'on the box [-1, 1]^3', 'on the box [0, 1] x [-1, 2]')
    """
    if domain is None:
        return f"on all of R^{dimension}"
    if not hasattr(domain, "lo"):
        return f"on the polyhedron of {count(domain.n_facets, 'inequality', 'inequalities')}"
    sides = [f"[{number(a)}, {number(b)}]" for a, b in zip(domain.lo, domain.hi)]
    if len(sides) > 1 and len(set(sides)) == 1:
        return f"on the box {sides[0]}^{len(sides)}"
    if len(sides) > 4:
        sides = [*sides[:2], "…", sides[-1]]
    return f"on the box {' x '.join(sides)}"


def short(text: str, most: int = LINE) -> str:
    """One line of at most so many characters.

    Examples
    --------
    >>> short("a long story", 8)
    'a long …'
    """
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def shape(array: Any) -> str:
    """The shape of an array, for a repr: ``3x4``."""
    return "x".join(map(str, getattr(array, "shape", ()))) or "1"


def brief(value: Any) -> str:
    """A part of a value in a few characters: numbers by six digits, arrays by shape, what is longer by how much there
    is.

    Examples
    --------
    >>> import numpy as np
    >>> brief(np.zeros((3, 4))), brief(0.12345678), brief((1, 2)), brief({"a": 1})
    ('array 3x4', '0.123457', '(1, 2)', '1 entry')
    """
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if value is None or isinstance(value, bool | int):
        return repr(value)
    if isinstance(value, str):
        return repr(short(value, 40))
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"array {shape(value)}" if value.shape else brief(value.item())
    if isinstance(value, list | tuple):
        parts = [brief(v) for v in value[:8]]
        if len(value) <= 8 and sum(map(len, parts)) <= 48:
            left, right = "[]" if isinstance(value, list) else "()"
            return left + ", ".join(parts) + ("," if len(parts) == 1 and left == "(" else "") + right
        return f"{len(value)} items"
    if isinstance(value, dict):
        return f"{len(value)} {'entry' if len(value) == 1 else 'entries'}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 and " object at 0x" not in text else f"{type(value).__name__}(…)"


def one_line(value: Any) -> str:
    """A repr of at most `LINE` characters: the class, and its fields by `brief` while there is room.

    For results whose fields hold arrays; a class takes it by ``__repr__ = one_line``.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> import numpy as np
    >>> @dataclass
    ... class Point:
    ...     x: object
    ...     error: float
    ...     __repr__ = one_line
    >>> Point(np.zeros(500), 1e-17)
    Point(x=array 500, error=1e-17)
    """
    fields = getattr(type(value), "__dataclass_fields__", None)
    own = getattr(value, "_fields", None) or list(getattr(value, "__dict__", ()))  # a named tuple, or any object
    names = own if fields is None else [n for n, f in fields.items() if f.repr]
    text = f"{type(value).__name__}("
    for i, name in enumerate(n for n in names if not n.startswith("_")):
        part = f"{', ' if i else ''}{name}={brief(getattr(value, name, None))}"
        if len(text) + len(part) > LINE - 5:
            return text + ", …)"
        text += part
    return text + ")"


class Sentence:
    """A result whose ``str`` is its sentence, and whose ``repr`` is one short line."""

    @property
    def sentence(self) -> str:
        """What is so, how sure, and what to do next."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.sentence
