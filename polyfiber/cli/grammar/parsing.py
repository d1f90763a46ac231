"""What the texts of options mean: domains, points, widths, levels.

One rule of exit codes: what is wrong whatever the files hold is a usage error (2); what only a file can tell, and files
themselves, are bad input (4). One grammar of domains for every command, see `DOMAIN_HELP`.
"""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ... import words
from ...errors import InputError
from ...memory import parse_bytes

if TYPE_CHECKING:
    from ...domain import Polyhedron

DOMAIN_FORMS = "lo,hi for every input; lo1,hi1,lo2,hi2,… for each; a file .npz with arrays A and b for A x <= b"
DOMAIN_HELP = f"Where to look: {DOMAIN_FORMS}; all (the default) for every input there is."
MOST = 10_000_000
"""Numbers that ranges may name."""
EVERYWHERE = ("all", "none", "r^n")


def numbers(text: str, what: str, example: str) -> list[float]:
    """Finite numbers between commas (a colon may stand between the two ends of an interval)."""
    try:
        found = [float(part) for part in text.replace(":", ",").split(",") if part.strip()]
    except ValueError:
        found = []
    if not found or not all(abs(v) < float("inf") for v in found):
        raise typer.BadParameter(f"cannot read {what} {text!r}; expected finite numbers such as {example}")
    return found


def everywhere(text: str | None) -> bool:
    """Whether a text stands for all inputs."""
    return text is None or text.strip().lower() in EVERYWHERE


def one_domain(texts: list[str] | None) -> list[str] | None:
    """The texts themselves, after a look at their number and form: run by the parser, before any file is opened."""
    if texts and len(texts) > 1:
        raise typer.BadParameter(f"--domain and --box are one option; found {' and '.join(texts)}, give one")
    for text in texts or ():
        readable_domain(text)
    return texts


def readable_seconds(value: float | None) -> float | None:
    """A number of seconds, after a look at it."""
    if value is not None and not value >= 0:
        raise typer.BadParameter(f"found {value:g} seconds; expected a number >= 0")
    return value


def readable_depth(text: str | None) -> str | None:
    """A number of layers, or inf, after a look at its form."""
    if text is not None and text != "inf" and not (text.isascii() and text.isdigit() and int(text[:9]) >= 1):
        raise typer.BadParameter(f"cannot read the depth {text!r}; expected a whole number from 1 on, or inf")
    return text


def readable_memory(text: str | None) -> str | None:
    """An amount of memory, after a look at its form."""
    if text is not None:
        try:
            parse_bytes(text)
        except InputError as error:
            raise typer.BadParameter(str(error)) from None
    return text


def readable_domain(text: str | None) -> str | None:
    """The text itself, after a look at its form."""
    if text is not None and not everywhere(text) and not text.endswith(".npz"):
        found = numbers(text, "the domain", "-1,1 or 0,1,0,2")
        if len(found) % 2:
            raise typer.BadParameter(
                f"the domain {text!r} has {words.count(len(found), 'number')}; expected a lower and an upper end for each"
            )
        for low, high in zip(found[0::2], found[1::2]):
            if low > high:
                raise typer.BadParameter(f"the domain {text!r} is empty: {low:g} is above {high:g}")
    return text


def parse_domain(text: str | None, dimension: int) -> Polyhedron | None:
    """A domain as `DOMAIN_HELP` says; None for all inputs."""
    from ...domain import Box

    if readable_domain(text) is None or everywhere(text):
        return None
    text = str(text)
    if text.endswith(".npz"):
        return _polyhedron(Path(text), dimension)
    found = numbers(text, "the domain", "-1,1 or 0,1,0,2")
    if len(found) == 2:
        return Box(found[0], found[1], dimension=dimension)
    if len(found) == 2 * dimension:
        return Box(found[0::2], found[1::2])
    raise InputError(
        f"the domain {text!r} has {words.count(len(found), 'number')}; the network has {words.count(dimension, 'input')}, "
        f"so expected 2 or {2 * dimension}"
    )


def _polyhedron(path: Path, dimension: int) -> Polyhedron:
    from ...domain import Polyhedron
    from ...network.readers.npz import read_arrays

    arrays = read_arrays(path)
    if not {"A", "b"} <= set(arrays):
        raise InputError(
            f"the domain {path} holds {words.listed(sorted(arrays))}; expected arrays A and b, for A x <= b"
        )
    found = Polyhedron(arrays["A"], arrays["b"])
    if found.dimension != dimension:
        raise InputError(
            f"the domain {path} has {words.count(found.dimension, 'coordinate')}; the network has {words.count(dimension, 'input')}"
        )
    return found


def parse_point(text: str | None, dimension: int, what: str) -> list[float]:
    """A point from ``0.1,0.2,…`` or one number for every coordinate; the origin by default."""
    if text is None:
        return [0.0] * dimension
    found = numbers(text, what, "0.5 or 0,1,0.25")
    if len(found) == 1:
        return found * dimension
    if len(found) != dimension:
        raise InputError(
            f"{what} {text!r} has {words.count(len(found), 'number')}; the network has {words.count(dimension, 'input')}"
        )
    return found


def parse_widths(text: str) -> tuple[int, ...]:
    """Widths from ``4,6,5`` (also ``4-6-5`` or ``4x6x5``)."""
    compact = "".join(text.split())
    if not re.fullmatch(r"\d+([,x-]\d+)*", compact):
        raise typer.BadParameter(f"cannot read the widths {text!r}; expected numbers such as 4,6,5 (input width first)")
    found = tuple(int(p) for p in re.split(r"[,x-]", compact))
    if len(found) < 2 or min(found) < 1:
        raise typer.BadParameter(f"the widths {text!r} make no network; expected two or more numbers >= 1")
    return found


def parse_axes(text: str) -> list[int]:
    """One to three different coordinates."""
    found = parse_integers(text, "the axes", "0,1")
    if min(found) < 0 or len(set(found)) != len(found) or len(found) > 3:
        raise typer.BadParameter(f"the axes {text!r} span no slice; expected one to three different numbers >= 0")
    return found


def parse_level(text: str) -> Fraction:
    """A number, taken exactly: ``0.5`` or ``1/3``."""
    try:
        if re.search(r"[eE][+-]?[0-9_]{5}", text):  # as many digits are written out
            raise ValueError
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise typer.BadParameter(f"cannot read the level {text!r}; expected a number such as 0.5 or 1/3") from None


def parse_integers(text: str, what: str, example: str) -> list[int]:
    """Whole numbers between commas."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(f"cannot read {what} {text!r}; expected whole numbers such as {example}") from None


def parse_ranges(text: str | None, what: str) -> list[int] | None:
    """Numbers and ranges: ``0,3-7``."""
    if text is None:
        return None
    chosen: list[int] = []
    for piece in text.split(","):
        found = re.fullmatch(r"\s*([0-9]{1,12})(?:-([0-9]{1,12}))?\s*", piece)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if first > last:
            raise typer.BadParameter(f"{what}: found {piece!r}; expected numbers and ranges such as 0,3-7")
        if last - first > MOST - len(chosen):
            raise typer.BadParameter(f"{what}: {text!r} names more than {MOST:,}")
        chosen += range(first, last + 1)
    return chosen
