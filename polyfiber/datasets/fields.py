"""Checks of single values of a spec: each error names the key, what was found and what was expected."""

from __future__ import annotations

import datetime
import functools
import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

from ..budget import parse_bytes
from ..errors import InputError, MissingDependencyError

Check = Callable[[Any, str], Any]
"""``check(value, key)`` returns the value as it is used, or raises `InputError` naming the key."""


MOST = 1_000_000_000
"""Networks, rows and copies that a spec may ask for at one place."""

LARGEST = 1 << 30
"""Bytes that the parameters of one network may take."""


def wrong(key: str, found: Any, expected: str) -> InputError:
    """The error of a value that does not fit."""
    shown = _short(found)
    return InputError(f"{key}: found {shown}; expected {expected}", key=key, found=found, expected=expected)


def _short(found: Any) -> str:
    """A value as an error shows it: at most about a hundred characters, however large or deep it is."""
    if isinstance(found, int) and abs(found) >= 10**40:
        return f"a number of {found.bit_length()} bits"
    try:
        text = repr(found[:200] if isinstance(found, str | list) else found)
    except (RecursionError, ValueError):
        return f"a {type(found).__name__} that is nested too deeply or too large"
    return text if len(text) <= 120 else text[:100] + "…"


class _Made:
    """A check that was made of arguments; copies and pickles are made of them again."""

    def __init__(self, make: Any, arguments: tuple[Any, ...], options: dict[str, Any], check: Check) -> None:
        self._make, self._arguments, self._options, self._check = make, arguments, options, check

    def __call__(self, value: Any, key: str) -> Any:
        return self._check(value, key)

    def __reduce__(self) -> Any:
        return functools.partial(self._make, *self._arguments, **self._options), ()

    def __repr__(self) -> str:
        given = [*map(repr, self._arguments), *(f"{k}={v!r}" for k, v in self._options.items())]
        return f"{self._make.__name__}({', '.join(given)})"


def made_again(maker: Callable[..., Check]) -> Callable[..., Check]:
    """Decorator of what makes a check of its arguments: the check pickles, where a function within a function would
    not.
    """

    @functools.wraps(maker)
    def make(*arguments: Any, **options: Any) -> Check:
        return _Made(make, arguments, options, maker(*arguments, **options))

    return make


@made_again
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


