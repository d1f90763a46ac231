"""Checks of single values of a spec: each error names the key, what was found and what was expected."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..budget import parse_bytes
from ..errors import InputError

Check = Callable[[Any, str], Any]
"""``check(value, key)`` returns the value as it is used, or raises `InputError` naming the key."""


def wrong(key: str, found: Any, expected: str) -> InputError:
    """The error of a value that does not fit."""
    return InputError(f"{key}: found {found!r}; expected {expected}", key=key, found=found, expected=expected)


def integer(least: int | None = None, most: int | None = None) -> Check:
    """A whole number between bounds (both included)."""
    words = (
        "a whole number" + (f" >= {least}" if least is not None else "") + (f" <= {most}" if most is not None else "")
    )

    def check(value: Any, key: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong(key, value, words)
        if (least is not None and value < least) or (most is not None and value > most):
            raise wrong(key, value, words)
        return value

    return check


def number(least: float | None = None, *, above: float | None = None) -> Check:
    """A finite number, at least ``least``, greater than ``above``."""
    words = (
        "a finite number"
        + (f" >= {least:g}" if least is not None else "")
        + (f" > {above:g}" if above is not None else "")
    )

    def check(value: Any, key: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise wrong(key, value, words)
        if (least is not None and value < least) or (above is not None and not value > above):
            raise wrong(key, value, words)
        return float(value)

    return check


def boolean(value: Any, key: str) -> bool:
    """``true`` or ``false``."""
    if not isinstance(value, bool):
        raise wrong(key, value, "true or false")
    return value


def text(value: Any, key: str) -> str:
    """A non-empty text."""
    if not isinstance(value, str) or not value.strip():
        raise wrong(key, value, "a text that is not empty")
    return value


def identifier(value: Any, key: str) -> str:
    """A short name: letters, digits, ``-``, ``_`` and ``.``, starting with a letter or digit."""
    allowed = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
    if not isinstance(value, str) or not value or not set(value) <= allowed or value[0] in "-_.":
        raise wrong(key, value, "a name of letters, digits, '-', '_' and '.', starting with a letter or digit")
    return value


def choice(*values: str) -> Check:
    """One of a few words."""

    def check(value: Any, key: str) -> str:
        if value not in values or not isinstance(value, str):
            raise wrong(key, value, "one of " + ", ".join(map(repr, values)))
        return value

    return check


def sequence(each: Check, *, least: int = 1, most: int | None = None) -> Check:
    """A list whose entries pass ``each``."""

    def check(value: Any, key: str) -> list[Any]:
        if not isinstance(value, list | tuple):
            raise wrong(key, value, "a list")
        if len(value) < least or (most is not None and len(value) > most):
            raise wrong(key, value, f"a list of at least {least} entries" + (f" and at most {most}" if most else ""))
        return [each(entry, f"{key}[{i}]") for i, entry in enumerate(value)]

    return check


def one_or_more(each: Check) -> Check:
    """A value that passes ``each``, or a list of such values; always returns the list."""

    def check(value: Any, key: str) -> list[Any]:
        if isinstance(value, list):
            return list(sequence(each)(value, key))
        return [each(value, key)]

    return check


def nullable(each: Check) -> Check:
    """``None`` (key absent) or a value that passes ``each``."""

    def check(value: Any, key: str) -> Any:
        return None if value is None else each(value, key)

    return check


def size(value: Any, key: str) -> int:
    """An amount of memory: bytes, or a text such as ``"1GiB"``."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise wrong(key, value, "an amount of memory such as '1GiB'")
    try:
        return parse_bytes(value)
    except InputError:
        raise wrong(key, value, "an amount of memory such as '1GiB'") from None


def architecture(value: Any, key: str) -> tuple[int, ...]:
    """Widths ``[n0, …, nL]``: at least two, each at least 1."""
    return tuple(sequence(integer(1), least=2)(value, key))


def unknown(found: Sequence[str], known: Sequence[str], where: str) -> None:
    """Raise for a key that nobody reads."""
    for key in found:
        if key not in known:
            expected = "one of the keys " + ", ".join(known) if known else "no keys here"
            raise InputError(f"{where}{key}: unknown key; expected {expected}", key=where + key, expected=expected)
