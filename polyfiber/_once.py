"""Columns that are made when first asked for, by one thread, and locks that copies and pickles do not mind."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

T = TypeVar("T")
_ABSENT = object()


class Lock:
    """A lock that the thread which holds it may take again; a copy or an unpickled one is free.

    Examples
    --------
    >>> import copy
    >>> from polyfiber._once import Lock
    >>> lock = Lock()
    >>> with lock, lock, copy.deepcopy(lock):
    ...     pass
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> Lock:
        self._lock.acquire()
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[Any, ...]:
        return Lock, ()


def _quiet(make: Callable[[Any], T]) -> Callable[[Any], T]:
    """Underflow is allowed for in bounds; also where somebody has numpy raise it (`numpy.errstate`)."""

    @functools.wraps(make)
    def quiet(owner: Any) -> T:
        import numpy as np  # --help does without

        with np.errstate(under="ignore"):
            return make(owner)

    return quiet


class once(Generic[T]):
    """A property that is computed once, under the ``_lock`` of its object, and kept in the dictionary ``_kept``.

    What `functools.cached_property` is, for objects that several threads read.

    Examples
    --------
    >>> from polyfiber._once import Lock, once
    >>> class Circle:
    ...     def __init__(self, radius):
    ...         self.radius, self._lock, self._kept = radius, Lock(), {}
    ...
    ...     @once
    ...     def area(self):
    ...         return 3.14 * self.radius**2
    >>> Circle(2.0).area
    12.56
    """

    def __init__(self, make: Callable[[Any], T]) -> None:
        self.make = _quiet(make)
        self.name = make.__name__
        self.__doc__ = make.__doc__
        self.__wrapped__ = make

    @overload
    def __get__(self, owner: None, kind: type) -> once[T]: ...

    @overload
    def __get__(self, owner: object, kind: type | None = None) -> T: ...

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        if owner is None:
            return self
        kept = owner._kept
        value = kept.get(self.name, _ABSENT)
        if value is _ABSENT:
            with owner._lock:
                value = kept.get(self.name, _ABSENT)
                if value is _ABSENT:
                    value = kept[self.name] = self.make(owner)
        return value


def _closing(make: Callable[[Any], T]) -> Callable[[Any], T]:
    @functools.wraps(make)
    def closed(owner: Any) -> T:
        from ._values.read_only import read_only  # imports numpy, which --help does without

        return read_only(make(owner))

    return closed


class given(once[T]):
    """What `once` is, for columns that are given out: their arrays are read-only."""

    def __init__(self, make: Callable[[Any], T]) -> None:
        super().__init__(_closing(make))


def _attributes(owner: Any) -> dict[str, Any]:
    return vars(owner).copy()  # in one step, which no other thread comes between


if TYPE_CHECKING:
    cached_property = given_property = functools.cached_property
else:

    class cached_property(functools.cached_property):
        """`functools.cached_property` of objects that one thread may copy or pickle while another one reads them.

        Copies and pickles walk through the attributes; here, through those there were when they began.

        Examples
        --------
        >>> from polyfiber._once import cached_property
        >>> class Circle:
        ...     radius = 2.0
        ...
        ...     @cached_property
        ...     def area(self):
        ...         return 3.14 * self.radius**2
        >>> circle = Circle()
        >>> circle.area, circle.__getstate__()
        (12.56, {'area': 12.56})
        """

        def __init__(self, make: Callable[[Any], Any]) -> None:
            super().__init__(_quiet(make))

        def __set_name__(self, owner: type, name: str) -> None:
            super().__set_name__(owner, name)
            if owner.__getstate__ is object.__getstate__:
                owner.__getstate__ = _attributes

    class given_property(cached_property):
        """What `functools.cached_property` is, for columns that are given out: their arrays are read-only."""

        def __init__(self, make: Callable[[Any], Any]) -> None:
            super().__init__(_closing(make))


__all__ = ["Lock", "cached_property", "given", "given_property", "once"]
