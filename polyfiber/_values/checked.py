"""Arguments looked at where they come in: ids, dimensions, points, counts, paths. What does not fit is one clear
error.
"""

from __future__ import annotations

import os
from fractions import Fraction
from numbers import Integral, Real
from typing import Any

import numpy as np

from .._typing import Array, FloatArray, IntArray
from ..errors import InputError, ShapeError


def shown(value: Any, most: int = 80) -> str:
    """A value in a message, short; also one whose own words fail."""
    try:
        text = repr(value)
    except Exception:
        text = f"a {type(value).__name__}"
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"


def unmasked(values: Any, depth: int = 3) -> Any:
    """The values; InputError where entries of a masked array are masked, which numpy forgets when it makes an array.

    Examples
    --------
    >>> unmasked([1.0, 2.0])
    [1.0, 2.0]
    """
    if isinstance(values, np.ma.MaskedArray):
        if np.ma.is_masked(values):
            raise InputError("entries of a masked array are masked; fill them (values.filled(…)), or leave them out")
    elif isinstance(values, list | tuple) and depth:
        for value in values:
            if isinstance(value, list | tuple | np.ma.MaskedArray):
                unmasked(value, depth - 1)
    return values


def whole(value: Any, what: str, *, least: int | None = None, most: int | None = None) -> int:
    """A whole number within bounds; numbers that stand for truth values are none.

    Examples
    --------
    >>> whole(np.int32(3), "rows", least=1)
    3
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if not isinstance(value, Integral) or isinstance(value, bool | np.bool_):
        raise InputError(f"{what} must be a whole number, found {shown(value)}")
    number = int(value)
    if (least is not None and number < least) or (most is not None and number > most):
        bounds = f"at least {least}" if most is None else f"at most {most}" if least is None else f"in {least}..{most}"
        raise InputError(f"{what} must be {bounds}, found {shown(number)}")
    return number


def real(value: Any, what: str, *, least: float = -np.inf, most: float = np.inf) -> float:
    """A real number within bounds, as a float; texts, truth values and NaN are none.

    Examples
    --------
    >>> real(Fraction(1, 4), "a tolerance", least=0)
    0.25
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    try:
        number = float(value) if isinstance(value, Real) and not isinstance(value, bool | np.bool_) else np.nan
    except OverflowError:
        number = np.nan
    if not least <= number <= most:
        raise InputError(f"{what} must be a number in [{least:g}, {most:g}], found {shown(value)}")
    return number


def flag(value: Any, what: str) -> bool:
    """True or False."""
    if not isinstance(value, bool | np.bool_):
        raise InputError(f"{what} must be True or False, found {shown(value)}")
    return bool(value)


def generator_of(rng: Any) -> np.random.Generator:
    """The generator of random numbers of what ``rng=`` was given: all that `numpy.random.default_rng` takes."""
    try:
        return np.random.default_rng(unmasked(rng))
    except InputError:
        raise
    except Exception:  # numpy's own errors are of many kinds
        raise InputError(f"rng must be what numpy.random.default_rng takes, such as 0, found {shown(rng)}") from None


def dimension_of(value: Any, top: int) -> int:
    """A dimension of a complex, 0 to ``top``."""
    found = whole(value, "a dimension")
    if not 0 <= found <= top:
        raise InputError(f"dimension {shown(found)} does not exist; the complex has dimensions 0 to {top}")
    return found


def ids_within(values: Any, count: int, what: str) -> IntArray:
    """Ids (m,) from one id or a vector of them, each in ``0 … count - 1``."""
    unmasked(values)
    try:
        given = np.atleast_1d(np.asarray(values))
        if given.ndim != 1 or (given.size and given.dtype.kind not in "iuO"):
            raise ValueError(given.dtype)
        if given.dtype == object and not all(isinstance(v, int) and not isinstance(v, bool) for v in given):
            raise ValueError(given.dtype)
        if given.dtype == object and given.size and not all(0 <= v < count for v in given):
            raise OverflowError
        ids = given.astype(np.int64)
    except OverflowError:
        raise InputError(f"{what} have ids 0..{count - 1}, found {shown(values)}") from None
    except Exception:  # whatever an object does when numpy looks at it
        raise InputError(f"{what} are named by a vector of their ids, 0..{count - 1}, found {shown(values)}") from None
    if ids.size and not (ids.min() >= 0 and ids.max() < count):
        raise InputError(f"{what} have ids 0..{count - 1}, found {ids.min()}..{ids.max()}")
    return ids


