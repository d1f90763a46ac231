"""Every exception and warning of the library.

A message says what was found, what was expected, where, and the likely remedy.
The same facts are attached as attributes, so that programs need not parse prose.
"""

from __future__ import annotations

import errno
import functools
import os
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = [
    "BudgetExceededError", "FileFormatError", "GenericityError", "IncompleteError", "InputError", "MissingDependencyError",
    "MissingFileError", "NumericalError", "PolyfiberDeprecationWarning", "PolyfiberError", "PolyfiberWarning",
    "RankAmbiguityError", "ShapeError", "SolverError", "UncertifiedSignError", "UnsupportedLayerError",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])


class PolyfiberError(Exception):
    """Root of the hierarchy.

    Parameters
    ----------
    message : str
        One sentence or two for a person.
    **facts
        The same facts as data; each becomes an attribute, all are in ``facts``.

    Examples
    --------
    >>> import polyfiber as pf
    >>> try:
    ...     pf.canonical_complex(pf.ReLUNetwork.random((2, 4, 1), rng=0), budget=pf.Budget(seconds=0))
    ... except pf.errors.PolyfiberError as error:
    ...     print(type(error).__name__, sorted(error.facts))
    BudgetExceededError ['elapsed', 'seconds']
    """

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.facts = facts
        for name, value in facts.items():
            setattr(self, name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles do not call the constructor again: each class has its own."""
        return _remade, (type(self), self.args, self.__dict__)


class InputError(PolyfiberError, ValueError):
    """An argument or a file is not what the call can work with. Mended by giving what the message says is expected.

    Examples
    --------
    >>> import polyfiber as pf
    >>> try:
    ...     pf.Box(1, -1, dimension=2)
    ... except ValueError as error:
    ...     domain = pf.Box(-1, 1, dimension=2)
    """


class ShapeError(InputError):
    """Array shapes that do not fit together. Mended by the shape that the message names; often a transpose is missing.

    Examples
    --------
    >>> import polyfiber as pf
    >>> W1, W2 = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [[1.0], [2.0], [3.0]]
    >>> try:
    ...     net = pf.ReLUNetwork([W1, W2], [[0.0] * 3, [0.0]])
    ... except pf.errors.ShapeError:  # rows are outputs, columns are inputs
    ...     net = pf.ReLUNetwork([W1, [[row[0] for row in W2]]], [[0.0] * 3, [0.0]])
    >>> net.architecture
    (2, 3, 1)
    """


class UnsupportedLayerError(InputError):
    """The network holds a layer that is not piecewise linear. Mended by exporting what comes before it.

    Examples
    --------
    >>> import polyfiber as pf
    >>> def affine_part(file):
    ...     try:
    ...         return pf.read_network(file)
    ...     except pf.errors.UnsupportedLayerError as error:
    ...         print(f"export the network without its last layer: {error}")
    """


class FileFormatError(InputError):
    """A file that cannot be read as what it claims to be. Mended by writing it anew, or by a format of docs/files.md.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import polyfiber as pf
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "network.npz"
    ...     _ = file.write_bytes(b"half a file")
    ...     try:
    ...         net = pf.read_network(file)
    ...     except pf.errors.FileFormatError:
    ...         pf.ReLUNetwork.random((2, 3, 1), rng=0).save(file)
    ...         net = pf.read_network(file)
    >>> net.architecture
    (2, 3, 1)
    """


class MissingFileError(FileFormatError, FileNotFoundError):
    """A file that is not there; also a `FileNotFoundError`, with its ``errno`` and ``filename``.

    Examples
    --------
    >>> import polyfiber as pf
    >>> try:
    ...     pf.read_network("no-such-file.onnx")
    ... except FileNotFoundError as error:
    ...     print("look for", error.filename)
    look for no-such-file.onnx
    """

    errno = errno.ENOENT
    strerror = os.strerror(errno)

    def __new__(cls, *args: Any, **facts: Any) -> MissingFileError:
        """By the base that has room for a file name: copies and pickles ask for it by name."""
        return OSError.__new__(cls, *args)

    def __init__(self, message: str, *, path: Any = None, **facts: Any) -> None:
        super().__init__(message, path=None if path is None else os.fspath(path), **facts)

    @property
    def filename(self) -> str | None:
        """The file that was asked for."""
        found: str | None = self.facts.get("path")
        return found

    def __str__(self) -> str:
        return str(self.args[0])


class NumericalError(PolyfiberError, ArithmeticError):
    """Floating-point arithmetic cannot decide, and no exact path applies. Mended by a network in rationals.

    Examples
    --------
    >>> import polyfiber as pf
    >>> def complex_of(net):
    ...     try:
    ...         return pf.canonical_complex(net)
    ...     except pf.errors.NumericalError:
    ...         return pf.canonical_complex(net.exact())
    >>> complex_of(pf.ReLUNetwork.random((1, 2, 1), rng=0)).n_regions
    3
    """


class UncertifiedSignError(NumericalError):
    """A sign that neither the filter nor exact arithmetic decided: what decides it lies beyond the range of float64.

    Mended by a domain that leaves it out, or by scaling the weights by powers of two.

    Examples
    --------
    >>> import polyfiber as pf
    >>> def region_of(net, x, radius=1e6):
    ...     try:
    ...         return pf.region(net, x)
    ...     except pf.errors.UncertifiedSignError:
    ...         return pf.region(net, x, domain=pf.Box(-radius, radius, dimension=len(x)))
    >>> region_of(pf.ReLUNetwork.random((1, 2, 1), rng=0), [0.0]).n_facets
    2
    """


class RankAmbiguityError(NumericalError):
    """Singular values without a gap: a rank is not decided at this tolerance. Mended by saying which count as zero.

    Examples
    --------
    >>> import numpy as np
    >>> import polyfiber as pf
    >>> weights = [np.diag([1.0, 1e-9]), np.eye(2)]
    >>> def rank_of(tolerance):
    ...     return max(pf.linear.locate(weights, tolerance=tolerance).ranks)
    """


class GenericityError(PolyfiberError):
    """The input is not generic; names the cell and the neurons that meet there. Mended by what the message names.

    Examples
    --------
    >>> import polyfiber as pf
    >>> def questions_for(net):
    ...     try:
    ...         return pf.canonical_complex(net)
    ...     except pf.errors.GenericityError as error:
    ...         print(f"not in general position: {error}")
    """


class IncompleteError(PolyfiberError):
    """A computation that stopped before its end; ``partial`` holds what was done, a larger budget goes on.

    Examples
    --------
    >>> import polyfiber as pf
    >>> net = pf.ReLUNetwork.random((3, 24, 24, 1), rng=0)
    >>> try:
    ...     cx = pf.canonical_complex(net, budget=pf.Budget(seconds=0))
    ... except pf.errors.IncompleteError:
    ...     cx = pf.canonical_complex(net)
    >>> cx.dimension
    3
    """

    def __init__(self, message: str, *, partial: Any = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.partial = partial


class BudgetExceededError(IncompleteError):
    """A time or memory budget ran out, or would run out before the work could start. Mended by a larger one.

    Examples
    --------
    >>> import polyfiber as pf
    >>> net = pf.ReLUNetwork.random((8, 64, 64, 1), rng=0)
    >>> try:
    ...     pf.canonical_complex(net, budget=pf.Budget(memory="1MB"))
    ... except pf.errors.BudgetExceededError:
    ...     r = pf.region(net, [0.0] * 8)  # a question that fits: see pf.feasibility(net)
    >>> r.verify().ok
    True
    """


class SolverError(PolyfiberError):
    """An optimisation solver returned no usable answer, as its ``status`` says. Mended by scaling the input.

    Examples
    --------
    >>> import polyfiber as pf
    >>> def corners(polyhedron):
    ...     try:
    ...         return polyhedron.generators()
    ...     except pf.errors.SolverError as error:
    ...         print(f"scale it to numbers near one: {error}")
    """


class MissingDependencyError(PolyfiberError, ImportError):
    """An optional package is not installed; the message names the extra to install.

    Examples
    --------
    >>> import polyfiber as pf
    >>> print(pf.errors.MissingDependencyError("onnx", extra="onnx", purpose="reading ONNX files"))
    reading ONNX files needs the package 'onnx': pip install 'polyfiber[onnx]'
    """

    def __init__(self, package: str, *, extra: str, purpose: str) -> None:
        message = f"{purpose} needs the package {package!r}: pip install 'polyfiber[{extra}]'"
        super().__init__(message, package=package, extra=extra, purpose=purpose)


def _remade(kind: type[PolyfiberError], args: tuple[Any, ...], facts: dict[str, Any]) -> PolyfiberError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(facts)
    return error


class PolyfiberWarning(UserWarning):
    """Root of the warnings: of what is not wrong, and may not be what was meant.

    Examples
    --------
    >>> import warnings
    >>> import polyfiber as pf
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", pf.errors.PolyfiberWarning)  # stop at the first one
    """


class PolyfiberDeprecationWarning(FutureWarning):
    """A name or behaviour that a later release removes. Mended by the name in the message; CHANGELOG.md lists them.

    Examples
    --------
    >>> import warnings
    >>> import polyfiber as pf
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", pf.errors.PolyfiberDeprecationWarning)  # until the program is changed
    """


def renamed(old: str, new: str, *, stacklevel: int = 3) -> None:
    """Warn that a name of the last release still works, and is gone in the next one.

    Examples
    --------
    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as heard:
    ...     warnings.simplefilter("always")
    ...     renamed("f(lower=)", "f(domain=)")
    >>> print(heard[0].message)
    f(lower=) is called f(domain=) now; the old name goes in the next release
    """
    warnings.warn(
        f"{old} is called {new} now; the old name goes in the next release",
        PolyfiberDeprecationWarning,
        stacklevel=stacklevel + 1,
    )


class old_name:
    """The name that an attribute had in the last release: it gives what the new one gives, with a warning.

    Examples
    --------
    >>> import warnings
    >>> class Heap:
    ...     def how_many(self):
    ...         return 3
    ...
    ...     count = old_name("how_many")
    >>> with warnings.catch_warnings(record=True) as heard:
    ...     warnings.simplefilter("always")
    ...     Heap().count()
    3
    >>> print(heard[0].message)
    Heap.count is called Heap.how_many now; the old name goes in the next release
    """

    def __init__(self, new: str) -> None:
        self.new = new
        self.__doc__ = f"The old name of `{new}`, which warns."

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        renamed(f"{owner.__name__}.{self.name}", f"{owner.__name__}.{self.new}", stacklevel=2)
        return getattr(instance, self.new)


def renamed_argument(old: str, new: str, convert: Callable[[Any], Any] = lambda value: value) -> Callable[[F], F]:
    """Let a function hear the old name of an argument for one release, with a warning.

    Parameters
    ----------
    old, new : str
        Names of the argument.
    convert : callable
        Makes what the new argument takes of what the old one took.

    Examples
    --------
    >>> import warnings
    >>> @renamed_argument("box", "domain")
    ... def where(*, domain=None):
    ...     return domain
    >>> with warnings.catch_warnings(record=True) as heard:
    ...     warnings.simplefilter("always")
    ...     where(box=3), where(domain=4)
    (3, 4)
    >>> print(heard[0].message)
    where(box=) is called where(domain=) now; the old name goes in the next release
    """

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def call(*args: Any, **options: Any) -> Any:
            if old in options:
                if new in options:
                    raise InputError(f"{function.__name__}: {old}= is the old name of {new}=; give {new}= alone")
                renamed(f"{function.__name__}({old}=)", f"{function.__name__}({new}=)")
                value = options.pop(old)
                options[new] = None if value is None else convert(value)
            return function(*args, **options)

        return call  # type: ignore[return-value]

    return decorate


def __dir__() -> list[str]:
    """The public names."""
    return [*__all__]
