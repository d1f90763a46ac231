"""Values that are given out and kept too: their arrays are made such that nobody can write to them."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


def read_only(value: T) -> T:
    """The same value with arrays that cannot be written to; they share memory with those that were given.

    Goes into tuples (named ones too), lists (a new one), frozen dataclasses and sparse matrices. ``setflags(write=True)`` raises
    ValueError on what it returns.

    Examples
    --------
    >>> column = read_only(np.arange(3))
    >>> column.setflags(write=True)
    Traceback (most recent call last):
    ...
    ValueError: cannot set WRITEABLE flag to True of this array
    """
    made: Any = value
    if isinstance(value, np.ndarray):
        made = _closed(value)
    elif isinstance(value, tuple):
        parts = [read_only(part) for part in value]
        made = type(value)._make(parts) if hasattr(value, "_make") else tuple(parts)
    elif type(value) is list:
        made = [read_only(part) for part in made]
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        close_fields(value)
    elif hasattr(value, "indptr") and hasattr(value, "indices") and hasattr(value, "data"):
        for name in ("data", "indices", "indptr"):
            array = getattr(value, name)
            if isinstance(array, np.ndarray):
                setattr(value, name, _closed(array))
    return made


def _closed(array: np.ndarray) -> np.ndarray:
    """The same memory by way of a buffer that is read-only: its owner may stay one that can be written to."""
    shut = array.view()
    shut.setflags(write=False)
    if not array.size:
        return shut
    if isinstance(array.base, memoryview) and array.base.readonly:
        return shut
    return np.asarray(memoryview(shut))  # type: ignore[arg-type]


def close_fields(value: Any) -> None:
    """Make the arrays in the fields of a dataclass read-only; the last line of ``__post_init__``."""
    for field in dataclasses.fields(value):
        old = getattr(value, field.name, None)
        if isinstance(old, np.ndarray | tuple | list) or hasattr(old, "indptr"):
            object.__setattr__(value, field.name, read_only(old))


def closed(kind: type[T]) -> type[T]:
    """Class decorator, above ``@dataclass(frozen=True)``: arrays in its fields are read-only, in copies and pickles
    too.
    """
    init: Any = kind.__init__

    @functools.wraps(init)
    def __init__(self: Any, *args: Any, **options: Any) -> None:
        init(self, *args, **options)
        close_fields(self)

    def __setstate__(self: Any, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        close_fields(self)

    kind.__init__ = __init__  # type: ignore[method-assign]
    kind.__setstate__ = __setstate__  # type: ignore[attr-defined]
    return kind


__all__ = ["close_fields", "closed", "read_only"]
