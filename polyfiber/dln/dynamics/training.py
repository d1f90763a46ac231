"""A trained path as a curve in the geometry: what it conserves, how long it is, how far it strays from a geodesic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ... import words
from ..._typing import FloatArray, IntArray
from ..._values.checked import shown
from ...budget import Budget, within_budget
from ...errors import BudgetExceededError, InputError, PolyfiberError, ShapeError
from ...words import one_line
from .._inputs import as_finite, as_layers, as_positive
from ..geodesics.boundary import geodesic
from ..geodesics.result import Geodesic
from ..space.balanced import imbalance, invariants
from ..space.entropies import entropy
from ..space.submersion import product


@dataclass(frozen=True)
class TrainingPath:
    """Measurements along checkpoints of a linear network.

    Attributes
    ----------
    times : float64 (T,)
    products : float64 (T, d_L, d_0)
    singular_values : float64 (T, min(d_L, d_0))
        Of the products.
    ranks : int64 (T, L + 1, L + 1)
        ``ranks[t, k, i]``: singular values of ``W_k … W_{i+1}`` above ``level^(k - i)``; a reading, without error
        bound.
    entropy : float64 (T,)
        Of the products, over balanced networks of the widths of this one.
    length, energy : float
        Of the polygon through the checkpoints in weight space: sum of ``|step|`` and of ``|step|^2 / time``. The
        length bounds that of the trained path from below.
    drift : float64 (L - 1,)
        Largest ``|G_p(t) - G_p(0)|`` relative to the largest squared norm of a layer at the start.
    imbalance : float64 (T,)
        Size of the invariants relative to the weights; 0 on the balanced manifold.
    geodesic : Geodesic or None
        Between the first and the last product at this depth; None where there is none (ranks or components differ) or
        none was found.
    no_geodesic : str
        Why there is nothing to compare with; empty where there is.
    deviation : float
        Largest Frobenius distance of a product to the geodesic's sample points, relative to that of the two ends; NaN
        without a geodesic, and where both ends are one matrix.
    excess : float
        ``length`` over the length of the geodesic; NaN where ``deviation`` is. Below 1 only for unbalanced weights or
        by the gaps between checkpoints. Where the geodesic is not ``solved`` its length is an upper bound, and this a
        lower one.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber import dln
    >>> path = dln.training_path([[np.eye(2), (1 + t) * np.eye(2)] for t in (0.0, 0.5, 1.0)])
    >>> path.singular_values[:, 0].tolist(), int(path.ranks[-1, 2, 0])
    ([1.0, 1.5, 2.0], 2)
    """

    __repr__ = one_line

    times: FloatArray
    products: FloatArray = field(repr=False)
    singular_values: FloatArray = field(repr=False)
    ranks: IntArray = field(repr=False)
    entropy: FloatArray = field(repr=False)
    length: float
    energy: float
    drift: FloatArray
    imbalance: FloatArray = field(repr=False)
    geodesic: Geodesic | None = field(repr=False)
    deviation: float
    excess: float
    no_geodesic: str = ""

    @property
    def sentence(self) -> str:
        """How long the path is, what it conserves, and how it lies to the geodesic between its ends."""
        drift = float(self.drift.max(initial=0.0))
        text = (
            f"A path through {words.count(len(self.times), 'checkpoint')}, of length {self.length:.6g} in the space of weights; the "
            f"invariants of gradient flow move by {drift:.3g} of the largest squared layer"
        )
        if self.no_geodesic:
            return f"{text}. It is compared with no geodesic: {self.no_geodesic}."
        assert self.geodesic is not None
        least = "" if self.geodesic.solved else "at least "
        return (
            f"{text}. It is {least}{self.excess:.4g} times as long as the geodesic found between its ends, and strays from it "
            f"by {self.deviation:.3g} of their distance."
        )

    def __str__(self) -> str:
        return self.sentence


@within_budget
def training_path(
    checkpoints: Sequence[Sequence[npt.ArrayLike]],
    *,
    times: npt.ArrayLike | None = None,
    level: float = 1e-3,
    budget: Budget | None = None,
) -> TrainingPath:
    """Measure a path of weights: checkpoints of training, or the weights of a `GradientFlow`.

    Parameters
    ----------
    checkpoints : sequence of T networks
        Each a sequence of layers ``W_1, …, W_L``, first layer first, all of one shape.
    times : array_like (T,), optional
        Increasing; 0, 1, 2, … by default.
    level : float
        Strength per layer from which a singular value counts for ``ranks``.
    budget : Budget, optional
        Seconds for all of it, above all the geodesic.

    Returns
    -------
    TrainingPath

    Raises
    ------
    InputError, ShapeError
        Fewer than two checkpoints, networks of different shapes, entries that are not finite, times that do not
        increase.

    Notes
    -----
    Cost: the ranks of all partial products of each checkpoint, and one geodesic.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import gradient_flow, lift, training_path
    >>> t = np.linspace(0.0, 3.0, 31)
    >>> flow = gradient_flow(lift(np.eye(2), 3), lambda W: W - np.diag([3.0, 0.5]), t)
    >>> path = training_path([[w[i] for w in flow.weights] for i in range(31)], times=t)
    >>> path.drift.max() < 1e-8, path.excess >= 1 - 1e-4     # balanced, and here along a geodesic's image
    (np.True_, True)
    """
    if not isinstance(checkpoints, Sequence | np.ndarray) or isinstance(checkpoints, str | bytes):
        raise InputError(f"checkpoints are a sequence of networks, found {shown(checkpoints)}")
    if len(checkpoints) < 2:
        raise InputError(f"found {words.count(len(checkpoints), 'checkpoint')}; a path needs at least two")
    networks = [
        as_layers(list(c) if isinstance(c, Sequence) or (isinstance(c, np.ndarray) and c.ndim) else c)
        for c in checkpoints
    ]
    shapes = [tuple(w.shape for w in layers) for layers in networks]
    if any(s != shapes[0] for s in shapes) or any(len(s) != 2 for s in shapes[0]):
        raise ShapeError(f"checkpoints have different shapes: {sorted(set(shapes))}")
    grid = np.arange(len(networks), dtype=np.float64) if times is None else as_finite(times, name="times")
    if grid.shape != (len(networks),):
        raise InputError(
            f"times must be {words.count(len(networks), 'number')}, one a checkpoint; found shape {grid.shape}"
        )
    if (np.diff(grid) <= 0).any():
        at = int(np.argmax(np.diff(grid) <= 0))
        raise InputError(f"times must increase; found {grid[at]:g} and then {grid[at + 1]:g}")
    strength = as_positive(level, name="level")
    stacks = [np.stack(layer) for layer in zip(*networks, strict=True)]
    products = np.asarray(product(stacks))
    flat = np.concatenate([s.reshape(len(grid), -1) for s in stacks], axis=1)
    steps = np.linalg.norm(np.diff(flat, axis=0), axis=1)
    scale = max(max(float((s[0] ** 2).sum()) for s in stacks), 1e-300)
    drift = [float(np.sqrt(((g - g[0]) ** 2).sum((-2, -1))).max()) / scale for g in invariants(stacks)]
    widths = [stacks[0].shape[-1], *(s.shape[-2] for s in stacks)]
    joined: Geodesic | None = None
    missing, deviation, excess = "", float("nan"), float("nan")
    try:
        joined = geodesic(products[0], products[-1], len(stacks), check=False)
    except BudgetExceededError:
        raise
    except PolyfiberError as error:
        missing = str(error)
    if joined is not None and joined.length == 0.0:
        missing = "the first and the last product are one matrix"
    elif joined is not None:
        curve = joined(np.linspace(0.0, 1.0, 101))
        gaps = np.linalg.norm(products[:, None] - curve[None], axis=(-2, -1)).min(axis=1)
        deviation = float(gaps.max()) / float(np.linalg.norm(products[-1] - products[0]))
        excess = float(steps.sum()) / joined.length
    return TrainingPath(
        grid, products, np.asarray(np.linalg.svd(products, compute_uv=False), dtype=np.float64), _ranks(stacks, strength),
        np.asarray(entropy(products, len(stacks), widths=widths)),
        float(steps.sum()), float((steps**2 / np.diff(grid)).sum()), np.array(drift), np.asarray(imbalance(stacks)),
        joined, deviation, excess, missing,
    )  # fmt: skip


def _ranks(stacks: list[Any], level: float) -> IntArray:
    """Readings of all ranks, (T, L + 1, L + 1)."""
    last = len(stacks)
    widths = [stacks[0].shape[-1], *(s.shape[-2] for s in stacks)]
    out = np.zeros((len(stacks[0]), last + 1, last + 1), dtype=np.int64)
    for i in range(last + 1):
        out[:, i, i] = widths[i]
        run: Any = np.eye(widths[i])
        for k in range(i + 1, last + 1):
            run = stacks[k - 1] @ run / level
            out[:, k, i] = (np.linalg.svd(run, compute_uv=False) > 1.0).sum(axis=-1)
    return out
