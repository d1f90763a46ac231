"""Pictures of rank strata: the DAG of covers, the table of two-layer strata, basis flow diagrams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import words
from .._values.checked import array_of, flag, points_of, whole
from ..errors import InputError
from ..words import count
from . import style
from .windows import listed

if TYPE_CHECKING:
    from ..linear.bars import Barcode
    from ..linear.strata import RankStratification, Stratum

_BLUE, _ORANGE, _GREY = style.LINES[0], style.LINES[1], style.LINES[6]


def _legend(ax: Any, entries: list[tuple[str, str, str, float]], *, columns: int = 2, below: float = -0.02) -> None:
    """What colours and dashes mean, under the picture: label, colour, line style ('box': a frame), width."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    lines = [
        Patch(facecolor="white", edgecolor=c, linewidth=w)
        if s == "box"
        else Line2D([], [], color=c, linestyle=s, linewidth=w)
        for _, c, s, w in entries
    ]
    labels = [label for label, *_ in entries]
    ax.legend(
        lines, labels, loc="upper center", bbox_to_anchor=(0.5, below), ncols=columns, fontsize=7, frameon=False
    )  # fmt: skip


def _strata(n: int) -> str:
    return "1 stratum" if n == 1 else f"{n:,} strata"


def _caption(stratum: Stratum) -> str:
    return f"rk {','.join(map(str, stratum.layer_ranks))}\n{stratum.dim} | {stratum.dof} | {stratum.rdof}"


def plot_dag(strata: RankStratification, *, ax: Any = None, labels: bool = True, limit: int = 400) -> Any:
    """Draw the strata and the covers of the closure order.

    Each node stands at the height of its dimension and reads: ranks of the layers; dim | dof |
    rdof. Solid edges connect adjacent bars, dashed edges swap crossing ones; maximal strata
    (components of the fiber) have a heavy frame.

    Parameters
    ----------
    strata : RankStratification
    ax : matplotlib Axes, optional
    labels : bool
        Captions in the nodes, or dots only.
    limit : int
        Refuse more strata than this.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InputError
        More strata than ``limit``; draw a part, ``strata.strata.restrict``.

    Examples
    --------
    >>> import polyfiber as pf
    >>> ax = pf.plots.plot_dag(pf.linear.stratify((2, 2, 2), rank=1))
    """
    style.require(strata, "a RankStratification", "strata", "n_layers")
    n, labels = len(strata), flag(labels, "labels")
    if n > whole(limit, "limit"):
        raise InputError(f"{n} strata make no readable picture; the limit is {limit} (limit=)")
    heights = strata.strata.heights()
    place = _layout(strata, heights)
    rows = int(heights.max(initial=0)) + 1
    most = int(np.bincount(heights).max()) if n else 1
    ax = style.axes(ax, (min(18.0, max(4.6, 2.0 + 1.15 * most)), min(14.0, 2.1 + 0.95 * rows)))
    for lower, upper, move in strata.covers():
        (x0, y0), (x1, y1) = place[lower], place[upper]
        dash = "-" if move.kind == "connect" else "--"
        ax.plot([x0, x1], [y0, y1], dash, color=_GREY, linewidth=0.8, zorder=1)
    tops = set(strata.maximal().tolist())
    for s in strata:
        x, y = place[s.id]
        if labels:
            box = {
                "boxstyle": "round,pad=0.25",
                "facecolor": "white",
                "edgecolor": _BLUE if s.id in tops else _GREY,
                "linewidth": 1.8 if s.id in tops else 0.7,
            }
            ax.text(x, y, _caption(s), ha="center", va="center", fontsize=7, bbox=box, zorder=2, gid=f"stratum-{s.id}")
        else:
            colour = _BLUE if s.id in tops else _GREY
            ax.plot([x], [y], "o", color=colour, markersize=4, zorder=2, gid=f"stratum-{s.id}")
    xs, ys = place[:, 0], place[:, 1]
    ax.set_xlim(xs.min() - 0.7, xs.max() + 0.7)
    ax.set_ylim(ys.min() - 0.6, ys.max() + 0.6)
    ax.set_xticks([])
    ticks = sorted(set(heights.tolist()))
    ax.set_yticks(ticks, [str(t) for t in ticks])
    ax.set_ylabel("longest chain below")
    over = "all ranks" if strata.rank is None else f"rank {strata.rank}"
    ax.set_title(f"widths {strata.widths}, {over}: {_strata(n)}\n(ranks of layers; dim | dof | rdof)", fontsize=9)
    kinds = {move.kind for *_, move in strata.covers()}
    _legend(
        ax,
        [(f"maximal: a component ({len(tops)})", _BLUE, "box", 1.8), ("in the closure of others", _GREY, "box", 0.7)][
            : 1 + (len(tops) < n)
        ]
        + [("joins adjacent bars", _GREY, "-", 0.8)] * ("connect" in kinds)
        + [("swaps crossing bars", _GREY, "--", 0.8)] * bool(kinds - {"connect"}),
    )
    for side in ("top", "right", "bottom"):
        ax.spines[side].set_visible(False)
    return ax


