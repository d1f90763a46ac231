"""What of a complex a picture shows: itself, a window of the plane, or a plane through more inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._typing import FloatArray
from .._values.checked import shown
from ..budget import Budget
from ..complexes.build import canonical_complex
from ..complexes.complex import PolyhedralComplex
from ..complexes.local.slices import complex_slice
from ..domain import Box, Polyhedron
from ..errors import InputError, ShapeError
from ..network.model import ReLUNetwork
from ..words import one_line
from .style import require


@dataclass(frozen=True)
class Window:
    """A bounded complex with one or two inputs, and what it is of.

    Attributes
    ----------
    complex : PolyhedralComplex
        Bounded.
    labels : tuple of str
        Names of its inputs.
    caption : str
        Where the other inputs stand, or ''.
    origin : (n0,) float64
    directions : (k, n0) float64
        The inputs of the network that is drawn are ``origin + t @ directions``.

    Examples
    --------
    >>> import polyfiber as pf
    >>> w = pf.plots.window_of(pf.canonical_complex(pf.ReLUNetwork.random((2, 4, 1), rng=0)))
    >>> w.labels, w.complex.dimension
    (('input 0', 'input 1'), 2)
    """

    __repr__ = one_line

    complex: PolyhedralComplex
    labels: tuple[str, ...]
    caption: str
    origin: FloatArray
    directions: FloatArray


def around(points: FloatArray, *, share: float = 0.8, pad: float = 0.25) -> Box:
    """A box around the middle of some points: the share of each coordinate that is kept, and a margin.

    Examples
    --------
    >>> import numpy as np
    >>> box = around(np.array([[0.0, 1.0], [4.0, 1.0]]), share=1.0)
    >>> box.lo.tolist(), box.hi.tolist()
    ([-1.0, 0.0], [5.0, 2.0])
    """
    x = np.asarray(points, dtype=np.float64)
    x = x[np.isfinite(x).all(axis=1)]
    if len(x) == 0:
        x = np.zeros((1, np.asarray(points).shape[1]))
    low, high = np.quantile(x, [0.5 - share / 2, 0.5 + share / 2], axis=0)
    margin = pad * (high - low)
    return Box(low - margin - (margin == 0), high + margin + (margin == 0))


def window_of(
    cx: PolyhedralComplex,
    *,
    axes: Sequence[int] = (0, 1),
    origin: Any = None,
    names: Sequence[str] | None = None,
    budget: Budget | None = None,
) -> Window:
    """The part of a complex that a picture can show.

    Parameters
    ----------
    cx : PolyhedralComplex
        One or two inputs: itself where it is bounded, else in a box around the middle eight tenths of its vertices.
        More: the plane along two inputs.
    axes : two of int
        Inputs that vary, of three and more.
    origin : (n0,) array, optional
        Values of the others; by default the middle of the box, or the median of the vertices.
    names : sequence of str, optional
        Of the inputs.
    budget : Budget, optional

    Returns
    -------
    Window

    Examples
    --------
    >>> import polyfiber as pf
    >>> shown = window_of(pf.canonical_complex(pf.ReLUNetwork.random((3, 4, 1), rng=0)), axes=(0, 2))
    >>> shown.labels, shown.complex.dimension
    (('input 0', 'input 2'), 2)
    """
    require(cx, "a PolyhedralComplex", "network", "domain", "vertices")
    net = cx.network
    n0 = net.architecture[0]
    words = input_names(names, n0)
    if n0 <= 2:
        bounded = cx.domain is not None and cx.dimension == n0 and not cx.is_unbounded(n0).any()
        if cx.domain is not None and cx.dimension < n0:
            raise InputError(f"the domain is flat: only {cx.dimension} of {n0} dimensions can be drawn; draw a slice")
        shown = cx if bounded else canonical_complex(net, _cut(cx.domain, around(cx.vertices)), budget=budget)
        return Window(_drawable(shown), words, "", np.zeros(n0), np.eye(n0))
    box = cx.domain if isinstance(cx.domain, Box) else None
    centre = np.median(cx.vertices, axis=0)
    if box is not None:
        centre = (box.lo.astype(np.float64) + box.hi.astype(np.float64)) / 2
    return plane_window(
        net, domain=cx.domain, axes=axes, origin=centre if origin is None else origin, names=names, budget=budget
    )


def plane_window(
    net: ReLUNetwork,
    *,
    domain: Polyhedron | None = None,
    axes: Sequence[int] = (0, 1),
    origin: Any = None,
    names: Sequence[str] | None = None,
    budget: Budget | None = None,
) -> Window:
    """The plane along two inputs of a network of any size, in the domain's box or around the vertices in the plane.

    Parameters as for `window_of`; the cost is that of two inputs.
    """
    n0 = net.architecture[0]
    words = input_names(names, n0)
    i, j = two_axes(axes, n0)
    o = np.zeros(n0) if origin is None else np.array(origin, dtype=np.float64)
    if o.shape != (n0,) or not np.isfinite(o).all():
        raise ShapeError(f"origin has shape {o.shape}; expected {n0} finite numbers")
    o[[i, j]] = 0.0  # so that the plane is drawn in the units of the inputs
    directions = np.zeros((2, n0))
    directions[[0, 1], [i, j]] = 1.0
    within: Polyhedron | None = None
    if isinstance(domain, Box):
        lo, hi = domain.lo.astype(np.float64), domain.hi.astype(np.float64)
        within = Box(lo[[i, j]], hi[[i, j]])
    elif domain is not None:
        A, b = np.asarray(domain.A, dtype=np.float64), np.asarray(domain.b, dtype=np.float64)
        within = Polyhedron(A @ directions.T, b - A @ o)
    found = complex_slice(net, o, directions, domain=within, budget=budget).complex
    if within is None or found.is_unbounded(2).any():
        found = complex_slice(net, o, directions, domain=_cut(within, around(found.vertices)), budget=budget).complex
    rest = [k for k in range(n0) if k not in (i, j)]
    told = ", ".join(f"{words[k]} = {o[k]:.4g}" for k in rest[:4]) + (", …" if len(rest) > 4 else "")
    return Window(_drawable(found), (words[i], words[j]), f"where {told}", o, directions)


def input_names(names: Sequence[str] | None, n0: int) -> tuple[str, ...]:
    """Names of inputs: the given ones, or input 0, input 1, …"""
    if names is None:
        return tuple(f"input {i}" for i in range(n0))
    return listed(names, n0, "inputs")


def listed(names: Any, count: int, what: str) -> tuple[str, ...]:
    """So many names, as texts."""
    if isinstance(names, str | bytes) or not isinstance(names, Sequence | np.ndarray):
        raise InputError(f"names of {what} are a list of texts, found {shown(names)}")
    given = list(names) if isinstance(names, Sequence) or names.ndim else []
    if len(given) != count:
        raise InputError(f"{len(given)} names for {count} {what}; give one for each")
    return tuple(map(str, given))


LEAST, MOST = 1e-290, 1e290
"""Sides and coordinates of what can be drawn."""


def _drawable(cx: PolyhedralComplex) -> PolyhedralComplex:
    """The complex, where floats hold it and the differences of its coordinates."""
    low, high = cx.vertices.min(axis=0), cx.vertices.max(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        drawn = (high - low > LEAST) & (np.abs([low, high]) < MOST)
    if not drawn.all():
        raise InputError(f"the window from {low} to {high} is too large or too small to be drawn in floats")
    return cx


def two_axes(axes: Sequence[int], n0: int) -> tuple[int, int]:
    """Two different inputs of so many."""
    try:
        i, j = (int(k) for k in axes)
    except (TypeError, ValueError):
        raise InputError(f"axes are two different inputs, found {axes!r}") from None
    if i == j or not (0 <= i < n0 and 0 <= j < n0):
        raise InputError(f"axes are two different inputs of 0 to {n0 - 1}, found {tuple(axes)}")
    return i, j


def _cut(domain: Polyhedron | None, box: Box) -> Polyhedron:
    if domain is None:
        return box
    return Polyhedron(np.concatenate([domain.A, box.A]), np.concatenate([domain.b, box.b]))
