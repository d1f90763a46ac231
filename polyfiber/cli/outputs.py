"""Files that commands write: refused before the work when they could not be written after it; pictures."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from .. import words
from ..errors import InputError, MissingDependencyError
from ..network.names import local_path
from .options import is_read

if TYPE_CHECKING:
    from ..complexes.complex import PolyhedralComplex
    from ..domain import Box
    from ..network.model import ReLUNetwork


NETWORKS = (".npz", ".onnx", ".safetensors", ".nnet")
"""Endings of networks that are written."""


def require_writable(path: Path, what: str, *, folder: bool = False, endings: Collection[str] = ()) -> None:
    """Raise `InputError` where a file (or folder) of this name cannot be made; one that is there will be replaced.

    What the command reads is not replaced. An ending that says no format is a usage error.
    """
    local_path(path, what)
    if is_read(path):
        raise InputError(f"cannot write {what} {path}: this is the file that is read; give another name")
    if endings and path.suffix.lower() not in endings:
        raise typer.BadParameter(
            f"cannot write {what} {path}: its name should end in one of {', '.join(sorted(endings))}"
        )
    if path.is_dir() and not folder:
        raise InputError(f"cannot write {what} {path}: it is a directory")
    if not path.parent.is_dir():
        raise InputError(f"cannot write {what} {path}: there is no directory {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"cannot write {what} {path}: the directory {path.parent} is not writable")


def new_figure(path: Path, size: tuple[float, float]) -> Any:
    """An empty matplotlib figure, or an error if it could not be written to ``path``: no matplotlib, no such format or folder."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError("matplotlib", extra="plot", purpose="drawing") from None
    figure = Figure(figsize=size, layout="constrained")
    require_writable(path, "the picture", endings=[f".{kind}" for kind in figure.canvas.get_supported_filetypes()])
    return figure


def write_figure(figure: Any, path: Path) -> None:
    """Write a figure; the format follows the name."""
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot write the picture {path}: {error}") from None


def draw(cx: PolyhedralComplex, path: Path, *, labels: tuple[str, str], title: str | None = None) -> None:
    """The regions of a bounded planar complex as a picture."""
    from ..plots.planar import plot_regions

    figure = new_figure(path, (7, 7))
    ax = plot_regions(cx, ax=figure.add_subplot())
    ax.set_xlabel(labels[0])
    ax.set_ylabel(labels[1])
    count = cx.n_regions
    ax.set_title(title or f"{count} region{'' if count == 1 else 's'}")
    write_figure(figure, path)


def draw_complex(net: ReLUNetwork, cx: PolyhedralComplex, path: Path) -> None:
    """Regions of a planar network, or of the slice of a larger one along its first two inputs.

    The slice goes through the middle of the box, or through the median of the vertices. What is unbounded is drawn in a
    window around most of the vertices of the plane.
    """
    import numpy as np

    from ..complexes.build import canonical_complex
    from ..complexes.local.slices import complex_slice
    from ..domain import Box

    n0 = net.architecture[0]
    if n0 == 1:
        raise InputError("a picture needs at least 2 inputs, the network has 1")
    labels = ("input 0", "input 1")
    if n0 == 2:
        bounded = cx.domain is not None and cx.dimension == 2 and not cx.is_unbounded(2).any()
        seen = cx if bounded else canonical_complex(net, _window(cx))
        part = (
            f"a window with {seen.n_regions} of {words.count(cx.n_regions, 'region')}"
            if seen.n_regions < cx.n_regions
            else None
        )
        draw(seen, path, labels=labels, title=part)
        return
    origin = np.median(cx.vertices, axis=0)
    domain: Box | None = None
    if isinstance(cx.domain, Box):
        low, high = cx.domain.lo.astype(np.float64), cx.domain.hi.astype(np.float64)
        origin, domain = (low + high) / 2, Box(low[:2], high[:2])
    origin[:2] = 0.0  # so that the slice is drawn in the units of the inputs
    directions = np.eye(n0)[:2]
    shown: Any = complex_slice(net, origin, directions, domain=domain).complex
    if domain is None:
        shown = complex_slice(net, origin, directions, domain=_window(shown)).complex
    rest = ", ".join(f"{v:.4g}" for v in origin[2:6]) + (", …" if n0 > 6 else "")
    draw(
        shown, path, labels=labels, title=f"{words.count(shown.n_regions, 'region')} where the other inputs are {rest}"
    )


def _window(cx: PolyhedralComplex) -> Box:
    """A box around the middle eight tenths of the vertices of a complex in the plane."""
    import numpy as np

    from ..domain import Box

    points = cx.vertices if len(cx.vertices) > 1 else cx.vertices + np.array([[-1.0, -1.0], [1.0, 1.0]])
    low, high = np.quantile(points, [0.1, 0.9], axis=0)
    pad = 0.25 * (high - low)
    pad = np.where(pad > 0, pad, max(1.0, *pad))
    return Box(low - pad, high + pad)