def _layout(strata: RankStratification, heights: Any) -> Any:
    """Rows by height; inside a row by the mean place of the covers below (three sweeps)."""
    n = len(strata)
    x = np.zeros(n)
    rows = [np.flatnonzero(heights == h) for h in range(int(heights.max(initial=0)) + 1)]
    for row in rows:
        x[row] = np.arange(len(row)) - (len(row) - 1) / 2
    for sweep in range(4):
        order = rows[1:] if sweep % 2 == 0 else rows[-2::-1]
        for row in order:
            means = []
            for i in row.tolist():
                near = strata.strata.below(i) if sweep % 2 == 0 else strata.strata.above(i)
                means.append(float(x[near].mean()) if len(near) else float(x[i]))
            ranked = row[np.argsort(means, kind="stable")]
            x[ranked] = np.arange(len(row)) - (len(row) - 1) / 2
    return np.stack([x, heights.astype(float)], axis=1)


def plot_table(strata: RankStratification, *, ax: Any = None) -> Any:
    """Draw the strata of two layers as the source does: a table by the ranks of W_2 and W_1.

    Each cell reads dim, dof, rdof; covers go up and to the right.

    Raises
    ------
    InputError
        Other than two layers.

    Examples
    --------
    >>> import polyfiber as pf
    >>> ax = pf.plots.plot_table(pf.linear.stratify((2, 2, 2), rank=1))
    """
    style.require(strata, "a RankStratification", "strata", "n_layers")
    if strata.n_layers != 2:
        raise InputError(f"the table is for two layers; these are {strata.n_layers}: use plot_dag")
    firsts = sorted({s.layer_ranks[0] for s in strata})
    seconds = sorted({s.layer_ranks[1] for s in strata})
    ax = style.axes(ax, (max(4.0, 1.3 + 1.25 * len(seconds)), 1.5 + 0.8 * len(firsts)))
    for lower, upper, _ in strata.covers():
        a, b = strata[lower].layer_ranks, strata[upper].layer_ranks
        room = 17 if a[1] == b[1] else 30  # points from the centre of a cell to its frame
        ax.annotate(
            "",
            (b[1], b[0]),
            (a[1], a[0]),
            arrowprops={"arrowstyle": "->", "color": _GREY, "shrinkA": room, "shrinkB": room, "linewidth": 0.8},
        )
    tops = set(strata.maximal().tolist())
    for s in strata:
        box = {
            "boxstyle": "round,pad=0.3",
            "facecolor": "white",
            "edgecolor": _BLUE if s.id in tops else _GREY,
            "linewidth": 1.8 if s.id in tops else 0.7,
        }
        ax.text(
            s.layer_ranks[1],
            s.layer_ranks[0],
            f"{s.dim}, {s.dof}, {s.rdof}",
            ha="center",
            va="center",
            fontsize=8,
            bbox=box,
            gid=f"stratum-{s.id}",
        )
    ax.set_xticks(seconds)
    ax.set_yticks(firsts)
    ax.set_xlim(seconds[0] - 0.6, seconds[-1] + 0.6)
    ax.set_ylim(firsts[0] - 0.6, firsts[-1] + 0.6)
    ax.set_xlabel("rank of $W_2$")
    ax.set_ylabel("rank of $W_1$")
    ax.set_title(f"widths {strata.widths}, rank {strata.rank}: {_strata(len(strata))}\n(dim, dof, rdof)", fontsize=9)
    _legend(
        ax,
        [(f"maximal: a component ({len(tops)})", _BLUE, "box", 1.8), ("in the closure of others", _GREY, "box", 0.7)],
        below=-0.16 - 0.12 / len(firsts),
    )
    return ax