@made_again
def number(least: float | None = None, *, above: float | None = None) -> Check:
    """A finite number, at least ``least``, greater than ``above``."""
    words = (
        "a finite number"
        + (f" >= {least:g}" if least is not None else "")
        + (f" > {above:g}" if above is not None else "")
    )

    def check(value: Any, key: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not _finite(value):
            raise wrong(key, value, words)
        if (least is not None and value < least) or (above is not None and not value > above):
            raise wrong(key, value, words)
        return float(value)

    return check


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond the floats
        return False


def licence(value: Any, key: str) -> str:
    """An SPDX expression such as ``CC-BY-4.0`` or ``MIT OR Apache-2.0``, in its canonical letters."""
    name = line(value, key)
    if "DocumentRef-" in name:
        raise wrong(key, value, "an expression without DocumentRef: there is no other document that it could name here")
    try:
        from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
    except ImportError:
        if name in ("CC0-1.0", "CC-BY-4.0", "MIT", "Apache-2.0"):
            return name
        raise MissingDependencyError("packaging", extra="data", purpose="checking an SPDX expression") from None
    try:
        found = str(canonicalize_license_expression(name))
    except InvalidLicenseExpression:
        raise wrong(
            key, value, "an SPDX identifier or expression, such as CC0-1.0, CC-BY-4.0 or LicenseRef-mine"
        ) from None
    for part in found.replace("(", " ").replace(")", " ").split():
        if part.endswith("+") and not re.search(r"-\d[\d.]*\+$", part):
            raise wrong(key, value, f"no '+', which says 'or a later version': {part[:-1]} names no version")
    return found


def date(value: Any, key: str) -> str:
    """A day, as ``2026-03-31``."""
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value.isoformat()
    try:
        return datetime.date.fromisoformat(text(value, key)).isoformat()
    except ValueError:
        raise wrong(key, value, "a day such as 2026-03-31") from None


def width(value: Any, key: str) -> int:
    """Neurons of a layer."""
    return int(integer(1, 1 << 24)(value, key))


def sha256(value: Any, key: str) -> str:
    """A checksum in hexadecimal."""
    if not isinstance(value, str) or len(value) != 64 or not set(value) <= set("0123456789abcdef"):
        raise wrong(key, value, "a SHA-256 in hexadecimal")
    return value


def boolean(value: Any, key: str) -> bool:
    """``true`` or ``false``."""
    if not isinstance(value, bool):
        raise wrong(key, value, "true or false")
    return value


def text(value: Any, key: str) -> str:
    """A non-empty text of whole characters, also of several lines."""
    if not isinstance(value, str) or not value.strip():
        raise wrong(key, value, "a text that is not empty")
    if len(value) > 10_000:
        raise wrong(key, value, "a text of at most 10000 characters")
    if any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t" for c in value):
        raise wrong(key, value, "a text without control characters and without halves of characters (surrogates)")
    return value


def line(value: Any, key: str) -> str:
    """A non-empty text of one line."""
    if len(text(value, key).splitlines()) > 1 or "\n" in value:
        raise wrong(key, value, "a text of one line")
    return str(value)


def address(value: Any, key: str) -> str:
    """Where something is published: an address that a reader of a page may follow."""
    if not re.fullmatch(r"(https?|ftp|s3|gs|hf)://[^\s<>()\"'`\\]+|doi:10\.[^\s<>()\"'`\\]+", line(value, key)):
        raise wrong(key, value, "an address such as https://example.org/data or doi:10.1000/182")
    return str(value)


def identifier(value: Any, key: str) -> str:
    """A short name: letters, digits, ``-``, ``_`` and ``.``, starting with a letter or digit."""
    allowed = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
    if not isinstance(value, str) or not value or not set(value) <= allowed or value[0] in "-_." or len(value) > 100:
        raise wrong(
            key,
            value,
            "a name of letters, digits, '-', '_' and '.', starting with a letter or digit, at most 100 characters",
        )
    return value


@made_again
def choice(*values: str) -> Check:
    """One of a few words."""

    def check(value: Any, key: str) -> str:
        if value not in values or not isinstance(value, str):
            raise wrong(key, value, "one of " + ", ".join(map(repr, values)))
        return value

    return check


@made_again
def sequence(each: Check, *, least: int = 1, most: int | None = None) -> Check:
    """A list whose entries pass ``each``."""

    def check(value: Any, key: str) -> list[Any]:
        if not isinstance(value, list | tuple):
            raise wrong(key, value, "a list")
        if len(value) < least or (most is not None and len(value) > most):
            raise wrong(key, value, f"a list of at least {least} entries" + (f" and at most {most}" if most else ""))
        return [each(entry, f"{key}[{i}]") for i, entry in enumerate(value)]

    return check


@made_again
def one_or_more(each: Check) -> Check:
    """A value that passes ``each``, or a list of such values; always returns the list."""

    def check(value: Any, key: str) -> list[Any]:
        if isinstance(value, list):
            return list(sequence(each)(value, key))
        return [each(value, key)]

    return check


@made_again
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
    except (InputError, OverflowError):
        raise wrong(key, value, "an amount of memory such as '1GiB'") from None


def architecture(value: Any, key: str) -> tuple[int, ...]:
    """Widths ``[n0, …, nL]``: at least two, each at least 1."""
    widths = tuple(sequence(width, least=2)(value, key))
    size = 8 * sum((a + 1) * b for a, b in zip(widths[:-1], widths[1:]))
    if size > LARGEST:
        raise wrong(
            key, list(widths)[:8], f"widths whose parameters take at most {LARGEST >> 20} MiB, not {size >> 20}"
        )
    return widths


def unknown(found: Sequence[str], known: Sequence[str], where: str) -> None:
    """Raise for a key that nobody reads."""
    for key in found:
        if key not in known:
            key = str(key)[:100]
            expected = "one of the keys " + ", ".join(known) if known else "no keys here"
            raise InputError(f"{where}{key}: unknown key; expected {expected}", key=where + key, expected=expected)
