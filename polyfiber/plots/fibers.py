"""Pictures of fibers and of geodesics: walls that move while the function stays, singular values along a path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import words
from .._values.checked import whole
from ..complexes.build import canonical_complex
from ..domain import Box
from ..errors import InputError
from ..fibers.classify import FiberReport
from ..network.model import ReLUNetwork
from ..network.moves import Translate
from .style import WALLS, axes, require
from .windows import around

if TYPE_CHECKING:
    from ..dln.geodesics.result import Geodesic


def plot_translation(
    report: FiberReport, *, shifts: Sequence[float] | None = None, domain: Box | None = None, ax: Any = None
) -> Any:
    """Draw the walls of a network whose fiber hides a hyperplane, at several of its places: the function is one.

    Parameters
    ----------
    report : FiberReport
        Of kind 'hiding', with two inputs.
    shifts : sequence of float, optional
        Places of the hidden hyperplane, all admissible; four by default.
    domain : Box, optional
        Around the vertices and all places of the hyperplane by default.
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes

    Examples
    --------
    >>> import polyfiber as pf
    >>> net = pf.fibers.hiding_example((2, 2, 1, 1), rng=0)
    >>> ax = pf.plots.plot_translation(pf.classify_fiber(net), shifts=[0.0])
    """
    from matplotlib.collections import LineCollection
    from matplotlib.lines import Line2D

    require(report, "a FiberReport", "network", "hiding", "kind")
    net, hiding = report.network, report.hiding
    if report.kind != "hiding" or hiding is None or hiding.hyperplane is None or net.architecture[0] != 2:
        raise InputError(
            f"a fiber along a hidden hyperplane of two inputs is drawn, found kind {report.kind!r} of {net}"
        )
    k = hiding.hyperplane
    box = domain or around(canonical_complex(net).vertices)
    if shifts is None:
        size = float(np.abs(net.rounded().weights[0][k]) @ np.abs(box.hi - box.lo).astype(np.float64)) / 12
        end = 0.0 if hiding.end is None else float(hiding.end)
        shifts = [min(0.0, end) - size * step for step in range(4)]
    moved = [Translate(k, shift).apply(net) for shift in shifts]
    if domain is None:
        box = _with_walls(box, [n.rounded() for n in moved], k)
    ax = axes(ax)
    handles = []
    for number, (shift, other) in enumerate(zip(shifts, moved)):
        cx = canonical_complex(other, box)
        signs = cx.signs(1)[:, : net.n_hidden]
        mine, others = signs[:, k] == 0, (np.delete(signs, k, axis=1) == 0).any(axis=1)
        ends = cx.vertices[cx.edges]
        if number == 0:
            ax.add_collection(LineCollection(list(ends[others & ~mine]), colors=WALLS[5], linewidths=0.8, gid="walls"))
            handles.append(Line2D([], [], color=WALLS[5], linewidth=0.8, label="other walls"))
        style: dict[str, Any] = {
            "color": WALLS[number % 5],
            "linewidth": 1.8,
            "linestyle": ("-", "--", "-.", ":")[number % 4],
        }
        ax.add_collection(LineCollection(list(ends[mine]), gid=f"shift-{number}", **style))
        handles.append(Line2D([], [], label=f"shift {shift:.3g}", **style))
    ax.set_xlim(float(box.lo[0]), float(box.hi[0]))
    ax.set_ylim(float(box.lo[1]), float(box.hi[1]))
    ax.set_xlabel("input 0")
    ax.set_ylabel("input 1")
    ax.set_title(f"{words.count(len(shifts), 'network')}, one function: hyperplane {k} of layer 1 is hidden")
    ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize="small")
    return ax


def _with_walls(box: Box, nets: Sequence[ReLUNetwork], k: int) -> Box:
    """The box, larger where it does not hold the point of hyperplane k of layer 1 that is nearest to its middle."""
    lo, hi = np.asarray(box.lo, dtype=np.float64), np.asarray(box.hi, dtype=np.float64)
    middle, size = (lo + hi) / 2, hi - lo
    for net in nets:
        w, b = net.weights[0][k], net.biases[0][k]
        foot = middle - (w @ middle + b) / (w @ w) * w
        lo, hi = np.minimum(lo, foot - 0.1 * size), np.maximum(hi, foot + 0.1 * size)
    return Box(lo, hi)


def plot_geodesic(path: Geodesic, *, ax: Any = None, steps: int = 101) -> Any:
    """Draw the singular values along a geodesic of the deep linear network.

    Parameters
    ----------
    path : Geodesic
        Of `polyfiber.dln.geodesic`.
    ax : matplotlib Axes, optional
    steps : int
        Points on the way, at least 2.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import numpy as np
    >>> import polyfiber as pf
    >>> ax = pf.plots.plot_geodesic(pf.dln.geodesic(np.eye(2), 4 * np.eye(2), 2), steps=5)
    """
    require(path, "a Geodesic", "rank", "__call__")
    if whole(steps, "steps", most=1 << 20) < 2:
        raise InputError(f"a path has at least 2 points, found steps={steps}")
    t = np.linspace(0.0, 1.0, steps)
    values = np.linalg.svd(np.stack([path(u) for u in t]), compute_uv=False)[:, : path.rank]
    ax = axes(ax, (7.0, 4.5))
    for k in range(values.shape[1]):
        style = ("-", "--", "-.", ":")[(k // len(WALLS)) % 4]
        ax.plot(t, values[:, k], style, color=WALLS[k % len(WALLS)], gid=f"value-{k + 1}", label=f"σ{k + 1}")
    ax.set_xlabel("time")
    ax.set_ylabel("singular values")
    most = "" if path.solved else "no geodesic, at most "
    ax.set_title(f"depth {path.depth:g}: {values.shape[1]} singular values, {most}length {path.length:.4g}")
    ax.legend(frameon=False)
    return ax