def plot_flow(of: Barcode | Stratum, *, ax: Any = None) -> Any:
    """Basis flow diagram: which subspaces of each layer flow where, and which are lost.

    Layers run from right (input) to left (output), as in ``W_L … W_1``. Each interval that
    occurs is a line of boxes over the layers it touches; the number in a box is the dimension
    of the prebasis subspace ``a_kji``, and the frame is drawn as often (up to three times).
    Underneath stand the widths and the ranks of the layers.

    Parameters
    ----------
    of : Barcode or Stratum
    ax : matplotlib Axes, optional

    Examples
    --------
    >>> import numpy as np
    >>> import polyfiber as pf
    >>> ax = pf.plots.plot_flow(pf.linear.barcode([np.eye(2), np.diag([1.0, 0.0])]))
    """
    counts: dict[tuple[int, int], int] = {}
    style.require(of, "a Barcode or a Stratum", "bars", "widths")
    bars = of.bars
    if isinstance(bars, dict):
        counts = dict(bars)
    else:
        for bar in bars:
            counts[bar] = counts.get(bar, 0) + 1
    widths = of.widths
    last = len(widths) - 1
    # longest first, each in the lowest free row
    rows: list[list[tuple[int, int]]] = []
    where: dict[tuple[int, int], int] = {}
    for i, k in sorted(counts, key=lambda bar: (bar[0] - bar[1], bar[0])):
        row = next((r for r, used in enumerate(rows) if all(k < a or i > b for a, b in used)), len(rows))
        if row == len(rows):
            rows.append([])
        rows[row].append((i, k))
        where[i, k] = row
    ax = style.axes(ax, (max(4.8, 1.6 + 1.25 * (last + 1)), 2.1 + 0.62 * max(1, len(rows))))
    from matplotlib.patches import Rectangle

    for (i, k), row in where.items():
        y, m = float(row), counts[i, k]
        colour = _BLUE if (i, k) == (0, last) else _ORANGE if i == 0 or k == last else _GREY
        ax.plot([-i, -k], [y, y], "-", color=colour, linewidth=1.5, zorder=1, gid=f"bars-{i}-{k}")
        for j in range(i, k + 1):
            for ring in range(min(m, 3)):
                w, h = 0.20 + 0.05 * ring, 0.22 + 0.07 * ring
                face = "white" if ring == 0 else "none"
                ax.add_patch(
                    Rectangle(
                        (-j - w, y - h),
                        2 * w,
                        2 * h,
                        facecolor=face,
                        edgecolor=colour,
                        linewidth=1.1,
                        zorder=3 - (ring > 0),
                    )
                )
            ax.text(-j, y, str(m), ha="center", va="center", fontsize=9, color=colour, zorder=4)
    ranks = np.asarray(of.ranks)
    for j, d in enumerate(widths):
        ax.text(-j, -1.05, f"$d_{{{j}}}={d}$", ha="center", va="center", fontsize=9)
        if j:
            ax.text(0.5 - j, -1.05, f"$W_{{{j}}}$\nrk {int(ranks[j, j - 1])}", ha="center", va="center", fontsize=8)
    ax.set_xlim(-last - 0.6, 0.6)
    ax.set_ylim(-1.7, max(1, len(rows)) - 0.3)
    ax.set_axis_off()
    ax.set_title(
        f"{words.count(sum(counts.values()), 'bar')} of {words.count(len(counts), 'kind')}: output left, input right",
        fontsize=9,
    )
    through, ends = (0, last) in counts, any((i == 0) != (k == last) for i, k in counts)
    inner = any(i > 0 and k < last for i, k in counts)
    _legend(
        ax,
        [("from input to output", _BLUE, "-", 1.5)] * through
        + [("ends or begins inside", _ORANGE, "-", 1.5)] * ends
        + [("both", _GREY, "-", 1.5)] * inner,
        columns=3,
    )
    return ax


def plot_effective_ranks(steps: Any, ranks: Any, *, names: Any = None, ax: Any = None) -> Any:
    """Draw ranks over training steps, one staircase per product.

    Parameters
    ----------
    steps : (t,) numbers
    ranks : (t, c) integers
    names : sequence of c str, optional
    ax : matplotlib Axes, optional

    Examples
    --------
    >>> import polyfiber as pf
    >>> ax = pf.plots.plot_effective_ranks([0, 10, 20], [[0, 0], [1, 0], [2, 1]], names=["W1", "W2 W1"])
    """
    steps, ranks = np.atleast_1d(array_of(steps, "steps")), array_of(ranks, "ranks")
    if ranks.ndim != 2 or steps.ndim != 1 or len(ranks) != len(steps):
        raise InputError(f"ranks have shape {ranks.shape}; expected ({len(steps)}, products)")
    steps = points_of(steps, len(steps), single=True)
    if names is not None:
        names = listed(names, ranks.shape[1], "products")
    ax = style.axes(ax, (8, 4.5))
    for c in range(ranks.shape[1]):
        shift = 0.06 * (c - (ranks.shape[1] - 1) / 2)  # apart where they coincide
        ax.step(
            steps,
            ranks[:, c] + shift,
            where="post",
            linewidth=1.4,
            color=style.LINES[c % len(style.LINES)],
            label=None if names is None else names[c],
            gid=f"product-{c + 1}",
        )
    ax.set_title(f"ranks of {count(ranks.shape[1], 'product')} at {count(len(steps), 'step')}", fontsize=9)
    ax.set_xlabel("step")
    ax.set_ylabel("rank")
    if names is not None:
        ax.legend(fontsize=7, ncols=2)
    return ax