def id_within(value: Any, count: int, what: str) -> int:
    """One id in ``0 … count - 1``."""
    ids = ids_within(value, count, what + "s")
    if np.ndim(value) > 1 or len(ids) != 1:
        raise InputError(f"a {what} is named by its id, 0..{count - 1}, found {shown(value)}")
    return int(ids[0])


def points_of(values: Any, dimension: int, *, single: bool = False, exact: bool = False, finite: bool = True) -> Array:
    """Points (…, n) as float64; with ``exact`` they stay Fractions where they are given so.

    Raises
    ------
    ShapeError
        Another number of coordinates.
    InputError
        What is no finite number, or a number that floats do not hold.

    Examples
    --------
    >>> points_of([[1, 2]], 2).tolist()
    [[1.0, 2.0]]
    """
    what = f"expected {'a point of shape' if single else 'points of shape'} ({'' if single else '…, '}{dimension}{',' if single else ''})"
    unmasked(values)
    try:
        given = np.asarray(values)
    except Exception:
        raise ShapeError(f"{what}, found {shown(values)}") from None
    if given.dtype.kind not in "biufO":
        raise InputError(f"{what} of real numbers, found {shown(values)}")
    if given.ndim == 0 or given.shape[-1] != dimension or (single and given.ndim != 1):
        raise ShapeError(f"{what}, found shape {given.shape}", shape=given.shape)
    if given.dtype == object:
        fractions = _rational(given, what)
        return fractions if exact else _floats(fractions)
    floats = given.astype(np.float64)
    if finite and not np.isfinite(floats).all():
        raise InputError(f"{what}, all finite, found {shown(values)}")
    return floats


def _rational(given: Array, what: str) -> Array:
    out = np.empty(given.shape, dtype=object)
    for index, value in np.ndenumerate(given):
        try:
            out[index] = Fraction(int(value.p), int(value.q)) if hasattr(value, "q") else Fraction(value)
        except Exception:
            raise InputError(f"{what} of finite real numbers, found {shown(value)} at {index}") from None
    return out


def _floats(fractions: Array) -> FloatArray:
    try:
        return fractions.astype(np.float64)
    except OverflowError:
        raise InputError("a coordinate is beyond the range of floats, 1.8e308") from None


def array_of(values: Any, what: str) -> Array:
    """An array of real numbers, of any shape."""
    unmasked(values)
    try:
        given = np.asarray(values)
    except Exception:
        raise ShapeError(f"{what} is no array of real numbers: {shown(values)}") from None
    if given.dtype.kind not in "biufO":
        raise InputError(f"{what} is no array of real numbers: {shown(values)}")
    return given


def reals_of(values: Any, name: str, *, finite: bool = True) -> FloatArray:
    """Real numbers of any shape as float64, finite unless said otherwise.

    Examples
    --------
    >>> reals_of([[1, 2]], "W").tolist()
    [[1.0, 2.0]]
    """
    if np.ma.is_masked(values):
        raise InputError(f"{name} has masked entries; fill them first", name=name)
    try:
        array = np.asarray(unmasked(values))
        if array.dtype.kind == "c":
            raise InputError(f"{name} is complex; expected real numbers", name=name)
        if array.dtype.kind not in "fiubO":
            raise InputError(f"{name} has dtype {array.dtype}; expected numbers", name=name)
        floats = np.asarray(array, dtype=np.float64)
    except InputError:
        raise
    except Exception as error:  # whatever an object does when numpy looks at it
        raise InputError(f"{name} is not an array of numbers: {error}", name=name) from None
    if finite and not np.isfinite(floats).all():
        bad = int(floats.size - np.isfinite(floats).sum())
        raise InputError(f"{name} holds {bad} entries that are NaN or infinite; all must be finite", name=name, bad=bad)
    return floats


def path_of(path: Any) -> str:
    """A file's path as text."""
    try:
        found = os.fspath(path)
        text = os.fsdecode(found)
    except Exception:
        raise InputError(f"expected the path of a file, found {shown(path)}") from None
    if not text or "\0" in text:
        raise InputError(f"expected the path of a file, found {shown(path)}")
    return text


__all__ = [
    "array_of", "dimension_of", "flag", "generator_of", "id_within", "ids_within", "path_of", "points_of", "real", "shown", "unmasked", "whole",
]  # fmt: skip
