"""Names that resolve on first use: the public ones of a package, and those of a floor above."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any


def resolver(
    package: str, exports: Mapping[str, str], modules: Collection[str] = (), upwards: Mapping[str, str] | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The functions ``__getattr__`` and ``__dir__`` of a package.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    exports : mapping
        Public name to the module below the package that defines it.
    modules : collection of str
        Modules and packages below it that are attributes too.
    upwards : mapping, optional
        Public name to what `above` finds for it: a name of a higher floor that stands here too.
    """
    higher = upwards or {}

    def get(name: str) -> Any:
        if name in exports:
            value = getattr(importlib.import_module(f".{exports[name]}", package), name)
        elif name in modules:
            value = importlib.import_module(f".{name}", package)
        elif name in higher:
            value = above(higher[name])
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        """The public names alone: what a module imports for itself is not offered."""
        return sorted(
            {
                *exports,
                *modules,
                *higher,
                *(n for n in vars(sys.modules[package]) if n in ("__version__", "__all__", "__doc__")),
            }
        )

    return get, names


def above(name: str) -> Any:
    """What a method of a value needs from a floor above its own: the one way to reach it.

    Imports go down, so that a value never knows its builders. A method such as ``complex.breakpoint_complex()`` is a
    convenience for a function of a higher floor; it names that function, and the name is resolved when it is called.

    Parameters
    ----------
    name : str
        ``"module.below.polyfiber:function"``.

    Examples
    --------
    >>> above("numerics.exact:as_fractions")([0.5]).tolist()
    [Fraction(1, 2)]
    """
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(f"{__package__}.{module}"), attribute)
